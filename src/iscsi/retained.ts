/**
 * What a connection has answered and its initiator has not acknowledged by ExpStatSN, to be sent again when a SNACK asks
 * for it; with it the tasks whose data may have to be sent again (RFC 7143 section 7.2.3).
 *
 * Invariants: entries are in the order of StatSN without a gap; there are at most RETAINED_STATUSES_MAX of
 * RETAINED_STATUS_BYTES_MAX together, and the oldest go first.
 */

import { RETAINED_STATUS_BYTES_MAX, RETAINED_STATUSES_MAX } from "./limits.ts";
import { before } from "./pdu.ts";
import type { Task } from "./task.ts";

export interface RetainedStatus {
  readonly statSN: number;
  /** Header and data, without digests and padding. */
  readonly bytes: Uint8Array;
  /** The task that ended so, unless it goes on elsewhere. */
  task: Task | undefined;
}

export class RetainedStatuses {
  #entries: RetainedStatus[] = [];
  #bytes = 0;
  readonly #release: (task: Task) => void;

  /** @param release takes back a task that is no longer needed */
  constructor(release: (task: Task) => void) {
    this.#release = release;
  }

  keep(entry: RetainedStatus): void {
    this.#entries.push(entry);
    this.#bytes += entry.bytes.length;
    while (this.#entries.length > RETAINED_STATUSES_MAX || this.#bytes > RETAINED_STATUS_BYTES_MAX) this.#forgetFirst();
  }

  /** Forgets what comes before `expStatSN`. */
  acknowledge(expStatSN: number): void {
    while (this.#entries.length > 0 && before(this.#entries[0].statSN, expStatSN)) this.#forgetFirst();
  }

  /** @returns `count` entries from `statSN` on, or all of them if it is 0; `undefined` if not all of these are here */
  run(statSN: number, count: number): readonly RetainedStatus[] | undefined {
    if (statSN === 0 && count === 0) return this.#entries;
    const first = this.#entries.findIndex((entry) => entry.statSN === statSN);
    if (first < 0 || first + count > this.#entries.length) return undefined;
    return this.#entries.slice(first, count === 0 ? undefined : first + count);
  }

  /** The task of this tag that has ended and is not acknowledged. */
  task(initiatorTaskTag: number): Task | undefined {
    return this.#entries.findLast(({ task }) => task?.initiatorTaskTag === initiatorTaskTag)?.task;
  }

  /** How a task has ended: the answer's header and data, which may still be changed. */
  answerOf(task: Task): Uint8Array | undefined {
    return this.#entries.findLast((entry) => entry.task === task)?.bytes;
  }

  /** A task goes on: it is no longer held for its status. */
  letGo(task: Task): void {
    for (const entry of this.#entries) if (entry.task === task) entry.task = undefined;
    task.retained = false;
  }

  clear(): void {
    while (this.#entries.length > 0) this.#forgetFirst();
  }

  #forgetFirst(): void {
    const entry = this.#entries.shift();
    if (entry === undefined) return;
    this.#bytes -= entry.bytes.length;
    if (entry.task !== undefined) this.#release(entry.task);
  }
}
