/**
 * `npm run bench`: measures this target beside Debian's tgtd, the mirrored system beside a single site, and the
 * target beside the kernel's own.
 * docs/benchmarks.md says how to read it.
 */

import { writeFileSync } from "node:fs";
import { BESIDE_LIO, type Case, COMPARED, DIGESTED, MIRRORED, PACKAGE, rateOf, rateUnit } from "./cases.ts";
import { compare, OURS } from "./compare.ts";
import { costTable, latencyTable, rateTable } from "./compare-tables.ts";
import { BenchFailure } from "./failure.ts";
import type { GuestMachine } from "./guest-lines.ts";
import { guestText, lio, lioTable } from "./lio.ts";
import { describeMachine, machineText, requireTools } from "./machine.ts";
import type { Series } from "./measure.ts";
import { mirrored, mirroredTable } from "./mirrored.ts";
import { type Part, parseOptions } from "./options.ts";
import { DIGESTED_NAME, PACKAGE_NAME, PLAIN, packageBesideTgtd, packageWithDigests } from "./package.ts";
import { GROWTH_MAX, growthOf, type Soak, type SoakPart, soak } from "./soak.ts";
import { median } from "./statistics.ts";
import { figure, percent } from "./table.ts";
import { TGTD } from "./tgtd.ts";
import { Workspace } from "./workspace.ts";

/** On a disk on most machines, where /tmp may be memory. */
const DEFAULT_DIR = "/var/tmp";

const COMPARE_TEXT = `## compare: one site without legs, and tgtd

512 MiB volumes on files of one disk, filled and read through once before. antipode: array of one drive, journal on a file
of the same disk, read cache of 640 MiB; a write is durable when it is acknowledged. tgtd: reads from the page cache; writes
with --bsoflags sync. Medians of the rounds; ratio = antipode / tgtd, median of the rounds' own ratios.`;

const MIRRORED_TEXT = `## mirrored: the same writes, held by more sites

256 MiB volumes, all sites' processes on this machine and its one disk. A write is acknowledged once it is durable in the
journal of the primary and of every leg's first site.`;

const PACKAGE_TEXT = `## package: the iSCSI target by itself, and tgtd

Both over the same file of 512 MiB, which is in the page cache; a write is acknowledged once it is there (write cache on),
and brought to the disk between the runs. Ratio = package / tgtd.`;

const DIGESTS_TEXT = `## digests: the package with header and data digests, and without

The same target; ratio = with / without. The client makes its own, and checks one in sixteen of the data.`;

const LIO_TEXT = `## lio: the iSCSI target by itself, the kernel's own, and tgtd, in a guest

All over the same file of 128 MiB on ext4, which is in the page cache; a write is acknowledged once it is there, and brought to
the disk, which is in memory, between the runs. Ratio = package / the other.`;

function progress(series: Series): void {
  const { access, name } = series.case;
  const targets = [...new Set(series.runs.map(({ target }) => target))];
  const rates = targets.map((target) => {
    const rounds = series.runs.filter((run) => run.target === target);
    return `${target} ${figure(rateOf(access, median(rounds.map(({ requestsPerSecond }) => requestsPerSecond))))}`;
  });
  process.stderr.write(`${name}, ${series.client}: ${rates.join(", ")} ${rateUnit(access)}\n`);
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2), DEFAULT_DIR);
  const chosen = (part: Part, cases: readonly Case[]) =>
    options.parts.includes(part)
      ? cases.filter(({ name }) => options.only === undefined || options.only.test(`${part}: ${name}`))
      : [];
  const compared = chosen("compare", COMPARED);
  const replicated = chosen("mirrored", MIRRORED);
  const packaged = chosen("package", PACKAGE);
  const digested = chosen("digests", DIGESTED);
  const besideLio = chosen("lio", BESIDE_LIO);
  if ([compared, replicated, packaged, digested, besideLio].every((cases) => cases.length === 0)) {
    throw new BenchFailure(
      `No case of ${options.parts.join(", ")} matches ${options.only}. There are:\n${allNames().join("\n")}`,
    );
  }
  requireTools(besideLio.length > 0);
  const workspace = new Workspace(options.dir);
  try {
    if (options.soak !== undefined) {
      const soaked = await soak(workspace, options.soak);
      console.log(soakText(soaked, options.soak));
      if (growthOf(soaked) > GROWTH_MAX) throw new BenchFailure("its memory has grown.");
      return;
    }
    const machine = await describeMachine(workspace);
    const results: Record<string, readonly Series[]> = {};
    let guest: GuestMachine | undefined;
    console.log(`# Benchmark\n\n${machineText(machine)}\n${options.rounds} rounds of ${options.seconds} s each`);
    if (compared.length > 0) {
      console.log(`\n${COMPARE_TEXT}\n`);
      results.compare = await compare(workspace, compared, options, progress);
      console.log(tables(results.compare, OURS, TGTD));
    }
    if (replicated.length > 0) {
      console.log(`\n${MIRRORED_TEXT}\n`);
      results.mirrored = await mirrored(workspace, replicated, options, progress);
      console.log(mirroredTable(results.mirrored));
    }
    if (packaged.length > 0) {
      console.log(`\n${PACKAGE_TEXT}\n`);
      results.package = await packageBesideTgtd(workspace, packaged, options, progress);
      console.log(tables(results.package, PACKAGE_NAME, TGTD));
      console.log(`\nLatencies and shares:\n\n${latencyTable(results.package, [PACKAGE_NAME, TGTD])}`);
    }
    if (digested.length > 0) {
      console.log(`\n${DIGESTS_TEXT}\n`);
      results.digests = await packageWithDigests(workspace, digested, options, progress);
      console.log(tables(results.digests, DIGESTED_NAME, PLAIN));
    }
    if (besideLio.length > 0) {
      console.log(`\n${LIO_TEXT}`);
      const result = await lio(workspace, besideLio, options, (text) => console.error(text));
      results.lio = result.series;
      guest = result.machine;
      console.log(`The guest: ${guestText(guest)}\n\n${lioTable(result.series)}`);
    }
    if (options.json !== undefined) {
      const { rounds, seconds } = options;
      writeFileSync(options.json, `${JSON.stringify({ machine, guest, rounds, seconds, ...results }, undefined, 2)}\n`);
    }
  } finally {
    await workspace.close();
  }
}

function soakText(soaked: Soak, minutes: number): string {
  const { parts, visits, requests } = soaked;
  const row = (of: (part: SoakPart) => number) => parts.map((part) => figure(of(part) / (1024 * 1024))).join(" ");
  return `${minutes} minutes: ${visits} visits, ${requests} requests
MiB resident under load, by tenths of the time: ${row(({ loaded }) => loaded)}
at rest after each of them: ${row(({ resting }) => resting)}
at rest, from the first to the last: ${percent(growthOf(soaked))}`;
}

function tables(all: readonly Series[], ours: string, theirs: string): string {
  return `${rateTable(all, ours, theirs)}\n\nWhat the target's process used:\n\n${costTable(all, [ours, theirs])}`;
}

function allNames(): readonly string[] {
  const name = (part: Part) => (each: Case) => `  ${part}: ${each.name}`;
  return [
    ...COMPARED.map(name("compare")),
    ...MIRRORED.map(name("mirrored")),
    ...PACKAGE.map(name("package")),
    ...DIGESTED.map(name("digests")),
    ...BESIDE_LIO.map(name("lio")),
  ];
}

try {
  await main();
  // The measured system's own world may hold the event loop.
  process.exit();
} catch (error) {
  if (!(error instanceof BenchFailure)) throw error;
  console.error(`bench: ${error.message}`);
  process.exit(1);
}
