import { expect, test } from "vitest";
import { SeededRandom } from "./seeded-random.ts";

test("a seed gives the same numbers in every version, or no failure could be looked at later", () => {
  const random = new SeededRandom("1");
  expect([random.next(), random.next(), random.next(), random.next()]).toEqual([
    1322085210, 3448142222, 3302266490, 64907770,
  ]);
  expect(random.fork("a").next()).toBe(3097547663);
});

test("a fork depends on its name alone", () => {
  const one = new SeededRandom("1");
  const two = new SeededRandom("1");
  two.next();
  expect(one.fork("a").next()).toBe(two.fork("a").next());
  expect(one.fork("a").next()).not.toBe(one.fork("b").next());
});

test("numbers spread evenly over their bound", () => {
  const random = new SeededRandom("even");
  for (const bound of [1, 2, 3, 7, 1000]) {
    const counts = new Array<number>(bound).fill(0);
    const draws = 200 * bound;
    for (let draw = 0; draw < draws; draw++) counts[random.below(bound)]++;
    // chi-squared has a mean of bound - 1 and a variance of twice that
    const chi = counts.reduce((sum, count) => sum + (count - 200) ** 2 / 200, 0);
    expect(chi).toBeLessThan(bound - 1 + 6 * Math.sqrt(2 * bound));
  }
  expect(random.below(0x100000000)).toBeGreaterThan(0xffff);
  for (const bound of [0, -1, 1.5, 0x100000001, Number.NaN]) expect(() => random.below(bound)).toThrow("bound");
  const hits = Array.from({ length: 10_000 }, () => random.chance(0.1)).filter(Boolean).length;
  expect(hits).toBeGreaterThan(800);
  expect(hits).toBeLessThan(1200);
});

test("fill reaches every byte", () => {
  const random = new SeededRandom("fill");
  for (const length of [0, 1, 3, 4, 5, 1023]) {
    const ones = new Uint8Array(length);
    for (let round = 0; round < 40; round++) {
      const bytes = new Uint8Array(length);
      random.fill(bytes);
      for (let at = 0; at < length; at++) ones[at] |= bytes[at];
    }
    expect(ones.every((byte) => byte === 0xff)).toBe(true);
  }
});
