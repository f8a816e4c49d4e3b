/**
 * A volume as the hosts see it: a block device whose write completes when every in-sync site has it.
 * Its blocks are the LUN's, of 512 or 4096 bytes; the pipeline below works in blocks of 4 KiB.
 */

import { allSettled } from "../base/all-settled.ts";
import type { Allocation, BlockDevice, Pending, WriteOptions } from "../base/block-device.ts";
import { REQUEST_BLOCKS_MAX } from "../base/data-write-request.ts";
import { BLOCK_BYTES, type Lba, type VolumeId } from "../base/units.ts";
import type { HostWrite } from "./admission.ts";

/** What the volume needs of the mirror controller. */
export interface VolumeService {
  submit(write: HostWrite, signal?: AbortSignal): Promise<void>;
  /** Reads whole 4 KiB blocks that every in-sync site has ACKed. */
  read(volume: VolumeId, lba: number, into: Uint8Array, signal?: AbortSignal): Pending;
  /** Whether whole 4 KiB blocks hold something of their own. */
  allocation(volume: VolumeId, lba: number, blocks: number): Promise<Allocation>;
}

const REQUEST_BYTES_MAX = REQUEST_BLOCKS_MAX * BLOCK_BYTES;
const NO_DATA = new Uint8Array(0);

export class MirroredVolume implements BlockDevice {
  /** Arrays store a block where it was; what a journal still has of its old content goes as its log comes round. */
  readonly overwritesInPlace = true;
  readonly #service: VolumeService;
  readonly #volume: VolumeId;
  /**
   * A write of this many blocks is one data write request wherever it begins, and a request is journalled, sent,
   * cut and replayed whole.
   */
  readonly atomicBlocksMax: number;

  /**
   * @param bytes size of the volume, a multiple of 4096
   * @param cacheBytes of the site's read cache, which all of its volumes share
   */
  constructor(
    service: VolumeService,
    volume: VolumeId,
    bytes: number,
    readonly blockSize: 512 | 4096,
    readonly cacheBytes = 0,
  ) {
    this.#service = service;
    this.#volume = volume;
    this.blockCount = bytes / blockSize;
    this.atomicBlocksMax = (REQUEST_BYTES_MAX - (BLOCK_BYTES - blockSize)) / blockSize;
  }

  readonly blockCount: number;

  read(lba: Lba, into: Uint8Array, signal?: AbortSignal): Pending {
    const offset = lba * this.blockSize;
    if (offset % BLOCK_BYTES === 0 && into.length % BLOCK_BYTES === 0) {
      return this.#service.read(this.#volume, offset / BLOCK_BYTES, into, signal);
    }
    return this.#readPartly(offset, into, signal);
  }

  write(lba: Lba, from: Uint8Array, options?: WriteOptions): Pending {
    const offset = lba * this.blockSize;
    if (offset % BLOCK_BYTES === 0 && from.length <= REQUEST_BYTES_MAX)
      return this.#submit(offset, from, options?.signal);
    const parts: Promise<void>[] = [];
    for (let at = 0; at < from.length; ) {
      // Parts end on a whole block, so that a write that starts within one does not drag every part out of line.
      const end = Math.min(from.length, at + REQUEST_BYTES_MAX - ((offset + at) % BLOCK_BYTES));
      parts.push(this.#submit(offset + at, from.subarray(at, end), options?.signal));
      at = end;
    }
    return allSettled(parts);
  }

  /** What was completed is in the journal of every in-sync site, so there is nothing volatile to flush. */
  flush(): Pending {
    return undefined;
  }

  unmap(lba: Lba, blocks: number, signal?: AbortSignal): Pending {
    const start = lba * this.blockSize;
    const end = start + blocks * this.blockSize;
    const wholeStart = Math.min(end, Math.ceil(start / BLOCK_BYTES) * BLOCK_BYTES);
    const wholeEnd = Math.max(wholeStart, Math.floor(end / BLOCK_BYTES) * BLOCK_BYTES);
    const parts: Promise<void>[] = [];
    if (wholeStart > start) parts.push(this.#submit(start, new Uint8Array(wholeStart - start), signal));
    if (wholeEnd > wholeStart) {
      const write = { volume: this.#volume, offset: wholeStart, length: wholeEnd - wholeStart, data: NO_DATA };
      parts.push(this.#service.submit({ kind: "unmap", ...write }, signal));
    }
    if (end > wholeEnd) parts.push(this.#submit(wholeEnd, new Uint8Array(end - wholeEnd), signal));
    return allSettled(parts);
  }

  async allocation(lba: Lba, blocks: number): Promise<Allocation> {
    const start = lba * this.blockSize;
    const first = Math.floor(start / BLOCK_BYTES);
    const count = Math.ceil((start + blocks * this.blockSize) / BLOCK_BYTES) - first;
    const found = await this.#service.allocation(this.#volume, first, count);
    const end = Math.min((first + found.blocks) * BLOCK_BYTES, start + blocks * this.blockSize);
    return { mapped: found.mapped, blocks: (end - start) / this.blockSize };
  }

  #submit(offset: number, data: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    return this.#service.submit({ kind: "write", volume: this.#volume, offset, length: data.length, data }, signal);
  }

  async #readPartly(offset: number, into: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    const first = Math.floor(offset / BLOCK_BYTES);
    const blocks = Math.ceil((offset + into.length) / BLOCK_BYTES) - first;
    const whole = new Uint8Array(blocks * BLOCK_BYTES);
    await this.#service.read(this.#volume, first, whole, signal);
    const start = offset - first * BLOCK_BYTES;
    into.set(whole.subarray(start, start + into.length));
  }
}
