/**
 * Part 3: the package by itself beside tgtd, over one and the same file, both through the page cache; and the package with
 * digests beside itself without.
 */

import { type Case, CLIENTS } from "./cases.ts";
import { DIGESTS, ownLoad } from "./clients.ts";
import { fill, measure, measureAll, type Pace, type Series } from "./measure.ts";
import { PackageTarget } from "./package-target.ts";
import type { Target } from "./target.ts";
import { Tgtd } from "./tgtd.ts";
import { makeCachedVolumeFile } from "./volume-file.ts";
import type { Workspace } from "./workspace.ts";

const MiB = 1024 * 1024;
export const PACKAGE_VOLUME_BYTES = 512 * MiB;
export const PACKAGE_NAME = "package";
export const PLAIN = "no digests";
export const DIGESTED_NAME = "both digests";

export async function packageBesideTgtd(
  workspace: Workspace,
  cases: readonly Case[],
  pace: Pace,
  onSeries: (series: Series) => void,
): Promise<readonly Series[]> {
  const file = makeCachedVolumeFile(workspace.path("package-volume"), PACKAGE_VOLUME_BYTES);
  const start = async (blockBytes: number) => {
    const targets = [
      await PackageTarget.start(workspace, PACKAGE_NAME, file, blockBytes),
      await Tgtd.start(workspace, file, blockBytes, "cached"),
    ];
    await fill(workspace, targets[0], PACKAGE_VOLUME_BYTES);
    return targets;
  };
  const clients = [...CLIENTS, ownLoad(PACKAGE_VOLUME_BYTES)];
  return measureAll(workspace, clients, cases, start, pace, onSeries);
}

export async function packageWithDigests(
  workspace: Workspace,
  cases: readonly Case[],
  pace: Pace,
  onSeries: (series: Series) => void,
): Promise<readonly Series[]> {
  const file = makeCachedVolumeFile(workspace.path("digests-volume"), PACKAGE_VOLUME_BYTES);
  const client = ownLoad(PACKAGE_VOLUME_BYTES);
  const target = await PackageTarget.start(workspace, "digests", file, client.blockBytes);
  await fill(workspace, target, PACKAGE_VOLUME_BYTES);
  const settle = () => target.settle();
  const { pids } = target;
  const url = target.readUrl;
  const sides: readonly Target[] = [
    { name: DIGESTED_NAME, readUrl: url + DIGESTS, writeUrl: url + DIGESTS, pids, settle, stop: settle },
    { name: PLAIN, readUrl: url, writeUrl: url, pids, settle, stop: settle },
  ];
  const all: Series[] = [];
  for (const measured of cases) {
    const series = await measure(workspace, sides, measured, client, pace);
    all.push(series);
    onSeries(series);
  }
  await target.stop();
  return all;
}
