/**
 * One life of a machine's software, from a start to its end. Everything that happens to it goes through here, so that
 * a stopped process is told nothing until it goes on, and an ended one is never told anything again.
 */

import type { SimulatedEvent } from "./event-queue.ts";
import type { Scheduler } from "./scheduler.ts";

export type ProcessState = "running" | "stopped" | "ended";

export class Process {
  #state: ProcessState = "running";
  /** What came while it was stopped, in order. */
  #waiting: { readonly what: string; readonly run: () => void }[] = [];

  /** @param life 1 for the first process of the machine */
  constructor(
    readonly scheduler: Scheduler,
    readonly machine: string,
    readonly life: number,
  ) {}

  get state(): ProcessState {
    return this.#state;
  }

  get ended(): boolean {
    return this.#state === "ended";
  }

  /** Runs in this process after `delay` milliseconds; never, if it has ended by then. */
  schedule(delay: number, what: string, run: () => void): SimulatedEvent {
    return this.scheduler.schedule(delay, what, run, this);
  }

  /** Tells the process at once; when it goes on, if it is stopped; never, if it has ended. */
  deliver(what: string, run: () => void): void {
    if (this.#state === "running") run();
    else if (this.#state === "stopped") this.#waiting.push({ what, run });
  }

  stop(): void {
    if (this.#state === "running") this.#state = "stopped";
  }

  continue(): void {
    if (this.#state !== "stopped") return;
    this.#state = "running";
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { what, run } of waiting) this.schedule(0, what, run);
  }

  end(): void {
    this.#state = "ended";
    this.#waiting = [];
  }
}
