/**
 * Has the runtime collect its garbage once nothing has come for a while. Everything that is received is garbage soon, and the
 * runtime leaves it lying where no more follows: hundreds of MiB after a burst.
 */

/** A collection has to be worth its work. */
const WORTH_BYTES = 16 * 1024 * 1024;
const IDLE_MS = 2000;

export class IdleCollection {
  readonly #after: (millis: number, run: () => void) => void;
  readonly #collect: () => void;
  #received = 0;
  /** What had been received when it was last looked. */
  #seen = 0;
  #watching = false;
  readonly #look = () => {
    if (this.#received !== this.#seen) {
      this.#seen = this.#received;
      this.#after(IDLE_MS, this.#look);
      return;
    }
    this.#watching = false;
    this.#received = this.#seen = 0;
    this.#collect();
  };

  /** @param after calls back so many milliseconds later; it need not keep the process alive */
  constructor(after: (millis: number, run: () => void) => void, collect: () => void) {
    this.#after = after;
    this.#collect = collect;
  }

  received(bytes: number): void {
    this.#received += bytes;
    if (this.#watching || this.#received < WORTH_BYTES) return;
    this.#watching = true;
    this.#after(IDLE_MS, this.#look);
  }
}
