import { describe, expect, it } from "vitest";
import { AssertionError } from "../../base/assert.ts";
import { formatUuid, randomUuid } from "../random.ts";
import { linuxRandom } from "./linux-random.ts";

describe("randomness of this machine", () => {
  const random = linuxRandom();

  it("spreads over the whole range, evenly", () => {
    const counts = new Array<number>(7).fill(0);
    for (let draw = 0; draw < 70_000; draw++) counts[random.below(7)]++;
    // Ten standard deviations: wrong code fails, chance does not.
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(1000);
  });

  it("takes bounds from 1 to 2^32", () => {
    expect(random.below(1)).toBe(0);
    const large = Array.from({ length: 64 }, () => random.below(2 ** 32));
    expect(Math.max(...large)).toBeGreaterThan(2 ** 31);
    for (const bound of [0, -1, 1.5, 2 ** 32 + 1]) expect(() => random.below(bound)).toThrow(AssertionError);
  });

  it("fills buffers of any size", () => {
    for (const size of [0, 1, 65_537, 200_000]) {
      const bytes = new Uint8Array(size);
      random.fill(bytes);
      if (size > 1000) {
        expect(new Set(bytes.subarray(-1000)).size).toBeGreaterThan(200);
      }
    }
  });

  it("makes no UUID twice", () => {
    expect(new Set(Array.from({ length: 1000 }, () => formatUuid(randomUuid(random)))).size).toBe(1000);
  });
});
