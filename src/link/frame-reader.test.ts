import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { descriptorBytes, encodeDescriptor } from "../base/data-write-request.ts";
import type { OperatingError } from "../base/operating-error.ts";
import { MemoryUniverse } from "../platform/memory/memory-world.ts";
import { SimulatedMemory } from "../platform/memory/simulated-memory.ts";
import { plainArithmetic } from "../platform/plain-arithmetic.ts";
import type { World } from "../platform/world.ts";
import { beginHeader, FrameType, Header, StreamNumbers, sealHeader } from "./frame.ts";
import { FrameReader } from "./frame-reader.ts";
import { makeRequest } from "./test-sites.ts";

const ALL = Object.values(FrameType);
const memory = new SimulatedMemory();
const world: World = { ...new MemoryUniverse(1).world("denver"), memory };

function requestFrame(number: number, blocks: number): Uint8Array {
  const request = makeRequest(number, blocks);
  const described = descriptorBytes(blocks);
  const bytes = new Uint8Array(Header.size + described + request.data.length);
  const view = new DataView(bytes.buffer);
  beginHeader(view, 0, FrameType.REQUEST, 1, described + request.data.length);
  StreamNumbers.sequence.set(view, Header.numbers.offset, number);
  encodeDescriptor(view, Header.size, request);
  bytes.set(request.data, Header.size + described);
  const crc = plainArithmetic.crc32c(bytes.subarray(Header.size, Header.size + described));
  sealHeader(plainArithmetic, bytes, view, 0, crc);
  return bytes;
}

function smallFrame(type: FrameType, payload: Uint8Array, tag: number): Uint8Array {
  const bytes = new Uint8Array(Header.size + payload.length);
  const view = new DataView(bytes.buffer);
  beginHeader(view, 0, type, 1, payload.length, tag);
  bytes.set(payload, Header.size);
  sealHeader(plainArithmetic, bytes, view, 0, plainArithmetic.crc32c(payload));
  return bytes;
}

function collect(holdEvery = 0, allowed: readonly FrameType[] = ALL) {
  const got: { type: number; tag: number; sequence: number; payload: string; aligned: boolean }[] = [];
  const faults: OperatingError[] = [];
  let offered = 0;
  const reader: FrameReader = new FrameReader(
    world,
    {
      onFrame(frame) {
        offered++;
        if (holdEvery > 0 && offered % holdEvery === 0) return false;
        got.push({
          type: frame.type,
          tag: frame.tag,
          sequence: StreamNumbers.sequence.get(frame.view, frame.numbers),
          payload: Buffer.from(frame.payload).toString("base64"),
          aligned: frame.payload.byteOffset % 4096 === 4096 - descriptorBytes(64),
        });
        return true;
      },
      onFault: (error) => faults.push(error),
    },
    allowed,
  );
  return { reader, got, faults };
}

const anyFrame = fc.oneof(
  fc.record({ number: fc.integer({ min: 1, max: 1000 }), blocks: fc.integer({ min: 1, max: 20 }) }).map((request) => ({
    bytes: requestFrame(request.number, request.blocks),
    type: FrameType.REQUEST as number,
  })),
  fc
    .record({
      type: fc.constantFrom(FrameType.CALL, FrameType.HELLO, FrameType.ANSWER),
      payload: fc.uint8Array({ maxLength: 3000 }),
      tag: fc.nat(),
    })
    .map(({ type, payload, tag }) => ({ bytes: smallFrame(type, payload, tag), type: type as number })),
);

/** Cuts bytes into pieces of their own memory, as a transport does. */
function pieces(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const cut: Uint8Array[] = [];
  for (let at = 0, piece = 0; at < bytes.length; piece++) {
    const size = sizes[piece % sizes.length];
    cut.push(bytes.slice(at, at + size));
    at += size;
  }
  return cut;
}

describe("frames come out whole and in order", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 20 });

  it("however the bytes are cut", () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 8 }), sizes, (frames, cuts) => {
        const { reader, got, faults } = collect();
        for (const piece of pieces(Buffer.concat(frames.map((frame) => frame.bytes)), cuts)) reader.push(piece);
        reader.close();
        expect(faults).toEqual([]);
        expect(got.map((frame) => frame.type)).toEqual(frames.map((frame) => frame.type));
        expect(got.map((frame) => frame.payload)).toEqual(
          frames.map((frame) => Buffer.from(frame.bytes.subarray(Header.size)).toString("base64")),
        );
      }),
      { numRuns: 60 },
    );
    expect(memory.outstanding).toBe(0);
  });

  it("in pieces of one byte", () => {
    const { reader, got } = collect();
    const bytes = Buffer.concat([smallFrame(FrameType.CALL, new Uint8Array(5), 1), requestFrame(9, 1)]);
    for (const piece of pieces(bytes, [1])) reader.push(piece);
    expect(got.map((frame) => frame.type)).toEqual([FrameType.CALL, FrameType.REQUEST]);
    reader.close();
  });

  it("when some are held and offered again, with more arriving meanwhile", () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 2, maxLength: 8 }), sizes, (frames, cuts) => {
        const { reader, got, faults } = collect(2);
        for (const piece of pieces(Buffer.concat(frames.map((frame) => frame.bytes)), cuts)) reader.push(piece);
        for (let again = 0; again < 3 * frames.length; again++) reader.release();
        reader.close();
        expect(faults).toEqual([]);
        expect(got.map((frame) => frame.payload)).toEqual(
          frames.map((frame) => Buffer.from(frame.bytes.subarray(Header.size)).toString("base64")),
        );
      }),
      { numRuns: 60 },
    );
  });

  it("with a cut request's data at the start of a page", () => {
    const { reader, got } = collect();
    for (const piece of pieces(requestFrame(1, 64), [100_000])) reader.push(piece);
    expect(got[0].aligned).toBe(true);
    reader.close();
  });
});

describe("faults", () => {
  it("no damaged byte gets through, and nothing comes after a fault", () => {
    const frame = smallFrame(FrameType.CALL, new Uint8Array(40).fill(3), 1);
    for (let at = 0; at < frame.length; at++) {
      const { reader, got, faults } = collect();
      const damaged = frame.slice();
      damaged[at] ^= 0x10;
      reader.push(damaged);
      reader.push(frame);
      expect(got).toHaveLength(0);
      expect(faults.map((fault) => fault.code)).toEqual([at < 4 ? "link.garbage" : "link.corrupt"]);
    }
  });

  it("an oversized frame is refused by its header alone", () => {
    const { reader, faults } = collect();
    const header = smallFrame(FrameType.REFUSE, new Uint8Array(0), 1);
    const view = new DataView(header.buffer);
    Header.payloadBytes.set(view, 0, 0x7fffffff);
    Header.headerCrc.set(view, 0, plainArithmetic.crc32c(header.subarray(0, 60)));
    reader.push(header);
    expect(faults.map((fault) => fault.code)).toEqual(["link.oversized"]);
    expect(memory.outstanding).toBe(0);
  });

  it("a type that may not come now is refused", () => {
    const { reader, faults } = collect(0, [FrameType.HELLO]);
    reader.push(requestFrame(1, 1));
    expect(faults.map((fault) => fault.code)).toEqual(["link.protocol"]);
  });

  it("random bytes never throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 300 }), (bytes) => {
        const { reader, got, faults } = collect();
        reader.push(bytes);
        expect(got).toHaveLength(0);
        expect(faults).toHaveLength(1);
      }),
    );
  });
});
