/** The fixed seeds of every test run: some of each scenario, which must pass, and each time come out the same. */

import { availableParallelism } from "node:os";
import { expect, it } from "vitest";
import { WorkerPool } from "./command/pool.ts";
import { failureText } from "./command/report.ts";
import type { Order } from "./command/worker-process.ts";
import { SCENARIOS } from "./scenarios.ts";

const STANDARD_SEEDS = 24;
const OTHER_SEEDS = 6;
const MINUTE = 60_000;

it(
  "the fixed seeds of every scenario pass",
  async () => {
    const orders = SCENARIOS.flatMap(({ name }) =>
      Array.from({ length: name === "standard" ? STANDARD_SEEDS : OTHER_SEEDS }, (_, index): Order => {
        return { scenario: name, seed: index + 1 };
      }),
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
