/**
 * Locks on ranges of stripes: many readers or one writer for each stripe.
 *
 * First come, first served: a request waits for every conflicting one that came before it, held or waiting, so that
 * neither readers nor writers starve. Holders are few (the array's gate bounds them), so a linear search is the index.
 */

import { assert } from "../base/assert.ts";

export interface Held {
  readonly first: number;
  /** Included. */
  readonly last: number;
  readonly exclusive: boolean;
}

interface Waiting {
  readonly request: Held;
  readonly grant: (held: Held) => void;
}

function conflicts(a: Held, b: Held): boolean {
  return (a.exclusive || b.exclusive) && a.first <= b.last && b.first <= a.last;
}

export class RangeLock {
  readonly #held: Held[] = [];
  #waiting: Waiting[] = [];

  acquire(first: number, last: number, exclusive: boolean): Held | Promise<Held> {
    assert(first <= last, "a range has a first and a last");
    const request: Held = { first, last, exclusive };
    if (!this.#blocked(request) && !this.#waiting.some((other) => conflicts(other.request, request))) {
      this.#held.push(request);
      return request;
    }
    return new Promise((grant) => this.#waiting.push({ request, grant }));
  }

  release(held: Held): void {
    const at = this.#held.indexOf(held);
    assert(at >= 0, "released once, by its holder");
    this.#held[at] = this.#held[this.#held.length - 1];
    this.#held.pop();
    if (this.#waiting.length === 0) return;
    const still: Waiting[] = [];
    for (const waiting of this.#waiting) {
      if (this.#blocked(waiting.request) || still.some((other) => conflicts(other.request, waiting.request))) {
        still.push(waiting);
      } else {
        this.#held.push(waiting.request);
        waiting.grant(waiting.request);
      }
    }
    this.#waiting = still;
  }

  #blocked(request: Held): boolean {
    for (const held of this.#held) if (conflicts(held, request)) return true;
    return false;
  }
}
