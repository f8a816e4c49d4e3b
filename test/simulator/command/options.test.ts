import { describe, expect, it } from "vitest";
import { type Known, ordersOf, type Plan, parseCommand, UsageFailure } from "./options.ts";

const KNOWN: Known = {
  scenarios: ["standard", "cascade"],
  breakages: [
    { name: "no-flush", scenario: "cascade", seeds: 7 },
    { name: "unseeded", scenario: "standard", seeds: 2, repeat: true },
  ],
};

function parsed(line: string) {
  return parseCommand(line.split(" ").filter(Boolean), KNOWN, () => 0.5);
}

function planOf(line: string): Plan {
  const command = parsed(line);
  if (command.kind !== "run") throw new Error(`${line} runs nothing`);
  return command.plan;
}

describe("the simulator's command line", () => {
  it.each([
    ["", { scenarios: ["standard"], firstSeed: 1, runs: 500, repeatEvery: 20 }],
    ["--seed 17", { scenarios: ["standard"], firstSeed: 17, runs: 1, workers: 1, repeatEvery: 0 }],
    ["--seed 17 --repeat-every 1", { runs: 1, repeatEvery: 1 }],
    ["--seeds 5-9 --scenario cascade --workers 3", { scenarios: ["cascade"], firstSeed: 5, runs: 5, workers: 3 }],
    ["--minutes 0.5", { scenarios: ["standard", "cascade"], firstSeed: 500_000_001, runs: Infinity, minutes: 0.5 }],
    ["--minutes 2 --scenario cascade", { scenarios: ["cascade"], minutes: 2 }],
    ["--breakage no-flush", { scenarios: ["cascade"], firstSeed: 1, runs: 7, breakage: "no-flush" }],
    ["--breakage unseeded", { scenarios: ["standard"], runs: 2, repeatEvery: 1 }],
    ["--breakage no-flush --seeds 3-4 --scenario standard", { scenarios: ["standard"], firstSeed: 3, runs: 2 }],
  ])("'%s' is understood", (line, plan) => expect(planOf(line)).toMatchObject(plan));

  it.each([
    ["--seed x", "--seed 17"],
    ["--seeds 9-5", "--seeds 1-500"],
    ["--seed 1 --minutes 2", "Use one of"],
    ["--minutes 0", "--minutes 10"],
    ["--workers 0", "from 1"],
    ["--repeat-every -1", "--repeat-every"],
    ["--scenario nowhere", "standard, cascade"],
    ["--breakage nothing", "--list"],
    ["--what", "--help"],
    ["17", "--help"],
  ])("'%s' is refused with what to do", (line, remedy) => {
    expect(() => parsed(line)).toThrow(UsageFailure);
    expect(() => parsed(line)).toThrow(remedy);
  });

  it("asks for help and lists", () => {
    expect(parsed("--help").kind).toBe("help");
    expect(parsed("--list").kind).toBe("list");
  });

  it("gives each run a seed of its own, and scenarios in turn", () => {
    const orders = ordersOf(planOf("--minutes 1"));
    const first = Array.from({ length: 4 }, () => orders.next().value);
    expect(first.map((order) => order?.scenario)).toEqual(["standard", "cascade", "standard", "cascade"]);
    expect(new Set(first.map((order) => order?.seed)).size).toBe(4);
    expect([...ordersOf(planOf("--seeds 3-5"))].map(({ seed }) => seed)).toEqual([3, 4, 5]);
  });
});
