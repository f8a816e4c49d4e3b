/**
 * One direction between two machines: its delay, its bandwidth, what it does to bits, and whether anything gets through.
 * Nothing is ever lost on it: what a cut holds up arrives after it is whole again, as TCP would send it again.
 */

import type { SimulatedEvent } from "./event-queue.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SeededRandom } from "./seeded-random.ts";

export interface LinkSettings {
  /** Least and most milliseconds from one end to the other. */
  readonly delay: readonly [min: number, max: number];
  /** Shared by all connections in this direction. */
  readonly bytesPerSecond: number;
  /** Least and most bytes that travel as one piece; fewer where the sender or its window ends before. */
  readonly segmentBytes: readonly [min: number, max: number];
}

export class Wire {
  readonly #random: SeededRandom;
  /** What the trace calls what it carries. */
  readonly #names = new Map<string, string>();
  #settings: LinkSettings;
  #isCut = false;
  /** Ends the clog, while there is one. */
  #unclog: SimulatedEvent | undefined;
  #flipProbability = 0;
  /** Segments whose bits it has changed. */
  damaged = 0;
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

  get settings(): LinkSettings {
    return this.#settings;
  }

  get isCut(): boolean {
    return this.#isCut;
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
    this.scheduler.schedule(delay, this.#nameOf(what), () => {
      if (!this.#isCut && this.#unclog === undefined) arrive();
      else this.#held.push(() => this.carry(this.#random.between(0, 1), what, arrive));
    });
  }

  /** Does to a segment's bytes what the wire does to them, in place. */
  damage(segment: Uint8Array): void {
    if (this.#flipProbability === 0 || !this.#random.chance(this.#flipProbability)) return;
    this.damaged++;
    segment[this.#random.below(segment.length)] ^= 1 << this.#random.below(8);
  }

  flipBits(probability: number): void {
    this.#flipProbability = probability;
  }

  cut(): void {
    this.#isCut = true;
  }

  clog(duration: number): void {
    const { scheduler } = this;
    if (this.#unclog !== undefined) {
      if (this.#unclog.time >= scheduler.now + duration) return;
      scheduler.cancel(this.#unclog);
    }
    this.#unclog = scheduler.schedule(duration, this.#nameOf("unclogged"), () => {
      this.#unclog = undefined;
      this.#release();
    });
  }

  heal(): void {
    this.#isCut = false;
    this.#flipProbability = 0;
    if (this.#unclog !== undefined) this.scheduler.cancel(this.#unclog);
    this.#unclog = undefined;
    this.#release();
  }

  #release(): void {
    if (this.#isCut) return;
    for (const carryOn of this.#held.splice(0)) carryOn();
  }

  #nameOf(what: string): string {
    let name = this.#names.get(what);
    if (name === undefined) {
      name = `${this.from} > ${this.to} ${what}`;
      this.#names.set(what, name);
    }
    return name;
  }
}
