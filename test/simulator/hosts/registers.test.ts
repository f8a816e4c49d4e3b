import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { SeededRandom } from "../../../src/platform/memory/seeded-random.ts";
import { isLinearizable, type Operation } from "./linearizable.ts";
import type { Read, Write } from "./operations.ts";
import { Registers } from "./registers.ts";
import { stamp } from "./stamps.ts";

/** A block of `blockSize` bytes for each stamp; 0 is a block of zeros. */
function content(first: number, stamps: readonly number[], blockSize = 4096): Uint8Array {
  const bytes = new Uint8Array(stamps.length * blockSize);
  for (const [at, number] of stamps.entries()) {
    if (number > 0) stamp(bytes.subarray(at * blockSize, (at + 1) * blockSize), first + at, blockSize, number);
  }
  return bytes;
}

describe("registers", () => {
  let registers: Registers;
  let time = 0;
  beforeEach(() => {
    registers = new Registers({ blockSize: 4096, first: 0, blocks: 16 });
    time = 0;
  });

  const now = () => ++time;
  const write = (lba = 0, blocks = 1) => registers.beginWrite(lba, blocks, now());
  const unmap = (lba = 0, blocks = 1) => registers.beginUnmap(lba, blocks, now());
  const done = (op: Write) => {
    op.finish(now());
    return op.stamp;
  };
  const read = (...stamps: readonly number[]) => {
    const op = registers.beginRead(0, stamps.length, now());
    op.finish(content(0, stamps), now());
  };
  const expectWrong = (text: RegExp) => expect(registers.check().join("\n")).toMatch(text);
  const expectRight = () => expect(registers.check()).toEqual([]);

  describe("let pass", () => {
    it("zeros before the first write, and what was acknowledged after it", () => {
      read(0);
      const one = done(write());
      read(one);
      const two = done(write());
      read(two);
      expectRight();
    });

    it("either order of writes that overlap, as long as it is one order", () => {
      const a = write();
      const b = write();
      done(a);
      done(b);
      read(a.stamp);
      read(a.stamp);
      expectRight();
    });

    it("a read during a write, of the old and of the new content", () => {
      const old = done(write());
      const fresh = write();
      read(old);
      read(fresh.stamp);
      done(fresh);
      read(fresh.stamp);
      expectRight();
    });

    it("blocks of one write that are seen one by one", () => {
      const both = write(0, 2);
      read(both.stamp, 0);
      read(both.stamp, both.stamp);
      done(both);
      expectRight();
    });

    it("an abandoned write that lands late, once, or never", () => {
      write();
      const late = write();
      const known = done(write());
      read(known);
      read(late.stamp);
      read(late.stamp);
      const last = done(write());
      read(last);
      expectRight();
    });

    it("an abandoned unmap that lands late", () => {
      unmap();
      read(done(write()));
      read(0);
      expectRight();
    });

    it("a write that was settled and had landed before", () => {
      const open = write();
      open.settle(now());
      read(open.stamp);
      expectRight();
    });

    it("what is stored of writes in doubt, there or not", () => {
      const old = done(write());
      const open = write();
      expect(registers.checkContent(content(0, [old, 0]), "denver", now())).toEqual([]);
      expect(registers.checkContent(content(0, [open.stamp, 0]), "denver", now())).toEqual([]);
      read(old);
      expectRight();
    });
  });

  describe("find", () => {
    it("a lost write", () => {
      const old = done(write());
      const lost = done(write());
      read(old);
      expectWrong(
        new RegExp(`^block 0: a host read from 5.000 ms to 6.000 ms stamp ${old} .*stamp ${lost} .* replaced`),
      );
    });

    it("a lost first write", () => {
      done(write());
      read(0);
      expectWrong(/read .* zeros, but stamp 1 .* replaced/);
    });

    it("a lost unmap", () => {
      const old = done(write());
      done(unmap());
      read(old);
      expectWrong(/read .* stamp 1 .*, but an unmap .* replaced/);
    });

    it("a value that comes back after another was read", () => {
      const [a, b] = [write(), write()];
      done(a);
      read(a.stamp);
      read(b.stamp);
      expectRight();
      read(a.stamp);
      expectWrong(/block 0: stamp 1 .* came back after stamp 2/);
    });

    it("a value that comes back after zeros, which an unmap in doubt explains only once", () => {
      unmap();
      const a = done(write());
      read(a);
      read(0);
      read(a);
      expectWrong(/stamp 1 .* came back after a read of zeros/);
    });

    it("zeros that come back", () => {
      const open = write();
      done(unmap());
      read(open.stamp);
      expectRight();
      read(0);
      expectWrong(/zeros came back|zeros, but/);
    });

    it("a write that was never made, or is of another block", () => {
      const stamp = done(write(7));
      read(stamp);
      expectWrong(new RegExp(`stamp ${stamp}, which was never written there`));
    });

    it("a write that lands after it was settled", () => {
      const open = write();
      open.settle(now());
      const known = done(write());
      read(known);
      read(open.stamp);
      expectWrong(/read .* stamp 1 .*settled at .*, but stamp 2 .* replaced/);
    });

    it("an unmap that lands after it was settled", () => {
      const open = unmap();
      open.settle(now());
      done(write());
      read(0);
      expectWrong(/zeros, but stamp 1/);
    });

    it("a block that mixes two writes, and says what is where", () => {
      const [a, b] = [done(write()), done(write())];
      const bytes = content(0, [a]);
      bytes.set(content(0, [b]).subarray(512, 1024), 512);
      registers.beginRead(0, 1, now()).finish(bytes, now());
      expectWrong(/a mix: sector 0 on: stamp 1; sector 1 on: stamp 2; sector 2 on: stamp 1$/);
    });

    it("one byte that is wrong, wherever it is", () => {
      const only = done(write());
      for (const at of [0, 3, 4, 8, 511, 2048, 4095]) {
        const bytes = content(0, [only]);
        bytes[at] ^= 0x10;
        const before = registers.wrong.length;
        registers.beginRead(0, 1, now()).finish(bytes, now());
        expect(registers.wrong.length).toBe(before + 1);
      }
    });

    it("a block in a wrong place", () => {
      const both = done(write(0, 2));
      const bytes = content(0, [both, both]);
      bytes.copyWithin(0, 4096, 8192);
      registers.beginRead(0, 2, now()).finish(bytes, now());
      expectWrong(/a mix: sector 0 on: stamp 1 of sector 8/);
    });

    it("a site that stores what was replaced, even where only a read shows the order", () => {
      const [a, b] = [write(), write()];
      done(a);
      done(b);
      read(b.stamp);
      const wrong = registers.checkContent(content(0, [a.stamp]), "boulder", now());
      expect(wrong.join()).toMatch(/^block 0: boulder has at .* stamp 1 .* stamp 2 .* replaced it/);
      expect(registers.checkContent(content(0, [0]), "boulder", now()).join()).toMatch(/zeros, but/);
      expectRight();
    });
  });

  it("work with blocks of 512 bytes", () => {
    registers = new Registers({ blockSize: 512, first: 3, blocks: 2 });
    const one = registers.beginWrite(3, 2, now());
    one.finish(now());
    registers.beginRead(3, 2, now()).finish(content(3, [1, 1], 512), now());
    expectRight();
    registers.beginRead(3, 2, now()).finish(content(4, [1, 1], 512), now());
    expectWrong(/block 3: .* a mix: sector 3 on: stamp 1 of sector 4/);
  });

  it("tell of what is wrong at once", () => {
    const told: string[] = [];
    registers = new Registers({ blockSize: 4096, first: 0, blocks: 1, onWrong: (text) => told.push(text) });
    done(write());
    read(0);
    expect(told).toEqual(registers.wrong);
    expect(told).toHaveLength(1);
  });
});

/** A history of one block, made by a correct register: begun, done at one moment between, and ended; or not ended. */
interface Made {
  readonly registers: Registers;
  readonly history: readonly Operation[];
}

interface Shape {
  readonly seed: number;
  readonly operations: number;
  readonly unmaps: boolean;
  /** Which read gets the content of which other moment instead of its own; absent for none. */
  readonly lie?: { readonly read: number; readonly value: number };
}

function anyWritten(history: readonly Operation[], choice: number): number {
  const written = [0, ...history.filter((one) => one.kind === "write").map((one) => one.value)];
  return written[choice % written.length];
}

/** Three hosts at one block, with everything that can become of a command. */
function make({ seed, operations, unmaps, lie }: Shape): Made {
  const random = new SeededRandom(`history ${seed}`);
  const registers = new Registers({ blockSize: 4096, first: 0, blocks: 1 });
  const history: Operation[] = [];
  const busy: ({ op: Write | Read; entry: Operation; isDone: boolean } | undefined)[] = [
    undefined,
    undefined,
    undefined,
  ];
  let value = 0;
  let order = 0;
  let begun = 0;
  let reads = 0;
  const lates: { op: Write; entry: Operation }[] = [];
  const apply = (entry: Operation) => {
    if (entry.kind === "write") value = entry.value;
    else entry.value = value;
  };
  while (begun < operations || busy.some((one) => one !== undefined)) {
    order++;
    const at = random.below(busy.length);
    const current = busy[at];
    if (current === undefined) {
      // What was abandoned may land while nobody waits for it.
      if (lates.length > 0 && random.chance(0.3)) {
        const [late] = lates.splice(random.below(lates.length), 1);
        if (random.chance(0.6)) apply(late.entry);
        if (random.chance(0.5)) {
          late.entry.end = order++;
          late.op.settle(late.entry.end);
        }
      }
      if (begun === operations) continue;
      begun++;
      const dice = random.below(10);
      const op =
        dice < 5
          ? registers.beginRead(0, 1, order)
          : dice < 7 && unmaps
            ? registers.beginUnmap(0, 1, order)
            : registers.beginWrite(0, 1, order);
      const kind = dice < 5 ? "read" : "write";
      const entry: Operation = { kind, value: "stamp" in op ? op.stamp : 0, begin: order, end: Infinity, sure: false };
      history.push(entry);
      busy[at] = { op, entry, isDone: false };
    } else if (!current.isDone) {
      if ("stamp" in current.op && random.chance(0.15)) {
        lates.push({ op: current.op, entry: current.entry });
        busy[at] = undefined;
        continue;
      }
      apply(current.entry);
      current.isDone = true;
    } else {
      const { op, entry } = current;
      entry.end = order;
      entry.sure = true;
      if ("stamp" in op) op.finish(order);
      else {
        if (lie !== undefined && reads === lie.read) entry.value = anyWritten(history, lie.value);
        reads++;
        op.finish(content(0, [entry.value]), order);
      }
      busy[at] = undefined;
    }
  }
  return { registers, history };
}

const shape = (operations: number, unmaps: boolean) =>
  fc.record({ seed: fc.nat(), operations: fc.constant(operations), unmaps: fc.constant(unmaps) });
const lie = fc.record({ read: fc.nat(3), value: fc.nat(8) });

describe("histories of a block", () => {
  it("pass when a correct register made them", () => {
    fc.assert(
      fc.property(shape(120, true), (one) => {
        expect(make(one).registers.check()).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  it("with one wrong reply pass exactly if some order explains them", () => {
    let explained = 0;
    let found = 0;
    fc.assert(
      fc.property(shape(7, false), lie, (one, wrong) => {
        const { registers, history } = make({ ...one, lie: wrong });
        const expected = isLinearizable(history);
        if (expected) explained++;
        else found++;
        expect(registers.check().length === 0).toBe(expected);
      }),
      { numRuns: 3000 },
    );
    expect(explained).toBeGreaterThan(300);
    expect(found).toBeGreaterThan(300);
  });

  it("with unmaps and one wrong reply never fail where some order explains them", () => {
    let found = 0;
    let missed = 0;
    fc.assert(
      fc.property(shape(7, true), lie, (one, wrong) => {
        const { registers, history } = make({ ...one, lie: wrong });
        if (isLinearizable(history)) expect(registers.check()).toEqual([]);
        else if (registers.check().length > 0) found++;
        else missed++;
      }),
      { numRuns: 3000 },
    );
    expect(found).toBeGreaterThan(20 * missed);
  });

  it("of a hundred thousand operations are tested before the test times out", () => {
    expect(make({ seed: 1, operations: 100_000, unmaps: true }).registers.check()).toEqual([]);
  });
});
