/**
 * Entries of a checksum block: what is known of one data block.
 *
 *     0  never written: the block reads as zeros and counts as zeros in parity, whatever the drive holds there
 *     1  unknown: the block's content can be proven only by its row
 *     2  lost: nobody knows the block's content, which counts as zeros in parity; it cannot be read until it is written.
 *        Only rows that miss a member have one; where all are there, the parity of such a row is unknown instead
 *     n  the block's CRC32C; a CRC of 0, 1, 2 is stored as 0xffffffff, 0xfffffffe, 0xfffffffd
 *
 * Entries are little-endian, as this machine is.
 */

import { assert } from "../base/assert.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import type { Arithmetic } from "../platform/arithmetic.ts";

export const NEVER_WRITTEN = 0;
export const UNKNOWN = 1;
export const LOST = 2;

assert(new Uint8Array(Uint32Array.of(1).buffer)[0] === 1, "checksum blocks are used in place: little-endian only");

/** The entry of a block that has this CRC32C. */
export function entryOf(crc: number): number {
  return crc > LOST ? crc : 0xffffffff - crc;
}

/** Whether an entry is a CRC, and the block on the drive is meant to have it. */
export function isChecksum(entry: number): boolean {
  return entry > LOST;
}

/** Entries of the blocks of `data` into `into[0..]`. */
export function entriesOf(arithmetic: Arithmetic, data: Uint8Array, into: Uint32Array): void {
  arithmetic.crc32cBlocks(data, into);
  const blocks = data.length / BLOCK_BYTES;
  for (let i = 0; i < blocks; i++) if (into[i] <= LOST) into[i] = entryOf(into[i]);
}
