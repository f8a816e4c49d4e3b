import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BLOCK_BYTES, lba } from "../base/units.ts";
import { ArrayBench, Model, stamped } from "./array-fixture.ts";
import { chunkOf, geometryOf } from "./geometry.ts";
import { checksumBlock, dataBlock } from "./member-layout.ts";

const V = 200;

async function withVolume(members: number, level: 1 | 5, chunk = 4, zones = 1, seed: number | string = 1) {
  const bench = await ArrayBench.make(members, level, chunk, zones, seed);
  await bench.run(bench.array.createVolume("v", V));
  return bench;
}

/** The member and its drive's block that hold a block of the first volume. */
function whereIs(bench: ArrayBench, block: number) {
  const geometry = geometryOf(bench.level, bench.drives.length, bench.chunkBlocks);
  const stripe = Math.floor(block / geometry.stripeBlocks);
  const within = block % geometry.stripeBlocks;
  const row = within % geometry.chunkBlocks;
  const slot = geometry.dataMember(stripe, Math.floor(within / geometry.chunkBlocks), 0);
  const parity = geometry.parities > 0 ? geometry.parityMember(stripe, 0) : -1;
  return { slot, parity, at: dataBlock(stripe * geometry.chunkBlocks + row), stripe, row };
}

describe.each([
  [1, 1],
  [2, 1],
  [3, 5],
  [5, 5],
] as const)("%i members, level %i", (members, level) => {
  it("reads zeros where nothing was written, and what was written elsewhere", async () => {
    const bench = await withVolume(members, level);
    expect(Buffer.compare(await bench.read(0, V), new Uint8Array(V * BLOCK_BYTES))).toBe(0);
    await bench.write(3, stamped(3, 50, 1));
    const model = new Model();
    model.write(3, 50, 1);
    expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
    expect(await bench.run(bench.array.check())).toMatchObject({ mismatches: 0 });
    expect(bench.array.status.state).toBe("optimal");
  });

  it("knows which blocks were written, and which were given back", async () => {
    const bench = await withVolume(members, level);
    const extents = async () => {
      const found: string[] = [];
      for (let at = 0; at < V; ) {
        const asked = await bench.run(bench.volume().allocation?.(lba(at), V - at));
        const { mapped, blocks } = asked ?? { mapped: true, blocks: V };
        expect(blocks).toBeGreaterThan(0);
        found.push(`${mapped ? "mapped" : "free"} ${at}+${blocks}`);
        at += blocks;
      }
      return found;
    };
    expect(await extents()).toEqual([`free 0+${V}`]);
    await bench.write(3, stamped(3, 50, 1));
    expect(await extents()).toEqual(["free 0+3", "mapped 3+50", `free 53+${V - 53}`]);
    await bench.run(bench.volume().unmap(lba(10), 7));
    expect(await extents()).toEqual(["free 0+3", "mapped 3+7", "free 10+7", "mapped 17+36", `free 53+${V - 53}`]);
    await bench.stop();
    await bench.assemble();
    expect((await extents())[2]).toBe("free 10+7");
  });

  it("has it after a close, in any order of drives", async () => {
    const bench = await withVolume(members, level);
    await bench.write(0, stamped(0, V, 1));
    await bench.stop();
    await bench.assemble([...bench.drives].reverse());
    const model = new Model();
    model.write(0, V, 1);
    expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
    expect(bench.array.status.recovering).toBe(false);
    expect(bench.array.volumes).toEqual([{ name: "v", blocks: V }]);
  });

  it("agrees with a map of blocks whatever is done to it", async () => {
    const operation = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          kind: fc.constant("write" as const),
          at: fc.nat(V - 1),
          count: fc.integer({ min: 1, max: 70 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant("unmap" as const),
          at: fc.nat(V - 1),
          count: fc.integer({ min: 1, max: 70 }),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant("read" as const),
          at: fc.nat(V - 1),
          count: fc.integer({ min: 1, max: 70 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant("flip" as const), at: fc.nat(V - 1), count: fc.nat(32767) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant("flipChecksums" as const), at: fc.nat(V - 1), count: fc.nat(32767) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant("reassemble" as const), at: fc.nat(100), count: fc.constant(0) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant("lose" as const), at: fc.nat(members - 1), count: fc.constant(0) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 30 }), fc.nat(1000), async (operations, seed) => {
        const bench = await withVolume(members, level, 4, 1, seed);
        const model = new Model();
        let stamp = 0;
        /** Mirrors take turns. */
        const readAllCopies = async (at: number) => {
          for (let i = 0; i < members; i++) expect(model.firstDifference(at, await bench.read(at, 1))).toBe(-1);
        };
        const redundant = () => members > 1 && bench.array.status.state === "optimal";
        for (const { kind, at, count } of operations) {
          const blocks = Math.min(count, V - at);
          switch (kind) {
            case "write":
              await bench.write(at, stamped(at, blocks, ++stamp));
              model.write(at, blocks, stamp);
              break;
            case "unmap":
              await bench.run(bench.volume().unmap(lba(at), blocks) ?? Promise.resolve());
              model.unmap(at, blocks);
              break;
            case "read":
              expect(model.firstDifference(at, await bench.read(at, blocks))).toBe(-1);
              break;
            case "flip": {
              // One bad block at a time, and read at once: two in one row are beyond what the array promises.
              if (!redundant() || !model.stamps.has(at)) break;
              const { slot, at: place } = whereIs(bench, at);
              bench.drives[slot].flipBit(place, count);
              await readAllCopies(at);
              expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
              break;
            }
            case "flipChecksums": {
              // A flip that makes an entry 0 cannot be seen; a written block's single bit never does that here.
              if (!redundant()) break;
              await bench.stop();
              const { slot, stripe, row } = whereIs(bench, at);
              const entry = stripe * bench.chunkBlocks + row;
              if (model.stamps.has(at)) bench.drives[slot].flipBit(checksumBlock(0), entry * 32 + (count % 32));
              await bench.assemble();
              await readAllCopies(at);
              break;
            }
            case "reassemble": {
              await bench.stop();
              const order = bench.drives.map((drive, i) => ({ drive, key: (i * 7919 + at * 104729) % 101 }));
              order.sort((a, b) => a.key - b.key);
              await bench.assemble(order.map((one) => one.drive));
              break;
            }
            case "lose":
              if (!redundant()) break;
              bench.drives[at].vanish();
              expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
              await bench.write(0, stamped(0, 1, ++stamp));
              model.write(0, 1, stamp);
              await bench.write(20, stamped(20, 80, ++stamp));
              model.write(20, 80, stamp);
              bench.drives[at].reappear();
              break;
          }
        }
        expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
        expect((await bench.run(bench.array.check())).mismatches).toBe(0);
        await bench.stop();
        await bench.assemble();
        expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
        await bench.stop();
      }),
      { numRuns: members === 5 ? 15 : 25 },
    );
  });
});

describe("level 5", () => {
  it("writes 1 MiB of full stripes in one run on each member, and reads nothing", async () => {
    const bench = await ArrayBench.make(3, 5, 16, 2);
    await bench.run(bench.array.createVolume("v", 1024));
    await bench.write(0, stamped(0, 32, 1));
    const before = bench.counts();
    await bench.write(32, stamped(32, 256, 2));
    expect(bench.countsSince(before)).toEqual({ read: 0, write: 6 });
  });

  it("writes a part of a chunk with one run for data and one for parity", async () => {
    const bench = await ArrayBench.make(3, 5, 16, 2);
    await bench.run(bench.array.createVolume("v", 1024));
    await bench.write(0, stamped(0, 32, 1));
    const before = bench.counts();
    await bench.write(3, stamped(3, 5, 2));
    expect(bench.countsSince(before)).toEqual({ read: 1, write: 4 });
  });

  it("rebuilds a block that the drive cannot read, and writes it again", async () => {
    const bench = await withVolume(4, 5);
    await bench.write(0, stamped(0, V, 1));
    const model = new Model();
    model.write(0, V, 1);
    const { slot, at } = whereIs(bench, 13);
    const fault = bench.drives[slot].inject({ on: "read", action: "fail", lba: at, blocks: 1 });
    expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
    fault.remove();
    expect(bench.events.filter((event) => event.kind === "block-repaired")).toHaveLength(1);
    expect(bench.array.status.members[slot].errors.read).toBeGreaterThan(0);
    expect(bench.array.status.state).toBe("optimal");
    const before = bench.counts();
    expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
    expect(bench.countsSince(before).write).toBe(0);
  });

  it("repairs a write that the drive lost", async () => {
    const bench = await withVolume(3, 5);
    await bench.write(0, stamped(0, 32, 1));
    const { slot, at } = whereIs(bench, 5);
    bench.drives[slot].inject({ on: "write", action: "lose", lba: at, blocks: 1, times: 1 });
    await bench.write(5, stamped(5, 1, 2));
    expect(Buffer.compare(await bench.read(5, 1), stamped(5, 1, 2))).toBe(0);
    expect((await bench.run(bench.array.check())).mismatches).toBe(0);
  });

  it("heals a whole checksum block that cannot be read", async () => {
    const bench = await withVolume(3, 5);
    await bench.write(0, stamped(0, 150, 1));
    const model = new Model();
    model.write(0, 150, 1);
    await bench.stop();
    bench.drives[1].inject({ on: "read", action: "fail", lba: checksumBlock(0), blocks: 1, times: 2 });
    await bench.assemble();
    expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
    expect(bench.events.some((event) => event.kind === "checksums-unreadable")).toBe(true);
    expect(bench.array.status.state).toBe("optimal");
  });

  it("reads past a drive that is gone and was not written to since assembly", async () => {
    const bench = await withVolume(5, 5);
    await bench.write(0, stamped(0, V, 1));
    await bench.stop();
    await bench.assemble();
    bench.drives[1].vanish();
    expect(Buffer.compare(await bench.read(0, V), stamped(0, V, 1))).toBe(0);
    expect(bench.array.status.state).toBe("degraded");
  });

  it("says which block of which volume is lost when two of a row are bad, and takes it when it is written", async () => {
    const bench = await withVolume(3, 5);
    await bench.write(0, stamped(0, 32, 1));
    const { slot, parity, at } = whereIs(bench, 9);
    bench.drives[slot].flipBit(at, 5);
    bench.drives[parity].flipBit(at, 77);
    await expect(bench.read(9, 1)).rejects.toMatchObject({
      code: "raid.unreadable",
      what: expect.stringContaining("block 9 of volume v"),
    });
    expect(Buffer.compare(await bench.read(10, 4), stamped(10, 4, 1))).toBe(0);
    // The row's other block can be written; it must not make the lost one come back as something else.
    const geometry = geometryOf(5, 3, 4);
    const { stripe, row } = whereIs(bench, 9);
    const other = [0, 1].find((chunk) => chunk !== chunkOf(geometry, stripe, slot)) ?? 0;
    const neighbour = stripe * 8 + other * 4 + row;
    await bench.write(neighbour, stamped(neighbour, 1, 2));
    await expect(bench.read(9, 1)).rejects.toMatchObject({ code: "raid.unreadable" });
    expect((await bench.run(bench.array.check())).mismatches).toBe(1);
    await bench.write(9, stamped(9, 1, 3));
    expect(Buffer.compare(await bench.read(9, 1), stamped(9, 1, 3))).toBe(0);
    expect(Buffer.compare(await bench.read(neighbour, 1), stamped(neighbour, 1, 2))).toBe(0);
    expect((await bench.run(bench.array.check())).mismatches).toBe(0);
  });

  it("never gives the lost block of such a row out of parity once its member is gone", async () => {
    const bench = await withVolume(3, 5);
    await bench.write(0, stamped(0, 32, 1));
    const { slot, parity, at, stripe, row } = whereIs(bench, 9);
    bench.drives[slot].flipBit(at, 5);
    bench.drives[parity].flipBit(at, 77);
    const other = [0, 1].find((chunk) => chunk !== chunkOf(geometryOf(5, 3, 4), stripe, slot)) ?? 0;
    await bench.write(stripe * 8 + other * 4 + row, stamped(0, 1, 2));
    bench.drives[slot].vanish();
    await expect(bench.read(9, 1)).rejects.toMatchObject({ code: "raid.unreadable" });
  });

  it("takes a write for the missing member beside a bad block, which stays lost until it is written", async () => {
    const bench = await withVolume(3, 5);
    await bench.write(0, stamped(0, 32, 1));
    // Stripe 0 has its parity on slot 2, blocks 0 to 3 on slot 0 and blocks 4 to 7 on slot 1.
    bench.drives[1].vanish();
    await bench.write(16, stamped(16, 1, 1));
    await bench.settle();
    bench.drives[0].flipBit(dataBlock(1), 9);
    await bench.write(5, stamped(5, 1, 2));
    for (let round = 0; round < 2; round++) {
      expect(Buffer.compare(await bench.read(5, 1), stamped(5, 1, 2))).toBe(0);
      await expect(bench.read(1, 1)).rejects.toMatchObject({ code: "raid.unreadable" });
      await bench.stop();
      await bench.assemble([bench.drives[2], bench.drives[0]]);
    }
    expect((await bench.run(bench.array.check())).mismatches).toBe(1);
    // An update through the log, of which the missing block is a part, and one that covers both.
    await bench.write(0, stamped(0, 3, 3));
    expect(Buffer.compare(await bench.read(0, 3), stamped(0, 3, 3))).toBe(0);
    expect(Buffer.compare(await bench.read(5, 1), stamped(5, 1, 2))).toBe(0);
    bench.drives[0].flipBit(dataBlock(1), 9);
    await bench.write(4, stamped(4, 3, 4));
    bench.drives[0].flipBit(dataBlock(0), 9);
    await bench.write(3, stamped(3, 3, 5));
    expect(Buffer.compare(await bench.read(3, 3), stamped(3, 3, 5))).toBe(0);
    await expect(bench.read(0, 1)).rejects.toMatchObject({ code: "raid.unreadable" });
    await bench.write(0, stamped(0, 8, 6));
    expect(Buffer.compare(await bench.read(0, 8), stamped(0, 8, 6))).toBe(0);
  });

  it("fails, and stays failed, when a second member is lost", async () => {
    const bench = await withVolume(3, 5);
    await bench.write(0, stamped(0, 32, 1));
    bench.drives[0].vanish();
    await bench.write(0, stamped(0, 8, 2));
    await bench.settle();
    expect(bench.array.status.state).toBe("degraded");
    bench.drives[1].vanish();
    await expect(bench.write(0, stamped(0, 8, 3))).rejects.toMatchObject({ code: "raid.failed" });
    expect(bench.array.status.state).toBe("failed");
    await expect(bench.read(0, 1)).rejects.toMatchObject({ code: "raid.failed" });
    await expect(bench.flush()).rejects.toMatchObject({ code: "raid.failed" });
  });
});

describe("level 1", () => {
  it("of one member reads and writes in one run each, straight from and into the caller's buffer", async () => {
    const bench = await ArrayBench.make(1, 1, 16, 2);
    await bench.run(bench.array.createVolume("v", 1024));
    await bench.write(0, stamped(0, 1, 1));
    const before = bench.counts();
    await bench.write(0, stamped(0, 256, 2));
    expect(bench.countsSince(before)).toEqual({ read: 0, write: 2 });
    const between = bench.counts();
    await bench.read(0, 256);
    expect(bench.countsSince(between)).toEqual({ read: 1, write: 0 });
  });

  it("of one member says which block is bad instead of returning it", async () => {
    const bench = await withVolume(1, 1);
    await bench.write(0, stamped(0, 32, 1));
    bench.drives[0].flipBit(dataBlock(7), 100);
    await expect(bench.read(0, 32)).rejects.toMatchObject({
      code: "raid.unreadable",
      what: expect.stringContaining("block 7 of volume v"),
    });
  });

  it("takes a bad block from the other mirror and repairs it", async () => {
    const bench = await withVolume(2, 1);
    await bench.write(0, stamped(0, 32, 1));
    for (const drive of bench.drives) {
      drive.flipBit(dataBlock(drive === bench.drives[0] ? 7 : 8), 100);
    }
    for (let i = 0; i < 4; i++) expect(Buffer.compare(await bench.read(0, 32), stamped(0, 32, 1))).toBe(0);
    expect((await bench.run(bench.array.check())).mismatches).toBe(0);
  });
});

describe("requests", () => {
  it("that overlap leave each block whole, and parity right", async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const bench = await withVolume(3, 5, 4, 1, seed);
      const random = bench.universe.random;
      const permitted = new Map<number, Set<number>>();
      const writes: Promise<void>[] = [];
      const reads: Promise<void>[] = [];
      for (let stamp = 1; stamp <= 60; stamp++) {
        const at = random.below(V - 40);
        const count = 1 + random.below(40);
        for (let block = at; block < at + count; block++) {
          const set = permitted.get(block) ?? new Set([0]);
          permitted.set(block, set.add(stamp));
        }
        writes.push(bench.volume().write(lba(at), stamped(at, count, stamp)) ?? Promise.resolve());
        const into = new Uint8Array(20 * BLOCK_BYTES);
        reads.push(bench.volume().read(lba(at), into) ?? Promise.resolve());
      }
      await bench.run(Promise.all([...writes, ...reads]));
      const data = await bench.read(0, V);
      for (const [block, stamps] of permitted) {
        const is = data.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
        const matches = [...stamps].some(
          (stamp) => Buffer.compare(is, stamp === 0 ? new Uint8Array(BLOCK_BYTES) : stamped(block, 1, stamp)) === 0,
        );
        expect(matches).toBe(true);
      }
      expect((await bench.run(bench.array.check())).mismatches).toBe(0);
      await bench.stop();
      // What is on the drives is what was in memory: no checksum block was overtaken by an older one.
      await bench.assemble();
      expect((await bench.run(bench.array.check())).mismatches).toBe(0);
      expect(bench.events).toEqual([]);
    }
  });

  it("of any size and place survive the loss of a member under way", async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const bench = await withVolume(4, 5, 4, 1, seed);
      await bench.write(0, stamped(0, V, 100));
      await bench.flush();
      const model = new Model();
      model.write(0, V, 100);
      const writes: Promise<void>[] = [];
      for (let stamp = 1; stamp <= 10; stamp++) {
        const at = (stamp - 1) * 20;
        writes.push(bench.volume().write(lba(at + 3), stamped(at + 3, 15, stamp)) ?? Promise.resolve());
        model.write(at + 3, 15, stamp);
      }
      bench.universe.after(bench.universe.random.between(0, 1), () => bench.drives[seed % 4].vanish());
      await bench.run(Promise.all(writes));
      expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
      await bench.write(50, stamped(50, 100, 200));
      model.write(50, 100, 200);
      await bench.settle();
      bench.drives[seed % 4].reappear();
      await bench.stop();
      await bench.assemble();
      expect(bench.array.status.members[seed % 4].state).toBe("stale");
      expect(model.firstDifference(0, await bench.read(0, V))).toBe(-1);
    }
  });

  it("stop at once when they are aborted before they begin", async () => {
    const bench = await withVolume(3, 5);
    const reason = new Error("no longer wanted");
    await expect(
      bench.run(bench.volume().write(lba(0), stamped(0, 1, 1), { signal: AbortSignal.abort(reason) })),
    ).rejects.toBe(reason);
    expect(Buffer.compare(await bench.read(0, 1), new Uint8Array(BLOCK_BYTES))).toBe(0);
  });

  it("with FUA are there after a power cut", async () => {
    for (const [members, level] of [
      [1, 1],
      [3, 5],
    ] as const) {
      for (let seed = 0; seed < 6; seed++) {
        const bench = await withVolume(members, level, 4, 1, seed);
        await bench.run(bench.volume().write(lba(3), stamped(3, 20, 9), { fua: true }));
        bench.crash();
        await bench.assemble();
        expect(Buffer.compare(await bench.read(3, 20), stamped(3, 20, 9))).toBe(0);
      }
    }
  });
});

describe("volumes", () => {
  it("are told apart, bounded by the array, and named once", async () => {
    const bench = await ArrayBench.make(3, 5, 4, 1);
    const free = bench.array.status.capacityBlocks;
    expect(free).toBe(2048);
    const a = await bench.run(bench.array.createVolume("a", 13));
    const b = await bench.run(bench.array.createVolume("b", 100));
    expect(bench.array.status.allocatedBlocks).toBe(16 + 104);
    await bench.write(0, stamped(0, 13, 1), a);
    await bench.write(0, stamped(0, 100, 2), b);
    expect(Buffer.compare(await bench.read(0, 13, a), stamped(0, 13, 1))).toBe(0);
    await expect(bench.run(bench.array.createVolume("a", 1))).rejects.toMatchObject({ code: "raid.volume-exists" });
    await expect(bench.run(bench.array.createVolume("c", 2000))).rejects.toMatchObject({
      code: "raid.full",
      what: expect.stringContaining(String(2048 - 120)),
    });
    await expect(bench.run(bench.array.createVolume("n".repeat(65), 1))).rejects.toMatchObject({
      code: "raid.bad-name",
    });
    await bench.run(bench.array.createVolume("c", 2048 - 120));
    await expect(bench.run(bench.array.createVolume("d", 1))).rejects.toMatchObject({ code: "raid.full" });
    await bench.stop();
    await bench.assemble();
    expect(Buffer.compare(await bench.read(0, 100, bench.volume("b")), stamped(0, 100, 2))).toBe(0);
  });

  it("are refused after close", async () => {
    const bench = await withVolume(3, 5);
    const volume = bench.volume();
    await bench.run(bench.array.close());
    await expect(bench.run(volume.read(lba(0), new Uint8Array(BLOCK_BYTES)))).rejects.toMatchObject({
      code: "raid.closed",
    });
    expect(bench.world.memory.outstanding).toBe(0);
  });
});
