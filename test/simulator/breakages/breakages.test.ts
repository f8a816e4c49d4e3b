/** Holds that the simulator finds what it is there to find: the product with one fault in it fails one of few seeds. */

import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { WorkerPool } from "../command/pool.ts";
import type { Order } from "../command/worker-process.ts";
import type { RunResult } from "../run.ts";
import { SCENARIOS } from "../scenarios.ts";
import { brokenSource } from "./apply.ts";
import type { Breakage } from "./breakage.ts";
import { BREAKAGES } from "./list.ts";

const root = join(import.meta.dirname, "../../..");
const MINUTE = 60_000;

/** Makes runs with the breakage until the first failure. */
async function findingOf({ name, scenario, seeds, repeat }: Breakage): Promise<RunResult | undefined> {
  const orders: Order[] = Array.from({ length: seeds }, (_, at) => ({ scenario, seed: at + 1 }));
  let finding: RunResult | undefined;
  const pool = new WorkerPool({
    workers: Math.min(seeds, availableParallelism()),
    breakage: name,
    repeatEvery: repeat ? 1 : 0,
    onOutcome: ({ result }) => {
      if (result.failure === undefined) return;
      finding = result;
      pool.stop();
    },
  });
  await pool.run(orders[Symbol.iterator]());
  return finding;
}

describe("breakages", () => {
  it("have names of their own, and scenarios that exist", () => {
    expect(new Set(BREAKAGES.map(({ name }) => name)).size).toBe(BREAKAGES.length);
    const scenarios = SCENARIOS.map(({ name }) => name);
    for (const { scenario } of BREAKAGES) expect(scenarios).toContain(scenario);
  });

  it.each(BREAKAGES)("$name fits $file, and the file can still be loaded", (breakage) => {
    const broken = brokenSource(breakage, readFileSync(join(root, breakage.file), "utf8"));
    expect(() => new Bun.Transpiler({ loader: "ts" }).transformSync(broken)).not.toThrow();
  });

  it("are refused where they no longer fit", () => {
    const breakage: Breakage = { ...BREAKAGES[0], name: "old", file: "src/a.ts", find: "flush();", replace: "" };
    const times = (count: number) => `breakage old no longer fits src/a.ts: it finds its line ${count} times`;
    expect(() => brokenSource(breakage, "close();")).toThrow(times(0));
    expect(() => brokenSource(breakage, "flush(); flush();")).toThrow(times(2));
    expect(brokenSource(breakage, "a(); flush(); b();")).toBe("a();  b();");
  });
});

describe("the simulator", () => {
  it.each(BREAKAGES)(
    "finds $name",
    async (breakage) => {
      const finding = await findingOf(breakage);
      expect(
        finding,
        `${breakage.why}: not found within ${breakage.seeds} seeds of ${breakage.scenario}`,
      ).toBeDefined();
    },
    10 * MINUTE,
  );
});
