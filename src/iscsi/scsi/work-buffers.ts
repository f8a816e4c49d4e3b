/**
 * The buffers of commands that go over many blocks by themselves, such as VERIFY and WRITE SAME: no data on its way counts for
 * them, so that a window of such commands from each session would have any amount of memory.
 *
 * Invariants: at most WORK_BYTES_MAX of a unit are out at once; who waits does so in turn, until he is aborted at the most.
 */

import { type BufferPool, bufferBytes } from "../buffers.ts";
import type { Pending } from "../interfaces.ts";
import { WORK_BYTES_MAX } from "../limits.ts";

interface Waiting {
  readonly bytes: number;
  readonly begin: () => void;
}

export class WorkBuffers {
  readonly #pool: BufferPool;
  #held = 0;
  /** Bounded by the tasks of all sessions. */
  #waiting: Waiting[] = [];

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Runs `work` with a buffer of that length, at most PIECE_BYTES_MAX. Rejects, without it, where the signal was aborted before. */
  async with(length: number, signal: AbortSignal, work: (buffer: Uint8Array) => Promise<void>): Promise<void> {
    signal.throwIfAborted();
    const bytes = bufferBytes(length);
    await this.#turn(bytes, signal);
    try {
      signal.throwIfAborted();
      const buffer = this.#pool.take(length);
      try {
        await work(buffer);
      } finally {
        this.#pool.give(buffer);
      }
    } finally {
      this.#held -= bytes;
      this.#beginNext();
    }
  }

  #turn(bytes: number, signal: AbortSignal): Pending {
    if (this.#waiting.length === 0 && this.#held + bytes <= WORK_BYTES_MAX) {
      this.#held += bytes;
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const end = () => {
        this.#waiting = this.#waiting.filter((one) => one !== waiting);
        this.#beginNext();
        reject(signal.reason);
      };
      const begin = () => {
        // The signal may serve other commands after this one.
        signal.removeEventListener("abort", end);
        resolve();
      };
      const waiting = { bytes, begin };
      this.#waiting.push(waiting);
      signal.addEventListener("abort", end, { once: true });
    });
  }

  #beginNext(): void {
    for (let next = this.#waiting.at(0); next !== undefined; next = this.#waiting.at(0)) {
      if (this.#held + next.bytes > WORK_BYTES_MAX) return;
      this.#waiting.shift();
      this.#held += next.bytes;
      next.begin();
    }
  }
}
