/** Buffers of a simulated process. A freed one is overwritten, so that whoever still uses it finds no data in it. */

import { assert } from "../../base/assert.ts";
import type { Memory } from "../memory.ts";

const FREED = 0xdd;

export class SimulatedMemory implements Memory {
  readonly #allocated = new Set<Uint8Array>();
  #bytes = 0;

  /** Buffers that were not given back. */
  get outstanding(): number {
    return this.#allocated.size;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  allocate(bytes: number): Uint8Array {
    const buffer = new Uint8Array(bytes);
    this.#bytes += bytes;
    this.#allocated.add(buffer);
    return buffer;
  }

  free(buffer: Uint8Array): void {
    assert(this.#allocated.delete(buffer), "a buffer was freed that is not allocated");
    this.#bytes -= buffer.length;
    buffer.fill(FREED);
  }
}
