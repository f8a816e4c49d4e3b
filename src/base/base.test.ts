import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Condition } from "./condition.ts";
import { crc32c } from "./crc32c.ts";
import { type DataWriteRequest, decodeDescriptor, encodeDescriptor } from "./data-write-request.ts";
import { layout, raw, text, u8, u16, u32, u64 } from "./layout.ts";
import { BLOCK_BYTES, epoch, lba, sequence, volumeId } from "./units.ts";

describe("units", () => {
  it("refuse what the unit can't be", () => {
    expect(() => lba(-1)).toThrow("Lba out of range");
    expect(() => sequence(1.5)).toThrow("Sequence out of range");
    expect(() => volumeId(0x10000)).toThrow("VolumeId out of range");
    expect(() => epoch(Number.NaN)).toThrow("Epoch out of range");
  });
});

describe("a layout", () => {
  it("reads back what it wrote, each field in its place, little-endian", () => {
    const Sample = layout("sample", 24, {
      a: [0, u8],
      b: [1, u16],
      c: [3, u32],
      d: [7, u64],
      e: [15, text(5)],
      f: [20, raw(4)],
    });
    const view = new DataView(new ArrayBuffer(32));
    Sample.a.set(view, 8, 0xab);
    Sample.b.set(view, 8, 0x1234);
    Sample.c.set(view, 8, 0xdeadbeef);
    Sample.d.set(view, 8, Number.MAX_SAFE_INTEGER);
    Sample.e.set(view, 8, "né");
    Sample.f.set(view, 8, Uint8Array.of(1, 2, 3, 4));
    expect(Sample.a.get(view, 8)).toBe(0xab);
    expect(Sample.c.get(view, 8)).toBe(0xdeadbeef);
    expect(Sample.d.get(view, 8)).toBe(Number.MAX_SAFE_INTEGER);
    expect(Sample.e.get(view, 8)).toBe("né");
    expect(Array.from(Sample.f.get(view, 8))).toEqual([1, 2, 3, 4]);
    expect(view.getUint8(9)).toBe(0x34);
  });

  it("does not load unless its fields tile it exactly", () => {
    expect(() => layout("gap", 8, { a: [0, u8], b: [4, u32] })).toThrow("gap.b starts at 4");
    expect(() => layout("short", 8, { a: [0, u32] })).toThrow("short is 8 bytes, its fields fill 4");
  });

  it("takes no value that does not fit, and shows one from outside that does not as NaN", () => {
    const view = new DataView(new ArrayBuffer(8));
    const Sample = layout("sample", 8, { a: [0, u64] });
    expect(() => Sample.a.set(view, 0, -1)).toThrow("out of range");
    view.setUint32(4, 0xffffffff, true);
    expect(Sample.a.get(view, 0)).toBeNaN();
  });
});

describe("CRC32C", () => {
  it("has the standard's check value, and those of RFC 7143's predecessor for 32 bytes", () => {
    expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  });

  it("goes on from where another part ended", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, at) => {
        expect(crc32c(bytes.subarray(at), crc32c(bytes.subarray(0, at)))).toBe(crc32c(bytes));
      }),
    );
  });
});

describe("a data write request's descriptor", () => {
  const request: DataWriteRequest = {
    kind: "write",
    epoch: epoch(7),
    sequence: sequence(2 ** 40),
    volume: volumeId(3),
    lba: lba(2 ** 33),
    blocks: 2,
    checksums: Uint32Array.of(1, 0xfffffffe),
    data: new Uint8Array(2 * BLOCK_BYTES),
  };
  const encoded = () => {
    const view = new DataView(new ArrayBuffer(64).slice(0));
    return { view, bytes: encodeDescriptor(view, 4, request) };
  };

  it("has the bytes that other sites and older journals know", () => {
    const { view, bytes } = encoded();
    const hex = Array.from(new Uint8Array(view.buffer, 4, bytes), (byte) => byte.toString(16).padStart(2, "0"));
    expect(hex.join("")).toBe(
      `${"00000300"}${"02000000"}${"0700000000000000"}${"0000000000010000"}${"0000000002000000"}${"0000000000000000"}${"01000000feffffff"}`,
    );
  });

  it("reads back as it was", () => {
    const { view, bytes } = encoded();
    const { data: _, ...head } = request;
    expect(decodeDescriptor(view, 4, 4 + bytes)).toEqual({ ...head, encodedBytes: bytes });
  });

  it("says what is wrong with one that can't be", () => {
    const { view, bytes } = encoded();
    expect(decodeDescriptor(view, 4, 30)).toBe("descriptor cut short: 26 of 40 bytes");
    expect(decodeDescriptor(view, 4, 4 + bytes - 1)).toBe("descriptor cut short: 47 of 48 bytes");
    view.setUint8(4, 9);
    expect(decodeDescriptor(view, 4, 60)).toBe("unknown request kind 9");
    view.setUint8(4, 0);
    view.setUint32(8, 257, true);
    expect(decodeDescriptor(view, 4, 60)).toBe("request of 257 blocks, at most 256 are allowed");
    view.setUint32(8, 0, true);
    expect(decodeDescriptor(view, 4, 60)).toBe("write of no blocks");
    view.setUint32(8, 2, true);
    view.setUint32(24, 0xffffffff, true);
    expect(decodeDescriptor(view, 4, 60)).toBe("epoch, sequence or block address out of range");
  });
});

describe("a condition", () => {
  it("lets those go on whose condition holds, and tells all when it fails", async () => {
    const condition = new Condition();
    let count = 0;
    const two = condition.until(() => count >= 2);
    const three = condition.until(() => count >= 3);
    count = 2;
    condition.poke();
    await two;
    condition.fail(new Error("over"));
    await expect(three).rejects.toThrow("over");
    await expect(condition.until(() => true)).rejects.toThrow("over");
  });
});
