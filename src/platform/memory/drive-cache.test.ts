import { expect, test } from "vitest";
import { lba, MiB } from "../../base/units.ts";
import { block, sectors, setUp } from "./drive-fixture.ts";

test("a battery-backed cache keeps every completed write while the battery holds, for no time", async () => {
  for (let seed = 0; seed < 50; seed++) {
    const settings = { cache: "battery", write: [1, 1], flush: [9, 9], drain: [1e6, 1e6] } as const;
    const { universe, machine, media, drive, write } = await setUp(seed, settings);
    const start = universe.now;
    await write(0, 1, { fua: true });
    await write(1, 2);
    await universe.result(drive.flush());
    expect(universe.now - start).toBeCloseTo(2);
    await universe.result(drive.unmap(lba(0), 1));
    machine.crash();
    expect([media.contents(0, 1)[0], media.contents(1, 1)[0]]).toEqual([0, 2]);
  }
});

test("without its battery a cache loses at a power cut what has not reached the media, flushed or not", async () => {
  const young = { kept: 0, dropped: 0, torn: 0 };
  let drained = 0;
  for (let seed = 0; seed < 100; seed++) {
    const { universe, machine, media, drive, write } = await setUp(seed, { cache: "battery" });
    await write(0, 1);
    await universe.advance(510);
    await write(1, 1, { fua: true });
    await universe.advance(250);
    await write(2, 1, { fua: true });
    await universe.result(drive.flush());
    machine.battery.fail();
    machine.crash();
    // by now it must have been written
    expect(media.contents(0, 1)[0]).toBe(1);
    const values = new Set(sectors(media.contents(2, 1)));
    if (values.size > 1) young.torn++;
    else if (values.has(1)) young.kept++;
    else young.dropped++;
    if (media.contents(1, 1)[0] === 1) drained++;
    // and what the cut has left is there for good
    const left = media.contents();
    machine.restart();
    machine.crash();
    expect(Buffer.compare(media.contents(), left)).toBe(0);
  }
  expect(young.kept).toBeGreaterThan(10);
  expect(young.dropped).toBeGreaterThan(10);
  expect(young.torn).toBeGreaterThan(3);
  expect(drained).toBeGreaterThan(young.kept);
});

test("a battery that recovers before the cut has never failed", async () => {
  for (let seed = 0; seed < 30; seed++) {
    const { machine, media, write } = await setUp(seed, { cache: "battery" });
    machine.battery.fail();
    expect(machine.battery.holds).toBe(false);
    await write(0, 1);
    machine.battery.recover();
    machine.crash();
    expect(media.contents(0, 1)[0]).toBe(1);
  }
});

test("a failed flush takes nothing from a battery-backed cache", async () => {
  const { universe, machine, media, drive, write } = await setUp(1, { cache: "battery" });
  await write(0, 1);
  media.inject({ on: "flush", action: "fail", times: 1 });
  await expect(universe.result(drive.flush())).rejects.toMatchObject({ code: "drive.io" });
  machine.crash();
  expect(media.contents(0, 1)[0]).toBe(1);
});

test("what a battery-backed cache has long written it no longer remembers", async () => {
  const { universe, machine, open } = await setUp(1);
  const media = universe.addDrive("denver", "/dev/b", 16 * MiB, { cache: "battery", drain: [1, 2] });
  const drive = await open("/dev/b");
  for (let at = 0; at + 64 <= media.blockCount; at += 64) {
    await universe.result(drive.write(lba(at), block(1, 64), { fua: true }));
    await universe.advance(5);
    expect(media.unflushedBlocks).toBeLessThanOrEqual(512);
  }
  machine.battery.fail();
  machine.crash();
  expect(media.contents().every((byte) => byte === 1)).toBe(true);
});

test("a drive that is pulled out keeps what its cache held if the battery of its machine holds", async () => {
  let lost = 0;
  for (let seed = 0; seed < 40; seed++) {
    const { machine, media, write } = await setUp(seed, { cache: "battery" });
    await write(0, 1, { fua: true });
    if (seed % 2 === 0) machine.battery.fail();
    media.vanish();
    const isThere = media.contents(0, 1)[0] === 1;
    if (seed % 2 === 1) expect(isThere).toBe(true);
    else if (!isThere) lost++;
  }
  expect(lost).toBeGreaterThan(3);
});

test("a look at what a power cut would leave changes nothing, and knows the battery", async () => {
  const { universe, machine, media, write } = await setUp(1, { cache: "battery" });
  await write(0, 1);
  const at = (shape: "drop all" | "keep all") => media.cutSnapshot(universe.random, shape).pages.get(0)?.[0];
  expect([at("drop all"), at("keep all")]).toEqual([1, 1]);
  machine.battery.fail();
  expect([at("drop all"), at("keep all")]).toEqual([undefined, 1]);
  expect(media.unflushedBlocks).toBe(1);
});
