import fc from "fast-check";
import { expect, test } from "vitest";
import { BLOCK_BYTES, byteCount, lba, MiB, millis } from "../../base/units.ts";
import { sleep } from "../clock.ts";
import type { Drive } from "../drive.ts";
import { BLOCKS, block, sectors, setUp } from "./drive-fixture.ts";
import { MemoryUniverse } from "./memory-world.ts";

const expectSame = (actual: Uint8Array, expected: Uint8Array) => expect(Buffer.compare(actual, expected)).toBe(0);

test("what was written with FUA or flushed outlives every power cut", async () => {
  for (let seed = 0; seed < 200; seed++) {
    const { universe, machine, media, drive } = await setUp(seed);
    await universe.result(drive.write(lba(0), block(1), { fua: true }));
    await universe.result(drive.write(lba(1), block(2)));
    await universe.result(drive.write(lba(2), block(9)));
    await universe.result(drive.write(lba(2), block(3)));
    await universe.result(drive.flush());
    await universe.result(drive.write(lba(3), block(8)));
    await universe.result(drive.write(lba(3), block(4), { fua: true }));
    expect(media.unflushedBlocks).toBe(0);
    machine.crash();
    expect([0, 1, 2, 3].map((at) => media.contents(at, 1)[0])).toEqual([1, 2, 3, 4]);
  }
});

test("a power cut keeps, drops or tears what was not flushed, by sectors of 512 bytes", async () => {
  const seen = { kept: 0, dropped: 0, torn: 0, older: 0 };
  for (let seed = 0; seed < 200; seed++) {
    const { universe, machine, media, drive } = await setUp(seed);
    await universe.result(drive.write(lba(0), block(1), { fua: true }));
    await universe.result(drive.write(lba(0), block(2)));
    await universe.result(drive.write(lba(0), block(3)));
    machine.crash();
    const values = new Set(sectors(media.contents(0, 1)));
    if (values.size > 1) seen.torn++;
    else if (values.has(3)) seen.kept++;
    else if (values.has(1)) seen.dropped++;
    if (values.has(2)) seen.older++;
    for (const value of values) expect([1, 2, 3]).toContain(value);
    // what a cut has left is there for good
    const left = media.contents(0, 1);
    machine.restart();
    machine.crash();
    expectSame(media.contents(0, 1), left);
  }
  expect(seen.kept).toBeGreaterThan(20);
  expect(seen.dropped).toBeGreaterThan(20);
  expect(seen.torn).toBeGreaterThan(5);
  expect(seen.older).toBeGreaterThan(5);
});

test("a power cut leaves of a write under way all, nothing, its start, or any of its sectors, FUA or not", async () => {
  for (const fua of [false, true]) {
    const shapes = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const { machine, media, drive } = await setUp(seed);
      media.overwrite(0, block(1, 4));
      void drive.write(lba(0), block(2, 4), { fua });
      machine.crash();
      const values = sectors(media.contents(0, 4));
      const news = values.filter((value) => value === 2).length;
      if (news === 0) shapes.add("nothing");
      else if (news === values.length) shapes.add("all");
      else if (values.slice(0, news).every((value) => value === 2)) shapes.add("start");
      else shapes.add("mixed");
    }
    expect([...shapes].sort()).toEqual(["all", "mixed", "nothing", "start"]);
  }
});

test("a flush covers what had completed when it was asked for, not what completed meanwhile", async () => {
  let lost = 0;
  for (let seed = 0; seed < 100; seed++) {
    const { universe, machine, media, drive } = await setUp(seed);
    media.configure({ flush: [5, 5], write: [1, 1] });
    await universe.result(drive.write(lba(0), block(1)));
    const flushed = drive.flush();
    await universe.result(drive.write(lba(1), block(1)));
    await universe.result(flushed);
    machine.crash();
    expect(media.contents(0, 1)[0]).toBe(1);
    if (media.contents(1, 1)[0] === 0) lost++;
  }
  expect(lost).toBeGreaterThan(0);
});

test("a kill keeps what completed, and keeps it in the volatile cache", async () => {
  let lostLater = 0;
  let landed = 0;
  for (let seed = 0; seed < 100; seed++) {
    const { universe, machine, media, drive } = await setUp(seed);
    await universe.result(drive.write(lba(0), block(1)));
    void drive.write(lba(1), block(1));
    machine.kill();
    expectSame(media.contents(0, 1), block(1));
    if (media.contents(1, 1)[0] === 1) landed++;
    machine.crash();
    if (media.contents(0, 1)[0] === 0) lostLater++;
  }
  expect(lostLater).toBeGreaterThan(0);
  expect(landed).toBeGreaterThan(10);
  expect(landed).toBeLessThan(90);
});

test("a drive without volatile cache never loses a completed write", async () => {
  for (let seed = 0; seed < 50; seed++) {
    const { universe, machine, media, drive } = await setUp(seed);
    media.configure({ cache: "none" });
    await universe.result(drive.write(lba(0), block(1)));
    await universe.result(drive.unmap(lba(0), 1));
    await universe.result(drive.write(lba(1), block(2)));
    machine.crash();
    expect([media.contents(0, 1)[0], media.contents(1, 1)[0]]).toEqual([0, 2]);
  }
});

test("a drive behaves as a model of it: any writes, flushes and cuts", async () => {
  // for each block every value that it may hold after a cut; the last is what a read returns
  const step = fc.oneof(
    fc.record({ do: fc.constant("write" as const), at: fc.nat(7), fua: fc.boolean() }),
    fc.record({ do: fc.constant("unmap" as const), at: fc.nat(7) }),
    fc.record({ do: fc.constant("flush" as const) }),
    fc.record({ do: fc.constant("cut" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.array(step, { maxLength: 40 }), async (seed, steps) => {
      const { universe, machine, media, open, ...rest } = await setUp(seed);
      let { drive } = rest;
      const model: number[][] = Array.from({ length: 8 }, () => [0]);
      let value = 0;
      for (const one of steps) {
        if (one.do === "write") {
          value = (value % 255) + 1;
          await universe.result(drive.write(lba(one.at), block(value), { fua: one.fua }));
          model[one.at] = one.fua ? [value] : [...model[one.at], value];
        } else if (one.do === "unmap") {
          await universe.result(drive.unmap(lba(one.at), 1));
          model[one.at].push(0);
        } else if (one.do === "flush") {
          await universe.result(drive.flush());
          model.forEach((values, at) => {
            model[at] = values.slice(-1);
          });
        } else {
          machine.crash();
          machine.restart();
          drive = await open();
          for (let at = 0; at < 8; at++) {
            const values = sectors(media.contents(at, 1));
            for (const left of values) expect(model[at]).toContain(left);
            await universe.result(drive.write(lba(at), block(values[0]), { fua: true }));
            model[at] = [values[0]];
          }
        }
        const into = block(0, 8);
        await universe.result(drive.read(lba(0), into));
        for (let at = 0; at < 8; at++) expect(into[at * BLOCK_BYTES]).toBe(model[at].at(-1));
      }
    }),
    { numRuns: 100 },
  );
});

test("requests under way together complete in any order", async () => {
  const { universe, drive } = await setUp(1);
  const completed: number[] = [];
  const all = Array.from({ length: 20 }, async (_, at) => {
    await drive.write(lba(at), block(at));
    completed.push(at);
  });
  await universe.result(Promise.all(all));
  expect(completed).toHaveLength(20);
  expect(completed).not.toEqual([...completed].sort((a, b) => a - b));
});

test("latency and bandwidth are as configured", async () => {
  const { universe, media, drive } = await setUp(1);
  media.configure({ read: [2, 2], write: [3, 3], flush: [7, 7], unmap: [1, 1] });
  const took = async (act: () => Promise<void> | undefined) => {
    const start = universe.now;
    await universe.result(act());
    return universe.now - start;
  };
  expect(await took(() => drive.read(lba(0), block(0)))).toBeCloseTo(2);
  expect(await took(() => drive.write(lba(0), block(0)))).toBeCloseTo(3);
  expect(await took(() => drive.write(lba(0), block(0), { fua: true }))).toBeCloseTo(10);
  expect(await took(() => drive.flush())).toBeCloseTo(7);
  expect(await took(() => drive.unmap(lba(0), 5))).toBeCloseTo(1);
  media.configure({ bytesPerSecond: MiB });
  const many = () => Promise.all([0, 64, 128, 192].map((at) => drive.read(lba(at), block(0, 64)))).then(() => {});
  expect(await took(many)).toBeCloseTo(1002, 1);
});

test("a fault meets the requests of its range and kind, as often as it was told", async () => {
  const { universe, media, drive } = await setUp(1);
  const fault = media.inject({ on: "read", action: "fail", lba: 10, blocks: 2, times: 2 });
  await universe.result(drive.read(lba(8), block(0, 2)));
  await universe.result(drive.read(lba(12), block(0, 2)));
  await universe.result(drive.write(lba(10), block(0)));
  const failed = { code: "drive.io", message: expect.stringContaining("read of 2 blocks at 9 failed: EIO") };
  await expect(universe.result(drive.read(lba(9), block(0, 2)))).rejects.toMatchObject(failed);
  expect(fault.met).toBe(1);
  await expect(universe.result(drive.read(lba(11), block(0, 3)))).rejects.toMatchObject({ code: "drive.io" });
  await universe.result(drive.read(lba(10), block(0, 2)));
  expect(fault.met).toBe(2);
  media.inject({ on: "write", action: "fail" });
  await expect(universe.result(drive.write(lba(0), block(0)))).rejects.toMatchObject({ code: "drive.io" });
  await expect(universe.result(drive.write(lba(1), block(0)))).rejects.toMatchObject({ code: "drive.io" });
});

test("a lost write succeeds and changes nothing", async () => {
  const { universe, media, drive } = await setUp(1);
  media.overwrite(0, block(1));
  media.inject({ on: "write", action: "lose", times: 1 });
  await universe.result(drive.write(lba(0), block(2), { fua: true }));
  expectSame(media.contents(0, 1), block(1));
  await universe.result(drive.write(lba(0), block(2), { fua: true }));
  expectSame(media.contents(0, 1), block(2));
});

test("what a failed flush should have covered is covered by no later one", async () => {
  let lost = 0;
  for (let seed = 0; seed < 50; seed++) {
    const { universe, machine, media, drive } = await setUp(seed);
    await universe.result(drive.write(lba(0), block(1)));
    media.inject({ on: "flush", action: "fail", times: 1 });
    await expect(universe.result(drive.flush())).rejects.toMatchObject({ code: "drive.io" });
    await universe.result(drive.flush());
    machine.crash();
    if (media.contents(0, 1)[0] === 0) lost++;
  }
  expect(lost).toBeGreaterThan(5);
});

test("a stalled drive answers nothing until it is released, and then everything", async () => {
  const { universe, media, drive } = await setUp(1);
  const stall = media.stall();
  let done = 0;
  const count = () => void done++;
  void drive.write(lba(0), block(1))?.then(count);
  void drive.read(lba(1), block(1))?.then(count);
  void drive.flush()?.then(count);
  void drive.unmap(lba(2), 1)?.then(count);
  const { clock } = universe.world("denver");
  await universe.result(sleep(clock, millis(50_000)));
  expect(done).toBe(0);
  expect(media.inFlight).toBe(4);
  stall.remove();
  await universe.advance(1);
  expect(done).toBe(4);
  await universe.result(drive.flush());
});

test("a drive that is pulled out fails what is under way, and has to be opened again once it is back", async () => {
  const { universe, media, open, drive } = await setUp(1);
  const writing = drive.write(lba(0), block(1));
  media.vanish();
  await expect(universe.result(writing)).rejects.toMatchObject({ code: "drive.io" });
  await expect(universe.result(drive.read(lba(0), block(0)))).rejects.toThrow("ENODEV");
  await expect(open()).rejects.toMatchObject({ code: "drive.missing" });
  media.reappear();
  await expect(universe.result(drive.read(lba(0), block(0)))).rejects.toThrow("pulled out");
  const again = await open();
  await universe.result(again.read(lba(0), block(0)));
});

test("a flipped bit is read, and outlives a power cut", async () => {
  const { universe, machine, media, drive } = await setUp(1);
  await universe.result(drive.write(lba(0), block(0), { fua: true }));
  await universe.result(drive.write(lba(1), block(0)));
  media.flipBit(0, 9);
  media.flipBit(1, 9);
  media.flipBit(2);
  const into = block(0, 3);
  await universe.result(drive.read(lba(0), into));
  expect(into[1]).toBe(2);
  expect(into[BLOCK_BYTES + 1]).toBe(2);
  const ones = into
    .subarray(2 * BLOCK_BYTES)
    .reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
  expect(ones).toBe(1);
  machine.crash();
  expect(media.contents(0, 1)[1]).toBe(2);
  expect(media.contents(1, 1)[1]).toBe(2);
});

test("a buffer that is changed while it is being written is a bug that shows", async () => {
  const { universe, drive } = await setUp(1);
  const buffer = block(1);
  void drive.write(lba(0), buffer);
  buffer[100] = 2;
  await expect(universe.advance(10)).rejects.toThrow("was changed before the write completed");
});

test("an aborted request rejects at once and the drive goes on with it", async () => {
  const outcomes = new Set<number>();
  for (let seed = 0; seed < 40; seed++) {
    const { universe, media, drive } = await setUp(seed);
    const abort = new AbortController();
    const writing = drive.write(lba(0), block(1), { signal: abort.signal });
    const into = block(0);
    media.overwrite(1, block(7));
    const reading = drive.read(lba(1), into, abort.signal);
    const start = universe.now;
    abort.abort(new Error("enough"));
    await expect(universe.result(writing)).rejects.toThrow("enough");
    await expect(universe.result(reading)).rejects.toThrow("enough");
    expect(universe.now).toBe(start);
    expect(media.inFlight).toBe(2);
    expectSame(into, block(0));
    await universe.result(drive.close());
    expect(media.inFlight).toBe(0);
    expectSame(into, block(7));
    outcomes.add(new Set(sectors(media.contents(0, 1))).size === 1 ? media.contents(0, 1)[0] : 2);
    const early = drive.write(lba(0), block(1), { signal: abort.signal });
    await expect(universe.result(early)).rejects.toMatchObject({ code: "drive.closed" });
  }
  expect([...outcomes].sort()).toEqual([0, 1, 2]);
});

test("a drive is open for writing once, until it is closed or its process ends", async () => {
  const { universe, machine, open, drive } = await setUp(1);
  await expect(open()).rejects.toMatchObject({ code: "drive.busy" });
  let released = false;
  void drive.write(lba(0), block(1));
  void drive.close().then(() => {
    released = true;
  });
  expect(drive.close()).toBe(drive.close());
  await universe.advance(0.01);
  expect(released).toBe(false);
  await universe.run(() => released);
  await open();
  machine.kill();
  machine.restart();
  await open();
  machine.crash();
  machine.restart();
  await open();
});

test("requests outside the drive, or not of whole blocks, are bugs", async () => {
  const { drive } = await setUp(1);
  expect(() => drive.read(lba(BLOCKS), block(0))).toThrow("outside");
  expect(() => drive.write(lba(BLOCKS - 1), block(0, 2))).toThrow("outside");
  expect(() => drive.unmap(lba(0), BLOCKS + 1)).toThrow("outside");
  expect(() => drive.read(lba(0), new Uint8Array(100))).toThrow();
  expect(drive.read(lba(0), new Uint8Array(0))).toBe(undefined);
});

test("created drives are zeros and belong to the machine", async () => {
  const universe = new MemoryUniverse(1);
  const { drives } = universe.world("denver");
  await universe.result(drives.create("/var/a", byteCount(MiB)));
  await expect(universe.result(drives.create("/var/a", byteCount(MiB)))).rejects.toMatchObject({
    code: "drive.exists",
  });
  const drive: Drive = await universe.result(drives.open("/var/a", "read-write"));
  expect([drive.path, drive.blockSize, drive.blockCount]).toEqual(["/var/a", BLOCK_BYTES, MiB / BLOCK_BYTES]);
  const into = block(9, 256);
  await universe.result(drive.read(lba(0), into));
  expect(into.every((byte) => byte === 0)).toBe(true);
  expect(universe.machine("denver").drive("/var/a").counts.read).toBe(1);
  const elsewhere = universe.world("boulder").drives.open("/var/a", "read-only");
  await expect(universe.result(elsewhere)).rejects.toMatchObject({ code: "drive.missing" });
});

test("a snapshot holds what was there, and brings it back", async () => {
  const { universe, media, drive } = await setUp(1);
  await universe.result(drive.write(lba(3), block(1)));
  const before = media.snapshot();
  await universe.result(drive.write(lba(3), block(2)));
  await universe.result(drive.write(lba(4), block(2)));
  media.restore(before);
  expect([media.contents(3, 1)[0], media.contents(4, 1)[0]]).toEqual([1, 0]);
});

test("a hook ends the machine exactly before or after a write", async () => {
  for (const verdict of ["crash-before", "crash-after", "kill-before", "kill-after"] as const) {
    const { universe, machine, media, drive } = await setUp(1);
    let writes = 0;
    media.onWrite = (at, blocks) => {
      expect([at, blocks]).toEqual([writes, 1]);
      return ++writes === 3 ? verdict : "continue";
    };
    let told = 0;
    const work = async () => {
      for (let at = 0; at < 5; at++) {
        await drive.write(lba(at), block(1), { fua: true });
        told++;
      }
    };
    void work();
    await universe.advance(100);
    expect(told).toBe(2);
    expect(writes).toBe(3);
    expect(machine.state).toBe(verdict.startsWith("crash") ? "down" : "ended");
    const landed = verdict.endsWith("after") ? 1 : 0;
    expect([0, 1, 2, 3].map((at) => media.contents(at, 1)[0])).toEqual([1, 1, landed, 0]);
  }
});
