/**
 * Page-aligned memory that goes back to the system as soon as it is freed, and not once it is collected, where the C library lets
 * us have it.
 *
 * Invariant: freeing detaches the buffer, so that a view that is used too late has no length instead of faulting.
 */

import { dlopen, FFIType, type Pointer, ptr, toArrayBuffer } from "bun:ffi";
import type { Memory } from "../interfaces.ts";

/** As glibc is named on Linux. */
const LIBRARY = "libc.so.6";
const PROT_READ_WRITE = 3;
/** MAP_PRIVATE and MAP_ANONYMOUS, as Linux numbers them. */
const MAP_OWN_ZEROS = 0x22;
const MAP_FAILED = -1;

/** On the collected heap, where there is no such library. */
export const heapMemory: Memory = { allocate: (bytes) => new Uint8Array(bytes), free: () => {} };

export function pageMemory(library = LIBRARY): Memory {
  let c: ReturnType<typeof open>;
  try {
    c = open(library);
  } catch {
    return heapMemory;
  }
  return {
    allocate(bytes) {
      const address = c.mmap(0, bytes, PROT_READ_WRITE, MAP_OWN_ZEROS, -1, 0);
      if (address === MAP_FAILED) throw new RangeError(`${bytes} bytes of memory could not be had`);
      return new Uint8Array(toArrayBuffer(address as Pointer, 0, bytes));
    },
    free(view) {
      const address = ptr(view);
      const { length } = view;
      (view.buffer as ArrayBuffer).transfer(0);
      c.munmap(address, length);
    },
  };
}

function open(library: string) {
  return dlopen(library, {
    mmap: { args: ["usize", "usize", "i32", "i32", "i32", "i64"], returns: FFIType.i64_fast },
    munmap: { args: ["usize", "usize"], returns: "i32" },
  }).symbols;
}
