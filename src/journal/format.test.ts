/** The journal's formats, byte for byte: what version 1 wrote has to be read for ever. */

import { describe, expect, test } from "vitest";
import { encodeDescriptor } from "../base/data-write-request.ts";
import { BLOCK_BYTES, epoch, sequence } from "../base/units.ts";
import { plainArithmetic } from "../platform/plain-arithmetic.ts";
import { BatchHeaderLayout, decodeDescriptors, decodeHeader, sealHeader } from "./batch-header.ts";
import { bareRequest, writeRequest } from "./journal-testing.ts";
import { ARRAYS_MAX, decodeSuperblock, encodeSuperblock, HISTORY_MAX, type Superblock } from "./superblock.ts";

const UUID = Uint8Array.from({ length: 16 }, (_, at) => 0xa0 + at);

const STATE: Superblock = {
  uuid: UUID,
  group: "prod-é",
  site: "denver",
  driveBlocks: 0x11223,
  ringBytes: 0x10000000,
  closed: true,
  promised: epoch(7),
  tailPosition: 0x123456789000,
  tailHash: 0xdeadbeef,
  retired: sequence(0x1f_0000_0001),
  retiredEpoch: epoch(5),
  durablePosition: 0x12345678c000,
  opening: { number: 9, position: 0x123456788000, sequence: sequence(0x1f_0000_0000) },
  history: [
    { epoch: epoch(3), start: sequence(1) },
    { epoch: epoch(5), start: sequence(0x1f_0000_0000) },
  ],
  arrays: [],
};

const SUPERBLOCK =
  "414e54504a524e4c8602331b0100000021000000000000000403020101000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf70726f64" +
  "2dc3a900000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" +
  "000000000000000064656e7665720000000000000000000000000000000000000000000000000000000000000000000000000000" +
  "00000000000000000000000000000000000000002312010000000000000000100000000007000000000000000090785634120000" +
  "efbeadde02000000010000001f000000050000000000000000c07856341200000900000000000000008078563412000000000000" +
  "1f000000030000000000000001000000000000000500000000000000000000001f";

const HEADER =
  "414e5450425443488e8b6176d0000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf003000400000000000300000bebafeca29000000" +
  "00000000040000000000000000200040000000000300000000000000020000000000000003000000000000002900000000000000" +
  "00000000000000000000000000000000000002010200000003000000000000002a00000000000000896745230100000000000000" +
  "000000003a1bd24fd63d289601000000ffffffff03000000000000002b000000000000004d";

function hex(bytes: Uint8Array): string {
  const last = bytes.findLastIndex((byte) => byte !== 0);
  return Buffer.from(bytes.subarray(0, last + 1)).toString("hex");
}

function block(of: string): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  bytes.set(Buffer.from(of, "hex"));
  return bytes;
}

/** A batch of an epoch-start, a write of two blocks and an unmap. */
function sealed(): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES).fill(0xee);
  const view = new DataView(bytes.buffer);
  let headerBytes = BatchHeaderLayout.size;
  for (const request of [
    bareRequest("epoch-start", 41, { epoch: 3 }),
    writeRequest(42, { epoch: 3, volume: 0x102, lba: 0x1_2345_6789, blocks: 2 }),
    bareRequest("unmap", 43, { epoch: 3, lba: 77, blocks: 0xffffffff }),
  ]) {
    headerBytes += encodeDescriptor(view, headerBytes, request);
  }
  sealHeader(plainArithmetic, bytes, UUID, {
    position: 0x40003000,
    bytes: 3 * BLOCK_BYTES,
    headerBytes,
    previousHash: 0xcafebabe,
    firstSequence: sequence(41),
    opening: 4,
    durablePosition: 0x40002000,
    count: 3,
  });
  return bytes;
}

describe("superblock", () => {
  test("is written as version 1 did", () => {
    const bytes = new Uint8Array(BLOCK_BYTES).fill(0xee);
    encodeSuperblock(plainArithmetic, bytes, 0x21, 0x01020304, STATE);
    expect(hex(bytes)).toBe(SUPERBLOCK);
  });

  test("is read as version 1 wrote it", () => {
    const copy = decodeSuperblock(plainArithmetic, block(SUPERBLOCK));
    expect(copy).toMatchObject({ is: "valid", number: 0x21, previousCrc: 0x01020304, state: STATE });
  });

  test("every bit counts", () => {
    for (let bit = 0; bit < BLOCK_BYTES * 8; bit += 37) {
      const bytes = block(SUPERBLOCK);
      bytes[bit >> 3] ^= 1 << (bit & 7);
      expect(decodeSuperblock(plainArithmetic, bytes).is).not.toBe("valid");
    }
  });

  test("holds a full history, all the arrays and a group name of 64 bytes", () => {
    const history = Array.from({ length: HISTORY_MAX }, (_, at) => ({ epoch: epoch(at + 1), start: sequence(at * 9) }));
    const arrays = Array.from({ length: ARRAYS_MAX }, (_, at) => ({
      arrayUuid: UUID.map((byte) => byte + at),
      generation: 2 ** 40 + at,
    }));
    const state = { ...STATE, history, arrays, group: "g".repeat(64) };
    const bytes = new Uint8Array(BLOCK_BYTES);
    encodeSuperblock(plainArithmetic, bytes, 1, 0, state);
    expect(decodeSuperblock(plainArithmetic, bytes)).toMatchObject({ is: "valid", state });
  });
});

describe("batch header", () => {
  const ringBytes = 0x1000000;

  test("is written as version 1 did", () => {
    expect(hex(sealed())).toBe(HEADER);
  });

  test("is read as version 1 wrote it", () => {
    const bytes = block(HEADER);
    const header = decodeHeader(plainArithmetic, bytes, UUID, 0x40003000, ringBytes);
    expect(header).toMatchObject({ bytes: 3 * BLOCK_BYTES, previousHash: 0xcafebabe, opening: 4, count: 3 });
    if (typeof header === "string") return;
    const requests = decodeDescriptors(bytes, header);
    expect(requests).toMatchObject([
      { kind: "epoch-start", epoch: 3, sequence: 41 },
      {
        kind: "write",
        volume: 0x102,
        lba: 0x123456789,
        blocks: 2,
        checksums: writeRequest(42, { blocks: 2 }).checksums,
      },
      { kind: "unmap", lba: 77, blocks: 0xffffffff },
    ]);
  });

  test("is refused in any other place, in another journal, and with any bit changed", () => {
    expect(decodeHeader(plainArithmetic, block(HEADER), UUID, 0x41003000, ringBytes)).toMatch(/no batch header/);
    expect(decodeHeader(plainArithmetic, block(HEADER), UUID.slice().fill(1), 0x40003000, ringBytes)).toMatch(
      /no batch/,
    );
    for (let bit = 0; bit < (HEADER.length / 2) * 8; bit++) {
      const bytes = block(HEADER);
      bytes[bit >> 3] ^= 1 << (bit & 7);
      expect(typeof decodeHeader(plainArithmetic, bytes, UUID, 0x40003000, ringBytes)).toBe("string");
    }
  });

  test("with descriptors that do not fit is refused", () => {
    const bytes = block(HEADER);
    const header = decodeHeader(plainArithmetic, bytes, UUID, 0x40003000, ringBytes);
    if (typeof header === "string") throw new Error(header);
    expect(decodeDescriptors(bytes, { ...header, count: 4 })).toMatch(/cut short/);
    expect(decodeDescriptors(bytes, { ...header, count: 2 })).toMatch(/length does not fit/);
    expect(decodeDescriptors(bytes, { ...header, bytes: BLOCK_BYTES })).toMatch(/length does not fit/);
    expect(decodeDescriptors(bytes, { ...header, firstSequence: sequence(40) })).toMatch(/out of order/);
  });
});
