/**
 * What a simulated drive holds: sparse blocks, and for each block written since it was last flushed the contents that
 * a power cut may bring back.
 *
 * Durable writes are never lost. Of any other write a power cut leaves all, nothing, or any of its 512-byte
 * sectors; blocks are decided apart, whatever the order in which they were written.
 */

import { assert } from "../../base/assert.ts";
import { BLOCK_BYTES } from "../../base/units.ts";
import type { SeededRandom } from "./seeded-random.ts";

export const SECTOR_BYTES = 512;
const SECTORS = BLOCK_BYTES / SECTOR_BYTES;

/** A block's content, never changed once it is here. Absent: zeros. */
type Page = Uint8Array | undefined;

interface Unflushed {
  /** What is certain to be on the media. */
  durable: Page;
  /** What was written since, oldest first; the last is what reads return. */
  readonly versions: { readonly page: Page; serial: number }[];
}

/** More unflushed versions of one block than this, and the drive has written the oldest to its media by itself. */
const VERSIONS_MAX = 4;

/** Serial of a version that no later flush covers. */
const NEVER_FLUSHED = Number.POSITIVE_INFINITY;

/** All blocks of a drive at one moment. */
export interface DriveSnapshot {
  readonly blockCount: number;
  readonly pages: ReadonlyMap<number, Uint8Array>;
}

const ZEROS = new Uint8Array(BLOCK_BYTES);

/** The sectors of `over` whose bit is set, the others of `under`. */
function mix(under: Page, over: Page, sectors: number): Page {
  if (sectors === 0) return under;
  if (sectors === (1 << SECTORS) - 1) return over;
  const mixed = new Uint8Array(under ?? ZEROS);
  for (let sector = 0; sector < SECTORS; sector++) {
    if ((sectors & (1 << sector)) === 0) continue;
    const at = sector * SECTOR_BYTES;
    mixed.set((over ?? ZEROS).subarray(at, at + SECTOR_BYTES), at);
  }
  return mixed;
}

export class DriveMedia {
  #pages = new Map<number, Uint8Array>();
  #unflushed = new Map<number, Unflushed>();
  #serial = 0;

  constructor(readonly blockCount: number) {}

  /** Blocks whose last content a power cut can take. */
  get unflushedBlocks(): number {
    return this.#unflushed.size;
  }

  read(lba: number, into: Uint8Array): void {
    for (let at = 0; at < into.length; at += BLOCK_BYTES) {
      into.set(this.#pages.get(lba + at / BLOCK_BYTES) ?? ZEROS, at);
    }
  }

  write(lba: number, from: Uint8Array, durable: boolean): void {
    this.#serial++;
    for (let at = 0; at < from.length; at += BLOCK_BYTES) {
      this.#put(lba + at / BLOCK_BYTES, from.slice(at, at + BLOCK_BYTES), durable);
    }
  }

  unmap(lba: number, blocks: number, durable: boolean): void {
    this.#serial++;
    if (blocks <= this.#pages.size) {
      for (let block = lba; block < lba + blocks; block++)
        if (this.#pages.has(block)) this.#put(block, undefined, durable);
      return;
    }
    for (const block of [...this.#pages.keys()]) {
      if (block >= lba && block < lba + blocks) this.#put(block, undefined, durable);
    }
  }

  /**
   * A write that something broke off: all of it is there, nothing, its first sectors, or any of its sectors.
   *
   * @param from the content, or a number of blocks to unmap
   */
  writePartly(lba: number, from: Uint8Array | number, durable: boolean, random: SeededRandom): void {
    this.#serial++;
    const blocks = typeof from === "number" ? from : from.length / BLOCK_BYTES;
    const shape = random.pick(["nothing", "all", "first sectors", "any sectors"] as const);
    if (shape === "nothing") return;
    if (typeof from === "number" && shape === "all") {
      this.unmap(lba, from, durable);
      return;
    }
    const firstSectors = random.below(blocks * SECTORS + 1);
    for (let index = 0; index < blocks; index++) {
      let sectors = (1 << SECTORS) - 1;
      if (shape === "any sectors") sectors = random.below(1 << SECTORS);
      if (shape === "first sectors")
        sectors = (1 << Math.min(SECTORS, Math.max(0, firstSectors - index * SECTORS))) - 1;
      const page = typeof from === "number" ? undefined : from.slice(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
      const block = lba + index;
      if (sectors !== 0) this.#put(block, mix(this.#pages.get(block), page, sectors), durable);
    }
  }

  /** The serial of the last write so far; what `flushed` takes. */
  get serial(): number {
    return this.#serial;
  }

  /** Every write up to the serial is durable. */
  flushed(serial: number): void {
    for (const [block, unflushed] of this.#unflushed) {
      const last = unflushed.versions.findLastIndex((version) => version.serial <= serial);
      if (last < 0) continue;
      unflushed.durable = unflushed.versions[last].page;
      unflushed.versions.splice(0, last + 1);
      if (unflushed.versions.length === 0) this.#unflushed.delete(block);
    }
  }

  /** A flush failed: what it should have covered is not made durable by a later one either, as on real systems. */
  flushFailed(serial: number): void {
    for (const unflushed of this.#unflushed.values()) {
      for (const version of unflushed.versions) if (version.serial <= serial) version.serial = NEVER_FLUSHED;
    }
  }

  powerCut(random: SeededRandom): void {
    // whole cuts that keep or drop everything are as likely as mixed ones, since each finds other mistakes
    const shape = random.pick(["drop all", "keep all", "mixed", "mostly kept"] as const);
    const kept = { "drop all": 0, "keep all": 1, mixed: 1 / 3, "mostly kept": 7 / 8 }[shape];
    const torn = { "drop all": 0, "keep all": 0, mixed: 1 / 3, "mostly kept": 1 / 16 }[shape];
    for (const [block, { durable, versions }] of this.#unflushed) {
      const fate = random.between(0, 1);
      let page = durable;
      if (fate < kept) page = versions[versions.length - 1].page;
      else if (fate < kept + torn) {
        for (const version of versions) page = mix(page, version.page, random.below(1 << SECTORS));
      }
      this.#set(block, page);
    }
    this.#unflushed.clear();
  }

  flipBit(lba: number, bit: number): void {
    const flip = (page: Page) => {
      const flipped = new Uint8Array(page ?? ZEROS);
      flipped[bit >> 3] ^= 1 << (bit & 7);
      return flipped;
    };
    const unflushed = this.#unflushed.get(lba);
    if (unflushed !== undefined) {
      unflushed.durable = flip(unflushed.durable);
      unflushed.versions.splice(0, Number.POSITIVE_INFINITY, {
        page: flip(this.#pages.get(lba)),
        serial: unflushed.versions[unflushed.versions.length - 1].serial,
      });
    }
    this.#set(lba, flip(this.#pages.get(lba)));
  }

  snapshot(): DriveSnapshot {
    return { blockCount: this.blockCount, pages: new Map(this.#pages) };
  }

  /** All of it becomes durable. */
  restore(snapshot: DriveSnapshot): void {
    assert(snapshot.blockCount === this.blockCount, "a snapshot fits only a drive of its size");
    this.#pages = new Map(snapshot.pages);
    this.#unflushed.clear();
  }

  #put(block: number, page: Page, durable: boolean): void {
    if (durable) {
      this.#unflushed.delete(block);
    } else {
      let unflushed = this.#unflushed.get(block);
      if (unflushed === undefined) {
        unflushed = { durable: this.#pages.get(block), versions: [] };
        this.#unflushed.set(block, unflushed);
      }
      if (unflushed.versions.length === VERSIONS_MAX) unflushed.durable = unflushed.versions.shift()?.page;
      unflushed.versions.push({ page, serial: this.#serial });
    }
    this.#set(block, page);
  }

  #set(block: number, page: Page): void {
    if (page === undefined) this.#pages.delete(block);
    else this.#pages.set(block, page);
  }
}
