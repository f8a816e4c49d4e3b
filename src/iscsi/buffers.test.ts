import { expect, test } from "vitest";
import { BufferPool } from "./buffers.ts";
import { RETAINED_BYTES_MAX } from "./limits.ts";
import { CountingMemory } from "./testing/world.ts";

const MiB = 1024 * 1024;

test("what is kept is bounded, and used again", () => {
  const memory = new CountingMemory();
  const pool = new BufferPool(memory);
  const taken = Array.from({ length: 2 * (RETAINED_BYTES_MAX / MiB) }, () => pool.take(MiB));
  for (const buffer of taken) pool.give(buffer);
  expect(memory.outstanding).toBe(RETAINED_BYTES_MAX);
  expect(taken.includes(pool.take(MiB))).toBe(true);
  expect(memory.outstanding).toBe(RETAINED_BYTES_MAX);
});

test("free buffers of one size make room for those of another that is wanted now", () => {
  const memory = new CountingMemory();
  const pool = new BufferPool(memory);
  const large = Array.from({ length: RETAINED_BYTES_MAX / MiB }, () => pool.take(MiB));
  for (const buffer of large) pool.give(buffer);
  const small = Array.from({ length: 32 }, () => pool.take(65536));
  for (const buffer of small) pool.give(buffer);
  expect(memory.outstanding).toBe(RETAINED_BYTES_MAX);
  const again = Array.from({ length: 32 }, () => pool.take(65536));
  expect(new Set(again)).toEqual(new Set(small));
});

test("it says when buffers are scarce, and when there should be no more", () => {
  const pool = new BufferPool(new CountingMemory(), 2 * MiB);
  const taken = [pool.take(MiB)];
  expect(pool.scarce).toBe(false);
  taken.push(pool.take(MiB));
  expect([pool.scarce, pool.exhausted]).toEqual([true, false]);
  taken.push(pool.take(MiB), pool.take(MiB));
  expect(pool.exhausted).toBe(true);
  for (const buffer of taken) pool.give(buffer);
  expect(pool.scarce).toBe(false);
});
