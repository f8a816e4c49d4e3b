/**
 * Where two sites' logs part. A site's log is told by its epochs, each from its start position on, and its last
 * position; two logs agree up to the end of the last epoch that both have from the same start.
 * Comparing last positions alone is not enough: an old primary may have gone on in an epoch that nobody else kept.
 */

import { type Epoch, epoch, type Sequence, sequence } from "../base/units.ts";
import type { EpochStart } from "../journal/journal.ts";

export interface LogPosition {
  /** The epoch that the site has promised: it refuses every lower one. */
  readonly promised: Epoch;
  readonly lastEpoch: Epoch;
  readonly appended: Sequence;
  /** Everything up to here has left the journal, or never was in it. */
  readonly retired: Sequence;
  /** Everything up to here is known to be at every in-sync site: it can not be cut. */
  readonly committed: Sequence;
  /** Oldest first. */
  readonly history: readonly EpochStart[];
}

type Log = Pick<LogPosition, "appended" | "history">;

function endOf(log: Log, index: number): Sequence {
  const next = log.history[index + 1];
  return next === undefined ? log.appended : sequence(next.start - 1);
}

/** The last sequence that both logs hold, with the same content. 0 where they share nothing that is on record. */
export function sharedPoint(a: Log, b: Log): Sequence {
  for (let i = a.history.length - 1; i >= 0; i--) {
    const j = b.history.findIndex((entry) => entry.epoch === a.history[i].epoch && entry.start === a.history[i].start);
    if (j >= 0) return sequence(Math.min(endOf(a, i), endOf(b, j)));
  }
  return sequence(0);
}

/** The epoch in which the request at `at` was made, as far as the history reaches; 0 where it does not. */
export function epochAt(history: readonly EpochStart[], at: Sequence): Epoch {
  for (let i = history.length - 1; i >= 0; i--) {
    if (history[i].start <= at) return history[i].epoch;
  }
  return epoch(0);
}

/** Whether `a` is further than `b`: by epoch first, then by sequence. */
export function isAhead(a: LogPosition, b: LogPosition): boolean {
  return a.lastEpoch !== b.lastEpoch ? a.lastEpoch > b.lastEpoch : a.appended > b.appended;
}
