/**
 * One case measured on several targets in turn: A B A B, for some rounds. The targets all run all the time, the ones
 * that are not measured idle; before each run the last one's has settled.
 */

import type { Case } from "./cases.ts";
import { type Client, type Extent, passOver } from "./clients.ts";
import type { Target } from "./target.ts";
import { cpuSeconds, peakMemoryBytes, resetPeakMemory } from "./usage.ts";
import type { Workspace } from "./workspace.ts";

/** One run of one client against one target. */
export interface Run {
  readonly target: string;
  readonly round: number;
  readonly requests: number;
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly p99Micros?: number;
  readonly slowestShare?: number;
  /** Of the target's processes, from the first request until the target has settled after the last. */
  readonly cpuSeconds: number;
  readonly peakMemoryBytes: number;
}

export interface Series {
  readonly case: Case;
  readonly client: string;
  readonly runs: readonly Run[];
}

export interface Pace {
  readonly rounds: number;
  /** What one run is to take. */
  readonly seconds: number;
}

/** A first run that is shorter says too little about the rate. */
const CALIBRATION_SECONDS = 0.3;
const CALIBRATION_GROWTH_MAX = 32;

export async function measure(
  workspace: Workspace,
  targets: readonly Target[],
  measured: Case,
  client: Client,
  pace: Pace,
  onRun: (run: Run) => void = () => {},
): Promise<Series> {
  const extents = new Map<Target, Extent>();
  for (const target of targets) extents.set(target, await calibrate(workspace, target, measured, client, pace.seconds));
  const runs: Run[] = [];
  for (let round = 1; round <= pace.rounds; round++) {
    for (const [target, extent] of extents) {
      const run = await runOnce(workspace, target, measured, client, extent, round);
      runs.push(run);
      onRun(run);
    }
  }
  return { case: measured, client: client.name, runs };
}

/**
 * Each case with each client that can run it, in the order of the cases.
 *
 * @param start the targets for a client's logical blocks; they are stopped again
 */
export async function measureAll(
  workspace: Workspace,
  clients: readonly Client[],
  cases: readonly Case[],
  start: (blockBytes: number) => Promise<readonly Target[]>,
  pace: Pace,
  onSeries: (series: Series) => void,
): Promise<readonly Series[]> {
  const all: Series[] = [];
  for (const client of clients) {
    const able = cases.filter(({ access }) => client.can(access));
    if (able.length === 0) continue;
    const targets = await start(client.blockBytes);
    for (const measured of able) {
      const series = await measure(workspace, targets, measured, client, pace);
      all.push(series);
      onSeries(series);
    }
    for (const target of targets) await target.stop();
  }
  return all.sort((a, b) => cases.indexOf(a.case) - cases.indexOf(b.case));
}

export function runsOf({ runs }: Series, target: string): readonly Run[] {
  return runs.filter((run) => run.target === target);
}

/** Finds how many requests take about `seconds`, which also warms the target up. */
async function calibrate(
  workspace: Workspace,
  target: Target,
  { access }: Case,
  client: Client,
  seconds: number,
): Promise<Extent> {
  if (!client.counts) return { seconds, requests: 0 };
  let requests = access.depth * 4;
  for (;;) {
    const result = await client.run(workspace, urlOf(target, access.kind), access, { seconds, requests });
    const enough = Math.min(CALIBRATION_SECONDS, seconds);
    // A run too short for the client's clock is taken as one of a millisecond.
    const rate = requests / Math.max(result.seconds, 0.001);
    if (result.seconds >= enough) {
      await target.settle();
      return { seconds, requests: Math.max(access.depth, Math.round(rate * seconds)) };
    }
    requests = Math.ceil(Math.min(requests * CALIBRATION_GROWTH_MAX, Math.max(requests * 2, rate * enough * 1.2)));
  }
}

async function runOnce(
  workspace: Workspace,
  target: Target,
  { access }: Case,
  client: Client,
  extent: Extent,
  round: number,
): Promise<Run> {
  await target.settle();
  resetPeakMemory(target.pids);
  const cpuBefore = cpuSeconds(target.pids);
  const result = await client.run(workspace, urlOf(target, access.kind), access, extent);
  await target.settle();
  return {
    target: target.name,
    round,
    ...result,
    requestsPerSecond: result.requests / result.seconds,
    cpuSeconds: cpuSeconds(target.pids) - cpuBefore,
    peakMemoryBytes: peakMemoryBytes(target.pids),
  };
}

function urlOf(target: Target, kind: "read" | "write"): string {
  return kind === "read" ? target.readUrl : target.writeUrl;
}

/** Writes the whole volume, with what is not zero, and leaves as much of it in memory as there can be. */
export async function fill(workspace: Workspace, target: Target, volumeBytes: number): Promise<void> {
  await passOver(workspace, target.readUrl, "write", volumeBytes);
  await target.settle();
  await passOver(workspace, target.readUrl, "read", volumeBytes);
}
