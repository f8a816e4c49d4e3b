/** The command line of the simulator: which runs to make, and how. */

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { Breakage } from "../breakages/breakage.ts";
import type { Order } from "./worker-process.ts";

/** A command line that makes no sense; the message says what to do. */
export class UsageFailure extends Error {}

export interface Plan {
  /** Made in turn, one seed each. */
  readonly scenarios: readonly string[];
  readonly firstSeed: number;
  /** Infinite where time is the bound. */
  readonly runs: number;
  readonly minutes: number;
  readonly workers: number;
  readonly repeatEvery: number;
  readonly breakage: string | undefined;
}

export type Command =
  | { readonly kind: "help" }
  | { readonly kind: "list" }
  | { readonly kind: "run"; readonly plan: Plan };

/** What a command line may name. */
export interface Known {
  /** The first is the default. */
  readonly scenarios: readonly string[];
  readonly breakages: readonly Pick<Breakage, "name" | "scenario" | "seeds" | "repeat">[];
}

export const USAGE = `npm run simulate -- [--seed N | --seeds A-B | --minutes M] [--scenario NAME] [--workers K]
                    [--breakage NAME] [--repeat-every K] [--list]

  --seed N           one run, such as one that failed before
  --seeds A-B        the runs of these seeds (1-500)
  --minutes M        new seeds of all scenarios in turn, for so long
  --scenario NAME    the scenario (the first of --list)
  --workers K        processes at once (one for each core)
  --breakage NAME    load the product with a deliberate fault, and stop when it is found
  --repeat-every K   make one run in K twice and compare the two; 0 for none (20; 0 with --seed)
  --list             the scenarios and the breakages`;

const DEFAULT_RUNS = 500;
const REPEAT_EVERY = 20;
/** Random first seeds leave room for counting up. */
const RANDOM_SEED_MAX = 1_000_000_000;

/** @param random from 0 up to 1, for the first seed of a run by time. Throws UsageFailure */
export function parseCommand(args: readonly string[], known: Known, random: () => number): Command {
  const values = parse(args);
  if (values.help === true) return { kind: "help" };
  if (values.list === true) return { kind: "list" };
  const { seed, seeds, minutes } = values;
  if ([seed, seeds, minutes].filter((value) => value !== undefined).length > 1) {
    throw new UsageFailure("Use one of --seed, --seeds and --minutes.");
  }
  const breakage = known.breakages.find(({ name }) => name === values.breakage);
  if (values.breakage !== undefined && breakage === undefined) {
    throw new UsageFailure(`There is no breakage ${values.breakage}: use one that --list names.`);
  }
  const [standard] = known.scenarios;
  const scenario = values.scenario ?? breakage?.scenario;
  if (scenario !== undefined && !known.scenarios.includes(scenario)) {
    throw new UsageFailure(`There is no scenario ${scenario}: use one of ${known.scenarios.join(", ")}.`);
  }
  const [firstSeed, lastSeed] = seedRange(seed ?? seeds, breakage?.seeds ?? DEFAULT_RUNS);
  const isSingle = seed !== undefined;
  const repeatEvery = breakage?.repeat ? 1 : isSingle ? 0 : REPEAT_EVERY;
  const common = {
    workers: isSingle ? 1 : count("--workers", values.workers ?? String(availableParallelism()), 1, 256),
    repeatEvery: count("--repeat-every", values["repeat-every"] ?? String(repeatEvery), 0, 1_000_000),
    breakage: breakage?.name,
  };
  if (minutes === undefined) {
    const runs = lastSeed - firstSeed + 1;
    const scenarios = [scenario ?? standard];
    return { kind: "run", plan: { scenarios, firstSeed, runs, minutes: Number.POSITIVE_INFINITY, ...common } };
  }
  const time = {
    scenarios: scenario === undefined ? known.scenarios : [scenario],
    firstSeed: 1 + Math.floor(random() * RANDOM_SEED_MAX),
    runs: Number.POSITIVE_INFINITY,
    minutes: minutesOf(minutes),
  };
  return { kind: "run", plan: { ...time, ...common } };
}

/** The runs of a plan, in order; no seed comes twice. */
export function* ordersOf(plan: Plan): Generator<Order, undefined> {
  for (let at = 0; at < plan.runs; at++) {
    yield { scenario: plan.scenarios[at % plan.scenarios.length], seed: plan.firstSeed + at };
  }
}

function parse(args: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seed: text,
        seeds: text,
        minutes: text,
        scenario: text,
        workers: text,
        breakage: text,
        "repeat-every": text,
        list: flag,
        help: flag,
      },
    });
    return values;
  } catch (error) {
    throw new UsageFailure(`${error instanceof Error ? error.message : error} (--help lists the options.)`);
  }
}

/** @returns first and last seed of `N`, of `A-B`, or of what is made where nothing is said */
function seedRange(text: string | undefined, defaultRuns: number): readonly [number, number] {
  if (text === undefined) return [1, defaultRuns];
  const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  const range = [Number(first), Number(last)] as const;
  if (range.every(Number.isSafeInteger) && range[0] <= range[1]) return range;
  throw new UsageFailure(`'${text}' is no seed and no range of seeds: write --seed 17 or --seeds 1-500.`);
}

function count(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new UsageFailure(`${option} ${text} is not a whole number from ${least} to ${most}.`);
}

function minutesOf(text: string): number {
  const minutes = Number(text);
  if (text.trim() !== "" && minutes > 0 && Number.isFinite(minutes)) return minutes;
  throw new UsageFailure(`--minutes ${text} is not a time in minutes: write --minutes 10.`);
}
