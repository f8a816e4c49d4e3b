/**
 * A data write request: one host write, or a part of one, in its consistency group's order.
 * Its descriptor has one format, in the journal and on the site link, and its checksums are made once, where the
 * write enters the group, and travel with it to every site and down to the array.
 */

import { assert } from "./assert.ts";
import { layout, raw, u8, u16, u32, u64 } from "./layout.ts";
import {
  BLOCK_BYTES,
  type Epoch,
  epoch,
  type Lba,
  lba,
  type Sequence,
  sequence,
  type VolumeId,
  volumeId,
} from "./units.ts";

export type RequestKind = "write" | "unmap" | "epoch-start";

/** Blocks of data that one request carries at the most: 1 MiB. Larger host writes are split. */
export const REQUEST_BLOCKS_MAX = 256;
/** Blocks that one unmap covers at the most. */
export const UNMAP_BLOCKS_MAX = 0xffffffff;

export interface DataWriteRequest {
  readonly kind: RequestKind;
  /** Epoch in which the request was made; it keeps it wherever it is resent. */
  readonly epoch: Epoch;
  readonly sequence: Sequence;
  readonly volume: VolumeId;
  /** First block, in blocks of 4 KiB. */
  readonly lba: Lba;
  /** Number of blocks of 4 KiB; 0 for an epoch-start. */
  readonly blocks: number;
  /** CRC32C of each block; empty unless this is a write. */
  readonly checksums: Uint32Array;
  /** The blocks' content; empty unless this is a write. */
  readonly data: Uint8Array;
}

const KINDS: readonly RequestKind[] = ["write", "unmap", "epoch-start"];

/** The fixed part of a request's descriptor; the checksums of its blocks follow it, 4 bytes each. */
export const Descriptor = layout("data write request descriptor", 40, {
  kind: [0, u8],
  reserved: [1, raw(1)],
  volume: [2, u16],
  blocks: [4, u32],
  epoch: [8, u64],
  sequence: [16, u64],
  lba: [24, u64],
  reservedTail: [32, raw(8)],
});

/** Bytes of the descriptor of a request that carries `blocks` blocks of data, checksums included. */
export function descriptorBytes(dataBlocks: number): number {
  return Descriptor.size + 4 * dataBlocks;
}

/** Blocks of data that a request carries: all of a write's, none of any other kind's. */
export function dataBlocks(request: DataWriteRequest): number {
  return request.kind === "write" ? request.blocks : 0;
}

/** @returns the bytes written: `descriptorBytes(dataBlocks(request))` */
export function encodeDescriptor(view: DataView, at: number, request: DataWriteRequest): number {
  const carried = dataBlocks(request);
  assert(carried <= REQUEST_BLOCKS_MAX, "a request carries no more blocks than fit in one");
  assert(request.checksums.length === carried, "a request has one checksum for each block it carries");
  assert(request.data.length === carried * BLOCK_BYTES, "a request's data is as long as its blocks");
  Descriptor.kind.set(view, at, KINDS.indexOf(request.kind));
  view.setUint8(at + Descriptor.reserved.offset, 0);
  Descriptor.volume.set(view, at, request.volume);
  Descriptor.blocks.set(view, at, request.blocks);
  Descriptor.epoch.set(view, at, request.epoch);
  Descriptor.sequence.set(view, at, request.sequence);
  Descriptor.lba.set(view, at, request.lba);
  view.setUint32(at + Descriptor.reservedTail.offset, 0);
  view.setUint32(at + Descriptor.reservedTail.offset + 4, 0);
  for (let block = 0; block < carried; block++) {
    view.setUint32(at + Descriptor.size + 4 * block, request.checksums[block], true);
  }
  return descriptorBytes(carried);
}

/** A request's descriptor without its data, and the length of its encoding. */
export type DecodedDescriptor = Omit<DataWriteRequest, "data"> & { readonly encodedBytes: number };

/**
 * Decodes what another site or an older journal wrote; checks all that the format can check.
 *
 * @param end bytes of `view` that may be read
 * @returns the descriptor, or what is wrong with it
 */
export function decodeDescriptor(view: DataView, at: number, end: number): DecodedDescriptor | string {
  if (at + Descriptor.size > end) return `descriptor cut short: ${end - at} of ${Descriptor.size} bytes`;
  const kind = KINDS[Descriptor.kind.get(view, at)];
  if (kind === undefined) return `unknown request kind ${Descriptor.kind.get(view, at)}`;
  const blocks = Descriptor.blocks.get(view, at);
  const carried = kind === "write" ? blocks : 0;
  if (carried > REQUEST_BLOCKS_MAX) return `request of ${blocks} blocks, at most ${REQUEST_BLOCKS_MAX} are allowed`;
  if (kind === "write" && blocks === 0) return "write of no blocks";
  const encodedBytes = descriptorBytes(carried);
  if (at + encodedBytes > end) return `descriptor cut short: ${end - at} of ${encodedBytes} bytes`;
  const numbers = [Descriptor.epoch.get(view, at), Descriptor.sequence.get(view, at), Descriptor.lba.get(view, at)];
  if (numbers.some(Number.isNaN)) return "epoch, sequence or block address out of range";
  const checksums = new Uint32Array(carried);
  for (let block = 0; block < carried; block++) {
    checksums[block] = view.getUint32(at + Descriptor.size + 4 * block, true);
  }
  return {
    kind,
    epoch: epoch(numbers[0]),
    sequence: sequence(numbers[1]),
    volume: volumeId(Descriptor.volume.get(view, at)),
    lba: lba(numbers[2]),
    blocks,
    checksums,
    encodedBytes,
  };
}
