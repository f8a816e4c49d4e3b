/**
 * Hosts that come, load the package with this and that, and go, for as long as is asked: and whether its memory stays what
 * it was after the first minutes.
 */

import { DIGESTS, ownLoad } from "./clients.ts";
import { BenchFailure } from "./failure.ts";
import { PackageTarget } from "./package-target.ts";
import { median } from "./statistics.ts";
import { residentBytes } from "./usage.ts";
import { makeVolumeFile } from "./volume-file.ts";
import type { Workspace } from "./workspace.ts";

const MiB = 1024 * 1024;
const VOLUME_BYTES = 256 * MiB;
const HOSTS = 3;
const STAY_SECONDS_MAX = 8;
const SAMPLE_MS = 1000;
/** What the runtime needs to have compiled and pooled all that it will: of half an hour the first three minutes. */
const SETTLED_SHARE = 0.1;
/** What is resident swings with the load and with the runtime's collections; medians over this share of the time don't. */
const WINDOW_SHARE = 0.1;
/** What the memory may have grown by since then. */
export const GROWTH_MAX = 0.1;

export interface Soak {
  readonly requests: number;
  readonly visits: number;
  /** Resident bytes, medians over a tenth of the time each: after the first tenth, and at the end. */
  readonly settledBytes: number;
  readonly finalBytes: number;
  /** One for each second. */
  readonly samples: readonly number[];
}

export async function soak(workspace: Workspace, minutes: number): Promise<Soak> {
  const file = makeVolumeFile(workspace.path("soak-volume"), VOLUME_BYTES);
  const target = await PackageTarget.start(workspace, "soak", file, 4096);
  const client = ownLoad(VOLUME_BYTES);
  const end = performance.now() + minutes * 60_000;
  const samples: number[] = [];
  const sampling = setInterval(() => samples.push(residentBytes(target.pids)), SAMPLE_MS);
  let [requests, visits] = [0, 0];
  const visit = async (): Promise<void> => {
    while (performance.now() < end) {
      const load = drawLoad();
      const url = Math.random() < 0.3 ? target.readUrl + DIGESTS : target.readUrl;
      const seconds = 1 + Math.random() * STAY_SECONDS_MAX;
      requests += (await client.run(workspace, url, load, { seconds, requests: 0 })).requests;
      visits++;
    }
  };
  try {
    await Promise.all(Array.from({ length: HOSTS }, visit));
  } finally {
    clearInterval(sampling);
  }
  await target.stop();
  return { requests, visits, samples, ...growth(samples) };
}

function drawLoad() {
  const requestBytes = pick([4096, 4096, 16 * 1024, 64 * 1024, MiB]);
  return {
    kind: pick(["read", "write"] as const),
    order: pick(["random", "sequential"] as const),
    requestBytes,
    depth: requestBytes === MiB ? pick([1, 4, 8]) : pick([1, 8, 32]),
    sessions: pick([1, 1, 4, 32]),
  };
}

function pick<T>(from: readonly T[]): T {
  return from[Math.floor(Math.random() * from.length)];
}

/** @param samples in the order they were taken */
export function growth(samples: readonly number[]): Pick<Soak, "settledBytes" | "finalBytes"> {
  if (samples.length < 10) throw new BenchFailure("the soak was too short to say anything.");
  const width = Math.floor(samples.length * WINDOW_SHARE);
  const settled = Math.floor(samples.length * SETTLED_SHARE);
  return {
    settledBytes: median(samples.slice(settled, settled + width)),
    finalBytes: median(samples.slice(-width)),
  };
}
