/**
 * The clean read cache: blocks of 4 KiB of any volume in one fixed pool of memory, evicted by CLOCK (second chance).
 *
 * Invariants: it holds nothing that the layers below do not hold too, so that any block may be dropped at any time;
 * a block that it serves is never older than the last `update` or `invalidate` of it. The second is what fills are
 * for: a read from below that was overtaken by a write must not put the old content back.
 */

import { assert } from "../base/assert.ts";
import { BLOCK_BYTES, type Lba, type VolumeId } from "../base/units.ts";
import type { World } from "../platform/world.ts";
import { BlockIndex } from "./block-index.ts";

/** Fills that are watched at once; what is read beyond that is not cached. */
export const FILLS_MAX = 4096;

/** A read from below whose blocks are to be cached when it is done. End or abandon each one. */
export interface Fill {
  readonly volume: VolumeId;
  readonly lba: Lba;
  readonly blocks: number;
}

class WatchedFill implements Fill {
  /** A one for each block that was written or invalidated meanwhile; most fills never need it. */
  overtaken: Uint8Array | undefined;
  /** Its place in the list of open fills; -1 when it is not watched. */
  place: number;

  constructor(
    readonly volume: VolumeId,
    readonly lba: Lba,
    readonly blocks: number,
    place: number,
  ) {
    this.place = place;
  }
}

export class ReadCache {
  readonly #world: Pick<World, "memory">;
  readonly #slots: number;
  readonly #pool: Uint8Array;
  /** The pool again: copying out of a Buffer makes no view, which would cost as much as copying the block. */
  readonly #source: Buffer;
  readonly #index: BlockIndex;
  readonly #volumes: Uint16Array;
  readonly #lbas: Float64Array;
  /** What is in each slot: 0 nothing, 1 a block, 2 a block that was read since the hand passed. */
  readonly #uses: Uint8Array;
  readonly #fills: WatchedFill[] = [];
  #hand = 0;
  #hits = 0;
  #misses = 0;

  /** @param budgetBytes memory for the blocks' content; the index adds less than two percent */
  constructor(world: Pick<World, "memory">, budgetBytes: number) {
    this.#world = world;
    this.#slots = Math.floor(budgetBytes / BLOCK_BYTES);
    assert(this.#slots > 0, `a read cache of ${budgetBytes} bytes holds no block`);
    this.#pool = world.memory.allocate(this.#slots * BLOCK_BYTES);
    this.#source = Buffer.from(this.#pool.buffer, this.#pool.byteOffset, this.#pool.length);
    this.#index = new BlockIndex(this.#slots);
    this.#volumes = new Uint16Array(this.#slots);
    this.#lbas = new Float64Array(this.#slots);
    this.#uses = new Uint8Array(this.#slots);
  }

  /** Blocks that `readRun` served. */
  get hits(): number {
    return this.#hits;
  }

  /** Blocks that had to be filled. */
  get misses(): number {
    return this.#misses;
  }

  /** Blocks that are cached now. */
  get blocks(): number {
    return this.#index.size;
  }

  get capacityBlocks(): number {
    return this.#slots;
  }

  /**
   * Copies the leading run of cached blocks.
   *
   * @returns the length of that run, 0 to `blocks`
   */
  readRun(volume: VolumeId, lba: Lba, blocks: number, into: Uint8Array): number {
    let done = 0;
    while (done < blocks) {
      const first = this.#index.get(volume, toBlock(lba, done));
      if (first < 0) break;
      let adjacent = 1;
      this.#uses[first] = 2;
      while (done + adjacent < blocks && this.#index.get(volume, toBlock(lba, done + adjacent)) === first + adjacent) {
        this.#uses[first + adjacent] = 2;
        adjacent++;
      }
      const from = first * BLOCK_BYTES;
      this.#source.copy(into, done * BLOCK_BYTES, from, from + adjacent * BLOCK_BYTES);
      done += adjacent;
    }
    this.#hits += done;
    return done;
  }

  /** @returns the length of the leading run of blocks that are not cached, 0 to `blocks` */
  missRun(volume: VolumeId, lba: Lba, blocks: number): number {
    let missing = 0;
    while (missing < blocks && this.#index.get(volume, toBlock(lba, missing)) < 0) missing++;
    return missing;
  }

  /** A write: these blocks' content from now on, whether they were cached or not. */
  update(volume: VolumeId, lba: Lba, data: Uint8Array): void {
    assert(data.length % BLOCK_BYTES === 0, `update of ${data.length} bytes is not whole blocks`);
    const blocks = data.length / BLOCK_BYTES;
    this.#overtake(volume, lba, blocks);
    this.#put(volume, lba, blocks, data, undefined, true);
  }

  /** Call before the read from below starts. */
  beginFill(volume: VolumeId, lba: Lba, blocks: number): Fill {
    this.#misses += blocks;
    const watched = this.#fills.length < FILLS_MAX;
    const fill = new WatchedFill(volume, lba, blocks, watched ? this.#fills.length : -1);
    if (watched) this.#fills.push(fill);
    return fill;
  }

  /** Caches the fill's blocks, without those that were written or invalidated since it began. */
  endFill(fill: Fill, data: Uint8Array): void {
    assert(data.length === fill.blocks * BLOCK_BYTES, `fill of ${fill.blocks} blocks ended with ${data.length} bytes`);
    assert(fill instanceof WatchedFill, "a fill comes from beginFill");
    if (!this.#close(fill)) return;
    this.#put(fill.volume, fill.lba, fill.blocks, data, fill.overtaken, false);
  }

  /** The read from below failed or was given up. */
  abandonFill(fill: Fill): void {
    assert(fill instanceof WatchedFill, "a fill comes from beginFill");
    this.#close(fill);
  }

  /** These blocks have changed below, or are no longer needed. */
  invalidate(volume: VolumeId, lba: Lba, blocks: number): void {
    this.#overtake(volume, lba, blocks);
    // An unmap may cover far more blocks than there are slots.
    if (blocks > this.#slots) {
      for (let slot = 0; slot < this.#slots; slot++) {
        const at = this.#lbas[slot];
        if (this.#uses[slot] > 0 && this.#volumes[slot] === volume && at >= lba && at < lba + blocks) this.#drop(slot);
      }
      return;
    }
    for (let block = 0; block < blocks; block++) {
      const slot = this.#index.get(volume, toBlock(lba, block));
      if (slot >= 0) this.#drop(slot);
    }
  }

  clear(): void {
    for (const fill of this.#fills) fill.overtaken = new Uint8Array(fill.blocks).fill(1);
    this.#index.clear();
    this.#uses.fill(0);
  }

  /** Gives its memory back; it may not be used again. */
  close(): void {
    this.#fills.length = 0;
    this.#world.memory.free(this.#pool);
  }

  /**
   * Puts blocks in, adjacent slots with one copy.
   *
   * @param skipped   a one for each block to leave out
   * @param overwrite whether blocks that are cached already are put in again
   */
  #put(
    volume: VolumeId,
    lba: Lba,
    blocks: number,
    data: Uint8Array,
    skipped: Uint8Array | undefined,
    overwrite: boolean,
  ): void {
    let first = 0;
    let firstSlot = -1;
    for (let block = 0; block < blocks; block++) {
      const at = toBlock(lba, block);
      const cached = skipped?.[block] === 1 ? -1 : this.#index.get(volume, at);
      if (skipped?.[block] === 1 || (cached >= 0 && !overwrite)) {
        if (firstSlot >= 0) this.#copyIn(data, first, block, firstSlot);
        firstSlot = -1;
        continue;
      }
      const slot = cached >= 0 ? cached : this.#claim();
      if (firstSlot >= 0 && slot !== firstSlot + block - first) {
        this.#copyIn(data, first, block, firstSlot);
        firstSlot = -1;
      }
      if (firstSlot < 0) {
        first = block;
        firstSlot = slot;
      }
      if (cached >= 0) continue;
      this.#volumes[slot] = volume;
      this.#lbas[slot] = at;
      this.#uses[slot] = 1;
      this.#index.set(volume, at, slot);
    }
    if (firstSlot >= 0) this.#copyIn(data, first, blocks, firstSlot);
  }

  #copyIn(data: Uint8Array, first: number, end: number, slot: number): void {
    const whole = first === 0 && end * BLOCK_BYTES === data.length;
    this.#pool.set(whole ? data : data.subarray(first * BLOCK_BYTES, end * BLOCK_BYTES), slot * BLOCK_BYTES);
  }

  /** Moves the hand to a slot that is empty or was not read since it passed the last time, and empties it. */
  #claim(): number {
    for (;;) {
      const slot = this.#hand;
      this.#hand = slot + 1 === this.#slots ? 0 : slot + 1;
      if (this.#uses[slot] === 2) {
        this.#uses[slot] = 1;
        continue;
      }
      if (this.#uses[slot] === 1) this.#drop(slot);
      return slot;
    }
  }

  #drop(slot: number): void {
    this.#index.delete(this.#volumes[slot] as VolumeId, this.#lbas[slot] as Lba);
    this.#uses[slot] = 0;
  }

  #overtake(volume: VolumeId, lba: Lba, blocks: number): void {
    for (let place = 0; place < this.#fills.length; place++) {
      const fill = this.#fills[place];
      if (fill.volume !== volume || fill.lba >= lba + blocks || lba >= fill.lba + fill.blocks) continue;
      fill.overtaken ??= new Uint8Array(fill.blocks);
      fill.overtaken.fill(1, Math.max(0, lba - fill.lba), Math.min(fill.blocks, lba + blocks - fill.lba));
    }
  }

  /** @returns whether the fill was watched, so that its blocks may be cached */
  #close(fill: WatchedFill): boolean {
    if (fill.place < 0) return false;
    assert(this.#fills[fill.place] === fill, "a fill ends once");
    const last = this.#fills[this.#fills.length - 1];
    this.#fills[fill.place] = last;
    last.place = fill.place;
    this.#fills.length--;
    fill.place = -1;
    return true;
  }
}

/** The address of a block of a run: a cast, since the first was checked, and this is called for each block. */
function toBlock(lba: Lba, offset: number): Lba {
  return (lba + offset) as Lba;
}
