/**
 * Where things lie on a member, in its drive's blocks of 4 KiB:
 *
 *     0          head: first 64 KiB unused, two superblock copies, between them the join mark, rest zero (1 MiB)
 *     256        stripe log (1 MiB)
 *     512        zones: 1 checksum block, then 1024 data blocks (4 MiB), again and again
 *     end - 256  tail: two superblock copies, rest zero (1 MiB)
 *
 * Entry i of a zone's checksum block belongs to its data block i. A chunk is never larger than 1 MiB and is a power of
 * two, so that it never crosses a zone.
 */

import { type Lba, lba } from "../base/units.ts";

export const HEAD_BLOCKS = 256;
export const TAIL_BLOCKS = 256;
export const LOG_FIRST_BLOCK = 256;
export const LOG_AREA_BLOCKS = 256;
export const ZONES_FIRST_BLOCK = 512;
export const ZONE_DATA_BLOCKS = 1024;
export const ZONE_BLOCKS = 1 + ZONE_DATA_BLOCKS;
export const SUPERBLOCK_BLOCKS = 4;
/** Where the two copies of the head, and those of the tail, begin and end within it. */
export const SUPERBLOCK_COPIES = { first: 16, apart: 16, count: 20 } as const;
/** Where the join mark is while there is one: between the superblock copies of the head. */
export const JOIN_MARK_BLOCK = 24;
export const CHUNK_BLOCKS_MAX = 256;
/** Blocks of the smallest drive that can be a member. */
export const MEMBER_BLOCKS_MIN = ZONES_FIRST_BLOCK + ZONE_BLOCKS + TAIL_BLOCKS;

/** Zones that fit on a drive. */
export function zonesOf(driveBlocks: number): number {
  return Math.max(0, Math.floor((driveBlocks - ZONES_FIRST_BLOCK - TAIL_BLOCKS) / ZONE_BLOCKS));
}

export function zoneOf(index: number): number {
  return Math.floor(index / ZONE_DATA_BLOCKS);
}

/** Drive block of a zone's checksum block. */
export function checksumBlock(zone: number): Lba {
  return lba(ZONES_FIRST_BLOCK + zone * ZONE_BLOCKS);
}

/** Drive block of a member's data block. */
export function dataBlock(index: number): Lba {
  const zone = zoneOf(index);
  return lba(ZONES_FIRST_BLOCK + zone * ZONE_BLOCKS + 1 + (index - zone * ZONE_DATA_BLOCKS));
}

/** Data blocks from `index` on that lie in one zone, at most `count`. */
export function runInZone(index: number, count: number): number {
  return Math.min(count, ZONE_DATA_BLOCKS - (index % ZONE_DATA_BLOCKS));
}

/**
 * Drive block of a superblock copy. A generation is written to the copies of its parity only, head first, so that the
 * generation before it stays whole until it is done.
 */
export function superblockCopy(driveBlocks: number, generation: number, end: "head" | "tail"): Lba {
  const base = end === "head" ? 0 : driveBlocks - TAIL_BLOCKS;
  return lba(base + SUPERBLOCK_COPIES.first + (generation % 2) * SUPERBLOCK_COPIES.apart);
}
