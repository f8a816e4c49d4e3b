/**
 * The initiators that put the load on: each runs one kind of access against one LUN and says how many requests it
 * had answered in which time. Two are of other projects, and count only from their first request to their last; the third,
 * of this one, has what those lack: several sessions, data digests, and the time of each request.
 */

import { join } from "node:path";
import { BenchFailure } from "./failure.ts";
import type { Load, LoadResult } from "./load.ts";
import type { Workspace } from "./workspace.ts";

export interface Access {
  readonly kind: "read" | "write";
  readonly order: "random" | "sequential";
  readonly requestBytes: number;
  /** Requests in flight, of each session. */
  readonly depth: number;
  /** 1 unless given. */
  readonly sessions?: number;
}

/** How long to run: a client takes the one of the two that it can be told. */
export interface Extent {
  readonly seconds: number;
  readonly requests: number;
}

export interface Result {
  readonly requests: number;
  readonly seconds: number;
  /** What 99 of 100 requests took at most, where the client times them. */
  readonly p99Micros?: number;
  /** Requests of the session that had the fewest, by the mean of all of them, where there are several. */
  readonly slowestShare?: number;
}

export interface Client {
  readonly name: string;
  /** Logical blocks of the LUN that it is to be given. */
  readonly blockBytes: number;
  /** Whether it is told a number of requests, which then has to be found first, rather than a time. */
  readonly counts: boolean;
  can(access: Access): boolean;
  run(workspace: Workspace, url: string, access: Access, extent: Extent): Promise<Result>;
}

/** Of the write's data: not zero, which a target could leave out. */
const PATTERN = 0xa5;
/**
 * Requests from one "random" request of qemu-img to the next. It has no random access, so it strides: a prime, so that it
 * comes by every place of a volume before it comes by one again, and 0.62 of 512 MiB in blocks of 4 KiB, so that neighbours are far apart
 * in time.
 */
export const STRIDE = 81_001;
/** How much longer than asked a run may take before it counts as hung. */
const OVERTIME_FACTOR = 20;
const OVERTIME_MS = 60_000;

const deadlineMs = (seconds: number) => seconds * 1000 * OVERTIME_FACTOR + OVERTIME_MS;

export const qemuImg: Client = {
  name: "qemu-img",
  blockBytes: 512,
  counts: true,
  can: isOneSession,
  async run(workspace, url, { kind, order, requestBytes, depth }, { requests, seconds }) {
    const step = order === "random" ? STRIDE * requestBytes : requestBytes;
    const args = [
      "bench",
      "-f",
      "raw",
      "-d",
      `${depth}`,
      "-s",
      `${requestBytes}`,
      "-S",
      `${step}`,
      "-c",
      `${requests}`,
    ];
    if (kind === "write") args.push("-w", `--pattern=${PATTERN}`);
    const { stdout } = await workspace.run("qemu-img", [...args, url], deadlineMs(seconds));
    return { requests, seconds: qemuSeconds(stdout) };
  },
};

/** Reads from any logical block on, so that only with blocks of 4 KiB its requests are aligned as those of hosts are. */
export const iscsiPerf: Client = {
  name: "iscsi-perf",
  blockBytes: 4096,
  counts: false,
  can: (access) => access.kind === "read" && isOneSession(access),
  async run(workspace, url, { order, requestBytes, depth }, { seconds }) {
    const args = ["-m", `${depth}`, "-b", `${requestBytes / this.blockBytes}`, "-t", `${Math.ceil(seconds)}`];
    if (order === "random") args.unshift("-r");
    const { stdout } = await workspace.run("iscsi-perf", [...args, url], deadlineMs(seconds));
    return { requests: perfRate(stdout) * Math.ceil(seconds), seconds: Math.ceil(seconds) };
  },
};

const LOAD = join(import.meta.dirname, "load.ts");

/** A URL with this behind it has both digests. */
export const DIGESTS = "?digests";

/** Truly random, and aligned. @param volumeBytes of every LUN that it is given */
export function ownLoad(volumeBytes: number): Client {
  return {
    name: "load.ts",
    blockBytes: 4096,
    counts: false,
    can: () => true,
    async run(workspace, url, { sessions = 1, ...access }, { seconds }) {
      const { hostname: host, port, pathname, search } = new URL(url);
      const [, target, lun] = pathname.split("/");
      const place = { host, port: Number(port), target, lun: Number(lun), digests: search === DIGESTS };
      const load: Load = { ...place, ...access, sessions, volumeBytes, blockBytes: this.blockBytes, seconds };
      const { stdout } = await workspace.run(process.execPath, [LOAD, JSON.stringify(load)], deadlineMs(seconds));
      return JSON.parse(stdout) as LoadResult;
    },
  };
}

function isOneSession({ sessions = 1 }: Access): boolean {
  return sessions === 1;
}

export function qemuSeconds(stdout: string): number {
  const found = /Run completed in ([\d.]+) seconds/.exec(stdout);
  if (found === null) throw new BenchFailure(`qemu-img bench did not say how long it took:\n${stdout.trim()}`);
  return Number(found[1]);
}

/** The last average that it printed is the one of the whole run. */
export function perfRate(stdout: string): number {
  const found = [...stdout.matchAll(/iops average (\d+)/g)].at(-1);
  if (found === undefined || !stdout.includes("finished.")) {
    throw new BenchFailure(`iscsi-perf did not say its rate:\n${stdout.trim()}`);
  }
  return Number(found[1]);
}

/**
 * Writes or reads the whole volume once. By requests of 16 KiB: for longer reads QEMU asks first what is allocated, and
 * QEMU 7.2 breaks an assertion of its own doing so on a thin LUN with logical blocks of 4 KiB.
 */
export async function passOver(workspace: Workspace, url: string, kind: Access["kind"], bytes: number): Promise<void> {
  const requestBytes = 16 * 1024;
  const access: Access = { kind, order: "sequential", requestBytes, depth: 32 };
  await qemuImg.run(workspace, url, access, { seconds: OVERTIME_FACTOR, requests: bytes / requestBytes });
}
