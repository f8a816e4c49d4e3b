/**
 * Tells when a target has been idle for a while after work that left something to tidy up: what initiators have sent, and
 * what its pools keep, is garbage and unused memory then, some hundred MiB of it after a burst.
 */

import type { Timer, Timers } from "./interfaces.ts";
import { IDLE_MILLIS, IDLE_WORTH_BYTES } from "./limits.ts";

export interface IdleHost {
  readonly timers: Timers;
  /** Bytes that are kept for reuse. */
  readonly retainedBytes: number;
  /** Bytes that will be kept for reuse, or go back, without a word from any initiator. */
  readonly inUseBytes: number;
  /** Gives back what is not in use, and lets the runtime do as much. */
  tidyUp(): void;
}

export class IdleWatch {
  readonly #host: IdleHost;
  #timer: Timer | undefined;
  #stopped = false;
  /** Since it was last tidied up. */
  #received = 0;
  /** What had been received when it was last looked. */
  #seen = 0;
  readonly #look = () => {
    this.#timer = undefined;
    const isIdle = this.#received === this.#seen;
    if (isIdle && this.#received + this.#host.retainedBytes >= IDLE_WORTH_BYTES) {
      this.#received = 0;
      this.#host.tidyUp();
    }
    if (!isIdle || this.#host.inUseBytes > 0) this.#watch();
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

  #watch(): void {
    this.#seen = this.#received;
    this.#timer = this.#host.timers.after(IDLE_MILLIS, this.#look);
  }
}
