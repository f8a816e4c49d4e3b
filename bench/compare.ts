/** Part 1: one site without legs beside Debian's tgtd, both over files of the same disk and neither redundant. */

import { AntipodeSystem } from "./antipode.ts";
import { type Case, CLIENTS } from "./cases.ts";
import { fill, measureAll, type Pace, type Series } from "./measure.ts";
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
  return measureAll(workspace, CLIENTS, cases, (blockBytes) => startTargets(workspace, blockBytes), pace, onSeries);
}

/** Both targets with their volumes full, and as much of them in memory as there can be. */
async function startTargets(workspace: Workspace, blockBytes: number): Promise<readonly Target[]> {
  const options = { name: OURS, volumeBytes: VOLUME_BYTES, cacheBytes: CACHE_BYTES, blockBytes, legs: [] };
  const file = makeVolumeFile(workspace.path("tgtd-volume"), VOLUME_BYTES);
  const targets = [
    await AntipodeSystem.start(workspace, options),
    await Tgtd.start(workspace, file, blockBytes, "durable"),
  ];
  for (const target of targets) await fill(workspace, target, VOLUME_BYTES);
  return targets;
}
