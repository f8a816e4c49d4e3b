/** Level 5 of 3+1: sequences of three operations. See plan.ts for what is complete and what is bounded. */

import { describe, expect, it } from "vitest";
import { makeBench } from "./bench.ts";
import { exploreTriples, tripleStarts } from "./plan.ts";

const bench = makeBench(5);
const TIMEOUT_MS = 24 * 3600 * 1000;

describe.each(tripleStarts(bench))("level 5 $name, the power cut at every request", (start) => {
  it("of three operations", { timeout: TIMEOUT_MS }, () => {
    const { counts } = exploreTriples(bench, start);
    console.log(`level 5 ${start.name}, three operations: ${counts}`);
    expect(counts.distinct).toBeGreaterThan(100);
  });
});
