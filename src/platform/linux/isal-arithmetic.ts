/**
 * Checksums and parity by Intel's ISA-L (libisal.so.2), where the machine has it.
 *
 * Invariants: its XOR gets only addresses that are multiples of 32, since some of its code paths fault on others and
 * the one that this machine happens to take may hide that; it is used only after it has given the right answers.
 */

import { dlopen, ptr } from "bun:ffi";
import { assert } from "../../base/assert.ts";
import { BLOCK_BYTES, GiB } from "../../base/units.ts";
import type { Arithmetic } from "../arithmetic.ts";
import { checkXor, plainArithmetic, wholeBlocks } from "../plain-arithmetic.ts";
import { PAGE_BYTES } from "./libc.ts";
import type { LinuxMemory } from "./linux-memory.ts";

const LIBRARY = "libisal.so.2";
const XOR_ALIGNMENT = 32;
/** Pointers of one XOR, its result's included. */
const XOR_POINTERS_MAX = PAGE_BYTES / 8;
/** The library counts bytes in a signed 32-bit integer. */
const CRC_STEP_BYTES = GiB;
const WORD_VALUES = 2 ** 32;

function load() {
  return dlopen(LIBRARY, {
    /** (buffer, length, initial checksum): no inversion before or after. */
    crc32_iscsi: { args: ["usize", "i32", "u32"], returns: "u32" },
    /** (vectors, length, array of source addresses and last the result's): 0 where it worked. */
    xor_gen: { args: ["i32", "i32", "usize"], returns: "i32" },
  }).symbols;
}

/** @returns undefined where the library is missing, is for another processor, or is wrong */
export function isalArithmetic(memory: LinuxMemory): Arithmetic | undefined {
  if (process.arch !== "x64") return undefined;
  let isal: ReturnType<typeof load>;
  try {
    isal = load();
  } catch {
    return undefined;
  }

  const pointers = new Uint32Array(memory.allocate(PAGE_BYTES).buffer);
  const pointersAt = memory.addressOf(new Uint8Array(pointers.buffer));
  const addressOf = (view: Uint8Array): number => memory.addressOf(view) || ptr(view);
  const setPointer = (index: number, address: number): void => {
    pointers[index * 2] = address % WORD_VALUES;
    pointers[index * 2 + 1] = address / WORD_VALUES;
  };

  const arithmetic: Arithmetic = {
    crc32c(bytes, seed = 0, start = 0, end = bytes.length) {
      assert(start >= 0 && start <= end && end <= bytes.length, "a checksum of bytes that are not there");
      if (start === end) return seed;
      const address = addressOf(bytes);
      let crc = ~seed >>> 0;
      for (let at = start; at < end; at += CRC_STEP_BYTES) {
        crc = isal.crc32_iscsi(address + at, Math.min(CRC_STEP_BYTES, end - at), crc);
      }
      return ~crc >>> 0;
    },

    crc32cBlocks(data, into) {
      const blocks = wholeBlocks(data, into);
      if (blocks === 0) return;
      const address = addressOf(data);
      for (let block = 0; block < blocks; block++) {
        into[block] = ~isal.crc32_iscsi(address + block * BLOCK_BYTES, BLOCK_BYTES, 0xffffffff);
      }
    },

    xor(sources, into) {
      checkXor(sources, into);
      if (into.length === 0) return;
      let unaligned = sources.length + 1 > XOR_POINTERS_MAX ? 1 : 0;
      for (let index = 0; index < sources.length; index++) {
        const address = addressOf(sources[index]);
        unaligned |= address % XOR_ALIGNMENT;
        setPointer(index, address);
      }
      const result = addressOf(into);
      unaligned |= result % XOR_ALIGNMENT;
      if (unaligned !== 0) return plainArithmetic.xor(sources, into);
      setPointer(sources.length, result);
      const refused = isal.xor_gen(sources.length + 1, into.length, pointersAt);
      assert(refused === 0, `the XOR of ${sources.length} sources of ${into.length} bytes was refused`);
    },
  };

  return answersRight(arithmetic, memory) ? arithmetic : undefined;
}

/** A library that is miscompiled for this processor must not make a single checksum. */
function answersRight(arithmetic: Arithmetic, memory: LinuxMemory): boolean {
  const page = memory.allocate(PAGE_BYTES);
  const [first, second, third, result] = [0, 1, 2, 3].map((part) => page.subarray(part * 1024, (part + 1) * 1024));
  for (let at = 0; at < 3072; at++) page[at] = (at * 167) ^ (at >>> 3);
  const expected = new Uint8Array(result.length);
  plainArithmetic.xor([first, second, third], expected);
  arithmetic.xor([first, second, third], result);
  const sameXor = result.every((byte, at) => byte === expected[at]);
  const checksums = [new Uint32Array(1), new Uint32Array(1)];
  arithmetic.crc32cBlocks(page, checksums[0]);
  plainArithmetic.crc32cBlocks(page, checksums[1]);
  memory.free(page);
  return sameXor && checksums[0][0] === checksums[1][0];
}
