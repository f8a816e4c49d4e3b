/**
 * Part 4: the package by itself beside LIO, the target in the Linux kernel, and tgtd. All three run in a guest of Debian's
 * kernel, since few machines have the kernel's target loaded, and none of it should be left on one.
 *
 * All of them go through the page cache, over one file on ext4, as on most machines (tmpfs has no reads that do not wait), on a
 * disk in memory: what a disk takes would be the same for all three, and pull every ratio towards 1.
 */

import { type Case, rateOf, rateUnit } from "./cases.ts";
import { iscsiPerf, qemuImg } from "./clients.ts";
import { type GuestMachine, type GuestPlan, type GuestResult, resultOf } from "./guest-lines.ts";
import { runGuest } from "./guest-machine.ts";
import { makeGuestSystem } from "./guest-system.ts";
import { LIO } from "./lio-target.ts";
import { type Pace, runsOf, type Series } from "./measure.ts";
import { PACKAGE_NAME } from "./package.ts";
import { median, medianRatio, spread } from "./statistics.ts";
import { type Column, figure, percent, table } from "./table.ts";
import { TGTD } from "./tgtd.ts";
import type { Workspace } from "./workspace.ts";

const MiB = 1024 * 1024;
const VOLUME_BYTES = 128 * MiB;
/**
 * Between two lines of the guest: more than filling and reading the volumes takes on a busy machine. A client that hangs
 * is ended in the guest, and told by it, before that.
 */
const SILENCE_MS = 600_000;
/** How many times as long as asked a run may take beside. */
const SILENCE_RUNS = 30;

const OURS = PACKAGE_NAME;
const OTHERS = [LIO, TGTD];

export async function lio(
  workspace: Workspace,
  cases: readonly Case[],
  { rounds, seconds }: Pace,
  onProgress: (text: string) => void,
): Promise<GuestResult> {
  const plan = planOf(cases, { rounds, seconds });
  const files = makeGuestSystem(workspace.folder("guest"), plan);
  const silenceMs = SILENCE_MS + SILENCE_RUNS * seconds * 1000;
  const lines = await runGuest(workspace, files, silenceMs, (line) => {
    if (line.kind === "machine") onProgress(`the guest is up: ${guestText(line.machine)}`);
    if (line.kind === "run") {
      const { case: measured, client } = plan.series[line.series];
      const { target, round, requestsPerSecond } = line.run;
      onProgress(`${measured.name}, ${client}, round ${round}: ${target} ${figure(requestsPerSecond)}`);
    }
  });
  return resultOf(plan, [OURS, ...OTHERS], lines);
}

/** Reads are measured with iscsi-perf; it can't write, so qemu-img does. */
export function planOf(cases: readonly Case[], { rounds, seconds }: Pace): GuestPlan {
  const series = cases.map((each) => ({
    case: each,
    client: (iscsiPerf.can(each.access) ? iscsiPerf : qemuImg).name,
  }));
  return { rounds, seconds, volumeBytes: VOLUME_BYTES, series };
}

export function guestText({ processor, cores, memoryMiB, kernel, bun }: GuestMachine): string {
  return `Linux ${kernel}, ${cores} processors (${processor}), ${memoryMiB} MiB of memory, Bun ${bun}`;
}

const rates = (series: Series, target: string) =>
  runsOf(series, target).map(({ requestsPerSecond }) => rateOf(series.case.access, requestsPerSecond));

const COLUMNS: readonly Column<Series>[] = [
  { title: "case", align: "left", text: (series) => series.case.name },
  { title: "client", align: "left", text: ({ client }) => client },
  { title: "unit", align: "left", text: (series) => rateUnit(series.case.access) },
  ...[OURS, ...OTHERS].flatMap((target): Column<Series>[] => [
    { title: target, align: "right", text: (series) => figure(median(rates(series, target))) },
    { title: "±", align: "right", text: (series) => percent(spread(rates(series, target))) },
  ]),
  ...OTHERS.map(
    (target): Column<Series> => ({
      title: `ratio to ${target}`,
      align: "right",
      text: (series) => figure(medianRatio(rates(series, OURS), rates(series, target))),
    }),
  ),
];

export function lioTable(all: readonly Series[]): string {
  return table(COLUMNS, all);
}
