/**
 * The stripe log of a degraded level-5 array. A block of the missing member is defined only by the rest of its row, so a
 * torn update of that row would change it. Such an update is first logged whole, its parts on the members that get
 * them, and only then made in place; at assembly a complete one is made again, an incomplete one had not begun.
 *
 * Invariants:
 * - One batch of updates at a time: log parts durable, then in place, then flushed, and only then the next batch.
 *   So the newest update found is the only one that can be half done; parts of older ones mean nothing.
 * - What the log holds may be replayed at any time until it is overwritten or cleared. A write that does not go through
 *   the log calls `forget` before it touches a stripe that the log holds.
 * - A log is valid for the session that its array's superblock names, and never after a clean close.
 */

import { assert } from "../base/assert.ts";
import type { Pending } from "../base/block-device.ts";
import { lba } from "../base/units.ts";
import { type ArrayCore, blocks } from "./core.ts";
import {
  decodePart,
  encodePart,
  LOG_BLOCKS_MAX,
  type LogPart,
  type LogPiece,
  looksLikePart,
  PART_BYTES,
} from "./log-part.ts";
import { LOG_FIRST_BLOCK } from "./member-layout.ts";

/** Updates that were logged together. */
interface Batch {
  readonly updates: Update[];
  /** Updates that are not in place yet. */
  remaining: number;
  onPlaced: () => void;
}

interface Update {
  readonly stripe: number;
  readonly pieces: readonly LogPiece[];
  batch?: Batch;
  readonly resolve: (update: LoggedUpdate) => void;
  readonly reject: (error: unknown) => void;
}

/** Handed back to `finish`. */
export interface LoggedUpdate {
  readonly stripe: number;
}

interface Clearing {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class StripeLog {
  readonly #core: ArrayCore;
  readonly #waiting: Update[] = [];
  #clearing: Clearing[] = [];
  /** Stripes of the batches that a crash could replay, finished or not. */
  #stripes = new Set<number>();
  readonly #buffers = new Map<number, Uint8Array>();
  #running: Promise<void> | undefined;
  #nextUpdate = 1;

  constructor(core: ArrayCore) {
    this.#core = core;
  }

  /** Logs one update; resolves when it is durable and may be made in place. `finish` follows. */
  append(stripe: number, pieces: readonly LogPiece[]): Promise<LoggedUpdate> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ stripe, pieces, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** The update is in place on every usable member. */
  finish(logged: LoggedUpdate): void {
    const batch = (logged as Update).batch;
    assert(batch !== undefined && batch.remaining > 0, "finish follows append");
    batch.remaining--;
    if (batch.remaining === 0) batch.onPlaced();
  }

  /** Makes sure that a crash replays none of these stripes. Their lock is held exclusively. */
  forget(first: number, last: number): Pending {
    let holds = false;
    for (const stripe of this.#stripes) if (stripe >= first && stripe <= last) holds = true;
    if (!holds) return undefined;
    return new Promise((resolve, reject) => {
      this.#clearing.push({ resolve, reject });
      this.#running ??= this.#run();
    });
  }

  async settle(): Promise<void> {
    await this.#running;
  }

  close(): void {
    assert(this.#running === undefined, "closed after it settled");
    for (const buffer of this.#buffers.values()) this.#core.world.memory.free(buffer);
    this.#buffers.clear();
  }

  /** Never rejects: each update's own caller is told. */
  async #run(): Promise<void> {
    while (this.#clearing.length > 0 || this.#waiting.length > 0) {
      if (this.#clearing.length > 0) await this.#clear();
      else await this.#runBatch(this.#nextBatch());
    }
    this.#running = undefined;
  }

  async #clear(): Promise<void> {
    const clearing = this.#clearing;
    this.#clearing = [];
    try {
      await Promise.all(
        this.#core.members.map((member) => {
          if (!member.active) return undefined;
          const header = blocks(this.#buffer(member.slot), 0, 1);
          header.fill(0);
          return this.#writePart(member.slot, header);
        }),
      );
      await this.#core.membership.fenced();
      this.#stripes.clear();
      for (const one of clearing) one.resolve();
    } catch (error) {
      for (const one of clearing) one.reject(error);
    }
  }

  /** As many waiting updates as fit one part on each member, the oldest at least. */
  #nextBatch(): Batch {
    const taken = new Uint32Array(this.#core.members.length);
    const updates: Update[] = [];
    for (;;) {
      const update = this.#waiting[0];
      if (update === undefined || !update.pieces.every((piece) => fits(taken, piece))) break;
      for (const piece of update.pieces) taken[piece.slot] += piece.entries.length;
      updates.push(update);
      this.#waiting.shift();
    }
    assert(updates.length > 0, "one update fits a part");
    return { updates, remaining: updates.length, onPlaced: () => {} };
  }

  async #runBatch(batch: Batch): Promise<void> {
    const { membership, members } = this.#core;
    let durable = false;
    try {
      let participants = 0;
      for (const { pieces } of batch.updates) for (const { slot } of pieces) participants |= 1 << slot;
      const number = this.#nextUpdate++;
      // Until the new parts are durable a crash may still replay the batch before.
      for (const update of batch.updates) this.#stripes.add(update.stripe);
      await Promise.all(
        members.map((member) => {
          if ((participants & (1 << member.slot)) === 0) return undefined;
          return this.#writePart(member.slot, this.#encode(batch, member.slot, participants >>> 0, number));
        }),
      );
      await membership.fenced();
      durable = true;
      this.#stripes = new Set(batch.updates.map((update) => update.stripe));
      await new Promise<void>((resolve) => {
        batch.onPlaced = resolve;
        for (const update of batch.updates) {
          update.batch = batch;
          update.resolve(update);
        }
      });
      await membership.flush();
    } catch (error) {
      // After that the array serves no more, and the updates' own waits say so.
      if (!durable) for (const update of batch.updates) update.reject(error);
    }
  }

  /** A part is durable when this resolves, or the member is lost, and with it a degraded array. */
  async #writePart(slot: number, bytes: Uint8Array): Promise<void> {
    const { membership, members } = this.#core;
    const member = members[slot];
    try {
      membership.assertServing();
      await member.drive.write(lba(LOG_FIRST_BLOCK), bytes, { fua: true });
    } catch (cause) {
      member.errors.write++;
      await membership.fail(member, cause);
    }
  }

  #encode(batch: Batch, slot: number, participants: number, update: number): Uint8Array {
    const pieces = batch.updates.flatMap((one) => one.pieces.filter((piece) => piece.slot === slot));
    const { superblock } = this.#core.membership;
    return encodePart(
      { slot, participants, update, pieces },
      superblock,
      this.#buffer(slot),
      this.#core.world.arithmetic,
    );
  }

  #buffer(slot: number): Uint8Array {
    let buffer = this.#buffers.get(slot);
    if (buffer === undefined) {
      buffer = this.#core.world.memory.allocate(PART_BYTES);
      this.#buffers.set(slot, buffer);
    }
    return buffer;
  }
}

function fits(taken: Uint32Array, piece: LogPiece): boolean {
  return taken[piece.slot] + piece.entries.length <= LOG_BLOCKS_MAX;
}

/**
 * Reads the log of an array that was not closed. `use` gets what is to be made in place: nothing, unless every part of
 * the newest update is there. The pieces are valid until it resolves.
 */
export async function readLog(core: ArrayCore, use: (pieces: readonly LogPiece[]) => Promise<void>): Promise<void> {
  const usable = core.members.filter((member) => member.active);
  const buffer = core.world.memory.allocate(usable.length * PART_BYTES);
  try {
    const parts: LogPart[] = [];
    for (const [i, member] of usable.entries()) {
      const bytes = buffer.subarray(i * PART_BYTES, (i + 1) * PART_BYTES);
      try {
        await member.drive.read(lba(LOG_FIRST_BLOCK), blocks(bytes, 0, 1));
        if (!looksLikePart(bytes)) continue;
        await member.drive.read(lba(LOG_FIRST_BLOCK), bytes);
      } catch {
        member.errors.read++;
        continue;
      }
      const part = decodePart(bytes, member.slot, core.membership.superblock, core.world.arithmetic);
      if (part !== undefined) parts.push(part);
    }
    const newest = Math.max(0, ...parts.map((part) => part.update));
    const complete = parts.filter((part) => part.update === newest);
    let present = 0;
    for (const part of complete) present |= 1 << part.slot;
    if (complete.length === 0 || complete.some((part) => part.participants !== present >>> 0)) return use([]);
    await use(complete.flatMap((part) => part.pieces));
  } finally {
    core.world.memory.free(buffer);
  }
}
