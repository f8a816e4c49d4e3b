/** The clocks of one machine: each process's monotonic one, with the machine's drift, and the wall clock, which steps. */

import { assert } from "../../base/assert.ts";
import { type Instant, instant, type Millis } from "../../base/units.ts";
import type { Clock, Timer } from "../clock.ts";
import type { Process } from "./process.ts";
import type { Scheduler } from "./scheduler.ts";

/** 1 November 2026, 00:00 UTC, in milliseconds since 1970: when every universe begins. */
const BEGINNING = 1_793_491_200_000;

export class MachineTime {
  /** Local milliseconds that pass in one of virtual time. */
  #rate = 1;
  #anchorLocal = 0;
  #anchor = 0;
  #wallOffset = BEGINNING;

  constructor(readonly scheduler: Scheduler) {}

  /** Milliseconds by the machine's oscillator since the universe began. */
  get local(): number {
    return this.#anchorLocal + (this.scheduler.now - this.#anchor) * this.#rate;
  }

  get wallClock(): number {
    return Math.floor(this.local + this.#wallOffset);
  }

  /** Virtual milliseconds until `delay` local ones have passed: whole microseconds, and never too few. */
  virtual(delay: number): number {
    return delay <= 0 ? 0 : Math.ceil((delay / this.#rate) * 1000) / 1000;
  }

  /** From now on the oscillator is wrong by so many parts in a million; timers that run keep their time. */
  setDrift(partsPerMillion: number): void {
    assert(partsPerMillion > -1e6, "a clock does not stand still or run backwards");
    this.#anchorLocal = this.local;
    this.#anchor = this.scheduler.now;
    this.#rate = 1 + partsPerMillion / 1e6;
  }

  setWallClock(millisSince1970: number): void {
    this.#wallOffset = millisSince1970 - this.local;
  }
}

export class SimulatedClock implements Clock {
  /** What the clock shows is no other process's business, and no sum of two of them means anything. */
  readonly #origin: number;
  #end: number | undefined;

  /** @param origin the clock's reading at the start of the process */
  constructor(
    private readonly process: Process,
    private readonly time: MachineTime,
    origin: number,
  ) {
    this.#origin = origin - time.local;
  }

  now(): Instant {
    return instant(this.#origin + (this.#end ?? this.time.local));
  }

  wallClock(): number {
    return this.time.wallClock;
  }

  after(delay: Millis, run: () => void): Timer {
    const { process } = this;
    if (process.ended) return { cancel: () => {} };
    const event = process.schedule(this.time.virtual(delay), "timer", () => {
      due = true;
      if (!cancelled) run();
    });
    let due = false;
    // a timer that came up while the process was stopped can still be cancelled when it goes on
    let cancelled = false;
    return {
      cancel: () => {
        cancelled = true;
        if (!due) process.scheduler.cancel(event);
      },
    };
  }

  afterTurn(run: () => void): void {
    if (!this.process.ended) this.process.scheduler.afterTurn(this.process, run);
  }

  /** The process ended: its clock stands still. */
  stop(): void {
    this.#end = this.time.local;
  }
}
