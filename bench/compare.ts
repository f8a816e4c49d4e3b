/** Part 1: one site without legs beside Debian's tgtd, both over files of the same disk and neither redundant. */

import { AntipodeSystem } from "./antipode.ts";
import { type Case, CLIENTS, rateOf, rateUnit } from "./cases.ts";
import { passOver } from "./clients.ts";
import { measure, type Pace, type Run, runsOf, type Series } from "./measure.ts";
import { median, medianRatio, spread } from "./statistics.ts";
import { type Column, figure, percent, table } from "./table.ts";
import type { Target } from "./target.ts";
import { Tgtd } from "./tgtd.ts";
import type { Workspace } from "./workspace.ts";

const MiB = 1024 * 1024;
export const OURS = "antipode";
export const THEIRS = "tgtd";
export const VOLUME_BYTES = 512 * MiB;
/** Holds the volume and then some, as the page cache does for tgtd. */
export const CACHE_BYTES = 640 * MiB;

export async function compare(
  workspace: Workspace,
  cases: readonly Case[],
  pace: Pace,
  onSeries: (series: Series) => void,
): Promise<readonly Series[]> {
  const all: Series[] = [];
  for (const client of CLIENTS) {
    const able = cases.filter(({ access }) => client.can(access));
    if (able.length === 0) continue;
    const targets = await startTargets(workspace, client.blockBytes);
    for (const measured of able) {
      const series = await measure(workspace, targets, measured, client, pace);
      all.push(series);
      onSeries(series);
    }
    for (const target of targets) await target.stop();
  }
  return all.sort((a, b) => cases.indexOf(a.case) - cases.indexOf(b.case));
}

/** Both targets with their volumes full, and as much of them in memory as there can be. */
async function startTargets(workspace: Workspace, blockBytes: number): Promise<readonly Target[]> {
  const options = { name: OURS, volumeBytes: VOLUME_BYTES, cacheBytes: CACHE_BYTES, blockBytes, legs: [] };
  const targets = [
    await AntipodeSystem.start(workspace, options),
    await Tgtd.start(workspace, VOLUME_BYTES, blockBytes),
  ];
  for (const target of targets) {
    await passOver(workspace, target.readUrl, "write", VOLUME_BYTES);
    await target.settle();
    await passOver(workspace, target.readUrl, "read", VOLUME_BYTES);
  }
  return targets;
}

const rate = (series: Series, target: string) =>
  runsOf(series, target).map(({ requestsPerSecond }) => rateOf(series.case.access, requestsPerSecond));
const medianOf = (series: Series, target: string, value: (run: Run) => number) =>
  median(runsOf(series, target).map(value));

const RATE_COLUMNS: readonly Column<Series>[] = [
  { title: "case", align: "left", text: (series) => series.case.name },
  { title: "client", align: "left", text: ({ client }) => client },
  { title: "unit", align: "left", text: (series) => rateUnit(series.case.access) },
  { title: OURS, align: "right", text: (series) => figure(median(rate(series, OURS))) },
  { title: "±", align: "right", text: (series) => percent(spread(rate(series, OURS))) },
  { title: THEIRS, align: "right", text: (series) => figure(median(rate(series, THEIRS))) },
  { title: "±", align: "right", text: (series) => percent(spread(rate(series, THEIRS))) },
  { title: "ratio", align: "right", text: (series) => figure(medianRatio(rate(series, OURS), rate(series, THEIRS))) },
];

const COST_COLUMNS: readonly Column<Series>[] = [
  RATE_COLUMNS[0],
  RATE_COLUMNS[1],
  ...[OURS, THEIRS].flatMap((target): Column<Series>[] => [
    {
      title: `${target} CPU s`,
      align: "right",
      text: (series) => figure(medianOf(series, target, (run) => run.cpuSeconds)),
    },
    {
      title: "µs/request",
      align: "right",
      text: (series) => figure(medianOf(series, target, (run) => (run.cpuSeconds / run.requests) * 1e6)),
    },
    {
      title: "peak MiB",
      align: "right",
      text: (series) => figure(medianOf(series, target, (run) => run.peakMemoryBytes) / MiB),
    },
  ]),
];

export function compareTables(all: readonly Series[]): string {
  return `${table(RATE_COLUMNS, all)}\n\nWhat the target's process used:\n\n${table(COST_COLUMNS, all)}`;
}
