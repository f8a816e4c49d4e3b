import { describe, expect, it } from "vitest";
import { sum, tally } from "./tally.ts";

const file = (status: string, ...tests: string[]) => ({
  status,
  assertionResults: tests.map((one) => ({ status: one })),
});
const report = (...testResults: unknown[]) => JSON.stringify({ testResults });

describe("the tally", () => {
  it("counts every test once", () => {
    const given = report(
      file("passed", "passed", "passed", "skipped"),
      file("failed", "failed", "pending", "todo", "passed"),
    );
    expect(tally(given, 1)).toEqual({ passed: 3, failed: 1, skipped: 3 });
  });

  it("counts a file that did not load, or whose hook failed, as a failure", () => {
    expect(tally(report(file("failed")), 1)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(tally(report(file("failed", "passed", "skipped")), 1)).toEqual({ passed: 1, failed: 1, skipped: 1 });
  });

  it("counts a run that ended badly as a failure, whatever its report says", () => {
    expect(tally(report(file("passed", "passed")), 1)).toEqual({ passed: 1, failed: 1, skipped: 0 });
    expect(tally(undefined, 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(tally(undefined, 137)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(tally(report(), 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(tally('{"testResults":[', 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });

  it("adds up", () => {
    const counts = { passed: 1, failed: 2, skipped: 3 };
    expect(sum([counts, counts])).toEqual({ passed: 2, failed: 4, skipped: 6 });
    expect(sum([])).toEqual({ passed: 0, failed: 0, skipped: 0 });
  });
});
