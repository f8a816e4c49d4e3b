/** Several connections of one session: RFC 7143 sections 4.2.2, 6.3 and 11.14. */

import { describe, expect, test } from "vitest";
import { ACKNOWLEDGE_MILLIS, MISSING_COMMAND_MILLIS } from "./limits.ts";
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
  TARGET,
  text,
  write10,
} from "./testing/initiator.ts";
import { RamDevice } from "./testing/world.ts";

const loginStatus = (reply: Pdu) => reply.header.getUint16(36);
const tags = (pdus: readonly Pdu[]) => pdus.map((pdu) => pdu.header.getUint32(16));

/** A session with two connections, and the attention of its LUN out of the way. */
async function pair(...keys: readonly string[]) {
  const world = bench();
  const one = await new Initiator(world).ready("MaxConnections=4", ...keys);
  const two = one.beside(7);
  const reply = await two.login();
  expect(loginStatus(reply)).toBe(0);
  return { world, one, two, reply };
}

const logout = (on: Initiator, reason: number, cid: number) =>
  build(0x06, { flags: 0x80 | reason, itt: 900 + cid, words: { 20: cid << 16, 24: on.cmdSN++ } });

const acknowledge = (on: Initiator, expStatSN: number) =>
  build(0x00, { immediate: true, itt: 0xffffffff, words: { 20: 0xffffffff, 24: on.cmdSN, 28: expStatSN } });

const answeredFunctions = (on: Initiator) => responses(on.receive()).filter(([opcode]) => opcode === 0x22);

describe("a login to a session that is there", () => {
  test("becomes a connection of it: same TSIH, numbers of its own and of the session", async () => {
    const { world, one, two, reply } = await pair();
    expect(reply.header.getUint16(14)).toBe(one.tsih);
    expect(reply.header.getUint32(28)).toBe(one.cmdSN);
    await two.send(two.command(read10(0, 1), { read: 512 }));
    const [read] = two.receive();
    expect([read.opcode, read.header.getUint32(24), read.header.getUint32(28)]).toEqual([0x25, 1, one.cmdSN]);
    expect(one.receive()).toEqual([]);
    expect(world.server.sessions()).toMatchObject([{ connections: 2, commands: 2 }]);
    expect(world.events.filter((event) => event.startsWith("session-"))).toEqual(["session-opened"]);
  });

  test.each([
    ["an unknown TSIH", (two: Initiator) => (two.tsih += 1), 0x020a],
    ["the ISID of another initiator port", (two: Initiator) => (two.port = { ...two.port, isid: 5 }), 0x020a],
    ["the name of another initiator", (two: Initiator) => (two.port = { ...two.port, name: "iqn.x" }), 0x020a],
  ])("is refused with %s", async (_, change, status) => {
    const world = bench();
    const one = await new Initiator(world).ready("MaxConnections=2");
    const two = one.beside(1);
    change(two);
    expect(loginStatus(await two.login())).toBe(status);
    await one.send(one.command([0, 0, 0, 0, 0, 0]));
    expect(opcodes(one.receive())).toEqual([0x21]);
  });

  test("is refused once there are MaxConnections", async () => {
    const world = bench();
    const one = await new Initiator(world).ready("MaxConnections=3");
    expect(loginStatus(await one.beside(1).login())).toBe(0);
    expect(loginStatus(await one.beside(2).login())).toBe(0);
    expect(loginStatus(await one.beside(3).login())).toBe(0x0206);
    expect(world.server.sessions()[0].connections).toBe(3);
  });

  test("takes the place of the connection with its CID, whose tasks have ended before it is answered", async () => {
    const { world, one, two } = await pair();
    world.device.held = true;
    await two.send(two.command(write10(0, 1), { write: 512, data: pattern(512) }));
    await one.send(one.command(read10(8, 1), { read: 512 }));
    const again = one.beside(7);
    expect(await again.login()).toBeUndefined();
    expect(two.transport.closed).toBe("aborted");
    world.device.gates[0].open();
    await world.timers.turn();
    expect(loginStatus(again.receive()[0])).toBe(0);
    world.device.gates[1].open();
    await world.timers.turn();
    expect(opcodes(one.receive())).toEqual([0x25]);
    expect(world.server.sessions()[0]).toMatchObject({ connections: 2, tasks: 0 });
    expect(world.server.counters().sessionsReinstated).toBe(0);
  });

  test("takes the place of the only connection: the session and its window go on", async () => {
    const world = bench();
    const one = await new Initiator(world).ready();
    const again = one.beside(0);
    expect(loginStatus(await again.login())).toBe(0);
    expect(one.transport.closed).toBe("aborted");
    await again.send(again.command(read10(0, 1), { read: 512 }));
    // No unit attention: it is the nexus that was there before.
    expect(opcodes(again.receive())).toEqual([0x25]);
    expect(world.server.heldSessions).toBe(1);
  });

  test("leaves nothing behind if its initiator goes before its turn", async () => {
    const world = bench();
    const one = await new Initiator(world).ready();
    world.device.held = true;
    await one.send(one.command(write10(0, 1), { write: 512, data: pattern(512) }));
    const again = one.beside(0);
    await again.login();
    again.connection.onClose();
    world.device.gates[0].open();
    await world.timers.turn();
    expect(world.server.heldSessions).toBe(0);
    const fresh = new Initiator(world);
    expect(loginStatus(await fresh.login())).toBe(0);
  });

  test("leaves nothing of a login with the same CID that came while both waited", async () => {
    const { world, one, two } = await pair();
    world.device.held = true;
    await two.send(two.command(write10(0, 1), { write: 512, data: pattern(512) }));
    const [again, later] = [one.beside(7), one.beside(7)];
    await again.login();
    await later.login();
    world.device.gates[0].open();
    await world.timers.turn();
    expect([again.transport.closed, later.transport.closed]).toEqual(["aborted", "no"]);
    expect(loginStatus(later.receive()[0])).toBe(0);
    expect(world.server.sessions()).toMatchObject([{ connections: 2 }]);
    await world.server.close();
    await world.timers.turn();
    expect(later.transport.closed).toBe("closed");
  });

  test("that names another initiator's session only in its last request ends none of its connections", async () => {
    const world = bench();
    const one = await new Initiator(world).ready();
    const other = new Initiator(world, { name: "iqn.x", isid: 5 });
    const request = (flags: number, tsih: number, ...keys: readonly string[]) =>
      build(0x03, { immediate: true, flags, words: { 8: 5, 12: tsih, 24: 1 }, data: text(...keys) });
    await other.send(request(0x04, 0, "InitiatorName=iqn.x", `TargetName=${TARGET}`));
    expect(other.receive().map(loginStatus)).toEqual([0]);
    await other.send(request(0x87, one.tsih));
    expect(other.receive().map(loginStatus)).toEqual([0x0200]);
    await one.send(one.command([0, 0, 0, 0, 0, 0]));
    expect(opcodes(one.receive())).toEqual([0x21]);
  });

  test("session reinstatement ends all connections", async () => {
    const { world, one, two } = await pair();
    const fresh = new Initiator(world);
    expect(loginStatus(await fresh.login())).toBe(0);
    expect([one.transport.closed, two.transport.closed]).toEqual(["aborted", "aborted"]);
    expect(world.server.sessions()).toMatchObject([{ connections: 1 }]);
    expect(world.server.counters().sessionsReinstated).toBe(1);
  });
});

describe("the order of commands", () => {
  test("one that has come early waits for those before it, with its data", async () => {
    const { world, one, two } = await pair("InitialR2T=No");
    const first = one.command(write10(0, 1), { write: 512, data: pattern(512, 1) });
    const tag = one.itt;
    const second = two.command(write10(0, 2), { write: 1024, data: pattern(512, 2), more: true });
    await two.send(second, two.dataOut(tag, 0xffffffff, 0, 512, pattern(512, 3), true));
    expect(two.receive()).toEqual([]);
    expect(world.device.calls.some((call) => call.startsWith("write"))).toBe(false);
    await one.send(first);
    expect([tags(one.receive()), tags(two.receive())]).toEqual([[tag - 1], [tag]]);
    expect(world.device.calls.filter((call) => call.startsWith("write"))).toEqual(["write 0+1", "write 0+2"]);
    expect(same(world.device.bytes.subarray(0, 1024), concat(pattern(512, 2), pattern(512, 3)))).toBe(true);
  });

  test("its data may come in parts, and its turn in the middle of them", async () => {
    const { world, one, two } = await pair("InitialR2T=No", "FirstBurstLength=65536");
    const first = one.command(read10(0, 1), { read: 512 });
    const tag = one.itt;
    const data = pattern(65536);
    const bytes = concat(
      two.command(write10(0, 128), { write: 65536, more: true }),
      two.dataOut(tag, 0xffffffff, 0, 0, data.slice(0, 30_000), false),
      two.dataOut(tag, 0xffffffff, 1, 30_000, data.slice(30_000), true),
    );
    for (let at = 0; at < 50_000; at += 7000) await two.send(bytes.slice(at, Math.min(at + 7000, 50_000)));
    await one.send(first);
    await two.send(bytes.slice(50_000));
    expect(responses(two.receive())).toEqual([[0x21, 0]]);
    expect(same(world.device.bytes.subarray(0, 65536), data)).toBe(true);
  });

  test("any order over three connections comes out in the order of CmdSN", async () => {
    const { world, one, two } = await pair();
    const three = one.beside(3);
    await three.login();
    const lanes = [one, two, three];
    const commands = Array.from({ length: 12 }, (_, at) => lanes[at % 3].command(read10(at, 1), { read: 512 }));
    for (const at of [11, 4, 7, 1, 10, 2, 5, 8, 9, 3, 6, 0]) await lanes[at % 3].send(commands[at]);
    expect(world.device.calls.filter((call) => call.startsWith("read"))).toEqual(
      Array.from({ length: 12 }, (_, at) => `read ${at}+1`),
    );
    for (const lane of lanes) expect(lane.receive().length).toBe(4);
  });

  test("a command twice, before its turn and after it, is carried out once", async () => {
    const { world, one, two } = await pair();
    const first = one.command(read10(0, 1), { read: 512 });
    const second = two.command(read10(1, 1), { read: 512 });
    await two.send(second, second);
    await one.send(first);
    await two.send(second);
    expect(two.receive().length).toBe(1);
    expect(world.device.calls.filter((call) => call === "read 1+1").length).toBe(1);
  });

  test("if the missing one does not come the session ends", async () => {
    const { world, one, two } = await pair();
    one.cmdSN++;
    await two.send(two.command(read10(0, 1), { read: 512 }));
    world.timers.advance(MISSING_COMMAND_MILLIS - 1);
    expect(world.server.sessions().length).toBe(1);
    world.timers.advance(1);
    expect([one.transport.closed, two.transport.closed]).toEqual(["aborted", "aborted"]);
    expect(world.server.heldSessions).toBe(0);
  });

  test("more than may wait ends the connection that sends it", async () => {
    const { world, one, two } = await pair();
    one.cmdSN++;
    for (let count = 0; count < 40; count++) {
      await two.send(build(0x00, { itt: 9000, words: { 20: -1, 24: two.cmdSN++ }, data: pattern(262144) }));
    }
    expect([one.transport.closed, two.transport.closed]).toEqual(["no", "aborted"]);
    expect(world.server.sessions()[0].connections).toBe(1);
  });

  test("what has come early on a connection that is gone may come again on another", async () => {
    const { world, one, two } = await pair();
    const first = one.command(read10(0, 1), { read: 512 });
    const second = two.command(read10(1, 1), { read: 512 });
    await two.send(second);
    two.connection.onClose();
    await one.send(first, second);
    expect(opcodes(one.receive())).toEqual([0x25, 0x25]);
    expect(world.server.sessions()[0].tasks).toBe(0);
  });
});

test("what was lost with a connection may come again on the one that is left", async () => {
  const { world, one, two } = await pair();
  // It never arrives.
  const lost = two.command(read10(0, 1), { read: 512 });
  await one.send(one.command(read10(1, 1), { read: 512 }));
  two.connection.onClose();
  await one.send(one.command(read10(2, 1), { read: 512 }));
  expect([one.receive(), one.transport.closed]).toEqual([[], "no"]);
  await one.send(lost);
  expect(opcodes(one.receive())).toEqual([0x25, 0x25, 0x25]);
  expect(world.device.calls.filter((call) => call.startsWith("read"))).toEqual(["read 0+1", "read 1+1", "read 2+1"]);
});

describe("allegiance", () => {
  test("data and responses go where the command came; data on another connection is refused", async () => {
    const { world, one, two } = await pair();
    const tag = one.itt;
    await two.send(two.command(write10(0, 2), { write: 1024 }));
    const [r2t] = two.receive();
    expect(one.receive()).toEqual([]);
    const data = two.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(1024), true);
    await one.send(data);
    expect(opcodes(one.receive())).toEqual([0x3f]);
    await two.send(data);
    expect(responses(two.receive())).toEqual([[0x21, 0]]);
    expect(world.device.calls).toContain("write 0+2");
  });

  test("losing a connection ends its tasks only", async () => {
    const { world, one, two } = await pair();
    world.device.held = true;
    await one.send(one.command(read10(0, 1), { read: 512 }));
    await two.send(two.command(read10(1, 1), { read: 512 }), two.command(write10(9, 2), { write: 1024 }));
    two.connection.onClose();
    await world.timers.turn();
    expect(world.server.sessions()[0]).toMatchObject({ connections: 1, tasks: 1 });
    for (const gate of world.device.gates.splice(0)) gate.open();
    await world.timers.turn();
    expect(opcodes(one.receive())).toEqual([0x25]);
    expect(world.server.sessions()[0]).toMatchObject({ tasks: 0, bytesHeld: 0 });
    one.connection.onClose();
    expect(world.server.heldSessions).toBe(0);
    await world.server.close();
    expect(world.memory.outstanding).toBe(0);
  });

  test("a LUN reset of another session while a lost connection's task is at the device", async () => {
    const { world, one, two } = await pair();
    world.device.held = true;
    const other = await new Initiator(world, { name: "iqn.other", isid: 9 << 8 }).ready();
    await two.send(two.command(read10(1, 1), { read: 512 }));
    await other.send(other.management(5));
    two.connection.onClose();
    for (const gate of world.device.gates.splice(0)) gate.open();
    await world.timers.turn();
    expect(responses(other.receive())).toEqual([[0x22, 0]]);
    one.connection.onClose();
    other.connection.onClose();
    await world.server.close();
    expect(world.memory.outstanding).toBe(0);
  });
});

describe("task management", () => {
  test("aborts a task of another connection, and one that has come early", async () => {
    const { world, one, two } = await pair();
    world.device.held = true;
    const tag = two.itt;
    await two.send(two.command(read10(0, 1), { read: 512 }));
    await one.send(one.management(1, { 20: tag }));
    const missing = one.command(read10(2, 1), { read: 512 });
    const early = two.itt;
    const refCmdSN = two.cmdSN;
    await two.send(two.command(read10(3, 1), { read: 512 }));
    await one.send(one.management(1, { 20: early, 32: refCmdSN }));
    for (const gate of world.device.gates.splice(0)) gate.open();
    await world.timers.turn();
    expect(responses(one.receive())).toEqual([
      [0x22, 0],
      [0x22, 0],
    ]);
    await one.send(missing);
    world.device.gates.shift()?.open();
    await world.timers.turn();
    expect(opcodes(one.receive())).toEqual([0x25]);
    expect(two.receive()).toEqual([]);
    expect(world.device.calls).not.toContain("read 3+1");
  });

  test("on a task set waits for the commands before it that are missing", async () => {
    const { world, one, two } = await pair();
    world.device.held = true;
    const missing = two.command(write10(0, 1), { write: 512, data: pattern(512) });
    await one.send(one.management(2));
    expect(one.receive()).toEqual([]);
    await two.send(missing);
    expect(one.receive()).toEqual([]);
    world.device.gates[0].open();
    await world.timers.turn();
    expect(responses(one.receive())).toEqual([[0x22, 0]]);
    expect(two.receive()).toEqual([]);
  });

  test("resets no other LUN where its own is taken away while it waits", async () => {
    const device = new RamDevice(64);
    const identity = { vendor: "ANTIPODE", product: "TEST", revision: "1", serial: "s", naa: 0x3000000000000001n };
    const world = bench({ target: { luns: [0, 1].map((lun) => ({ lun, device, identity })) } });
    const one = await new Initiator(world).ready("MaxConnections=2");
    const two = one.beside(7);
    await two.login();
    const other = await new Initiator(world, { name: "iqn.other", isid: 9 << 8 }).ready();
    device.held = true;
    await other.send(other.command(write10(0, 1), { write: 512, data: pattern(512) }));
    const missing = two.command([0, 0, 0, 0, 0, 0]);
    await one.send(one.management(5, { 8: 1 << 16 }));
    await world.target.removeLun(1);
    await two.send(missing);
    expect(responses(one.receive())).toEqual([[0x22, 2]]);
    device.gates[0].open();
    await world.timers.turn();
    expect(other.receive().map(({ header }) => header.getUint8(3))).toEqual([0]);
  });

  test.each([
    ["ABORT TASK SET", 2],
    ["CLEAR TASK SET", 4],
    ["LOGICAL UNIT RESET", 5],
    ["TARGET WARM RESET", 6],
    ["I_T NEXUS RESET", 11],
  ])("%s spares what came after it by CmdSN, and was brought sooner by another connection", async (_, code) => {
    const { world, one, two } = await pair("iSCSIProtocolLevel=2");
    world.device.held = true;
    await one.send(one.command(read10(0, 1), { read: 512 }));
    await two.send(two.command(read10(1, 1), { read: 512 }));
    const late = one.management(code);
    const spared = two.itt;
    await two.send(two.command(read10(2, 1), { read: 512 }));
    await one.send(late);
    for (const gate of world.device.gates.splice(0)) gate.open();
    await world.timers.turn();
    expect(responses(one.receive())).toEqual([[0x22, 0]]);
    const [data, ...more] = two.receive();
    expect([data.opcode, ...tags([data]), more]).toEqual([0x25, spared, []]);
    expect(world.server.sessions()[0].tasks).toBe(0);
  });

  test("on a task set concerns an immediate command before it, and none after a function that had its turn", async () => {
    const { world, one, two } = await pair();
    world.device.held = true;
    const immediate = (command: Uint8Array) => {
      command[0] |= 0x40;
      one.cmdSN--;
      return command;
    };
    await one.send(immediate(one.command(read10(0, 1), { read: 512 })));
    const ordinary = build(0x02, { flags: 0x82, itt: 5002, words: { 24: one.cmdSN++ } });
    const spared = two.itt;
    await two.send(immediate(two.command(read10(1, 1), { read: 512 })));
    await one.send(ordinary);
    for (const gate of world.device.gates.splice(0)) gate.open();
    await world.timers.turn();
    const [data] = two.receive();
    expect(tags([data])).toEqual([spared]);
    await two.send(acknowledge(two, data.header.getUint32(24) + 1));
    expect(responses(one.receive())).toEqual([[0x22, 0]]);
  });

  test.each([
    ["TARGET WARM RESET", 6],
    ["TARGET COLD RESET", 7],
  ])("%s waits for no command that is missing: it, and what waits for it, count as aborted", async (_, code) => {
    const { world, one, two } = await pair();
    const missing = one.command(read10(0, 1), { read: 512 });
    const waits = two.command(write10(1, 1), { write: 512, data: pattern(512) });
    await two.send(waits);
    await one.send(one.management(code));
    expect(responses(one.receive())[0]).toEqual([0x22, 0]);
    if (code === 6) {
      await one.send(missing, one.command([0, 0, 0, 0, 0, 0]));
      // The reset's unit attention is all that is told.
      expect(responses(one.receive())).toEqual([[0x21, 0]]);
    }
    expect(two.receive().filter(({ opcode }) => opcode === 0x21)).toEqual([]);
    expect(world.device.calls.some((call) => call.startsWith("write 1"))).toBe(false);
    world.timers.advance(MISSING_COMMAND_MILLIS);
    expect(world.server.sessions().length).toBe(code === 6 ? 1 : 0);
  });

  test("a TARGET WARM RESET leaves what comes after it to wait no longer", async () => {
    const { one, two } = await pair();
    const missing = one.command(read10(0, 1), { read: 512 });
    const reset = one.management(6);
    const after = two.itt;
    await two.send(two.command(read10(1, 1), { read: 512 }));
    expect(two.receive()).toEqual([]);
    await one.send(reset);
    // It meets the reset's unit attention.
    expect(tags(two.receive().filter(({ opcode }) => opcode === 0x21))).toEqual([after]);
    await one.send(missing);
    expect(opcodes(one.receive()).filter((opcode) => opcode !== 0x22)).toEqual([]);
  });

  test("on a task set is answered once what was sent on other connections is acknowledged", async () => {
    const { one, two } = await pair();
    await two.send(two.command(read10(0, 1), { read: 512 }));
    const statSN = two.receive()[0].header.getUint32(24);
    await one.send(one.management(5));
    expect(one.receive()).toEqual([]);
    const [probe] = two.receive();
    expect([probe.opcode, probe.header.getUint32(16)]).toEqual([0x20, 0xffffffff]);
    // A stale or senseless ExpStatSN acknowledges nothing, and ends nothing.
    await two.send(acknowledge(two, statSN), acknowledge(two, statSN + 0x1000), acknowledge(two, statSN - 5));
    expect(one.receive()).toEqual([]);
    await two.send(acknowledge(two, statSN + 1));
    expect(responses(one.receive())).toEqual([[0x22, 0]]);
    expect([one.transport.closed, two.transport.closed]).toEqual(["no", "no"]);
  });

  test("asks for one acknowledgement at a time", async () => {
    const { one, two } = await pair();
    await two.send(two.command(read10(0, 1), { read: 512 }));
    const statSN = two.receive()[0].header.getUint32(24);
    await one.send(one.management(2));
    await two.send(two.command(read10(0, 1), { read: 512 }));
    await one.send(one.management(5));
    expect(opcodes(two.receive())).toEqual([0x20, 0x25]);
    await two.send(acknowledge(two, statSN + 1));
    expect([opcodes(two.receive()), tags(one.receive())]).toEqual([[0x20], [5002]]);
    await two.send(acknowledge(two, statSN + 2));
    expect([opcodes(two.receive()), tags(one.receive())]).toEqual([[], [5005]]);
  });

  test("gives a connection up that does not acknowledge, though it is alive", async () => {
    const { world, one, two } = await pair();
    await two.send(two.command(read10(0, 1), { read: 512 }));
    await one.send(one.management(2));
    for (let waited = 0; waited < ACKNOWLEDGE_MILLIS; waited += 1000) {
      expect([answeredFunctions(one), two.transport.closed]).toEqual([[], "no"]);
      await two.send(acknowledge(two, 0));
      await one.send(acknowledge(one, 0));
      world.timers.advance(1000);
    }
    await world.timers.turn();
    expect([answeredFunctions(one), two.transport.closed]).toEqual([[[0x22, 0]], "aborted"]);
  });

  test("does not wait for a connection that is gone", async () => {
    const { one, two } = await pair();
    await two.send(two.command(read10(0, 1), { read: 512 }));
    await one.send(one.management(2));
    two.connection.onClose();
    await one.send();
    expect(responses(one.receive())).toEqual([[0x22, 0]]);
  });
});

describe("logout", () => {
  test("of another connection by its CID: answered here once its tasks have ended", async () => {
    const { world, one, two } = await pair();
    world.device.held = true;
    await two.send(two.command(write10(0, 1), { write: 512, data: pattern(512) }));
    await one.send(logout(one, 1, 3));
    expect(responses(one.receive())).toEqual([[0x26, 1]]);
    await one.send(logout(one, 1, 7));
    expect(one.receive()).toEqual([]);
    expect(two.transport.closed).toBe("closed");
    world.device.gates[0].open();
    await world.timers.turn();
    expect(responses(one.receive())).toEqual([[0x26, 0]]);
    await one.send(one.command([0, 0, 0, 0, 0, 0]));
    expect(opcodes(one.receive())).toEqual([0x21]);
  });

  test("of its own connection leaves the others", async () => {
    const { world, one, two } = await pair();
    await one.send(logout(one, 1, 0));
    expect(responses(one.receive())).toEqual([[0x26, 0]]);
    expect(one.transport.closed).toBe("closed");
    await two.send(two.command([0, 0, 0, 0, 0, 0]));
    expect(opcodes(two.receive())).toEqual([0x21]);
    expect(world.server.sessions()).toMatchObject([{ connections: 1 }]);
  });

  test("of the session closes all", async () => {
    const { world, one, two } = await pair();
    world.device.held = true;
    await two.send(two.command(read10(0, 1), { read: 512 }));
    await one.send(logout(one, 0, 0));
    expect(one.receive()).toEqual([]);
    world.device.gates[0].open();
    await world.timers.turn();
    expect(responses(one.receive())).toEqual([[0x26, 0]]);
    expect([one.transport.closed, two.transport.closed]).toEqual(["closed", "closed"]);
    expect(world.server.heldSessions).toBe(0);
  });
});
