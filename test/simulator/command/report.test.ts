import { describe, expect, it } from "vitest";
import type { RunResult } from "../run.ts";
import { failureText, runLine, Totals } from "./report.ts";

const PASSED: RunResult = {
  scenario: "cascade",
  seed: 17,
  traceHash: "00112233aabbccdd",
  simulatedMs: 36_000,
  events: 12,
  writes: 4,
  reads: 3,
  faults: 2,
  met: { "a member loses a write": { given: 3, met: 1 } },
};
const FAILURE: RunResult["failure"] = {
  invariant: "register",
  what: "block 3 is lost",
  config: "sites:\n  denver",
  faults: ["1 ms: denver loses power"],
  lastEvents: ["2 ms  boulder: data"],
};
const FAILED: RunResult = { ...PASSED, failure: FAILURE };

describe("a run's report", () => {
  it("is one line with all its figures", () => {
    expect(runLine(PASSED)).toBe(
      "cascade seed 17  00112233aabbccdd  36.0 s, 12 events, 4 writes, 3 reads, 2 faults  ok",
    );
    expect(runLine(FAILED)).toMatch(/FAILED$/);
  });

  it("says of a failure how to make it again, and all that is known", () => {
    expect(failureText(PASSED)).toBe("");
    const text = failureText(FAILED, "no-flush");
    expect(text).toContain("npm run simulate -- --scenario cascade --seed 17 --breakage no-flush\n");
    for (const part of ["register: block 3 is lost", "  sites:\n    denver", "denver loses power", "boulder: data"]) {
      expect(text).toContain(part);
    }
    const unlike = { ...PASSED, failure: { ...FAILURE, invariant: "not deterministic" } };
    expect(failureText(unlike)).toContain("--seed 17 --repeat-every 1\n");
  });

  it("sums up", () => {
    const totals = new Totals();
    totals.add({ result: PASSED, cpuMs: 2000 });
    totals.add({ result: FAILED, cpuMs: 1000 });
    expect(totals.text(30_000)).toBe(
      "2 runs, 1 failed, 0.02 simulated hours, 24.0 simulated seconds per second of one core, 4 runs per minute, 30 s",
    );
    expect(totals.failed).toEqual([FAILED]);
  });
});
