import { describe, expect, it } from "vitest";
import { median, medianRatio, spread } from "./statistics.ts";

describe("statistics", () => {
  it("take the middle, whatever the order", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(() => median([])).toThrow();
  });

  it("take each round's own ratio", () => {
    // A slow second round hits both sides: the ratio of the medians would be 3, that of the pairs is 2.
    expect(medianRatio([20, 10, 30], [10, 5, 10])).toBe(2);
    expect(() => medianRatio([1, 2], [1])).toThrow();
  });

  it("tell the distance of the farthest round", () => {
    expect(spread([10, 10, 15])).toBe(0.5);
    expect(spread([4, 10, 10])).toBe(0.6);
  });
});
