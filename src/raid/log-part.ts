/**
 * One member's part of a logged update, as it stands in the log area: a header block with its entries, then the content
 * of those that have a checksum.
 */

import { assert } from "../base/assert.ts";
import { layout, raw, u8, u16, u32, u64 } from "../base/layout.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import type { Arithmetic } from "../platform/arithmetic.ts";
import { entriesOf, isChecksum } from "./checksum.ts";
import { blocks } from "./core.ts";
import { LOG_AREA_BLOCKS } from "./member-layout.ts";
import type { Superblock } from "./superblock.ts";

/** Data blocks of one part, at the most. */
export const LOG_BLOCKS_MAX = 128;

export const PART_BYTES = (1 + LOG_BLOCKS_MAX) * BLOCK_BYTES;
const MAGIC = new TextEncoder().encode("ANTISLOG");
const FORMAT_VERSION = 1;

export const PartHeader = layout("stripe log part", 64, {
  magic: [0, raw(8)],
  version: [8, u16],
  slot: [10, u8],
  reserved: [11, u8],
  /** Bit s: slot s has a part of this update. */
  participants: [12, u32],
  arrayUuid: [16, raw(16)],
  session: [32, raw(16)],
  update: [48, u64],
  /** Entries that follow; the blocks of those that have a CRC follow the header's block, in order. */
  count: [56, u32],
  /** CRC32C of the header's block, with this field zero. */
  checksum: [60, u32],
});

export const PartEntry = layout("stripe log entry", 16, {
  index: [0, u64],
  /** Its new entry in the checksum block; see checksum.ts. */
  entry: [8, u32],
  reserved: [12, raw(4)],
});

assert(PartHeader.size + LOG_BLOCKS_MAX * PartEntry.size <= BLOCK_BYTES, "a part's entries fit its header block");
assert(1 + LOG_BLOCKS_MAX <= LOG_AREA_BLOCKS, "a part fits the log area");

/** New blocks of one member, in one run. */
export interface LogPiece {
  readonly slot: number;
  readonly index: number;
  /** `undefined` where only the entries change. */
  readonly bytes: Uint8Array | undefined;
  readonly entries: Uint32Array;
}

export interface LogPart {
  readonly slot: number;
  /** Bit s: slot s has a part of this update. */
  readonly participants: number;
  readonly update: number;
  readonly pieces: readonly LogPiece[];
}

/** @returns the bytes of `buffer`, which has `PART_BYTES`, that are to be written */
export function encodePart(
  part: LogPart,
  superblock: Superblock,
  buffer: Uint8Array,
  arithmetic: Arithmetic,
): Uint8Array {
  const header = blocks(buffer, 0, 1);
  header.fill(0);
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  let count = 0;
  let filled = 1;
  for (const piece of part.pieces) {
    for (let i = 0; i < piece.entries.length; i++) {
      const at = PartHeader.size + count * PartEntry.size;
      PartEntry.index.set(view, at, piece.index + i);
      PartEntry.entry.set(view, at, piece.entries[i]);
      count++;
      if (!isChecksum(piece.entries[i])) continue;
      assert(piece.bytes !== undefined, "a block with a checksum has its content");
      blocks(buffer, filled, 1).set(blocks(piece.bytes, i, 1));
      filled++;
    }
  }
  PartHeader.magic.set(view, 0, MAGIC);
  PartHeader.version.set(view, 0, FORMAT_VERSION);
  PartHeader.slot.set(view, 0, part.slot);
  PartHeader.participants.set(view, 0, part.participants);
  PartHeader.arrayUuid.set(view, 0, superblock.arrayUuid);
  PartHeader.session.set(view, 0, superblock.session);
  PartHeader.update.set(view, 0, part.update);
  PartHeader.count.set(view, 0, count);
  PartHeader.checksum.set(view, 0, arithmetic.crc32c(header));
  return blocks(buffer, 0, filled);
}

/** @returns the part, whose content stays in `bytes`, or `undefined` where there is no whole one of this array, slot and session */
export function decodePart(
  bytes: Uint8Array,
  slot: number,
  superblock: Superblock,
  arithmetic: Arithmetic,
): LogPart | undefined {
  if (!looksLikePart(bytes)) return undefined;
  const header = bytes.slice(0, BLOCK_BYTES);
  const view = new DataView(header.buffer);
  const same = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, at) => byte === b[at]);
  if (PartHeader.version.get(view, 0) !== FORMAT_VERSION) return undefined;
  const checksum = PartHeader.checksum.get(view, 0);
  PartHeader.checksum.set(view, 0, 0);
  if (arithmetic.crc32c(header) !== checksum || PartHeader.slot.get(view, 0) !== slot) return undefined;
  if (!same(PartHeader.arrayUuid.get(view, 0), superblock.arrayUuid)) return undefined;
  if (!same(PartHeader.session.get(view, 0), superblock.session)) return undefined;
  const count = PartHeader.count.get(view, 0);
  if (count > LOG_BLOCKS_MAX) return undefined;
  const pieces: LogPiece[] = [];
  const crc = new Uint32Array(1);
  let filled = 1;
  for (let i = 0; i < count; i++) {
    const at = PartHeader.size + i * PartEntry.size;
    const entry = PartEntry.entry.get(view, at);
    let content: Uint8Array | undefined;
    if (isChecksum(entry)) {
      content = blocks(bytes, filled, 1);
      filled++;
      entriesOf(arithmetic, content, crc);
      if (crc[0] !== entry) return undefined;
    }
    pieces.push({ slot, index: PartEntry.index.get(view, at), bytes: content, entries: Uint32Array.of(entry) });
  }
  return {
    slot,
    update: PartHeader.update.get(view, 0),
    participants: PartHeader.participants.get(view, 0),
    pieces,
  };
}

/** Whether a header block may be that of a part: worth reading what follows it. */
export function looksLikePart(header: Uint8Array): boolean {
  return MAGIC.every((byte, at) => header[at] === byte);
}
