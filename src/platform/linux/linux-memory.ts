/**
 * Page-aligned memory outside the garbage-collected heap, and the addresses of views of it.
 *
 * Invariant: the address of a view is its region's base and its offset there; no call into C is needed to find it.
 * Freeing detaches the region's ArrayBuffer, so that a view that is used too late has no length instead of faulting.
 */

import { assert } from "../../base/assert.ts";
import { OperatingError } from "../../base/operating-error.ts";
import type { Memory } from "../memory.ts";
import { errnoName, mapAnonymous, PAGE_BYTES, unmapMemory, viewOf } from "./libc.ts";

export interface LinuxMemory extends Memory {
  /** The address of a view's first byte, or 0 for a view of memory that is not from here. */
  addressOf(view: Uint8Array): number;
}

export function linuxMemory(): LinuxMemory {
  const bases = new WeakMap<ArrayBufferLike, number>();

  return {
    allocate(bytes) {
      assert(Number.isInteger(bytes) && bytes > 0, `allocation of ${bytes} bytes`);
      const mapped = roundUpToPages(bytes);
      const address = mapAnonymous(mapped);
      if (address < 0) {
        throw new OperatingError(
          "memory.exhausted",
          `${mapped} bytes of memory could not be had: ${errnoName(-address)}.`,
          "Lower the configured cache and queue sizes, or add memory.",
        );
      }
      const buffer = viewOf(address, mapped);
      bases.set(buffer, address);
      return new Uint8Array(buffer, 0, bytes);
    },

    free(view) {
      const buffer = view.buffer as ArrayBuffer;
      const address = bases.get(buffer);
      assert(address !== undefined, "freed memory was not allocated here, or was freed before");
      assert(view.byteOffset === 0, "a part of an allocation was freed");
      const mapped = buffer.byteLength;
      bases.delete(buffer);
      buffer.transfer(0);
      unmapMemory(address, mapped);
    },

    addressOf(view) {
      const base = bases.get(view.buffer);
      return base === undefined ? 0 : base + view.byteOffset;
    },
  };
}

export function roundUpToPages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
