/**
 * Fills a new member of an array with what belongs on it, while the array serves.
 *
 * Rows below the checkpoint (`Member.rebuilt`) are complete on the new member and durable, the superblocks say so, and
 * they are read and written as any others. Rows above it lack the member: they are degraded, whatever was
 * copied of them already. So a crash finds the new member used exactly as far as the superblocks say.
 *
 * Between the checkpoint and the place where the copying is, host writes do not reach the new member; their stripes are
 * copied again before the next checkpoint. One run is copied at a time, under the lock of its stripes, shared: hosts
 * read on, and their writes to these stripes wait for that run only.
 */

import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/operating-error.ts";
import type { ArrayCore, Level } from "./core.ts";
import type { Gate } from "./gate.ts";
import type { Member } from "./member.ts";
import { ZONE_DATA_BLOCKS } from "./member-layout.ts";
import type { RangeLock } from "./range-lock.ts";

/** Blocks of each member that are copied, or looked at by a scrub, at once; a whole number of stripes in one zone. */
export const RUN_BLOCKS = 256;
/** Blocks of the member that are copied between two checkpoints: 256 MiB. */
export const CHECKPOINT_BLOCKS = 65_536;

export class Rebuild {
  readonly #core: ArrayCore;
  readonly #level: Level;
  readonly #lock: RangeLock;
  readonly #gate: Gate;
  readonly #member: Member;
  readonly #total: number;
  readonly #checkpointBlocks: number;
  readonly #runBlocks: number;
  readonly #done: Promise<void>;
  /** Blocks below it are copied, though not all that were written since. */
  #copied: number;
  /** Stripes above the checkpoint that were written after they were copied. */
  readonly #again = new Set<number>();
  #unreadable = 0;
  #stopped = false;

  /** Begins at once. The array is not `recovering`: rows that a crash may have left torn are nothing to copy from. */
  constructor(parts: {
    core: ArrayCore;
    level: Level;
    lock: RangeLock;
    gate: Gate;
    member: Member;
    total: number;
    checkpointBlocks: number;
  }) {
    this.#core = parts.core;
    this.#level = parts.level;
    this.#lock = parts.lock;
    this.#gate = parts.gate;
    this.#member = parts.member;
    this.#total = parts.total;
    const { chunkBlocks } = parts.core.geometry;
    this.#checkpointBlocks = parts.checkpointBlocks;
    this.#runBlocks = Math.max(chunkBlocks, Math.min(RUN_BLOCKS, parts.checkpointBlocks));
    assert(ZONE_DATA_BLOCKS % this.#runBlocks === 0, "runs are whole stripes, and fill zones");
    this.#copied = parts.member.rebuilt;
    this.#done = this.#run();
  }

  /** These stripes are about to be written; their lock is held. */
  touch(first: number, last: number): void {
    const { chunkBlocks } = this.#core.geometry;
    const from = Math.max(first, this.#member.rebuilt / chunkBlocks);
    for (let stripe = from; stripe <= last && stripe * chunkBlocks < this.#copied; stripe++) this.#again.add(stripe);
  }

  /** Ends it where it is; the next assembly goes on from the last checkpoint. */
  stop(): Promise<void> {
    this.#stopped = true;
    return this.#done;
  }

  async #run(): Promise<void> {
    const { membership } = this.#core;
    const { slot, path } = this.#member;
    this.#core.emit({ kind: "rebuild-started", slot, path, row: this.#member.rebuilt });
    try {
      // A crash may have come between a checkpoint and what follows it.
      await this.#complete(0);
      let since = 0;
      while (this.#going && this.#member.rebuilt < this.#total) {
        if (await this.#copyRun()) since += this.#runBlocks;
        const due = since + this.#again.size * this.#core.geometry.chunkBlocks;
        if (due < this.#checkpointBlocks && this.#copied < this.#total) continue;
        const from = this.#member.rebuilt;
        await this.#copyAgain();
        await this.#locked(from, this.#copied, () => this.#checkpoint());
        await this.#complete(from);
        since = 0;
      }
      if (this.#going) await membership.complete();
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      this.#core.emit({ kind: "rebuild-failed", slot, path, reason: error.what });
      return;
    }
    if (this.#member.active) {
      this.#core.emit({ kind: "rebuild-finished", slot, path, unreadable: this.#unreadable });
    } else if (!this.#member.attached) {
      this.#core.emit({ kind: "rebuild-failed", slot, path, reason: `Drive ${path} failed.` });
    }
  }

  get #going(): boolean {
    return !this.#stopped && this.#member.attached;
  }

  /** @returns whether there was anything to copy */
  async #copyRun(): Promise<boolean> {
    let empty = true;
    const first = this.#copied;
    const count = Math.min(this.#runBlocks - (first % this.#runBlocks), this.#total - first);
    await this.#locked(first, first + count, async () => {
      if (!this.#going) return;
      const rebuilt = await this.#level.rebuild(this.#member, first, count);
      empty = rebuilt.empty;
      this.#unreadable += rebuilt.unreadable;
      this.#copied = first + count;
    });
    return !empty;
  }

  /** What hosts write meanwhile is left for the checkpoint, which they have to wait for. */
  async #copyAgain(): Promise<void> {
    const { chunkBlocks } = this.#core.geometry;
    for (const stripe of [...this.#again]) {
      const index = stripe * chunkBlocks;
      await this.#locked(index, index + chunkBlocks, () => this.#copyStripe(stripe));
    }
  }

  async #copyStripe(stripe: number): Promise<void> {
    if (!this.#going) return;
    const { chunkBlocks } = this.#core.geometry;
    this.#again.delete(stripe);
    await this.#level.rebuild(this.#member, stripe * chunkBlocks, chunkBlocks);
  }

  async #checkpoint(): Promise<void> {
    const { membership } = this.#core;
    for (const stripe of [...this.#again]) await this.#copyStripe(stripe);
    if (this.#going) await membership.flush();
    if (this.#going) await membership.advance(this.#copied);
  }

  /** Sees to the rows from there to the checkpoint. */
  async #complete(from: number): Promise<void> {
    const to = this.#member.rebuilt;
    for (let index = from; index < to && this.#going; ) {
      const count = Math.min(to - index, ZONE_DATA_BLOCKS - (index % ZONE_DATA_BLOCKS));
      const first = index;
      await this.#locked(first, first + count, () => this.#level.complete(first, count));
      index += count;
    }
  }

  /** Runs something while nobody writes to the stripes of the blocks `[from, to)`. */
  async #locked(from: number, to: number, run: () => Promise<void>): Promise<void> {
    const { chunkBlocks } = this.#core.geometry;
    await this.#gate.enter();
    try {
      this.#core.membership.assertServing();
      const held = await this.#lock.acquire(from / chunkBlocks, to / chunkBlocks - 1, false);
      try {
        await run();
      } finally {
        this.#lock.release(held);
      }
    } finally {
      this.#gate.leave();
    }
  }
}
