import { expect, it } from "vitest";
import { growthOf, mediansOfParts } from "./soak.ts";

it("compares what was resident in the second tenth with the last", () => {
  const grows = mediansOfParts(Array.from({ length: 200 }, (_, second) => 1000 + second));
  expect(grows.slice(0, 3)).toEqual([1009.5, 1029.5, 1049.5]);
  expect(grows.length).toBe(10);
  expect(growthOf({ requests: 1, visits: 1, residentBytes: grows })).toBeCloseTo(160 / 1029.5);
  expect(() => mediansOfParts([1, 2, 3])).toThrow("too short");
});
