/**
 * A bounded pool of equal, page-aligned buffers, made when first needed. Whoever finds it empty waits in order of arrival.
 * A holder must never wait for a second buffer of the same pool, nor for a lock: that is what keeps the pool free of
 * deadlocks.
 */

import { assert } from "../base/assert.ts";
import type { Memory } from "../platform/memory.ts";

export class BufferPool {
  readonly bytes: number;
  readonly #memory: Memory;
  readonly #limit: number;
  readonly #all = new Set<Uint8Array>();
  readonly #free: Uint8Array[] = [];
  readonly #waiting: ((buffer: Uint8Array) => void)[] = [];

  constructor(memory: Memory, bytes: number, limit: number) {
    assert(limit >= 1, `pool of ${limit}`);
    this.#memory = memory;
    this.bytes = bytes;
    this.#limit = limit;
  }

  take(): Uint8Array | Promise<Uint8Array> {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#all.size < this.#limit) {
      const made = this.#memory.allocate(this.bytes);
      this.#all.add(made);
      return made;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  give(buffer: Uint8Array): void {
    assert(this.#all.has(buffer), "a pool takes back only its own");
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(buffer);
    else next(buffer);
  }

  /** Frees the memory; every buffer is back by then. */
  close(): void {
    assert(this.#free.length === this.#all.size, "every buffer is back");
    for (const buffer of this.#free) this.#memory.free(buffer);
    this.#free.length = 0;
    this.#all.clear();
  }
}
