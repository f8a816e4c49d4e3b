/**
 * A load of writes and reads whose every sector says what it is, and a model that knows what a read may return.
 *
 * A sector of 512 bytes is 32 times the same stamp: the run, the sector's address, its version. A sector has one write
 * in flight at the most, so its versions have an order. A read must return, of each sector, one whole stamp of a
 * version that is not older than the last one acknowledged, or returned by another read, before the read began.
 */

import { SECTOR_BYTES, Stamps } from "./stamps.ts";

export interface LoadTarget {
  read(offset: number, bytes: number): Promise<Uint8Array>;
  write(offset: number, data: Uint8Array): Promise<void>;
}

export interface LoadOptions {
  /** The load stays within these first bytes of the LUN. */
  readonly bytes: number;
  /** Requests in flight. */
  readonly depth: number;
  readonly seed: number;
}

/** Sizes of requests in sectors: whole 4 KiB blocks, parts of blocks, and some larger ones. */
const SIZES = [8, 8, 8, 8, 1, 3, 5, 16, 40, 128];
const READ_SHARE = 0.3;
/** So much of the requests goes to the first sectors, where they meet. */
const HOT_SHARE = 0.5;
const HOT_SECTORS = 512;

export class StampedLoad {
  acknowledgedWrites = 0;
  completedReads = 0;
  readonly #target: LoadTarget;
  readonly #options: LoadOptions;
  readonly #stamps: Stamps;
  readonly #sectors: number;
  /** Of each sector: the version of its newest write, and the oldest that a new read may return. */
  readonly #written: Uint32Array;
  readonly #floor: Uint32Array;
  readonly #busy: Uint8Array;
  readonly #random: () => number;
  #stopped = false;
  #done: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(target: LoadTarget, options: LoadOptions) {
    this.#target = target;
    this.#options = options;
    this.#stamps = new Stamps(options.seed);
    this.#sectors = options.bytes / SECTOR_BYTES;
    this.#written = new Uint32Array(this.#sectors);
    this.#floor = new Uint32Array(this.#sectors);
    this.#busy = new Uint8Array(this.#sectors);
    this.#random = randomFrom(options.seed);
  }

  start(): void {
    const workers = Array.from({ length: this.#options.depth }, () => this.#work());
    this.#done = Promise.all(workers).then(() => {});
  }

  /** Throws the first thing that was wrong, as soon as there is one. */
  assertSound(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Lets what is under way end. Rejects with the first thing that was wrong. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    this.assertSound();
  }

  /** Compares a copy of the LUN, with no write in flight. Throws where a sector is not its last acknowledged version. */
  assertHolds(copy: Uint8Array, whose: string): void {
    this.#compare(copy, whose, this.#written);
  }

  /** As `assertHolds`, with writes in flight: of these the copy may have some. */
  assertHoldsAcknowledged(copy: Uint8Array, whose: string): void {
    this.#compare(copy, whose, this.#floor);
  }

  #compare(copy: Uint8Array, whose: string, oldest: Uint32Array): void {
    for (let sector = 0; sector < this.#sectors; sector++) {
      const found = this.#stamps.versionIn(copy, sector * SECTOR_BYTES, sector);
      const newest = this.#written[sector];
      if (typeof found === "number" && found >= oldest[sector] && found <= newest) continue;
      throw new Error(`${whose}: sector ${sector} holds ${say(found)}, not versions ${oldest[sector]} to ${newest}`);
    }
  }

  async #work(): Promise<void> {
    try {
      while (!this.#stopped && this.#failure === undefined) {
        if (this.#random() < READ_SHARE) await this.#read();
        else await this.#write();
      }
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  async #write(): Promise<void> {
    const { first, count } = this.#pickFree();
    const data = new Uint8Array(count * SECTOR_BYTES);
    for (let at = 0; at < count; at++) {
      const sector = first + at;
      this.#busy[sector] = 1;
      this.#stamps.write(data, at * SECTOR_BYTES, sector, ++this.#written[sector]);
    }
    await this.#target.write(first * SECTOR_BYTES, data);
    for (let sector = first; sector < first + count; sector++) {
      this.#floor[sector] = this.#written[sector];
      this.#busy[sector] = 0;
    }
    this.acknowledgedWrites++;
  }

  async #read(): Promise<void> {
    const { first, count } = this.#pick();
    const floor = this.#floor.slice(first, first + count);
    const data = await this.#target.read(first * SECTOR_BYTES, count * SECTOR_BYTES);
    for (let at = 0; at < count; at++) {
      const sector = first + at;
      const found = this.#stamps.versionIn(data, at * SECTOR_BYTES, sector);
      if (typeof found !== "number" || found < floor[at] || found > this.#written[sector]) {
        const range = `versions ${floor[at]} to ${this.#written[sector]}`;
        throw new Error(`a read returned ${say(found)} for sector ${sector} where only ${range} were right`);
      }
      if (found > this.#floor[sector]) this.#floor[sector] = found;
    }
    this.completedReads++;
  }

  #pick(): { first: number; count: number } {
    const count = SIZES[Math.floor(this.#random() * SIZES.length)];
    const within = this.#random() < HOT_SHARE ? HOT_SECTORS : this.#sectors;
    const first = Math.floor(this.#random() * (within - count));
    // Requests of whole blocks begin at blocks.
    return { first: count % 8 === 0 ? first - (first % 8) : first, count };
  }

  /** Sectors without a write in flight. */
  #pickFree(): { first: number; count: number } {
    for (;;) {
      const range = this.#pick();
      if (!this.#busy.subarray(range.first, range.first + range.count).includes(1)) return range;
    }
  }
}

function say(found: number | string): string {
  return typeof found === "number" ? `version ${found}` : found;
}

/** xorshift32: numbers from 0 to below 1, the same ones from the same seed. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}
