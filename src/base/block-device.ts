/**
 * The one interface between layers: a drive, an array, a volume of it and a LUN's backing are all block devices.
 * Layers that stack never import each other; the site stacks them.
 */

import type { Lba } from "./units.ts";

/** The completion of a request: `undefined` when it is already done, so that a cached read costs no promise. */
export type Pending = Promise<void> | undefined;

export interface WriteOptions {
  /** Force unit access: the write is on non-volatile media when it completes. */
  readonly fua?: boolean;
  readonly signal?: AbortSignal;
}

/** Whether blocks hold something of their own; those that do not read as zeros. */
export interface Allocation {
  readonly mapped: boolean;
  /** How many, from the one that was asked for on: at least 1, and not more than were asked for. */
  readonly blocks: number;
}

/**
 * Buffers hold a whole number of blocks and stay untouched by the caller until the request completes.
 * Requests that overlap and are in flight together complete in any order. Failures reject with an `OperatingError`.
 */
export interface BlockDevice {
  /** Bytes in a block. */
  readonly blockSize: number;
  readonly blockCount: number;
  read(lba: Lba, into: Uint8Array, signal?: AbortSignal): Pending;
  write(lba: Lba, from: Uint8Array, options?: WriteOptions): Pending;
  /** Every write that completed before is on non-volatile media when this completes. */
  flush(signal?: AbortSignal): Pending;
  /** The blocks' content is no longer needed; they read as zeros afterwards. */
  unmap(lba: Lba, blocks: number, signal?: AbortSignal): Pending;
  /** What the first of these blocks is, and how many are so, as far as it can be told in one go. */
  allocation?(lba: Lba, blocks: number): Promise<Allocation>;
}
