/** Holds that the simulator finds what it is there to find: the product with one fault in it fails one of few seeds. */

import { readFileSync } from "node:fs";
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
/** Those that take long to find are looked for only when asked to. */
const LONG = process.env.ANTIPODE_LONG === "1";
const WANTED = BREAKAGES.filter(({ isLong }) => LONG || isLong !== true);
/** What says that the run is broken, and not what the product promises. */
const NO_FINDING = ["worker hung", "worker died"];

/** Makes runs until the first failure. @returns it; undefined where there is none */
async function firstFailure(
  orders: readonly Order[],
  repeatEvery: number,
  breakage?: string,
): Promise<RunResult | undefined> {
  let failed: RunResult | undefined;
  const pool = new WorkerPool({
    workers: 1,
    breakage,
    repeatEvery,
    onOutcome: ({ result }) => {
      if (result.failure === undefined || failed !== undefined) return;
      failed = result;
      pool.stop();
    },
  });
  await pool.run(orders[Symbol.iterator]());
  return failed;
}

function findingOf({ name, scenario, seeds, repeat }: Breakage): Promise<RunResult | undefined> {
  const orders = Array.from({ length: seeds }, (_, at): Order => ({ scenario, seed: at + 1 }));
  return firstFailure(orders, repeat ? 1 : 0, name);
}

const controls = new Map<string, Promise<RunResult | undefined>>();

/** The same run without any breakage, once for all that are found by it. */
function controlOf({ scenario, seed }: Order): Promise<RunResult | undefined> {
  const key = `${scenario} ${seed}`;
  const known = controls.get(key);
  if (known !== undefined) return known;
  const control = firstFailure([{ scenario, seed }], 0);
  controls.set(key, control);
  return control;
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
  it.concurrent.each(WANTED)(
    "finds $name",
    async (breakage) => {
      const finding = await findingOf(breakage);
      const missed = `${breakage.why}: not found within ${breakage.seeds} seeds of ${breakage.scenario}`;
      expect(finding, missed).toBeDefined();
      if (finding === undefined) return;
      expect(NO_FINDING).not.toContain(finding.failure?.invariant);
      expect(await controlOf(finding), "the same run fails without the breakage").toBeUndefined();
    },
    20 * MINUTE,
  );
});
