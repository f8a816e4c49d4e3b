/**
 * A pool of page-aligned buffers in a few sizes. It bounds only what it keeps; who takes buffers has a budget.
 * A buffer taken is longer than asked for where the sizes are coarser.
 */

import type { Memory } from "./interfaces.ts";
import { PIECE_BYTES_MAX, RETAINED_BYTES_MAX } from "./limits.ts";

const SIZES = [4096, 65536, 262144, PIECE_BYTES_MAX] as const;

export class BufferPool {
  readonly #memory: Memory;
  readonly #free: Uint8Array[][] = SIZES.map(() => []);
  #retained = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** Its content is what the last user left. `bytes` is at most PIECE_BYTES_MAX. */
  take(bytes: number): Uint8Array {
    const size = bufferBytes(bytes);
    const buffer = this.#free[SIZES.indexOf(size)].pop();
    if (buffer === undefined) return this.#memory.allocate(size);
    this.#retained -= size;
    return buffer;
  }

  give(buffer: Uint8Array): void {
    if (this.#retained + buffer.length > RETAINED_BYTES_MAX) {
      this.#memory.free(buffer);
      return;
    }
    this.#retained += buffer.length;
    this.#free[SIZES.indexOf(buffer.length as (typeof SIZES)[number])].push(buffer);
  }

  /** Gives back to the allocator what is not in use. */
  trim(): void {
    for (const list of this.#free) for (const buffer of list.splice(0)) this.#memory.free(buffer);
    this.#retained = 0;
  }
}

/** The size of the buffer that `take` returns for `bytes`. */
export function bufferBytes(bytes: number): (typeof SIZES)[number] {
  for (const size of SIZES) if (bytes <= size) return size;
  throw new RangeError(`no buffer holds ${bytes} bytes`);
}
