/**
 * Runs sequences of operations, each to its end once, and then looks at every state that a power cut in its last
 * operation may leave. A power cut in an earlier one belongs to a shorter sequence, and is looked at there.
 */

import { checksumBlock } from "../../../src/raid/member-layout.ts";
import type { Bench } from "./bench.ts";
import type { Order, TraceEvent } from "./crash-drive.ts";
import { type Bounds, type CrashState, CrashStates, keyOf } from "./crash-states.ts";
import { contentOf, type Expectation, expectationKey } from "./expectation.ts";
import { carryOut, firstLife, type Life, type Operation, type Stage, type Start } from "./operations.ts";
import { expectContent, expectDegradedReads, type Recovered, recover } from "./recovery.ts";

/** How much is looked at in the last operation of a sequence. */
export interface Depth extends Bounds {
  /** One of how many states is cut off again in its recovery, at every request; 1 for all, 0 for none. */
  readonly nestedEvery: number;
}

export class Counts {
  sequences = 0;
  /** Moments at which the power goes. */
  points = 0;
  /** Those at which not every subset was looked at. */
  boundedPoints = 0;
  states = 0;
  distinct = 0;
  recoveries = 0;
  nested = 0;
  refused = 0;
  doubtful = 0;

  toString(): string {
    return Object.entries(this)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ");
  }
}

/** In a recovery: all kept, all dropped, each block alone there or missing, each set of drives. */
const NESTED: Bounds = { subsets: 4, selection: "blocks", drawn: 0, torn: false };

export class Explorer {
  readonly counts = new Counts();
  readonly #bench: Bench;
  /** States that were looked at, by expectation and drives that are there. */
  readonly #seen = new Map<string, Set<number>>();
  /** What arrays hold that were found to be right without each of their members. */
  readonly #degraded = new Set<string>();

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  run(start: Start, sequence: readonly Operation[], order: Order, depth: Depth): void {
    const name = `${start.name}: ${sequence.map((operation) => operation.name).join(", ")} (${order} request first)`;
    this.counts.sequences++;
    try {
      this.#run(start, sequence, order, depth, name);
    } catch (error) {
      throw new Error(`${name}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }

  #run(from: Start, sequence: readonly Operation[], order: Order, depth: Depth, name: string): void {
    let life: Life | undefined = firstLife(from, order);
    for (const [place, operation] of sequence.entries()) {
      const before: number = life.machine.trace.length;
      const start: Expectation = life.expectation;
      const outcome = carryOut(this.#bench, life, operation, place);
      if (place === sequence.length - 1 && operation.kind !== "power") {
        const stages = [{ events: 0, expectation: start }, ...outcome.stages];
        this.#crashEverywhere(life, before, stages, depth, name);
        if (outcome.life !== undefined) this.#expectLive(outcome.life);
      }
      life = outcome.life;
      if (life === undefined) return;
    }
  }

  /** Without a power cut, flushed and closed in the end: what the array holds, also without each of its members. */
  runThrough(start: Start, sequence: readonly Operation[]): void {
    this.counts.sequences++;
    const name = `${start.name}: ${sequence.map((operation) => operation.name).join(", ")}`;
    try {
      let life: Life | undefined = firstLife(start, "first");
      for (const [place, operation] of sequence.entries()) {
        if (life !== undefined) life = carryOut(this.#bench, life, operation, place).life;
      }
      if (life === undefined) throw new Error("refused without a power cut");
      this.#expectLive(life);
      const { machine, array, expectation } = life;
      const { mismatches } = machine.run(array.check());
      if (mismatches > 0) throw new Error(`check finds ${mismatches} mismatches`);
      machine.run(array.close());
      expectDegradedReads(this.#bench, machine.image, expectation, life.number + 1);
    } catch (error) {
      throw new Error(`${name}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }

  /** What the array says without a power cut. */
  #expectLive({ machine, array, expectation }: Life): void {
    const { slots, dead } = expectation;
    const gone = slots.filter(({ drive, state }) => state !== "active" || dead.includes(drive)).length;
    if (gone > this.#bench.geometry.tolerates) return;
    expectContent(this.#bench, machine, array, contentOf(expectation));
  }

  #crashEverywhere(life: Life, before: number, stages: readonly Stage[], depth: Depth, name: string): void {
    const { trace } = life.machine;
    const states = new CrashStates(life.start, keyOf(life.start));
    for (let events = 0; events <= trace.length; events++) {
      if (events > 0) states.apply(trace[events - 1]);
      if (events < before) continue;
      this.counts.points++;
      for (const expectation of expectationsAt(stages, events)) {
        const complete = states.enumerate(depth, `${name} ${events}`, (state) => {
          this.counts.states++;
          this.#look(state, expectation, depth, life.number + 1, () => describe(trace, events));
        });
        if (!complete) this.counts.boundedPoints++;
      }
    }
  }

  #look(state: CrashState, expectation: Expectation, depth: Depth, life: number, where: () => string): void {
    const { dead, drives: all } = expectation;
    const sets = [all];
    if (dead.length > 0) sets.push(all.filter((drive) => !dead.includes(drive)));
    const extreme = state.kind === "all kept" || state.kind === "all dropped";
    // A member that is lost together with the power.
    if (extreme && expectation.rotten !== true) {
      const there = sets[sets.length - 1];
      for (const { drive } of expectation.slots) if (there.includes(drive)) sets.push(there.filter((d) => d !== drive));
    }
    for (const present of sets) {
      if (!this.#isNew(state, expectation, present)) continue;
      this.counts.distinct++;
      try {
        const nested = depth.nestedEvery > 0 && state.key % depth.nestedEvery === 0;
        this.#recover(state, expectation, new Set(present), life, nested);
      } catch (error) {
        const when = `power cut after ${where()}, ${state.kind}, with drives ${present.join(" ")}`;
        throw new Error(`${when}: ${error instanceof Error ? error.message : error}`, { cause: error });
      }
    }
  }

  #isNew(state: CrashState, expectation: Expectation, present: readonly number[]): boolean {
    const key = `${expectationKey(expectation)}; ${present.join(" ")}`;
    let seen = this.#seen.get(key);
    if (seen === undefined) {
      seen = new Set();
      this.#seen.set(key, seen);
    }
    if (seen.has(state.key)) return false;
    seen.add(state.key);
    return true;
  }

  #recover(
    state: CrashState,
    expectation: Expectation,
    present: ReadonlySet<number>,
    life: number,
    nested: boolean,
  ): void {
    const image = state.image();
    this.counts.recoveries++;
    const recovered = recover(this.#bench, image, expectation, present, { close: true, life });
    this.counts.doubtful += recovered.doubtful;
    if (recovered.refused !== undefined) {
      this.counts.refused++;
      return;
    }
    this.#degradedReads(recovered, life + 1);
    if (nested) this.#crashInRecovery(recovered, new CrashStates(image, state.halves), present, life + 1);
  }

  #degradedReads({ machine, stages }: Recovered, life: number): void {
    const last = stages[stages.length - 1].expectation;
    if (last.dirty || last.slots.some(({ drive, state }) => state !== "active" || last.dead.includes(drive))) return;
    // Superblocks and logs of a closed array say nothing of what it holds.
    const first = checksumBlock(0);
    const { low, high } = keyOf(machine.image, first, first + 1 + this.#bench.volumeBlocks);
    const key = `${low} ${high} ${expectationKey(last)}`;
    if (this.#degraded.has(key)) return;
    this.#degraded.add(key);
    expectDegradedReads(this.#bench, machine.image, last, life);
  }

  #crashInRecovery(
    { machine, stages }: Recovered,
    states: CrashStates,
    present: ReadonlySet<number>,
    life: number,
  ): void {
    const drives = [...present];
    for (let events = 0; events <= machine.trace.length; events++) {
      if (events > 0) states.apply(machine.trace[events - 1]);
      for (const expectation of expectationsAt(stages, events)) {
        states.enumerate(NESTED, "", (state) => {
          if (!this.#isNew(state, expectation, drives)) return;
          this.counts.nested++;
          try {
            this.#recover(state, expectation, present, life, false);
          } catch (error) {
            const where = `then in the recovery after ${describe(machine.trace, events)}, ${state.kind}`;
            throw new Error(`${where}: ${error instanceof Error ? error.message : error}`, { cause: error });
          }
        });
      }
    }
  }
}

/** Those that hold after so many events: where something was reported meanwhile, what held before and after it. */
function* expectationsAt(stages: readonly Stage[], events: number): Generator<Expectation> {
  let last: Expectation | undefined;
  for (const stage of stages) {
    if (stage.events < events) last = stage.expectation;
    else break;
  }
  if (last !== undefined) yield last;
  for (const stage of stages) if (stage.events === events) yield stage.expectation;
}

function describe(trace: readonly TraceEvent[], events: number): string {
  const event = trace[events - 1];
  if (event === undefined) return "nothing";
  if (event.kind === "died") return `event ${events}: drive ${event.drive} died`;
  const { kind, drive, block, pages } = event.request;
  return `event ${events} of ${trace.length}: ${event.kind} ${kind} of drive ${drive} blocks ${block}+${pages.length}`;
}
