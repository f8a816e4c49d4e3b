import { describe, expect, test } from "vitest";
import { build, Initiator, pattern, read10, same, TARGET, text, write10 } from "../testing/initiator.ts";
import { host } from "../testing/scsi.ts";
import { RamDevice } from "../testing/world.ts";

const OVERWRITE = 0x01;
const BLOCK_ERASE = 0x02;
const EXIT_FAILURE_MODE = 0x1f;
const IMMED = 0x80;
const AUSE = 0x20;

const sanitize = (action: number, length = 0) => [0x48, action, 0, 0, 0, 0, 0, length >> 8, length & 255, 0];
const failure = Object.assign(new Error("gone"), { code: "drive.failed" });

function list(count: number, bytes: Uint8Array, length = bytes.length): Uint8Array {
  return new Uint8Array([count, 0, length >> 8, length & 255, ...bytes]);
}

async function sanitizable(blocks = 8192) {
  const device = new RamDevice(blocks);
  device.overwritesInPlace = true;
  device.bytes.fill(0x61);
  const all = await host(device);
  const overwrite = (parameters: Uint8Array, flags = 0) =>
    all.run(sanitize(OVERWRITE | flags, parameters.length), { write: parameters.length, data: parameters });
  /** Lets what the device holds go on, until it holds nothing. */
  const release = async () => {
    device.held = false;
    while (device.gates.length > 0) {
      device.gates.shift()?.open();
      await all.world.timers.turn();
    }
  };
  return { ...all, overwrite, release };
}

describe("SANITIZE", () => {
  test("a device that does not write in place has no such command", async () => {
    const { run } = await host();
    for (const action of [OVERWRITE, BLOCK_ERASE, 3, EXIT_FAILURE_MODE]) {
      expect((await run(sanitize(action))).sense).toBe("5/20/0");
      const one = await run([0xa3, 0x0c, 2, 0x48, 0, action, 0, 0, 0, 255, 0, 0], { read: 255 });
      expect(one.data[1] & 7).toBe(1);
    }
    const pages = (await run([0x12, 1, 0xb1, 0, 255, 0], { read: 255 })).data;
    expect(pages[7]).toBe(0);
  });

  test("one that does reports it, and only the service actions that there are", async () => {
    const { run } = await sanitizable();
    for (const [action, support] of [
      [OVERWRITE, 3],
      [BLOCK_ERASE, 3],
      [3, 1],
      [EXIT_FAILURE_MODE, 3],
    ]) {
      const one = await run([0xa3, 0x0c, 2, 0x48, 0, action, 0, 0, 0, 255, 0, 0], { read: 255 });
      expect(one.data[1] & 7).toBe(support);
      if (support === 3) expect([...one.data.subarray(4)]).toEqual([0x48, 0xa0 | action, 0, 0, 0, 0, 0, 255, 255, 4]);
    }
    for (const action of [0, 3, 4, 0x1e]) expect((await run(sanitize(action))).sense).toBe("5/24/0");
    // Blocks that were erased are read without an error.
    expect((await run([0x12, 1, 0xb1, 0, 255, 0], { read: 255 })).data[7]).toBe(0x40);
  });

  test("OVERWRITE repeats its pattern in each block, and inverts it from pass to pass", async () => {
    const { device, overwrite } = await sanitizable();
    expect((await overwrite(list(1, Uint8Array.of(1, 2, 3)))).status).toBe(0);
    const block = Uint8Array.from({ length: 512 }, (_, at) => [1, 2, 3][at % 3]);
    for (const at of [0, 4095, 8191]) expect(same(device.bytes.subarray(at * 512, (at + 1) * 512), block)).toBe(true);
    expect(device.calls).toEqual(["write 0+2048", "write 2048+2048", "write 4096+2048", "write 6144+2048", "flush"]);
    device.calls.length = 0;
    expect((await overwrite(list(0x82, pattern(512, 4)))).status).toBe(0);
    expect(device.calls).toHaveLength(10);
    const inverted = pattern(512, 4).map((byte) => ~byte);
    expect(same(device.bytes.subarray(8191 * 512), inverted)).toBe(true);
  });

  test("BLOCK ERASE overwrites the blocks, then gives them back", async () => {
    const { device, run } = await sanitizable(2048);
    expect((await run(sanitize(BLOCK_ERASE))).status).toBe(0);
    expect(device.calls).toEqual(["write 0+2048", "flush", "unmap 0+2048", "flush"]);
    expect(device.bytes.every((byte) => byte === 0)).toBe(true);
  });

  test.each([
    ["no count", list(0, pattern(512)), "5/26/0"],
    ["TEST", list(0x21, pattern(512)), "5/26/0"],
    ["an empty pattern", list(1, pattern(512), 0), "5/26/0"],
    ["a pattern longer than a block", list(1, pattern(512), 516), "5/26/0"],
    ["a pattern shorter than the list", list(1, pattern(512), 256), "5/1a/0"],
    ["a list without a pattern", list(1, pattern(0)), "5/24/0"],
    ["a list longer than a block", list(1, pattern(513)), "5/24/0"],
  ])("%s is refused, and nothing is written", async (_, parameters, sense) => {
    const { device, overwrite, run } = await sanitizable();
    expect((await overwrite(parameters)).sense).toBe(sense);
    expect(device.calls).toEqual([]);
    expect((await run([0, 0, 0, 0, 0, 0])).status).toBe(0);
  });

  test("reserved bits and lists where there are none are refused", async () => {
    const { device, run } = await sanitizable();
    for (let at = 1; at < 7; at++) {
      const cdb = sanitize(BLOCK_ERASE);
      cdb[at] |= 0x40;
      const { sense, data } = await run(cdb);
      expect([sense, data[17]]).toEqual(["5/24/0", at]);
    }
    for (const action of [BLOCK_ERASE, EXIT_FAILURE_MODE]) {
      expect((await run(sanitize(action, 8), { write: 8, data: pattern(8) })).sense).toBe("5/24/0");
    }
    expect(device.calls).toEqual([]);
  });

  test("a LUN that is write-protected is not sanitized", async () => {
    const device = new RamDevice(64);
    device.overwritesInPlace = true;
    const identity = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };
    const { run } = await host(device, { target: { luns: [{ lun: 0, device, identity, readOnly: true }] } });
    const parameters = list(1, pattern(512));
    const overwrite = sanitize(OVERWRITE, parameters.length);
    expect((await run(overwrite, { write: parameters.length, data: parameters })).sense).toBe("7/27/0");
    expect((await run(sanitize(BLOCK_ERASE))).sense).toBe("7/27/0");
  });
});

describe("while a SANITIZE with IMMED goes on", () => {
  test("all but INQUIRY, REPORT LUNS and REQUEST SENSE are refused, with how far it is", async () => {
    const { device, overwrite, run, release } = await sanitizable();
    device.held = true;
    expect((await overwrite(list(1, Uint8Array.of(7)), IMMED)).status).toBe(0);
    device.gates.shift()?.open();
    await run([0x12, 0, 0, 0, 36, 0], { read: 36 });
    for (const cdb of [[0, 0, 0, 0, 0, 0], read10(0, 1), [0x1b, 0, 0, 0, 1, 0], sanitize(BLOCK_ERASE), [0xff]]) {
      const { sense, data } = await run([...cdb, ...new Array<number>(16 - cdb.length).fill(0)], { read: 512 });
      expect([sense, data[15], data[16], data[17]]).toEqual(["2/4/1b", 0x80, 0x40, 0]);
    }
    expect((await run(write10(0, 1), { write: 512, data: pattern(512) })).sense).toBe("2/4/1b");
    expect((await run([0x12, 0, 0, 0, 36, 0], { read: 36 })).status).toBe(0);
    expect((await run([0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0], { read: 255 })).status).toBe(0);
    const fixed = (await run([3, 0, 0, 0, 18, 0], { read: 18 })).data;
    expect([fixed[2], fixed[12], fixed[13], fixed[15], fixed[16]]).toEqual([2, 0x04, 0x1b, 0x80, 0x40]);
    const described = (await run([3, 1, 0, 0, 255, 0], { read: 255 })).data;
    expect([...described.subarray(8)]).toEqual([2, 6, 0, 0, 0x80, 0x40, 0, 0]);
    await release();
    expect((await run([0, 0, 0, 0, 0, 0])).status).toBe(0);
    expect((await run([3, 0, 0, 0, 18, 0], { read: 18 })).data[2]).toBe(0);
    expect(device.bytes.every((byte) => byte === 7)).toBe(true);
  });

  test("it ends before the target is closed", async () => {
    const { device, overwrite, world } = await sanitizable();
    device.held = true;
    await overwrite(list(1, Uint8Array.of(7)), IMMED);
    const closing = world.server.close();
    await world.timers.turn();
    await closing;
    expect(device.calls).toEqual(["write 0+2048"]);
    expect(world.memory.outstanding).toBe(0);
    expect(world.server.counters().deviceErrors).toBe(0);
  });
});

describe("SANITIZE and other tasks", () => {
  test("those under way are aborted, of every session, before anything is written", async () => {
    const { device, initiator, world, run, release } = await sanitizable();
    const other = new Initiator(world);
    await other.send(
      build(0x03, {
        immediate: true,
        flags: 0x87,
        words: { 8: 0x80999999, 24: other.cmdSN },
        data: text("InitiatorName=iqn.other", `TargetName=${TARGET}`, "SessionType=Normal"),
      }),
      other.command([0, 0, 0, 0, 0, 0]),
    );
    other.receive();
    device.held = true;
    await other.send(other.command(write10(5, 1), { write: 512, data: pattern(512) }));
    await initiator.send(initiator.command(read10(5, 1), { read: 512 }));
    const tag = initiator.itt;
    await initiator.send(initiator.command(sanitize(BLOCK_ERASE)));
    await release();
    const answers = initiator.receive();
    expect(answers.map((pdu) => [pdu.header.getUint32(16), pdu.header.getUint8(3)])).toEqual([
      [tag - 1, 0x40],
      [tag, 0],
    ]);
    expect(other.receive().map((pdu) => pdu.header.getUint8(3))).toEqual([0x40]);
    expect(device.calls.slice(0, 4)).toEqual(["write 5+1", "read 5+1", "write 0+2048", "write 2048+2048"]);
    expect(device.bytes.every((byte) => byte === 0)).toBe(true);
    expect((await run([0, 0, 0, 0, 0, 0])).status).toBe(0);
  });

  test("it goes on when its task is aborted and its LUN reset", async () => {
    const { device, initiator, world, run, release } = await sanitizable();
    device.held = true;
    const tag = initiator.itt;
    await initiator.send(initiator.command(sanitize(BLOCK_ERASE)));
    for (const [action, itt] of [
      [1, 900],
      [5, 901],
    ]) {
      await initiator.send(
        build(0x02, { immediate: true, flags: 0x80 | action, itt, words: { 20: tag, 24: initiator.cmdSN, 32: 1 } }),
      );
      expect(initiator.receive().map((pdu) => [pdu.opcode, pdu.header.getUint8(2)])).toEqual([[0x22, 0]]);
    }
    expect((await run([0, 0, 0, 0, 0, 0])).sense).toBe("6/29/3");
    expect((await run([0, 0, 0, 0, 0, 0])).sense).toBe("2/4/1b");
    await release();
    await world.timers.turn();
    expect((await run([0, 0, 0, 0, 0, 0])).status).toBe(0);
    expect(device.bytes.every((byte) => byte === 0)).toBe(true);
  });
});

describe("a SANITIZE that failed", () => {
  async function failed(flags: number) {
    const all = await sanitizable();
    all.device.failure = failure;
    expect((await all.run(sanitize(BLOCK_ERASE | flags))).sense).toBe("3/31/3");
    all.device.failure = undefined;
    expect((await all.run(read10(0, 1), { read: 512 })).sense).toBe("3/31/3");
    expect(all.world.server.counters().deviceErrors).toBe(1);
    return all;
  }

  test("leaves the unit to another SANITIZE", async () => {
    const { run } = await failed(0);
    expect((await run(sanitize(EXIT_FAILURE_MODE))).sense).toBe("5/24/0");
    expect((await run(sanitize(BLOCK_ERASE))).status).toBe(0);
    expect((await run(read10(0, 1), { read: 512 })).status).toBe(0);
  });

  test("with AUSE ends by EXIT FAILURE MODE", async () => {
    const { run } = await failed(AUSE);
    expect((await run(sanitize(EXIT_FAILURE_MODE))).status).toBe(0);
    expect((await run(read10(0, 1), { read: 512 })).status).toBe(0);
    expect((await run(sanitize(EXIT_FAILURE_MODE))).status).toBe(0);
  });

  test("with IMMED is told by REQUEST SENSE", async () => {
    const { run, device } = await sanitizable();
    device.failure = failure;
    expect((await run(sanitize(BLOCK_ERASE | IMMED))).status).toBe(0);
    const sense = (await run([3, 0, 0, 0, 18, 0], { read: 18 })).data;
    expect([sense[2], sense[12], sense[13]]).toEqual([3, 0x31, 3]);
  });
});
