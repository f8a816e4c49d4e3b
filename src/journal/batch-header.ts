/**
 * The header of a batch: one block, in front of the payload of the batch's requests.
 *
 * Positions in the log are absolute: they count bytes since the journal was formatted and never repeat; a position's place
 * in the ring is its remainder by the ring's size. A batch never wraps around the ring's end: a batch without
 * requests, a skip, fills what is left there. The header's checksum is the batch's hash: the next header holds it.
 */

import { type DecodedDescriptor, decodeDescriptor } from "../base/data-write-request.ts";
import { layout, raw, u32, u64 } from "../base/layout.ts";
import { BLOCK_BYTES, type Sequence, sequence } from "../base/units.ts";
import type { World } from "../platform/world.ts";

const MAGIC = new TextEncoder().encode("ANTPBTCH");

/** The fixed part; the descriptors of the requests follow it. */
export const BatchHeaderLayout = layout("journal batch header", 80, {
  magic: [0, raw(8)],
  /** CRC32C of the header with this field zero, up to `headerBytes`. */
  crc: [8, u32],
  headerBytes: [12, u32],
  uuid: [16, raw(16)],
  position: [32, u64],
  /** Length in the ring: header block and payload; a skip's reaches to the ring's end. */
  bytes: [40, u32],
  previousHash: [44, u32],
  /** Of the batch's first request, or of the one that will follow a skip. */
  firstSequence: [48, u64],
  opening: [56, u64],
  /** Everything below was durable before this batch was written: where its drive write begins. */
  durablePosition: [64, u64],
  /** Requests in the batch; 0 makes it a skip. */
  count: [72, u32],
  reserved: [76, raw(4)],
});

export interface BatchHeader {
  readonly position: number;
  readonly bytes: number;
  readonly headerBytes: number;
  readonly previousHash: number;
  readonly firstSequence: Sequence;
  readonly opening: number;
  readonly durablePosition: number;
  readonly count: number;
}

type Arithmetic = Pick<World["arithmetic"], "crc32c">;

/**
 * Completes a header block whose descriptors are in place already.
 *
 * @returns the batch's hash
 */
export function sealHeader(arithmetic: Arithmetic, block: Uint8Array, uuid: Uint8Array, header: BatchHeader): number {
  const view = new DataView(block.buffer, block.byteOffset, BLOCK_BYTES);
  block.fill(0, header.headerBytes, BLOCK_BYTES);
  BatchHeaderLayout.magic.set(view, 0, MAGIC);
  BatchHeaderLayout.crc.set(view, 0, 0);
  BatchHeaderLayout.headerBytes.set(view, 0, header.headerBytes);
  BatchHeaderLayout.uuid.set(view, 0, uuid);
  BatchHeaderLayout.position.set(view, 0, header.position);
  BatchHeaderLayout.bytes.set(view, 0, header.bytes);
  BatchHeaderLayout.previousHash.set(view, 0, header.previousHash);
  BatchHeaderLayout.firstSequence.set(view, 0, header.firstSequence);
  BatchHeaderLayout.opening.set(view, 0, header.opening);
  BatchHeaderLayout.durablePosition.set(view, 0, header.durablePosition);
  BatchHeaderLayout.count.set(view, 0, header.count);
  view.setUint32(BatchHeaderLayout.reserved.offset, 0);
  const hash = arithmetic.crc32c(block.subarray(0, header.headerBytes));
  BatchHeaderLayout.crc.set(view, 0, hash);
  return hash;
}

/** Whether the block claims to be the header of the batch of this journal at this position; says nothing of its checksum. */
export function claimsBatch(view: DataView, at: number, uuid: Uint8Array, position: number): boolean {
  for (let byte = 0; byte < MAGIC.length; byte++) if (view.getUint8(at + byte) !== MAGIC[byte]) return false;
  for (let byte = 0; byte < uuid.length; byte++) {
    if (view.getUint8(at + BatchHeaderLayout.uuid.offset + byte) !== uuid[byte]) return false;
  }
  return BatchHeaderLayout.position.get(view, at) === position;
}

export interface DecodedHeader extends BatchHeader {
  readonly hash: number;
}

/**
 * Decodes the header of the batch at `position` and checks all that it says by itself.
 *
 * @param block 4 KiB; untouched afterwards
 * @returns the header, or what is wrong with it
 */
export function decodeHeader(
  arithmetic: Arithmetic,
  block: Uint8Array,
  uuid: Uint8Array,
  position: number,
  ringBytes: number,
): DecodedHeader | string {
  const view = new DataView(block.buffer, block.byteOffset, BLOCK_BYTES);
  if (!claimsBatch(view, 0, uuid, position)) return "there is no batch header";
  const headerBytes = BatchHeaderLayout.headerBytes.get(view, 0);
  if (headerBytes < BatchHeaderLayout.size || headerBytes > BLOCK_BYTES)
    return "the batch header's length is impossible";
  const hash = BatchHeaderLayout.crc.get(view, 0);
  BatchHeaderLayout.crc.set(view, 0, 0);
  const computed = arithmetic.crc32c(block.subarray(0, headerBytes));
  BatchHeaderLayout.crc.set(view, 0, hash);
  if (computed !== hash) return "the batch header fails its checksum";
  const bytes = BatchHeaderLayout.bytes.get(view, 0);
  if (bytes < BLOCK_BYTES || bytes % BLOCK_BYTES !== 0 || (position % ringBytes) + bytes > ringBytes) {
    return `the batch's length of ${bytes} bytes is impossible`;
  }
  return {
    position,
    bytes,
    headerBytes,
    hash,
    previousHash: BatchHeaderLayout.previousHash.get(view, 0),
    firstSequence: sequence(BatchHeaderLayout.firstSequence.get(view, 0)),
    opening: BatchHeaderLayout.opening.get(view, 0),
    durablePosition: BatchHeaderLayout.durablePosition.get(view, 0),
    count: BatchHeaderLayout.count.get(view, 0),
  };
}

/** @returns the descriptors of the batch's requests in order, or what is wrong with them */
export function decodeDescriptors(block: Uint8Array, header: BatchHeader): DecodedDescriptor[] | string {
  const view = new DataView(block.buffer, block.byteOffset, BLOCK_BYTES);
  const requests: DecodedDescriptor[] = [];
  let at = BatchHeaderLayout.size;
  let payload = 0;
  for (let index = 0; index < header.count; index++) {
    const request = decodeDescriptor(view, at, header.headerBytes);
    if (typeof request === "string") return request;
    if (request.sequence !== header.firstSequence + index) return `request ${request.sequence} is out of order`;
    requests.push(request);
    at += request.encodedBytes;
    payload += request.checksums.length * BLOCK_BYTES;
  }
  if (at !== header.headerBytes) return "the batch header's length does not fit its descriptors";
  if (header.count > 0 && BLOCK_BYTES + payload !== header.bytes) return "the batch's length does not fit its requests";
  return requests;
}
