import { describe, expect, test } from "vitest";
import { crc32c } from "./testing/crc32c.ts";
import {
  bench,
  build,
  concat,
  Initiator,
  opcodes,
  type Pdu,
  pattern,
  read10,
  same,
  write10,
} from "./testing/initiator.ts";
import { RamDevice } from "./testing/world.ts";

const STATUS = 3;
const joined = (pdus: readonly Pdu[]) => concat(...pdus.map((pdu) => pdu.data));

describe("reads", () => {
  test("are cut by the initiator's segment length and by bursts, with the status in the last", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("MaxRecvDataSegmentLength=1024", "MaxBurstLength=1536");
    world.device.bytes.set(pattern(4096));
    await initiator.send(initiator.command(read10(0, 8), { read: 4096 }));
    const pdus = initiator.receive();
    expect(pdus.map((pdu) => pdu.data.length)).toEqual([1024, 512, 1024, 512, 1024]);
    expect(pdus.map((pdu) => pdu.flags)).toEqual([0, 0x80, 0, 0x80, 0x81]);
    expect(pdus.map((pdu) => pdu.header.getUint32(36))).toEqual([0, 1, 2, 3, 4]);
    expect(pdus.map((pdu) => pdu.header.getUint32(40))).toEqual([0, 1024, 1536, 2560, 3072]);
    expect(joined(pdus)).toEqual(pattern(4096));
  });

  test.each([
    ["held device, small", true, 8],
    ["held device, 3 MiB", true, 6144],
    ["device that is done at once, 3 MiB", false, 6144],
  ])("%s", async (_, held, blocks) => {
    const world = bench();
    const initiator = await new Initiator(world).ready("MaxRecvDataSegmentLength=262144");
    world.device.bytes.set(pattern(blocks * 512));
    world.device.held = held;
    await initiator.send(initiator.command(read10(0, blocks), { read: blocks * 512 }));
    const pdus = initiator.receive();
    while (world.device.gates.length > 0) {
      world.device.gates.shift()?.open();
      await world.timers.turn();
      pdus.push(...initiator.receive());
    }
    expect(same(joined(pdus), pattern(blocks * 512))).toBe(true);
    expect(pdus.at(-1)?.flags).toBe(0x81);
    expect(pdus.slice(0, -1).every((pdu) => (pdu.flags & 1) === 0)).toBe(true);
  });

  test.each([
    [512, 1024, 512, 0x83 & ~0x80, 512],
    [1024, 512, 512, 0x04 | 1, 512],
    [700, 1024, 700, 0x04 | 1, 324],
    [0, 512, 0, 0x04, 512],
  ])("EDTL %i, CDB of %i: residuals", async (edtl, wanted, sent, flags, residual) => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    const blocks = edtl === 512 && wanted === 1024 ? 2 : wanted / 512;
    await initiator.send(initiator.command(read10(0, blocks), { read: edtl }));
    const [pdu] = initiator.receive();
    expect(pdu.data.length).toBe(sent);
    const expected = edtl === 512 ? 0x05 : edtl === 1024 ? 0x03 : flags;
    expect(pdu.flags & 0x07).toBe(expected);
    expect(pdu.header.getUint32(44)).toBe(residual);
  });

  test("many reads leave in one write", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    const before = initiator.transport.writes;
    await initiator.send(...Array.from({ length: 32 }, (_, at) => initiator.command(read10(at, 1), { read: 512 })));
    expect(initiator.receive().length).toBe(32);
    expect(initiator.transport.writes - before).toBe(1);
  });
});

describe("writes", () => {
  test("immediate data, in a PDU split at every byte", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    const data = pattern(512);
    for (const byte of initiator.command(write10(3, 1, 0x08), { write: 512, data }))
      initiator.connection.onData(new Uint8Array([byte]));
    await world.timers.turn();
    expect(initiator.receive()[0].header.getUint8(STATUS)).toBe(0);
    expect(world.device.bytes.subarray(3 * 512, 4 * 512)).toEqual(data);
    expect(world.device.calls).toContain("write 3+1 fua");
  });

  test("unsolicited data, then R2Ts up to MaxOutstandingR2T", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready(
      "InitialR2T=No",
      "FirstBurstLength=1024",
      "MaxBurstLength=1024",
      "MaxOutstandingR2T=2",
    );
    const data = pattern(5 * 1024);
    await initiator.send(
      initiator.command(write10(0, 10), { write: data.length, data: data.slice(0, 512), more: true }),
    );
    expect(initiator.receive()).toEqual([]);
    await initiator.send(initiator.dataOut(2, 0xffffffff, 0, 512, data.slice(512, 1024), true));
    let r2ts = initiator.receive();
    expect(r2ts.map((pdu) => [pdu.opcode, pdu.header.getUint32(40), pdu.header.getUint32(44)])).toEqual([
      [0x31, 1024, 1024],
      [0x31, 2048, 1024],
    ]);
    let asked = 2;
    while (r2ts.length > 0) {
      const r2t = r2ts.shift();
      if (r2t === undefined) break;
      const from = r2t.header.getUint32(40);
      const ttt = r2t.header.getUint32(20);
      await initiator.send(
        initiator.dataOut(2, ttt, 0, from, data.slice(from, from + 600), false),
        initiator.dataOut(2, ttt, 1, from + 600, data.slice(from + 600, from + 1024), true),
      );
      const next = initiator.receive();
      asked += next.filter((pdu) => pdu.opcode === 0x31).length;
      if (next.some((pdu) => pdu.opcode === 0x21)) {
        expect(next[0].header.getUint32(36)).toBe(4);
        expect(next[0].header.getUint8(STATUS)).toBe(0);
      } else r2ts = [...r2ts, ...next];
    }
    expect(asked).toBe(4);
    expect(same(world.device.bytes.subarray(0, data.length), data)).toBe(true);
  });

  test("a large write streams into its buffer and reaches the device in pieces", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("MaxBurstLength=1048576");
    const data = pattern(2 * 1048576 + 4096);
    await initiator.send(initiator.command(write10(8, data.length / 512), { write: data.length }));
    for (;;) {
      const [pdu] = initiator.receive();
      if (pdu.opcode !== 0x31) {
        expect(pdu.header.getUint8(STATUS)).toBe(0);
        break;
      }
      const from = pdu.header.getUint32(40);
      const end = from + pdu.header.getUint32(44);
      const parts: Uint8Array[] = [];
      for (let at = from, sn = 0; at < end; at += 262144, sn++) {
        const to = Math.min(at + 262144, end);
        parts.push(initiator.dataOut(2, pdu.header.getUint32(20), sn, at, data.slice(at, to), to === end));
      }
      const bytes = concat(...parts);
      for (let at = 0; at < bytes.length; at += 100_001) await initiator.send(bytes.slice(at, at + 100_001));
    }
    expect(same(world.device.bytes.subarray(4096, 4096 + data.length), data)).toBe(true);
    expect(world.device.calls.filter((call) => call.startsWith("write"))).toEqual([
      "write 8+2048",
      "write 2056+2048",
      "write 4104+8",
    ]);
  });

  test.each([
    ["less than the CDB says", 700, 2, 0x84, 324, "write 0+1"],
    ["more than the CDB says", 1000, 1, 0x82, 488, "write 0+1"],
  ])("EDTL of %s", async (_, edtl, blocks, flags, residual, call) => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    await initiator.send(initiator.command(write10(0, blocks), { write: edtl, data: pattern(edtl) }));
    const [pdu] = initiator.receive();
    expect([pdu.flags, pdu.header.getUint32(44)]).toEqual([flags, residual]);
    expect(world.device.calls).toContain(call);
  });

  test.each([
    ["a wrong offset", (initiator: Initiator, ttt: number) => initiator.dataOut(2, ttt, 0, 512, pattern(512), true)],
    ["a wrong DataSN", (initiator: Initiator, ttt: number) => initiator.dataOut(2, ttt, 1, 0, pattern(1024), true)],
    ["a wrong tag", (initiator: Initiator, ttt: number) => initiator.dataOut(2, ttt + 1, 0, 0, pattern(1024), true)],
    ["too much", (initiator: Initiator, ttt: number) => initiator.dataOut(2, ttt, 0, 0, pattern(1028), true)],
    ["too early an end", (initiator: Initiator, ttt: number) => initiator.dataOut(2, ttt, 0, 0, pattern(512), true)],
  ])("Data-Out with %s fails the command and writes nothing", async (_, make) => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    await initiator.send(initiator.command(write10(0, 2), { write: 1024 }));
    const [r2t] = initiator.receive();
    await initiator.send(make(initiator, r2t.header.getUint32(20)));
    const pdus = initiator.receive();
    expect(opcodes(pdus)).toEqual([0x3f, 0x21]);
    expect(pdus[1].data[2 + 2]).toBe(0x0b);
    expect(world.device.calls.some((call) => call.startsWith("write"))).toBe(false);
    expect(world.server.sessions()[0].bytesHeld).toBe(0);
  });

  test("a command whose data was rejected is answered after the last that was asked for, and rejected once", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("MaxBurstLength=1024", "MaxOutstandingR2T=2");
    await initiator.send(initiator.command(write10(0, 4), { write: 2048 }));
    const [one, two] = initiator.receive().map((pdu) => pdu.header.getUint32(20));
    await initiator.send(initiator.dataOut(2, one, 1, 0, pattern(512), false));
    expect(opcodes(initiator.receive())).toEqual([0x3f]);
    await initiator.send(initiator.dataOut(2, one, 0, 512, pattern(512), true));
    await initiator.send(initiator.dataOut(2, two, 0, 1024, pattern(512), false));
    expect(initiator.receive()).toEqual([]);
    await initiator.send(initiator.dataOut(2, two, 1, 1536, pattern(512), true));
    expect(opcodes(initiator.receive())).toEqual([0x21]);
    expect(world.device.calls.some((call) => call.startsWith("write"))).toBe(false);
    await initiator.send(initiator.command(write10(0, 1), { write: 512, data: pattern(512) }));
    expect(initiator.receive().map((pdu) => pdu.header.getUint8(STATUS))).toEqual([0]);
    expect(world.server.sessions()[0].bytesHeld).toBe(0);
  });

  test("so is one whose unsolicited data was rejected", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("InitialR2T=No");
    await initiator.send(initiator.command(write10(0, 3), { write: 1536, data: pattern(512), more: true }));
    await initiator.send(initiator.dataOut(2, 0xffffffff, 27, 512, pattern(512), false));
    expect(opcodes(initiator.receive())).toEqual([0x3f]);
    await initiator.send(initiator.dataOut(2, 0xffffffff, 1, 1024, pattern(512), true));
    expect(opcodes(initiator.receive())).toEqual([0x21]);
    expect(world.device.calls.some((call) => call.startsWith("write"))).toBe(false);
  });

  test("a failed command still waits for its unsolicited data", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("InitialR2T=No");
    await initiator.send(initiator.command(write10(65536, 2), { write: 1024, data: pattern(512), more: true }));
    expect(initiator.receive()).toEqual([]);
    await initiator.send(initiator.dataOut(2, 0xffffffff, 0, 512, pattern(512), true));
    const [pdu] = initiator.receive();
    expect([pdu.header.getUint8(STATUS), pdu.data[14]]).toEqual([2, 0x21]);
  });
});

describe("digests", () => {
  test("the checksum is that of RFC 3720 appendix B.4", () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  });

  test("both ways, over padding, and streamed", async () => {
    const world = bench({ crc32c });
    const initiator = new Initiator(world);
    await initiator.login("HeaderDigest=CRC32C", "DataDigest=CRC32C");
    initiator.crc = crc32c;
    await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
    const [attention] = initiator.receive();
    expect(attention.data.length).toBe(20);
    await initiator.send(initiator.command(write10(0, 64), { write: 32768 }));
    const [r2t] = initiator.receive();
    const bytes = initiator.dataOut(2, r2t.header.getUint32(20), 0, 0, pattern(32768), true);
    for (let at = 0; at < bytes.length; at += 5000) await initiator.send(bytes.slice(at, at + 5000));
    expect(initiator.receive()[0].header.getUint8(STATUS)).toBe(0);
    await initiator.send(initiator.command(read10(0, 64), { read: 32768 }));
    expect(same(joined(initiator.receive()), pattern(32768))).toBe(true);
    await initiator.send(initiator.command([0x12, 0, 0, 0, 37, 0], { read: 37 }));
    expect(initiator.receive()[0].data.length).toBe(37);
  });

  test.each([10, 47, 49, 60, 560, 563])("a flipped bit at %i closes the connection", async (at) => {
    const world = bench({ crc32c });
    const initiator = new Initiator(world);
    await initiator.login("HeaderDigest=CRC32C", "DataDigest=CRC32C");
    initiator.crc = crc32c;
    const pdu = initiator.command(write10(0, 1), { write: 512, data: pattern(512) });
    pdu[at] ^= 1;
    await initiator.send(pdu);
    expect(initiator.transport.closed).toBe("aborted");
    expect(world.device.calls).toEqual([]);
  });
});

describe("the command window", () => {
  test("commands outside of it are ignored; a gap inside closes the connection", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    const next = initiator.cmdSN;
    for (const cmdSN of [next - 1, next + 128, next + 0x80000000]) {
      initiator.cmdSN = cmdSN;
      await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
    }
    expect(initiator.receive()).toEqual([]);
    initiator.cmdSN = next;
    await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
    expect(initiator.receive().length).toBe(1);
    initiator.cmdSN = next + 3;
    await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
    expect(initiator.transport.closed).toBe("aborted");
  });

  test("it closes as commands pile up and opens as they end, and never goes back", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    world.device.held = true;
    await initiator.send(...Array.from({ length: 128 }, () => initiator.command(read10(0, 1), { read: 512 })));
    await initiator.send(build(0x00, { itt: 9999, immediate: true, words: { 20: 0xffffffff, 24: initiator.cmdSN } }));
    const [nop] = initiator.receive();
    const exp = nop.header.getUint32(28);
    expect(nop.header.getUint32(32)).toBe(exp - 1);
    for (const gate of world.device.gates.splice(0)) gate.open();
    await world.timers.turn();
    const maxima = initiator.receive().map((pdu) => pdu.header.getUint32(32));
    expect(maxima.length).toBe(128);
    expect(maxima).toEqual([...maxima].sort((a, b) => a - b));
    expect(maxima.at(-1)).toBe(exp + 127);
  });

  test("those after an ordered command wait for it no more once it is aborted, whatever is before it", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    world.device.held = true;
    await initiator.send(initiator.command(read10(0, 1), { read: 512 }));
    const ordered = initiator.itt;
    await initiator.send(
      initiator.command(read10(1, 1), { read: 512, attribute: 2 }),
      initiator.command(read10(2, 1), { read: 512 }),
    );
    expect(world.device.calls).toEqual(["read 0+1"]);
    await initiator.send(initiator.management(1, { 20: ordered }));
    expect(opcodes(initiator.receive())).toEqual([0x22]);
    expect(world.device.calls).toEqual(["read 0+1", "read 2+1"]);
  });

  test("an ordered command waits for those before it, and those after wait for it", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    world.device.held = true;
    const attribute = [1, 2, 1];
    await initiator.send(
      ...attribute.map((one, at) => initiator.command(read10(at, 1), { read: 512, attribute: one })),
    );
    for (const lba of [0, 1, 2]) {
      expect(world.device.gates.map((gate) => gate.lba)).toEqual([lba]);
      world.device.gates.shift()?.open();
      await world.timers.turn();
      expect(initiator.receive().length).toBe(1);
    }
  });
});

describe("task management", () => {
  test("ABORT TASK waits for the device and withholds the response of the task", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    world.device.held = true;
    await initiator.send(
      initiator.command(write10(0, 1), { write: 512, data: pattern(512) }),
      initiator.management(1, { 20: 2 }),
    );
    expect(initiator.receive()).toEqual([]);
    world.device.gates[0].open();
    await world.timers.turn();
    expect(initiator.receive().map((pdu) => [pdu.opcode, pdu.header.getUint8(2)])).toEqual([[0x22, 0]]);
    expect(world.server.sessions()[0].bytesHeld).toBe(0);
  });

  test("what waits for an aborted command does not start when that ends, if it is aborted too", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    const ordered = { write: 512, data: pattern(512), attribute: 2 };
    // It waits for its data, and the others for it.
    await initiator.send(
      initiator.command(write10(0, 2), { write: 1024 }),
      initiator.command(write10(4, 1), ordered),
      initiator.command(write10(5, 1), ordered),
      initiator.management(2),
    );
    expect(initiator.receive().map((pdu) => [pdu.opcode, pdu.header.getUint8(2)])).toEqual([
      [0x31, 0],
      [0x22, 0],
    ]);
    expect(world.device.calls).toEqual([]);
  });

  test("a connection that is lost takes what waits in its session with it", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    await initiator.send(
      initiator.command(write10(0, 2), { write: 1024 }),
      initiator.command([0x12, 0, 0, 0, 96, 0], { read: 96, attribute: 2 }),
    );
    initiator.connection.onClose();
    await world.timers.turn();
    await world.server.close();
    expect(world.memory.outstanding).toBe(0);
  });

  test("a device that was slow before is told by a signal", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    world.device.held = true;
    await initiator.send(
      initiator.command(read10(0, 1), { read: 512 }),
      initiator.command(read10(1, 1), { read: 512 }),
    );
    expect(world.device.signals.map((signal) => signal === undefined)).toEqual([true, false]);
    await initiator.send(initiator.management(1, { 20: 3 }));
    expect(opcodes(initiator.receive())).toEqual([0x22]);
    world.device.gates[0].open();
    await world.timers.turn();
    expect(opcodes(initiator.receive())).toEqual([0x25]);
  });

  test("a task that waits for data ends at once; its late data is ignored", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    await initiator.send(initiator.command(write10(0, 2), { write: 1024 }));
    const [r2t] = initiator.receive();
    const late = initiator.dataOut(2, r2t.header.getUint32(20), 0, 0, pattern(1024), true);
    await initiator.send(initiator.management(2), late);
    expect(initiator.receive().map((pdu) => [pdu.opcode, pdu.header.getUint8(2)])).toEqual([[0x22, 0]]);
    expect(world.device.calls.some((call) => call.startsWith("write"))).toBe(false);
    expect(world.server.sessions()[0]).toMatchObject({ tasks: 0, bytesHeld: 0 });
  });

  test("unknown tasks: not there, or aborted before they came", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    const next = initiator.cmdSN;
    const before = initiator.management(1, { 20: 777, 32: next - 1 });
    // Of an immediate command that is over: its CmdSN is that of the next command as well, which is not received by that.
    const immediate = initiator.management(1, { 20: 779, 32: next });
    initiator.cmdSN = next + 1;
    const sentButLost = initiator.management(1, { 20: 778, 32: next });
    await initiator.send(before, immediate, sentButLost, initiator.management(8), initiator.management(3));
    const answers = initiator.receive();
    expect(answers.map((pdu) => pdu.header.getUint8(2))).toEqual([1, 1, 0, 4, 5]);
    expect(answers.map((pdu) => pdu.header.getUint32(28) - next)).toEqual([0, 0, 1, 1, 1]);
    // The aborted CmdSN counts as received.
    await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
    expect(initiator.receive().length).toBe(1);
  });

  test("LUN RESET ends the tasks of others with TASK ABORTED and tells every nexus once", async () => {
    const world = bench();
    const one = await new Initiator(world).ready();
    const two = new Initiator(world);
    await two.send(
      build(0x03, {
        immediate: true,
        flags: 0x87,
        words: { 8: 0x80999999, 24: 1 },
        data: new TextEncoder().encode("InitiatorName=two\0TargetName=iqn.2026-11.dev.antipode:test\0"),
      }),
    );
    await two.send(two.command([0, 0, 0, 0, 0, 0]));
    two.receive();
    await two.send(two.command(write10(0, 2), { write: 1024 }));
    two.receive();
    await one.send(one.management(5));
    await world.timers.turn();
    expect(one.receive().map((pdu) => pdu.opcode)).toEqual([0x22]);
    expect(two.receive().map((pdu) => pdu.header.getUint8(STATUS))).toEqual([0x40]);
    await two.send(two.command([0, 0, 0, 0, 0, 0]), two.command([0, 0, 0, 0, 0, 0]));
    const [attention, good] = two.receive();
    expect([attention.data[14], attention.data[15], good.header.getUint8(STATUS)]).toEqual([0x29, 3, 0]);
  });
});

describe("ends", () => {
  test("logout is answered before the connection closes", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    await initiator.send(build(0x06, { flags: 0x81, itt: 8, words: { 20: 5 << 16, 24: initiator.cmdSN++ } }));
    expect(initiator.receive()[0].header.getUint8(2)).toBe(1);
    await initiator.send(build(0x06, { flags: 0x80, itt: 9, words: { 24: initiator.cmdSN++ } }));
    expect(initiator.receive().map((pdu) => [pdu.opcode, pdu.header.getUint8(2)])).toEqual([[0x26, 0]]);
    expect(initiator.transport.closed).toBe("closed");
  });

  test("reinstatement waits until the old session's writes have landed", async () => {
    const world = bench();
    const old = await new Initiator(world).ready();
    world.device.held = true;
    await old.send(old.command(write10(0, 1), { write: 512, data: pattern(512) }));
    const again = new Initiator(world);
    expect(await again.login()).toBeUndefined();
    expect(old.transport.closed).toBe("aborted");
    world.device.gates[0].open();
    await world.timers.turn();
    expect(again.receive()[0].header.getUint16(36)).toBe(0);
    expect(world.server.sessions().length).toBe(1);
    expect(world.server.counters().sessionsReinstated).toBe(1);
  });

  test("a silent session is probed once, then closed; an answer keeps it", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    world.timers.advance(10_000);
    world.timers.advance(10_000);
    const [probe] = initiator.receive();
    expect([probe.opcode, probe.header.getUint32(16)]).toEqual([0x20, 0xffffffff]);
    expect(probe.header.getUint32(20)).not.toBe(0xffffffff);
    await initiator.send(
      build(0x00, { itt: 0xffffffff, immediate: true, words: { 20: probe.header.getUint32(20), 24: initiator.cmdSN } }),
    );
    world.timers.advance(10_000);
    expect(initiator.transport.closed).toBe("no");
    world.timers.advance(10_000);
    world.timers.advance(10_000);
    expect(initiator.transport.closed).toBe("aborted");
  });

  test("closing the server ends everything and gives back all memory", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    world.device.held = true;
    await initiator.send(
      initiator.command(read10(0, 128), { read: 65536 }),
      initiator.command(write10(0, 2), { write: 1024 }),
    );
    let closed = false;
    const closing = world.server.close().then(() => {
      closed = true;
    });
    await world.timers.turn();
    expect(opcodes(initiator.receive()).at(-1)).toBe(0x32);
    expect(initiator.transport.closed).toBe("closed");
    expect(closed).toBe(false);
    for (const gate of world.device.gates) gate.open();
    await world.timers.turn();
    initiator.connection.onClose();
    await closing;
    expect(world.memory.outstanding).toBe(0);
  });
});

describe("a target that changes", () => {
  const identity = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };

  test("not available: sessions are told and dropped, logins are to come again later", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    world.target.available = false;
    await world.timers.turn();
    expect(opcodes(initiator.receive())).toEqual([0x32]);
    expect(initiator.transport.closed).toBe("closed");
    initiator.connection.onClose();
    expect((await new Initiator(world).login()).header.getUint16(36)).toBe(0x0301);
    world.target.available = true;
    expect((await new Initiator(world).login()).header.getUint16(36)).toBe(0);
  });

  test("admitting nobody: sessions go on, and all logins are to come again later", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("MaxConnections=2");
    world.target.admits = false;
    const others = [new Initiator(world), new Initiator(world, { name: "iqn.other", isid: 5 }), initiator.beside(1)];
    for (const other of others) expect((await other.login()).header.getUint16(36)).toBe(0x0301);
    await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
    expect(opcodes(initiator.receive())).toEqual([0x21]);
    world.target.admits = true;
    expect((await initiator.beside(1).login()).header.getUint16(36)).toBe(0);
  });

  test("LUNs come, change their size and go", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    const ready = async (lun: number) => {
      await initiator.send(initiator.command([0, 0, 0, 0, 0, 0], { lun }));
      const [pdu] = initiator.receive();
      return pdu.data.length === 0 ? "good" : `${pdu.data[14].toString(16)}/${pdu.data[15].toString(16)}`;
    };
    expect(await ready(1)).toBe("25/0");
    const device = new RamDevice(64);
    world.target.addLun({ lun: 1, device, identity });
    expect([await ready(0), await ready(0)]).toEqual(["3f/e", "good"]);
    // Said on one LUN, it is said for all.
    expect([await ready(1), await ready(1)]).toEqual(["29/0", "good"]);
    device.blockCount = 128;
    world.target.resized(1);
    expect([await ready(1), await ready(1)]).toEqual(["2a/9", "good"]);
    device.held = true;
    await initiator.send(initiator.command(read10(0, 1), { read: 512, lun: 1 }));
    let removed = false;
    const removing = world.target.removeLun(1).then(() => {
      removed = true;
    });
    await world.timers.turn();
    expect(removed).toBe(false);
    device.gates[0].open();
    await removing;
    await world.timers.turn();
    expect(initiator.receive().map((pdu) => pdu.header.getUint8(STATUS))).toEqual([0x40]);
    expect(await ready(1)).toBe("25/0");
  });
});
