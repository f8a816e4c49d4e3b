/**
 * Hosts that come, load the package with this and that, and go, for as long as is asked: and whether its memory stays what
 * it was after the first minutes.
 */

import { type Access, DIGESTS, ownLoad } from "./clients.ts";
import { BenchFailure } from "./failure.ts";
import { PackageTarget } from "./package-target.ts";
import { median } from "./statistics.ts";
import { residentBytes } from "./usage.ts";
import { makeVolumeFile } from "./volume-file.ts";
import type { Workspace } from "./workspace.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const VOLUME_BYTES = 256 * MiB;
const HOSTS = 3;
const STAY_SECONDS_MAX = 8;
const SAMPLE_MS = 1000;
/** Parts of the time, each followed by a rest without any host. */
const PARTS = 10;
const REST_MS = 10_000;
/** What is resident at rest may have grown by since the end of the first part, in which the runtime compiles and pools what it will. */
export const GROWTH_MAX = 0.1;

export interface Soak {
  readonly requests: number;
  readonly visits: number;
  readonly parts: readonly SoakPart[];
}

/** Resident bytes. */
export interface SoakPart {
  /** The median of a sample each second: it swings with the load and with the runtime's collections. */
  readonly loaded: number;
  /** The least of the rest after it. */
  readonly resting: number;
}

export async function soak(workspace: Workspace, minutes: number): Promise<Soak> {
  const file = makeVolumeFile(workspace.path("soak-volume"), VOLUME_BYTES);
  const target = await PackageTarget.start(workspace, "soak", file, 4096);
  const client = ownLoad(VOLUME_BYTES);
  const loads = shuffledLoads();
  let [requests, visits] = [0, 0];
  const visitUntil = async (end: number): Promise<void> => {
    while (performance.now() < end) {
      const url = Math.random() < 0.3 ? target.readUrl + DIGESTS : target.readUrl;
      const seconds = 1 + Math.random() * STAY_SECONDS_MAX;
      const visit = client.run(workspace, url, loads.next().value, { seconds, requests: 0 });
      requests += (await visit.catch(withLog)).requests;
      visits++;
    }
  };
  /** What is resident each second until something is over. */
  const residentDuring = async (over: Promise<unknown>): Promise<readonly number[]> => {
    const samples = [residentBytes(target.pids)];
    const sampling = setInterval(() => samples.push(residentBytes(target.pids)), SAMPLE_MS);
    await over.finally(() => clearInterval(sampling));
    return samples;
  };
  const withLog = (error: unknown): never => {
    target.daemon.assertRunning();
    throw new BenchFailure(`${error}\nThe end of the target's log:\n${target.daemon.logEnd()}`);
  };
  const parts: SoakPart[] = [];
  while (parts.length < PARTS) {
    const end = performance.now() + (minutes * 60_000) / PARTS;
    const loaded = await residentDuring(Promise.all(Array.from({ length: HOSTS }, () => visitUntil(end))));
    const resting = await residentDuring(Bun.sleep(REST_MS));
    parts.push({ loaded: median(loaded), resting: Math.min(...resting) });
  }
  await target.stop();
  return { requests, visits, parts };
}

/** By what share more is resident at rest at the end than was after the first part. */
export function growthOf({ parts }: Soak): number {
  return parts[parts.length - 1].resting / parts[0].resting - 1;
}

const LOADS: readonly Access[] = (["read", "write"] as const).flatMap((kind) =>
  (["random", "sequential"] as const).flatMap((order) =>
    [4 * KiB, 16 * KiB, 64 * KiB, MiB].flatMap((requestBytes) =>
      [1, 4, 32].flatMap((sessions) =>
        [1, requestBytes === MiB ? 8 : 32].map((depth) => ({ kind, order, requestBytes, sessions, depth })),
      ),
    ),
  ),
);

/** Each load once, in an order drawn anew, and again: a round is about three minutes, so that any three minutes are much alike. */
function* shuffledLoads(): Generator<Access, never> {
  for (;;) {
    const left = [...LOADS];
    while (left.length > 0) yield* left.splice(Math.floor(Math.random() * left.length), 1);
  }
}
