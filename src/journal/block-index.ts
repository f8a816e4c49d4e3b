/**
 * A map from a block, (volume, lba), to an unsigned 32-bit number, on one typed array: no object for each block.
 *
 * Open addressing with linear probing. Neighbouring blocks land in neighbouring slots, so that a run of them costs few
 * cache lines. Deletion shifts the entries behind it back, so there are no tombstones and lookups never slow down
 * with age. Invariants: at most half of the slots are used; between an entry's home slot and its own there is no
 * empty slot; a block is there once at the most.
 */

import { assert } from "../base/assert.ts";
import type { Lba, VolumeId } from "../base/units.ts";

/** Blocks that a volume can have for the index: 2^47 of 4 KiB are 512 PiB. */
export const INDEXED_LBA_END = 2 ** 47;

/** Each slot is three words: tag (0 = empty), low half of the block address, value. */
const SLOT_WORDS = 3;
const SLOTS_MIN = 1024;
/** Blocks whose addresses differ only in this many low bits share a home. */
const RUN_BITS = 3;
const RUN_MASK = (1 << RUN_BITS) - 1;
const USED = 0x80000000;

function tagOf(volume: number, lba: number): number {
  return (USED | (volume << 15) | (lba / 0x100000000)) >>> 0;
}

export class BlockIndex {
  readonly #entriesMax: number;
  #words: Uint32Array;
  #mask: number;
  #size = 0;

  /** @param entriesMax blocks that it may hold; it starts small and grows on demand */
  constructor(entriesMax: number) {
    assert(entriesMax > 0 && entriesMax < 2 ** 28, `block index of ${entriesMax} entries`);
    this.#entriesMax = entriesMax;
    this.#words = new Uint32Array(SLOTS_MIN * SLOT_WORDS);
    this.#mask = SLOTS_MIN - 1;
  }

  /** Blocks that are in it. */
  get size(): number {
    return this.#size;
  }

  /** @returns the block's value, or -1 where it has none */
  get(volume: VolumeId, lba: Lba): number {
    const slot = this.#find(tagOf(volume, lba), lba >>> 0);
    return slot < 0 ? -1 : this.#words[slot * SLOT_WORDS + 2];
  }

  /** Sets the value of `blocks` blocks that follow each other. Only the low 32 bits of `value` are kept. */
  setRun(volume: VolumeId, lba: Lba, blocks: number, value: number): void {
    for (let block = 0; block < blocks; block++) this.#set(volume, lba + block, value);
  }

  set(volume: VolumeId, lba: Lba, value: number): void {
    this.#set(volume, lba, value);
  }

  /** Takes out those of `blocks` blocks that have this value. Only the low 32 bits of `value` count. */
  deleteRun(volume: VolumeId, lba: Lba, blocks: number, value: number): void {
    const kept = value >>> 0;
    for (let at = lba as number; at < lba + blocks; at++) {
      const slot = this.#find(tagOf(volume, at), at >>> 0);
      if (slot >= 0 && this.#words[slot * SLOT_WORDS + 2] === kept) this.#vacate(slot);
    }
  }

  delete(volume: VolumeId, lba: Lba): void {
    const slot = this.#find(tagOf(volume, lba), lba >>> 0);
    if (slot >= 0) this.#vacate(slot);
  }

  clear(): void {
    this.#words.fill(0);
    this.#size = 0;
  }

  /** For tests: throws unless every entry can be found from its home. */
  check(): void {
    let used = 0;
    for (let slot = 0; slot <= this.#mask; slot++) {
      const at = slot * SLOT_WORDS;
      if (this.#words[at] === 0) continue;
      used++;
      assert(this.#find(this.#words[at], this.#words[at + 1]) === slot, `entry in slot ${slot} cannot be found`);
    }
    assert(used === this.#size, `${used} slots are used, ${this.#size} are counted`);
  }

  #set(volume: number, lba: number, value: number): void {
    const tag = tagOf(volume, lba);
    const low = lba >>> 0;
    let slot = this.#home(tag, low);
    for (;;) {
      const at = slot * SLOT_WORDS;
      const found = this.#words[at];
      if (found === 0) break;
      if (found === tag && this.#words[at + 1] === low) {
        this.#words[at + 2] = value;
        return;
      }
      slot = (slot + 1) & this.#mask;
    }
    assert(this.#size < this.#entriesMax, `block index holds at most ${this.#entriesMax} blocks`);
    this.#words[slot * SLOT_WORDS] = tag;
    this.#words[slot * SLOT_WORDS + 1] = low;
    this.#words[slot * SLOT_WORDS + 2] = value;
    this.#size++;
    if (this.#size * 2 > this.#mask) this.#grow();
  }

  #home(tag: number, low: number): number {
    let hash = Math.imul((low >>> RUN_BITS) ^ Math.imul(tag, 0x85ebca6b), 0x9e3779b1);
    hash ^= hash >>> 15;
    return ((hash << RUN_BITS) | (low & RUN_MASK)) & this.#mask;
  }

  #find(tag: number, low: number): number {
    const words = this.#words;
    const mask = this.#mask;
    let slot = this.#home(tag, low);
    for (;;) {
      const at = slot * SLOT_WORDS;
      const found = words[at];
      if (found === 0) return -1;
      if (found === tag && words[at + 1] === low) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #vacate(slot: number): void {
    const words = this.#words;
    const mask = this.#mask;
    let hole = slot;
    let next = slot;
    for (;;) {
      next = (next + 1) & mask;
      const at = next * SLOT_WORDS;
      if (words[at] === 0) break;
      const home = this.#home(words[at], words[at + 1]);
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      const to = hole * SLOT_WORDS;
      words[to] = words[at];
      words[to + 1] = words[at + 1];
      words[to + 2] = words[at + 2];
      hole = next;
    }
    words[hole * SLOT_WORDS] = 0;
    this.#size--;
  }

  #grow(): void {
    const old = this.#words;
    const slots = (this.#mask + 1) * 2;
    this.#words = new Uint32Array(slots * SLOT_WORDS);
    this.#mask = slots - 1;
    for (let at = 0; at < old.length; at += SLOT_WORDS) {
      if (old[at] === 0) continue;
      let slot = this.#home(old[at], old[at + 1]);
      while (this.#words[slot * SLOT_WORDS] !== 0) slot = (slot + 1) & this.#mask;
      this.#words[slot * SLOT_WORDS] = old[at];
      this.#words[slot * SLOT_WORDS + 1] = old[at + 1];
      this.#words[slot * SLOT_WORDS + 2] = old[at + 2];
    }
  }
}
