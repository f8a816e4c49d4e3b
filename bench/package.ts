/**
 * Part 3: the package by itself beside tgtd, over one and the same file, both through the page cache; and the package with
 * digests beside itself without.
 */

import { type Case, CLIENTS } from "./cases.ts";
import { DIGESTS, ownLoad, passOver } from "./clients.ts";
import { measure, type Pace, type Series } from "./measure.ts";
import { PackageTarget } from "./package-target.ts";
import type { Target } from "./target.ts";
import { Tgtd } from "./tgtd.ts";
import { makeVolumeFile } from "./volume-file.ts";
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
  const file = makeVolumeFile(workspace.path("package-volume"), PACKAGE_VOLUME_BYTES);
  const all: Series[] = [];
  for (const client of [...CLIENTS, ownLoad(PACKAGE_VOLUME_BYTES)]) {
    const able = cases.filter(({ access }) => client.can(access));
    if (able.length === 0) continue;
    const targets = [
      await PackageTarget.start(workspace, PACKAGE_NAME, file, client.blockBytes),
      await Tgtd.start(workspace, file, client.blockBytes, "cached"),
    ];
    await fill(workspace, targets[0]);
    for (const measured of able) {
      const series = await measure(workspace, targets, measured, client, pace);
      all.push(series);
      onSeries(series);
    }
    for (const target of targets) await target.stop();
  }
  return all.sort((a, b) => cases.indexOf(a.case) - cases.indexOf(b.case));
}

export async function packageWithDigests(
  workspace: Workspace,
  cases: readonly Case[],
  pace: Pace,
  onSeries: (series: Series) => void,
): Promise<readonly Series[]> {
  const file = makeVolumeFile(workspace.path("digests-volume"), PACKAGE_VOLUME_BYTES);
  const client = ownLoad(PACKAGE_VOLUME_BYTES);
  const target = await PackageTarget.start(workspace, "digests", file, client.blockBytes);
  await fill(workspace, target);
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

/** With what is not zero, and leaves it in the page cache. */
async function fill(workspace: Workspace, target: Target): Promise<void> {
  await passOver(workspace, target.writeUrl, "write", PACKAGE_VOLUME_BYTES);
  await target.settle();
  await passOver(workspace, target.readUrl, "read", PACKAGE_VOLUME_BYTES);
}
