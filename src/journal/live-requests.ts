/**
 * What a journal knows of its live requests without asking the drive: their descriptors, their blocks' checksums, and
 * for each block which of them wrote it last. All on typed arrays; nothing is allocated for a request or a block.
 *
 * Live requests are `retired + 1` to `appended`, without gaps. A request's fields are at its sequence's remainder
 * by the capacity; a block's checksum is at its place in the ring, so both need no bookkeeping to be freed.
 */

import { assert } from "../base/assert.ts";
import type { DataWriteRequest, RequestKind } from "../base/data-write-request.ts";
import {
  BLOCK_BYTES,
  type Epoch,
  epoch,
  type Instant,
  type Lba,
  lba,
  type Sequence,
  sequence,
  type VolumeId,
  volumeId,
} from "../base/units.ts";
import { BlockIndex, INDEXED_LBA_END } from "./block-index.ts";

/** Live requests at the most, whatever the ring's size. */
export const REQUESTS_MAX = 1 << 20;
/** Live unmaps from which on no more are taken: a read looks through all of them. */
export const UNMAPS_MAX = 256;

/** A request without its data. */
export type RequestHead = Omit<DataWriteRequest, "data">;

const KINDS: readonly RequestKind[] = ["write", "unmap", "epoch-start"];
const WRITE = 0;
const UNMAP = 1;

/** Where a request is. */
export interface Place {
  /** Position in the log of its first block of data. */
  readonly data: number;
  /** The same in the memory window; -1 where it was never there. */
  readonly window: number;
  /** Position in the log of its batch. */
  readonly batch: number;
}

interface Unmap {
  readonly sequence: number;
  readonly volume: number;
  readonly first: number;
  readonly end: number;
}

export class LiveRequests {
  readonly capacity: number;
  readonly #ringBlocks: number;
  readonly #kinds: Uint8Array;
  readonly #volumes: Uint16Array;
  readonly #blocks: Uint32Array;
  readonly #epochs: Float64Array;
  readonly #lbas: Float64Array;
  readonly #dataPositions: Float64Array;
  readonly #windowPositions: Float64Array;
  readonly #batchPositions: Float64Array;
  readonly #batchHashes: Uint32Array;
  readonly #since: Float64Array;
  readonly #checksums: Uint32Array;
  readonly #index: BlockIndex;
  /** Live unmaps, oldest first. */
  readonly #unmaps: Unmap[] = [];
  #retired: Sequence;
  #retiredEpoch: Epoch;
  #appended: Sequence;

  constructor(ringBytes: number, retired: Sequence, retiredEpoch: Epoch, capacityMax = REQUESTS_MAX) {
    this.#ringBlocks = ringBytes / BLOCK_BYTES;
    this.capacity = Math.min(this.#ringBlocks, capacityMax);
    this.#kinds = new Uint8Array(this.capacity);
    this.#volumes = new Uint16Array(this.capacity);
    this.#blocks = new Uint32Array(this.capacity);
    this.#epochs = new Float64Array(this.capacity);
    this.#lbas = new Float64Array(this.capacity);
    this.#dataPositions = new Float64Array(this.capacity);
    this.#windowPositions = new Float64Array(this.capacity);
    this.#batchPositions = new Float64Array(this.capacity);
    this.#batchHashes = new Uint32Array(this.capacity);
    this.#since = new Float64Array(this.capacity);
    this.#checksums = new Uint32Array(this.#ringBlocks);
    this.#index = new BlockIndex(this.#ringBlocks);
    this.#retired = retired;
    this.#retiredEpoch = retiredEpoch;
    this.#appended = retired;
  }

  get retired(): Sequence {
    return this.#retired;
  }

  get retiredEpoch(): Epoch {
    return this.#retiredEpoch;
  }

  get appended(): Sequence {
    return this.#appended;
  }

  /** Epoch of request `appended`. */
  get lastEpoch(): Epoch {
    return this.epochOf(this.#appended);
  }

  /** Live unmaps. */
  get unmaps(): number {
    return this.#unmaps.length;
  }

  isLive(of: Sequence): boolean {
    return of > this.#retired && of <= this.#appended;
  }

  /** Epoch of a live request or of the last retired one. */
  epochOf(of: Sequence): Epoch {
    if (of === this.#retired) return this.#retiredEpoch;
    return this.#epochs[this.#slot(of)] as Epoch;
  }

  /**
   * Takes the next request in, whose checksums are copied.
   *
   * @param indexed whether `newest` is to know it; what is replayed is indexed at the end, by `reindex`
   */
  add(request: RequestHead, place: Place, now: Instant, indexed: boolean): void {
    assert(request.sequence === this.#appended + 1, `request ${request.sequence} after ${this.#appended}`);
    assert(request.sequence - this.#retired <= this.capacity, `more than ${this.capacity} live requests`);
    assert(
      request.lba + request.blocks <= INDEXED_LBA_END,
      `block address ${request.lba} is out of the journal's range`,
    );
    this.#appended = request.sequence;
    const slot = this.#slot(request.sequence);
    this.#kinds[slot] = KINDS.indexOf(request.kind);
    this.#volumes[slot] = request.volume;
    this.#blocks[slot] = request.blocks;
    this.#epochs[slot] = request.epoch;
    this.#lbas[slot] = request.lba;
    this.#dataPositions[slot] = place.data;
    this.#windowPositions[slot] = place.window;
    this.#batchPositions[slot] = place.batch;
    this.#since[slot] = now;
    if (request.kind === "write") this.#checksums.set(request.checksums, this.#checksumSlot(place.data));
    if (indexed) this.#enter(slot, request.sequence);
  }

  /** The hash that the batch of these requests holds of the batch before it. */
  setBatchHash(first: Sequence, count: number, hash: number): void {
    for (let offset = 0; offset < count; offset++) this.#batchHashes[this.#slot(first + offset)] = hash;
  }

  /** @returns the request, with a copy of its checksums; undefined where it is not live */
  head(of: Sequence): RequestHead | undefined {
    if (!this.isLive(of)) return undefined;
    const slot = this.#slot(of);
    const kind = KINDS[this.#kinds[slot]];
    const from = this.#checksumSlot(this.#dataPositions[slot]);
    return {
      kind,
      epoch: epoch(this.#epochs[slot]),
      sequence: of,
      volume: volumeId(this.#volumes[slot]),
      lba: lba(this.#lbas[slot]),
      blocks: this.#blocks[slot],
      checksums: this.#checksums.slice(from, from + (kind === "write" ? this.#blocks[slot] : 0)),
    };
  }

  /** Blocks of data that a live request carries. */
  dataBlocks(of: Sequence): number {
    const slot = this.#slot(of);
    return this.#kinds[slot] === WRITE ? this.#blocks[slot] : 0;
  }

  dataPosition(of: Sequence): number {
    return this.#dataPositions[this.#slot(of)];
  }

  windowPosition(of: Sequence): number {
    return this.#windowPositions[this.#slot(of)];
  }

  batchPosition(of: Sequence): number {
    return this.#batchPositions[this.#slot(of)];
  }

  batchHash(of: Sequence): number {
    return this.#batchHashes[this.#slot(of)];
  }

  since(of: Sequence): Instant {
    return this.#since[this.#slot(of)] as Instant;
  }

  /** Checksum of the block at this position of the log. */
  checksumAt(position: number): number {
    return this.#checksums[this.#checksumSlot(position)];
  }

  /** The newest live request that touches the block; 0 where there is none. */
  newest(volume: VolumeId, block: Lba): Sequence {
    const low = this.#index.get(volume, block);
    // The index keeps 32 bits; live sequences are far closer together than that.
    const oldest = this.#retired + 1;
    let newest = low < 0 ? 0 : oldest + ((low - (oldest >>> 0)) >>> 0);
    for (let at = this.#unmaps.length - 1; at >= 0; at--) {
      const unmap = this.#unmaps[at];
      if (unmap.sequence <= newest) break;
      if (unmap.volume === volume && block >= unmap.first && block < unmap.end) newest = unmap.sequence;
    }
    return sequence(newest);
  }

  retire(upTo: Sequence): void {
    assert(upTo <= this.#appended, `retiring up to ${upTo}, appended are ${this.#appended}`);
    if (upTo <= this.#retired) return;
    for (let of = this.#retired + 1; of <= upTo; of++) {
      const slot = this.#slot(of);
      if (this.#kinds[slot] === WRITE) {
        this.#index.deleteRun(this.#volumes[slot] as VolumeId, this.#lbas[slot] as Lba, this.#blocks[slot], of);
      }
    }
    let gone = 0;
    while (gone < this.#unmaps.length && this.#unmaps[gone].sequence <= upTo) gone++;
    if (gone > 0) this.#unmaps.splice(0, gone);
    this.#retiredEpoch = this.epochOf(upTo);
    this.#retired = upTo;
  }

  /** Forgets the requests after `to`. `reindex` has to follow. */
  drop(to: Sequence): void {
    assert(to >= this.#retired && to <= this.#appended, `dropping requests after ${to}`);
    this.#appended = to;
  }

  /** Builds from the live requests what `newest` answers from. */
  reindex(): void {
    this.#index.clear();
    this.#unmaps.length = 0;
    for (let of = this.#retired + 1; of <= this.#appended; of++) this.#enter(this.#slot(of), of);
  }

  #enter(slot: number, of: number): void {
    const volume = this.#volumes[slot] as VolumeId;
    const first = this.#lbas[slot];
    if (this.#kinds[slot] === WRITE) this.#index.setRun(volume, first as Lba, this.#blocks[slot], of);
    if (this.#kinds[slot] === UNMAP) {
      this.#unmaps.push({ sequence: of, volume, first, end: first + this.#blocks[slot] });
    }
  }

  #slot(of: number): number {
    return of % this.capacity;
  }

  #checksumSlot(position: number): number {
    return (position / BLOCK_BYTES) % this.#ringBlocks;
  }
}
