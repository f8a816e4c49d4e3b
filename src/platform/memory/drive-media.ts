/**
 * What a simulated drive holds: sparse blocks, and for each block written since it was last flushed the contents that
 * a power cut may bring back.
 *
 * Durable writes are never lost. Of any other write a power cut leaves all, nothing, or any of its 512-byte
 * sectors; blocks are decided apart, whatever the order in which they were written.
 */

import { assert } from "../../base/assert.ts";
import { BLOCK_BYTES } from "../../base/units.ts";
import { mixPages, type Page, SECTORS, samePage, ZEROS } from "./page.ts";
import type { SeededRandom } from "./seeded-random.ts";

/**
 * How a write is kept. `durable`: for good. `cached`: until a power cut, or for good once it is flushed or drained.
 * `forgotten`: until a power cut, whatever happens before; then what was there before it is back.
 */
export type Keep = "durable" | "cached" | "forgotten";

interface Version {
  readonly page: Page;
  readonly keep: "cached" | "forgotten";
  /** When it was written. */
  readonly time: number;
  serial: number;
}

interface Unflushed {
  /** What is certain to be on the media. */
  durable: Page;
  /** Whether the media could not read that. */
  latent: boolean;
  /** What was written since, oldest first; the last is what reads return. */
  readonly versions: Version[];
}

/** More unflushed versions of one block than this, and the drive has written the oldest to its media by itself. */
const VERSIONS_MAX = 4;

/** What a power cut leaves of the writes that are not durable: each shape finds other mistakes. */
export type CutShape = "drop all" | "keep all" | "mixed" | "mostly kept";
const CUT_SHAPES: readonly CutShape[] = ["drop all", "keep all", "mixed", "mostly kept"];

/** Serial of a version that no later flush covers. */
const NEVER_FLUSHED = Number.POSITIVE_INFINITY;

/** All blocks of a drive at one moment. */
export interface DriveSnapshot {
  readonly blockCount: number;
  readonly pages: ReadonlyMap<number, Uint8Array>;
  /** Blocks that cannot be read, whatever `pages` has of them. */
  readonly latent: ReadonlySet<number>;
}

export class DriveMedia {
  #pages = new Map<number, Uint8Array>();
  #unflushed = new Map<number, Unflushed>();
  /** Blocks that cannot be read. */
  #latent = new Set<number>();
  /** Of blocks written since the media keeps such a record: what was there before the last write. */
  #previous: Map<number, Page> | undefined;
  #serial = 0;

  constructor(
    readonly blockCount: number,
    private readonly clock: { readonly now: number },
  ) {}

  /** Blocks whose last content a power cut can take. */
  get unflushedBlocks(): number {
    return this.#unflushed.size;
  }

  /** Whether no block of the range has a latent error. */
  isReadable(lba: number, blocks: number): boolean {
    if (this.#latent.size === 0) return true;
    for (let block = lba; block < lba + blocks; block++) if (this.#latent.has(block)) return false;
    return true;
  }

  /** The content, also where a read would fail. */
  read(lba: number, into: Uint8Array): void {
    for (let at = 0; at < into.length; at += BLOCK_BYTES) {
      into.set(this.#pages.get(lba + at / BLOCK_BYTES) ?? ZEROS, at);
    }
  }

  write(lba: number, pages: readonly Page[], keep: Keep): void {
    this.#serial++;
    for (let index = 0; index < pages.length; index++) this.#put(lba + index, pages[index], keep);
  }

  unmap(lba: number, blocks: number, keep: Keep): void {
    this.#serial++;
    if (blocks <= this.#pages.size + this.#latent.size) {
      for (let block = lba; block < lba + blocks; block++) {
        if (this.#pages.has(block) || this.#latent.has(block)) this.#put(block, undefined, keep);
      }
      return;
    }
    for (const block of new Set([...this.#pages.keys(), ...this.#latent])) {
      if (block >= lba && block < lba + blocks) this.#put(block, undefined, keep);
    }
  }

  /**
   * A write that something broke off: all of it is there, nothing, its first sectors, or any of its sectors.
   *
   * @param from the content, or a number of blocks to unmap
   */
  writePartly(lba: number, from: readonly Page[] | number, keep: Keep, random: SeededRandom): void {
    this.#serial++;
    const blocks = typeof from === "number" ? from : from.length;
    const shape = random.pick(["nothing", "all", "first sectors", "any sectors"] as const);
    if (shape === "nothing") return;
    if (typeof from === "number" && shape === "all") {
      this.unmap(lba, from, keep);
      return;
    }
    const firstSectors = random.below(blocks * SECTORS + 1);
    for (let index = 0; index < blocks; index++) {
      let sectors = (1 << SECTORS) - 1;
      if (shape === "any sectors") sectors = random.below(1 << SECTORS);
      if (shape === "first sectors")
        sectors = (1 << Math.min(SECTORS, Math.max(0, firstSectors - index * SECTORS))) - 1;
      const page = typeof from === "number" ? undefined : from[index];
      const block = lba + index;
      if (sectors !== 0) this.#put(block, mixPages(this.#pages.get(block), page, sectors), keep);
    }
  }

  /** The serial of the last write so far; what `flushed` takes. */
  get serial(): number {
    return this.#serial;
  }

  /** Every write up to the serial is durable. */
  flushed(serial: number): void {
    for (const [block, unflushed] of this.#unflushed) {
      this.#settle(
        block,
        unflushed,
        unflushed.versions.findLastIndex((version) => version.serial <= serial),
      );
    }
  }

  /** A flush failed: what it should have covered is not made durable by a later one either, as on real systems. */
  flushFailed(serial: number): void {
    for (const unflushed of this.#unflushed.values()) {
      for (const version of unflushed.versions) if (version.serial <= serial) version.serial = NEVER_FLUSHED;
    }
  }

  /** Of each block what was written at least `delay()` milliseconds ago is durable. */
  drain(delay: () => number): void {
    for (const [block, unflushed] of this.#unflushed) {
      const until = this.clock.now - delay();
      const isDrained = ({ keep, time }: Version) => keep === "cached" && time <= until;
      this.#settle(block, unflushed, unflushed.versions.findLastIndex(isDrained));
    }
  }

  powerCut(random: SeededRandom, shape = random.pick(CUT_SHAPES)): void {
    const kept = { "drop all": 0, "keep all": 1, mixed: 1 / 3, "mostly kept": 7 / 8 }[shape];
    const torn = { "drop all": 0, "keep all": 0, mixed: 1 / 3, "mostly kept": 1 / 16 }[shape];
    for (const [block, { durable, latent, versions }] of this.#unflushed) {
      const fate = random.between(0, 1);
      const cached = versions.filter(({ keep }) => keep === "cached");
      let page = durable;
      let isLatent = latent;
      if (fate < kept && cached.length > 0) {
        page = cached[cached.length - 1].page;
        isLatent = false;
      } else if (fate < kept + torn) {
        for (const version of cached) {
          const sectors = random.below(1 << SECTORS);
          page = mixPages(page, version.page, sectors);
          if (sectors !== 0) isLatent = false;
        }
      }
      this.#set(block, page);
      if (isLatent) this.#latent.add(block);
    }
    this.#unflushed.clear();
  }

  /** From now on the blocks cannot be read, until they are written or unmapped. */
  latentError(lba: number, blocks: number): void {
    for (let block = lba; block < lba + blocks; block++) this.#latent.add(block);
  }

  flipBit(lba: number, bit: number): void {
    const flip = (page: Page) => {
      const flipped = new Uint8Array(page ?? ZEROS);
      flipped[bit >> 3] ^= 1 << (bit & 7);
      return flipped;
    };
    const unflushed = this.#unflushed.get(lba);
    if (unflushed !== undefined) {
      const { versions } = unflushed;
      unflushed.durable = flip(unflushed.durable);
      versions.splice(0, versions.length, ...versions.map((one) => ({ ...one, page: flip(one.page) })));
    }
    this.#set(lba, flip(this.#pages.get(lba)));
  }

  /** From now on what was there before the last write of a block is remembered, or is no longer. */
  rememberPrevious(isWanted: boolean): void {
    if (!isWanted) this.#previous = undefined;
    else this.#previous ??= new Map();
  }

  /** Whether it is remembered what was there before the last write of a block of the range, and was not the same. */
  hasPrevious(lba: number, blocks: number): boolean {
    const previous = this.#previous;
    if (previous === undefined) return false;
    for (let block = lba; block < lba + blocks; block++) {
      if (previous.has(block) && !samePage(previous.get(block), this.#pages.get(block))) return true;
    }
    return false;
  }

  /** As `read`, with what was there before the last write where that is remembered. */
  readPrevious(lba: number, into: Uint8Array): void {
    this.read(lba, into);
    for (let at = 0; at < into.length; at += BLOCK_BYTES) {
      const block = lba + at / BLOCK_BYTES;
      if (this.#previous?.has(block)) into.set(this.#previous.get(block) ?? ZEROS, at);
    }
  }

  /** The same content in the same state, to try something on that must not happen to this one. */
  copy(): DriveMedia {
    const copy = new DriveMedia(this.blockCount, this.clock);
    copy.#pages = new Map(this.#pages);
    for (const [block, { durable, latent, versions }] of this.#unflushed) {
      copy.#unflushed.set(block, { durable, latent, versions: versions.map((version) => ({ ...version })) });
    }
    copy.#latent = new Set(this.#latent);
    copy.#serial = this.#serial;
    return copy;
  }

  snapshot(): DriveSnapshot {
    return { blockCount: this.blockCount, pages: new Map(this.#pages), latent: new Set(this.#latent) };
  }

  /** All of it becomes durable; what could not be read then can't be read now. */
  restore(snapshot: DriveSnapshot): void {
    assert(snapshot.blockCount === this.blockCount, "a snapshot fits only a drive of its size");
    this.#pages = new Map(snapshot.pages);
    this.#unflushed.clear();
    this.#latent = new Set(snapshot.latent);
    this.#previous?.clear();
  }

  #put(block: number, page: Page, keep: Keep): void {
    this.#previous?.set(block, this.#pages.get(block));
    const wasLatent = this.#latent.delete(block);
    if (keep === "durable") {
      this.#unflushed.delete(block);
    } else {
      let unflushed = this.#unflushed.get(block);
      if (unflushed === undefined) {
        unflushed = { durable: this.#pages.get(block), latent: false, versions: [] };
        this.#unflushed.set(block, unflushed);
      }
      const { versions } = unflushed;
      if (wasLatent) unflushed.latent = true;
      versions.push({ page, keep, time: this.clock.now, serial: keep === "forgotten" ? NEVER_FLUSHED : this.#serial });
      if (versions.length > VERSIONS_MAX) {
        if (versions[0].keep === "cached") this.#settle(block, unflushed, 0);
        else versions.shift();
      }
    }
    this.#set(block, page);
  }

  /** Of the block's versions the one at `last` is on the media, and nothing brings those before it back. */
  #settle(block: number, unflushed: Unflushed, last: number): void {
    if (last < 0) return;
    const { versions } = unflushed;
    unflushed.durable = versions[last].page;
    unflushed.latent = false;
    versions.splice(0, last + 1);
    if (versions.length === 0) this.#unflushed.delete(block);
  }

  #set(block: number, page: Page): void {
    if (page === undefined) this.#pages.delete(block);
    else this.#pages.set(block, page);
  }
}
