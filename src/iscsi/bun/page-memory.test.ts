import { ptr } from "bun:ffi";
import { expect, it } from "vitest";
import { heapMemory, pageMemory } from "./page-memory.ts";

it("has pages of zeros, and takes them back", () => {
  const memory = pageMemory();
  const buffer = memory.allocate(65536);
  expect(ptr(buffer) % 4096).toBe(0);
  expect(buffer.length).toBe(65536);
  expect(buffer.every((byte) => byte === 0)).toBe(true);
  buffer.fill(7);
  const part = buffer.subarray(10);
  memory.free(buffer);
  expect(part.length).toBe(0);
});

it("says what could not be had", () => {
  expect(() => pageMemory().allocate(2 ** 50)).toThrow("bytes of memory could not be had");
});

it("is the heap where there is no such library", () => {
  expect(pageMemory("libc.so.none")).toBe(heapMemory);
  expect(heapMemory.allocate(10).length).toBe(10);
});
