import { describe, expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, lba } from "../base/units.ts";
import type { SimulatedDrive } from "../platform/memory/memory-world.ts";
import { ArrayBench, GROUP, NAME, stamped } from "./array-fixture.ts";
import { superblockCopy, TAIL_BLOCKS } from "./member-layout.ts";
import type { GenerationMemory } from "./membership.ts";

/** Of one array. */
class Memory implements GenerationMemory {
  generation = 0;
  failure: OperatingError | undefined;

  known(): number {
    return this.generation;
  }

  async keep(_arrayUuid: Uint8Array, generation: number): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.generation = generation;
  }
}

function put(drive: SimulatedDrive, at: number, bytes: string): void {
  const lba = Math.floor(at / BLOCK_BYTES);
  const block = drive.contents(lba, 1);
  block.set(Buffer.from(bytes, "latin1"), at % BLOCK_BYTES);
  drive.overwrite(lba, block);
}

const code = (code: string, ...what: string[]) => ({
  code,
  what: expect.stringMatching(what.map((text) => text.replace(/[/()]/g, "\\$&")).join(".*")),
  remedy: expect.stringMatching(/\.$/),
});

async function stopped(members = 3, level: 1 | 5 = 5): Promise<ArrayBench> {
  const bench = await ArrayBench.make(members, level);
  await bench.run(bench.array.createVolume("v", 64));
  await bench.write(0, stamped(0, 64, 1));
  await bench.stop();
  return bench;
}

describe("creation", () => {
  it.each([
    ["ext2, ext3 or ext4", 1080, "\x53\xef"],
    ["xfs", 0, "XFSB"],
    ["GPT", 512, "EFI PART"],
    ["MBR", 510, "\x55\xaa"],
    ["md array", 4096, "\xfc\x4e\x2b\xa9"],
    ["LVM", 512, "LABELONE"],
    ["swap", 4086, "SWAPSPACE2"],
    ["LUKS", 0, "LUKS\xba\xbe"],
    ["unknown data at byte 300000", 300000, "x"],
    ["unknown data 3 bytes before its end", -3, "x"],
  ])("refuses a drive with %s", async (name, at, bytes) => {
    const bench = ArrayBench.bare(3, 5);
    put(bench.drives[1], at < 0 ? bench.drives[1].blockCount * BLOCK_BYTES + at : at, bytes);
    const before = bench.drives[1].snapshot();
    await expect(bench.create()).rejects.toMatchObject(code("raid.foreign", "/dev/b", name));
    expect(bench.drives[1].snapshot()).toEqual(before);
    expect(bench.drives[0].snapshot().pages.size).toBe(0);
    await bench.create({ overwrite: true });
    await bench.assemble();
    expect((await bench.run(bench.array.check())).mismatches).toBe(0);
  });

  it("refuses a member of an array, names it, and replaces it only when told to", async () => {
    const bench = await stopped();
    await expect(bench.create()).rejects.toMatchObject(
      code("raid.foreign", "/dev/a", `array ${NAME} of group ${GROUP}`),
    );
    await bench.assemble();
    await bench.stop();
    await bench.create({ overwrite: true });
    await bench.assemble();
    expect(bench.array.volumes).toEqual([]);
    await bench.run(bench.array.createVolume("v", 64));
    expect(Buffer.compare(await bench.read(0, 64), new Uint8Array(64 * BLOCK_BYTES))).toBe(0);
  });

  it("works on drives that cannot unmap, whatever was in their middle", async () => {
    const bench = ArrayBench.bare(3, 5);
    for (const drive of bench.drives) {
      drive.inject({ on: "unmap", action: "fail" });
      drive.overwrite(512, new Uint8Array(5 * BLOCK_BYTES).fill(7));
    }
    await bench.create();
    await bench.assemble();
    await bench.run(bench.array.createVolume("v", 64));
    expect(Buffer.compare(await bench.read(0, 64), new Uint8Array(64 * BLOCK_BYTES))).toBe(0);
  });

  it("notices an unmap that leaves no zeros", async () => {
    const bench = ArrayBench.bare(3, 5);
    bench.drives[2].inject({ on: "unmap", action: "lose" });
    bench.drives[2].overwrite(512, new Uint8Array(5 * BLOCK_BYTES).fill(7));
    await bench.create();
    await bench.assemble();
    expect((await bench.run(bench.array.check())).mismatches).toBe(0);
  });

  it("refuses shapes that cannot be", async () => {
    await expect(ArrayBench.bare(2, 5).create()).rejects.toMatchObject(code("raid.bad-shape", "level 5 has 2 drives"));
    await expect(ArrayBench.bare(3, 5, 3).create()).rejects.toMatchObject(code("raid.bad-chunk", "12288"));
    await expect(ArrayBench.bare(3, 5, 512).create()).rejects.toMatchObject(code("raid.bad-chunk"));
    await expect(ArrayBench.bare(3, 5, 4, 0).create()).rejects.toMatchObject(code("raid.too-small", "/dev/a"));
    await expect(ArrayBench.bare(3, 5).create({ name: "" })).rejects.toMatchObject(code("raid.bad-name"));
  });
});

describe("assembly", () => {
  it("tells blank, foreign, other group, other array, doubled and copied drives apart", async () => {
    await expect(ArrayBench.bare(3, 5).assemble()).rejects.toMatchObject(code("raid.blank", "/dev/a, /dev/b, /dev/c"));
    const bench = await stopped();
    await expect(bench.assemble(bench.drives, { group: "test" })).rejects.toMatchObject(
      code("raid.other-group", "/dev/a", GROUP, "test"),
    );
    await expect(bench.assemble(bench.drives, { name: "spare" })).rejects.toMatchObject(
      code("raid.other-array", "/dev/a", NAME, "spare"),
    );
    const extra = bench.universe.addDrive("site", "/dev/x", bench.drives[0].blockCount * BLOCK_BYTES);
    extra.restore(bench.drives[1].snapshot());
    await expect(bench.assemble([...bench.drives, extra])).rejects.toMatchObject(
      code("raid.duplicate-slot", "/dev/b", "/dev/x", "slot 1"),
    );
    extra.restore({ blockCount: extra.blockCount, pages: new Map(), latent: new Set() });
    put(extra, 0, "XFSB");
    await expect(bench.assemble([...bench.drives, extra])).rejects.toMatchObject(code("raid.foreign", "/dev/x", "xfs"));
  });

  it("goes on without a blank or a dead drive as long as enough remain, and says which is missing", async () => {
    const bench = await stopped();
    const blank = bench.universe.addDrive("site", "/dev/x", bench.drives[0].blockCount * BLOCK_BYTES);
    const dead = bench.universe.addDrive("site", "/dev/y", bench.drives[0].blockCount * BLOCK_BYTES);
    dead.inject({ on: "read", action: "fail" });
    await bench.assemble([bench.drives[2], blank, bench.drives[0]]);
    expect(bench.array.status).toMatchObject({
      state: "degraded",
      members: [
        { slot: 0, path: "/dev/a", state: "active" },
        { slot: 1, state: "missing" },
        { slot: 2, path: "/dev/c", state: "active" },
      ],
    });
    expect(Buffer.compare(await bench.read(0, 64), stamped(0, 64, 1))).toBe(0);
    await bench.stop();
    await expect(bench.assemble([bench.drives[0], blank, dead])).rejects.toMatchObject(
      code("raid.too-few", "needs 2 of its 3 members, slots 1, 2 are missing", "/dev/x is blank"),
    );
  });

  it("leaves a stale member out, wherever it comes back, and never reads it", async () => {
    const bench = await stopped();
    await bench.assemble([bench.drives[0], bench.drives[2]]);
    await bench.write(0, stamped(0, 64, 2));
    await bench.stop();
    for (let round = 0; round < 2; round++) {
      await bench.assemble([bench.drives[1], bench.drives[0], bench.drives[2]]);
      expect(bench.array.status.members[1]).toMatchObject({ path: "/dev/b", state: "stale" });
      expect(Buffer.compare(await bench.read(0, 64), stamped(0, 64, 2))).toBe(0);
      await bench.write(3, stamped(3, 1, 2));
      await bench.stop();
    }
    await expect(bench.assemble([bench.drives[1], bench.drives[0]])).rejects.toMatchObject(
      code("raid.too-few", "/dev/b is stale"),
    );
  });

  it.each(["missing from the start", "lost while it writes"])(
    "is not started by a member alone that it went on without, %s",
    async (how) => {
      const bench = await stopped(2, 1);
      const memory = new Memory();
      await bench.assemble(how === "lost while it writes" ? bench.drives : [bench.drives[0]], { memory });
      if (how === "lost while it writes") bench.drives[1].inject({ on: "write", action: "fail", times: 1 });
      await bench.write(0, stamped(0, 64, 2));
      expect(memory.generation).toBeGreaterThan(0);
      await bench.stop();
      await expect(bench.assemble([bench.drives[1]], { memory })).rejects.toMatchObject(
        code("raid.left-behind", "/dev/b", `older than ${memory.generation}`),
      );
      await bench.assemble([bench.drives[0]], { memory });
      expect(Buffer.compare(await bench.read(0, 64), stamped(0, 64, 2))).toBe(0);
      await bench.stop();
      await bench.assemble(bench.drives, { memory });
      expect(bench.array.status.members[1].state).toBe("stale");
    },
  );

  it("reports nothing done that a member missed before its loss is kept outside of the drives", async () => {
    const bench = await stopped(2, 1);
    const memory = new Memory();
    memory.failure = new OperatingError("journal.failed", "It failed.", "Replace it.");
    await bench.assemble(bench.drives, { memory });
    await bench.write(0, stamped(0, 1, 2));
    bench.drives[1].vanish();
    await expect(bench.write(0, stamped(0, 1, 3))).rejects.toMatchObject(code("journal.failed"));
    expect(bench.array.status.state).toBe("failed");
  });

  it("takes back a member that was only away while nothing was written", async () => {
    const bench = await stopped();
    await bench.assemble([bench.drives[0], bench.drives[2]]);
    expect(Buffer.compare(await bench.read(0, 64), stamped(0, 64, 1))).toBe(0);
    await bench.stop();
    await bench.assemble();
    expect(bench.array.status.state).toBe("optimal");
  });

  it("makes durable what it was assembled by, since a killed process may have left that in the drives' caches", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const bench = await ArrayBench.make(4, 5, 4, 1, seed);
      await bench.run(bench.array.createVolume("v", 64));
      await bench.stop();
      // The first write after each assembly changes the superblock, which comes no further than the caches.
      const changeHalfWay = async () => {
        await bench.assemble();
        const stalls = bench.drives.map((drive) => drive.inject({ on: "flush", action: "stall" }));
        bench
          .volume()
          .write(lba(0), stamped(0, 1, 2))
          ?.catch(() => {});
        await bench.settle();
        return () => {
          for (const stall of stalls) stall.remove();
        };
      };
      const goOn = await changeHalfWay();
      bench.machine.kill();
      bench.machine.restart();
      goOn();
      const mend = await changeHalfWay();
      bench.crash();
      mend();
      await bench.assemble();
      expect(bench.array.status.state).toBe("optimal");
      await bench.stop();
    }
  });

  it("refuses to join mirrors that lived apart", async () => {
    const bench = await stopped(2, 1);
    for (const drive of bench.drives) {
      await bench.assemble([drive]);
      await bench.write(0, stamped(0, 1, 9));
      await bench.stop();
    }
    await expect(bench.assemble()).rejects.toMatchObject(code("raid.split"));
    await bench.assemble([bench.drives[1]]);
  });

  it("leaves out a member that alone has a change that a power cut cut short, when the others went on", async () => {
    const bench = await stopped();
    const before = bench.drives.map((drive) => drive.snapshot());
    await bench.assemble();
    await bench.write(0, stamped(0, 1, 9));
    bench.crash();
    // Only the first one got the superblock with which the write began.
    for (const at of [1, 2]) bench.drives[at].restore(before[at]);
    const [first, ...others] = bench.drives;
    await bench.assemble(others);
    await bench.write(0, stamped(0, 64, 2));
    await bench.stop();
    await bench.assemble();
    expect(bench.array.status.members.map(({ state }) => state)).toEqual(["stale", "active", "active"]);
    expect(first.present).toBe(true);
    expect(Buffer.compare(await bench.read(0, 64), stamped(0, 64, 2))).toBe(0);
  });

  it("gives a change that a power cut cut short to all members, before the next can come", async () => {
    const bench = await stopped();
    const before = bench.drives.map((drive) => drive.snapshot());
    await bench.assemble();
    await bench.write(0, stamped(0, 1, 9));
    bench.crash();
    for (const at of [1, 2]) bench.drives[at].restore(before[at]);
    await bench.assemble();
    bench.crash();
    // The first one is not needed to know of it any more, nor are the others stale whatever the first one does next.
    await bench.assemble([bench.drives[1], bench.drives[2]], { readOnly: true });
    expect(bench.array.status.recovering).toBe(true);
    expect(Buffer.compare(await bench.read(1, 63), stamped(1, 63, 1))).toBe(0);
  });

  it("refuses a drive that was put back to an older state", async () => {
    const bench = await stopped();
    const old = bench.drives[0].snapshot();
    await bench.assemble();
    await bench.write(0, stamped(0, 64, 2));
    await bench.stop();
    bench.drives[0].restore(old);
    await bench.assemble();
    expect(bench.array.status.members[0].state).toBe("stale");
    expect(Buffer.compare(await bench.read(0, 64), stamped(0, 64, 2))).toBe(0);
  });

  it("finds its superblock when all but one copy are gone", async () => {
    const bench = await stopped();
    for (const drive of bench.drives) {
      const zeros = new Uint8Array(TAIL_BLOCKS * BLOCK_BYTES);
      drive.overwrite(0, zeros);
    }
    await bench.assemble();
    expect(Buffer.compare(await bench.read(0, 64), stamped(0, 64, 1))).toBe(0);
    // The next changes write both ends again.
    await bench.write(0, stamped(0, 64, 2));
    await bench.stop();
    for (const drive of bench.drives) drive.flipBit(superblockCopy(drive.blockCount, 0, "tail"));
    for (const drive of bench.drives) drive.flipBit(superblockCopy(drive.blockCount, 1, "tail"));
    await bench.assemble();
    expect(Buffer.compare(await bench.read(0, 64), stamped(0, 64, 2))).toBe(0);
  });

  it("refuses level 5 that was cut off and lacks a member since, unless told to accept it", async () => {
    const bench = await stopped();
    await bench.assemble();
    await bench.write(0, stamped(0, 64, 2));
    await bench.flush();
    bench.crash();
    const two = [bench.drives[0], bench.drives[1]];
    await expect(bench.assemble(two)).rejects.toMatchObject(code("raid.dirty-degraded", "slot 2"));
    await bench.assemble(two, { readOnly: true });
    expect(Buffer.compare(await bench.read(0, 64), stamped(0, 64, 2))).toBe(0);
    await bench.stop();
    await bench.assemble(two, { acceptDirtyDegraded: true });
    await bench.write(0, stamped(0, 8, 3));
    bench.crash();
    await bench.assemble(two);
    await bench.stop();
    await bench.assemble();
    expect(bench.array.status.members[2].state).toBe("stale");
  });

  it("fails level 5 when a member goes before the writes in flight at its last stop were redone", async () => {
    const bench = await stopped();
    await bench.assemble();
    await bench.write(0, stamped(0, 64, 2));
    bench.crash();
    await bench.assemble();
    expect(bench.array.status.recovering).toBe(true);
    bench.drives[0].vanish();
    await expect(bench.write(0, stamped(0, 64, 2))).rejects.toMatchObject(code("raid.dirty-degraded", "/dev/a"));
    bench.drives[0].reappear();
    bench.crash();
    await bench.assemble();
    await bench.write(0, stamped(0, 64, 2));
    bench.array.redone();
    bench.drives[0].vanish();
    await bench.write(0, stamped(0, 8, 3));
    expect(bench.array.status.state).toBe("degraded");
    expect(Buffer.compare(await bench.read(8, 56), stamped(8, 56, 2))).toBe(0);
  });

  it("writes nothing when it is read-only", async () => {
    const bench = await stopped();
    const contents = () => bench.drives.map((drive) => Buffer.from(drive.contents()).toString("base64"));
    bench.drives[0].flipBit(520, 0);
    const before = contents();
    await bench.assemble(bench.drives, { readOnly: true });
    expect(Buffer.compare(await bench.read(0, 64), stamped(0, 64, 1))).toBe(0);
    await expect(bench.write(0, stamped(0, 1, 2))).rejects.toMatchObject(code("raid.read-only"));
    await expect(bench.run(bench.array.createVolume("w", 1))).rejects.toMatchObject(code("raid.read-only"));
    await bench.flush();
    await bench.stop();
    expect(contents().map((content, i) => content === before[i])).toEqual([true, true, true]);
  });
});

describe("a member that fails a write or a flush", () => {
  it.each(["write", "flush"] as const)("is fenced after one failed %s, and marked on the others first", async (on) => {
    const bench = await stopped();
    await bench.assemble();
    await bench.write(0, stamped(0, 64, 2));
    bench.drives[1].inject({ on, action: "fail", times: 1 });
    await bench.write(0, stamped(0, 64, 3));
    await bench.flush();
    const { read, flush, write } = bench.drives[1].counts;
    await bench.settle();
    expect(bench.array.status.members[1]).toMatchObject({ state: "failed", errors: { write: 1 } });
    expect(bench.events.map((event) => event.kind)).toEqual(["member-failed", "degraded"]);
    await bench.write(0, stamped(0, 64, 4));
    await bench.flush();
    expect(Buffer.compare(await bench.read(0, 64), stamped(0, 64, 4))).toBe(0);
    expect(bench.drives[1].counts).toMatchObject({ read, flush, write });
    bench.crash();
    await bench.assemble();
    expect(bench.array.status.members[1].state).toBe("stale");
    expect(Buffer.compare(await bench.read(0, 64), stamped(0, 64, 4))).toBe(0);
  });
});
