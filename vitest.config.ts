import { defineConfig } from "vitest/config";

/** Searches for faults that take minutes of computing, and are alone while they do. */
const SEARCH = [
  "test/simulator/seeds.test.ts",
  "test/simulator/breakages/breakages.test.ts",
  "test/simulator/exhaustive/**/*.test.ts",
  "test/fuzz/million.test.ts",
];

/** The tiers of tests, from small to whole. Real processes share ports and disks, so those run one file at a time; virtual machines do not. */
export default defineConfig({
  test: {
    // Here, and not in the projects of the image, so that they share it.
    globalSetup: "test/image/image-folder.ts",
    projects: [
      {
        test: {
          name: "unit",
          include: [
            "src/**/*.test.ts",
            "bench/**/*.test.ts",
            "image/*.test.ts",
            "test/*.test.ts",
            "test/fuzz/fuzz.test.ts",
          ],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "simulator",
          include: ["test/simulator/**/*.test.ts"],
          exclude: SEARCH,
          testTimeout: 120_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "search",
          include: SEARCH,
          testTimeout: 20 * 60_000,
          // Runs at once, of which each keeps a processor busy.
          maxConcurrency: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "conformance",
          include: ["test/conformance/**/*.test.ts", "test/bad-input/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: "system",
          include: ["test/system/**/*.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          // Takes time, which what runs beside it would change.
          name: "image-boot",
          include: ["test/image/boot.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 300_000,
          maxWorkers: 1,
          sequence: { groupOrder: 4 },
        },
      },
      {
        test: {
          name: "image",
          include: ["test/image/**/*.test.ts"],
          exclude: ["test/image/boot.test.ts", "test/image/**/*.full.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 300_000,
          // A virtual machine keeps one processor busy for most of its time.
          maxWorkers: 2,
          sequence: { groupOrder: 5 },
        },
      },
      {
        test: {
          // What takes too long for every run: `npm run test:image:full`.
          name: "image-full",
          include: ["test/image/**/*.full.test.ts"],
          testTimeout: 1_200_000,
          hookTimeout: 300_000,
          maxWorkers: 1,
          sequence: { groupOrder: 6 },
        },
      },
    ],
  },
});
