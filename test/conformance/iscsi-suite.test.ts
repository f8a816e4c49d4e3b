/** The whole of libiscsi's conformance suite, with its destructive tests, against volumes of every kind. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { EXPECTED, EXPECTED_4096, EXPECTED_OF_FILE, EXPECTED_OF_SANITIZE } from "./expected.ts";
import { tool } from "./initiator.ts";
import { alone, IQN, mirrorSite, put, urlOf, withLegs } from "./sites.ts";
import { type Expectations, parseSuite, type SuiteResult, surprises } from "./suite-result.ts";
import { freePorts, type Running, Workbench } from "./workbench.ts";

const FILE_SERVER = join(import.meta.dirname, "file-server.ts");
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
  "ALL.ExtendedCopy",
  "ALL.ReceiveCopyResults",
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
  // Without the log of all that it does, some tests are skipped in silence.
  const args = ["--dataloss", "--verbose", "--Verbose-scsi", ...more, `--test=${tests}`, url, url];
  const { text } = await bench.run("iscsi-test-cu", args, { deadlineMs: SUITE_DEADLINE_MS });
  return parseSuite(text);
}

async function expectWhole(bench: Workbench, url: string, expected: Expectations): Promise<void> {
  const result = await runSuite(bench, url, "ALL");
  expect(surprises(result, expected)).toEqual([]);
  expect(result.outcomes.size).toBe(result.total);
  expect(result.ran).toBe(result.total);
  expect(result.failedSuites).toBe(0);
  const count = (wanted: string) => [...result.outcomes.values()].filter(({ outcome }) => outcome === wanted).length;
  console.log(
    `iscsi-test-cu: ${result.total} tests, ${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`,
  );
}

/** Exports a file by the package alone. @param options see `file-server.ts` @returns the LUN's address */
async function serveFile(bench: Workbench, mib: number, ...options: readonly string[]): Promise<string> {
  const [port] = await freePorts(1);
  const file = bench.path("volume");
  writeFileSync(file, new Uint8Array(mib * 1024 * 1024));
  const server = bench.start(process.execPath, [FILE_SERVER, file, `${port}`, IQN, ...options]);
  await server.says("up");
  return urlOf(port);
}

async function expectStopsInOrder(site: Running): Promise<void> {
  expect(await site.stop()).toBe(0);
  expect(site.text).not.toContain("a bug stopped");
}

/** A test with a workbench of its own: several run side by side, since the suite waits more than it works. */
const inWorkbench = (test: (bench: Workbench) => Promise<void>) => async () => {
  const bench = new Workbench();
  try {
    await test(bench);
  } finally {
    await bench.close();
  }
};

describe.concurrent("iscsi-test-cu passes, fails and skips what it is expected to", () => {
  it(
    "of a plain file that is a removable medium, by the package alone",
    { timeout: TIMEOUT },
    inWorkbench(async (bench) => {
      const url = await serveFile(bench, VOLUME_MIB, "removable");
      await expectWhole(bench, url, EXPECTED_OF_FILE);
    }),
  );

  it(
    "of a volume on an array of level 5",
    { timeout: TIMEOUT },
    inWorkbench(async (bench) => {
      const [port] = await freePorts(1);
      const config = alone({ port, volumeMiB: VOLUME_MIB, journalMiB: 64, level: 5, drives: 4 });
      const site = await bench.serve(put(bench, config));
      await expectWhole(bench, urlOf(port), EXPECTED);
      await expectStopsInOrder(site);
    }),
  );

  it(
    "of a mirrored volume",
    { timeout: TIMEOUT },
    inWorkbench(async (bench) => {
      const [port, boulder, pueblo] = await freePorts(3);
      const size = { volumeMiB: VOLUME_MIB, journalMiB: 64 };
      for (const [name, linkPort] of Object.entries({ boulder, pueblo })) {
        await bench.serve(put(bench, mirrorSite({ ...size, name, port: linkPort }, "alone")));
      }
      const site = await bench.serve(put(bench, withLegs({ ...size, port }, { boulder, pueblo })));
      await expectWhole(bench, urlOf(port), EXPECTED);
      await expectStopsInOrder(site);
    }),
  );

  it(
    "of LUNs that are write-protected, by whoever exports them and by a host",
    { timeout: TIMEOUT },
    inWorkbench(async (bench) => {
      const [port] = await freePorts(1);
      const site = await bench.serve(put(bench, alone({ port, volumeMiB: 8 })));
      await tool(bench, "iscsi-swp", "--swp=on", urlOf(port));
      for (const url of [await serveFile(bench, 8, "readOnly"), urlOf(port)]) {
        const result = await runSuite(bench, url, "ALL.ReadOnly");
        expect(surprises(result, { failures: {}, skips: {} })).toEqual([]);
        expect(result.outcomes.size).toBe(1);
      }
      await expectStopsInOrder(site);
    }),
  );

  it(
    "of a LUN that is emptied by SANITIZE",
    { timeout: TIMEOUT },
    inWorkbench(async (bench) => {
      const [port] = await freePorts(1);
      const site = await bench.serve(put(bench, alone({ port, volumeMiB: 8 })));
      const result = await runSuite(bench, urlOf(port), "ALL.Sanitize", "--allow-sanitize");
      expect(surprises(result, EXPECTED_OF_SANITIZE)).toEqual([]);
      await expectStopsInOrder(site);
    }),
  );

  it(
    "of blocks of 4096 bytes",
    { timeout: TIMEOUT },
    inWorkbench(async (bench) => {
      const [port] = await freePorts(1);
      const site = await bench.serve(
        put(bench, alone({ port, volumeMiB: VOLUME_MIB, journalMiB: 64, blockSize: 4096 })),
      );
      for (const tests of SUITES_4096) {
        const result = await runSuite(bench, urlOf(port), tests);
        const name = tests.slice(tests.indexOf(".") + 1);
        const of = (table: Readonly<Record<string, string>>) =>
          Object.fromEntries(Object.entries(table).filter(([key]) => key.startsWith(`${name}.`)));
        const expected = { failures: of(EXPECTED_4096.failures), skips: of(EXPECTED_4096.skips) };
        expect(surprises(result, expected), tests).toEqual([]);
        expect(result.outcomes.size, tests).toBeGreaterThan(0);
      }
      await expectStopsInOrder(site);
    }),
  );
});
