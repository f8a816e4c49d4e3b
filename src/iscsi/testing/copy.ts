/** Parameter lists of commands that copy, byte by byte. */

import { concat } from "./initiator.ts";

const be = (value: number | bigint, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, at) => Number((BigInt(value) >> BigInt(8 * (bytes - 1 - at))) & 0xffn));

/** A CDB of 16 bytes with a list's or an allocation's length at 10. */
export const copyCdb = (opcode: number, action: number, length: number, listId: readonly number[] = []) => [
  opcode,
  action,
  ...Array.from({ length: 8 }, (_, at) => listId[at] ?? 0),
  ...be(length, 4),
  0,
  0,
];

/** An identification descriptor with an NAA, for a unit with blocks of so many bytes. */
export function cscd(naa: bigint, blockBytes = 512, deviceType = 0, type = 0xe4): number[] {
  return [type, deviceType, 0, 0, 1, 3, 0, 8, ...be(naa, 8), ...new Array<number>(12).fill(0), 0, ...be(blockBytes, 3)];
}

export interface SegmentFields {
  readonly type?: number;
  readonly flags?: number;
  readonly from?: number;
  readonly to?: number;
  readonly blocks?: number;
  readonly fromLba?: number;
  readonly toLba?: number;
}

/** Block to block. */
export function segment({ type = 2, flags = 0, from = 0, to = 0, blocks = 1, fromLba = 0, toLba = 0 }: SegmentFields) {
  return [
    type,
    flags,
    0,
    0x18,
    ...be(from, 2),
    ...be(to, 2),
    0,
    0,
    ...be(blocks, 2),
    ...be(fromLba, 8),
    ...be(toLba, 8),
  ];
}

/** Block to block, in bytes. */
export function byteSegment(
  bytes: number,
  fromLba: number,
  toLba: number,
  from = 0,
  to = 0,
  offsets = [0, 0],
): number[] {
  return [
    ...[0x0a, 0, 0, 0x1c, ...be(from, 2), ...be(to, 2), ...be(bytes, 4), ...be(fromLba, 8), ...be(toLba, 8)],
    ...offsets.flatMap((offset) => be(offset, 2)),
  ];
}

export function lid1List(
  listId: number,
  cscds: readonly (readonly number[])[],
  segments: readonly (readonly number[])[],
  { usage = 0, inline = 0 } = {},
): Uint8Array {
  const cscdBytes = cscds.flat();
  const segmentBytes = segments.flat();
  return concat(
    new Uint8Array([listId, usage << 3, ...be(cscdBytes.length, 2), 0, 0, 0, 0, ...be(segmentBytes.length, 4)]),
    new Uint8Array([...be(inline, 4), ...cscdBytes, ...segmentBytes]),
  );
}

export function lid4List(
  listId: number,
  cscds: readonly (readonly number[])[],
  segments: readonly (readonly number[])[],
  { usage = 0, immediate = false } = {},
): Uint8Array {
  const cscdBytes = cscds.flat();
  const segmentBytes = segments.flat();
  const header = new Uint8Array(48);
  header.set([1, usage << 3, 0, 0x20]);
  header[15] = immediate ? 1 : 0;
  header[16] = 0xff;
  header.set(be(listId, 4), 20);
  header.set([...be(cscdBytes.length, 2), ...be(segmentBytes.length, 2)], 42);
  return concat(header, new Uint8Array([...cscdBytes, ...segmentBytes]));
}

/** Ranges of blocks, as token commands have them. */
function ranges(list: readonly (readonly [lba: number, blocks: number])[]): number[] {
  return list.flatMap(([lba, blocks]) => [...be(lba, 8), ...be(blocks, 4), 0, 0, 0, 0]);
}

export function populateList(
  list: readonly (readonly [lba: number, blocks: number])[],
  { timeout = 0, type = undefined as number | undefined, immediate = false } = {},
): Uint8Array {
  const bytes = ranges(list);
  return new Uint8Array([
    ...be(14 + bytes.length, 2),
    (type === undefined ? 0 : 2) | (immediate ? 1 : 0),
    0,
    ...be(timeout, 4),
    ...be(type ?? 0, 4),
    0,
    0,
    ...be(bytes.length, 2),
    ...bytes,
  ]);
}

export function writeUsingTokenList(
  token: Uint8Array,
  list: readonly (readonly [lba: number, blocks: number])[],
  { offset = 0, remove = false, immediate = false } = {},
): Uint8Array {
  const bytes = ranges(list);
  return new Uint8Array([
    ...be(534 + bytes.length, 2),
    (remove ? 2 : 0) | (immediate ? 1 : 0),
    ...new Array<number>(5).fill(0),
    ...be(offset, 8),
    ...token,
    ...new Array<number>(6).fill(0),
    ...be(bytes.length, 2),
    ...bytes,
  ]);
}
