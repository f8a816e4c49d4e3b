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
/** What is resident swings with the load and with the runtime's collections; medians of parts of the time don't. */
const PARTS = 10;
/** What the memory may have grown by since then. */
export const GROWTH_MAX = 0.1;

export interface Soak {
  readonly requests: number;
  readonly visits: number;
  /** Resident bytes, the median of each tenth of the time. In the first the runtime compiles and pools what it will. */
  readonly residentBytes: readonly number[];
}

export async function soak(workspace: Workspace, minutes: number): Promise<Soak> {
  const file = makeVolumeFile(workspace.path("soak-volume"), VOLUME_BYTES);
  const target = await PackageTarget.start(workspace, "soak", file, 4096);
  const client = ownLoad(VOLUME_BYTES);
  const end = performance.now() + minutes * 60_000;
  const samples: number[] = [];
  const sampling = setInterval(() => samples.push(residentBytes(target.pids)), SAMPLE_MS);
  let [requests, visits] = [0, 0];
  const loads = shuffledLoads();
  const visit = async (): Promise<void> => {
    while (performance.now() < end) {
      const url = Math.random() < 0.3 ? target.readUrl + DIGESTS : target.readUrl;
      const seconds = 1 + Math.random() * STAY_SECONDS_MAX;
      requests += (await client.run(workspace, url, loads.next().value, { seconds, requests: 0 })).requests;
      visits++;
    }
  };
  try {
    await Promise.all(Array.from({ length: HOSTS }, visit));
  } finally {
    clearInterval(sampling);
  }
  await target.stop();
  return { requests, visits, residentBytes: mediansOfParts(samples) };
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

/** @param samples in the order they were taken */
export function mediansOfParts(samples: readonly number[]): readonly number[] {
  if (samples.length < PARTS) throw new BenchFailure("the soak was too short to say anything.");
  const edge = (part: number) => Math.floor((samples.length * part) / PARTS);
  return Array.from({ length: PARTS }, (_, part) => median(samples.slice(edge(part), edge(part + 1))));
}

/** By what share more is resident in the last part than in the second. */
export function growthOf({ residentBytes }: Soak): number {
  return residentBytes[PARTS - 1] / residentBytes[1] - 1;
}
