/**
 * The timers of one end of a link, by name: at most one of each name runs, and all of them end in one dispatch.
 */

import type { Millis } from "../base/units.ts";
import type { Clock, Timer } from "../platform/clock.ts";

export class Timers<Name extends string> {
  readonly #clock: Clock;
  readonly #fire: (name: Name) => void;
  readonly #running = new Map<Name, Timer>();

  constructor(clock: Clock, fire: (name: Name) => void) {
    this.#clock = clock;
    this.#fire = fire;
  }

  /** Starts the timer, from the beginning if it runs. */
  set(name: Name, delay: Millis): void {
    this.#running.get(name)?.cancel();
    this.#running.set(
      name,
      this.#clock.after(delay, () => {
        this.#running.delete(name);
        this.#fire(name);
      }),
    );
  }

  cancel(name: Name): void {
    this.#running.get(name)?.cancel();
    this.#running.delete(name);
  }

  clear(): void {
    for (const timer of this.#running.values()) timer.cancel();
    this.#running.clear();
  }
}
