import { describe, expect, test } from "vitest";
import { pattern, read10, write10 } from "../testing/initiator.ts";
import { another, cdb16, host, type Run } from "../testing/scsi.ts";

const CUMULATIVE = 0x40;
const DEFAULT_CUMULATIVE = 0xc0;
const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];
/** Exponent 6 and integer 1, as one number. */
const MICROSECOND = [6 * 2 ** 32 + 1];
const failure = Object.assign(new Error("gone"), { code: "drive.failed" });

const logSense = (page: number, subpage = 0, pointer = 0, allocation = 255) => [
  0x4d,
  0,
  page,
  subpage,
  0,
  ...[pointer >> 8, pointer & 255],
  ...[allocation >> 8, allocation & 255],
  0,
];
const logSelect = (flags: number, page: number, length = 0, subpage = 0) => [
  0x4c,
  flags,
  page,
  subpage,
  ...[0, 0, 0, length >> 8, length & 255, 0],
];

/** Parameters by code, as numbers of 64 bits. */
async function parameters(run: Run, page: number): Promise<Record<number, readonly number[]>> {
  const { data } = await run(logSense(page), { read: 255 });
  const view = new DataView(data.buffer, data.byteOffset);
  expect([data[0], data[1], view.getUint16(2)]).toEqual([0x80 | (page & 0x3f), 0, data.length - 4]);
  const found: Record<number, number[]> = {};
  for (let at = 4; at < data.length; at += 4 + data[at + 3]) {
    const values = Array.from({ length: data[at + 3] / 8 }, (_, index) =>
      Number(view.getBigUint64(at + 4 + 8 * index)),
    );
    found[view.getUint16(at)] = values;
  }
  return found;
}

const counted = {
  write: (run: Run) => parameters(run, CUMULATIVE | 0x02),
  read: (run: Run) => parameters(run, CUMULATIVE | 0x03),
  general: (run: Run) => parameters(run, CUMULATIVE | 0x19),
};

describe("LOG SENSE", () => {
  test("which pages there are, with subpages and without", async () => {
    const { run } = await host();
    const pages = [0x00, 0x02, 0x03, 0x19, 0x2f];
    expect([...(await run(logSense(0), { read: 255 })).data]).toEqual([0x80, 0, 0, 5, ...pages]);
    const pairs = pages.flatMap((page) => [page, 0, page, 0xff]);
    expect([...(await run(logSense(0, 0xff), { read: 255 })).data]).toEqual([0xc0, 0xff, 0, 20, ...pairs]);
    expect([...(await run(logSense(0x19, 0xff), { read: 255 })).data]).toEqual([0xd9, 0xff, 0, 4, 0x19, 0, 0x19, 0xff]);
    for (const page of pages) expect((await run(logSense(CUMULATIVE | page), { read: 255 })).status).toBe(0);
  });

  test("counts what reads and writes move, and what fails", async () => {
    const { run, device } = await host();
    await run(write10(0, 3), { write: 1536, data: pattern(1536) });
    await run(cdb16(0x8b, 0, 1), { write: 512, data: pattern(512) });
    await run(read10(0, 2), { read: 1024 });
    await run(read10(4096, 1), { read: 512 });
    await run([0x12, 0, 0, 0, 255, 0], { read: 255 });
    expect(await counted.general(run)).toEqual({ 1: [1, 2, 4, 2, 0, 0, 0, 0], 3: MICROSECOND });
    device.failure = failure;
    await run(read10(0, 2), { read: 1024 });
    await run(write10(0, 1), { write: 512, data: pattern(512) });
    await run(write10(0, 1), { write: 512, data: pattern(512) });
    expect(await counted.write(run)).toEqual({ 5: [4 * 512], 6: [2] });
    expect(await counted.read(run)).toEqual({ 5: [2 * 512], 6: [1] });
    expect(await parameters(run, DEFAULT_CUMULATIVE | 0x03)).toEqual({ 5: [0], 6: [0] });
  });

  test("times what reads and writes take, and only them", async () => {
    const { run, world, device, initiator } = await host();
    device.held = true;
    for (const [cdb, options, millis] of [
      [read10(0, 2), { read: 1024 }, 250],
      [write10(0, 1), { write: 512, data: pattern(512) }, 7],
      [cdb16(0x8f, 0, 1), {}, 1000],
    ] as const) {
      await initiator.send(initiator.command(cdb, options));
      world.timers.advance(millis);
      device.gates.shift()?.open();
      await world.timers.turn();
    }
    expect(initiator.receive()).toHaveLength(3);
    expect(await counted.general(run)).toEqual({ 1: [1, 1, 1, 2, 250_000, 7000, 0, 0], 3: MICROSECOND });
    await run(logSelect(2, CUMULATIVE | 0x19));
    expect(await counted.general(run)).toEqual({ 1: [0, 0, 0, 0, 0, 0, 0, 0], 3: MICROSECOND });
  });

  test("there is no informational exception, and no temperature", async () => {
    const { run } = await host();
    expect([...(await run(logSense(0x2f), { read: 255 })).data]).toEqual([0xaf, 0, 0, 8, 0, 0, 0x23, 4, 0, 0, 0xff, 0]);
  });

  test("from a parameter on, as far as there is room", async () => {
    const { run } = await host();
    const { data } = await run(logSense(CUMULATIVE | 0x02, 0, 6), { read: 255 });
    expect([data.length, data[3], data[5]]).toEqual([16, 12, 6]);
    expect((await run(logSense(CUMULATIVE | 0x02, 0, 0, 6), { read: 255 })).data).toHaveLength(6);
  });

  test.each([
    ["SP", [0x4d, 1, CUMULATIVE, 0, 0, 0, 0, 0, 255, 0]],
    ["no such page", logSense(CUMULATIVE | 0x0d)],
    ["no such subpage", logSense(CUMULATIVE | 0x19, 1)],
    ["counters have no thresholds", logSense(0x02)],
    ["nor defaults of them", logSense(0x82)],
    ["no parameter from there on", logSense(CUMULATIVE | 0x02, 0, 7)],
    ["a list of pages has no parameters", logSense(0, 0, 1)],
  ])("%s", async (_, cdb) => {
    const { run } = await host();
    expect((await run(cdb, { read: 255 })).sense).toBe("5/24/0");
  });
});

describe("LOG SELECT", () => {
  test("resets one page, or all; others learn of it once", async () => {
    const { run, world } = await host();
    const other = await another(world);
    await run(write10(0, 3), { write: 1536, data: pattern(1536) });
    await run(read10(0, 2), { read: 1024 });
    expect((await run(logSelect(0, CUMULATIVE | 0x02))).status).toBe(0);
    expect((await other.run(TEST_UNIT_READY)).status).toBe(0);
    expect((await run(logSelect(2, CUMULATIVE | 0x02))).status).toBe(0);
    expect((await other.run(TEST_UNIT_READY)).sense).toBe("6/2a/2");
    expect((await run(TEST_UNIT_READY)).status).toBe(0);
    expect(await counted.write(other.run)).toEqual({ 5: [0], 6: [0] });
    expect(await counted.read(run)).toEqual({ 5: [1024], 6: [0] });
    expect(await counted.general(run)).toEqual({ 1: [1, 1, 3, 2, 0, 0, 0, 0], 3: MICROSECOND });
    await run(write10(0, 1), { write: 512, data: pattern(512) });
    expect(await counted.write(run)).toEqual({ 5: [512], 6: [0] });
    expect((await run(logSelect(0, DEFAULT_CUMULATIVE))).status).toBe(0);
    expect(await counted.general(run)).toEqual({ 1: [0, 0, 0, 0, 0, 0, 0, 0], 3: MICROSECOND });
    expect(await counted.read(run)).toEqual({ 5: [0], 6: [0] });
  });

  test.each([
    ["SP", logSelect(1, CUMULATIVE)],
    ["no such page", logSelect(2, CUMULATIVE | 0x30)],
    ["no such subpage", logSelect(2, CUMULATIVE | 0x02, 0, 1)],
    ["parameters can't be set", logSelect(0, CUMULATIVE | 0x02, 16)],
  ])("%s", async (_, cdb) => {
    const { run } = await host();
    expect((await run(cdb)).sense).toBe("5/24/0");
  });
});
