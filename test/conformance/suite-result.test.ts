/** Holds that a run of iscsi-test-cu can fail: the gate on it is only as good as what is read from its output. */

import { describe, expect, it } from "vitest";
import { parseSuite, surprises } from "./suite-result.ts";

const OUTPUT = `    [SKIPPED] PERSISTENT RESERVE IN is not implemented.

Suite: Read10
  Test: Simple ...passed
  Test: BeyondEol ...    [SKIPPED] READ10 is not implemented.
passed    [SKIPPED] PERSISTENT RESERVE IN is not implemented.

Suite: iSCSIdatasn
  Test: iSCSIDataSnInvalid ...    [FAILED] WRITE10 command failed with status 251658241
passed    [SKIPPED] PERSISTENT RESERVE IN is not implemented.

Suite: Unmap
  Test: Simple ...FAILED
    1. test_unmap_simple.c:135  - CU_FAIL("[FAILED] UNMAP")

Run Summary:    Type  Total    Ran Passed Failed Inactive
              suites      3      3    n/a      0        0
               tests      4      4      3      1        0
`;

describe("the output of iscsi-test-cu", () => {
  it("is read test by test, with what is skipped apart", () => {
    const { outcomes, total, ran, failedSuites } = parseSuite(OUTPUT);
    expect([...outcomes].map(([test, { outcome }]) => `${test} ${outcome}`)).toEqual([
      "Read10.Simple passed",
      "Read10.BeyondEol skipped",
      "iSCSIdatasn.iSCSIDataSnInvalid passed",
      "Unmap.Simple failed",
    ]);
    expect({ total, ran, failedSuites }).toEqual({ total: 4, ran: 4, failedSuites: 0 });
  });

  it("takes a test for skipped that says so only in a log of all that it does", () => {
    const logged = OUTPUT.replace(
      "  Test: Simple ...passed\n",
      "  Test: Simple ...\n    Test READ10 of 1-256 blocks\n    [OK] READ10 returned SUCCESS.\n" +
        "    [SKIPPED] LUN is not removable. Skipping test.\npassed    Send PRIN/READ_KEYS\n",
    );
    const { outcome, said } = parseSuite(logged).outcomes.get("Read10.Simple") ?? {};
    expect([outcome, said]).toEqual(["skipped", "[SKIPPED] LUN is not removable. Skipping test."]);
  });

  it("counts a test that the run did not come to the end of as failed", () => {
    const cut = OUTPUT.replace("  Test: Simple ...FAILED\n", "  Test: Simple ...\n").replace("CU_FAIL", "");
    expect(parseSuite(cut).outcomes.get("Unmap.Simple")?.outcome).toBe("failed");
  });

  it("without a summary is an error", () => {
    expect(() => parseSuite(OUTPUT.slice(0, OUTPUT.indexOf("Run Summary")))).toThrow("no summary");
  });

  const result = parseSuite(OUTPUT);
  const failures = { "Unmap.Simple": "known" };
  const skips = { "Read10.BeyondEol": "known" };
  it.each([
    ["as expected", { failures, skips }, []],
    ["with an unexpected failure", { failures: {}, skips }, ["Unmap.Simple failed, expected passed"]],
    ["with an unexpected skip", { failures, skips: {} }, ["Read10.BeyondEol skipped, expected passed: [SKIPPED]"]],
    [
      "with an expected failure that passes",
      { failures: { ...failures, "Read10.Simple": "was" }, skips },
      ["Read10.Simple passed, expected failed"],
    ],
    [
      "with an expected skip that passes",
      { failures, skips: { "Read10.*": "all" } },
      ["Read10.Simple passed, expected skipped"],
    ],
    [
      "with an expectation of no test",
      { failures, skips: { ...skips, "Gone.*": "x" } },
      ["Gone.* is expected, but there is no such test"],
    ],
  ])("is judged %s", (_how, expectations, expected) => {
    const found = surprises(result, expectations);
    expect(found).toHaveLength(expected.length);
    for (const [at, text] of expected.entries()) expect(found[at]).toContain(text);
  });
});
