/** Level 5 of 3+1: sequences of one and of two operations. See plan.ts for what is complete and what is bounded. */

import { describe, expect, it } from "vitest";
import { makeBench } from "./bench.ts";
import { exploreFailures, explorePairs, exploreScrub, exploreSingles, starts } from "./plan.ts";

const bench = makeBench(5);
const TIMEOUT_MS = 24 * 3600 * 1000;

describe.each(starts(bench))("level 5 $name, the power cut at every request", (start) => {
  it("of one operation", { timeout: TIMEOUT_MS }, () => {
    const { counts } = exploreSingles(bench, start);
    console.log(`level 5 ${start.name}, one operation: ${counts}`);
    expect(counts.refused).toBeGreaterThan(0);
    expect(counts.refused).toBeLessThan(counts.recoveries / 2);
  });

  it("of one operation, in which a drive fails", { timeout: TIMEOUT_MS }, () => {
    const { counts } = exploreFailures(bench, start);
    console.log(`level 5 ${start.name}, one operation in which a drive fails: ${counts}`);
    expect(counts.refused).toBeGreaterThan(0);
  });

  it("of two operations", { timeout: TIMEOUT_MS }, () => {
    const { counts } = explorePairs(bench, start);
    console.log(`level 5 ${start.name}, two operations: ${counts}`);
    expect(counts.distinct).toBeGreaterThan(1000);
  });
});

it("level 5 with one thing wrong is put right by a scrub, the power cut at every request", {
  timeout: TIMEOUT_MS,
}, () => {
  const { counts } = exploreScrub(bench);
  console.log(`level 5 scrubbed: ${counts}`);
  expect(counts.refused).toBe(0);
});
