/** Two targets beside each other, one row a case: rates, latencies, and what the processes used. */

import { rateOf, rateUnit } from "./cases.ts";
import { type Run, runsOf, type Series } from "./measure.ts";
import { median, medianRatio, spread } from "./statistics.ts";
import { type Column, figure, percent, table } from "./table.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

const CASE: Column<Series> = { title: "case", align: "left", text: (series) => series.case.name };
const CLIENT: Column<Series> = { title: "client", align: "left", text: ({ client }) => client };

const rates = (series: Series, target: string) =>
  runsOf(series, target).map(({ requestsPerSecond }) => rateOf(series.case.access, requestsPerSecond));
const medianOf = (series: Series, target: string, value: (run: Run) => number) =>
  median(runsOf(series, target).map(value));

/** @param ours the first of the ratio's two */
export function rateTable(all: readonly Series[], ours: string, theirs: string): string {
  const rateOfTarget = (target: string): Column<Series>[] => [
    { title: target, align: "right", text: (series) => figure(median(rates(series, target))) },
    { title: "±", align: "right", text: (series) => percent(spread(rates(series, target))) },
  ];
  const columns: readonly Column<Series>[] = [
    CASE,
    CLIENT,
    { title: "unit", align: "left", text: (series) => rateUnit(series.case.access) },
    ...rateOfTarget(ours),
    ...rateOfTarget(theirs),
    {
      title: "ratio",
      align: "right",
      text: (series) => figure(medianRatio(rates(series, ours), rates(series, theirs))),
    },
  ];
  return table(columns, all);
}

/** What the targets' processes used. */
export function costTable(all: readonly Series[], targets: readonly string[]): string {
  const columns: readonly Column<Series>[] = [
    CASE,
    CLIENT,
    ...targets.flatMap((target): Column<Series>[] => [
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
        title: "s/GiB",
        align: "right",
        text: (series) => figure(medianOf(series, target, (run) => run.cpuSeconds / gibibytesOf(series, run))),
      },
      {
        title: "peak MiB",
        align: "right",
        text: (series) => figure(medianOf(series, target, (run) => run.peakMemoryBytes) / MiB),
      },
    ]),
  ];
  return table(columns, all);
}

/** What 99 of 100 requests took at most, and the share of the slowest session, of those cases where a client tells. */
export function latencyTable(all: readonly Series[], targets: readonly string[]): string {
  const timed = all.filter(({ runs }) => runs.every(({ p99Micros }) => p99Micros !== undefined));
  const columns: readonly Column<Series>[] = [
    CASE,
    CLIENT,
    ...targets.flatMap((target): Column<Series>[] => [
      {
        title: `${target} p99 µs`,
        align: "right",
        text: (series) => figure(medianOf(series, target, ({ p99Micros = Number.NaN }) => p99Micros)),
      },
      {
        title: "slowest",
        align: "right",
        text: (series) => percent(medianOf(series, target, ({ slowestShare = Number.NaN }) => slowestShare)),
      },
    ]),
  ];
  return table(columns, timed);
}

function gibibytesOf({ case: { access } }: Series, { requests }: Run): number {
  return (requests * access.requestBytes) / GiB;
}
