/** What the simulator's command prints: a line for each run, all about a run that failed, and the sum of all runs. */

import type { Met } from "../faults/unrest.ts";
import type { RunResult } from "../run.ts";
import type { Outcome } from "./worker-process.ts";

const SECOND = 1000;
const HOUR = 3600 * SECOND;

export function runLine(result: RunResult): string {
  const { scenario, seed, traceHash, simulatedMs, events, writes, reads, faults, failure } = result;
  const figures = [
    `${(simulatedMs / SECOND).toFixed(1)} s`,
    `${events} events`,
    `${writes} writes`,
    `${reads} reads`,
    `${faults} faults`,
  ];
  return `${scenario} seed ${seed}  ${traceHash}  ${figures.join(", ")}  ${failure === undefined ? "ok" : "FAILED"}`;
}

/** The command that makes one run again. */
export function replayCommand(result: RunResult, breakage: string | undefined): string {
  const words = ["npm run simulate --", `--scenario ${result.scenario}`, `--seed ${result.seed}`];
  if (result.failure?.invariant === "not deterministic") words.push("--repeat-every 1");
  if (breakage !== undefined) words.push(`--breakage ${breakage}`);
  return words.join(" ");
}

/** Empty for a run that passed. */
export function failureText(result: RunResult, breakage?: string): string {
  const { failure, scenario, seed } = result;
  if (failure === undefined) return "";
  const sections: readonly (readonly [title: string, lines: readonly string[]])[] = [
    ["replay", [replayCommand(result, breakage)]],
    ["broken invariant", [`${failure.invariant}: ${failure.what}`]],
    ["system", [failure.config]],
    ["faults so far", failure.faults],
    ["last events", failure.lastEvents],
  ];
  const filled = sections.filter(([, lines]) => lines.some((line) => line !== ""));
  return [
    `── ${scenario} seed ${seed} FAILED`,
    ...filled.map(([title, lines]) => `${title}:\n${indented(lines.join("\n").trimEnd())}`),
  ].join("\n");
}

function indented(text: string): string {
  return text.replace(/^/gm, "  ");
}

/** Sums of the runs of one command. */
export class Totals {
  runs = 0;
  readonly failed: RunResult[] = [];
  #simulatedMs = 0;
  #cpuMs = 0;
  readonly #met = new Map<string, Met>();

  add({ result, cpuMs }: Outcome): void {
    this.runs++;
    for (const [name, { given, met }] of Object.entries(result.met)) {
      const sum = this.#met.get(name) ?? { given: 0, met: 0 };
      this.#met.set(name, { given: sum.given + given, met: sum.met + met });
    }
    if (result.failure !== undefined) this.failed.push(result);
    this.#simulatedMs += result.simulatedMs;
    this.#cpuMs += cpuMs;
  }

  /** How many of the faults that awaited a request were met by one, fault by fault. */
  get met(): ReadonlyMap<string, Met> {
    return this.#met;
  }

  /** @param elapsedMs real time since the first run began */
  text(elapsedMs: number): string {
    const rate = this.#cpuMs === 0 ? 0 : this.#simulatedMs / this.#cpuMs;
    const perMinute = elapsedMs === 0 ? 0 : (this.runs * 60 * SECOND) / elapsedMs;
    const figures = [
      `${this.runs} runs, ${this.failed.length} failed`,
      `${(this.#simulatedMs / HOUR).toFixed(2)} simulated hours`,
      `${rate.toFixed(1)} simulated seconds per second of one core`,
      `${perMinute.toFixed(0)} runs per minute`,
      `${(elapsedMs / SECOND).toFixed(0)} s`,
    ];
    return figures.join(", ");
  }
}
