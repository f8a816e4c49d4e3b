/**
 * Gives back what a server's pools keep once it has been idle for a while, and lets the runtime do as much: what initiators have
 * sent is garbage then, and the pools are unused, together some hundred MiB after a burst.
 */

import type { BufferPool } from "./buffers.ts";
import type { Memory, Timer, Timers } from "./interfaces.ts";
import { IDLE_MILLIS, IDLE_WORTH_BYTES } from "./limits.ts";
import type { ChunkPool } from "./output.ts";

export interface IdleHost {
  readonly timers: Timers;
  readonly memory: Pick<Memory, "idle">;
  readonly buffers: Pick<BufferPool, "retainedBytes" | "inUseBytes" | "trim">;
  readonly chunks: Pick<ChunkPool, "retainedBytes" | "trim">;
}

export class IdleWatch {
  readonly #host: IdleHost;
  #timer: Timer | undefined;
  #stopped = false;
  /** Since the last time that it was worth it. */
  #received = 0;
  /** What had been received when it was last looked. */
  #seen = 0;
  readonly #look = () => {
    this.#timer = undefined;
    const { memory, buffers, chunks } = this.#host;
    const isIdle = this.#received === this.#seen;
    if (isIdle && this.#received + buffers.retainedBytes + chunks.retainedBytes >= IDLE_WORTH_BYTES) {
      this.#received = 0;
      this.trim();
      memory.idle?.();
    }
    // What is in use may come free without a word from any initiator.
    if (!isIdle || buffers.inUseBytes > 0) this.#watch();
  };

  constructor(host: IdleHost) {
    this.#host = host;
  }

  received(bytes: number): void {
    this.#received += bytes;
    if (this.#timer === undefined && !this.#stopped) this.#watch();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Gives back what is not in use. */
  trim(): void {
    this.#host.buffers.trim();
    this.#host.chunks.trim();
  }

  #watch(): void {
    this.#seen = this.#received;
    this.#timer = this.#host.timers.after(IDLE_MILLIS, this.#look);
  }
}
