/** What every implementation of `Arithmetic` does: the answers of its definition, whatever the buffers' alignment. */

import { array, assert as check, integer, property, tuple, uint8Array } from "fast-check";
import { describe, expect, it } from "vitest";
import { AssertionError } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import type { Arithmetic } from "./arithmetic.ts";
import type { Memory } from "./memory.ts";

export function arithmeticCases(name: string, arithmetic: Arithmetic, memory: Memory): void {
  describe(`arithmetic: ${name}`, () => {
    const text = new TextEncoder().encode("123456789");

    it("makes the checksums that RFC 3720 appendix B.4 gives", () => {
      const ascending = Uint8Array.from({ length: 32 }, (_, at) => at);
      expect(arithmetic.crc32c(text)).toBe(0xe3069283);
      expect(arithmetic.crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
      expect(arithmetic.crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
      expect(arithmetic.crc32c(ascending)).toBe(0x46dd794e);
      expect(arithmetic.crc32c(ascending.toReversed())).toBe(0x113fdb5c);
      expect(arithmetic.crc32c(new Uint8Array(0))).toBe(0);
    });

    it("goes on from a seed as if there had been no break", () => {
      for (let cut = 0; cut <= text.length; cut++) {
        expect(arithmetic.crc32c(text.subarray(cut), arithmetic.crc32c(text.subarray(0, cut)))).toBe(0xe3069283);
      }
    });

    it("covers a part of the bytes as if they were alone", () => {
      for (let start = 0; start <= text.length; start++) {
        for (let end = start; end <= text.length; end++) {
          expect(arithmetic.crc32c(text, 5, start, end)).toBe(arithmetic.crc32c(text.slice(start, end), 5));
        }
      }
      for (const [start, end] of [
        [0, 10],
        [-1, 3],
        [4, 3],
        [10, 10],
      ]) {
        expect(() => arithmetic.crc32c(text, 0, start, end)).toThrow(AssertionError);
      }
      const inMemory = filled(memory.allocate(2 * BLOCK_BYTES), 0);
      expect(arithmetic.crc32c(inMemory, 0, 5, 5000)).toBe(crc32c(inMemory.slice(5, 5000)));
    });

    it("agrees with the definition of CRC32C at any length and alignment", () => {
      const room = memory.allocate(3 * BLOCK_BYTES);
      check(
        property(uint8Array({ maxLength: 2 * BLOCK_BYTES, size: "max" }), integer({ min: 0, max: 70 }), (bytes, at) => {
          const inMemory = room.subarray(at, at + bytes.length);
          inMemory.set(bytes);
          expect(arithmetic.crc32c(bytes)).toBe(crc32c(bytes));
          expect(arithmetic.crc32c(inMemory)).toBe(crc32c(bytes));
        }),
      );
    });

    it("makes a checksum for each block, and touches no other", () => {
      for (const offset of [0, 1, 512]) {
        const data = filled(memory.allocate(6 * BLOCK_BYTES), offset).subarray(offset, offset + 5 * BLOCK_BYTES);
        const checksums = new Uint32Array(7).fill(7);
        arithmetic.crc32cBlocks(data, checksums);
        const expected = [0, 1, 2, 3, 4].map((block) =>
          crc32c(data.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES)),
        );
        expect([...checksums]).toEqual([...expected, 7, 7]);
      }
      arithmetic.crc32cBlocks(new Uint8Array(0), new Uint32Array(0));
    });

    it("asserts whole blocks, and room for their checksums", () => {
      expect(() => arithmetic.crc32cBlocks(new Uint8Array(BLOCK_BYTES + 1), new Uint32Array(2))).toThrow(
        AssertionError,
      );
      expect(() => arithmetic.crc32cBlocks(new Uint8Array(2 * BLOCK_BYTES), new Uint32Array(1))).toThrow(
        AssertionError,
      );
    });

    it("makes the exclusive or of any number of sources, at any length and alignment", () => {
      const shape = tuple(
        integer({ min: 2, max: 20 }),
        integer({ min: 0, max: 3000 }),
        array(integer({ min: 0, max: 40 }), { minLength: 21, maxLength: 21 }),
        integer({ min: 0, max: 1000 }),
      );
      const rooms = Array.from({ length: 21 }, () => memory.allocate(BLOCK_BYTES));
      check(
        property(shape, ([count, length, offsets, seed]) => {
          const parts = rooms.map((room, index) => {
            const offset = seed % 3 === 0 ? 0 : offsets[index];
            return filled(room, seed + index).subarray(offset, offset + length);
          });
          const sources = parts.slice(0, count);
          const before = sources.map((source) => Uint8Array.from(source));
          const around = Uint8Array.from(rooms[20]);
          const into = parts[20];
          const expected = before[0].map((_, at) => before.reduce((sum, source) => sum ^ source[at], 0));
          arithmetic.xor(sources, into);
          expect(Buffer.compare(into, expected)).toBe(0);
          for (const [index, source] of sources.entries()) expect(Buffer.compare(source, before[index])).toBe(0);
          around.set(expected, into.byteOffset - rooms[20].byteOffset);
          expect(Buffer.compare(rooms[20], around)).toBe(0);
        }),
      );
    });

    it("makes the exclusive or of buffers on the heap", () => {
      const sources = [1, 2, 3].map((seed) => filled(new Uint8Array(1027), seed).subarray(3));
      const into = new Uint8Array(1025).subarray(1);
      arithmetic.xor(sources, into);
      expect([...into]).toEqual([...sources[0]].map((byte, at) => byte ^ sources[1][at] ^ sources[2][at]));
    });

    it("asserts two sources or more, all of the result's length", () => {
      const [first, second, longer] = [new Uint8Array(8), new Uint8Array(8), new Uint8Array(16)];
      expect(() => arithmetic.xor([first], second)).toThrow(AssertionError);
      expect(() => arithmetic.xor([first, longer], second)).toThrow(AssertionError);
      expect(() => arithmetic.xor([first, second], longer)).toThrow(AssertionError);
    });
  });
}

function filled(bytes: Uint8Array, seed: number): Uint8Array {
  let state = seed + 1;
  for (let at = 0; at < bytes.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
