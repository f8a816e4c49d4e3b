import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type PoolOptions, WorkerPool } from "./pool.ts";
import type { Order, Outcome } from "./worker-process.ts";

const FAKE = join(import.meta.dirname, "fake-worker.ts");

function orders(...scenarios: readonly string[]): Order[] {
  return scenarios.map((scenario, at) => ({ scenario, seed: at + 1 }));
}

async function outcomesOf(
  list: readonly Order[],
  options: Partial<PoolOptions> = {},
  args = [FAKE],
  runMsMax = 20_000,
) {
  const outcomes: Outcome[] = [];
  const pool = new WorkerPool(
    { workers: 1, repeatEvery: 0, onOutcome: (outcome) => outcomes.push(outcome), ...options },
    { args, runMsMax },
  );
  await pool.run(list[Symbol.iterator]());
  return outcomes;
}

describe("a pool of workers", () => {
  it("makes every run once", async () => {
    const outcomes = await outcomesOf(orders("a", "b", "c", "d", "e"), { workers: 2 });
    expect(outcomes.map(({ result }) => result.seed).sort()).toEqual([1, 2, 3, 4, 5]);
    expect(outcomes.every(({ result, cpuMs }) => result.failure === undefined && cpuMs === 500)).toBe(true);
  });

  it.each([
    ["die", "exit code 3"],
    ["throw", "exit code 1"],
  ])("calls it a failure of the run when its worker does %s, and goes on", async (scenario, what) => {
    const outcomes = await outcomesOf(orders("a", scenario, "b"));
    expect(outcomes.map(({ result }) => result.failure?.invariant)).toEqual([undefined, "worker died", undefined]);
    expect(outcomes[1].result).toMatchObject({ scenario, seed: 2, failure: { what: expect.stringContaining(what) } });
  });

  it("calls it a failure of the run when it is not over in time, and goes on", async () => {
    const outcomes = await outcomesOf(orders("hang", "a"), {}, [FAKE], 500);
    expect(outcomes.map(({ result }) => result.failure?.invariant)).toEqual(["worker hung", undefined]);
  });

  it("finds what depends on more than the seed, in another process", async () => {
    for (const workers of [1, 2]) {
      const outcomes = await outcomesOf(orders("a", "by-process", "b"), { workers, repeatEvery: 1 });
      const failures = outcomes.filter(({ result }) => result.failure !== undefined);
      expect(failures.map(({ result }) => [result.seed, result.failure?.invariant])).toEqual([
        [2, "not deterministic"],
      ]);
      expect(failures[0].result.failure?.what).toContain("traceHash was");
    }
  });

  it("repeats the first run and then one in so many", async () => {
    const scenarios = Array.from({ length: 10 }, () => "by-process");
    const outcomes = await outcomesOf(orders(...scenarios), { repeatEvery: 5 });
    const failures = outcomes.filter(({ result }) => result.failure !== undefined);
    expect(failures.map(({ result }) => result.seed)).toEqual([1, 6]);
  });

  it("replaces a worker that has grown too large", async () => {
    const pids = (await outcomesOf(orders("by-process", "grow", "by-process"))).map(({ result }) => result.traceHash);
    expect(pids[2]).not.toBe(pids[0]);
    const kept = (await outcomesOf(orders("by-process", "a", "by-process"))).map(({ result }) => result.traceHash);
    expect(kept[2]).toBe(kept[0]);
  });

  it("makes no further run once it is stopped", async () => {
    const seeds: number[] = [];
    const onOutcome = ({ result }: Outcome) => {
      seeds.push(result.seed);
      if (result.seed === 2) pool.stop();
    };
    const pool = new WorkerPool({ workers: 1, repeatEvery: 1, onOutcome }, { args: [FAKE], runMsMax: 20_000 });
    await pool.run(orders("a", "b", "c", "d")[Symbol.iterator]());
    expect(seeds).toEqual([1, 2]);
  });

  it("rejects when no worker comes up", async () => {
    await expect(outcomesOf(orders("a"), {}, [FAKE, "never-ready"])).rejects.toThrow("ended before its first run");
  });
});
