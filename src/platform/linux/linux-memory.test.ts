import { ptr } from "bun:ffi";
import { describe, expect, it } from "vitest";
import { AssertionError } from "../../base/assert.ts";
import { linuxMemory } from "./linux-memory.ts";

describe("memory of this machine", () => {
  const memory = linuxMemory();

  it("is zeroed, page-aligned and of the length that was asked for", () => {
    for (const bytes of [1, 4096, 4097, 1 << 21]) {
      const buffer = memory.allocate(bytes);
      expect(buffer.length).toBe(bytes);
      expect(ptr(buffer) % 4096).toBe(0);
      expect(buffer.every((byte) => byte === 0)).toBe(true);
      buffer.fill(0xff);
      memory.free(buffer);
    }
  });

  it("knows the address of any view of it, and of no other", () => {
    const buffer = memory.allocate(8192);
    expect(memory.addressOf(buffer)).toBe(ptr(buffer));
    expect(memory.addressOf(buffer.subarray(4096).subarray(5))).toBe(ptr(buffer) + 4101);
    expect(memory.addressOf(new Uint8Array(4096))).toBe(0);
    memory.free(buffer);
  });

  it("takes the bytes from every view when it is freed", () => {
    const buffer = memory.allocate(4096);
    const view = buffer.subarray(100, 200);
    memory.free(buffer);
    expect(view.length).toBe(0);
    expect(memory.addressOf(view)).toBe(0);
  });

  it("asserts that what is freed was allocated, whole and once", () => {
    const buffer = memory.allocate(8192);
    expect(() => memory.free(new Uint8Array(8))).toThrow(AssertionError);
    expect(() => memory.free(buffer.subarray(4096))).toThrow(AssertionError);
    memory.free(buffer);
    expect(() => memory.free(buffer)).toThrow(AssertionError);
    expect(() => memory.allocate(0)).toThrow(AssertionError);
  });

  it("says what to do where there is no more", () => {
    expect(() => memory.allocate(2 ** 47)).toThrow(expect.objectContaining({ code: "memory.exhausted" }));
  });

  it("stays bounded however often it is taken and given back", () => {
    for (let round = 0; round < 2000; round++) memory.free(memory.allocate(64 << 20));
  });
});
