/** The whole of libiscsi's conformance suite, with its destructive tests, against one site over files. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXPECTED, EXPECTED_OF_SANITIZE, EXPECTED_SKIPS_4096 } from "./expected.ts";
import { alone, put, urlOf } from "./sites.ts";
import { parseSuite, type SuiteResult, surprises } from "./suite-result.ts";
import { freePorts, type Running, Workbench } from "./workbench.ts";

/** The volume's size: some tests address blocks that far in. */
const VOLUME_MIB = 64;
/** Suites that are run again with blocks of 4096 bytes: those in which the block's size matters most. */
const SUITES_4096 = [
  "ALL.Inquiry",
  "ALL.ReadCapacity10",
  "ALL.ReadCapacity16",
  "ALL.Read6",
  "ALL.Read10",
  "ALL.Read16",
  "ALL.Write10",
  "ALL.Write16",
  "ALL.Verify10",
  "ALL.Verify16",
  "ALL.WriteSame10",
  "ALL.WriteSame16",
  "ALL.CompareAndWrite",
  "ALL.GetLBAStatus",
  "ALL.OrWrite",
  "ALL.WriteAtomic16",
  "ALL.WriteVerify16",
  "ALL.iSCSIResiduals",
];

/** All of it takes a minute; the machine may be busy with much else. */
const SUITE_DEADLINE_MS = 235_000;
const TIMEOUT = 240_000;

/** The LUN's address is given twice for the tests of two paths. */
async function runSuite(bench: Workbench, url: string, tests: string, ...more: string[]): Promise<SuiteResult> {
  const args = ["--dataloss", "--verbose", ...more, `--test=${tests}`, url, url];
  const { text } = await bench.run("iscsi-test-cu", args, { deadlineMs: SUITE_DEADLINE_MS });
  return parseSuite(text);
}

describe.each([512, 4096] as const)("iscsi-test-cu with blocks of %i bytes", (blockSize) => {
  let bench: Workbench;
  let site: Running;
  let url: string;

  beforeAll(async () => {
    bench = new Workbench();
    const [port] = await freePorts(1);
    url = urlOf(port);
    site = await bench.serve(put(bench, alone({ port, volumeMiB: VOLUME_MIB, journalMiB: 64, blockSize })));
  });
  afterAll(() => bench.close());

  const run = (tests: string): Promise<SuiteResult> => runSuite(bench, url, tests);

  if (blockSize === 512) {
    it("passes, fails and skips what it is expected to", { timeout: TIMEOUT }, async () => {
      const result = await run("ALL");
      expect(surprises(result, EXPECTED)).toEqual([]);
      expect(result.outcomes.size).toBe(result.total);
      expect(result.ran).toBe(result.total);
      expect(result.failedSuites).toBe(0);
      const count = (wanted: string) =>
        [...result.outcomes.values()].filter(({ outcome }) => outcome === wanted).length;
      console.log(
        `iscsi-test-cu: ${result.total} tests, ${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`,
      );
    });
  } else {
    it.each(SUITES_4096)("passes %s", { timeout: TIMEOUT }, async (tests) => {
      const result = await run(tests);
      const name = tests.slice(tests.indexOf(".") + 1);
      const known = Object.entries({ ...EXPECTED.skips, ...EXPECTED_SKIPS_4096 });
      const skips = Object.fromEntries(known.filter(([key]) => key.startsWith(`${name}.`)));
      expect(surprises(result, { failures: {}, skips })).toEqual([]);
      expect(result.outcomes.size).toBeGreaterThan(0);
    });
  }

  it("leaves a site that stops in order", async () => {
    expect(await site.stop()).toBe(0);
    expect(site.text).not.toContain("a bug stopped");
  });
});

describe("iscsi-test-cu with SANITIZE allowed", () => {
  let bench: Workbench;

  beforeAll(() => {
    bench = new Workbench();
  });
  afterAll(() => bench.close());

  it("passes, fails and skips what it is expected to", { timeout: TIMEOUT }, async () => {
    const [port] = await freePorts(1);
    const site = await bench.serve(put(bench, alone({ port, volumeMiB: 8 })));
    const result = await runSuite(bench, urlOf(port), "ALL.Sanitize", "--allow-sanitize");
    expect(surprises(result, EXPECTED_OF_SANITIZE)).toEqual([]);
    expect(await site.stop()).toBe(0);
  });
});
