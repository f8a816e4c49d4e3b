/**
 * Runs, spread over worker processes. Every so many runs one is made again, in another process, and must give the same
 * trace hash and the same result: nothing may depend on anything but the seed.
 */

import { join } from "node:path";
import type { RunResult } from "../run.ts";
import { type Order, type Outcome, type WorkerCommand, WorkerProcess } from "./worker-process.ts";

const WORKER = join(import.meta.dirname, "../worker.ts");
/** Many times what the longest run takes on a machine that does other things besides. */
const RUN_MS_MAX = 180_000;

export interface PoolOptions {
  /** Processes at once. */
  readonly workers: number;
  /** The fault that the product is loaded with. */
  readonly breakage?: string;
  /** One run in so many is made twice, the first one to begin with; 0 for none. */
  readonly repeatEvery: number;
  /** Told of every run when it is over. Of a repeated one it hears again only if the two differ. */
  readonly onOutcome: (outcome: Outcome) => void;
}

/** How to start a worker: the simulator's own unless told otherwise. */
function simulatorWorker(breakage: string | undefined): WorkerCommand {
  return { args: breakage === undefined ? [WORKER] : [WORKER, breakage], runMsMax: RUN_MS_MAX };
}

interface Repeat {
  readonly order: Order;
  readonly first: RunResult;
  /** The process that made it first. */
  readonly pid: number;
}

export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #command: WorkerCommand;
  readonly #processes = new Set<WorkerProcess>();
  readonly #repeats: Repeat[] = [];
  #begun = 0;
  #stopped = false;

  constructor(options: PoolOptions, command = simulatorWorker(options.breakage)) {
    this.#options = options;
    this.#command = command;
  }

  /** Makes the runs; resolves when all are over or `stop` was called. Rejects where no worker comes up. */
  async run(orders: Iterator<Order>): Promise<void> {
    try {
      await Promise.all(Array.from({ length: this.#options.workers }, () => this.#work(orders)));
    } finally {
      this.stop();
    }
  }

  /** Ends the workers at once; what they are running is not heard of. */
  stop(): void {
    this.#stopped = true;
    for (const worker of this.#processes) worker.kill();
  }

  async #work(orders: Iterator<Order>): Promise<void> {
    let worker: WorkerProcess | undefined;
    while (!this.#stopped) {
      const repeat = this.#takeRepeat(({ pid }) => pid !== worker?.pid);
      if (repeat !== undefined) {
        worker = await this.#usable(worker);
        await this.#again(worker, repeat);
        continue;
      }
      const { value: order, done } = orders.next();
      if (!done) {
        worker = await this.#usable(worker);
        await this.#first(worker, order);
      } else if (this.#repeats.length > 0) {
        // Made by this very process: the next one makes it again.
        this.#end(worker);
        worker = undefined;
      } else {
        break;
      }
    }
    this.#end(worker);
  }

  async #first(worker: WorkerProcess, order: Order): Promise<void> {
    const { repeatEvery, onOutcome } = this.#options;
    const isRepeated = repeatEvery > 0 && this.#begun % repeatEvery === 0;
    this.#begun++;
    const outcome = await worker.run(order);
    if (this.#stopped) return;
    if (isRepeated) this.#repeats.push({ order, first: outcome.result, pid: worker.pid });
    onOutcome(outcome);
  }

  async #again(worker: WorkerProcess, { order, first }: Repeat): Promise<void> {
    const { result, cpuMs } = await worker.run(order);
    if (this.#stopped) return;
    const what = difference(first, result);
    if (what === undefined) return;
    const { config = "", faults = [], lastEvents = [] } = first.failure ?? result.failure ?? {};
    const failure = { invariant: "not deterministic", what, config, faults, lastEvents };
    this.#options.onOutcome({ result: { ...first, failure }, cpuMs });
  }

  #takeRepeat(isWanted: (repeat: Repeat) => boolean): Repeat | undefined {
    const at = this.#repeats.findIndex(isWanted);
    return at < 0 ? undefined : this.#repeats.splice(at, 1)[0];
  }

  /** @returns the worker, or a new one in place of one that is spent */
  async #usable(worker: WorkerProcess | undefined): Promise<WorkerProcess> {
    if (worker !== undefined && !worker.isSpent) return worker;
    this.#end(worker);
    const started = await WorkerProcess.start(this.#command);
    this.#processes.add(started);
    if (this.#stopped) started.kill();
    return started;
  }

  #end(worker: WorkerProcess | undefined): void {
    if (worker === undefined) return;
    worker.kill();
    this.#processes.delete(worker);
  }
}

/** @returns how two runs of one seed differ, in words; undefined where they are the same */
function difference(first: RunResult, again: RunResult): string | undefined {
  const keys = Object.keys({ ...first, ...again }) as (keyof RunResult)[];
  const text = (result: RunResult, key: keyof RunResult) => (JSON.stringify(result[key]) ?? "none").slice(0, 200);
  const differing = keys.filter((key) => JSON.stringify(first[key]) !== JSON.stringify(again[key]));
  if (differing.length === 0) return undefined;
  return differing.map((key) => `${key} was ${text(first, key)}, then ${text(again, key)}`).join("; ");
}
