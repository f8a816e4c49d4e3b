/**
 * The power goes at every request that changes a drive, in small sequences of writes. What was flushed must be there at
 * once, whatever the rest of its row went through; what was not is done again, as the journal would, and then
 * everything must be there, with parity that fits.
 */

import { beforeAll, describe, expect, it } from "vitest";
import type { Pending } from "../base/block-device.ts";
import { isOperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, lba } from "../base/units.ts";
import type { DriveSnapshot, SimulatedDrive, Verdict } from "../platform/memory/memory-world.ts";
import { ArrayBench, Model, stamped } from "./array-fixture.ts";
import { dataBlock } from "./member-layout.ts";

const CHUNK = 2;
/** Five stripes of 2+1. */
const V = 20;
const BASE = 1000;
/** Times that each crash point is tried, each with other luck. */
const ROUNDS = 1;

type Op =
  | { readonly kind: "write" | "fua"; readonly at: number; readonly count: number; readonly stamp: number }
  | { readonly kind: "unmap"; readonly at: number; readonly count: number }
  | { readonly kind: "flush" }
  | { readonly kind: "vanish"; readonly drive: number }
  | { readonly kind: "flip"; readonly drive: number; readonly index: number };

const w = (at: number, count: number, stamp: number): Op => ({ kind: "write", at, count, stamp });
const fua = (at: number, count: number, stamp: number): Op => ({ kind: "fua", at, count, stamp });
const unmap = (at: number, count: number): Op => ({ kind: "unmap", at, count });
const flush: Op = { kind: "flush" };
const vanish = (drive: number): Op => ({ kind: "vanish", drive });
const flip = (drive: number, index: number): Op => ({ kind: "flip", drive, index });

/** Operations of one step are under way together; they do not overlap. */
type Step = readonly Op[];

class CrashBench {
  readonly bench: ArrayBench;
  readonly start: readonly DriveSnapshot[];
  countdown = Number.POSITIVE_INFINITY;
  verdict: Verdict = "crash-before";
  seen = 0;

  constructor(bench: ArrayBench, start: readonly DriveSnapshot[]) {
    this.bench = bench;
    this.start = start;
    const point = (): Verdict => {
      this.seen++;
      return this.seen === this.countdown ? this.verdict : "continue";
    };
    for (const drive of bench.drives) {
      drive.onWrite = point;
      drive.onUnmap = point;
      drive.onFlush = point;
    }
  }

  /** An array whose volume is full of the base stamp; with `lost`, degraded since. */
  static async make(members: number, level: 1 | 5, lost: number | undefined, seed: number): Promise<CrashBench> {
    const bench = await ArrayBench.make(members, level, CHUNK, 1, seed);
    await bench.run(bench.array.createVolume("v", V));
    await bench.write(0, stamped(0, V, BASE));
    if (lost !== undefined) {
      bench.drives[lost].vanish();
      await bench.write(0, stamped(0, 1, BASE));
      await bench.settle();
      bench.drives[lost].reappear();
    }
    await bench.stop();
    return new CrashBench(
      bench,
      bench.drives.map((drive) => drive.snapshot()),
    );
  }

  async reset(): Promise<void> {
    this.countdown = Number.POSITIVE_INFINITY;
    if (this.bench.machine.powered) this.bench.machine.kill();
    for (const [i, drive] of this.bench.drives.entries()) {
      drive.reappear();
      drive.restore(this.start[i]);
    }
    this.bench.machine.restart();
    await this.bench.assemble();
  }
}

interface Outcome {
  /** Steps that were begun. */
  begun: number;
  /** Steps before it are flushed. */
  flushed: number;
}

function begin(bench: ArrayBench, op: Op): Pending {
  const volume = bench.volume();
  switch (op.kind) {
    case "write":
    case "fua":
      return volume.write(lba(op.at), stamped(op.at, op.count, op.stamp), { fua: op.kind === "fua" });
    case "unmap":
      return volume.unmap(lba(op.at), op.count);
    case "flush":
      return volume.flush();
    case "vanish":
      bench.drives[op.drive].vanish();
      return undefined;
    case "flip":
      bench.drives[op.drive].flipBit(dataBlock(op.index));
      return undefined;
  }
}

/** Runs the steps until they end or the machine does. */
async function perform(crash: CrashBench, steps: readonly Step[]): Promise<Outcome> {
  const { bench } = crash;
  const outcome: Outcome = { begun: 0, flushed: 0 };
  const lives = bench.machine.lives;
  for (const step of steps) {
    outcome.begun++;
    let done = false;
    const all = step.map((op) => begin(bench, op));
    let failed: unknown;
    Promise.all(all).then(
      () => {
        done = true;
      },
      (error) => {
        failed = error;
      },
    );
    await bench.universe.run(
      () => done || failed !== undefined || !bench.machine.powered || bench.machine.state === "ended",
    );
    if (failed !== undefined) throw failed;
    if (!done) break;
    if (step.some((op) => op.kind === "flush")) outcome.flushed = outcome.begun;
  }
  expect(bench.machine.lives).toBe(lives);
  return outcome;
}

function isUpdate(op: Op): op is Extract<Op, { readonly at: number }> {
  return "at" in op;
}

function apply(model: Model, steps: readonly Step[]): void {
  for (const op of steps.flat()) {
    if (op.kind === "write" || op.kind === "fua") model.write(op.at, op.count, op.stamp);
    if (op.kind === "unmap") model.unmap(op.at, op.count);
  }
}

function touched(steps: readonly Step[]): Set<number> {
  const blocks = new Set<number>();
  for (const op of steps.flat()) {
    if (!isUpdate(op)) continue;
    for (let block = op.at; block < op.at + op.count; block++) blocks.add(block);
  }
  return blocks;
}

interface Expectations {
  /** Whether blocks in flight are an old or a new version, or known bad, and never anything else. */
  readonly versions: boolean;
  readonly drives?: readonly SimulatedDrive[];
}

async function verifyAfter(crash: CrashBench, steps: readonly Step[], outcome: Outcome, expectations: Expectations) {
  const { bench } = crash;
  const model = new Model();
  model.write(0, V, BASE);
  apply(model, steps.slice(0, outcome.flushed));
  const inFlight = steps.slice(outcome.flushed, outcome.begun);
  const doubtful = touched(inFlight);
  const versions = new Model();
  apply(versions, inFlight);
  for (let block = 0; block < V; block++) {
    let data: Uint8Array | undefined;
    try {
      data = await bench.read(block, 1);
    } catch (error) {
      if (!doubtful.has(block) || !isOperatingError(error, "raid.unreadable")) throw error;
      continue;
    }
    if (!doubtful.has(block)) expect([block, model.firstDifference(block, data)]).toEqual([block, -1]);
    else if (expectations.versions) {
      const known = inFlight.flat().some((op) => {
        if (!isUpdate(op) || block < op.at || block >= op.at + op.count) return false;
        const content = op.kind === "unmap" ? new Uint8Array(BLOCK_BYTES) : stamped(block, 1, op.stamp);
        return Buffer.compare(content, data) === 0;
      });
      expect([block, known || model.firstDifference(block, data) === -1]).toEqual([block, true]);
    }
  }
  // The journal does them again, in order and whole.
  await perform(
    crash,
    inFlight.map((step) => step.filter((op) => op.kind !== "vanish" && op.kind !== "flip")),
  );
  bench.array.redone();
  apply(model, inFlight);
  expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
  expect(await bench.run(bench.array.check())).toMatchObject({ mismatches: 0 });
  // And any one member can go now.
  if (bench.array.status.state === "optimal" && bench.drives.length > 1) {
    const drive = bench.drives[outcome.begun % bench.drives.length];
    drive.vanish();
    expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
  }
}

/** Every crash point of the steps, with what each drive keeps of its cache left to chance. */
async function crashEverywhere(
  crash: CrashBench,
  steps: readonly Step[],
  expectations: Expectations,
  rounds = 1,
): Promise<{ points: number; refused: number }> {
  await crash.reset();
  crash.seen = 0;
  await perform(crash, steps);
  await crash.bench.settle();
  const points = crash.seen;
  expect(points).toBeGreaterThan(4);
  let refused = 0;
  for (let round = 0; round < rounds; round++) {
    for (const verdict of ["crash-before", "crash-after"] as const) {
      for (let point = 1; point <= points; point++) {
        await crash.reset();
        crash.seen = 0;
        crash.countdown = point;
        crash.verdict = verdict;
        const outcome = await perform(crash, steps);
        crash.countdown = Number.POSITIVE_INFINITY;
        crash.bench.crash();
        for (const drive of expectations.drives ?? crash.bench.drives) drive.reappear();
        const present = (expectations.drives ?? crash.bench.drives).filter((drive) => drive.present);
        try {
          await crash.bench.assemble(present);
        } catch (error) {
          if (!isOperatingError(error, "raid.dirty-degraded")) throw error;
          refused++;
          continue;
        }
        await verifyAfter(crash, steps, outcome, expectations).catch((error) => {
          throw new Error(`${verdict} ${point} of ${points}, round ${round}: ${error.message}`, { cause: error });
        });
      }
    }
  }
  return { points, refused };
}

const SEQUENCES: readonly (readonly [string, readonly Step[]])[] = [
  ["one block", [[w(5, 1, 1)], [flush]]],
  ["the same block, over and over", [[w(5, 1, 1)], [w(5, 1, 2)], [flush], [w(5, 1, 3)]]],
  ["both blocks of a row, one after the other", [[w(5, 1, 1)], [w(7, 1, 2)], [flush]]],
  ["both blocks of a row, at once", [[w(5, 1, 1), w(7, 1, 2)], [flush]]],
  ["full stripes", [[w(4, 8, 1)], [flush], [w(8, 8, 2)]]],
  ["across stripes, unaligned", [[w(3, 11, 1)], [w(6, 3, 2)], [flush]]],
  ["unmapped and written again", [[unmap(5, 9)], [w(6, 2, 1)], [flush], [unmap(4, 4)]]],
  ["part and then whole, at once with others", [[w(5, 2, 1), w(9, 2, 2), w(14, 1, 3)], [w(4, 8, 4)], [flush]]],
  ["with FUA", [[fua(5, 1, 1)], [fua(6, 7, 2)]]],
];

describe("level 5 of 2+1, power cut at every request", () => {
  let crash: CrashBench;
  beforeAll(async () => {
    crash = await CrashBench.make(3, 5, undefined, 1);
  });
  it.each(SEQUENCES)("%s", async (_, steps) => {
    const { refused } = await crashEverywhere(crash, steps, { versions: true }, ROUNDS);
    expect(refused).toBe(0);
  });

  it("a block that went bad is rebuilt for good before its row is written", async () => {
    // Block 5 of the volume; blocks 7 and parity share its row.
    const steps: readonly Step[] = [[flip(2, 3)], [w(7, 1, 1)], [flush], [flip(2, 3)], [w(7, 1, 2)]];
    const { refused } = await crashEverywhere(crash, steps, { versions: true }, 4);
    expect(refused).toBe(0);
  });
});

describe.each([0, 1, 2])("level 5 of 2+1 without its member %i, power cut at every request, log included", (lost) => {
  let crash: CrashBench;
  beforeAll(async () => {
    crash = await CrashBench.make(3, 5, lost, lost);
  });
  it.each(SEQUENCES)("%s", async (_, steps) => {
    const { refused } = await crashEverywhere(crash, steps, { versions: false }, ROUNDS);
    expect(refused).toBe(0);
  });
});

describe("level 1 of two, power cut at every request", () => {
  let crash: CrashBench;
  beforeAll(async () => {
    crash = await CrashBench.make(2, 1, undefined, 1);
  });
  it.each(SEQUENCES.slice(4))("%s", async (_, steps) => {
    await crashEverywhere(crash, steps, { versions: true });
  });
});

describe("a member lost and then the power cut", () => {
  const steps: readonly Step[] = [
    [w(0, 2, 1)],
    [flush],
    [vanish(1), w(5, 1, 2), w(9, 3, 3)],
    [w(6, 1, 4)],
    [flush],
    [w(5, 2, 5)],
    [w(4, 4, 6)],
    [w(5, 1, 7)],
  ];
  it("is refused where stripes were half written, and loses nothing elsewhere, if it stays away", async () => {
    const crash = await CrashBench.make(3, 5, undefined, 3);
    const drives = crash.bench.drives.filter((_, i) => i !== 1);
    const { points, refused } = await crashEverywhere(crash, steps, { versions: false, drives });
    expect(refused).toBeGreaterThan(0);
    expect(refused).toBeLessThan(points * 1.5);
  });

  it("never reads the stale member, if it is back", async () => {
    const crash = await CrashBench.make(3, 5, undefined, 4);
    const { refused } = await crashEverywhere(crash, steps, { versions: false });
    expect(refused).toBeGreaterThan(0);
  });

  it("at level 1 leaves the other with everything", async () => {
    const crash = await CrashBench.make(2, 1, undefined, 4);
    const { refused } = await crashEverywhere(crash, steps, { versions: true }, ROUNDS);
    expect(refused).toBe(0);
  });
});
