/** `npm run simulate`: runs of whole simulated systems, one seed each. docs/simulator.md says how to use it. */

import { BREAKAGES } from "./breakages/list.ts";
import { type Command, ordersOf, type Plan, parseCommand, USAGE, UsageFailure } from "./command/options.ts";
import { WorkerPool } from "./command/pool.ts";
import { failureText, runLine, Totals } from "./command/report.ts";
import type { Order, Outcome } from "./command/worker-process.ts";
import { WorkerFailure } from "./command/worker-process.ts";
import { SCENARIOS } from "./scenarios.ts";

const MINUTE = 60_000;

/** @returns whether every run passed */
async function simulate(plan: Plan): Promise<boolean> {
  const { breakage } = plan;
  if (plan.runs === Number.POSITIVE_INFINITY) console.log(`seeds from ${plan.firstSeed} on, ${plan.minutes} minutes`);
  const totals = new Totals();
  const began = performance.now();
  const onOutcome = (outcome: Outcome) => {
    totals.add(outcome);
    console.log(runLine(outcome.result));
    if (outcome.result.failure === undefined) return;
    console.log(failureText(outcome.result, breakage));
    if (breakage !== undefined) pool.stop();
  };
  const pool = new WorkerPool({ ...plan, onOutcome });
  process.once("SIGINT", () => pool.stop());
  process.once("SIGTERM", () => pool.stop());
  await pool.run(untilTimeIsOver(ordersOf(plan), began + plan.minutes * MINUTE));
  for (const [name, { given, met }] of totals.met) console.log(`${name}: ${given} times, ${met} of them met`);
  console.log(totals.text(performance.now() - began));
  for (const { scenario, seed } of totals.failed) console.log(`FAILED: ${scenario} seed ${seed}`);
  return totals.failed.length === 0;
}

function* untilTimeIsOver(orders: Iterable<Order>, end: number): Generator<Order, undefined> {
  for (const order of orders) {
    if (performance.now() >= end) return;
    yield order;
  }
}

function list(): void {
  console.log("Scenarios:");
  for (const { name, what } of SCENARIOS) console.log(`  ${name}: ${what}`);
  console.log("Breakages:");
  for (const { name, why } of BREAKAGES) console.log(`  ${name}: ${why}`);
}

function command(): Command {
  const known = { scenarios: SCENARIOS.map(({ name }) => name), breakages: BREAKAGES };
  return parseCommand(process.argv.slice(2), known, Math.random);
}

try {
  const chosen = command();
  if (chosen.kind === "help") console.log(USAGE);
  if (chosen.kind === "list") list();
  if (chosen.kind === "run") process.exitCode = (await simulate(chosen.plan)) ? 0 : 1;
} catch (error) {
  if (!(error instanceof UsageFailure) && !(error instanceof WorkerFailure)) throw error;
  console.error(`simulate: ${error.message}`);
  process.exitCode = error instanceof UsageFailure ? 2 : 1;
}
