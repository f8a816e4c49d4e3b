/** Host writes that wait for their acknowledgement, in sequence. */

import type { Instant, Sequence } from "../base/units.ts";

interface Entry {
  readonly at: Sequence;
  readonly since: Instant;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Entries before the front that may be spent before the array is cut. */
const SPENT_MAX = 4096;

export class CommitQueue {
  readonly #entries: Entry[] = [];
  #front = 0;

  get length(): number {
    return this.#entries.length - this.#front;
  }

  /** Since when the oldest waits; undefined where none does. */
  get oldest(): Instant | undefined {
    return this.#entries[this.#front]?.since;
  }

  /** Resolves when everything up to `at` is committed. Called with rising sequences. */
  wait(at: Sequence, since: Instant): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#entries.push({ at, since, resolve, reject });
    });
  }

  release(committed: Sequence): void {
    while (this.length > 0 && this.#entries[this.#front].at <= committed) this.#entries[this.#front++].resolve();
    if (this.#front === this.#entries.length || this.#front > SPENT_MAX) {
      this.#entries.splice(0, this.#front);
      this.#front = 0;
    }
  }

  rejectAll(error: unknown): void {
    for (const entry of this.#entries.splice(this.#front)) entry.reject(error);
    this.#entries.length = 0;
    this.#front = 0;
  }
}
