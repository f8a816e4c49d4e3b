/**
 * What wrong passwords cost: each makes the next one wait longer, whoever gives it and wherever, so that hanging up and coming
 * back gains nothing; a right one ends that. The wait is bounded, so that nobody is locked out.
 */

import { type Instant, instant, type Millis, millis } from "../base/units.ts";
import type { Clock } from "../platform/clock.ts";
import type { Users } from "./users.ts";

/** After the first wrong answer; doubled with each. */
const WAIT_FIRST = millis(1000);
const WAIT_MAX = millis(60_000);
/** Passwords that may wait for the one before them to be looked at, each of which takes memory and a tenth of a second. */
const PENDING_MAX = 8;

export type Verdict =
  | { readonly kind: "right" }
  | { readonly kind: "wrong" }
  /** It was not looked at, and may be given again after that time. */
  | { readonly kind: "too soon"; readonly wait: Millis };

export class Guesses {
  #failures = 0;
  /** No password is looked at before. */
  #notBefore: Instant = instant(0);
  #pending = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly users: Pick<Users, "verify">,
    private readonly clock: Pick<Clock, "now">,
  ) {}

  /** How long the next guess has to wait. */
  get wait(): Millis {
    return millis(Math.max(0, this.#notBefore - this.clock.now()));
  }

  /** A guess is about to be made, and counts as a wrong one until `right`. @returns how long it has to wait before */
  begin(): Millis {
    // Taken before the wait: the next answer, wherever, waits for this one.
    const { wait } = this;
    this.#failures++;
    const penalty = Math.min(WAIT_MAX, WAIT_FIRST * 2 ** (this.#failures - 1));
    this.#notBefore = instant(this.clock.now() + wait + penalty);
    return wait;
  }

  right(): void {
    this.#failures = 0;
    this.#notBefore = this.clock.now();
  }

  /** For those who can't be made to wait: one guess at a time is looked at. Rejects with `users.damaged`. */
  async verify(name: string, password: string): Promise<Verdict> {
    if (this.#pending >= PENDING_MAX) return { kind: "too soon", wait: WAIT_FIRST };
    this.#pending++;
    const verdict = this.#last.then(() => this.#verify(name, password)).finally(() => this.#pending--);
    this.#last = verdict.catch(() => {});
    return verdict;
  }

  async #verify(name: string, password: string): Promise<Verdict> {
    const { wait } = this;
    if (wait > 0) return { kind: "too soon", wait };
    this.begin();
    if (!(await this.users.verify(name, password))) return { kind: "wrong" };
    this.right();
    return { kind: "right" };
  }
}
