/**
 * What has cost other targets their initiators: each was a fault that somebody reported. The others are tested where they
 * belong.
 */

import { describe, expect, test } from "vitest";
import { crc32c } from "./testing/crc32c.ts";
import {
  bench,
  build,
  concat,
  INITIATOR,
  Initiator,
  opcodes,
  type Pdu,
  pattern,
  read10,
  same,
  TARGET,
  text,
  write10,
} from "./testing/initiator.ts";

const window = ({ header }: Pdu) => [header.getUint32(28), header.getUint32(32)];
const lun9 = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };

describe("sequence numbers", () => {
  test.each([0x7ffffff0, 0xfffffff0])("go on past the wrap from %i, in R2Ts too", async (cmdSN) => {
    const initiator = new Initiator(bench());
    initiator.cmdSN = cmdSN;
    await initiator.ready();
    const transferTags = new Set<number>();
    for (let count = 0; count < 40; count++) {
      const tag = initiator.itt;
      await initiator.send(initiator.command(write10(count, 1), { write: 512 }));
      const [r2t] = initiator.receive();
      transferTags.add(r2t.header.getUint32(20));
      const next = initiator.cmdSN >>> 0;
      // The command has one place of the window until its response.
      expect(window(r2t)).toEqual([next, (next + 126) >>> 0]);
      await initiator.send(initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(512), true));
      expect(window(initiator.receive()[0])).toEqual([next, (next + 127) >>> 0]);
    }
    expect([transferTags.size, transferTags.has(0xffffffff)]).toEqual([40, false]);
  });

  test("StatSN advances with answers, and neither with R2Ts nor with probes", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("MaxBurstLength=512", "MaxOutstandingR2T=2");
    const statSN = ({ header }: Pdu) => header.getUint32(24);
    const nop = () =>
      initiator.send(build(0x00, { immediate: true, itt: 77, words: { 20: 0xffffffff, 24: initiator.cmdSN } }));
    await nop();
    const [first] = initiator.receive();
    await initiator.send(initiator.command(write10(0, 2), { write: 1024 }));
    const r2ts = initiator.receive();
    expect(r2ts.map(statSN)).toEqual([statSN(first) + 1, statSN(first) + 1]);
    world.timers.advance(10_000);
    world.timers.advance(10_000);
    const [probe, ...more] = initiator.receive();
    expect([probe.opcode, statSN(probe), more]).toEqual([0x20, statSN(first) + 1, []]);
    await nop();
    expect(initiator.receive().map(statSN)).toEqual([statSN(first) + 1]);
  });

  test("an ExpStatSN of nonsense in any request changes nothing", async () => {
    const initiator = await new Initiator(bench()).ready();
    for (const expStatSN of [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 1000]) {
      const tag = initiator.itt;
      const command = initiator.command(write10(0, 1), { write: 512 });
      new DataView(command.buffer).setUint32(28, expStatSN);
      await initiator.send(command);
      const [r2t] = initiator.receive();
      const data = initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(512), true);
      new DataView(data.buffer).setUint32(28, ~expStatSN >>> 0);
      await initiator.send(data);
      expect(opcodes(initiator.receive())).toEqual([0x21]);
    }
    expect(initiator.transport.closed).toBe("no");
  });

  test("the login of a discovery session has its window as well", async () => {
    const initiator = new Initiator(bench());
    const data = text(`InitiatorName=${INITIATOR}`, "SessionType=Discovery");
    await initiator.send(build(0x03, { immediate: true, flags: 0x87, words: { 24: 5 }, data }));
    expect(window(initiator.receive()[0])).toEqual([5, 132]);
  });
});

describe("headers", () => {
  test("the ISID has six bytes, and each of them counts", async () => {
    const world = bench();
    const isids = [0x800000000001, 0x800000000002, 0x810000000001, 0x800001000001];
    const all: Initiator[] = [];
    for (const isid of isids) {
      const initiator = new Initiator(world);
      const bytes = [40, 32, 24, 16, 8, 0].map((shift) => Math.floor(isid / 2 ** shift) & 255);
      const data = text(`InitiatorName=${INITIATOR}`, `TargetName=${TARGET}`);
      await initiator.send(build(0x03, { immediate: true, flags: 0x87, words: { 24: 1 }, bytes: { 8: bytes }, data }));
      const [reply] = initiator.receive();
      expect([...new Uint8Array(reply.header.buffer, 8, 6)]).toEqual(bytes);
      all.push(initiator);
    }
    expect(all.map(({ transport }) => transport.closed)).toEqual(["no", "no", "no", "no"]);
    expect(world.server.sessions().map(({ isid }) => isid)).toEqual(isids);
  });

  test("an R2T has its LUN in eight bytes, and a Data-Out may have any", async () => {
    const world = bench();
    world.target.addLun({ lun: 9, device: world.device, identity: lun9 });
    const initiator = await new Initiator(world).ready();
    await initiator.send(initiator.command([0, 0, 0, 0, 0, 0], { lun: 9 }));
    initiator.receive();
    const tag = initiator.itt;
    await initiator.send(initiator.command(write10(3, 1), { write: 512, lun: 9 }));
    const [r2t] = initiator.receive();
    expect([8, 12].map((at) => r2t.header.getUint32(at))).toEqual([9 << 16, 0]);
    expect(r2t.header.getUint32(20)).not.toBe(0xffffffff);
    const data = initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(512), true);
    data.set([0xff, 0xff, 0xff, 0xff], 8);
    await initiator.send(data);
    expect(initiator.receive()[0].header.getUint8(3)).toBe(0);
    expect(same(world.device.bytes.subarray(3 * 512, 4 * 512), pattern(512))).toBe(true);
  });
});

describe("logins", () => {
  test("what follows a login in the same segment belongs to the session", async () => {
    const world = bench();
    const initiator = new Initiator(world);
    const login = (flags: number, ...keys: readonly string[]) =>
      build(0x03, { immediate: true, flags, words: { 8: 0x80123456, 24: 1 }, data: text(...keys) });
    await initiator.send(
      login(0x81, `InitiatorName=${INITIATOR}`, `TargetName=${TARGET}`, "AuthMethod=None"),
      login(0x87),
      initiator.command([0, 0, 0, 0, 0, 0]),
      initiator.command(read10(0, 1), { read: 512 }),
    );
    expect(opcodes(initiator.receive())).toEqual([0x23, 0x23, 0x21, 0x25]);
  });

  test("what follows one that has to wait for the session before waits with it", async () => {
    const world = bench();
    const old = await new Initiator(world).ready();
    world.device.held = true;
    await old.send(old.command(write10(0, 1), { write: 512, data: pattern(512) }));
    const next = new Initiator(world);
    const data = text(`InitiatorName=${INITIATOR}`, `TargetName=${TARGET}`);
    await next.send(
      build(0x03, { immediate: true, flags: 0x87, words: { 8: 0x80123456, 24: 1 }, data }),
      next.command([0, 0, 0, 0, 0, 0]),
    );
    expect(next.receive()).toEqual([]);
    world.device.gates[0].open();
    await world.timers.turn();
    expect(opcodes(next.receive())).toEqual([0x23, 0x21]);
  });

  test.each([
    ["in one request", [[0x87, ["MaxBurstLength=512", "MaxBurstLength=512"]]]],
    ["in one request, negotiated and declared", [[0x87, ["InitiatorAlias=a", "InitiatorAlias=b"]]]],
    [
      "in a request of two parts",
      [
        [0x44, ["MaxBurstLength=512"]],
        [0x87, ["MaxBurstLength=1024"]],
      ],
    ],
    [
      "in another stage",
      [
        [0x81, ["MaxBurstLength=512"]],
        [0x87, ["MaxBurstLength=512"]],
      ],
    ],
    [
      "who it is",
      [
        [0x04, []],
        [0x87, ["InitiatorName=iqn.x"]],
      ],
    ],
  ] as const)("a key that comes twice (%s) is an initiator error, and opens no session", async (_, requests) => {
    const world = bench();
    const initiator = new Initiator(world);
    const who = [`InitiatorName=${INITIATOR}`, `TargetName=${TARGET}`];
    for (const [at, [flags, keys]] of requests.entries()) {
      const data = text(...(at === 0 ? who : []), ...keys);
      await initiator.send(build(0x03, { immediate: true, flags, words: { 8: 0x80123456, 24: 1 }, data }));
      const [reply] = initiator.receive();
      expect(reply.header.getUint16(36)).toBe(at === requests.length - 1 ? 0x0200 : 0);
    }
    expect([initiator.transport.closed, world.server.heldSessions]).toEqual(["closed", 0]);
  });

  test("nothing is probed before full feature phase", async () => {
    const world = bench();
    const initiator = new Initiator(world);
    await initiator.send(
      build(0x03, {
        immediate: true,
        flags: 0x00,
        words: { 24: 1 },
        data: text(`InitiatorName=${INITIATOR}`, `TargetName=${TARGET}`),
      }),
    );
    initiator.receive();
    world.timers.advance(10_000);
    expect(initiator.receive()).toEqual([]);
    world.timers.advance(5_000);
    expect(initiator.transport.closed).toBe("aborted");
  });
});

describe("residuals", () => {
  const residual = ({ flags, header }: Pdu) => [flags & 0x06, header.getUint32(44)];
  const EXACT = [0, 0];
  const under = (bytes: number) => [0x02, bytes];
  const over = (bytes: number) => [0x04, bytes];

  test.each([1, 3, 8])("a write whose data comes in %i bursts has none", async (bursts) => {
    const initiator = await new Initiator(bench()).ready("MaxBurstLength=1024", "MaxRecvDataSegmentLength=512");
    const bytes = bursts * 1024;
    const tag = initiator.itt;
    await initiator.send(initiator.command(write10(0, bytes / 512), { write: bytes }));
    for (;;) {
      const [pdu] = initiator.receive();
      if (pdu.opcode === 0x21) {
        expect([pdu.header.getUint8(3), residual(pdu)]).toEqual([0, EXACT]);
        return;
      }
      const [transferTag, at] = [20, 40].map((offset) => pdu.header.getUint32(offset));
      await initiator.send(
        initiator.dataOut(tag, transferTag, 0, at, pattern(512), false),
        initiator.dataOut(tag, transferTag, 1, at + 512, pattern(512), true),
      );
    }
  });

  const nothing = new Uint8Array(0);
  const write = (bytes: number) => ({ write: bytes, data: bytes > 0 ? pattern(bytes) : nothing });
  test.each([
    ["a read of what was asked for", read10(0, 2), { read: 1024 }, 0, EXACT],
    ["a read of more than there is room for", read10(0, 3), { read: 1024 }, 0, over(512)],
    ["a read of less", read10(0, 1), { read: 1024 }, 0, under(512)],
    ["a read of nothing", read10(0, 0), { read: 1024 }, 0, under(1024)],
    ["a read without room", read10(0, 1), {}, 0, over(512)],
    ["a read beyond the end", read10(65536, 1), { read: 512 }, 2, under(512)],
    ["parameter data that is shorter", [0x12, 0, 0, 0, 255, 0], { read: 255 }, 0, under(181)],
    ["parameter data that is cut", [0x12, 0, 0, 0, 36, 0], { read: 36 }, 0, EXACT],
    ["parameter data that has no room", [0x12, 0, 0, 0, 36, 0], { read: 20 }, 0, over(16)],
    ["a command without data", [0, 0, 0, 0, 0, 0], {}, 0, EXACT],
    ["a command without data, of which some was expected", [0, 0, 0, 0, 0, 0], { read: 100 }, 0, under(100)],
    ["a write of what was sent", write10(0, 2), write(1024), 0, EXACT],
    ["a write of more than was sent", write10(0, 3), write(1024), 0, over(512)],
    ["a write of less", write10(0, 1), write(1024), 0, under(512)],
    ["a write of nothing", write10(0, 0), write(512), 0, under(512)],
    ["a write without data", write10(0, 1), {}, 0, over(512)],
    ["a write in the direction of a read", write10(0, 1), { read: 512 }, 0, EXACT],
  ] as const)("%s", async (_, cdb, transfer, status, expected) => {
    const initiator = await new Initiator(bench()).ready();
    await initiator.send(initiator.command(cdb, transfer));
    const [pdu, ...more] = initiator.receive();
    expect([pdu.header.getUint8(3), residual(pdu), more]).toEqual([status, expected, []]);
  });

  test("of a read that fails after a part of it was sent", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("MaxRecvDataSegmentLength=262144");
    world.device.held = true;
    await initiator.send(initiator.command(read10(0, 4096), { read: 2097152 }));
    world.device.gates.shift()?.open();
    await world.timers.turn();
    const sent = initiator.receive().reduce((sum, { data }) => sum + data.length, 0);
    expect(sent).toBe(1048576);
    world.device.gates.shift()?.fail(Object.assign(new Error("gone"), { code: "drive.failed" }));
    await world.timers.turn();
    const [pdu] = initiator.receive();
    expect([pdu.header.getUint8(3), residual(pdu)]).toEqual([2, under(1048576)]);
    // How many Data-Ins there were, so that the initiator knows whether it has them all.
    expect(pdu.header.getUint32(36)).toBe(4);
  });
});

describe("tags", () => {
  test("a command with the tag of a task is rejected, and leaves the task and the window as they are", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    const tag = initiator.itt;
    await initiator.send(initiator.command(write10(0, 2), { write: 1024 }));
    const [r2t] = initiator.receive();
    initiator.itt = tag;
    const overlapping = [
      initiator.command(read10(5, 1), { read: 512 }),
      build(0x01, { immediate: true, flags: 0x81, itt: tag, words: { 24: initiator.cmdSN } }),
    ];
    for (const command of overlapping) {
      await initiator.send(command);
      const [reject] = initiator.receive();
      // TASK IN PROGRESS, with the header that is rejected.
      expect([reject.opcode, reject.header.getUint8(2), reject.data]).toEqual([0x3f, 7, command.slice(0, 48)]);
    }
    expect(world.device.calls).toEqual([]);
    await initiator.send(initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(1024), true));
    const [response] = initiator.receive();
    expect([response.opcode, response.header.getUint8(3)]).toEqual([0x21, 0]);
    expect(window(response)).toEqual([initiator.cmdSN, initiator.cmdSN + 127]);
    expect(same(world.device.bytes.subarray(0, 1024), pattern(1024))).toBe(true);
    // It is free again.
    initiator.itt = tag;
    await initiator.send(initiator.command(read10(5, 1), { read: 512 }));
    expect(opcodes(initiator.receive())).toEqual([0x25]);
  });

  test("ABORT TASK of a task of another LUN does nothing to it", async () => {
    const world = bench();
    world.target.addLun({ lun: 9, device: world.device, identity: lun9 });
    const initiator = await new Initiator(world).ready();
    const tag = initiator.itt;
    await initiator.send(initiator.command(write10(0, 1), { write: 512 }));
    const [r2t] = initiator.receive();
    const words = { 8: 9 << 16, 20: tag, 24: initiator.cmdSN, 32: initiator.cmdSN - 1 };
    await initiator.send(build(0x02, { immediate: true, flags: 0x81, itt: 500, words }));
    expect(initiator.receive().map(({ header }) => header.getUint8(2))).toEqual([1]);
    await initiator.send(initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(512), true));
    expect(opcodes(initiator.receive())).toEqual([0x21]);
  });
});

describe("signs of life", () => {
  const nopOut = (initiator: Initiator, itt: number, data: Uint8Array = new Uint8Array(0)) =>
    build(0x00, { immediate: true, itt, words: { 20: 0xffffffff, 24: initiator.cmdSN }, data });

  test("an initiator that says something is not probed", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    for (let count = 0; count < 12; count++) {
      world.timers.advance(5_000);
      await initiator.send(nopOut(initiator, 0xffffffff));
      expect(initiator.receive()).toEqual([]);
    }
    expect(initiator.transport.closed).toBe("no");
  });

  test("one that says nothing has one probe, and costs nothing more once it is given up", async () => {
    const world = bench();
    const all = [1, 2, 3].map((isid) => new Initiator(world, { name: INITIATOR, isid: isid << 8 }));
    for (const initiator of all) await initiator.ready();
    for (let seconds = 0; seconds < 30; seconds++) world.timers.advance(1_000);
    for (const initiator of all) {
      expect(opcodes(initiator.receive())).toEqual([0x20]);
      expect(initiator.transport.closed).toBe("aborted");
      // Whoever closes it, and however often.
      initiator.connection.onClose();
      initiator.connection.onClose();
    }
    expect([world.server.heldSessions, world.server.counters().connectionsDropped]).toEqual([0, 3]);
    await world.server.close();
    expect(world.memory.outstanding).toBe(0);
  });

  test("a ping is answered while a device is busy and nothing else is", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    world.device.held = true;
    await initiator.send(...Array.from({ length: 64 }, () => initiator.command(read10(0, 8), { read: 4096 })));
    await initiator.send(nopOut(initiator, 600, pattern(9)));
    const [pdu, ...more] = initiator.receive();
    expect([pdu.opcode, pdu.header.getUint32(16), pdu.data, more]).toEqual([0x20, 600, pattern(9), []]);
  });
});

describe("ends", () => {
  test("a session that was reinstated ends once, whoever closes what", async () => {
    const world = bench();
    const old = await new Initiator(world).ready();
    await old.send(old.command(write10(0, 2), { write: 1024 }), old.command(read10(0, 1), { read: 512 }));
    const next = new Initiator(world);
    await next.login();
    old.connection.onClose();
    old.connection.onClose();
    await old.send(old.command([0, 0, 0, 0, 0, 0]));
    await world.timers.turn();
    expect(world.events.filter((event) => event.startsWith("session-closed"))).toHaveLength(1);
    expect(world.server.counters()).toMatchObject({ sessionsReinstated: 1, connectionsDropped: 1 });
    expect(world.server.sessions()).toMatchObject([{ tasks: 0, bytesHeld: 0 }]);
    next.connection.onClose();
    await world.server.close();
    expect(world.memory.outstanding).toBe(0);
  });

  test("a logout is answered before its connection closes, however long the answer takes", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("MaxRecvDataSegmentLength=262144");
    initiator.transport.capacity = 1000;
    await initiator.send(
      initiator.command(read10(0, 64), { read: 32768 }),
      build(0x06, { flags: 0x80, itt: 900, words: { 24: initiator.cmdSN++ } }),
    );
    expect(initiator.transport.closed).toBe("no");
    const pdus: Pdu[] = [];
    for (let count = 0; count < 40; count++) {
      pdus.push(...(initiator.transport.closed === "no" ? await initiator.drain() : initiator.receive()));
    }
    expect(opcodes(pdus)).toEqual([0x25, 0x26]);
    expect(initiator.transport.closed).toBe("closed");
  });
});

describe("text", () => {
  test.each([
    ["in one request", [text("X-one=1", "X-one=1")]],
    ["that goes on", [text("X-one=1", "X-two"), text("=2", "X-one=3")]],
    ["of what is declared", [text("MaxRecvDataSegmentLength=512", "MaxRecvDataSegmentLength=8192")]],
  ])("a key that comes twice %s is an error, and the next exchange is none of its", async (_, parts) => {
    const initiator = await new Initiator(bench()).ready();
    let tag = 0xffffffff;
    const cut = parts.map((part, at) => (at === 0 && parts.length > 1 ? part.slice(0, -1) : part));
    for (const [at, data] of cut.entries()) {
      const flags = at === cut.length - 1 ? 0x80 : 0x40;
      await initiator.send(build(0x04, { flags, itt: 7, words: { 20: tag, 24: initiator.cmdSN++ }, data }));
      const [answer] = initiator.receive();
      if (flags === 0x80) expect([answer.opcode, answer.header.getUint8(2)]).toEqual([0x3f, 4]);
      tag = answer.header.getUint32(20);
    }
    const words = { 20: 0xffffffff, 24: initiator.cmdSN++ };
    await initiator.send(build(0x04, { itt: 8, words, data: text("X-three=3") }));
    expect(new TextDecoder().decode(initiator.receive()[0].data)).toBe("X-three=NotUnderstood\0");
  });

  test("a request that begins with an empty part goes on, one that goes on with nobody's is an error", async () => {
    const initiator = await new Initiator(bench()).ready();
    const send = (flags: number, tag: number, data: Uint8Array = new Uint8Array(0)) =>
      initiator.send(build(0x04, { flags, itt: 7, words: { 20: tag, 24: initiator.cmdSN++ }, data }));
    await send(0x40, 0xffffffff);
    const [answer] = initiator.receive();
    expect([answer.opcode, answer.flags, answer.header.getUint32(20) === 0xffffffff]).toEqual([0x24, 0, false]);
    await send(0x80, answer.header.getUint32(20) + 1, text("X-a=1"));
    expect(initiator.receive().map(({ opcode, header }) => [opcode, header.getUint8(2)])).toEqual([[0x3f, 4]]);
    await send(0x80, answer.header.getUint32(20), text("X-a=1"));
    expect(new TextDecoder().decode(initiator.receive()[0].data)).toBe("X-a=NotUnderstood\0");
    // F and C together say that nothing follows and that something does.
    await send(0xc0, 0xffffffff, text("X-a=1"));
    expect(opcodes(initiator.receive())).toEqual([0x3f]);
  });

  test("a request may come in parts, of which one is empty", async () => {
    const initiator = await new Initiator(bench()).ready();
    const whole = text("X-one=1", "X-two=2");
    let tag = 0xffffffff;
    for (const part of [whole.slice(0, 5), new Uint8Array(0), whole.slice(5, 11)]) {
      await initiator.send(build(0x04, { flags: 0x40, itt: 7, words: { 20: tag, 24: initiator.cmdSN++ }, data: part }));
      const [answer] = initiator.receive();
      expect([answer.opcode, answer.flags, answer.data.length]).toEqual([0x24, 0, 0]);
      tag = answer.header.getUint32(20);
    }
    await initiator.send(build(0x04, { itt: 7, words: { 20: tag, 24: initiator.cmdSN++ }, data: whole.slice(11) }));
    const [answer] = initiator.receive();
    expect(new TextDecoder().decode(answer.data)).toBe("X-one=NotUnderstood\0X-two=NotUnderstood\0");
    expect(answer.flags).toBe(0x80);
  });
});

describe("data", () => {
  test("digests may be cut anywhere", async () => {
    const world = bench({ crc32c });
    const initiator = new Initiator(world);
    await initiator.login("HeaderDigest=CRC32C", "DataDigest=CRC32C");
    initiator.crc = crc32c;
    const bytes = concat(
      initiator.command([0, 0, 0, 0, 0, 0]),
      initiator.command(write10(0, 1), { write: 511, data: pattern(511) }),
      initiator.command(read10(0, 1), { read: 512 }),
    );
    for (const byte of bytes) initiator.connection.onData(new Uint8Array([byte]));
    await world.timers.turn();
    expect(opcodes(initiator.receive())).toEqual([0x21, 0x21, 0x25]);
    expect(initiator.transport.closed).toBe("no");
  });

  test("unsolicited data ends with FirstBurstLength, immediate data included", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("InitialR2T=No", "FirstBurstLength=1024");
    const tag = initiator.itt;
    await initiator.send(
      initiator.command(write10(0, 8), { write: 4096, data: pattern(512), more: true }),
      initiator.dataOut(tag, 0xffffffff, 0, 512, pattern(1024), true),
    );
    expect(opcodes(initiator.receive())).toEqual([0x3f, 0x21]);
    expect(world.device.calls.some((call) => call.startsWith("write"))).toBe(false);
  });

  test("immediate data need not be whole blocks: the rest is asked for from there", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    for (const immediate of [1, 511, 513, 700, 1023]) {
      const data = pattern(1024, immediate);
      const tag = initiator.itt;
      await initiator.send(initiator.command(write10(4, 2), { write: 1024, data: data.slice(0, immediate) }));
      const [r2t] = initiator.receive();
      expect([40, 44].map((at) => r2t.header.getUint32(at))).toEqual([immediate, 1024 - immediate]);
      await initiator.send(initiator.dataOut(tag, r2t.header.getUint32(20), 0, immediate, data.slice(immediate), true));
      expect(initiator.receive().map(({ header }) => header.getUint8(3))).toEqual([0]);
      expect(same(world.device.bytes.subarray(2048, 3072), data)).toBe(true);
    }
  });

  test.each([
    ["immediate data that was not agreed to", ["ImmediateData=No"], 512, false, [0x21]],
    ["more immediate data than FirstBurstLength", ["FirstBurstLength=512"], 1024, false, [0x3f]],
    ["unsolicited data that was not agreed to", ["InitialR2T=Yes"], 512, true, [0x21]],
    ["more data than the command expects", [], 4100, false, [0x3f]],
  ])("%s is refused, and nothing is written", async (_, keys, bytes, more, answered) => {
    const world = bench();
    const initiator = await new Initiator(world).ready(...keys);
    await initiator.send(initiator.command(write10(0, 8), { write: 4096, data: pattern(bytes), more }));
    const pdus = initiator.receive();
    expect(opcodes(pdus)).toEqual(answered);
    if (answered[0] === 0x21) expect([...pdus[0].data.subarray(14, 16)]).toEqual([0x0c, 0x0c]);
    expect(world.device.calls).toEqual([]);
    expect(world.server.sessions()[0]).toMatchObject({ tasks: 0, bytesHeld: 0 });
  });

  test("ABORT TASK of a read that waits for the initiator takes its data out of the queue", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("MaxRecvDataSegmentLength=262144");
    initiator.transport.capacity = 100_000;
    const tag = initiator.itt;
    await initiator.send(
      ...Array.from({ length: 6 }, () => initiator.command(read10(0, 2048), { read: 1048576 })),
      build(0x02, { immediate: true, flags: 0x81, itt: 500, words: { 20: tag + 5, 24: initiator.cmdSN } }),
      build(0x00, { immediate: true, itt: 501, words: { 20: 0xffffffff, 24: initiator.cmdSN } }),
    );
    const pdus = initiator.receive();
    for (let count = 0; count < 120; count++) pdus.push(...(await initiator.drain()));
    const tags = pdus.map((pdu) => pdu.header.getUint32(16));
    expect(tags).not.toContain(tag + 5);
    expect(pdus.find((pdu) => pdu.header.getUint32(16) === 500)?.opcode).toBe(0x22);
    // A sign of life is not behind all the data that is still to be sent.
    expect(tags.indexOf(501)).toBeLessThan(tags.lastIndexOf(tag + 4));
    expect(tags.indexOf(501)).toBeGreaterThan(-1);
  });

  test("ABORT TASK at every state of a write that is asked for", async () => {
    for (let state = 0; state < 4; state++) {
      const world = bench();
      const initiator = await new Initiator(world).ready("MaxBurstLength=1024");
      const tag = initiator.itt;
      const abort = build(0x02, {
        immediate: true,
        flags: 0x81,
        itt: 500,
        words: { 20: tag, 24: initiator.cmdSN + 1 },
      });
      await initiator.send(initiator.command(write10(0, 4), { write: 2048 }));
      const [r2t] = initiator.receive();
      const data = initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(512), false);
      if (state > 0) await initiator.send(data.slice(0, state > 1 ? undefined : 60));
      if (state > 2) {
        await initiator.send(initiator.dataOut(tag, r2t.header.getUint32(20), 1, 512, pattern(512), true));
        initiator.receive();
      }
      if (state === 1) await initiator.send(concat(data.slice(60), abort));
      else await initiator.send(abort);
      expect(opcodes(initiator.receive())).toEqual([0x22]);
      expect(world.server.sessions()[0]).toMatchObject({ tasks: 0, bytesHeld: 0 });
      await initiator.send(initiator.command(read10(0, 1), { read: 512 }));
      expect(opcodes(initiator.receive())).toEqual([0x25]);
    }
  });
});

test("DataACKs of each of the most Data-Ins that a read can have cost what as many for nothing do, give or take", async () => {
  const initiator = await new Initiator(bench()).ready(
    "ErrorRecoveryLevel=1",
    "MaxRecvDataSegmentLength=512",
    "MaxBurstLength=1048576",
  );
  const count = 16384;
  const tag = initiator.itt;
  await initiator.send(initiator.command(read10(0, count), { read: count * 512 }));
  const pdus = initiator.receive();
  while (pdus.length <= count) pdus.push(...(await initiator.drain()));
  const acknowledgeAll = async (of: number) => {
    const all = Array.from({ length: count }, (_, at) =>
      build(0x10, { flags: 0x82, itt: 0xffffffff, words: { 20: of, 40: at + 1 } }),
    );
    const begun = performance.now();
    await initiator.send(...all);
    return performance.now() - begun;
  };
  const forNothing = await acknowledgeAll(tag + 1);
  // By the square of their number it would be hundreds of times as much.
  expect(await acknowledgeAll(tag)).toBeLessThan(20 * forNothing);
  await initiator.send(build(0x10, { flags: 0x80, itt: tag, words: { 20: 0xffffffff, 40: count - 1, 44: 1 } }));
  expect(initiator.receive().map(({ opcode, header }) => [opcode, header.getUint8(2)])).toEqual([[0x3f, 4]]);
});
