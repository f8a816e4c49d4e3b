/**
 * The checksum blocks of an array that are in memory, in a fixed number of frames.
 *
 * Whoever uses a frame pins it; changed entries reach the drive by `commit` before it is unpinned, so that an unpinned
 * frame is always equal to its block and can be reused at once. One write of a frame is on its way at a time: commits
 * that come meanwhile are done together by the next one, and a drive never sees two writes of one block out of order.
 */

import { AssertionError, assert } from "../base/assert.ts";
import type { Pending } from "../base/block-device.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import type { Memory } from "../platform/memory.ts";
import { BufferPool } from "./buffer-pool.ts";
import { UNKNOWN } from "./checksum.ts";

/** Frames that are allocated together. */
const SLAB_FRAMES = 64;
/** Checksum blocks on their way to the drives at once. */
const WRITES_MAX = 128;

export interface Frame {
  readonly bytes: Uint8Array;
  /** The same memory: one entry for each data block of the zone, see checksum.ts. */
  readonly entries: Uint32Array;
  slot: number;
  zone: number;
  pins: number;
  /** Used since the clock hand passed last. */
  recent: boolean;
  loading?: Promise<Frame>;
  writing?: Promise<void>;
  following?: Promise<void>;
  followingFua: boolean;
}

/** How the cache reaches a member's checksum blocks. */
export interface ChecksumBlocks {
  read(slot: number, zone: number, into: Uint8Array): Pending;
  write(slot: number, zone: number, from: Uint8Array, fua: boolean): Pending;
  /** A block could not be read, and its entries count as unknown. */
  onUnreadable(slot: number, zone: number): void;
}

export class ChecksumCache {
  readonly #memory: Memory;
  readonly #blocks: ChecksumBlocks;
  readonly #zones: number;
  readonly #limit: number;
  readonly #frames: Frame[] = [];
  readonly #slabs: Uint8Array[] = [];
  readonly #index = new Map<number, Frame>();
  /** Copies that are on their way to a drive, so that entries can change meanwhile. */
  readonly #copies: BufferPool;
  #hand = 0;

  constructor(memory: Memory, blocks: ChecksumBlocks, zones: number, frames: number) {
    this.#memory = memory;
    this.#blocks = blocks;
    this.#zones = zones;
    this.#limit = frames;
    this.#copies = new BufferPool(memory, BLOCK_BYTES, WRITES_MAX);
  }

  /** The frame of a member's zone; never rejects. `unpin` follows. */
  pin(slot: number, zone: number): Frame | Promise<Frame> {
    const key = slot * this.#zones + zone;
    const found = this.#index.get(key);
    if (found !== undefined) {
      found.pins++;
      found.recent = true;
      return found.loading ?? found;
    }
    const frame = this.#victim();
    frame.slot = slot;
    frame.zone = zone;
    frame.pins = 1;
    frame.recent = true;
    this.#index.set(key, frame);
    frame.loading = this.#load(frame);
    return frame.loading;
  }

  unpin(frame: Frame): void {
    assert(frame.pins > 0, "unpin follows pin");
    frame.pins--;
  }

  /** Writes the frame's entries as they are now, or newer ones. Rejects as the drive does. */
  commit(frame: Frame, fua: boolean): Promise<void> {
    assert(frame.pins > 0, "only a pinned frame is written");
    if (frame.writing === undefined) {
      frame.writing = this.#write(frame, fua);
      return frame.writing;
    }
    if (fua) frame.followingFua = true;
    frame.following ??= this.#follow(frame, frame.writing);
    return frame.following;
  }

  /** Another drive takes a slot's place, and nobody uses the slot: nothing that is known of it is true any more. */
  forget(slot: number): void {
    for (const frame of this.#frames) {
      if (frame.slot !== slot) continue;
      assert(frame.pins === 0 && frame.loading === undefined && frame.writing === undefined, "nobody uses the slot");
      this.#index.delete(frame.slot * this.#zones + frame.zone);
      frame.slot = -1;
    }
  }

  close(): void {
    for (const slab of this.#slabs) this.#memory.free(slab);
    this.#slabs.length = 0;
    this.#frames.length = 0;
    this.#index.clear();
    this.#copies.close();
  }

  async #load(frame: Frame): Promise<Frame> {
    try {
      await this.#blocks.read(frame.slot, frame.zone, frame.bytes);
    } catch {
      frame.entries.fill(UNKNOWN);
      this.#blocks.onUnreadable(frame.slot, frame.zone);
    }
    frame.loading = undefined;
    return frame;
  }

  async #follow(frame: Frame, before: Promise<void>): Promise<void> {
    try {
      await before;
    } catch {
      // Its own waiters are told; this write stands for itself.
    }
    const fua = frame.followingFua;
    frame.followingFua = false;
    frame.following = undefined;
    frame.writing = this.#write(frame, fua);
    return frame.writing;
  }

  async #write(frame: Frame, fua: boolean): Promise<void> {
    const copy = await this.#copies.take();
    try {
      copy.set(frame.bytes);
      await this.#blocks.write(frame.slot, frame.zone, copy, fua);
    } finally {
      this.#copies.give(copy);
      if (frame.following === undefined) frame.writing = undefined;
    }
  }

  /** A frame that nobody uses, by the clock algorithm. The array's gate sees to it that there is one. */
  #victim(): Frame {
    if (this.#frames.length < this.#limit && this.#index.size === this.#frames.length) this.#grow();
    for (let step = 0; step < 2 * this.#frames.length; step++) {
      const frame = this.#frames[this.#hand];
      this.#hand = (this.#hand + 1) % this.#frames.length;
      if (frame.pins > 0 || frame.loading !== undefined || frame.writing !== undefined) continue;
      if (frame.recent) {
        frame.recent = false;
        continue;
      }
      if (frame.slot >= 0) this.#index.delete(frame.slot * this.#zones + frame.zone);
      return frame;
    }
    throw new AssertionError("every checksum frame is in use: the gate is wider than the cache");
  }

  #grow(): void {
    const count = Math.min(SLAB_FRAMES, this.#limit - this.#frames.length);
    const slab = this.#memory.allocate(count * BLOCK_BYTES);
    this.#slabs.push(slab);
    this.#hand = this.#frames.length;
    for (let at = 0; at < count * BLOCK_BYTES; at += BLOCK_BYTES) {
      const bytes = slab.subarray(at, at + BLOCK_BYTES);
      this.#frames.push({
        bytes,
        entries: new Uint32Array(bytes.buffer, bytes.byteOffset, BLOCK_BYTES / 4),
        slot: -1,
        zone: -1,
        pins: 0,
        recent: false,
        followingFua: false,
      });
    }
  }
}
