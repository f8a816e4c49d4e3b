/** Part 1: one site without legs beside Debian's tgtd, both over files of the same disk and neither redundant. */

import { AntipodeSystem } from "./antipode.ts";
import { type Case, CLIENTS } from "./cases.ts";
import { passOver } from "./clients.ts";
import { measure, type Pace, type Series } from "./measure.ts";
import type { Target } from "./target.ts";
import { Tgtd } from "./tgtd.ts";
import { makeVolumeFile } from "./volume-file.ts";
import type { Workspace } from "./workspace.ts";

const MiB = 1024 * 1024;
export const OURS = "antipode";
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
  const file = makeVolumeFile(workspace.path("tgtd-volume"), VOLUME_BYTES);
  const targets = [
    await AntipodeSystem.start(workspace, options),
    await Tgtd.start(workspace, file, blockBytes, "durable"),
  ];
  for (const target of targets) {
    await passOver(workspace, target.readUrl, "write", VOLUME_BYTES);
    await target.settle();
    await passOver(workspace, target.readUrl, "read", VOLUME_BYTES);
  }
  return targets;
}
