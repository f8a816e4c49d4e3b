/**
 * What the commands of a unit were, and how long they took.
 *
 * A command is counted once, when its status is handed to the output, from the data event that brought it on: so what it
 * waited for in the target is in it, and the network is not. Nothing is ever reset.
 *
 * Invariants: counting allocates nothing and costs one reading of the clock, which whoever counts takes; the buckets are
 * the same in every release, so that what was collected from several can be added up.
 */

import type { CommandStatistics, LatencyHistogram } from "./events.ts";

/** Bucket i has what took less than 2^i µs, and no less than the bucket before; the last has all that took longer. */
const BUCKETS = 28;
const LAST = BUCKETS - 1;
const US_PER_MS = 1000;

/** What each bucket's commands took less than, in milliseconds. */
export const LATENCY_BOUNDS_MS: readonly number[] = Array.from({ length: BUCKETS }, (_, at) =>
  at === LAST ? Number.POSITIVE_INFINITY : 2 ** at / US_PER_MS,
);

export const CommandKind = { Read: 0, Write: 1, Other: 2 } as const;

class LatencyCounter {
  readonly #buckets = new Float64Array(BUCKETS);
  #totalMs = 0;
  #longestMs = 0;

  add(ms: number): void {
    const us = ms * US_PER_MS;
    // The number of bits of a whole number: it is what the buckets double by.
    const bucket = us < 2 ** (LAST - 1) ? 32 - Math.clz32(us) : LAST;
    this.#buckets[bucket]++;
    this.#totalMs += ms;
    if (ms > this.#longestMs) this.#longestMs = ms;
  }

  take(from: LatencyCounter): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.#buckets[bucket] += from.#buckets[bucket];
    this.#totalMs += from.#totalMs;
    this.#longestMs = Math.max(this.#longestMs, from.#longestMs);
  }

  snapshot(): LatencyHistogram {
    const buckets = [...this.#buckets];
    const commands = buckets.reduce((sum, one) => sum + one, 0);
    return { buckets, commands, totalMs: this.#totalMs, longestMs: this.#longestMs };
  }
}

export class CommandCounter {
  readonly #latencies = [new LatencyCounter(), new LatencyCounter(), new LatencyCounter()] as const;
  #depth = 0;
  #deepest = 0;
  bytesRead = 0;
  bytesWritten = 0;
  failed = 0;
  refused = 0;
  aborted = 0;
  /** Commands that the unit's device failed. */
  readErrors = 0;
  writeErrors = 0;

  begun(): void {
    this.#depth++;
    if (this.#depth > this.#deepest) this.#deepest = this.#depth;
  }

  /** @param kind one of `CommandKind` */
  answered(kind: 0 | 1 | 2, ms: number): void {
    this.#latencies[kind].add(ms);
  }

  /** It is over, whether it was answered or not. */
  ended(): void {
    this.#depth--;
  }

  deviceFailed(writing: boolean): void {
    if (writing) this.writeErrors++;
    else this.readErrors++;
  }

  /** Adds what another has counted. */
  take(from: CommandCounter): void {
    for (const kind of Object.values(CommandKind)) this.#latencies[kind].take(from.#latencies[kind]);
    this.#depth += from.#depth;
    this.#deepest = Math.max(this.#deepest, from.#deepest);
    this.bytesRead += from.bytesRead;
    this.bytesWritten += from.bytesWritten;
    this.failed += from.failed;
    this.refused += from.refused;
    this.aborted += from.aborted;
    this.readErrors += from.readErrors;
    this.writeErrors += from.writeErrors;
  }

  snapshot(): CommandStatistics {
    const [reads, writes, others] = this.#latencies;
    return {
      reads: reads.snapshot(),
      writes: writes.snapshot(),
      others: others.snapshot(),
      bytesRead: this.bytesRead,
      bytesWritten: this.bytesWritten,
      depth: this.#depth,
      deepest: this.#deepest,
      failed: this.failed,
      refused: this.refused,
      aborted: this.aborted,
      deviceErrors: this.readErrors + this.writeErrors,
    };
  }
}

/**
 * What the given share of the commands took at most, in milliseconds: the bound of their bucket, or the longest if that is
 * less; `undefined` where there was no command.
 */
export function latencyOf({ buckets, commands, longestMs }: LatencyHistogram, share: number): number | undefined {
  if (commands === 0) return undefined;
  let left = share * commands;
  const bucket = buckets.findIndex((count) => {
    left -= count;
    return left <= 0 && count > 0;
  });
  return Math.min(LATENCY_BOUNDS_MS[bucket] ?? Number.POSITIVE_INFINITY, longestMs);
}
