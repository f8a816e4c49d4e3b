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
    for (let count = 0; count < 40; count++) {
      const tag = initiator.itt;
      await initiator.send(initiator.command(write10(count, 1), { write: 512 }));
      const [r2t] = initiator.receive();
      const next = initiator.cmdSN >>> 0;
      // The command has one place of the window until its response.
      expect(window(r2t)).toEqual([next, (next + 126) >>> 0]);
      await initiator.send(initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(512), true));
      expect(window(initiator.receive()[0])).toEqual([next, (next + 127) >>> 0]);
    }
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

describe("text", () => {
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
