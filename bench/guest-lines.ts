/**
 * What the host tells the guest of `npm run bench -- lio`, one plan in a file, and what the guest answers, a JSON text a line
 * on a serial line: first what the guest is, then every run as soon as it is over, at last how all of it ended.
 */

import * as z from "zod";
import type { Case } from "./cases.ts";
import { BenchFailure } from "./failure.ts";
import type { Pace, Series } from "./measure.ts";

/** One case with one client, on every target in turn. */
export interface PlannedSeries {
  readonly case: Case;
  /** Its name. */
  readonly client: string;
}

export interface GuestPlan extends Pace {
  readonly volumeBytes: number;
  readonly series: readonly PlannedSeries[];
}

const machine = z.object({
  processor: z.string(),
  cores: z.int(),
  memoryMiB: z.int(),
  kernel: z.string(),
  bun: z.string(),
});

const run = z.object({
  target: z.string(),
  round: z.int(),
  requests: z.number(),
  seconds: z.number(),
  requestsPerSecond: z.number(),
  p99Micros: z.number().optional(),
  slowestShare: z.number().optional(),
  cpuSeconds: z.number(),
  peakMemoryBytes: z.number(),
});

const guestLine = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("machine"), machine }),
  /** `series`: which of the plan's, from 0. */
  z.object({ kind: z.literal("run"), series: z.int(), run }),
  z.object({ kind: z.literal("done") }),
  z.object({ kind: z.literal("failed"), message: z.string() }),
]);

export type GuestMachine = z.infer<typeof machine>;
export type GuestLine = z.infer<typeof guestLine>;

/**
 * @param text of the serial line so far, whose last line may still be on its way
 * @throws BenchFailure for a whole line that is none of the guest's
 */
export function parseGuestLines(text: string): readonly GuestLine[] {
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  return whole
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map(parseLine);
}

function parseLine(line: string): GuestLine {
  try {
    return guestLine.parse(JSON.parse(line));
  } catch {
    throw new BenchFailure(`the guest says what can't be understood: ${line}`);
  }
}

export interface GuestResult {
  readonly machine: GuestMachine;
  readonly series: readonly Series[];
}

/**
 * @param lines all of a guest that is done
 * @throws BenchFailure where it did not measure what was planned on each of the `targets`
 */
export function resultOf(plan: GuestPlan, targets: readonly string[], lines: readonly GuestLine[]): GuestResult {
  const [first] = lines;
  if (first?.kind !== "machine") throw new BenchFailure("the guest did not say what it is.");
  const rounds = Array.from({ length: plan.rounds }, (_, at) => at + 1);
  const series = plan.series.map(({ case: planned, client }, at): Series => {
    const runs = lines.flatMap((line) => (line.kind === "run" && line.series === at ? [line.run] : []));
    for (const target of targets) {
      const measured = runs.filter((each) => each.target === target).map(({ round }) => round);
      if (measured.join() !== rounds.join()) {
        throw new BenchFailure(`the guest measured ${target} in the rounds ${measured} of '${planned.name}'.`);
      }
    }
    return { case: planned, client, runs };
  });
  return { machine: first.machine, series };
}
