/**
 * Looks at an array's drives past the array: every block has its checksum, every row of level 5 adds up to zero, every
 * mirror is equal, and the volume is what it should be.
 */

import { BLOCK_BYTES } from "../../../src/base/units.ts";
import { chunkOf } from "../../../src/raid/geometry.ts";
import { checksumBlock, dataBlock } from "../../../src/raid/member-layout.ts";
import type { Bench } from "./bench.ts";
import type { Image } from "./crash-drive.ts";
import type { Page } from "./page.ts";

const ZEROS = new Uint8Array(BLOCK_BYTES);
const NEVER_WRITTEN = 0;
const LARGEST_MARK = 2;

/**
 * @param drives the drive of each slot, `undefined` where the slot is missing
 * @returns what is wrong, `undefined` where nothing is
 */
export function faultOf(
  bench: Bench,
  image: Image,
  drives: readonly (number | undefined)[],
  content: readonly Page[],
): string | undefined {
  const { geometry, volumeBlocks } = bench;
  const { chunkBlocks, stripeBlocks } = geometry;
  const sum = new Uint32Array(BLOCK_BYTES / 4);
  for (let index = 0; index < (volumeBlocks / stripeBlocks) * chunkBlocks; index++) {
    const stripe = Math.floor(index / chunkBlocks);
    sum.fill(0);
    for (const [slot, drive] of drives.entries()) {
      if (drive === undefined) continue;
      const entry = entryAt(image[drive], index);
      const block = entry === NEVER_WRITTEN ? ZEROS : image[drive][dataBlock(index)].bytes;
      const where = `block ${index} of slot ${slot}`;
      if (entry !== NEVER_WRITTEN && entry !== entryOf(block)) return `${where} is not what its entry ${entry} says`;
      const chunk = geometry.level === 5 ? chunkOf(geometry, stripe, slot) : 0;
      const address = stripe * stripeBlocks + chunk * chunkBlocks + (index % chunkBlocks);
      if (chunk >= 0 && Buffer.compare(block, content[address].bytes) !== 0) {
        return `${where} is not the content of block ${address} of the volume`;
      }
      const words = new Uint32Array(block.buffer, block.byteOffset, block.length / 4);
      for (let i = 0; i < words.length; i++) sum[i] ^= words[i];
    }
    if (geometry.level === 5 && !drives.includes(undefined) && sum.some((word) => word !== 0)) {
      return `the row of index ${index} does not add up`;
    }
  }
  return undefined;
}

function entryAt(pages: readonly Page[], index: number): number {
  const { bytes } = pages[checksumBlock(0)];
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(index * 4, true);
}

function entryOf(block: Uint8Array): number {
  const crc = Bun.hash.crc32(block);
  return crc > LARGEST_MARK ? crc : 0xffffffff - crc;
}
