/** The data of a request that is in this site's journal, from another site, where the journal can't give it back. */

import type { BlockDevice } from "../base/block-device.ts";
import { REQUEST_BLOCKS_MAX } from "../base/data-write-request.ts";
import { BLOCK_BYTES, lba } from "../base/units.ts";
import type { RequestHead } from "../journal/journal.ts";
import type { Arithmetic } from "../platform/arithmetic.ts";

/** Of one question at a time: nothing is awaited between its filling and its use. */
const computed = new Uint32Array(REQUEST_BLOCKS_MAX);

/**
 * Reads blocks of a write from another site's volume. Rejects as the volume does.
 *
 * @param firstBlock counted from the request's first block
 * @returns whether they are what the request wrote; the other site may not have it yet, or have a newer one
 */
export async function readOtherCopy(
  arithmetic: Arithmetic,
  volume: BlockDevice,
  head: RequestHead,
  firstBlock: number,
  into: Uint8Array,
): Promise<boolean> {
  await volume.read(lba(head.lba + firstBlock), into);
  return isAsWritten(arithmetic, head, firstBlock, into);
}

/** Whether data has the checksums that the request's blocks from `firstBlock` on have. */
export function isAsWritten(arithmetic: Arithmetic, head: RequestHead, firstBlock: number, data: Uint8Array): boolean {
  arithmetic.crc32cBlocks(data, computed);
  for (let block = 0; block < data.length / BLOCK_BYTES; block++) {
    if (computed[block] !== head.checksums[firstBlock + block]) return false;
  }
  return true;
}
