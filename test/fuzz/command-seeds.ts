/** A sound command of every kind that the target knows, for a volume of 256 blocks of 512 bytes. */

import { BLOCK_BYTES } from "./volume-model.ts";

export interface CommandSeed {
  readonly cdb: readonly number[];
  /** Bytes that the initiator expects. */
  readonly read?: number;
  /** Bytes that the initiator sends; a parameter list, or as many bytes of data. */
  readonly write?: number | readonly number[];
}

type Width = 1 | 2 | 4 | 8;

/** A big-endian number. */
const be = (width: Width, value: number): readonly number[] =>
  Array.from({ length: width }, (_, i) => Math.floor(value / 2 ** (8 * (width - 1 - i))) & 0xff);

const cdb6 = (opcode: number, lba: number, blocks: number) => [opcode, ...be(4, lba).slice(1), blocks, 0];
const cdb10 = (opcode: number, flags: number, lba: number, blocks: number) => [
  ...[opcode, flags, ...be(4, lba), 0, ...be(2, blocks), 0],
];
const cdb12 = (opcode: number, flags: number, lba: number, blocks: number) => [
  ...[opcode, flags, ...be(4, lba), ...be(4, blocks), 0, 0],
];
const cdb16 = (opcode: number, flags: number, lba: number, blocks: number) => [
  ...[opcode, flags, ...be(8, lba), ...be(4, blocks), 0, 0],
];
/** One with no LBA and an allocation or parameter list length of two bytes. */
const listed10 = (opcode: number, flags: number, length: number) => cdb10(opcode, flags, 0, length);
/** Of two service actions: PERSISTENT RESERVE OUT of a type, with both keys. */
const reserveOut = (action: number, type: number, key: number, newKey: number): CommandSeed => ({
  cdb: [0x5f, action, type, 0, 0, ...be(4, 24), 0],
  write: [...be(8, key), ...be(8, newKey), 0, 0, 0, 0, 0, 0, 0, 0],
});
const serviceIn = (opcode: number, action: number, length: number): CommandSeed => ({
  cdb: [opcode, action, 0, 0, 0, 0, 0, 0, 0, 0, ...be(4, length), 0, 0],
  read: length,
});
const maintenanceIn = (action: number, options: number, length: number): CommandSeed => ({
  cdb: [0xa3, action, options, 0x28, 0, 0, ...be(4, length), 0, 0],
  read: length,
});

const reads: readonly CommandSeed[] = [
  { cdb: cdb6(0x08, 3, 2), read: 2 * BLOCK_BYTES },
  { cdb: cdb10(0x28, 0, 10, 4), read: 4 * BLOCK_BYTES },
  { cdb: cdb12(0xa8, 0x08, 20, 1), read: BLOCK_BYTES },
  { cdb: cdb16(0x88, 0x10, 250, 6), read: 6 * BLOCK_BYTES },
];

const writes: readonly CommandSeed[] = [
  { cdb: cdb6(0x0a, 3, 2), write: 2 * BLOCK_BYTES },
  { cdb: cdb10(0x2a, 0x08, 10, 4), write: 4 * BLOCK_BYTES },
  { cdb: cdb12(0xaa, 0, 20, 1), write: BLOCK_BYTES },
  { cdb: cdb16(0x8a, 0, 250, 6), write: 6 * BLOCK_BYTES },
  { cdb: cdb10(0x2e, 0x02, 30, 2), write: 2 * BLOCK_BYTES },
  { cdb: cdb12(0xae, 0, 40, 1), write: BLOCK_BYTES },
  { cdb: cdb16(0x8e, 0x02, 50, 3), write: 3 * BLOCK_BYTES },
  { cdb: [0x9c, 0, ...be(8, 60), 0, 0, ...be(2, 4), 0, 0], write: 4 * BLOCK_BYTES },
  { cdb: cdb16(0x8b, 0, 70, 2), write: 2 * BLOCK_BYTES },
  { cdb: [0x89, 0, ...be(8, 80), 0, 0, 0, 1, 0, 0], write: 2 * BLOCK_BYTES },
  { cdb: cdb10(0x41, 0, 90, 8), write: BLOCK_BYTES },
  { cdb: cdb10(0x41, 0x08, 100, 8), write: BLOCK_BYTES },
  { cdb: cdb16(0x93, 0, 110, 16), write: BLOCK_BYTES },
  { cdb: cdb16(0x93, 0x01, 120, 16) },
  { cdb: cdb16(0x93, 0x09, 130, 16) },
  { cdb: cdb16(0x93, 0, 246, 0), write: BLOCK_BYTES },
  {
    cdb: listed10(0x42, 0, 40),
    write: [...be(2, 38), ...be(2, 32), 0, 0, 0, 0, ...descriptor(140, 4), ...descriptor(200, 9)],
  },
  { cdb: [0x04, 0, 0, 0, 0, 0] },
  { cdb: [0x04, 0x10, 0, 0, 0, 0], write: [0, 0x02, 0, 0] },
  { cdb: listed10(0x48, 0x01, 8), write: [0x82, 0, ...be(2, 4), 0xca, 0xfe, 0x12, 0x34] },
  { cdb: listed10(0x48, 0x02, 0) },
  { cdb: listed10(0x48, 0x82, 0) },
  { cdb: listed10(0x48, 0x1f, 0) },
];

function descriptor(lba: number, blocks: number): readonly number[] {
  return [...be(8, lba), ...be(4, blocks), 0, 0, 0, 0];
}

const checks: readonly CommandSeed[] = [
  { cdb: cdb10(0x2f, 0, 0, 64) },
  { cdb: cdb10(0x2f, 0x02, 30, 2), write: 2 * BLOCK_BYTES },
  { cdb: cdb12(0xaf, 0x06, 40, 2), write: BLOCK_BYTES },
  { cdb: cdb16(0x8f, 0, 50, 200) },
  { cdb: cdb10(0x34, 0x02, 0, 16) },
  { cdb: cdb16(0x90, 0, 0, 16) },
  { cdb: cdb10(0x35, 0, 0, 0) },
  { cdb: cdb16(0x91, 0x02, 0, 0) },
  { cdb: cdb16(0x9e, 0x12, 0, 256), read: 256 },
];

const reports: readonly CommandSeed[] = [
  { cdb: [0x00, 0, 0, 0, 0, 0] },
  { cdb: [0x03, 0, 0, 0, 252, 0], read: 252 },
  { cdb: [0x12, 0, 0, ...be(2, 96), 0], read: 96 },
  ...[0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2].map((page) => ({
    cdb: [0x12, 1, page, ...be(2, 255), 0],
    read: 255,
  })),
  { cdb: [0x1a, 0, 0x3f, 0xff, 255, 0], read: 255 },
  { cdb: listed10(0x5a, 0, 512).with(2, 0x3f), read: 512 },
  { cdb: [0x15, 0x10, 0, 0, 24, 0], write: [0, 0, 0, 0, 0x08, 0x12, ...new Array<number>(18).fill(0)] },
  { cdb: listed10(0x55, 0x10, 20), write: [...be(8, 0), 0x0a, 0x0a, 0x02, ...new Array<number>(9).fill(0)] },
  { cdb: [0x1b, 0, 0, 0, 0x01, 0] },
  { cdb: [0x1e, 0, 0, 0, 0x01, 0] },
  { cdb: cdb10(0x25, 0, 0, 0), read: 8 },
  { cdb: listed10(0x37, 0, 64).with(2, 0x18), read: 64 },
  { cdb: cdb12(0xb7, 0x18, 0, 64), read: 64 },
  { cdb: listed10(0x4d, 0, 512).with(2, 0x40), read: 512 },
  serviceIn(0x9e, 0x10, 32),
  { cdb: [0xa0, 0, 0, 0, 0, 0, ...be(4, 256), 0, 0], read: 256 },
  maintenanceIn(0x0a, 0, 256),
  maintenanceIn(0x0c, 0x80, 4096),
  maintenanceIn(0x0c, 0x01, 64),
  maintenanceIn(0x0d, 0x80, 16),
];

const reservations: readonly CommandSeed[] = [
  { cdb: [0x16, 0, 0, 0, 0, 0] },
  { cdb: [0x17, 0, 0, 0, 0, 0] },
  { cdb: listed10(0x56, 0, 0) },
  { cdb: listed10(0x57, 0, 0) },
  ...[0, 1, 2, 3].map((action) => ({ cdb: listed10(0x5e, action, 256), read: 256 })),
  reserveOut(0x00, 0, 0, 0xabc),
  reserveOut(0x01, 0x01, 0xabc, 0),
  reserveOut(0x01, 0x05, 0xabc, 0),
  reserveOut(0x02, 0x01, 0xabc, 0),
  reserveOut(0x03, 0, 0xabc, 0),
  reserveOut(0x04, 0x01, 0xabc, 0xabc),
  reserveOut(0x05, 0x01, 0xabc, 0xabc),
  reserveOut(0x06, 0, 0, 0xdef),
  reserveOut(0x00, 0, 0xdef, 0),
];

/** Third-party copies: their lists of nothing are sound. */
const copies: readonly CommandSeed[] = [
  { cdb: [0x83, 0x00, ...be(8, 0), ...be(4, 16), 0, 0], write: new Array<number>(16).fill(0) },
  { cdb: [0x83, 0x10, ...be(8, 0), ...be(4, 48), 0, 0], write: new Array<number>(48).fill(0) },
  serviceIn(0x84, 0x03, 256),
  serviceIn(0x84, 0x07, 256),
];

export const COMMANDS: readonly CommandSeed[] = [
  ...reads,
  ...writes,
  ...writes,
  ...checks,
  ...reports,
  ...reservations,
  ...copies,
];
