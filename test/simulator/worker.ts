/**
 * A worker of the simulator: a process that makes one run after another, as it is told over its channel to the parent.
 * With a breakage it loads the product with that one fault in it.
 *
 *   bun test/simulator/worker.ts [BREAKAGE]
 */

import type { Order, Report } from "./command/worker-process.ts";

const breakage = process.argv[2];

function report(message: Report): void {
  process.send?.(message);
}

// Ctrl-C reaches the whole group of processes; the parent ends its workers itself, after its summary.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit(0));

if (breakage !== undefined) {
  const { applyBreakage } = await import("./breakages/apply.ts");
  applyBreakage(breakage);
}
// Only now, so that what a breakage changes is not loaded yet.
const { runSeed } = await import("./run.ts");
const { SCENARIOS } = await import("./scenarios.ts");

process.on("message", async (order: Order) => {
  const scenario = SCENARIOS.find(({ name }) => name === order.scenario);
  if (scenario === undefined) throw new Error(`there is no scenario ${order.scenario}`);
  const before = process.cpuUsage();
  const result = await runSeed(scenario, order.seed);
  const { user, system } = process.cpuUsage(before);
  report({ kind: "done", result, cpuMs: (user + system) / 1000, rssBytes: process.memoryUsage.rss() });
});
report({ kind: "ready" });
