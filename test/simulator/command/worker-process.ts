/**
 * One worker process, seen from its parent. It makes one run at a time; a process that breaks, dies or hangs in a run
 * is a failure of that run, and of no use any more.
 */

import { MiB } from "../../../src/base/units.ts";
import type { RunResult } from "../run.ts";

/** A run to make. */
export interface Order {
  readonly scenario: string;
  readonly seed: number;
}

/** What a worker says. */
export type Report =
  | { readonly kind: "ready" }
  | { readonly kind: "done"; readonly result: RunResult; readonly cpuMs: number; readonly rssBytes: number };

export interface Outcome {
  readonly result: RunResult;
  /** CPU time that the run took, in milliseconds. */
  readonly cpuMs: number;
}

/** A process is replaced after so many runs, or when it has grown to so much, so that none grows for ever. */
const RUNS_MAX = 200;
const RSS_BYTES_MAX = 1024 * MiB;
const START_MS_MAX = 60_000;

/** A worker that did not come up: nothing can be run. */
export class WorkerFailure extends Error {}

export interface WorkerCommand {
  /** Arguments of Bun. */
  readonly args: readonly string[];
  /** Real milliseconds that a run may take. */
  readonly runMsMax: number;
}

export class WorkerProcess {
  readonly #process: Bun.Subprocess;
  readonly #runMsMax: number;
  #heard: (report: Report | "ended") => void = () => {};
  #runs = 0;
  #rssBytes = 0;
  #ended = false;

  private constructor(command: WorkerCommand) {
    this.#runMsMax = command.runMsMax;
    this.#process = Bun.spawn([process.execPath, ...command.args], {
      stdio: ["ignore", "inherit", "inherit"],
      // Buffers come and go by the thousand; to give their pages back and get them again is a fifth of a run's time.
      env: { ...process.env, MIMALLOC_PURGE_DELAY: "-1" },
      ipc: (report: Report) => this.#heard(report),
      onExit: () => {
        this.#ended = true;
        this.#heard("ended");
      },
    });
  }

  /** @throws WorkerFailure where it does not come up */
  static async start(command: WorkerCommand): Promise<WorkerProcess> {
    const worker = new WorkerProcess(command);
    const answer = await worker.#answer(START_MS_MAX);
    if (typeof answer === "object" && answer.kind === "ready") return worker;
    worker.kill();
    throw new WorkerFailure(`A worker ${answer === "hung" ? "hung" : "ended"} before its first run.`);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Whether another process should take its place. */
  get isSpent(): boolean {
    return this.#ended || this.#runs >= RUNS_MAX || this.#rssBytes > RSS_BYTES_MAX;
  }

  async run(order: Order): Promise<Outcome> {
    this.#runs++;
    const answered = this.#answer(this.#runMsMax);
    this.#process.send(order);
    const answer = await answered;
    if (typeof answer === "object" && answer.kind === "done") {
      this.#rssBytes = answer.rssBytes;
      return { result: answer.result, cpuMs: answer.cpuMs };
    }
    const end = this.#end();
    this.kill();
    if (answer === "hung") {
      return failed(order, "worker hung", `The run was not over after ${this.#runMsMax / 1000} real seconds.`);
    }
    return failed(order, "worker died", `Its process ended with ${end}.`);
  }

  kill(): void {
    this.#ended = true;
    this.#process.kill("SIGKILL");
  }

  #answer(withinMs: number): Promise<Report | "ended" | "hung"> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve("hung"), withinMs);
      this.#heard = (report) => {
        clearTimeout(timer);
        resolve(report);
      };
    });
  }

  #end(): string {
    const { exitCode, signalCode } = this.#process;
    return signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`;
  }
}

/** A run that left no result of its own. */
function failed(order: Order, invariant: string, what: string): Outcome {
  const nothing = { simulatedMs: 0, events: 0, writes: 0, reads: 0, faults: 0, met: {} };
  const failure = { invariant, what, config: "", faults: [], lastEvents: [] };
  return { result: { ...order, traceHash: "-", ...nothing, failure }, cpuMs: 0 };
}
