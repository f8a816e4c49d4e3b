/**
 * A pool of page-aligned buffers in a few sizes, for all sessions of a server. A buffer taken is longer than asked for where
 * the sizes are coarser.
 *
 * Invariants: free buffers are at most RETAINED_BYTES_MAX, and where that is reached those of the size that most is kept of
 * give way. What is in use it does not bound: whoever takes buffers has a budget of his own, and with data
 * on its way heeds `scarce`.
 */

import type { Memory } from "./interfaces.ts";
import { PIECE_BYTES_MAX, RETAINED_BYTES_MAX, SHARED_BUDGET_BYTES, SHARED_BUDGET_FACTOR_MAX } from "./limits.ts";

const SIZES = [4096, 65536, 262144, PIECE_BYTES_MAX] as const;

export class BufferPool {
  readonly #memory: Memory;
  readonly #budget: number;
  readonly #free: Uint8Array[][] = SIZES.map(() => []);
  #retained = 0;
  #inUse = 0;

  constructor(memory: Memory, budget = SHARED_BUDGET_BYTES) {
    this.#memory = memory;
    this.#budget = budget;
  }

  /** Whether so much is in use that who has a buffer should not take another. */
  get scarce(): boolean {
    return this.#inUse >= this.#budget;
  }

  /** Whether so much is in use that only who could not go on without a buffer should take one. */
  get exhausted(): boolean {
    return this.#inUse >= this.#budget * SHARED_BUDGET_FACTOR_MAX;
  }

  get inUseBytes(): number {
    return this.#inUse;
  }

  get retainedBytes(): number {
    return this.#retained;
  }

  /** Its content is what the last user left. `bytes` is at most PIECE_BYTES_MAX. */
  take(bytes: number): Uint8Array {
    const size = bufferBytes(bytes);
    this.#inUse += size;
    const buffer = this.#free[SIZES.indexOf(size)].pop();
    if (buffer === undefined) return this.#memory.allocate(size);
    this.#retained -= size;
    return buffer;
  }

  give(buffer: Uint8Array): void {
    this.#inUse -= buffer.length;
    this.#retained += buffer.length;
    this.#free[SIZES.indexOf(buffer.length as (typeof SIZES)[number])].push(buffer);
    while (this.#retained > RETAINED_BYTES_MAX) this.#freeOne();
  }

  /** Gives back to the allocator what is not in use. */
  trim(): void {
    for (const list of this.#free) for (const buffer of list.splice(0)) this.#memory.free(buffer);
    this.#retained = 0;
  }

  #freeOne(): void {
    let [most, bytes] = [0, 0];
    for (let i = 0; i < SIZES.length; i++) {
      const kept = this.#free[i].length * SIZES[i];
      if (kept > bytes) [most, bytes] = [i, kept];
    }
    const buffer = this.#free[most].pop();
    if (buffer === undefined) throw new Error("free buffers that no list has");
    this.#retained -= buffer.length;
    this.#memory.free(buffer);
  }
}

/** The size of the buffer that `take` returns for `bytes`. */
export function bufferBytes(bytes: number): (typeof SIZES)[number] {
  for (const size of SIZES) if (bytes <= size) return size;
  throw new RangeError(`no buffer holds ${bytes} bytes`);
}
