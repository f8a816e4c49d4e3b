/**
 * Virtual time: takes events one after another, and between two of them lets everything that the first one set off
 * come to rest. Time passes only between events, never during one.
 *
 * A turn is one event, then all microtasks, then the callbacks of `afterTurn`, each with its microtasks.
 */

import { AssertionError, assert } from "../../base/assert.ts";
import type { Millis } from "../../base/units.ts";
import { EventQueue, type SimulatedEvent } from "./event-queue.ts";
import type { Process } from "./process.ts";
import { drainMicrotasks, realTurn } from "./real-turn.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { Trace } from "./trace.ts";

export interface RunOptions {
  /** Virtual time from now after which the run fails; 60 s unless told otherwise. */
  readonly deadline?: Millis | number;
}

const DEADLINE_MILLIS = 60_000;
/** More events than this without a step of the clock, or more callbacks after one turn, are a loop. */
const EVENTS_AT_ONE_INSTANT_MAX = 1_000_000;
/** Events between two turns of the real event loop, which a test runner needs to stay alive. */
const EVENTS_PER_REAL_TURN = 20_000;

/** The clock's resolution is a microsecond: the same sums on every path, and ties that happen. */
function toMicrosecond(time: number): number {
  return Math.round(time * 1000) / 1000;
}

export class Scheduler {
  readonly trace = new Trace();
  readonly #queue = new EventQueue();
  readonly #ties: SeededRandom;
  #now = 0;
  #order = 0;
  #atThisInstant = 0;
  #running = false;
  /** Set while a run waits for a turn of the real event loop: when that run is over. */
  #yielded: Promise<void> | undefined;
  #afterTurn: { readonly process: Process; readonly run: () => void }[] = [];

  constructor(readonly random: SeededRandom) {
    this.#ties = random.fork("ties");
  }

  /** Virtual milliseconds since the universe began. */
  get now(): number {
    return this.#now;
  }

  /**
   * @param delay   milliseconds from now; 0 is later in this instant, in no certain order
   * @param what    for the trace
   * @param process the process that it happens to, if it is one
   */
  schedule(delay: number, what: string, run: () => void, process?: Process): SimulatedEvent {
    assert(!Number.isNaN(delay), `delay of ${what} is not a number`);
    const time = toMicrosecond(this.#now + Math.max(0, delay));
    const event = { time, tie: this.#ties.next(), order: this.#order++, what, process, run };
    this.#queue.push(event);
    return event;
  }

  cancel(event: SimulatedEvent): void {
    this.#queue.cancel(event);
  }

  afterTurn(process: Process, run: () => void): void {
    this.#afterTurn.push({ process, run });
  }

  /**
   * Takes events until the condition holds; it is looked at after each turn.
   * Rejects when the deadline passes first, or when nothing is left that could happen.
   */
  async run(until: () => boolean, options: RunOptions = {}): Promise<void> {
    const deadline = options.deadline ?? DEADLINE_MILLIS;
    await this.#exclusively(async (yieldTurn) => {
      const end = this.#now + deadline;
      this.#rest();
      for (let taken = 1; !until(); taken++) {
        const next = this.#queue.peek();
        if (next === undefined)
          throw this.#failure("nothing is left that could happen, and the condition does not hold");
        if (next.time > end) {
          this.#passTo(end);
          throw this.#failure(`the condition did not hold within ${deadline} ms`);
        }
        this.#take(next);
        if (taken % EVENTS_PER_REAL_TURN === 0) await yieldTurn();
      }
    });
  }

  /** Lets `duration` milliseconds pass with all that happens in them. */
  async advance(duration: Millis | number): Promise<void> {
    await this.#exclusively(async (yieldTurn) => {
      const end = toMicrosecond(this.#now + duration);
      this.#rest();
      for (let taken = 1; ; taken++) {
        const next = this.#queue.peek();
        if (next === undefined || next.time > end) break;
        this.#take(next);
        if (taken % EVENTS_PER_REAL_TURN === 0) await yieldTurn();
      }
      this.#passTo(end);
    });
  }

  /** One run after another; one within another is a mistake. */
  async #exclusively(body: (yieldTurn: () => Promise<void>) => Promise<void>): Promise<void> {
    while (this.#yielded !== undefined) await this.#yielded;
    assert(!this.#running, "the universe is already running: one run or advance at a time");
    this.#running = true;
    const over = Promise.withResolvers<void>();
    try {
      await body(async () => {
        this.#yielded = over.promise;
        await realTurn();
        this.#yielded = undefined;
      });
    } finally {
      this.#running = false;
      over.resolve();
    }
  }

  #passTo(time: number): void {
    if (time > this.#now) {
      this.#now = time;
      this.#atThisInstant = 0;
    }
  }

  #take(event: SimulatedEvent): void {
    this.#queue.pop();
    this.#passTo(event.time);
    if (++this.#atThisInstant > EVENTS_AT_ONE_INSTANT_MAX) throw this.#failure("time stands still: events without end");
    const { run, process } = event;
    event.run = undefined;
    if (run === undefined || process?.ended) return;
    this.trace.event(event.time, process?.machine, event.what);
    if (process === undefined) run();
    else process.deliver(event.what, run);
    this.#rest();
  }

  /** Lets everything that is under way in this turn finish. */
  #rest(): void {
    drainMicrotasks();
    for (let callbacks = 0; this.#afterTurn.length > 0; ) {
      const batch = this.#afterTurn;
      this.#afterTurn = [];
      for (const { process, run } of batch) {
        if (++callbacks > EVENTS_AT_ONE_INSTANT_MAX)
          throw this.#failure("a turn without end: afterTurn calls afterTurn");
        process.deliver("after turn", run);
        drainMicrotasks();
      }
    }
  }

  #failure(what: string): Error {
    const next = this.#queue.peek();
    return new AssertionError(
      [
        `${what}; now ${this.#now.toFixed(3)} ms, seed ${this.random.seed}, ${this.trace.events} events. Last events:`,
        ...this.trace.lastEvents().map((line) => `  ${line}`),
        next === undefined ? "Nothing comes next." : `Next: ${next.time.toFixed(3)} ms  ${next.what}`,
      ].join("\n"),
    );
  }
}
