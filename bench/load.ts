/**
 * Sessions that keep a target busy for some seconds, as a program of its own: `bun bench/load.ts LOAD`, where LOAD is
 * JSON. It prints what came of it, as JSON too.
 */

import type { Crc32c } from "../src/iscsi/index.ts";
import { linuxWorld } from "../src/platform/linux/linux-world.ts";
import { BenchFailure } from "./failure.ts";
import { LoadSession } from "./load-session.ts";

export interface Load {
  readonly host: string;
  readonly port: number;
  /** Its iSCSI name. */
  readonly target: string;
  readonly lun: number;
  readonly volumeBytes: number;
  /** Of the LUN's logical blocks. */
  readonly blockBytes: number;
  readonly kind: "read" | "write";
  readonly order: "random" | "sequential";
  readonly requestBytes: number;
  readonly sessions: number;
  /** Requests in flight, of each session. */
  readonly depth: number;
  /** Both of them. */
  readonly digests: boolean;
  readonly seconds: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  /** Latencies of all requests, in microseconds. */
  readonly medianMicros: number;
  readonly p99Micros: number;
  /** Requests of the session that had the fewest, by the mean of all sessions. */
  readonly slowestShare: number;
}

/** Compiles what runs often, and fills what is cached, before the clock starts. */
const WARM_UP_SECONDS = 0.5;

export async function runLoad(load: Load): Promise<LoadResult> {
  const { arithmetic } = linuxWorld();
  const crc: Crc32c = (bytes, seed, start, end) => arithmetic.crc32c(bytes, seed, start, end);
  const failed = Promise.withResolvers<never>();
  const opening = Array.from({ length: load.sessions }, (_, i) => LoadSession.open(load, i, crc, failed.reject));
  const sessions = await Promise.race([Promise.all(opening), failed.promise]);
  for (const session of sessions) session.start();
  await Promise.race([Bun.sleep(WARM_UP_SECONDS * 1000), failed.promise]);
  for (const { latencies } of sessions) latencies.length = 0;
  const begun = performance.now();
  await Promise.race([Bun.sleep(load.seconds * 1000), failed.promise]);
  const seconds = (performance.now() - begun) / 1000;
  for (const session of sessions) session.stop();
  return summary(
    sessions.map(({ latencies }) => latencies),
    seconds,
  );
}

/** @param latencies of each session's requests, in microseconds */
export function summary(latencies: readonly (readonly number[])[], seconds: number): LoadResult {
  const all = Float64Array.from(latencies.flat()).sort();
  if (all.length === 0) throw new BenchFailure("no request was answered.");
  const counts = latencies.map(({ length }) => length);
  return {
    requests: all.length,
    seconds,
    medianMicros: all[Math.floor(all.length * 0.5)],
    p99Micros: all[Math.floor(all.length * 0.99)],
    slowestShare: Math.min(...counts) / (all.length / counts.length),
  };
}

if (import.meta.main) {
  try {
    console.log(JSON.stringify(await runLoad(JSON.parse(process.argv[2] ?? "{}") as Load)));
    process.exit();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}
