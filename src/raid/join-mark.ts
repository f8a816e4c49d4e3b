/**
 * What is on a drive while an array takes it in: a mark that says so. It is there before anything else is changed, and
 * until the drive has superblocks; so a drive that a crash left half cleared is known for what it is, and not taken for
 * somebody else's. One sector, which is written whole or not at all.
 */

import { layout, raw, u16, u32 } from "../base/layout.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import type { Arithmetic } from "../platform/arithmetic.ts";

const MAGIC = new TextEncoder().encode("ANTIJOIN");
const FORMAT_VERSION = 1;

export const JoinMark = layout("join mark", 64, {
  magic: [0, raw(8)],
  version: [8, u16],
  reserved: [10, raw(2)],
  /** CRC32C of the mark, with this field zero. */
  checksum: [12, u32],
  arrayUuid: [16, raw(16)],
  reservedTail: [32, raw(32)],
});

/** Fills a block with the mark. */
export function encodeJoinMark(arrayUuid: Uint8Array, into: Uint8Array, arithmetic: Arithmetic): void {
  into.fill(0, 0, BLOCK_BYTES);
  const view = new DataView(into.buffer, into.byteOffset, JoinMark.size);
  JoinMark.magic.set(view, 0, MAGIC);
  JoinMark.version.set(view, 0, FORMAT_VERSION);
  JoinMark.arrayUuid.set(view, 0, arrayUuid);
  JoinMark.checksum.set(view, 0, arithmetic.crc32c(into.subarray(0, JoinMark.size)));
}

/** @returns the UUID of the array that was taking the drive in, `undefined` where there is no mark */
export function decodeJoinMark(block: Uint8Array, arithmetic: Arithmetic): Uint8Array | undefined {
  if (!MAGIC.every((byte, at) => block[at] === byte)) return undefined;
  const copy = block.slice(0, JoinMark.size);
  const view = new DataView(copy.buffer);
  const checksum = JoinMark.checksum.get(view, 0);
  JoinMark.checksum.set(view, 0, 0);
  if (JoinMark.version.get(view, 0) !== FORMAT_VERSION || arithmetic.crc32c(copy) !== checksum) return undefined;
  return JoinMark.arrayUuid.get(view, 0).slice();
}
