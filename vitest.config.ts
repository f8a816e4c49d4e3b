import { defineConfig } from "vitest/config";

/** Searches for faults that take minutes of computing, and are alone while they do. */
const SEARCH = [
  "test/simulator/seeds.test.ts",
  "test/simulator/breakages/breakages.test.ts",
  "test/simulator/exhaustive/**/*.test.ts",
];

/** The tiers of tests, from small to whole. Real processes share ports and disks, so those run one file at a time. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "bench/**/*.test.ts", "image/*.test.ts", "test/*.test.ts"],
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
          name: "image",
          include: ["test/image/**/*.test.ts"],
          exclude: ["test/image/**/*.full.test.ts"],
          globalSetup: "test/image/image-folder.ts",
          testTimeout: 600_000,
          hookTimeout: 300_000,
          maxWorkers: 1,
          sequence: { groupOrder: 4 },
        },
      },
      {
        test: {
          // What takes too long for every run: `npm run test:image:full`.
          name: "image-full",
          include: ["test/image/**/*.full.test.ts"],
          globalSetup: "test/image/image-folder.ts",
          testTimeout: 1_200_000,
          hookTimeout: 300_000,
          maxWorkers: 1,
          sequence: { groupOrder: 5 },
        },
      },
    ],
  },
});
