import { describe, expect, test } from "vitest";
import { build, pattern, same, write10 } from "../testing/initiator.ts";
import { cdb16, host } from "../testing/scsi.ts";
import { RamDevice } from "../testing/world.ts";

const cdb10 = (opcode: number, lba: number, blocks: number, flags = 0) => [
  opcode,
  flags,
  ...[24, 16, 8, 0].map((shift) => (lba >>> shift) & 255),
  0,
  blocks >> 8,
  blocks & 255,
  0,
];
const cdb12 = (opcode: number, lba: number, blocks: number, flags = 0) => [
  opcode,
  flags,
  ...[24, 16, 8, 0].map((shift) => (lba >>> shift) & 255),
  ...[24, 16, 8, 0].map((shift) => (blocks >>> shift) & 255),
  0,
  0,
];
const information = (sense: Uint8Array) => new DataView(sense.buffer, sense.byteOffset).getUint32(3);
const identity = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };
const failure = Object.assign(new Error("gone"), { code: "drive.failed" });

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

describe("PRE-FETCH", () => {
  const forms = [
    ["10", (lba: number, blocks: number, flags = 0) => cdb10(0x34, lba, blocks, flags)],
    ["16", (lba: number, blocks: number, flags = 0) => cdb16(0x90, lba, blocks, flags)],
  ] as const;

  test.each(forms)("(%s) reads what the device keeps, and says whether that is all", async (_, cdb) => {
    const { run, device } = await host();
    expect((await run(cdb(5, 8))).status).toBe(0);
    expect(device.calls).toEqual([]);
    device.cacheBytes = 8 * 512;
    expect((await run(cdb(5, 8))).status).toBe(0x04);
    expect((await run(cdb(5, 9))).status).toBe(0);
    expect(device.calls).toEqual(["read 5+8", "read 5+8"]);
  });

  test.each(forms)("(%s) of 0 blocks reads up to the end", async (_, cdb) => {
    const { run, device } = await host();
    device.cacheBytes = 4096 * 512;
    expect((await run(cdb(4090, 0))).status).toBe(0x04);
    expect(device.calls).toEqual(["read 4090+6"]);
    expect((await run(cdb(4096, 0))).status).toBe(0x04);
    expect((await run(cdb(4097, 0))).sense).toBe("5/21/0");
    expect((await run(cdb(4090, 7))).sense).toBe("5/21/0");
  });

  test.each(forms)("(%s) with IMMED does not wait, and is one at a time", async (_, cdb) => {
    const { run, device, world } = await host();
    device.cacheBytes = 4096 * 512;
    device.held = true;
    expect((await run(cdb(0, 4096, 2))).status).toBe(0x04);
    expect((await run(cdb(0, 8, 2))).status).toBe(0);
    expect(device.calls).toEqual(["read 0+2048"]);
    device.gates[0].open();
    await world.timers.turn();
    expect(device.calls).toEqual(["read 0+2048", "read 2048+2048"]);
    device.gates[1].fail(failure);
    await world.timers.turn();
    expect((await run(cdb(0, 8, 2))).status).toBe(0x04);
    expect(world.server.counters().deviceErrors).toBe(1);
  });

  test("a block that can't be read fails it, and a target that closes waits for what is left", async () => {
    const { run, device, world } = await host();
    device.cacheBytes = 4096;
    device.failure = failure;
    expect((await run(cdb10(0x34, 0, 8))).sense).toBe("3/11/0");
    device.failure = undefined;
    device.held = true;
    await run(cdb10(0x34, 0, 8, 2));
    let closed = false;
    const closing = world.server.close().then(() => {
      closed = true;
    });
    await world.timers.turn();
    expect(device.signals.at(-1)?.aborted).toBe(true);
    expect(closed).toBe(true);
    await closing;
    expect(world.memory.outstanding).toBe(0);
  });
});

describe("VERIFY and WRITE AND VERIFY", () => {
  test("VERIFY with BYTCHK 11b compares each block with the one that is sent", async () => {
    const { run, device } = await host();
    const block = pattern(512, 3);
    for (let at = 10; at < 3010; at++) device.bytes.set(block, at * 512);
    for (const cdb of [cdb10(0x2f, 10, 3000, 6), cdb12(0xaf, 10, 3000, 6), cdb16(0x8f, 10, 3000, 6)]) {
      expect((await run(cdb, { write: 512, data: block })).status).toBe(0);
    }
    device.bytes[(10 + 2100) * 512 + 7] ^= 1;
    const outcome = await run(cdb16(0x8f, 10, 3000, 6), { write: 512, data: block });
    expect([outcome.sense, information(outcome.data)]).toEqual(["e/1d/0", 2100 * 512 + 7]);
    expect((await run(cdb10(0x2f, 10, 0, 6))).status).toBe(0);
  });

  test("VERIFY blames reading for a block that can't be read", async () => {
    const { run, device } = await host();
    device.failure = failure;
    expect((await run(cdb10(0x2f, 0, 8))).sense).toBe("3/11/0");
    expect((await run(cdb10(0x2f, 0, 1, 2), { write: 512, data: pattern(512) })).sense).toBe("3/11/0");
  });

  const forms = [
    ["10", (lba: number, blocks: number, flags = 0) => cdb10(0x2e, lba, blocks, flags)],
    ["12", (lba: number, blocks: number, flags = 0) => cdb12(0xae, lba, blocks, flags)],
    ["16", (lba: number, blocks: number, flags = 0) => cdb16(0x8e, lba, blocks, flags)],
  ] as const;

  test.each(forms)("WRITE AND VERIFY (%s) writes, then reads back", async (_, cdb) => {
    const { run, device } = await host();
    const data = pattern(1024, 5);
    for (const flags of [0, 2, 0x12]) {
      expect((await run(cdb(7, 2, flags), { write: 1024, data })).status).toBe(0);
      expect(device.calls.splice(0)).toEqual(["write 7+2 fua", "read 7+2"]);
    }
    expect(same(device.bytes.subarray(7 * 512, 9 * 512), data)).toBe(true);
    expect((await run(cdb(7, 0))).status).toBe(0);
    for (const flags of [4, 6, 0x20]) expect((await run(cdb(7, 1, flags))).sense).toBe("5/24/0");
    expect((await run(cdb(4095, 2), { write: 1024, data })).sense).toBe("5/21/0");
  });

  test("WRITE AND VERIFY finds what was not written as it was sent, in any piece", async () => {
    const { run, device } = await host();
    const data = pattern(3 * 1024 * 1024, 7);
    expect((await run(cdb16(0x8e, 0, data.length / 512), { write: data.length, data })).sense).toBe("5/21/0");
    const large = new RamDevice(8192);
    const second = await host(large);
    const write = large.write.bind(large);
    large.write = (lba, from, options) => {
      const pending = write(lba, from, options);
      if (lba === 4096) large.bytes[lba * 512 + 100] ^= 1;
      return pending;
    };
    const cdb = (flags: number) => cdb16(0x8e, 0, data.length / 512, flags);
    const outcome = await second.run(cdb(2), { write: data.length, data });
    expect([outcome.sense, information(outcome.data)]).toEqual(["e/1d/0", 4096 * 512 + 100]);
    expect((await second.run(cdb(0), { write: data.length, data })).status).toBe(0);
    expect(device.calls).toEqual([]);
  });
});

describe("COMPARE AND WRITE and ORWRITE", () => {
  const compareAndWrite = (lba: number, blocks: number) => {
    const cdb = cdb16(0x89, lba, 0);
    cdb[13] = blocks;
    return cdb;
  };

  test.each([
    [512, 255],
    [4096, 128],
  ])("COMPARE AND WRITE of blocks of %i bytes takes up to %i of them", async (blockSize, most) => {
    const { run, device } = await host(new RamDevice(1024, blockSize));
    const limits = (await run([0x12, 1, 0xb0, 0, 255, 0], { read: 255 })).data;
    expect(limits[5]).toBe(most);
    const bytes = most * blockSize;
    device.bytes.set(pattern(bytes, 2), 3 * blockSize);
    const data = join(pattern(bytes, 2), pattern(bytes, 9));
    expect((await run(compareAndWrite(3, most), { write: data.length, data })).status).toBe(0);
    expect(same(device.bytes.subarray(3 * blockSize, 3 * blockSize + bytes), pattern(bytes, 9))).toBe(true);
    data.set(pattern(bytes, 9));
    data[bytes - 1] ^= 1;
    const outcome = await run(compareAndWrite(3, most), { write: data.length, data });
    expect([outcome.sense, information(outcome.data)]).toEqual(["e/1d/0", bytes - 1]);
    if (most < 255) expect((await run(compareAndWrite(3, most + 1))).sense).toBe("5/24/0");
  });

  test("COMPARE AND WRITE is collected whole where the session has little room", async () => {
    const { run, device, initiator, world } = await host(new RamDevice(1024), { writeBudget: 2 * 1024 * 1024 });
    device.held = true;
    await initiator.send(initiator.command(write10(1000, 1), { write: 512, data: pattern(512) }));
    const data = join(new Uint8Array(100 * 512), pattern(100 * 512, 4));
    const tag = initiator.itt;
    const first = 64 * 1024;
    await initiator.send(
      initiator.command(compareAndWrite(0, 100), { write: data.length, data: data.subarray(0, first) }),
    );
    const [r2t] = initiator.receive();
    const ttt = r2t.header.getUint32(20);
    await initiator.send(initiator.dataOut(tag, ttt, 0, first, data.slice(first), true));
    while (device.gates.length > 0) {
      device.gates.shift()?.open();
      await world.timers.turn();
    }
    expect(device.calls).toEqual(["write 1000+1", "read 0+100", "write 0+100"]);
    expect((await run([0, 0, 0, 0, 0, 0])).status).toBe(0);
  });

  test("ORWRITE sets bits, a piece at a time, with no other write in between", async () => {
    const { run, device, initiator, world } = await host();
    const there = pattern(1024, 1);
    const sent = pattern(1024, 77);
    device.bytes.set(there, 3 * 512);
    expect((await run(cdb16(0x8b, 3, 2, 0x08), { write: 1024, data: sent })).status).toBe(0);
    expect(device.calls).toEqual(["read 3+2", "write 3+2 fua"]);
    const both = there.map((byte, at) => byte | sent[at]);
    expect(same(device.bytes.subarray(3 * 512, 5 * 512), both)).toBe(true);

    device.held = true;
    await initiator.send(
      initiator.command(cdb16(0x8b, 3, 1), { write: 512, data: pattern(512, 3) }),
      initiator.command(write10(3, 1), { write: 512, data: pattern(512, 5) }),
    );
    expect(device.gates.map((gate) => gate.kind)).toEqual(["read"]);
    while (device.gates.length > 0) {
      device.gates.shift()?.open();
      await world.timers.turn();
    }
    expect(initiator.receive().map((pdu) => pdu.header.getUint8(3))).toEqual([0, 0]);
    expect(same(device.bytes.subarray(3 * 512, 4 * 512), pattern(512, 5))).toBe(true);
  });

  test.each([
    ["ORWRITE", cdb16(0x8b, 3, 1)],
    ["WRITE AND VERIFY", cdb16(0x8e, 3, 1)],
    ["WRITE ATOMIC", cdb16(0x9c, 3, 1)],
    ["WRITE SAME with UNMAP", cdb16(0x93, 3, 1, 0x08)],
  ])("%s that is aborted while another has the unit writes nothing", async (_, cdb) => {
    const { run, device, initiator, world } = await host();
    device.atomicBlocksMax = 8;
    device.held = true;
    const tag = initiator.itt;
    await initiator.send(
      initiator.command(compareAndWrite(3, 1), { write: 1024, data: new Uint8Array(1024) }),
      initiator.command(cdb, { write: 512, data: new Uint8Array(512) }),
      build(0x02, { immediate: true, flags: 0x81, itt: 900, words: { 20: tag + 1, 24: initiator.cmdSN + 2, 32: 2 } }),
    );
    expect(initiator.receive()).toEqual([]);
    while (device.gates.length > 0) {
      device.gates.shift()?.open();
      await world.timers.turn();
    }
    expect(initiator.receive().map((pdu) => [pdu.opcode, pdu.header.getUint32(16)])).toEqual([
      [0x21, tag],
      [0x22, 900],
    ]);
    expect(device.calls).toEqual(["read 3+1", "write 3+1"]);
    expect((await run([0, 0, 0, 0, 0, 0])).status).toBe(0);
  });

  test("ORWRITE of many pieces, its limits, and whom it blames", async () => {
    const { run, device } = await host(new RamDevice(8192));
    const sent = pattern(3 * 1024 * 1024 + 512, 8);
    device.bytes.fill(0x11);
    const blocks = sent.length / 512;
    expect((await run(cdb16(0x8b, 1, blocks), { write: sent.length, data: sent })).status).toBe(0);
    const expected = sent.map((byte) => byte | 0x11);
    expect(same(device.bytes.subarray(512, 512 + sent.length), expected)).toBe(true);
    expect((await run(cdb16(0x8b, 8193, 0))).sense).toBe("5/21/0");
    expect((await run(cdb16(0x8b, 0, 1, 0x20), { write: 512, data: pattern(512) })).sense).toBe("5/24/0");
    device.failure = failure;
    expect((await run(cdb16(0x8b, 0, 1), { write: 512, data: pattern(512) })).sense).toBe("3/11/0");
    device.failure = undefined;
    device.write = () => Promise.reject(failure);
    expect((await run(cdb16(0x8b, 0, 1), { write: 512, data: pattern(512) })).sense).toBe("3/c/0");
    expect((await run(compareAndWrite(8000, 1), { write: 1024, data: new Uint8Array(1024).fill(0x11) })).sense).toBe(
      "3/c/0",
    );
  });
});

describe("WRITE ATOMIC", () => {
  const writeAtomic = (lba: number, blocks: number, flags = 0, boundary = 0) => {
    const cdb = cdb16(0x9c, lba, 0, flags);
    cdb[10] = boundary >> 8;
    cdb[11] = boundary & 255;
    cdb[12] = blocks >> 8;
    cdb[13] = blocks & 255;
    return cdb;
  };

  test("a device that does not promise it has no such command", async () => {
    const { run } = await host();
    expect((await run(writeAtomic(0, 1), { write: 512, data: pattern(512) })).sense).toBe("5/20/0");
    const one = await run([0xa3, 0x0c, 1, 0x9c, 0, 0, 0, 0, 0, 255, 0, 0], { read: 255 });
    expect(one.data[1] & 7).toBe(1);
    const limits = (await run([0x12, 1, 0xb0, 0, 255, 0], { read: 255 })).data;
    expect([...limits.subarray(44, 64)]).toEqual(new Array<number>(20).fill(0));
  });

  test("it is one write, as long as the device says", async () => {
    const device = new RamDevice(4096);
    device.atomicBlocksMax = 2041;
    const { run } = await host(device, { writeBudget: 9 * 1024 * 1024 });
    const one = await run([0xa3, 0x0c, 1, 0x9c, 0, 0, 0, 0, 0, 255, 0, 0], { read: 255 });
    expect([...one.data.subarray(1, 7)]).toEqual([3, 0, 16, 0x9c, 0x18, 0xff]);
    const limits = (await run([0x12, 1, 0xb0, 0, 255, 0], { read: 255 })).data;
    const view = new DataView(limits.buffer, limits.byteOffset);
    expect([44, 48, 52, 56, 60].map((at) => view.getUint32(at))).toEqual([2041, 0, 0, 0, 0]);
    const data = pattern(2041 * 512, 6);
    expect((await run(writeAtomic(1, 2041, 0x18), { write: data.length, data })).status).toBe(0);
    expect(device.calls).toEqual(["write 1+2041 fua"]);
    expect(same(device.bytes.subarray(512, 2042 * 512), data)).toBe(true);
    expect((await run(writeAtomic(0, 2042))).sense).toBe("5/24/0");
    expect((await run(writeAtomic(0, 1, 0, 1))).sense).toBe("5/24/0");
    expect((await run(writeAtomic(0, 1, 0x20))).sense).toBe("5/24/0");
    expect((await run(writeAtomic(4097, 0))).sense).toBe("5/21/0");
    expect((await run(writeAtomic(0, 0))).status).toBe(0);
    // Half of it would be no atomic write: nothing is written.
    expect((await run(writeAtomic(0, 2), { write: 512, data: pattern(512) })).sense).toBe("5/24/0");
    expect(device.calls).toHaveLength(1);
  });

  /** A device with a way of its own for it, which is the one with FUA in what it was called for. */
  const ownWay = () => {
    const device = new RamDevice(4096);
    device.atomicBlocksMax = 8;
    device.writeAtomic = (lba, from, options) => device.write(lba, from, { ...options, fua: true });
    return device;
  };

  test("a device that has its own way for it is called that way, and has nothing else to write meanwhile", async () => {
    const device = ownWay();
    const { initiator, world } = await host(device);
    device.held = true;
    await initiator.send(
      initiator.command(write10(3, 1), { write: 512, data: pattern(512, 1) }),
      initiator.command(writeAtomic(2, 2), { write: 1024, data: pattern(1024, 2) }),
      initiator.command(write10(3, 1), { write: 512, data: pattern(512, 3) }),
      initiator.command(cdb16(0x93, 3, 1, 0x08), { write: 512, data: new Uint8Array(512) }),
    );
    expect(device.calls).toEqual(["write 3+1"]);
    while (device.gates.length > 0) {
      expect(device.gates).toHaveLength(1);
      device.gates.shift()?.open();
      await world.timers.turn();
    }
    expect(device.calls).toEqual(["write 3+1", "write 2+2 fua", "write 3+1", "unmap 3+1"]);
    expect(initiator.receive().map((pdu) => pdu.header.getUint8(3))).toEqual([0, 0, 0, 0]);
  });

  test("its failure is the command's, and others have their turn after it", async () => {
    const device = ownWay();
    const { run } = await host(device);
    device.failure = failure;
    expect((await run(writeAtomic(0, 1), { write: 512, data: pattern(512) })).sense).toBe("3/c/0");
    device.failure = undefined;
    expect((await run(write10(0, 1), { write: 512, data: pattern(512) })).status).toBe(0);
  });
});

test("WRITE SAME gives blocks back only once no COMPARE AND WRITE has the unit", async () => {
  const { device, initiator, world } = await host();
  device.held = true;
  const compareAndWrite = cdb16(0x89, 3, 0);
  compareAndWrite[13] = 1;
  await initiator.send(
    initiator.command(compareAndWrite, { write: 1024, data: new Uint8Array(1024) }),
    initiator.command(cdb16(0x93, 3, 1, 0x08), { write: 512, data: new Uint8Array(512) }),
  );
  expect(device.calls).toEqual(["read 3+1"]);
  while (device.gates.length > 0) {
    device.gates.shift()?.open();
    await world.timers.turn();
  }
  expect(device.calls).toEqual(["read 3+1", "write 3+1", "unmap 3+1"]);
});

describe("a medium that is always there", () => {
  test("START STOP UNIT does nothing, and can't eject it", async () => {
    const { run, device } = await host();
    for (const flags of [0x01, 0x03, 0x04, 0x10]) expect((await run([0x1b, 1, 0, 0, flags, 0])).status).toBe(0);
    for (const flags of [0x02, 0x20, 0x70]) expect((await run([0x1b, 0, 0, 0, flags, 0])).sense).toBe("5/24/0");
    expect((await run([0, 0, 0, 0, 0, 0])).status).toBe(0);
    expect(device.calls).toEqual([]);
  });

  test("what is stopped has all that was cached on its medium, unless NO_FLUSH is set", async () => {
    const { run, device } = await host();
    expect((await run([0x1b, 0, 0, 0, 0, 0])).status).toBe(0);
    expect(device.calls).toEqual(["flush"]);
    expect((await run([0, 0, 0, 0, 0, 0])).status).toBe(0);
  });

  test("PREVENT ALLOW MEDIUM REMOVAL", async () => {
    const { run } = await host();
    for (const prevent of [0, 1]) expect((await run([0x1e, 0, 0, 0, prevent, 0])).status).toBe(0);
    for (const prevent of [2, 3]) expect((await run([0x1e, 0, 0, 0, prevent, 0])).sense).toBe("5/24/0");
  });

  test("READ DEFECT DATA lists nothing, in the format that was asked for", async () => {
    const { run } = await host();
    for (const format of [0, 1, 2, 3, 4, 5]) {
      const ten = await run([0x37, 0, 0x18 | format, 0, 0, 0, 0, 0, 255, 0], { read: 255 });
      expect([...ten.data]).toEqual([0, 0x18 | format, 0, 0]);
      const twelve = await run([0xb7, 0x08 | format, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0], { read: 255 });
      expect([...twelve.data]).toEqual([0, 0x08 | format, 0, 0, 0, 0, 0, 0]);
    }
    expect((await run([0x37, 0, 0x1e, 0, 0, 0, 0, 0, 255, 0], { read: 255 })).sense).toBe("5/24/0");
    expect((await run([0xb7, 0x1f, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0], { read: 255 })).sense).toBe("5/24/0");
    expect((await run([0x37, 0, 0, 0, 0, 0, 0, 0, 2, 0], { read: 255 })).data).toHaveLength(2);
  });
});

describe("GET LBA STATUS", () => {
  const status = (lba: number, allocation: number) => {
    const cdb = cdb16(0x9e, lba, allocation);
    cdb[1] = 0x12;
    return cdb;
  };
  const extents = (data: Uint8Array) => {
    const view = new DataView(data.buffer, data.byteOffset);
    expect(view.getUint32(0)).toBe(data.length - 4);
    const found: string[] = [];
    for (let at = 8; at < data.length; at += 16) {
      found.push(`${data[at + 12] === 0 ? "mapped" : "free"} ${view.getUint32(at + 4)}+${view.getUint32(at + 8)}`);
    }
    return found;
  };

  test("all is mapped on a device that does not know", async () => {
    const { run } = await host();
    expect(extents((await run(status(5, 24), { read: 24 })).data)).toEqual(["mapped 5+4091"]);
    expect((await run(status(4096, 24), { read: 24 })).sense).toBe("5/21/0");
  });

  test("what the device says is joined, and ends where there is no more room", async () => {
    const device = new RamDevice(4096);
    device.allocation = async (lba, blocks) => ({ mapped: lba >= 100 && lba < 200, blocks: Math.min(blocks, 50) });
    const { run } = await host(device);
    const all = await run(status(10, 255), { read: 255 });
    expect(extents(all.data)).toEqual(["free 10+100", "mapped 110+100", "free 210+3886"]);
    expect(extents((await run(status(10, 40), { read: 40 })).data)).toEqual(["free 10+100", "mapped 110+100"]);
    expect(extents((await run(status(10, 24), { read: 24 })).data)).toEqual(["free 10+100"]);
    expect((await run(status(10, 8), { read: 8 })).data).toHaveLength(8);
    device.allocation = async () => ({ mapped: false, blocks: 1 });
    expect(extents((await run(status(0, 24), { read: 24 })).data)).toEqual(["free 0+256"]);
    device.allocation = () => Promise.reject(failure);
    expect((await run(status(0, 24), { read: 24 })).sense).toBe("3/11/0");
  });
});

test("REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", async () => {
  const { run } = await host();
  const report = (flags: number, allocation: number) => [0xa3, 0x0d, flags, 0, 0, 0, 0, 0, 0, allocation, 0, 0];
  expect([...(await run(report(0, 255), { read: 255 })).data]).toEqual([0xd8, 0, 0, 0]);
  const extended = (await run(report(0x80, 255), { read: 255 })).data;
  expect([extended.length, extended[0], extended[3]]).toEqual([16, 0xd8, 12]);
  expect((await run(report(0, 3), { read: 255 })).sense).toBe("5/24/0");
});

test("a read-only LUN refuses every one of them that writes", async () => {
  const device = new RamDevice(64);
  device.atomicBlocksMax = 8;
  const { run } = await host(device, { target: { luns: [{ lun: 0, device, identity, readOnly: true }] } });
  const writes = [
    ...[cdb10(0x2e, 0, 1), cdb12(0xae, 0, 1), cdb16(0x8e, 0, 1)],
    ...[cdb16(0x8b, 0, 1), cdb16(0x9c, 0, 1), cdb16(0x93, 0, 1)],
  ];
  for (const cdb of writes) expect((await run(cdb, { write: 512, data: pattern(512) })).sense).toBe("7/27/0");
  expect(device.calls).toEqual([]);
});
