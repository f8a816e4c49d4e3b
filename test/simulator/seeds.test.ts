/**
 * The fixed seeds of every test run: some of each scenario, which must pass, and each time come out the same. In them every
 * fault that awaits a request to a drive is met by one.
 */

import { availableParallelism } from "node:os";
import { expect, it } from "vitest";
import { WorkerPool } from "./command/pool.ts";
import { failureText, Totals } from "./command/report.ts";
import type { Order } from "./command/worker-process.ts";
import { ARRAY_FAULTS, JOURNAL_DAMAGE, JOURNAL_FAULTS } from "./faults/drive-faults.ts";
import { SCENARIOS } from "./scenarios.ts";

const SEEDS = new Map([
  ["standard", 24],
  // Only there journals are damaged, which is seldom allowed.
  ["beyond", 20],
]);
const OTHER_SEEDS = 6;
const MINUTE = 60_000;

it(
  "the fixed seeds of every scenario pass",
  async () => {
    const orders = SCENARIOS.flatMap(({ name }) =>
      Array.from({ length: SEEDS.get(name) ?? OTHER_SEEDS }, (_, index): Order => {
        return { scenario: name, seed: index + 1 };
      }),
    );
    const failures: string[] = [];
    const totals = new Totals();
    const pool = new WorkerPool({
      workers: availableParallelism(),
      repeatEvery: 20,
      onOutcome: (outcome) => {
        const { result } = outcome;
        totals.add(outcome);
        if (result.failure !== undefined) failures.push(failureText(result));
      },
    });
    await pool.run(orders[Symbol.iterator]());
    expect(failures.join("\n\n")).toBe("");
    expect(totals.runs).toBe(orders.length);
    const unmet = [...ARRAY_FAULTS, ...JOURNAL_FAULTS, ...JOURNAL_DAMAGE].filter(
      ({ name, awaitsRequest }) => awaitsRequest && (totals.met.get(name)?.met ?? 0) === 0,
    );
    expect(unmet.map(({ name }) => name)).toEqual([]);
  },
  20 * MINUTE,
);
