/**
 * Stores committed requests in the array, in batches: for each block the last request of the batch wins, and runs
 * of neighbouring blocks become one write each.
 *
 * `stored` moves only after every write of a batch has completed and the volumes it touched are flushed. A batch
 * that is cut short by a crash is stored again from the start; requests are absolute, so that does no harm.
 */

import { allSettled } from "../base/all-settled.ts";
import { assert } from "../base/assert.ts";
import type { BlockDevice } from "../base/block-device.ts";
import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, lba, MiB, millis, type Sequence, sequence, type VolumeId, volumeId } from "../base/units.ts";
import type { Journal, RequestHead } from "../journal/journal.ts";
import type { ReadCache } from "../journal/read-cache.ts";
import type { Timer } from "../platform/clock.ts";
import type { World } from "../platform/world.ts";
import { isAsWritten, readOtherCopy } from "./other-copy.ts";

/** Bytes stored as one batch, and so the memory that storing takes. */
const BATCH_BYTES = 8 * MiB;
const BATCH_BLOCKS = BATCH_BYTES / BLOCK_BYTES;
/** Requests in one batch: bounds the batch where they carry little or no data. */
const BATCH_REQUESTS_MAX = 8192;
/** Writes to the array under way at once: few, so that they hold up no host that waits for the journal ... */
const WRITES_CALM = 8;
/** ... and many where the journal fills up, and hosts would soon wait for its room. */
const WRITES_MAX = 128;
/** How long requests gather before they are stored, so that overwrites and neighbours meet in one batch. */
const GATHER_DELAY = millis(1000);

/** Volume and block in one number: 16 bits of volume above 36 bits of block address (256 TiB). */
const VOLUME_STRIDE = 2 ** 36;

const IGNORE = () => {};

interface Unmap {
  readonly volume: VolumeId;
  readonly lba: number;
  readonly blocks: number;
}

export class Destager {
  onStored: () => void = () => {};
  onFailed: (error: OperatingError) => void = () => {};
  /** Told of what the journal could not give back, and was read elsewhere. */
  onJournalMissed: (error: OperatingError) => void = () => {};

  readonly #world: World;
  readonly #journal: Journal;
  readonly #cache: ReadCache;
  readonly #volumes: ReadonlyMap<VolumeId, BlockDevice>;
  readonly #elsewhere: ReadonlyMap<VolumeId, BlockDevice>;
  readonly #gatherBytes: number;
  readonly #buffer: Uint8Array;
  #stored: Sequence;
  #target: Sequence;
  #running: Promise<void> | undefined;
  readonly #mayGather: () => boolean;
  #timer: Timer | undefined;
  #closed = false;
  #failed = false;

  /**
   * @param elsewhere   where requests are read that the journal can't give back
   * @param gatherBytes requests gather no longer once the journal holds this much
   * @param mayGather   whether they may gather at all now; who takes that back calls `hurry`
   */
  constructor(
    world: World,
    journal: Journal,
    cache: ReadCache,
    volumes: ReadonlyMap<VolumeId, BlockDevice>,
    elsewhere: ReadonlyMap<VolumeId, BlockDevice>,
    gatherBytes: number,
    mayGather: () => boolean,
  ) {
    this.#world = world;
    this.#journal = journal;
    this.#cache = cache;
    this.#volumes = volumes;
    this.#elsewhere = elsewhere;
    this.#gatherBytes = gatherBytes;
    this.#mayGather = mayGather;
    this.#buffer = world.memory.allocate(BATCH_BYTES);
    this.#stored = journal.retired;
    this.#target = journal.retired;
  }

  get stored(): Sequence {
    return this.#stored;
  }

  /** Whether there is something to be stored, and nothing of it is being stored. */
  get isGathering(): boolean {
    return this.#stored < this.#target && this.#running === undefined && !this.#failed;
  }

  /** Everything up to `upTo` may be stored now. */
  storeUpTo(upTo: Sequence): void {
    if (upTo <= this.#target) return;
    this.#target = upTo;
    if (this.#running !== undefined) return;
    if (this.#journal.usedBytes > this.#gatherBytes || !this.#mayGather()) this.#start();
    else this.#timer ??= this.#world.clock.after(GATHER_DELAY, () => this.#start());
  }

  /** Does not wait for more to gather. */
  hurry(): void {
    if (this.#stored < this.#target) this.#start();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#running;
    this.#world.memory.free(this.#buffer);
  }

  #start(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#closed || this.#failed || this.#running !== undefined || this.#stored >= this.#target) return;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#closed && this.#stored < this.#target) {
        this.#stored = await this.#storeBatch();
        this.onStored();
      }
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      this.#failed = true;
      this.onFailed(error);
    } finally {
      // Together with the last look at the target: a target that is set after that starts anew.
      this.#running = undefined;
    }
  }

  /** @returns the last sequence of the batch, all of which is stored and flushed */
  async #storeBatch(): Promise<Sequence> {
    const latest = new Map<number, Sequence>();
    const unmaps: Unmap[] = [];
    const touched = new Set<VolumeId>();
    const first = this.#stored + 1;
    let end = this.#stored;
    for (let at = first; at <= this.#target && at < first + BATCH_REQUESTS_MAX; at++) {
      const head = this.#journal.head(sequence(at));
      assert(head !== undefined, `request ${at} is not stored yet, so it is in the journal`);
      if (head.kind === "write") {
        // Blocks that the batch has already may be counted twice here; that only makes it smaller.
        if (latest.size + head.blocks > BATCH_BLOCKS) break;
        const base = head.volume * VOLUME_STRIDE + head.lba;
        for (let block = 0; block < head.blocks; block++) latest.set(base + block, head.sequence);
      } else if (head.kind === "unmap") {
        const base = head.volume * VOLUME_STRIDE + head.lba;
        forgetCovered(latest, base, head.blocks);
        unmaps.push({ volume: head.volume, lba: head.lba, blocks: head.blocks });
      }
      if (head.kind !== "epoch-start") touched.add(head.volume);
      end = head.sequence;
    }
    // Unmaps come first: writes that an unmap of this batch covers are forgotten already, later ones must survive it.
    for (const unmap of unmaps) await this.#device(unmap.volume).unmap(lba(unmap.lba), unmap.blocks);
    await this.#storeBlocks(latest);
    await Promise.all(Array.from(touched, (volume) => this.#device(volume).flush()));
    return end;
  }

  async #storeBlocks(latest: ReadonlyMap<number, Sequence>): Promise<void> {
    const keys = Float64Array.from(latest.keys()).sort();
    const writes: Promise<void>[] = [];
    try {
      for (let at = 0; at < keys.length; ) {
        const start = at;
        const volume = volumeId(Math.floor(keys[start] / VOLUME_STRIDE));
        while (at < keys.length && keys[at] === keys[start] + (at - start)) {
          at = await this.#load(keys, at, latest);
        }
        const data = this.#buffer.subarray(start * BLOCK_BYTES, at * BLOCK_BYTES);
        const write = this.#device(volume).write(lba(keys[start] % VOLUME_STRIDE), data);
        if (write !== undefined) writes.push(write);
        // One that fails while the next is loaded is heard of below; until then it is nobody's.
        write?.catch(IGNORE);
        while (writes.length >= this.#width()) await writes.shift();
      }
    } finally {
      await allSettled(writes);
    }
  }

  #width(): number {
    return this.#journal.usedBytes > this.#gatherBytes ? WRITES_MAX : WRITES_CALM;
  }

  /** Loads the run of neighbouring blocks from `at` on that come from one request. @returns the index after it */
  async #load(keys: Float64Array, at: number, latest: ReadonlyMap<number, Sequence>): Promise<number> {
    const from = latest.get(keys[at]);
    assert(from !== undefined, "every key has its request");
    let end = at + 1;
    while (end < keys.length && keys[end] === keys[at] + (end - at) && latest.get(keys[end]) === from) end++;
    const head = this.#journal.head(from);
    assert(head !== undefined, `request ${from} is being stored, so it is in the journal`);
    const target = this.#buffer.subarray(at * BLOCK_BYTES, end * BLOCK_BYTES);
    const firstBlock = (keys[at] % VOLUME_STRIDE) - head.lba;
    if (this.#journal.windowData(from) !== undefined || !this.#loadCached(head, firstBlock, target)) {
      await this.#read(head, firstBlock, target);
    }
    return end;
  }

  async #read(head: RequestHead, firstBlock: number, target: Uint8Array): Promise<void> {
    try {
      await this.#journal.readData(head.sequence, firstBlock, target.length / BLOCK_BYTES, target);
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      const elsewhere = this.#elsewhere.get(head.volume);
      if (elsewhere === undefined) throw error;
      if (!(await readOtherCopy(this.#world.arithmetic, elsewhere, head, firstBlock, target))) throw error;
      this.onJournalMissed(error);
    }
  }

  /**
   * Takes the blocks from the read cache, if it has them as this request made them: that spares reading the journal.
   * A checksum alone does not tell that, and what a later request made of them may still have to be cut.
   */
  #loadCached(head: RequestHead, firstBlock: number, target: Uint8Array): boolean {
    const blocks = target.length / BLOCK_BYTES;
    for (let block = firstBlock; block < firstBlock + blocks; block++) {
      if (this.#journal.newest(head.volume, lba(head.lba + block)) !== head.sequence) return false;
    }
    if (this.#cache.readRun(head.volume, lba(head.lba + firstBlock), blocks, target) < blocks) return false;
    return isAsWritten(this.#world.arithmetic, head, firstBlock, target);
  }

  #device(volume: VolumeId): BlockDevice {
    const device = this.#volumes.get(volume);
    assert(device !== undefined, `volume ${volume} has a device to be stored on`);
    return device;
  }
}

function forgetCovered(latest: Map<number, Sequence>, base: number, blocks: number): void {
  if (blocks <= latest.size) {
    for (let block = 0; block < blocks; block++) latest.delete(base + block);
    return;
  }
  for (const key of latest.keys()) if (key >= base && key < base + blocks) latest.delete(key);
}
