/**
 * One direction between two machines: its delay, its bandwidth, and whether anything gets through.
 * Nothing is ever lost on it: what a cut holds up arrives after it is whole again, as TCP would send it again.
 */

import type { Scheduler } from "./scheduler.ts";
import type { SeededRandom } from "./seeded-random.ts";

export interface LinkSettings {
  /** Least and most milliseconds from one end to the other. */
  readonly delay: readonly [min: number, max: number];
  /** Shared by all connections in this direction. */
  readonly bytesPerSecond: number;
}

export class Wire {
  readonly #random: SeededRandom;
  #settings: LinkSettings;
  #cut = false;
  #cloggedUntil = 0;
  #busyUntil = 0;
  #held: (() => void)[] = [];

  constructor(
    private readonly scheduler: Scheduler,
    readonly from: string,
    readonly to: string,
    settings: LinkSettings,
  ) {
    this.#random = scheduler.random.fork(`wire ${from} ${to}`);
    this.#settings = settings;
  }

  configure(settings: Partial<LinkSettings>): void {
    this.#settings = { ...this.#settings, ...settings };
  }

  /** Milliseconds from now until `bytes` that are put on the wire now are at its end. */
  transit(bytes: number): number {
    const { now } = this.scheduler;
    const delay = this.#random.between(this.#settings.delay[0], this.#settings.delay[1]);
    if (bytes === 0 || this.#settings.bytesPerSecond === Number.POSITIVE_INFINITY) return delay;
    this.#busyUntil = Math.max(this.#busyUntil, now) + (bytes * 1000) / this.#settings.bytesPerSecond;
    return this.#busyUntil - now + delay;
  }

  /** Lets `arrive` happen after `delay`, and after whatever holds the wire up by then. */
  carry(delay: number, what: string, arrive: () => void): void {
    this.scheduler.schedule(delay, `${this.from} > ${this.to} ${what}`, () => {
      if (this.#cut) this.#held.push(() => this.carry(this.#random.between(0, 1), what, arrive));
      else if (this.#cloggedUntil > this.scheduler.now)
        this.carry(this.#cloggedUntil - this.scheduler.now, what, arrive);
      else arrive();
    });
  }

  cut(): void {
    this.#cut = true;
  }

  heal(): void {
    this.#cut = false;
    this.#cloggedUntil = 0;
    for (const carryOn of this.#held.splice(0)) carryOn();
  }

  clog(duration: number): void {
    this.#cloggedUntil = Math.max(this.#cloggedUntil, this.scheduler.now + duration);
  }
}
