/**
 * The fixed seeds of every test run: some of each scenario, and those on which breakages are to be found, which without
 * them must pass.
 */

import { availableParallelism } from "node:os";
import { expect, it } from "vitest";
import { BREAKAGES } from "./breakages/list.ts";
import { WorkerPool } from "./command/pool.ts";
import { failureText } from "./command/report.ts";
import type { Order } from "./command/worker-process.ts";
import { SCENARIOS } from "./scenarios.ts";

const STANDARD_SEEDS = 40;
const OTHER_SEEDS = 10;
const MINUTE = 60_000;

function seedsOf(scenario: string, at: number): number {
  const broken = BREAKAGES.filter((breakage) => breakage.scenario === scenario).map(({ seeds }) => seeds);
  return Math.max(at === 0 ? STANDARD_SEEDS : OTHER_SEEDS, ...broken);
}

it(
  "the fixed seeds of every scenario pass",
  async () => {
    const orders = SCENARIOS.flatMap(({ name }, at) =>
      Array.from({ length: seedsOf(name, at) }, (_, index): Order => ({ scenario: name, seed: index + 1 })),
    );
    const failures: string[] = [];
    let runs = 0;
    const pool = new WorkerPool({
      workers: availableParallelism(),
      repeatEvery: 20,
      onOutcome: ({ result }) => {
        runs++;
        if (result.failure !== undefined) failures.push(failureText(result));
      },
    });
    await pool.run(orders[Symbol.iterator]());
    expect(failures.join("\n\n")).toBe("");
    expect(runs).toBe(orders.length);
  },
  20 * MINUTE,
);
