/**
 * Page-aligned buffers for requests whose own buffer cannot be given to the drive. Each use is one copy, counted.
 *
 * Invariant: what is kept for reuse never exceeds `KEPT_BYTES_MAX`; what is lent is bounded by the drives' requests in
 * flight, since a buffer is lent when a request starts and not while it queues.
 */

import { assert } from "../../base/assert.ts";
import { MiB } from "../../base/units.ts";
import { PAGE_BYTES } from "./libc.ts";
import type { LinuxMemory } from "./linux-memory.ts";

/** Unlent buffers kept, in bytes. */
const KEPT_BYTES_MAX = 32 * MiB;

export class BouncePool {
  readonly #memory: LinuxMemory;
  /** Free buffers by size: those at index i have `PAGE_BYTES << i` bytes. */
  readonly #free: Uint8Array[][] = [];
  #keptBytes = 0;
  /** Requests that had to be copied. */
  copies = 0;

  constructor(memory: LinuxMemory) {
    this.#memory = memory;
  }

  /** A buffer of at least `bytes`, its content arbitrary. */
  lend(bytes: number): Uint8Array {
    this.copies++;
    const kept = this.#freeOf(sizeClass(bytes)).pop();
    if (kept === undefined) return this.#memory.allocate(PAGE_BYTES << sizeClass(bytes));
    this.#keptBytes -= kept.length;
    return kept;
  }

  giveBack(buffer: Uint8Array): void {
    if (this.#keptBytes + buffer.length > KEPT_BYTES_MAX) {
      this.#memory.free(buffer);
      return;
    }
    this.#keptBytes += buffer.length;
    this.#freeOf(sizeClass(buffer.length)).push(buffer);
  }

  #freeOf(index: number): Uint8Array[] {
    this.#free[index] ??= [];
    return this.#free[index];
  }
}

function sizeClass(bytes: number): number {
  assert(bytes > 0 && bytes <= PAGE_BYTES << 18, `bounce buffer of ${bytes} bytes`);
  let index = 0;
  while (PAGE_BYTES << index < bytes) index++;
  return index;
}
