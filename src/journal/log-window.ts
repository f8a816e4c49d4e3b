/**
 * The newest part of the log in memory: where appended requests gather into batches, from where the drive is written,
 * and from where recent requests are read back without I/O.
 *
 * A request's data is copied once, to its final place in its batch: header block first, then payload, contiguous. A batch
 * is closed when its header block is full, when the next request would cross the end of the ring or of the window, or
 * when it is taken to be written. Batches that lie back to back in both are written with one drive write, a run.
 *
 * Window positions are absolute like log positions; a place in the buffer is the remainder by its length. Invariants:
 * `front - written <= length`, so nothing unwritten is overwritten; what lies at `front - length` or after it is intact.
 */

import { assert } from "../base/assert.ts";
import {
  type DataWriteRequest,
  descriptorBytes,
  encodeDescriptor,
  REQUEST_BLOCKS_MAX,
} from "../base/data-write-request.ts";
import { BLOCK_BYTES, MiB, type Sequence, sequence } from "../base/units.ts";
import type { World } from "../platform/world.ts";
import { BatchHeaderLayout, sealHeader } from "./batch-header.ts";
import type { Place } from "./live-requests.ts";

/** Bytes of one drive write at the most. One batch is always less: its header block holds three requests of 1 MiB. */
export const RUN_BYTES_MAX = 8 * MiB;
/** Ring and window are at least this long: the longest request fits even where it has to skip to the start. */
export const LOG_BYTES_MIN = 2 * (REQUEST_BLOCKS_MAX + 2) * BLOCK_BYTES;

/** Requests that are or will be written under one header. */
export interface Batch {
  readonly position: number;
  readonly windowPosition: number;
  readonly firstSequence: Sequence;
  /** Length in the ring. */
  bytes: number;
  /** Length in the window, and of what is written; less than `bytes` for a skip. */
  written: number;
  headerBytes: number;
  count: number;
  /** Hash of the batch before it; known once it is taken to be written. */
  previousHash: number;
}

/** Batches that are written with one drive write. */
export interface Run {
  readonly batches: readonly Batch[];
  readonly position: number;
  /** The batches, in the window. */
  readonly bytes: Uint8Array;
  readonly lastSequence: Sequence;
  readonly endPosition: number;
  readonly windowEnd: number;
  /** Hash of the last batch. */
  readonly hash: number;
}

export class LogWindow {
  readonly #world: Pick<World, "arithmetic" | "memory">;
  readonly #ringBytes: number;
  readonly #uuid: Uint8Array;
  readonly #buffer: Uint8Array;
  readonly #view: DataView;
  /** Batches that no run has taken; the last one may be `#open`. */
  readonly #queue: Batch[] = [];
  #open: Batch | undefined;
  #end: number;
  #hash: number;
  #front = 0;
  #written = 0;

  /**
   * @param end  position of the next batch
   * @param hash hash of the batch before it
   */
  constructor(
    world: Pick<World, "arithmetic" | "memory">,
    bytes: number,
    ringBytes: number,
    uuid: Uint8Array,
    end: number,
    hash: number,
  ) {
    assert(bytes >= LOG_BYTES_MIN && bytes % BLOCK_BYTES === 0, `journal window of ${bytes} bytes`);
    this.#world = world;
    this.#ringBytes = ringBytes;
    this.#uuid = uuid;
    this.#buffer = world.memory.allocate(bytes);
    this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, bytes);
    this.#end = end;
    this.#hash = hash;
  }

  /** Position behind all that was appended. */
  get end(): number {
    return this.#end;
  }

  get hasUnwritten(): boolean {
    return this.#queue.length > 0;
  }

  /**
   * Whether a request with this many blocks of data can be appended.
   *
   * @param reusable the log below this position is not needed any more
   */
  fits(dataBlocks: number, reusable: number): boolean {
    const data = dataBlocks * BLOCK_BYTES;
    let end = this.#end;
    let front = this.#front;
    if (!this.#joins(data, descriptorBytes(dataBlocks))) {
      const left = this.#leftInRing();
      if (left < BLOCK_BYTES + data) {
        end += left;
        front = this.#place(BLOCK_BYTES, front) + BLOCK_BYTES;
      }
      front = this.#place(BLOCK_BYTES + data, front) + BLOCK_BYTES;
      end += BLOCK_BYTES;
    }
    return end + data <= reusable + this.#ringBytes && front + data - this.#written <= this.#buffer.length;
  }

  /** Copies the request in. It has to fit. */
  append(request: DataWriteRequest): Place {
    const data = request.data.length;
    let batch = this.#open;
    if (batch === undefined || !this.#joins(data, descriptorBytes(request.checksums.length))) {
      const left = this.#leftInRing();
      if (left < BLOCK_BYTES + data) this.#begin(request.sequence, BLOCK_BYTES).bytes = left;
      if (left < BLOCK_BYTES + data) this.#end += left - BLOCK_BYTES;
      batch = this.#begin(request.sequence, BLOCK_BYTES + data);
      this.#open = batch;
    }
    const place = { data: this.#end, window: this.#front, batch: batch.position };
    const header = this.#offset(batch.windowPosition);
    batch.headerBytes += encodeDescriptor(this.#view, header + batch.headerBytes, request);
    batch.count++;
    if (data > 0) this.#buffer.set(request.data, this.#offset(this.#front));
    batch.bytes += data;
    batch.written += data;
    this.#end += data;
    this.#front += data;
    return place;
  }

  /**
   * Closes and seals the batches that can go in one drive write; undefined where there are none. The run before it has
   * to be durable, for these headers say that all before them is.
   */
  takeRun(opening: number): Run | undefined {
    if (this.#queue.length === 0) return undefined;
    const first = this.#queue[0];
    let last = first;
    let taken = 1;
    let bytes = first.written;
    for (; taken < this.#queue.length; taken++) {
      const next = this.#queue[taken];
      if (next.position % this.#ringBytes === 0 || this.#offset(next.windowPosition) === 0) break;
      if (bytes + next.written > RUN_BYTES_MAX) break;
      bytes += next.written;
      last = next;
    }
    const batches = this.#queue.splice(0, taken);
    if (last === this.#open) this.#open = undefined;
    for (const batch of batches) {
      const at = this.#offset(batch.windowPosition);
      batch.previousHash = this.#hash;
      this.#hash = sealHeader(this.#world.arithmetic, this.#buffer.subarray(at, at + BLOCK_BYTES), this.#uuid, {
        ...batch,
        opening,
        durablePosition: first.position,
      });
    }
    const from = this.#offset(first.windowPosition);
    return {
      batches,
      position: first.position,
      bytes: this.#buffer.subarray(from, from + bytes),
      lastSequence: sequence(last.firstSequence + last.count - 1),
      endPosition: last.position + last.bytes,
      windowEnd: last.windowPosition + last.written,
      hash: this.#hash,
    };
  }

  /** The run is on the drive: its place may be overwritten by what is appended. */
  release(run: Run): void {
    this.#written = run.windowEnd;
  }

  /** A view of what was appended at this window position, if it is still there. */
  at(windowPosition: number, bytes: number): Uint8Array | undefined {
    if (windowPosition < 0 || windowPosition < this.#front - this.#buffer.length) return undefined;
    const from = this.#offset(windowPosition);
    return this.#buffer.subarray(from, from + bytes);
  }

  close(): void {
    this.#world.memory.free(this.#buffer);
  }

  /** Whether a request goes in the open batch. */
  #joins(data: number, descriptor: number): boolean {
    const batch = this.#open;
    return (
      batch !== undefined &&
      batch.headerBytes + descriptor <= BLOCK_BYTES &&
      (batch.position % this.#ringBytes) + batch.bytes + data <= this.#ringBytes &&
      this.#offset(batch.windowPosition) + batch.bytes + data <= this.#buffer.length
    );
  }

  #begin(firstSequence: Sequence, bytes: number): Batch {
    const windowPosition = this.#place(bytes, this.#front);
    const batch = {
      position: this.#end,
      windowPosition,
      firstSequence,
      bytes: BLOCK_BYTES,
      written: BLOCK_BYTES,
      headerBytes: BatchHeaderLayout.size,
      count: 0,
      previousHash: 0,
    };
    this.#open = undefined;
    this.#queue.push(batch);
    this.#end += BLOCK_BYTES;
    this.#front = windowPosition + BLOCK_BYTES;
    return batch;
  }

  #leftInRing(): number {
    return this.#ringBytes - (this.#end % this.#ringBytes);
  }

  /** The window position at which so many contiguous bytes begin. */
  #place(bytes: number, front: number): number {
    const offset = this.#offset(front);
    return offset + bytes <= this.#buffer.length ? front : front + this.#buffer.length - offset;
  }

  #offset(windowPosition: number): number {
    return windowPosition % this.#buffer.length;
  }
}
