/** Error recovery level 1: digests and SNACKs, RFC 7143 sections 7.2 and 7.8 and 11.16. */

import { describe, expect, test } from "vitest";
import { DATA_RESENT_MAX, RETAINED_STATUSES_MAX } from "./limits.ts";
import { crc32c } from "./testing/crc32c.ts";
import {
  type Bench,
  bench,
  build,
  concat,
  Initiator,
  opcodes,
  type Pdu,
  pattern,
  read10,
  responses,
  same,
  TARGET,
  text,
  write10,
} from "./testing/initiator.ts";

const LEVEL = "ErrorRecoveryLevel=1";
const DATA_DIGEST_ERROR = [0x3f, 2];
const PROTOCOL_ERROR = [0x3f, 4];
const DATA_OR_R2T = 0;
const STATUS = 1;
const DATA_ACK = 2;
const R_DATA = 3;

async function open(...keys: readonly string[]) {
  const world = bench({ crc32c });
  const initiator = new Initiator(world);
  await initiator.login(LEVEL, "HeaderDigest=CRC32C", "DataDigest=CRC32C", ...keys);
  initiator.crc = crc32c;
  await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
  initiator.receive();
  return { world, initiator };
}

/** With a bit of its data changed. */
function spoilt(pdu: Uint8Array): Uint8Array {
  const copy = pdu.slice();
  copy[copy.length - 5] ^= 1;
  return copy;
}

/** @param other the Target Transfer Tag or the SNACK Tag */
const snack = (type: number, tag: number, begin: number, count: number, other = 0xffffffff) =>
  build(0x10, {
    flags: 0x80 | type,
    itt: tag,
    words: { 20: other, 40: begin, 44: count },
    crc: { header: crc32c, data: crc32c },
  });

const acknowledge = (initiator: Initiator, expStatSN: number) =>
  build(0x00, {
    immediate: true,
    itt: 0xffffffff,
    words: { 20: 0xffffffff, 24: initiator.cmdSN, 28: expStatSN },
    crc: { header: crc32c, data: crc32c },
  });

/** What a repeated PDU has in common with the first. */
const lasting = ({ header, data, flags }: Pdu) => [
  flags,
  ...[16, 20, 24, 36, 40, 44].map((at) => header.getUint32(at)),
  [...data],
];

test.each([
  [undefined, "2"],
  [1, "1"],
  [0, "0"],
] as const)("a server that allows level %s agrees to %s of 2", async (errorRecoveryLevel, agreed) => {
  const reply = await new Initiator(bench({ errorRecoveryLevel })).login("ErrorRecoveryLevel=2");
  expect(new TextDecoder().decode(reply.data)).toContain(`ErrorRecoveryLevel=${agreed}`);
});

describe("a wrong data digest", () => {
  test("of a command costs that PDU: those after it wait until it has come again", async () => {
    const { world, initiator } = await open();
    const write = initiator.command(write10(0, 1), { write: 512, data: pattern(512) });
    const read = initiator.command(read10(0, 1), { read: 512 });
    await initiator.send(spoilt(write), read);
    expect(responses(initiator.receive())).toEqual([DATA_DIGEST_ERROR]);
    expect(initiator.transport.closed).toBe("no");
    await initiator.send(write);
    const pdus = initiator.receive();
    expect(opcodes(pdus)).toEqual([0x21, 0x25, 0x21]);
    expect(pdus[1].data).toEqual(pattern(512));
    expect(world.device.calls.filter((call) => call.startsWith("write"))).toEqual(["write 0+1"]);
  });

  test("at every place where the PDU can be split", async () => {
    const { initiator } = await open();
    for (const at of [1, 47, 50, 52, 53, 300, 560, 564, 567]) {
      const write = initiator.command(write10(at, 1), { write: 512, data: pattern(512) });
      const bad = spoilt(write);
      await initiator.send(bad.slice(0, at));
      await initiator.send(bad.slice(at));
      expect(responses(initiator.receive())).toEqual([DATA_DIGEST_ERROR]);
      await initiator.send(write.slice(0, at));
      await initiator.send(write.slice(at));
      expect(responses(initiator.receive())).toEqual([[0x21, 0]]);
    }
  });

  test.each([
    ["first", 0, 1024, true],
    ["second", 1, 512, true],
    ["last", 3, 1536, true],
    ["first, streamed", 0, 64 * 1024, false],
    ["last, streamed", 3, 64 * 1024, false],
  ])("of a Data-Out (the %s): all from it on is asked for again", async (_, bad, segment, whole) => {
    const { world, initiator } = await open("MaxOutstandingR2T=4", "MaxBurstLength=262144");
    const data = pattern(segment * 4);
    const tag = initiator.itt;
    await initiator.send(initiator.command(write10(0, data.length / 512), { write: data.length }));
    const [first] = initiator.receive();
    const parts = [0, 1, 2, 3].map((one) => {
      const part = data.slice(one * segment, (one + 1) * segment);
      const pdu = initiator.dataOut(tag, first.header.getUint32(20), one, one * segment, part, one === 3);
      return one === bad ? spoilt(pdu) : pdu;
    });
    const bytes = concat(...parts);
    for (let at = 0; at < bytes.length; at += whole ? bytes.length : 9999) {
      await initiator.send(bytes.slice(at, Math.min(bytes.length, at + (whole ? bytes.length : 9999))));
    }
    const pdus = initiator.receive();
    expect(responses(pdus.slice(0, 1))).toEqual([DATA_DIGEST_ERROR]);
    const [again, ...more] = pdus.slice(1);
    expect(more).toEqual([]);
    expect([again.opcode, ...[36, 40, 44].map((at) => again.header.getUint32(at))]).toEqual([
      0x31,
      1,
      bad * segment,
      (4 - bad) * segment,
    ]);
    for (let at = bad * segment, sn = 0; at < data.length; at += segment, sn++) {
      const part = data.slice(at, at + segment);
      const last = at + segment === data.length;
      await initiator.send(initiator.dataOut(tag, again.header.getUint32(20), sn, at, part, last));
    }
    expect(responses(initiator.receive())).toEqual([[0x21, 0]]);
    expect(same(world.device.bytes.subarray(0, data.length), data)).toBe(true);
  });

  test("of unsolicited data, and of that of a command which has come early", async () => {
    const { world, initiator } = await open("InitialR2T=No");
    const missing = initiator.command(read10(0, 1), { read: 512 });
    const tag = initiator.itt;
    const data = pattern(1024);
    await initiator.send(
      initiator.command(write10(0, 2), { write: 1024, data: data.slice(0, 512), more: true }),
      spoilt(initiator.dataOut(tag, 0xffffffff, 0, 512, data.slice(512), true)),
    );
    expect(responses(initiator.receive())).toEqual([DATA_DIGEST_ERROR]);
    await initiator.send(missing);
    const pdus = initiator.receive();
    expect(opcodes(pdus)).toEqual([0x25, 0x21, 0x31]);
    expect([40, 44].map((at) => pdus[2].header.getUint32(at))).toEqual([512, 512]);
    await initiator.send(initiator.dataOut(tag, pdus[2].header.getUint32(20), 0, 512, data.slice(512), true));
    expect(responses(initiator.receive())).toEqual([[0x21, 0]]);
    expect(same(world.device.bytes.subarray(0, 1024), data)).toBe(true);
    expect(world.server.sessions()[0]).toMatchObject({ tasks: 0, bytesHeld: 0 });
  });

  test("of unsolicited data that is arriving while the turn of its command comes", async () => {
    const { world, initiator } = await open("InitialR2T=No", "MaxConnections=2");
    const other = initiator.beside(1);
    await other.login("HeaderDigest=CRC32C", "DataDigest=CRC32C");
    other.crc = crc32c;
    const missing = other.command(read10(0, 1), { read: 512 });
    const tag = initiator.itt;
    const data = pattern(32768);
    const write = initiator.command(write10(0, 64), { write: data.length, more: true });
    const bad = spoilt(initiator.dataOut(tag, 0xffffffff, 0, 0, data, true));
    await initiator.send(concat(write, bad.slice(0, 20_000)));
    await other.send(missing);
    expect(opcodes(other.receive())).toEqual([0x25, 0x21]);
    await initiator.send(bad.slice(20_000));
    const [reject, r2t] = initiator.receive();
    expect(responses([reject])).toEqual([DATA_DIGEST_ERROR]);
    expect([r2t.opcode, r2t.header.getUint32(40), r2t.header.getUint32(44)]).toEqual([0x31, 0, data.length]);
    await initiator.send(initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, data, true));
    expect(responses(initiator.receive())).toEqual([[0x21, 0]]);
    expect(same(world.device.bytes.subarray(0, data.length), data)).toBe(true);
  });

  test("of a Data-Out of a task that is not there is rejected, and no more", async () => {
    const { initiator } = await open();
    await initiator.send(spoilt(initiator.dataOut(99, 5, 0, 0, pattern(64), true)));
    expect(responses(initiator.receive())).toEqual([DATA_DIGEST_ERROR]);
    await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
    expect(opcodes(initiator.receive())).toEqual([0x21]);
  });

  test("a wrong header digest still ends the connection", async () => {
    const { initiator } = await open();
    const pdu = initiator.command([0, 0, 0, 0, 0, 0]);
    pdu[40] ^= 1;
    await initiator.send(pdu);
    expect(initiator.transport.closed).toBe("aborted");
  });
});

describe("SNACK", () => {
  test("of statuses: each as it was, until it is acknowledged", async () => {
    const { initiator } = await open();
    await initiator.send(
      initiator.command([0, 0, 0, 0, 0, 0]),
      initiator.command([0x28, 0, 0xff, 0, 0, 0, 0, 0, 1, 0], { read: 512 }),
      build(0x00, {
        itt: 77,
        words: { 20: 0xffffffff, 24: initiator.cmdSN++ },
        data: pattern(100),
        crc: { header: crc32c, data: crc32c },
      }),
    );
    const first = initiator.receive();
    expect(opcodes(first)).toEqual([0x21, 0x21, 0x20]);
    const statSN = first[0].header.getUint32(24);
    await initiator.send(snack(STATUS, 0xffffffff, statSN, 0));
    expect(initiator.receive().map(lasting)).toEqual(first.map(lasting));
    await initiator.send(snack(STATUS, 0xffffffff, statSN + 1, 1));
    expect(initiator.receive().map(lasting)).toEqual([lasting(first[1])]);
    await initiator.send(acknowledge(initiator, statSN + 2), snack(STATUS, 0xffffffff, 0, 0));
    expect(initiator.receive().map(lasting)).toEqual([lasting(first[2])]);
    for (const [begin, count] of [
      [statSN, 1],
      [statSN + 2, 99],
      [statSN + 9, 0],
    ]) {
      await initiator.send(snack(STATUS, 0xffffffff, begin, count));
      expect(responses(initiator.receive())).toEqual([PROTOCOL_ERROR]);
    }
  });

  test.each([
    ["read at once", false, 1, 2],
    ["read at once", false, 0, 0],
    ["read at once", false, 5, 1],
    ["that needs time", true, 1, 3],
  ])("of data of a device %s: Data-Ins cut as they were (held: %s, from %i, %i)", async (_, held, begin, count) => {
    const { world, initiator } = await open("MaxRecvDataSegmentLength=1000", "MaxBurstLength=2500");
    world.device.bytes.set(pattern(8192));
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(1, 12), { read: 6144 }));
    const pdus = initiator.receive();
    expect(opcodes(pdus).at(-1)).toBe(0x21);
    const data = pdus.slice(0, -1);
    expect(data.map((pdu) => pdu.data.length)).toEqual([1000, 1000, 500, 1000, 1000, 500, 1000, 144]);
    expect(data.every((pdu) => (pdu.flags & 1) === 0)).toBe(true);
    world.device.held = held;
    await initiator.send(snack(DATA_OR_R2T, tag, begin, count));
    while (world.device.gates.length > 0) {
      world.device.gates.shift()?.open();
      await world.timers.turn();
    }
    const expected = data.slice(begin, count === 0 ? undefined : begin + count);
    expect(initiator.receive().map(lasting)).toEqual(expected.map(lasting));
  });

  test("of data while the task is still at work, and of parameter data", async () => {
    const { world, initiator } = await open("MaxRecvDataSegmentLength=262144", "MaxBurstLength=262144");
    world.device.bytes.set(pattern(2 * 1048576));
    await initiator.send(initiator.command(read10(0, 1), { read: 512 }));
    initiator.receive();
    world.device.held = true;
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(0, 3072), { read: 3072 * 512 }));
    world.device.gates.shift()?.open();
    await world.timers.turn();
    const [first] = initiator.receive();
    await initiator.send(snack(DATA_OR_R2T, tag, 0, 1), snack(DATA_OR_R2T, tag, 4, 1));
    expect(responses(initiator.receive())).toEqual([PROTOCOL_ERROR]);
    while (world.device.gates.length > 0) {
      world.device.gates.shift()?.open();
      await world.timers.turn();
    }
    const pdus = initiator.receive();
    expect(pdus.filter((pdu) => pdu.opcode === 0x25).length).toBe(3);
    expect(pdus.some((pdu) => same(pdu.data, first.data) && pdu.header.getUint32(36) === 0)).toBe(true);
    expect(pdus.filter((pdu) => pdu.opcode === 0x21).length).toBe(1);
    world.device.held = false;
    const inquiry = initiator.itt;
    await initiator.send(initiator.command([0x12, 0, 0, 0, 36, 0], { read: 36 }));
    const [page] = initiator.receive();
    await initiator.send(snack(DATA_OR_R2T, inquiry, 0, 0));
    expect(initiator.receive().map(lasting)).toEqual([lasting(page)]);
  });

  test.each([
    ["removed", (world: Bench) => void world.target.removeLun(0)],
    ["given to it no more", (world: Bench) => void world.target.changeAccess({ grant: () => ({ luns: new Map() }) })],
    ["reserved by another", (world: Bench) => world.target.device.unit(0)?.reservations.reserve("other,i,0x1")],
  ])("of data is refused where its LUN is %s", async (_, change) => {
    const { world, initiator } = await open();
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(0, 1), { read: 512 }));
    expect(opcodes(initiator.receive())).toEqual([0x25, 0x21]);
    await change(world);
    const { length } = world.device.calls;
    await initiator.send(snack(DATA_OR_R2T, tag, 0, 1));
    expect(responses(initiator.receive())).toEqual([[0x3f, 3]]);
    expect(world.device.calls).toHaveLength(length);
  });

  test("of data: whoever removes its LUN waits for the device, and nothing is sent any more", async () => {
    const { world, initiator } = await open();
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(0, 1), { read: 512 }));
    initiator.receive();
    world.device.held = true;
    await initiator.send(snack(DATA_OR_R2T, tag, 0, 1));
    let removed = false;
    const removing = world.target.removeLun(0).then(() => {
      removed = true;
    });
    await world.timers.turn();
    expect([removed, world.device.gates.length]).toEqual([false, 1]);
    world.device.gates.shift()?.open();
    await removing;
    await world.timers.turn();
    expect(opcodes(initiator.receive())).toEqual([]);
  });

  test("of data of a unit that was taken away is refused, and reads none of it any more", async () => {
    const { world, initiator } = await open();
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(0, 1), { read: 512 }));
    expect(opcodes(initiator.receive())).toEqual([0x25, 0x21]);
    world.device.held = true;
    await initiator.send(snack(DATA_OR_R2T, tag, 0, 1));
    let removed = false;
    void world.target.removeLun(0).then(() => (removed = true));
    await world.timers.turn();
    expect(removed).toBe(false);
    world.device.gates.shift()?.open();
    await world.timers.turn();
    expect([removed, opcodes(initiator.receive())]).toEqual([true, []]);
    await initiator.send(snack(DATA_OR_R2T, tag, 0, 1));
    expect(responses(initiator.receive())).toEqual([[0x3f, 3]]);
    expect(world.device.gates.length).toBe(0);
  });

  test("of data that its initiator does not take keeps no unit from being taken away", async () => {
    const { world, initiator } = await open("MaxRecvDataSegmentLength=262144");
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(0, 16384), { read: 8388608 }));
    while ((await initiator.drain()).at(-1)?.opcode !== 0x21);
    initiator.transport.capacity = 0;
    await initiator.send(snack(DATA_OR_R2T, tag, 0, 0));
    let removed = false;
    void world.target.removeLun(0).then(() => (removed = true));
    await world.timers.turn();
    expect(removed).toBe(true);
  });

  test("of an R2T that was not answered", async () => {
    const { initiator } = await open();
    const tag = initiator.itt;
    await initiator.send(initiator.command(write10(0, 2), { write: 1024 }));
    const [r2t] = initiator.receive();
    await initiator.send(snack(DATA_OR_R2T, tag, 0, 1));
    expect(initiator.receive().map(lasting)).toEqual([lasting(r2t)]);
    await initiator.send(snack(DATA_OR_R2T, tag, 1, 1));
    expect(responses(initiator.receive())).toEqual([PROTOCOL_ERROR]);
    await initiator.send(initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(1024), true));
    expect(responses(initiator.receive())).toEqual([[0x21, 0]]);
  });

  test("of what was not sent, and of a DataACK that nobody asked for, is refused", async () => {
    const { initiator } = await open();
    await initiator.send(snack(DATA_OR_R2T, 999, 0, 0), snack(DATA_ACK, 0xffffffff, 0, 0));
    expect(responses(initiator.receive())).toEqual([PROTOCOL_ERROR, PROTOCOL_ERROR]);
  });

  test("at level 0 is refused", async () => {
    const initiator = await new Initiator(bench()).ready();
    await initiator.send(build(0x10, { flags: 0x81, itt: 0xffffffff }));
    expect(responses(initiator.receive())).toEqual([[0x3f, 3]]);
  });

  test("an initiator that acknowledges nothing costs no more than the bound", async () => {
    const { world, initiator } = await open();
    for (let count = 0; count < RETAINED_STATUSES_MAX + 50; count++) {
      await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
    }
    const pdus = initiator.receive();
    const oldest = pdus[pdus.length - RETAINED_STATUSES_MAX].header.getUint32(24);
    await initiator.send(snack(STATUS, 0xffffffff, oldest - 1, 1), snack(STATUS, 0xffffffff, oldest + 1, 1));
    expect(opcodes(initiator.receive())).toEqual([0x3f, 0x21]);
    initiator.connection.onClose();
    await world.server.close();
    expect(world.memory.outstanding).toBe(0);
  });

  test("a read for a SNACK outlasts its task: the session is not quiet before its end", async () => {
    const { world, initiator } = await open();
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(0, 1), { read: 512 }));
    const [, status] = initiator.receive();
    world.device.held = true;
    await initiator.send(snack(DATA_OR_R2T, tag, 0, 0), acknowledge(initiator, status.header.getUint32(24) + 1));
    initiator.connection.onClose();
    await world.timers.turn();
    expect(world.server.sessionsOf(TARGET).length).toBe(1);
    world.device.gates[0].open();
    await world.timers.turn();
    expect(world.server.heldSessions).toBe(0);
    await world.server.close();
    expect(world.memory.outstanding).toBe(0);
  });
});

/** Declares another MaxRecvDataSegmentLength, in full feature phase. */
async function declare(initiator: Initiator, bytes: number): Promise<void> {
  await initiator.send(
    build(0x04, {
      itt: 700,
      words: { 20: 0xffffffff, 24: initiator.cmdSN++ },
      data: text(`MaxRecvDataSegmentLength=${bytes}`),
      crc: { header: crc32c, data: crc32c },
    }),
  );
  expect(opcodes(initiator.receive())).toEqual([0x24]);
}

/** Opens what the device holds back until nothing is left. */
async function openGates({ device, timers }: Bench): Promise<void> {
  while (device.gates.length > 0) {
    device.gates.shift()?.open();
    await timers.turn();
  }
}

/** The Data-Ins' numbers and lengths, in order and without a gap in what they bring. */
function dataIns(pdus: readonly Pdu[], from = 0): number[][] {
  let at = from;
  return pdus.map(({ opcode, header, data }) => {
    expect([opcode, header.getUint32(40)]).toEqual([0x25, at]);
    at += data.length;
    return [header.getUint32(36), data.length];
  });
}

const bytesOf = (pdus: readonly Pdu[]) => concat(...pdus.map(({ data }) => data));
const snackTag = ({ header }: Pdu) => header.getUint32(20);
const statSN = ({ header }: Pdu) => header.getUint32(24);
const expDataSN = ({ header }: Pdu) => header.getUint32(36);

describe("R-Data SNACK", () => {
  const KEYS = ["MaxRecvDataSegmentLength=2048", "MaxBurstLength=8192"];

  test.each([
    ["at once", false],
    ["in time", true],
  ])(
    "of a read that is over, from a device that is done %s: its data as it is taken now, and its status again",
    async (_, held) => {
      const { world, initiator } = await open(...KEYS);
      world.device.bytes.set(pattern(8192));
      const tag = initiator.itt;
      await initiator.send(initiator.command(read10(0, 8), { read: 4096 }));
      const first = initiator.receive();
      expect(dataIns(first.slice(0, 2))).toEqual([
        [0, 2048],
        [1, 2048],
      ]);
      await declare(initiator, 1024);
      await initiator.send(snack(DATA_OR_R2T, tag, 0, 0));
      expect(responses(initiator.receive())).toEqual([[0x3f, 3]]);
      world.device.held = held;
      await initiator.send(snack(R_DATA, tag, 0, 0, 77));
      await openGates(world);
      const again = initiator.receive();
      expect(dataIns(again.slice(0, 4)).map(([dataSN]) => dataSN)).toEqual([0, 1, 2, 3]);
      expect(same(bytesOf(again.slice(0, 4)), pattern(8192).subarray(0, 4096))).toBe(true);
      const status = again[4];
      expect([status.opcode, snackTag(status), expDataSN(status)]).toEqual([0x21, 77, 4]);
      expect(statSN(status)).toBe(statSN(first[2]));
      // Whoever asks for the status gets it as it was said last.
      await initiator.send(snack(STATUS, 0xffffffff, statSN(status), 1), snack(DATA_OR_R2T, tag, 3, 1));
      await openGates(world);
      expect(initiator.receive().map(lasting)).toEqual([status, again[3]].map(lasting));
    },
  );

  test("of a read that goes on: what was sent comes anew, then the rest and the status", async () => {
    const { world, initiator } = await open("MaxRecvDataSegmentLength=262144", "MaxBurstLength=1048576");
    const bytes = 2 * 1048576;
    world.device.bytes.set(pattern(bytes));
    world.device.held = true;
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(0, bytes / 512), { read: bytes }));
    world.device.gates.shift()?.open();
    await world.timers.turn();
    expect(dataIns(initiator.receive()).length).toBe(4);
    await declare(initiator, 131072);
    await initiator.send(snack(R_DATA, tag, 0, 0, 5));
    await openGates(world);
    const all: Pdu[] = [];
    for (let pdus = initiator.receive(); pdus.length > 0; pdus = await initiator.drain()) {
      all.push(...pdus);
      await openGates(world);
    }
    const status = all.pop();
    expect(dataIns(all)).toEqual(Array.from({ length: 16 }, (_, at) => [at, 131072]));
    expect(same(bytesOf(all), pattern(bytes))).toBe(true);
    expect(status && [status.opcode, status.header.getUint8(3), snackTag(status), expDataSN(status)]).toEqual([
      0x21, 0, 5, 16,
    ]);
    expect(world.server.sessions()[0].tasks).toBe(0);
  });

  test("of a read that was cut in more than one way: a Data SNACK is refused, R-Data and DataACK are not", async () => {
    const { world, initiator } = await open("MaxRecvDataSegmentLength=262144", "MaxBurstLength=524288");
    const bytes = 3 * 1048576;
    world.device.held = true;
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(0, bytes / 512), { read: bytes }));
    const all: Pdu[] = [];
    for (const segmentBytes of [131072, 524288]) {
      world.device.gates.shift()?.open();
      await world.timers.turn();
      all.push(...initiator.receive());
      await declare(initiator, segmentBytes);
    }
    await openGates(world);
    for (let pdus = initiator.receive(); pdus.length > 0; pdus = await initiator.drain()) all.push(...pdus);
    all.pop();
    expect(dataIns(all).map(([, length]) => length / 131072)).toEqual([2, 2, 2, 2, ...Array(8).fill(1), 4, 4]);
    await initiator.send(snack(DATA_OR_R2T, tag, 13, 1));
    expect(responses(initiator.receive())).toEqual([[0x3f, 3]]);
    // What was cut in the first way, and half of what was in the second.
    const asks = all[7];
    expect([asks.flags & 0x40, asks.header.getUint32(36)]).toEqual([0x40, 7]);
    await initiator.send(snack(DATA_ACK, 0xffffffff, 8, 0, tag));
    await declare(initiator, 262144);
    world.device.held = false;
    await initiator.send(snack(R_DATA, tag, 0, 0, 9));
    const anew: Pdu[] = [];
    for (let pdus = initiator.receive(); pdus.length > 0; pdus = await initiator.drain()) anew.push(...pdus);
    const status = anew.pop();
    expect(dataIns(anew, 1048576 + 524288)).toEqual(Array.from({ length: 6 }, (_, at) => [8 + at, 262144]));
    expect([status && snackTag(status), status && expDataSN(status)]).toEqual([9, 14]);
  });

  test("twice: only the last one has the status", async () => {
    const { world, initiator } = await open(...KEYS);
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(0, 8), { read: 4096 }));
    initiator.receive();
    await declare(initiator, 1024);
    world.device.held = true;
    await initiator.send(snack(R_DATA, tag, 0, 0, 1));
    await declare(initiator, 512);
    await initiator.send(snack(R_DATA, tag, 0, 0, 2));
    await openGates(world);
    const all = initiator.receive();
    const status = all.pop();
    expect([dataIns(all).length, status && snackTag(status), status && expDataSN(status)]).toEqual([8, 2, 8]);
  });

  test("of parameter data, of a command without data, and of one that failed", async () => {
    const { world, initiator } = await open();
    world.device.bytes.set(pattern(8192));
    const inquiry = initiator.itt;
    await initiator.send(
      initiator.command([0x12, 0, 0, 0, 36, 0], { read: 36 }),
      initiator.command([0, 0, 0, 0, 0, 0]),
      initiator.command([0x28, 0, 0xff, 0, 0, 0, 0, 0, 1, 0], { read: 512 }),
    );
    const [data, ...statuses] = initiator.receive();
    await declare(initiator, 512);
    for (const [at, status] of statuses.entries()) {
      await initiator.send(snack(R_DATA, inquiry + at, 0, 0, 50 + at));
      const again = initiator.receive();
      if (at === 0) expect(lasting(again.shift() ?? data)).toEqual(lasting(data));
      const [answer, ...more] = again;
      expect([more, snackTag(answer), statSN(answer), answer.header.getUint8(3)]).toEqual([
        [],
        50 + at,
        statSN(status),
        status.header.getUint8(3),
      ]);
      expect(same(answer.data, status.data)).toBe(true);
    }
  });

  test("of a write, of what is not there, or with senseless fields is refused", async () => {
    const { world, initiator } = await open(...KEYS);
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(0, 1), { read: 512 }));
    await initiator.send(initiator.command(write10(0, 2), { write: 1024 }));
    initiator.receive();
    await initiator.send(
      snack(R_DATA, tag + 1, 0, 0, 1),
      snack(R_DATA, 999, 0, 0, 1),
      snack(R_DATA, tag, 1, 0, 1),
      snack(R_DATA, tag, 0, 1, 1),
      snack(R_DATA, tag, 0, 0, 0),
      snack(R_DATA, tag, 0, 0),
    );
    expect(responses(initiator.receive())).toEqual(Array.from({ length: 6 }, () => PROTOCOL_ERROR));
    await world.target.removeLun(0);
    await initiator.wait();
    initiator.receive();
    await initiator.send(snack(R_DATA, tag, 0, 0, 1));
    expect(responses(initiator.receive())).toEqual([[0x3f, 3]]);
  });

  test("of more reads than may be sent again at once is refused, and changes nothing", async () => {
    const { world, initiator } = await open(...KEYS);
    const tag = initiator.itt;
    for (let count = 0; count <= DATA_RESENT_MAX; count++) {
      await initiator.send(initiator.command(read10(0, 1), { read: 512 }));
    }
    const statuses = initiator.receive().filter(({ opcode }) => opcode === 0x21);
    world.device.held = true;
    for (let count = 0; count <= DATA_RESENT_MAX; count++) await initiator.send(snack(R_DATA, tag + count, 0, 0, 3));
    expect(responses(initiator.receive())).toEqual([[0x3f, 0x0a]]);
    await initiator.send(snack(STATUS, 0xffffffff, statSN(statuses[DATA_RESENT_MAX]), 1));
    expect(initiator.receive().map(lasting)).toEqual([lasting(statuses[DATA_RESENT_MAX])]);
    await openGates(world);
    expect(
      initiator
        .receive()
        .filter(({ opcode }) => opcode === 0x21)
        .map(snackTag),
    ).toEqual([3, 3, 3, 3]);
  });
});

describe("DataACK", () => {
  const KEYS = ["MaxRecvDataSegmentLength=1024", "MaxBurstLength=2048"];
  const ACKNOWLEDGE = 0x40;

  test("is asked for at the end of each burst but the last; what it acknowledges is not sent again", async () => {
    const { world, initiator } = await open(...KEYS);
    world.device.bytes.set(pattern(8192));
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(0, 10), { read: 5120, lun: 0 }));
    const pdus = initiator.receive();
    const status = pdus.pop();
    expect(pdus.map(({ flags }) => (flags & ACKNOWLEDGE) !== 0)).toEqual([false, true, false, true, false]);
    const asks = pdus[1].header;
    expect([asks.getUint32(8), asks.getUint32(20)]).toEqual([0, tag]);
    expect(pdus[0].header.getUint32(20)).toBe(0xffffffff);
    await initiator.send(snack(DATA_ACK, 0xffffffff, 2, 0, tag));
    expect(initiator.receive()).toEqual([]);
    await initiator.send(snack(DATA_OR_R2T, tag, 1, 1), snack(DATA_OR_R2T, tag, 0, 0));
    const [refusal, ...again] = initiator.receive();
    expect(responses([refusal])).toEqual([PROTOCOL_ERROR]);
    expect(again.map(lasting)).toEqual(pdus.slice(2).map(lasting));
    await declare(initiator, 512);
    await initiator.send(snack(R_DATA, tag, 0, 0, 4));
    const anew = initiator.receive();
    const answer = anew.pop();
    expect(dataIns(anew, 2048).map(([dataSN]) => dataSN)).toEqual([2, 3, 4, 5, 6, 7]);
    expect(same(bytesOf(anew), pattern(8192).subarray(2048, 5120))).toBe(true);
    expect(answer && [snackTag(answer), expDataSN(answer), statSN(answer)]).toEqual([4, 8, status && statSN(status)]);
  });

  test("of data that was not sent, of another LUN or of a write is refused; of a task that is over it changes nothing", async () => {
    const { initiator } = await open(...KEYS);
    const tag = initiator.itt;
    await initiator.send(initiator.command(read10(0, 10), { read: 5120 }));
    await initiator.send(initiator.command(write10(0, 2), { write: 1024 }));
    initiator.receive();
    const elsewhere = build(0x10, {
      flags: 0x80 | DATA_ACK,
      itt: 0xffffffff,
      words: { 8: 1 << 16, 20: tag, 40: 2 },
      crc: { header: crc32c, data: crc32c },
    });
    await initiator.send(
      snack(DATA_ACK, 0xffffffff, 6, 0, tag),
      snack(DATA_ACK, 0xffffffff, 2, 1, tag),
      snack(DATA_ACK, 0xffffffff, 1, 0, tag + 1),
      elsewhere,
    );
    expect(responses(initiator.receive())).toEqual(Array.from({ length: 4 }, () => PROTOCOL_ERROR));
    await initiator.send(snack(DATA_ACK, 0xffffffff, 2, 0, tag + 50));
    expect(initiator.receive()).toEqual([]);
  });

  test("is never asked for at level 0", async () => {
    const initiator = await new Initiator(bench()).ready(...KEYS);
    await initiator.send(initiator.command(read10(0, 10), { read: 5120 }));
    expect(initiator.receive().every(({ flags }) => (flags & ACKNOWLEDGE) === 0)).toBe(true);
  });
});
