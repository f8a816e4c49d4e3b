import { expect, test } from "vitest";
import { lba, MiB } from "../../base/units.ts";
import { BLOCKS, block, differingBits, PATH, sectors, setUp } from "./drive-fixture.ts";

const failed = { code: "drive.io", message: expect.stringContaining("EIO") };

test("blocks with a latent error cannot be read until they are written or unmapped", async () => {
  const { media, drive, universe, machine, open, write, read } = await setUp(1);
  await write(4, 1, { blocks: 6, fua: true });
  const readable = media.snapshot();
  media.latentError(5, 3);
  await expect(read(4, 2)).rejects.toMatchObject(failed);
  await expect(read(7, 3)).rejects.toMatchObject(failed);
  expect(await read(8, 2)).toEqual([1, 1]);
  await write(5, 2, { fua: true });
  await universe.result(drive.unmap(lba(6), 1));
  expect(await read(4, 3)).toEqual([1, 2, 0]);
  machine.crash();
  machine.restart();
  const again = await open();
  await expect(read(7, 1, again)).rejects.toMatchObject(failed);
  // the content is there, for a checker to look at
  expect(media.contents(7, 1)[0]).toBe(1);
  media.restore(media.snapshot());
  await expect(read(7, 1, again)).rejects.toMatchObject(failed);
  media.restore(readable);
  expect(await read(7, 1, again)).toEqual([1]);
});

test("a fault that keeps within its range is met by no request that reaches beyond", async () => {
  const { media, write, read } = await setUp(1);
  const fault = media.inject({ on: "write", action: "lose", lba: 4, blocks: 4, within: true });
  await write(3, 1, { blocks: 2 });
  await write(7, 1, { blocks: 2 });
  expect(fault.met).toBe(0);
  await write(4, 2, { blocks: 4 });
  expect(fault.met).toBe(1);
  expect(await read(3, 6)).toEqual([1, 1, 0, 0, 1, 1]);
});

test("what a power cut would leave has the blocks that can't be read, those among them that a lost write had cured", async () => {
  const { media, universe, write } = await setUp(1);
  await write(0, 1, { blocks: 2, fua: true });
  media.latentError(0, 2);
  await write(0, 2);
  const latent = (shape: "drop all" | "keep all") => [...media.cutSnapshot(universe.random, shape).latent];
  expect([latent("drop all").sort(), latent("keep all")]).toEqual([[0, 1], [1]]);
});

test("a latent error is back when a power cut takes the write that had cured it", async () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const { media, machine, open, write, read } = await setUp(seed);
    await write(0, 1, { fua: true });
    media.latentError(0);
    await write(0, 2);
    expect(await read(0)).toEqual([2]);
    machine.crash();
    machine.restart();
    const again = await open();
    const values = new Set(sectors(media.contents(0, 1)));
    const isReadable = await read(0, 1, again).then(
      () => true,
      () => false,
    );
    // a block of which nothing new is there is as it was
    expect(isReadable).toBe(values.has(2));
    outcomes.add(isReadable ? "cured" : "back");
  }
  expect(outcomes.size).toBe(2);
});

test("a misdirected write lands at another place, and the right one keeps what it had", async () => {
  const places = new Set<number>();
  for (let seed = 0; seed < 40; seed++) {
    const { media, write, read } = await setUp(seed);
    media.overwrite(0, block(1, BLOCKS));
    const fault = media.inject({ on: "write", action: "misdirect", times: 1 });
    await write(3, 2, { blocks: 2, fua: true });
    const [{ lba: asked, blocks, place }] = fault.hits;
    expect([asked, blocks]).toEqual([3, 2]);
    expect(place < 2 || place > 4).toBe(true);
    places.add(place);
    expect(await read(3, 2)).toEqual([1, 1]);
    const changed = sectors(media.contents()).flatMap((value, at) => (value === 2 ? [at / 8] : []));
    expect(changed.filter(Number.isInteger)).toEqual([place, place + 1]);
    await write(3, 3, { blocks: 2 });
    expect(await read(3, 2)).toEqual([3, 3]);
  }
  expect(places.size).toBeGreaterThan(20);
});

test("a misdirected request goes where it is told, and a write that fits nowhere else goes nowhere", async () => {
  const { media, write, read } = await setUp(1);
  media.overwrite(0, block(1, BLOCKS));
  media.overwrite(90, block(7));
  const writes = media.inject({ on: "write", action: "misdirect", to: BLOCKS });
  const reads = media.inject({ on: "read", action: "misdirect", to: 90, lba: 10, blocks: 1 });
  await write(0, 2, { blocks: 2 });
  expect(writes.hits[0].place).toBe(BLOCKS - 2);
  expect(await read(BLOCKS - 3, 3)).toEqual([1, 2, 2]);
  expect(await read(10)).toEqual([7]);
  expect(await read(11)).toEqual([1]);
  expect(media.contents(10, 1)[0]).toBe(1);
  reads.remove();
  expect(await read(10)).toEqual([1]);
  writes.remove();
  media.inject({ on: "write", action: "misdirect" });
  const before = media.contents();
  await write(0, 9, { blocks: BLOCKS - 1 });
  expect(Buffer.compare(media.contents(), before)).toBe(0);
});

test("a forgotten write is read until the next power cut, and then the old content is back", async () => {
  for (let seed = 0; seed < 40; seed++) {
    for (const cache of ["volatile", "none", "battery"] as const) {
      const { universe, media, machine, drive, open, write, read } = await setUp(seed, { cache });
      await write(0, 1, { blocks: 4, fua: true });
      media.inject({ on: "write", action: "forget", times: 2 });
      await write(0, 2, { blocks: 2, fua: true });
      await write(2, 2);
      await universe.result(drive.flush());
      // an honest write of the block ends it
      await write(1, 3, { fua: true });
      expect(await read(0, 4)).toEqual([2, 3, 2, 1]);
      machine.kill();
      machine.restart();
      expect(await read(0, 4, await open())).toEqual([2, 3, 2, 1]);
      machine.crash();
      machine.restart();
      expect(await read(0, 4, await open())).toEqual([1, 3, 1, 1]);
    }
  }
});

test("a forgotten write is forgotten however often the block was written before, and what follows may be kept", async () => {
  const seen = new Set<number>();
  for (let seed = 0; seed < 60; seed++) {
    const { universe, media, machine, drive, write } = await setUp(seed);
    await write(0, 1);
    await universe.result(drive.flush());
    for (let value = 10; value < 16; value++) {
      const fault = media.inject({ on: "write", action: "forget" });
      await write(0, value);
      fault.remove();
    }
    await write(0, 20);
    machine.crash();
    for (const value of sectors(media.contents(0, 1))) {
      expect([1, 20]).toContain(value);
      seen.add(value);
    }
  }
  expect(seen.size).toBe(2);
});

test("a stale read shows what was there before the last write since the fault, and nothing else", async () => {
  const { media, write, read } = await setUp(1);
  await write(0, 1, { blocks: 3 });
  const fault = media.inject({ on: "read", action: "stale", times: 1 });
  expect(await read(0, 3)).toEqual([1, 1, 1]);
  // a write of what is there already would show nothing
  await write(2, 1);
  expect(await read(0, 3)).toEqual([1, 1, 1]);
  expect(fault.met).toBe(0);
  await write(1, 2);
  await write(1, 3);
  expect(await read(0, 3)).toEqual([1, 2, 1]);
  expect(fault.hits).toEqual([{ lba: 0, blocks: 3, place: 0 }]);
  expect(await read(0, 3)).toEqual([1, 3, 1]);
});

test("a corrupt read has one bit wrong, once", async () => {
  const flipped = new Set<number>();
  for (let seed = 0; seed < 20; seed++) {
    const { universe, media, drive, write } = await setUp(seed);
    await write(0, 5, { blocks: 4 });
    media.inject({ on: "read", action: "corrupt", times: 1 });
    const into = block(0, 4);
    await universe.result(drive.read(lba(0), into));
    expect(differingBits(into, block(5, 4))).toBe(1);
    flipped.add(into.findIndex((byte) => byte !== 5));
    await universe.result(drive.read(lba(0), into));
    expect(differingBits(into, block(5, 4))).toBe(0);
    expect(differingBits(media.contents(0, 4), block(5, 4))).toBe(0);
  }
  expect(flipped.size).toBeGreaterThan(15);
});

test("a lying flush makes nothing durable, and a later honest one does", async () => {
  let lost = 0;
  for (let seed = 0; seed < 60; seed++) {
    const { universe, media, machine, drive, write } = await setUp(seed);
    const fault = media.inject({ on: "flush", action: "lose" });
    await write(0, 1);
    await universe.result(drive.flush());
    expect(media.unflushedBlocks).toBe(1);
    if (seed % 2 === 0) {
      fault.remove();
      await universe.result(drive.flush());
      expect(media.unflushedBlocks).toBe(0);
    }
    machine.crash();
    const isThere = media.contents(0, 1)[0] === 1;
    if (seed % 2 === 0) expect(isThere).toBe(true);
    else if (!isThere) lost++;
  }
  expect(lost).toBeGreaterThan(5);
});

test("a slow drive takes so many times as long, until it is told otherwise", async () => {
  const { universe, media, drive, write } = await setUp(1, { read: [2, 2], write: [3, 3], flush: [5, 5] });
  const took = async (act: () => Promise<void>) => {
    const start = universe.now;
    await act();
    return universe.now - start;
  };
  const read = () => universe.result(drive.read(lba(0), block(0, 128)));
  media.slow(100);
  expect(await took(() => write(0, 1))).toBeCloseTo(300);
  expect(await took(() => write(0, 1, { fua: true }))).toBeCloseTo(800);
  media.configure({ bytesPerSecond: MiB });
  expect(await took(read)).toBeCloseTo(50_200);
  media.slow(1);
  expect(await took(read)).toBeCloseTo(502);
});

test("what was under way with a drive that moved goes to its caller, and nothing to the drive", async () => {
  const { universe, media, machine, drive } = await setUp(1);
  const stall = media.stall();
  const writing = drive.write(lba(0), block(1));
  machine.removeDrive(PATH);
  await expect(universe.result(writing)).rejects.toMatchObject({ code: "drive.io" });
  machine.insertDrive(PATH, media);
  const before = media.contents();
  stall.remove();
  await universe.advance(10);
  expect(Buffer.compare(media.contents(), before)).toBe(0);
});
