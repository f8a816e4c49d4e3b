/** Stands in for a worker in tests: what becomes of an order is its scenario's name. */

import type { RunResult } from "../run.ts";
import type { Order, Report } from "./worker-process.ts";

const report = (message: Report) => process.send?.(message);

function result(order: Order, traceHash: string): RunResult {
  return { ...order, traceHash, simulatedMs: 2000, events: 5, writes: 3, reads: 2, faults: 1, met: {} };
}

process.on("disconnect", () => process.exit(0));
process.on("message", (order: Order) => {
  const done = (traceHash: string) =>
    report({
      kind: "done",
      result: result(order, traceHash),
      cpuMs: 500,
      rssBytes: order.scenario === "grow" ? 2 ** 40 : 0,
    });
  switch (order.scenario) {
    case "die":
      return process.exit(3);
    case "hang":
      return;
    case "throw":
      throw new Error("meant to be thrown");
    case "by-process":
      return done(String(process.pid));
    default:
      return done("same");
  }
});
if (process.argv[2] !== "never-ready") report({ kind: "ready" });
else process.exit(4);
