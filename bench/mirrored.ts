/**
 * Part 2: what a write costs that other sites hold too. The same writes to a primary with no leg, with two remote
 * mirror sites, and with one leg of two relay points and a remote mirror site; all processes share this machine.
 */

import { AntipodeSystem } from "./antipode.ts";
import { type Case, rateOf, rateUnit } from "./cases.ts";
import { passOver, qemuImg } from "./clients.ts";
import { measure, type Pace, runsOf, type Series } from "./measure.ts";
import type { Leg } from "./sites.ts";
import { median, medianRatio, spread } from "./statistics.ts";
import { type Column, figure, percent, table } from "./table.ts";
import type { Workspace } from "./workspace.ts";

const MiB = 1024 * 1024;
export const MIRRORED_VOLUME_BYTES = 256 * MiB;
/** Writes only, so a small one. */
export const MIRRORED_CACHE_BYTES = 32 * MiB;

const NO_LEG = "no leg";
const SYSTEMS: readonly { readonly name: string; readonly legs: readonly Leg[] }[] = [
  { name: NO_LEG, legs: [] },
  { name: "two mirror sites", legs: [["first"], ["second"]] },
  { name: "relay, relay, mirror", legs: [["near", "far", "end"]] },
];

export async function mirrored(
  workspace: Workspace,
  cases: readonly Case[],
  pace: Pace,
  onSeries: (series: Series) => void,
): Promise<readonly Series[]> {
  const options = {
    volumeBytes: MIRRORED_VOLUME_BYTES,
    cacheBytes: MIRRORED_CACHE_BYTES,
    blockBytes: qemuImg.blockBytes,
  };
  const targets: AntipodeSystem[] = [];
  for (const system of SYSTEMS) targets.push(await AntipodeSystem.start(workspace, { ...options, ...system }));
  for (const target of targets) {
    await passOver(workspace, target.writeUrl, "write", MIRRORED_VOLUME_BYTES);
    await target.settle();
  }
  const all: Series[] = [];
  for (const measured of cases) {
    const series = await measure(workspace, targets, measured, qemuImg, pace);
    all.push(series);
    onSeries(series);
  }
  await Promise.all(targets.map((target) => target.stop()));
  return all;
}

interface Row {
  readonly series: Series;
  readonly system: string;
}

const rates = ({ runs, case: { access } }: Series, system: string) =>
  runs.filter(({ target }) => target === system).map((run) => rateOf(access, run.requestsPerSecond));
const cpu = ({ series, system }: Row, value: (run: Series["runs"][number]) => number) =>
  figure(median(runsOf(series, system).map(value)));

const COLUMNS: readonly Column<Row>[] = [
  { title: "case", align: "left", text: ({ series }) => series.case.name },
  { title: "system", align: "left", text: ({ system }) => system },
  { title: "unit", align: "left", text: ({ series }) => rateUnit(series.case.access) },
  { title: "rate", align: "right", text: ({ series, system }) => figure(median(rates(series, system))) },
  { title: "±", align: "right", text: ({ series, system }) => percent(spread(rates(series, system))) },
  {
    title: "ratio to no leg",
    align: "right",
    text: ({ series, system }) => figure(medianRatio(rates(series, system), rates(series, NO_LEG))),
  },
  { title: "CPU s, all sites", align: "right", text: (row) => cpu(row, (run) => run.cpuSeconds) },
  { title: "µs/request", align: "right", text: (row) => cpu(row, (run) => (run.cpuSeconds / run.requests) * 1e6) },
];

export function mirroredTable(all: readonly Series[]): string {
  const rows = all.flatMap((series) => SYSTEMS.map(({ name }): Row => ({ series, system: name })));
  return table(COLUMNS, rows);
}
