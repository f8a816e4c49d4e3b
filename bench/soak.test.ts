import { expect, it } from "vitest";
import { growthOf } from "./soak.ts";

it("compares what is resident at rest after the first part and at the end", () => {
  const parts = [100, 180, 90, 120].map((resting) => ({ loaded: 500, resting }));
  expect(growthOf({ requests: 1, visits: 1, parts })).toBeCloseTo(0.2);
});
