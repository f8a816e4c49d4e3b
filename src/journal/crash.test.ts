/**
 * The journal against a model, with power cuts and kills at every drive write and between them.
 *
 * The model knows what was promised to the owner: what was durable, retired and checkpointed, cut, promised. After each crash
 * the journal that is opened must be one that keeps all of it, and its content must be what was appended.
 */

import fc from "fast-check";
import { expect, test } from "vitest";
import type { DataWriteRequest } from "../base/data-write-request.ts";
import { epoch, lba, MiB, sequence, volumeId } from "../base/units.ts";
import type { Journal } from "./journal.ts";
import { Bench, bareRequest, same, writeRequest } from "./journal-testing.ts";

type Step =
  | { readonly op: "append"; readonly kind: "write" | "unmap" | "epoch-start"; lba: number; blocks: number }
  | { readonly op: "wait" | "turn" | "checkpoint" }
  | { readonly op: "retire" | "cut" | "promise"; readonly by: number };

/** Volume blocks that requests touch: few, so that they overlap. */
const BLOCKS = 40;

class Model {
  /** What was appended and not cut, by sequence; [0] is unused. */
  requests: (DataWriteRequest | undefined)[] = [undefined];
  durable = 0;
  retired = 0;
  checkpointed = 0;
  promised = 0;
  wanted = 0;
  epoch = 1;
  /** A cut that was under way. */
  cutting: number | undefined;
  stamp = 1;

  get appended(): number {
    return this.requests.length - 1;
  }

  newest(at: number, retired: number): number {
    for (let of = this.appended; of > retired; of--) {
      const request = this.requests[of];
      if (request !== undefined && at >= request.lba && at < request.lba + request.blocks) return of;
    }
    return 0;
  }

  history(): { epoch: number; start: number }[] {
    return this.requests
      .flatMap((request) =>
        request?.kind === "epoch-start" ? [{ epoch: request.epoch, start: request.sequence }] : [],
      )
      .slice(-128) as { epoch: number; start: number }[];
  }

  /** What a journal that was opened after a crash may be; the model becomes what it is. */
  async accept(bench: Bench, journal: Journal): Promise<void> {
    const least = this.cutting === undefined ? this.durable : Math.min(this.durable, this.cutting);
    expect(journal.appended).toBeGreaterThanOrEqual(least);
    expect(journal.appended).toBeLessThanOrEqual(this.appended);
    expect(journal.durable).toBe(journal.appended);
    expect(journal.retired).toBeGreaterThanOrEqual(this.checkpointed);
    expect(journal.retired).toBeLessThanOrEqual(this.retired);
    expect(journal.promised).toBeGreaterThanOrEqual(this.promised);
    expect(journal.promised).toBeLessThanOrEqual(this.wanted);
    expect(journal.recovery.requests).toBe(journal.appended - journal.retired);
    this.requests.length = journal.appended + 1;
    this.durable = journal.appended;
    this.retired = journal.retired;
    this.checkpointed = journal.retired;
    this.promised = journal.promised;
    this.wanted = journal.promised;
    this.cutting = undefined;
    await this.check(bench, journal);
  }

  async check(bench: Bench, journal: Journal): Promise<void> {
    for (let of = 1; of <= this.appended; of++) {
      const request = this.requests[of];
      const head = journal.head(sequence(of));
      if (of <= journal.retired) {
        expect(head).toBeUndefined();
        continue;
      }
      const { data, ...expected } = request as DataWriteRequest;
      expect(head).toEqual(expected);
      if (expected.kind === "write") expect(same(await bench.data(journal, of), data)).toBe(true);
    }
    for (let at = 0; at < BLOCKS; at++) {
      expect(journal.newest(volumeId(0), lba(at))).toBe(this.newest(at, journal.retired));
    }
    expect(journal.history).toEqual(this.history());
    const last = this.requests[this.appended];
    if (last !== undefined) expect(journal.lastEpoch).toBe(last.epoch);
  }
}

/** Runs the steps until they end or the machine does. */
async function carryOut(bench: Bench, journal: Journal, model: Model, steps: readonly Step[]): Promise<void> {
  const alive = () => bench.machine.state === "running";
  journal.onDurable = () => {
    model.durable = journal.durable;
  };
  journal.onFailed = (error) => {
    throw error;
  };
  const until = (condition: () => boolean) => bench.universe.run(() => !alive() || condition());
  for (const step of steps) {
    if (!alive()) return;
    switch (step.op) {
      case "append": {
        const blocks = step.kind === "write" ? step.blocks : 0;
        if (!journal.hasRoom(blocks)) break;
        const of = model.appended + 1;
        if (step.kind === "epoch-start") model.epoch++;
        const shape = { epoch: model.epoch, lba: step.lba, blocks: step.blocks, stamp: model.stamp++ };
        const request = step.kind === "write" ? writeRequest(of, shape) : bareRequest(step.kind, of, shape);
        model.requests.push(request);
        journal.append(request);
        break;
      }
      case "turn":
        await bench.universe.advance(0);
        break;
      case "wait":
        await until(() => journal.durable === model.appended);
        break;
      case "retire":
        model.retired = Math.min(model.durable, model.retired + step.by);
        journal.retire(sequence(model.retired));
        break;
      case "checkpoint": {
        const { retired } = model;
        let done = false;
        journal.checkpoint().then(() => {
          done = true;
          model.checkpointed = retired;
        });
        await until(() => done);
        break;
      }
      case "promise": {
        model.wanted += step.by;
        const { wanted } = model;
        let done = false;
        journal.promise(epoch(wanted)).then(() => {
          done = true;
          model.promised = wanted;
        });
        await until(() => done);
        break;
      }
      case "cut": {
        const to = Math.max(model.retired, model.appended - step.by);
        model.cutting = to;
        let dropped: number[] | undefined;
        journal.cut(sequence(to)).then((heads) => {
          dropped = heads.map((head) => head.sequence);
        });
        await until(() => dropped !== undefined);
        if (dropped === undefined) return;
        expect(dropped).toEqual(Array.from({ length: model.appended - to }, (_, index) => to + 1 + index));
        model.requests.length = to + 1;
        model.durable = to;
        model.cutting = undefined;
        break;
      }
    }
  }
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      op: fc.constant("append" as const),
      kind: fc.constantFrom(
        "write" as const,
        "write" as const,
        "write" as const,
        "unmap" as const,
        "epoch-start" as const,
      ),
      lba: fc.integer({ min: 0, max: BLOCKS - 1 }),
      blocks: fc.oneof({ weight: 5, arbitrary: fc.integer({ min: 1, max: 5 }) }, fc.integer({ min: 100, max: 256 })),
    }),
  },
  { weight: 4, arbitrary: fc.record({ op: fc.constantFrom("wait" as const, "turn" as const, "checkpoint" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constantFrom("retire" as const, "retire" as const, "cut" as const, "promise" as const),
      by: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 8 }) }, fc.constant(100)),
    }),
  },
);

const life = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 40, size: "max" }),
  /** The drive write at which the machine ends, or how long after the last step. */
  write: fc.integer({ min: 0, max: 25 }),
  verdict: fc.constantFrom(
    "crash-before" as const,
    "crash-after" as const,
    "kill-before" as const,
    "kill-after" as const,
  ),
  after: fc.constantFrom(0, 0.1, 0.3, 0.6, 1, 1.5),
});

test("keeps what it promised over any lives that end anywhere", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.array(life, { minLength: 1, maxLength: 5, size: "max" }), async (seed, lives) => {
      const bench = new Bench(seed, 3 * MiB);
      await bench.format();
      const model = new Model();
      let journal = await bench.open();
      await model.accept(bench, journal);
      for (const { steps, write, verdict, after } of lives) {
        let writes = 0;
        bench.drive.onWrite = () => (writes++ === write ? verdict : "continue");
        await carryOut(bench, journal, model, steps);
        if (bench.machine.state === "running") await bench.universe.advance(after);
        bench.drive.onWrite = undefined;
        if (bench.machine.state === "running") bench.machine.crash();
        bench.machine.restart();
        journal = await bench.open();
        await model.accept(bench, journal);

        // what a killed process left and was found must not go with the power
        bench.machine.crash();
        bench.machine.restart();
        const again = await bench.open();
        expect([again.appended, again.retired, again.promised]).toEqual([
          journal.appended,
          journal.retired,
          journal.promised,
        ]);
        await model.check(bench, again);
        journal = again;
      }
    }),
    { numRuns: 60 },
  );
}, 60_000);

/** Every write of this is crashed at, with many different torn remains. */
const SCENARIO: readonly Step[] = [
  { op: "append", kind: "epoch-start", lba: 0, blocks: 0 },
  { op: "append", kind: "write", lba: 0, blocks: 3 },
  { op: "wait" },
  ...Array.from({ length: 120 }, (_, index): Step => ({ op: "append", kind: "write", lba: index % 30, blocks: 1 })),
  { op: "turn" },
  { op: "append", kind: "unmap", lba: 5, blocks: 20 },
  { op: "append", kind: "write", lba: 8, blocks: 256 },
  { op: "wait" },
  { op: "retire", by: 60 },
  { op: "checkpoint" },
  { op: "cut", by: 3 },
  { op: "append", kind: "epoch-start", lba: 0, blocks: 0 },
  { op: "append", kind: "write", lba: 8, blocks: 256 },
  { op: "wait" },
  { op: "append", kind: "write", lba: 2, blocks: 256 },
  { op: "promise", by: 2 },
  { op: "wait" },
  { op: "retire", by: 100 },
  { op: "checkpoint" },
  { op: "append", kind: "write", lba: 8, blocks: 250 },
  { op: "wait" },
  { op: "append", kind: "write", lba: 9, blocks: 200 },
  { op: "wait" },
];

test("a power cut at every write of a full life, torn in many ways", async () => {
  let reached = true;
  let write = 0;
  for (; reached; write++) {
    for (let variant = 0; variant < 4; variant++) {
      const bench = new Bench(`${write} ${variant}`, 3 * MiB);
      const model = new Model();
      let journal = await bench.formatted();
      let writes = 0;
      bench.drive.onWrite = () => {
        // in the middle of the write: it has begun, and is still under way
        if (writes++ === write) bench.universe.after(0.01, () => bench.machine.crash());
        return "continue";
      };
      await carryOut(bench, journal, model, SCENARIO);
      reached = writes > write;
      bench.drive.onWrite = undefined;
      bench.machine.crash();
      bench.machine.restart();
      journal = await bench.open();
      await model.accept(bench, journal);
      await carryOut(bench, journal, model, SCENARIO.slice(0, 6));
      bench.restart();
      await model.accept(bench, await bench.open());
    }
  }
  expect(write).toBeGreaterThan(20);
}, 60_000);
