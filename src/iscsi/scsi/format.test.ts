/** FORMAT UNIT, and the self-test of SEND DIAGNOSTIC. */

import { describe, expect, test } from "vitest";
import { pattern, read10, write10 } from "../testing/initiator.ts";
import { another, host } from "../testing/scsi.ts";
import { RamDevice } from "../testing/world.ts";

const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];
const REQUEST_SENSE = [3, 0, 0, 0, 18, 0];
const TASK_ABORTED = 0x40;
const HAS_DATA = 0x10;
const LONG_LIST = 0x20;

const format = (flags = 0) => [0x04, flags, 0, 0, 0, 0];
const failure = Object.assign(new Error("gone"), { code: "drive.failed" });

async function formattable(blocks = 64) {
  const device = new RamDevice(blocks);
  device.bytes.fill(0x61);
  const all = await host(device);
  const formatWith = (header: readonly number[], flags = 0) =>
    all.run(format(HAS_DATA | flags), { write: header.length, data: new Uint8Array(header) });
  return { ...all, formatWith };
}

describe("FORMAT UNIT", () => {
  test("has all blocks read as zeros, and ends then", async () => {
    const { device, run, formatWith } = await formattable();
    expect((await run(format())).status).toBe(0);
    expect([device.bytes.every((byte) => byte === 0), device.calls]).toEqual([true, ["unmap 0+64", "flush"]]);
    device.bytes.fill(0x61);
    // FOV with DCRT, and a long header.
    expect((await formatWith([0, 0xa0, 0, 0, 0, 0, 0, 0], LONG_LIST)).status).toBe(0);
    expect(device.bytes.every((byte) => byte === 0)).toBe(true);
    const { data } = await run([0xa3, 0x0c, 1, 0x04, 0, 0, 0, 0, 0, 255, 0, 0], { read: 255 });
    expect([...data]).toEqual([0, 3, 0, 6, 0x04, 0x30, 0, 0, 0, 0x04]);
  });

  test.each([
    ["a protection field usage", [1, 0, 0, 0], 0],
    ["an initialization pattern", [0, 0x88, 0, 0], 0],
    ["an option without FOV", [0, 0x20, 0, 0], 0],
    ["a list of defects", [0, 0, 0, 4], 0],
    ["a long list of defects", [0, 0, 0, 0, 0, 0, 0, 8], LONG_LIST],
    ["an interval of protection", [0, 0, 0, 1, 0, 0, 0, 0], LONG_LIST],
  ])("%s is refused, and nothing is written", async (_, header, flags) => {
    const { device, run, formatWith } = await formattable();
    expect((await formatWith(header, flags)).sense).toBe("5/26/0");
    expect([device.calls, (await run(TEST_UNIT_READY)).status]).toEqual([[], 0]);
  });

  test("protection information and a write-protected LUN are refused", async () => {
    const { device, run, world } = await formattable();
    for (const flags of [0x40, 0x80]) expect((await run(format(flags))).sense).toBe("5/24/0");
    world.target.protect(0, true);
    await run(TEST_UNIT_READY);
    expect([(await run(format())).sense, device.calls]).toEqual(["7/27/0", []]);
  });

  test("with IMMED: other tasks are aborted first, commands that come are told how far it is", async () => {
    const { device, initiator, run, world, formatWith } = await formattable();
    const other = await another(world);
    device.held = true;
    await other.initiator.send(other.initiator.command(write10(5, 1), { write: 512, data: pattern(512) }));
    device.held = false;
    let erase = () => {};
    const unmap = device.unmap.bind(device);
    Object.assign(device, {
      unmap: (lba: number, blocks: number) =>
        new Promise<void>((resolve) => (erase = resolve)).then(() => unmap(lba, blocks)),
    });
    expect((await formatWith([0, 0x02, 0, 0])).status).toBe(0);
    expect(initiator.receive()).toEqual([]);
    expect((await run(read10(0, 1), { read: 512 })).sense).toBe("2/4/4");
    expect((await run(format())).sense).toBe("2/4/4");
    device.gates[0].open();
    await world.timers.turn();
    expect(other.initiator.receive().map(({ header }) => header.getUint8(3))).toEqual([TASK_ABORTED]);
    expect([...(await run(REQUEST_SENSE, { read: 18 })).data.subarray(12, 18)]).toEqual([4, 4, 0, 0x80, 0, 0]);
    erase();
    await world.timers.turn();
    expect([(await run(TEST_UNIT_READY)).status, device.bytes.every((byte) => byte === 0)]).toEqual([0, true]);
  });

  test("one that failed leaves the LUN unusable until another one succeeds", async () => {
    const { device, run } = await formattable();
    const unmap = device.unmap.bind(device);
    Object.assign(device, { unmap: () => Promise.reject(failure) });
    expect((await run(format())).sense).toBe("3/31/1");
    expect([(await run(TEST_UNIT_READY)).sense, (await run([0x48, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0])).sense]).toEqual([
      "3/31/1",
      "3/31/1",
    ]);
    Object.assign(device, { unmap });
    expect([(await run(format())).status, (await run(TEST_UNIT_READY)).status]).toEqual([0, 0]);
  });
});

describe("SEND DIAGNOSTIC", () => {
  const SELF_TEST = [0x1d, 0x04, 0, 0, 0, 0];

  test("the default self-test reads from the device; without it nothing is done", async () => {
    const { device, run } = await formattable();
    expect([(await run(SELF_TEST)).status, device.calls]).toEqual([0, ["read 0+1"]]);
    expect([(await run([0x1d, 0x10, 0, 0, 0, 0])).status, device.calls.length]).toEqual([0, 1]);
  });

  test("fails where the device does, and not where it is not ready", async () => {
    const device = new RamDevice(64);
    const { run, world } = await host(device);
    device.failure = failure;
    expect((await run(SELF_TEST)).sense).toBe("4/3e/3");
    expect(world.server.counters().deviceErrors).toBe(1);
    const later = await host(device, { target: { senseFor: () => "BUSY" } });
    expect((await later.run(SELF_TEST)).status).toBe(0x08);
  });

  test("other self-tests and pages are refused", async () => {
    const { run } = await formattable();
    for (const code of [1, 2, 4, 5, 6]) expect((await run([0x1d, code << 5, 0, 0, 0, 0])).sense).toBe("5/24/0");
    expect((await run([0x1d, 0x10, 0, 0, 4, 0], { write: 4, data: new Uint8Array(4) })).sense).toBe("5/24/0");
  });
});
