/** Error recovery level 2: what becomes of the tasks of a connection that is lost, RFC 7143 sections 7.2.2 and 7.2.4. */

import { describe, expect, test } from "vitest";
import { LOST_CONNECTIONS_MAX, SESSIONS_MAX } from "./limits.ts";
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
  responses,
  same,
  write10,
} from "./testing/initiator.ts";
import { cdb16 } from "./testing/scsi.ts";

const LEVEL = "ErrorRecoveryLevel=2";
const TIME2WAIT = 2;
const TIME2RETAIN = 20;
const COMPLETE = [0x22, 0];
const DOES_NOT_EXIST = [0x22, 1];
const STILL_ALLEGIANT = [0x22, 3];
const NOT_SUPPORTED = [0x22, 4];

async function open(...keys: readonly string[]) {
  const world = bench();
  const one = await new Initiator(world).ready(LEVEL, "MaxConnections=4", ...keys);
  return { world, one };
}

const logout = (on: Initiator, reason: number, cid: number) =>
  build(0x06, { flags: 0x80 | reason, itt: 900 + cid, words: { 20: cid << 16, 24: on.cmdSN++ } });

const reassign = (on: Initiator, tag: number, expDataSN = 0) =>
  build(0x02, { immediate: true, flags: 0x88, itt: 5008, words: { 20: tag, 24: on.cmdSN, 36: expDataSN } });

/** Opens all gates of a device, those as well that this leads to. */
async function finish(world: ReturnType<typeof bench>) {
  while (world.device.gates.length > 0) {
    world.device.gates.shift()?.open();
    await world.timers.turn();
  }
}

/** The initiator comes again on a new connection, with the CID of the one that it lost. */
async function again(lost: Initiator, ...keys: readonly string[]) {
  lost.connection.onClose();
  const next = lost.beside(lost.cid);
  expect((await next.login(...keys)).header.getUint16(36)).toBe(0);
  return next;
}

describe("a read", () => {
  test.each([
    [0, 0],
    [3, 3000],
    [7, 6144],
  ])("that ended, its status lost, goes on from ExpDataSN %i", async (expDataSN, offset) => {
    const { world, one } = await open("MaxRecvDataSegmentLength=1000", "MaxBurstLength=262144");
    world.device.bytes.set(pattern(8192));
    const tag = one.itt;
    await one.send(one.command(read10(0, 12), { read: 6144 }));
    expect(one.receive().length).toBe(8);
    const next = await again(one, "MaxRecvDataSegmentLength=1000");
    await next.send(reassign(next, tag, expDataSN));
    const [answer, ...pdus] = next.receive();
    expect(responses([answer])).toEqual([COMPLETE]);
    expect(opcodes(pdus)).toEqual([...Array.from({ length: 7 - expDataSN }, () => 0x25), 0x21]);
    expect(pdus.slice(0, -1).map((pdu) => pdu.header.getUint32(36))).toEqual(
      Array.from({ length: 7 - expDataSN }, (_, at) => expDataSN + at),
    );
    const data = concat(...pdus.slice(0, -1).map((pdu) => pdu.data));
    expect(same(data, pattern(8192).slice(offset, 6144))).toBe(true);
    // What the response counts is all of it.
    expect(pdus.at(-1)?.header.getUint32(36)).toBe(7);
    expect(world.server.counters().bytesRead).toBe(6144);
  });

  test("that ended does not exist where another host has reserved its LUN since", async () => {
    const { world, one } = await open();
    const tag = one.itt;
    await one.send(one.command(read10(0, 1), { read: 512 }));
    one.receive();
    const next = await again(one);
    world.target.device.unit(0)?.reservations.reserve("other,i,0x1");
    const { length } = world.device.calls;
    await next.send(reassign(next, tag));
    expect(responses(next.receive())).toEqual([DOES_NOT_EXIST]);
    expect(world.device.calls).toHaveLength(length);
  });

  test("goes on with the segments of the new connection", async () => {
    const { world, one } = await open("MaxRecvDataSegmentLength=1000");
    world.device.bytes.set(pattern(8192));
    const tag = one.itt;
    await one.send(one.command(read10(0, 12), { read: 6144 }));
    one.receive();
    const next = await again(one, "MaxRecvDataSegmentLength=2000");
    await next.send(reassign(next, tag, 3));
    const [, ...pdus] = next.receive();
    expect(pdus.map((pdu) => [pdu.data.length, pdu.header.getUint32(40)])).toEqual([
      [2000, 3000],
      [1144, 5000],
      [0, 0],
    ]);
    // And may be asked for again from there on, but not before.
    await next.send(build(0x10, { flags: 0x80, itt: tag, words: { 20: 0xffffffff, 40: 2, 44: 1 } }));
    expect(responses(next.receive())).toEqual([[0x3f, 4]]);
    await next.send(build(0x10, { flags: 0x80, itt: tag, words: { 20: 0xffffffff, 40: 4, 44: 1 } }));
    const [repeated] = next.receive();
    expect([repeated.header.getUint32(40), same(repeated.data, pdus[1].data)]).toEqual([5000, true]);
  });

  test.each(["before the reassignment", "after it"])("that was at the device, which is done %s", async (when) => {
    const { world, one } = await open("MaxRecvDataSegmentLength=262144");
    world.device.bytes.set(pattern(3 * 1048576));
    world.device.held = true;
    const tag = one.itt;
    await one.send(one.command(read10(0, 4096), { read: 2097152 }));
    world.device.gates.shift()?.open();
    await world.timers.turn();
    expect(one.receive().length).toBe(4);
    const next = await again(one, "MaxRecvDataSegmentLength=262144");
    if (when === "before the reassignment") await finish(world);
    await next.send(reassign(next, tag, 2));
    await finish(world);
    const [answer, ...pdus] = next.receive();
    expect(responses([answer])).toEqual([COMPLETE]);
    expect(opcodes(pdus)).toEqual([0x25, 0x25, 0x25, 0x25, 0x25, 0x25, 0x21]);
    const data = concat(...pdus.map((pdu) => pdu.data));
    expect(same(data, pattern(3 * 1048576).slice(2 * 262144, 2097152))).toBe(true);
    next.connection.onClose();
    await world.server.close();
    expect(world.memory.outstanding).toBe(0);
  });

  test("of which the device fails the second time fails", async () => {
    const { world, one } = await open();
    const tag = one.itt;
    await one.send(one.command(read10(0, 1), { read: 512 }));
    one.receive();
    const next = await again(one);
    world.device.failure = Object.assign(new Error("broken"), { code: "EIO" });
    await next.send(reassign(next, tag));
    const pdus = next.receive();
    expect(opcodes(pdus)).toEqual([0x22, 0x21]);
    expect(pdus[1].header.getUint8(3)).toBe(2);
  });

  test("of parameter data", async () => {
    const { one } = await open();
    const tag = one.itt;
    await one.send(one.command([0x12, 0, 0, 0, 36, 0], { read: 36 }));
    const [page] = one.receive();
    const next = await again(one);
    await next.send(reassign(next, tag));
    const pdus = next.receive();
    expect(opcodes(pdus)).toEqual([0x22, 0x25, 0x21]);
    expect(pdus[1].data).toEqual(page.data);
  });

  test("many together stay within the bound of the output", async () => {
    const { world, one } = await open("MaxRecvDataSegmentLength=262144");
    const tags = Array.from({ length: 20 }, (_, at) => one.itt + at);
    await one.send(...tags.map(() => one.command(read10(0, 2048), { read: 1048576 })));
    one.receive();
    const next = await again(one, "MaxRecvDataSegmentLength=262144");
    next.transport.capacity = 300_000;
    await next.send(...tags.map((tag) => reassign(next, tag)));
    expect(world.server.sessions()[0].outputBytesQueued).toBeLessThan(12 * 1048576);
    const pdus: Pdu[] = [];
    for (let count = 0; count < 400; count++) pdus.push(...(await next.drain()));
    expect(pdus.reduce((sum, pdu) => sum + pdu.data.length, 0)).toBe(20 * 1048576);
    expect(pdus.filter((pdu) => pdu.opcode === 0x21).length).toBe(20);
  });
});

describe("a write", () => {
  test("is asked for what has not come, on another connection after a logout for recovery", async () => {
    const { world, one } = await open("InitialR2T=No", "MaxBurstLength=2048");
    const two = one.beside(7);
    await two.login();
    const data = pattern(4096);
    const tag = two.itt;
    await two.send(two.command(write10(0, 8), { write: 4096, data: data.slice(0, 1024), more: true }));
    await two.send(two.dataOut(tag, 0xffffffff, 0, 1024, data.slice(1024, 2048), false));
    two.connection.onClose();
    await one.send(reassign(one, tag));
    expect(responses(one.receive())).toEqual([STILL_ALLEGIANT]);
    await one.send(logout(one, 2, 7));
    const [loggedOut] = one.receive();
    expect([loggedOut.opcode, loggedOut.header.getUint8(2)]).toEqual([0x26, 0]);
    expect([40, 42].map((at) => loggedOut.header.getUint16(at))).toEqual([0, TIME2RETAIN]);
    await one.send(reassign(one, tag));
    const [answer, r2t] = one.receive();
    expect(responses([answer])).toEqual([COMPLETE]);
    expect([r2t.opcode, ...[16, 36, 40, 44].map((at) => r2t.header.getUint32(at))]).toEqual([0x31, tag, 0, 2048, 2048]);
    await one.send(one.dataOut(tag, r2t.header.getUint32(20), 0, 2048, data.slice(2048), true));
    expect(responses(one.receive())).toEqual([[0x21, 0]]);
    expect(same(world.device.bytes.subarray(0, 4096), data)).toBe(true);
    expect(world.server.sessions()[0]).toMatchObject({ connections: 1, tasks: 0, bytesHeld: 0 });
  });

  test("is asked again for what an R2T on the lost connection had asked for", async () => {
    const { one } = await open();
    const tag = one.itt;
    await one.send(one.command(write10(0, 2), { write: 1024 }));
    one.receive();
    const next = await again(one);
    await next.send(reassign(next, tag, 0));
    const [, r2t] = next.receive();
    expect([36, 40, 44].map((at) => r2t.header.getUint32(at))).toEqual([0, 0, 1024]);
    expect(r2t.header.getUint32(20)).not.toBe(0xffffffff);
    await next.send(next.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(1024), true));
    expect(responses(next.receive())).toEqual([[0x21, 0]]);
  });

  test.each(["before the reassignment", "after it"])("that was at the device, which is done %s", async (when) => {
    const { world, one } = await open();
    world.device.held = true;
    const tag = one.itt;
    await one.send(one.command(write10(0, 1), { write: 512, data: pattern(512) }));
    const next = await again(one);
    if (when === "before the reassignment") await finish(world);
    await next.send(reassign(next, tag));
    await finish(world);
    expect(responses(next.receive())).toEqual([COMPLETE, [0x21, 0]]);
    expect(world.device.calls.filter((call) => call.startsWith("write"))).toEqual(["write 0+1"]);
    expect(world.server.sessions()[0]).toMatchObject({ tasks: 0, bytesHeld: 0 });
  });

  test("whose status was lost is answered again and not carried out again", async () => {
    const { world, one } = await open();
    const tag = one.itt;
    await one.send(one.command(write10(0, 1), { write: 512, data: pattern(512) }));
    const [first] = one.receive();
    const next = await again(one);
    await next.send(reassign(next, tag));
    const pdus = next.receive();
    expect(responses(pdus)).toEqual([COMPLETE, [0x21, 0]]);
    expect(pdus[1].header.getUint32(44)).toBe(first.header.getUint32(44));
    expect(world.device.calls.filter((call) => call.startsWith("write")).length).toBe(1);
    expect(world.server.counters().bytesWritten).toBe(512);
    // And once more, if that is lost as well.
    const third = await again(next);
    await third.send(reassign(third, tag));
    expect(responses(third.receive())).toEqual([COMPLETE, [0x21, 0]]);
  });

  test("that has failed is answered again, and asked for nothing", async () => {
    const { one } = await open();
    const tag = one.itt;
    await one.send(one.command(write10(0, 2), { write: 1024 }));
    const [r2t] = one.receive();
    await one.send(one.dataOut(tag, r2t.header.getUint32(20) + 1, 0, 0, pattern(1024), true));
    expect(opcodes(one.receive())).toEqual([0x3f, 0x21]);
    const next = await again(one);
    await next.send(reassign(next, tag));
    const pdus = next.receive();
    expect(responses(pdus)).toEqual([COMPLETE, [0x21, 0]]);
    expect([pdus[1].header.getUint8(3), pdus[1].data[4]]).toEqual([2, 0x0b]);
  });

  test("and an ordered one behind it keep their order", async () => {
    const { world, one } = await open();
    world.device.held = true;
    const first = one.itt;
    await one.send(
      one.command(write10(0, 1), { write: 512, data: pattern(512, 1) }),
      one.command(write10(0, 1), { write: 512, data: pattern(512, 2), attribute: 2 }),
    );
    const next = await again(one);
    await next.send(reassign(next, first + 1), reassign(next, first));
    expect(world.device.gates.length).toBe(1);
    await finish(world);
    expect(opcodes(next.receive())).toEqual([0x22, 0x22, 0x21, 0x21]);
    expect(same(world.device.bytes.subarray(0, 512), pattern(512, 2))).toBe(true);
  });
});

test("a write that has not had its turn is renewed as well", async () => {
  const { world, one } = await open("InitialR2T=No");
  world.device.held = true;
  await one.send(one.command(write10(8, 1), { write: 512, data: pattern(512) }));
  const tag = one.itt;
  const data = pattern(1536, 5);
  await one.send(
    one.command(write10(0, 3), { write: 1536, data: data.slice(0, 512), more: true, attribute: 2 }),
    one.dataOut(tag, 0xffffffff, 0, 512, data.slice(512, 1024), false),
  );
  const next = await again(one);
  await next.send(reassign(next, tag - 1), reassign(next, tag));
  expect(responses(next.receive())).toEqual([COMPLETE, COMPLETE]);
  world.device.held = false;
  await finish(world);
  const [, r2t] = next.receive();
  expect([40, 44].map((at) => r2t.header.getUint32(at))).toEqual([1024, 512]);
  await next.send(next.dataOut(tag, r2t.header.getUint32(20), 0, 1024, data.slice(1024), true));
  expect(responses(next.receive())).toEqual([[0x21, 0]]);
  expect(same(world.device.bytes.subarray(0, 1536), data)).toBe(true);
});

describe("a command that runs without data", () => {
  test.each(["before the reassignment", "after it"])("and is done %s", async (when) => {
    const { world, one } = await open();
    world.device.held = true;
    const tag = one.itt;
    // VERIFY reads the medium.
    await one.send(one.command([0x2f, 0, 0, 0, 0, 0, 0, 0, 8, 0]));
    const next = await again(one);
    if (when === "before the reassignment") await finish(world);
    await next.send(reassign(next, tag));
    await finish(world);
    expect(responses(next.receive())).toEqual([COMPLETE, [0x21, 0]]);
  });
});

describe("a command that works for its answer", () => {
  test.each(["before the reassignment", "after it"])("and has it %s", async (when) => {
    const { world, one } = await open();
    let tell = () => {};
    world.device.allocation = (_lba, blocks) =>
      new Promise((resolve) => {
        tell = () => resolve({ mapped: true, blocks });
      });
    const tag = one.itt;
    // GET LBA STATUS.
    await one.send(one.command(cdb16(0x9e, 0, 24).with(1, 0x12), { read: 24 }));
    const next = await again(one);
    if (when === "before the reassignment") {
      tell();
      await world.timers.turn();
    }
    await next.send(reassign(next, tag));
    tell();
    await world.timers.turn();
    const pdus = next.receive();
    expect(opcodes(pdus)).toEqual([0x22, 0x25, 0x21]);
    expect(pdus[1].data.length).toBe(24);
  });
});

describe("what can't be reassigned", () => {
  test("unknown tasks, those of a connection that is there, of another LUN, and acknowledged ones", async () => {
    const { world, one } = await open();
    const two = one.beside(7);
    await two.login();
    world.device.held = true;
    const live = one.itt;
    await one.send(one.command(read10(0, 1), { read: 512 }));
    await two.send(reassign(two, live), reassign(two, 999));
    expect(responses(two.receive())).toEqual([STILL_ALLEGIANT, DOES_NOT_EXIST]);
    world.device.held = false;
    await finish(world);
    const tag = two.itt;
    await two.send(two.command([0, 0, 0, 0, 0, 0]));
    const statSN = two.receive().at(-1)?.header.getUint32(24) ?? 0;
    two.connection.onClose();
    const next = one.beside(7);
    // The login says what the initiator had of the connection before.
    await next.send(
      build(0x03, {
        immediate: true,
        flags: 0x87,
        words: { 8: next.port.isid, 12: next.tsih, 20: 7 << 16, 24: next.cmdSN, 28: statSN + 1 },
        data: new TextEncoder().encode(`InitiatorName=${next.port.name}\0TargetName=iqn.2026-11.dev.antipode:test\0`),
      }),
    );
    expect(next.receive()[0].header.getUint32(24)).toBe(statSN + 1);
    await next.send(reassign(next, tag));
    expect(responses(next.receive())).toEqual([DOES_NOT_EXIST]);
  });

  test("below level 2 there is no reassignment, and no logout for recovery", async () => {
    const initiator = await new Initiator(bench()).ready("ErrorRecoveryLevel=1");
    await initiator.send(reassign(initiator, 1), logout(initiator, 2, 0));
    expect(responses(initiator.receive())).toEqual([NOT_SUPPORTED, [0x26, 2]]);
  });

  test("an aborted one, and those that a LUN reset has ended", async () => {
    const { world, one } = await open();
    const tag = one.itt;
    await one.send(one.command(write10(0, 2), { write: 1024 }), one.command(write10(8, 2), { write: 1024 }));
    const next = await again(one);
    const [abort, reset] = [next.management(1, { 20: tag }), next.management(5)];
    await next.send(abort, reassign(next, tag), reset, reassign(next, tag + 1));
    expect(responses(next.receive())).toEqual([COMPLETE, DOES_NOT_EXIST, COMPLETE, DOES_NOT_EXIST]);
    expect(world.server.sessions()[0]).toMatchObject({ tasks: 0, bytesHeld: 0 });
  });
});

describe("time", () => {
  test("a session without a connection, and its tasks, wait for Time2Wait and Time2Retain", async () => {
    const { world, one } = await open();
    await one.send(one.command(write10(0, 2), { write: 1024, data: pattern(512) }));
    one.connection.onClose();
    await world.timers.turn();
    expect(world.server.sessions()).toMatchObject([{ connections: 0, tasks: 1 }]);
    world.timers.advance((TIME2WAIT + TIME2RETAIN) * 1000 - 1);
    expect(world.server.heldSessions).toBe(1);
    world.timers.advance(1);
    expect(world.server.heldSessions).toBe(0);
    expect((await one.beside(0).login()).header.getUint16(36)).toBe(0x020a);
    await world.server.close();
    expect(world.memory.outstanding).toBe(0);
  });

  test("is not prolonged by the loss of the next connection with the CID, nor are its statuses acknowledged", async () => {
    const { world, one } = await open();
    const tag = one.itt;
    await one.send(one.command(write10(0, 2), { write: 1024 }));
    const two = await again(one);
    await two.send(two.command([0, 0, 0, 0, 0, 0]));
    world.timers.advance(TIME2RETAIN * 1000 - 1);
    const three = await again(two);
    expect(world.server.sessions()[0].tasks).toBe(1);
    world.timers.advance(1);
    expect(world.server.sessions()[0].tasks).toBe(0);
    await three.send(reassign(three, tag), reassign(three, tag + 1));
    expect(responses(three.receive())).toEqual([DOES_NOT_EXIST, COMPLETE, [0x21, 0]]);
  });

  test("of two tasks of a tag that have ended on connections that were lost, the last is answered again", async () => {
    const { one } = await open();
    const tag = one.itt;
    await one.send(one.command([0, 0, 0, 0, 0, 0]));
    const two = await again(one);
    two.itt = tag;
    await two.send(two.command(read10(70000, 1), { read: 512 }));
    expect(two.receive().map((pdu) => pdu.header.getUint8(3))).toEqual([2]);
    const three = await again(two);
    await three.send(reassign(three, tag));
    expect(three.receive().map((pdu) => pdu.header.getUint8(3))).toEqual([0, 2]);
  });

  test("of more than may wait the oldest are given up", async () => {
    const { world, one } = await open();
    let last = one;
    for (let count = 0; count < LOST_CONNECTIONS_MAX + 3; count++) {
      await last.send(last.command(write10(0, 2), { write: 1024 }));
      last = await again(last);
    }
    expect(world.server.sessions()).toMatchObject([{ connections: 1, tasks: LOST_CONNECTIONS_MAX }]);
  });

  test("after a logout for recovery for Time2Retain; then the tasks end and the session goes on", async () => {
    const { world, one } = await open();
    const two = one.beside(7);
    await two.login();
    const tag = two.itt;
    await two.send(two.command(write10(0, 2), { write: 1024 }));
    // It need not have been lost on this side as well.
    await one.send(logout(one, 2, 7));
    expect(two.transport.closed).toBe("closed");
    expect(responses(one.receive())).toEqual([[0x26, 0]]);
    world.timers.advance(TIME2RETAIN * 1000 - 1);
    expect(world.server.sessions()[0].tasks).toBe(1);
    world.timers.advance(1);
    expect(world.server.sessions()[0].tasks).toBe(0);
    await one.send(reassign(one, tag));
    expect(responses(one.receive())).toEqual([DOES_NOT_EXIST]);
  });

  test("a logout that is not for recovery ends them at once", async () => {
    const { world, one } = await open();
    const two = one.beside(7);
    await two.login();
    await two.send(two.command(write10(0, 2), { write: 1024 }));
    two.connection.onClose();
    expect(world.server.sessions()[0].tasks).toBe(1);
    await one.send(logout(one, 1, 7));
    expect(responses(one.receive())).toEqual([[0x26, 0]]);
    expect(world.server.sessions()[0].tasks).toBe(0);
    await one.send(logout(one, 1, 7));
    expect(responses(one.receive())).toEqual([[0x26, 1]]);
  });

  test("a session that is reinstated, or a target that closes, waits for none of them", async () => {
    const { world, one } = await open();
    await one.send(one.command(write10(0, 2), { write: 1024 }));
    one.connection.onClose();
    const fresh = new Initiator(world);
    expect((await fresh.login(LEVEL)).header.getUint16(36)).toBe(0);
    expect(world.server.sessions()).toMatchObject([{ connections: 1, tasks: 0 }]);
    fresh.connection.onClose();
    await world.server.close();
    expect(world.server.heldSessions).toBe(0);
    expect(world.memory.outstanding).toBe(0);
  });

  test("of many that are lost one after the other, the oldest is given up", async () => {
    const { world, one } = await open();
    let last = one;
    for (let count = 0; count < LOST_CONNECTIONS_MAX; count++) {
      await last.send(last.command(write10(0, 2), { write: 1024 }));
      last = await again(last);
    }
    expect(world.server.sessions()[0].tasks).toBe(LOST_CONNECTIONS_MAX);
    await last.send(last.command(write10(0, 2), { write: 1024 }));
    last = await again(last);
    expect(world.server.sessions()[0].tasks).toBe(LOST_CONNECTIONS_MAX);
    await last.send(reassign(last, 2), reassign(last, 3));
    expect(responses(last.receive().slice(0, 2))).toEqual([DOES_NOT_EXIST, COMPLETE]);
  });

  test("sessions that only wait make room for those that come", async () => {
    const world = bench();
    for (let isid = 1; isid <= SESSIONS_MAX + 3; isid++) {
      const initiator = new Initiator(world, { name: "iqn.many", isid });
      expect((await initiator.login(LEVEL)).header.getUint16(36)).toBe(0);
      initiator.connection.onClose();
    }
    expect(world.server.heldSessions).toBe(SESSIONS_MAX);
  });
});

test("a wrong header digest costs the connection and none of its tasks", async () => {
  const world = bench({ crc32c });
  const one = new Initiator(world);
  await one.login(LEVEL, "HeaderDigest=CRC32C", "DataDigest=CRC32C");
  one.crc = crc32c;
  await one.send(one.command([0, 0, 0, 0, 0, 0]));
  one.receive();
  const tag = one.itt;
  await one.send(one.command(write10(0, 2), { write: 1024 }));
  const bad = one.command(read10(0, 1), { read: 512 });
  const lost = one.cmdSN - 1;
  bad[40] ^= 1;
  await one.send(bad);
  expect(one.transport.closed).toBe("aborted");
  const next = await again(one);
  await next.send(reassign(next, tag));
  const [, r2t] = next.receive();
  await next.send(next.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(1024), true));
  expect(responses(next.receive())).toEqual([[0x21, 0]]);
  // The command that was damaged was never received: it comes again under its number.
  next.cmdSN = lost;
  await next.send(next.command(read10(0, 2), { read: 1024 }));
  const pdus = next.receive();
  expect([opcodes(pdus), same(pdus[0].data, pattern(1024))]).toEqual([[0x25, 0x21], true]);
});
