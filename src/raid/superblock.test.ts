import { expect, it } from "vitest";
import { plainArithmetic } from "../platform/plain-arithmetic.ts";
import { decodeSuperblock, encodeSuperblock, SUPERBLOCK_BYTES, type Superblock } from "./superblock.ts";

const uuid = (seed: number): Uint8Array => Uint8Array.from({ length: 16 }, (_, i) => seed + i);

const superblock: Superblock = {
  level: 5,
  slot: 1,
  clean: true,
  unsettled: false,
  lineage: 0,
  previous: 0x01020304,
  chunkBlocks: 16,
  generation: 7,
  arrayUuid: uuid(0x10),
  session: uuid(0x30),
  zones: 5000,
  name: "main",
  group: "prod",
  members: [
    { uuid: uuid(0x50), state: "active", since: 0, rebuilt: 0 },
    { uuid: uuid(0x60), state: "active", since: 0, rebuilt: 0 },
    { uuid: uuid(0x70), state: "rebuilding", since: 6, rebuilt: 0x1234 },
  ],
  volumes: [
    { name: "db01", first: 0, blocks: 1000 },
    { name: "Größe", first: 1024, blocks: 2 ** 40 },
  ],
};

function encoded(value: Superblock): Uint8Array {
  const bytes = new Uint8Array(SUPERBLOCK_BYTES);
  encodeSuperblock(value, bytes, plainArithmetic);
  return bytes;
}

/** Offset and bytes of each run of nonzero bytes. */
function runs(bytes: Uint8Array): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    if (row.some((byte) => byte !== 0))
      found.push(`${at.toString(16).padStart(4, "0")} ${Buffer.from(row).toString("hex")}`);
  }
  return found;
}

it("keeps its format: golden bytes", () => {
  expect(runs(encoded(superblock))).toMatchInlineSnapshot(`
    [
      "0000 414e5449524149440200050301010000",
      "0010 1e927d35f11367700403020110000000",
      "0020 07000000000000001011121314151617",
      "0030 18191a1b1c1d1e1f3031323334353637",
      "0040 38393a3b3c3d3e3f8813000000000000",
      "0050 02000000000000006d61696e00000000",
      "0090 000000000000000070726f6400000000",
      "0200 505152535455565758595a5b5c5d5e5f",
      "0210 01000000000000000000000000000000",
      "0230 606162636465666768696a6b6c6d6e6f",
      "0240 01000000000000000000000000000000",
      "0260 707172737475767778797a7b7c7d7e7f",
      "0270 02000000000000000600000000000000",
      "0280 34120000000000000000000000000000",
      "0800 64623031000000000000000000000000",
      "0840 0000000000000000e803000000000000",
      "0880 4772c3b6c39f65000000000000000000",
      "08c0 00040000000000000000000000010000",
    ]
  `);
});

it("comes back as it was written", () => {
  const decoded = decodeSuperblock(encoded(superblock), plainArithmetic);
  expect(decoded).toEqual({ ...superblock, lineage: expect.any(Number) });
});

it("has one lineage on all members, and another for any other content", () => {
  const bytes = new Uint8Array(SUPERBLOCK_BYTES);
  const lineage = encodeSuperblock(superblock, bytes, plainArithmetic);
  expect(encodeSuperblock({ ...superblock, slot: 0, lineage: 99 }, bytes, plainArithmetic)).toBe(lineage);
  expect(encodeSuperblock({ ...superblock, session: uuid(9) }, bytes, plainArithmetic)).not.toBe(lineage);
  expect(encodeSuperblock({ ...superblock, previous: 5 }, bytes, plainArithmetic)).not.toBe(lineage);
});

it("is refused when any of its bits is flipped", () => {
  const bytes = encoded(superblock);
  for (let at = 0; at < bytes.length; at += at < 1024 ? 1 : 97) {
    bytes[at] ^= 1 << (at % 8);
    expect(typeof decodeSuperblock(bytes, plainArithmetic)).toBe("string");
    bytes[at] ^= 1 << (at % 8);
  }
});

it("is refused when it is cut short or of a format to come", () => {
  const bytes = encoded(superblock);
  expect(decodeSuperblock(bytes.subarray(0, 4096), plainArithmetic)).toMatch("cut short");
  bytes[8] = 3;
  expect(decodeSuperblock(bytes, plainArithmetic)).toMatch("format 3");
  expect(decodeSuperblock(new Uint8Array(SUPERBLOCK_BYTES), plainArithmetic)).toBe("no superblock");
});
