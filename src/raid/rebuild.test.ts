/** A drive takes the place of a missing member and is filled while hosts read and write, whatever goes wrong meanwhile. */

import { describe, expect, it } from "vitest";
import { isOperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, lba } from "../base/units.ts";
import type { Drive } from "../platform/drive.ts";
import type { SimulatedDrive } from "../platform/memory/memory-world.ts";
import { ArrayBench, MACHINE, Model, stamped } from "./array-fixture.ts";
import { checksumBlock, dataBlock } from "./member-layout.ts";

const CHUNK = 4;
/** Blocks of the volume: at level 5 of 2+1 more than a hundred stripes. */
const V = 900;
const BASE = 50;
/** Blocks of a member between two checkpoints. */
const CHECKPOINT = 32;

class RebuildBench {
  readonly bench: ArrayBench;
  readonly spare: SimulatedDrive;
  readonly model = new Model();

  private constructor(bench: ArrayBench) {
    this.bench = bench;
    this.spare = bench.universe.addDrive(MACHINE, "/dev/s", bench.drives[0].blockCount * BLOCK_BYTES);
  }

  /** An array full of data, without the member `lost`. */
  static async make(level: 1 | 5, lost: number, members = level === 5 ? 3 : 2): Promise<RebuildBench> {
    const bench = ArrayBench.bare(members, level, CHUNK);
    await bench.create();
    await bench.assemble(bench.drives, { checkpointBlocks: CHECKPOINT });
    const made = new RebuildBench(bench);
    await bench.run(bench.array.createVolume("v", V));
    await made.write(0, V, BASE);
    bench.drives[lost].vanish();
    await made.write(0, 1, BASE + 1);
    await bench.flush();
    await bench.settle();
    return made;
  }

  async write(at: number, count: number, stamp: number): Promise<void> {
    this.model.write(at, count, stamp);
    await this.bench.write(at, stamped(at, count, stamp));
  }

  async open(drive = this.spare): Promise<Drive> {
    const [opened] = await this.bench.open([drive]);
    return opened;
  }

  async add(drive = this.spare, options: { overwrite?: boolean } = {}): Promise<void> {
    await this.bench.run(this.bench.array.add(await this.open(drive), options));
  }

  events(kind: string): number {
    return this.bench.events.filter((event) => event.kind === kind).length;
  }

  until(condition: () => boolean): Promise<void> {
    return this.bench.universe.run(condition);
  }

  finished(): Promise<void> {
    return this.until(() => this.events("rebuild-finished") > 0);
  }

  get state(): string {
    return this.bench.array.status.state;
  }

  /** Rows that are complete on the new member. */
  get done(): number {
    return this.bench.array.status.members.find((member) => member.rebuilt)?.rebuilt?.done ?? 0;
  }

  /** Cuts the power, and assembles from these. */
  async crash(drives: readonly SimulatedDrive[]): Promise<void> {
    this.bench.crash();
    await this.bench.assemble(drives, { checkpointBlocks: CHECKPOINT });
  }

  async expectContent(): Promise<void> {
    expect(this.model.firstDifference(0, await this.bench.read(0, V))).toBe(-1);
  }

  /** All is there, whichever member is missing. */
  async expectWhole(): Promise<void> {
    expect(this.state).toBe("optimal");
    await this.expectContent();
    expect(await this.bench.run(this.bench.array.check())).toMatchObject({ mismatches: 0 });
    await this.bench.stop();
    const drives = [...this.bench.drives.filter((drive) => drive.present), this.spare];
    for (const drive of drives) {
      await this.bench.assemble(drives.filter((other) => other !== drive && other.present));
      await this.expectContent();
      await this.bench.stop();
    }
  }
}

const SHAPES = [
  { level: 5, lost: 0 },
  { level: 5, lost: 1 },
  { level: 5, lost: 2 },
  { level: 1, lost: 0 },
  { level: 1, lost: 1 },
] as const;

function code(expected: string) {
  return (error: unknown): boolean => isOperatingError(error, expected);
}

describe.each(SHAPES)("level $level without member $lost, and a drive is added", ({ level, lost }) => {
  it("holds everything afterwards, whichever member is lost then", async () => {
    const rebuilt = await RebuildBench.make(level, lost);
    await rebuilt.add();
    expect(rebuilt.state).toBe("degraded");
    expect(rebuilt.bench.array.status.members[lost]).toMatchObject({ state: "rebuilding", path: "/dev/s" });
    await rebuilt.finished();
    await rebuilt.expectWhole();
  });

  it("serves reads and writes meanwhile", async () => {
    const rebuilt = await RebuildBench.make(level, lost);
    await rebuilt.add();
    let stamp = 1000;
    while (rebuilt.events("rebuild-finished") === 0) {
      // Behind the place where the copying is, before it, and across it.
      const at = [rebuilt.done * 2, 3, V - 40, rebuilt.done][stamp % 4] % (V - 30);
      await rebuilt.write(at, 1 + (stamp % 29), stamp);
      const back = await rebuilt.bench.read(at, 20);
      expect(rebuilt.model.firstDifference(at, back)).toBe(-1);
      stamp++;
    }
    expect(stamp).toBeGreaterThan(1010);
    await rebuilt.expectWhole();
  });

  it("goes on from the last checkpoint after a power cut", async () => {
    const rebuilt = await RebuildBench.make(level, lost);
    await rebuilt.add();
    await rebuilt.until(() => rebuilt.done >= 3 * CHECKPOINT);
    const { done } = rebuilt;
    await rebuilt.crash([...rebuilt.bench.drives.filter((drive) => drive.present), rebuilt.spare]);
    expect(rebuilt.done).toBeGreaterThanOrEqual(done);
    expect(rebuilt.done).toBeLessThan(V / 2);
    rebuilt.bench.array.redone();
    await rebuilt.finished();
    const started = rebuilt.bench.events.filter((event) => event.kind === "rebuild-started");
    expect(started.map(({ row }) => row)).toEqual([0, expect.toSatisfy((row) => row >= done)]);
    await rebuilt.expectWhole();
  });

  it("goes on after it was closed", async () => {
    const rebuilt = await RebuildBench.make(level, lost);
    await rebuilt.add();
    await rebuilt.until(() => rebuilt.done >= CHECKPOINT);
    await rebuilt.bench.stop();
    await rebuilt.bench.assemble([...rebuilt.bench.drives.filter((drive) => drive.present), rebuilt.spare]);
    await rebuilt.finished();
    await rebuilt.expectWhole();
  });

  it("is degraded as before when the new drive fails", async () => {
    const rebuilt = await RebuildBench.make(level, lost);
    await rebuilt.add();
    await rebuilt.until(() => rebuilt.done >= CHECKPOINT);
    rebuilt.spare.vanish();
    await rebuilt.write(7, 30, 70);
    await rebuilt.until(() => rebuilt.events("rebuild-failed") > 0);
    expect(rebuilt.state).toBe("degraded");
    await rebuilt.expectContent();
    await rebuilt.bench.flush();
    await rebuilt.crash(rebuilt.bench.drives.filter((drive) => drive.present));
    await rebuilt.expectContent();
  });

  it("fails when another member fails, and goes on when that is back", async () => {
    const rebuilt = await RebuildBench.make(level, lost);
    await rebuilt.add();
    await rebuilt.until(() => rebuilt.done >= CHECKPOINT);
    await rebuilt.bench.flush();
    const other = rebuilt.bench.drives[(lost + 1) % rebuilt.bench.drives.length];
    other.vanish();
    await rebuilt.until(() => rebuilt.events("rebuild-failed") > 0);
    expect(rebuilt.state).toBe("failed");
    await expect(rebuilt.write(7, 1, 70)).rejects.toSatisfy(code("raid.failed"));
    rebuilt.model.write(7, 1, BASE);
    other.reappear();
    await rebuilt.crash([...rebuilt.bench.drives.filter((drive) => drive.present), rebuilt.spare]);
    await rebuilt.expectContent();
    rebuilt.bench.array.redone();
    await rebuilt.finished();
    await rebuilt.expectWhole();
  });
});

describe("a drive is added", () => {
  it("that was a member and was left behind: nothing of it is trusted", async () => {
    const rebuilt = await RebuildBench.make(5, 1);
    const [, old] = rebuilt.bench.drives;
    await rebuilt.write(0, V, 99);
    old.reappear();
    await rebuilt.add(old);
    await rebuilt.finished();
    expect(rebuilt.state).toBe("optimal");
    await rebuilt.bench.stop();
    await rebuilt.bench.assemble(rebuilt.bench.drives.filter((_, i) => i !== 0));
    await rebuilt.expectContent();
  });

  it("and the one that it replaced comes back: it is left out", async () => {
    const rebuilt = await RebuildBench.make(5, 1);
    await rebuilt.add();
    await rebuilt.finished();
    await rebuilt.bench.stop();
    rebuilt.bench.drives[1].reappear();
    await rebuilt.bench.assemble([...rebuilt.bench.drives, rebuilt.spare]);
    expect(rebuilt.state).toBe("optimal");
    expect(rebuilt.bench.events.filter((event) => event.kind === "member-left-out")).toMatchObject([
      { path: "/dev/b", slot: 1 },
    ]);
    await rebuilt.expectContent();
  });

  it("only where a member is missing, and one at a time", async () => {
    const rebuilt = await RebuildBench.make(1, 1, 3);
    const other = rebuilt.bench.universe.addDrive(MACHINE, "/dev/t", rebuilt.spare.blockCount * BLOCK_BYTES);
    await rebuilt.add();
    await expect(rebuilt.add(other)).rejects.toSatisfy(code("raid.rebuilding"));
    await rebuilt.finished();
    await rebuilt.bench.closeDrives([]);
    await expect(rebuilt.bench.run(rebuilt.bench.array.add({ ...fake("/dev/u") }))).rejects.toSatisfy(
      code("raid.not-missing"),
    );
  });

  it("unless it is somebody else's, too small, or in use", async () => {
    const rebuilt = await RebuildBench.make(5, 2);
    const { universe, array } = rebuilt.bench;
    rebuilt.spare.overwrite(100, new Uint8Array(BLOCK_BYTES).fill(7));
    const drive = await rebuilt.open();
    await expect(rebuilt.bench.run(array.add(drive))).rejects.toSatisfy(code("raid.foreign"));
    const small = universe.addDrive(MACHINE, "/dev/t", (rebuilt.spare.blockCount - 300) * BLOCK_BYTES);
    await expect(rebuilt.add(small)).rejects.toSatisfy(code("raid.too-small"));
    await expect(rebuilt.bench.run(array.add(fake("/dev/a")))).rejects.toSatisfy(code("raid.duplicate-drive"));
    expect(array.status.members[2].state).toBe("failed");
    await rebuilt.bench.run(array.add(drive, { overwrite: true }));
    await rebuilt.finished();
    await rebuilt.expectWhole();
  });

  it("and blocks that cannot be had stay unreadable, the others of their rows do not suffer", async () => {
    const rebuilt = await RebuildBench.make(5, 0);
    // Member 1 is bad at index 9: stripe 2, whose parity is on member 0, and at index 17: stripe 4, parity on member 1.
    for (const index of [9, 18]) rebuilt.bench.drives[1].flipBit(dataBlock(index), 5);
    await rebuilt.add();
    await rebuilt.finished();
    expect(rebuilt.bench.events).toContainEqual(expect.objectContaining({ kind: "rebuild-finished", unreadable: 2 }));
    const unreadable: number[] = [];
    for (let block = 0; block < 60; block++) {
      try {
        expect(rebuilt.model.firstDifference(block, await rebuilt.bench.read(block, 1))).toBe(-1);
      } catch (error) {
        if (!isOperatingError(error, "raid.unreadable")) throw error;
        unreadable.push(block);
      }
    }
    // In stripe 2 the bad block itself, in stripe 4 that of the missing member: its parity was bad.
    expect(unreadable).toHaveLength(2);
    for (const block of unreadable) await rebuilt.write(block, 1, 77);
    await rebuilt.bench.run(rebuilt.bench.array.scrub());
    await rebuilt.expectWhole();
  });

  it("and rows with a lost block keep it lost, whichever member goes later", async () => {
    const rebuilt = await RebuildBench.make(5, 0);
    const bench = rebuilt.bench;
    // Stripe 0: parity on member 2, data on 0 and 1. A write of the missing member's block gives up the bad one beside it.
    bench.drives[1].flipBit(dataBlock(1), 5);
    await rebuilt.write(1, 1, 78);
    const lost = CHUNK + 1;
    await expect(bench.read(lost, 1)).rejects.toSatisfy(code("raid.unreadable"));
    await rebuilt.add();
    await rebuilt.finished();
    await bench.stop();
    const drives = [rebuilt.spare, bench.drives[1], bench.drives[2]];
    for (const gone of drives) {
      await bench.assemble(drives.filter((drive) => drive !== gone));
      await expect(bench.read(lost, 1)).rejects.toSatisfy(code("raid.unreadable"));
      if (gone !== rebuilt.spare) expect(rebuilt.model.firstDifference(1, await bench.read(1, 1))).toBe(-1);
      await bench.stop();
    }
  });
});

it("takes a member back that alone had a checkpoint when the power went, and again when that cut the next change short", async () => {
  const rebuilt = await RebuildBench.make(5, 1);
  const { bench, spare } = rebuilt;
  await rebuilt.add();
  const others = bench.drives.filter((drive) => drive.present);
  const keep = () => new Map([...others, spare].map((drive) => [drive, drive.snapshot()]));
  const putBack = (kept: ReturnType<typeof keep>, drives: readonly SimulatedDrive[]) => {
    for (const drive of drives) drive.restore(kept.get(drive) ?? drive.snapshot());
  };
  const start = keep();
  await rebuilt.until(() => rebuilt.done > 0);
  bench.crash();
  putBack(start, others);
  // The checkpoint that the spare alone has never came to be, and the next change is another one of the same number.
  await bench.assemble([...others, spare], { checkpointBlocks: CHECKPOINT });
  const assembled = keep();
  await rebuilt.write(7, 1, 700);
  bench.crash();
  putBack(assembled, [spare]);
  await bench.assemble([...others, spare], { checkpointBlocks: CHECKPOINT });
  await rebuilt.write(7, 1, 700);
  bench.array.redone();
  await rebuilt.finished();
  await rebuilt.expectWhole();
});

describe("scrubbing", () => {
  const whole = async (level: 1 | 5): Promise<RebuildBench> => {
    const rebuilt = await RebuildBench.make(level, 1);
    await rebuilt.add();
    await rebuilt.finished();
    return rebuilt;
  };

  it.each([1, 5] as const)("level %i repairs blocks that do not have their checksum, on any member", async (level) => {
    const rebuilt = await whole(level);
    const { bench } = rebuilt;
    bench.drives[0].flipBit(dataBlock(3), 9);
    rebuilt.spare.flipBit(dataBlock(6), 9);
    expect(await bench.run(bench.array.check())).toMatchObject({ mismatches: 2, repaired: 0 });
    expect(await bench.run(bench.array.scrub())).toMatchObject({ unrepairable: 0, repaired: 2 });
    await rebuilt.expectWhole();
  });

  it("puts parity right that does not fit, and a block whose checksum was lost", async () => {
    const rebuilt = await whole(5);
    const { bench } = rebuilt;
    const [first] = bench.drives;
    const checksums = first.contents(checksumBlock(0), 1);
    checksums.fill(0, 4 * 5, 4 * 6);
    first.overwrite(checksumBlock(0), checksums);
    await bench.stop();
    await bench.assemble([first, rebuilt.spare, bench.drives[2]]);
    expect(await bench.run(bench.array.check())).toMatchObject({ mismatches: 1 });
    expect(await bench.run(bench.array.scrub())).toMatchObject({ mismatches: 1, repaired: 1, unrepairable: 0 });
    await rebuilt.expectWhole();
  });

  it("leaves a row as it is whose member is lost while it is looked at", async () => {
    const rebuilt = await whole(5);
    const { bench } = rebuilt;
    const [first, , last] = bench.drives;
    const checksums = first.contents(checksumBlock(0), 1);
    checksums.fill(0, 4 * 5, 4 * 6);
    first.overwrite(checksumBlock(0), checksums);
    await bench.stop();
    await bench.assemble([first, rebuilt.spare, last]);
    const stall = last.inject({ on: "read", action: "stall", lba: dataBlock(4), blocks: CHUNK });
    const scrub = bench.array.scrub();
    await bench.settle();
    last.inject({ on: "write", action: "fail", times: 1 });
    await rebuilt.write(V - 60, 60, 400);
    stall.remove();
    expect(await bench.run(scrub)).toMatchObject({ mismatches: 1, repaired: 0, unrepairable: 1 });
    expect(bench.array.status.members[2].state).toBe("failed");
  });

  it.each([1, 5] as const)("level %i: no row is beyond repair whose member is found to be gone", async (level) => {
    const { bench } = await whole(level);
    bench.drives[0].vanish();
    expect(await bench.run(bench.array.scrub())).toMatchObject({ unrepairable: 0 });
    expect(bench.array.status.members[0].state).toBe("failed");
  });

  it("leaves two bad blocks of a row as they are", async () => {
    const rebuilt = await whole(5);
    const { bench } = rebuilt;
    bench.drives[0].flipBit(dataBlock(3), 9);
    rebuilt.spare.flipBit(dataBlock(3), 9);
    expect(await bench.run(bench.array.scrub())).toMatchObject({ mismatches: 1, repaired: 0, unrepairable: 1 });
    bench.drives[0].flipBit(dataBlock(3), 9);
    expect(await bench.run(bench.array.scrub())).toMatchObject({ mismatches: 1, repaired: 1, unrepairable: 0 });
    await rebuilt.expectWhole();
  });

  it("goes on beside hosts that write", async () => {
    const rebuilt = await whole(5);
    let report: unknown;
    rebuilt.bench.array.scrub().then((done) => {
      report = done;
    });
    for (let stamp = 500; report === undefined; stamp++)
      await rebuilt.write((stamp * 37) % (V - 20), 1 + (stamp % 20), stamp);
    expect(report).toMatchObject({ mismatches: 0, unrepairable: 0 });
    await rebuilt.expectWhole();
  });
});

/** A drive that is refused before it is used. */
function fake(path: string): Drive {
  const none = () => {
    throw new Error("not used");
  };
  return {
    path,
    blockSize: BLOCK_BYTES,
    blockCount: lba(9999),
    read: none,
    write: none,
    flush: none,
    unmap: none,
    close: none,
  };
}

it("a slot changes hands only once a scrub that looks at it has gone on", async () => {
  const bench = ArrayBench.bare(3, 1, 4, 3);
  await bench.create();
  await bench.assemble();
  await bench.run(bench.array.createVolume("v", 1200));
  await bench.write(0, stamped(0, 1200, 5));
  await bench.stop();
  await bench.assemble();
  const spare = bench.universe.addDrive(MACHINE, "/dev/s", bench.drives[0].blockCount * BLOCK_BYTES);
  const stall = bench.drives[1].inject({ on: "read", action: "stall", lba: checksumBlock(1), blocks: 1 });
  const scrub = bench.array.scrub();
  await bench.settle();
  bench.drives[0].vanish();
  await bench.write(0, stamped(0, 1, 7));
  const [drive] = await bench.open([spare]);
  const added = bench.array.add(drive, {});
  await bench.settle();
  stall.remove();
  await bench.run(added);
  await bench.run(scrub);
  await bench.universe.run(() => bench.array.status.state === "optimal");
  expect(await bench.read(0, 1)).toEqual(stamped(0, 1, 7));
});
