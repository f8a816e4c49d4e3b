/** Level 1 of a pair: sequences of one, two and three operations. See plan.ts for what is complete and what is bounded. */

import { describe, expect, it } from "vitest";
import { makeBench } from "./bench.ts";
import { exploreFailures, explorePairs, exploreScrub, exploreSingles, exploreTriples, starts } from "./plan.ts";

const bench = makeBench(1);
const TIMEOUT_MS = 24 * 3600 * 1000;

describe.each(starts(bench))("level 1 $name, the power cut at every request", (start) => {
  it("of one operation", { timeout: TIMEOUT_MS }, () => {
    const { counts } = exploreSingles(bench, start);
    console.log(`level 1 ${start.name}, one operation: ${counts}`);
    expect(counts.refused).toBeLessThan(counts.recoveries / 2);
  });

  it("of one operation, in which a drive fails", { timeout: TIMEOUT_MS }, () => {
    const { counts } = exploreFailures(bench, start);
    console.log(`level 1 ${start.name}, one operation in which a drive fails: ${counts}`);
    expect(counts.refused).toBeGreaterThan(0);
  });

  it("of two operations", { timeout: TIMEOUT_MS }, () => {
    const { counts } = explorePairs(bench, start);
    console.log(`level 1 ${start.name}, two operations: ${counts}`);
    expect(counts.distinct).toBeGreaterThan(100);
  });

  it("of three operations", { timeout: TIMEOUT_MS }, () => {
    const { counts } = exploreTriples(bench, start);
    console.log(`level 1 ${start.name}, three operations: ${counts}`);
    expect(counts.distinct).toBeGreaterThan(10);
  });
});

it("level 1 with one thing wrong is put right by a scrub, the power cut at every request", {
  timeout: TIMEOUT_MS,
}, () => {
  const { counts } = exploreScrub(bench);
  console.log(`level 1 scrubbed: ${counts}`);
  expect(counts.refused).toBe(0);
});
