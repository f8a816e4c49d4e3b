/** Each bound of limits.ts that is not tested where it belongs: what happens at it, and one beyond it. */

import { describe, expect, test } from "vitest";
import { LoginStatus, RejectReason } from "./constants.ts";
import * as limits from "./limits.ts";
import {
  bench,
  build,
  Initiator,
  opcodes,
  type Pdu,
  pattern,
  read10,
  responses,
  text,
  write10,
} from "./testing/initiator.ts";
import { cdb16, host } from "./testing/scsi.ts";
import { RamDevice } from "./testing/world.ts";

const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];
const NONE = 0xffffffff;
const TASK_SET_FULL = 0x28;
const REJECTED = 255;
const loginStatus = (reply: Pdu) => reply.header.getUint16(36);
const statuses = (pdus: readonly Pdu[]) => pdus.map(({ header }) => header.getUint8(3));

const small = (options: Parameters<typeof bench>[0] = {}) => bench({ device: new RamDevice(64), ...options });

/** A text of so many bytes, of keys that nobody understands. */
function longText(bytes: number): Uint8Array {
  const pair = "X-k=".padEnd(1023, "v");
  const pairs = Array.from({ length: Math.ceil(bytes / 1024) }, (_, at) => pair.replace("X-k", `X-${at}`));
  return text(...pairs).subarray(0, bytes);
}

describe("a login", () => {
  const request = (flags: number, data: Uint8Array) =>
    build(0x03, { immediate: true, flags, words: { 8: 0x80123456, 24: 1 }, data });

  test.each([0, 1])("may have LOGIN_SEGMENT_BYTES_MAX in a PDU; %i more closes the connection", async (more) => {
    const initiator = new Initiator(small());
    const data = longText(limits.LOGIN_SEGMENT_BYTES_MAX + more);
    // Its begin says enough.
    if (more > 0) await initiator.send(request(0x44, data).slice(0, 48));
    else await initiator.send(request(0x44, data));
    expect(initiator.transport.closed).toBe(more > 0 ? "aborted" : "no");
    expect(opcodes(initiator.receive())).toEqual(more > 0 ? [] : [0x23]);
  });

  test("may have TEXT_BYTES_MAX in all of its PDUs, and is refused with more", async () => {
    const initiator = new Initiator(small());
    const part = longText(limits.LOGIN_SEGMENT_BYTES_MAX);
    for (let sent = 0; sent < limits.TEXT_BYTES_MAX; sent += part.length) await initiator.send(request(0x44, part));
    expect(new Set(initiator.receive().map(loginStatus))).toEqual(new Set([0]));
    await initiator.send(request(0x44, new Uint8Array(1)));
    expect(initiator.receive().map(loginStatus)).toEqual([LoginStatus.InitiatorError]);
    expect(initiator.transport.closed).toBe("closed");
  });

  test("that is refused is closed after LINGER_MILLIS where its initiator does not take the answer", async () => {
    const world = small({ target: { grant: () => undefined } });
    const initiator = new Initiator(world);
    initiator.transport.capacity = 0;
    await initiator.login();
    world.timers.advance(limits.LINGER_MILLIS - 1);
    expect(initiator.transport.closed).toBe("no");
    world.timers.advance(1);
    expect(initiator.transport.closed).toBe("aborted");
  });
});

describe("a server", () => {
  test("has SESSIONS_MAX sessions, and refuses another until one of them is gone", async () => {
    const world = small();
    const all: Initiator[] = [];
    for (let count = 0; count < limits.SESSIONS_MAX; count++) {
      const initiator = new Initiator(world, { name: `iqn.n${count}`, isid: 0x80000000 });
      expect(loginStatus(await initiator.login())).toBe(0);
      all.push(initiator);
    }
    expect(loginStatus(await new Initiator(world).login())).toBe(LoginStatus.OutOfResources);
    // Who reinstates one takes its place.
    expect(loginStatus(await new Initiator(world, all[7].port).login())).toBe(0);
    all[3].connection.onClose();
    expect(loginStatus(await new Initiator(world).login())).toBe(0);
    expect(world.server.heldSessions).toBe(limits.SESSIONS_MAX);
  });

  test("has CONNECTIONS_MAX connections, logged in or not, and closes another at once", async () => {
    const world = small();
    const all = Array.from({ length: limits.CONNECTIONS_MAX }, () => new Initiator(world));
    const refused = new Initiator(world);
    await world.timers.turn();
    expect(refused.transport.closed).toBe("closed");
    expect(world.server.counters()).toMatchObject({ connectionsRefused: 1, connectionsAccepted: all.length });
    all[5].connection.onClose();
    expect(loginStatus(await new Initiator(world).login())).toBe(0);
  });
});

describe("a session", () => {
  test("takes PDUs with RECV_SEGMENT_BYTES_MAX of data", async () => {
    const initiator = await new Initiator(small()).ready("MaxRecvDataSegmentLength=1048576");
    const data = pattern(limits.RECV_SEGMENT_BYTES_MAX);
    await initiator.send(build(0x00, { words: { 20: NONE, 24: initiator.cmdSN++ }, data }));
    expect(initiator.receive()[0].data.length).toBe(data.length);
  });

  test("is asked for no more than BURST_BYTES_MAX at once, in no more than OUTSTANDING_R2T_MAX R2Ts", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready("MaxBurstLength=16777215", "MaxOutstandingR2T=65535");
    await initiator.send(initiator.command(write10(0, 8192), { write: 4 * limits.BURST_BYTES_MAX }));
    expect(initiator.receive().map(({ header }) => header.getUint32(44))).toEqual([limits.BURST_BYTES_MAX]);
    const other = await new Initiator(world, { name: "iqn.other", isid: 1 }).ready(
      "MaxBurstLength=512",
      "MaxOutstandingR2T=65535",
    );
    await other.send(other.command(write10(0, 64), { write: 32768 }));
    expect(opcodes(other.receive())).toEqual(new Array(limits.OUTSTANDING_R2T_MAX).fill(0x31));
  });

  test("has TASKS_MAX tasks, immediate ones included; beyond it they get TASK SET FULL", async () => {
    const world = small();
    const initiator = await new Initiator(world).ready();
    world.device.held = true;
    await initiator.send(
      ...Array.from({ length: limits.COMMAND_WINDOW }, () => initiator.command(read10(0, 1), { read: 512 })),
    );
    const immediate = (itt: number) =>
      build(0x01, {
        immediate: true,
        flags: 0xc1,
        itt,
        words: { 20: 512, 24: initiator.cmdSN },
        bytes: { 32: read10(0, 1) },
      });
    const room = limits.TASKS_MAX - limits.COMMAND_WINDOW;
    for (let count = 0; count < room; count++) await initiator.send(immediate(9000 + count));
    expect(initiator.receive()).toEqual([]);
    await initiator.send(immediate(9999));
    expect(statuses(initiator.receive())).toEqual([TASK_SET_FULL]);
    for (const gate of world.device.gates.splice(0)) gate.open();
    await world.timers.turn();
    expect(initiator.receive()).toHaveLength(limits.TASKS_MAX);
    world.device.held = false;
    await initiator.send(immediate(9999));
    expect(opcodes(initiator.receive())).toEqual([0x25]);
  });

  test("remembers PLUGGED_COMMANDS_MAX commands that are aborted before they come", async () => {
    const world = small();
    const initiator = await new Initiator(world).ready("MaxConnections=2");
    const next = initiator.cmdSN;
    const abort = (refCmdSN: number) =>
      build(0x02, { immediate: true, flags: 0x81, words: { 20: 777, 24: next + 100, 32: refCmdSN } });
    for (let count = 1; count <= limits.PLUGGED_COMMANDS_MAX; count++) await initiator.send(abort(next + count));
    await initiator.send(abort(next + limits.PLUGGED_COMMANDS_MAX + 1), abort(next + 1));
    const answers = responses(initiator.receive()).map(([, response]) => response);
    expect(answers).toEqual([...new Array(limits.PLUGGED_COMMANDS_MAX).fill(0), REJECTED, 0]);
    // The one that is missing has them all count as come.
    await initiator.send(initiator.command(TEST_UNIT_READY));
    initiator.cmdSN = next + limits.PLUGGED_COMMANDS_MAX + 1;
    await initiator.send(initiator.command(TEST_UNIT_READY));
    expect(initiator.receive().map(({ header }) => header.getUint32(28))).toEqual([next + 1, initiator.cmdSN]);
  });

  test("keeps EARLY_BYTES_MAX of data for commands whose turn has not come", async () => {
    const world = small();
    const one = await new Initiator(world).ready("MaxConnections=2", "InitialR2T=No");
    const two = one.beside(1);
    await two.login();
    one.cmdSN++;
    const tag = two.itt;
    await two.send(two.command(write10(0, 128), { write: 65536, more: true }));
    // More than its first burst, which nobody looks at before its turn.
    const data = pattern(limits.RECV_SEGMENT_BYTES_MAX);
    const room = Math.floor(limits.EARLY_BYTES_MAX / data.length);
    for (let dataSN = 0; dataSN < room; dataSN++) await two.send(two.dataOut(tag, NONE, dataSN, 0, data, false));
    expect(two.transport.closed).toBe("no");
    await two.send(two.dataOut(tag, NONE, room, 0, data, false));
    expect([one.transport.closed, two.transport.closed]).toEqual(["no", "aborted"]);
  });

  test("takes a text of TEXT_BYTES_MAX, refuses a longer one, and takes another after it", async () => {
    const initiator = await new Initiator(small()).ready();
    const exchange = async (last: number) => {
      const part = longText(8192);
      let tag = NONE;
      for (let sent = 0; sent < limits.TEXT_BYTES_MAX; sent += part.length) {
        const data = sent + part.length < limits.TEXT_BYTES_MAX ? part : part.subarray(0, part.length - 1 + last);
        await initiator.send(build(0x04, { flags: 0x40, words: { 20: tag, 24: initiator.cmdSN++ }, data }));
        tag = initiator.receive()[0].header.getUint32(20);
      }
      await initiator.send(build(0x04, { words: { 20: tag, 24: initiator.cmdSN++ }, data: new Uint8Array(1) }));
      const [{ opcode, header }] = initiator.receive();
      return [opcode, header.getUint8(2)];
    };
    expect(await exchange(1)).toEqual([0x3f, RejectReason.OutOfResources]);
    // Of this one only the content is wrong: each of its keys comes again and again.
    expect(await exchange(0)).toEqual([0x3f, RejectReason.ProtocolError]);
    await initiator.send(build(0x04, { words: { 20: NONE, 24: initiator.cmdSN++ }, data: text("X-a=1") }));
    expect(opcodes(initiator.receive())).toEqual([0x24]);
  });
});

describe("at error recovery level 1", () => {
  const LEVEL = "ErrorRecoveryLevel=1";
  const snack = (type: number, tag: number, begin: number, count: number) =>
    build(0x10, { flags: 0x80 | type, itt: tag, words: { 20: NONE, 40: begin, 44: count } });

  test("answers of RETAINED_STATUS_BYTES_MAX are kept, the oldest go first", async () => {
    const initiator = await new Initiator(small()).ready(LEVEL, "MaxRecvDataSegmentLength=262144");
    const echo = pattern(limits.RECV_SEGMENT_BYTES_MAX);
    const kept = Math.floor(limits.RETAINED_STATUS_BYTES_MAX / (echo.length + 48));
    const statSNs: number[] = [];
    for (let count = 0; count <= kept; count++) {
      await initiator.send(build(0x00, { words: { 20: NONE, 24: initiator.cmdSN++ }, data: echo }));
      statSNs.push(initiator.receive()[0].header.getUint32(24));
    }
    await initiator.send(snack(1, NONE, statSNs[0], 1), snack(1, NONE, statSNs[1], 1));
    expect(opcodes(initiator.receive())).toEqual([0x3f, 0x20]);
  });

  test("data of DATA_RESENT_MAX reads is sent again at once", async () => {
    const world = small();
    const initiator = await new Initiator(world).ready(LEVEL);
    const tags = Array.from({ length: limits.DATA_RESENT_MAX + 1 }, () => {
      const tag = initiator.itt;
      return { tag, command: initiator.command(read10(0, 1), { read: 512 }) };
    });
    await initiator.send(...tags.map(({ command }) => command));
    initiator.receive();
    world.device.held = true;
    await initiator.send(...tags.map(({ tag }) => snack(0, tag, 0, 0)));
    expect(responses(initiator.receive())).toEqual([[0x3f, RejectReason.OutOfResources]]);
    for (const gate of world.device.gates.splice(0)) gate.open();
    await world.timers.turn();
    expect(opcodes(initiator.receive())).toEqual(new Array(limits.DATA_RESENT_MAX).fill(0x25));
    await initiator.send(snack(0, tags[limits.DATA_RESENT_MAX].tag, 0, 0));
    world.device.gates[0].open();
    await world.timers.turn();
    expect(opcodes(initiator.receive())).toEqual([0x25]);
  });
});

test("a connection has READ_BUDGET_BYTES at its device at once, and reads on as that is done", async () => {
  const world = bench();
  const initiator = await new Initiator(world).ready("MaxRecvDataSegmentLength=262144");
  world.device.held = true;
  const reads = 3 * (limits.READ_BUDGET_BYTES / limits.PIECE_BYTES_MAX);
  await initiator.send(
    ...Array.from({ length: reads }, () => initiator.command(read10(0, 2048), { read: limits.PIECE_BYTES_MAX })),
  );
  expect(world.device.gates).toHaveLength(limits.READ_BUDGET_BYTES / limits.PIECE_BYTES_MAX);
  let bytes = 0;
  while (world.device.gates.length > 0) {
    world.device.gates.shift()?.open();
    await world.timers.turn();
    expect(world.device.gates.length).toBeLessThanOrEqual(limits.READ_BUDGET_BYTES / limits.PIECE_BYTES_MAX);
    for (const { data } of initiator.receive()) bytes += data.length;
  }
  expect(bytes).toBe(reads * limits.PIECE_BYTES_MAX);
});

describe("a command", () => {
  const large = new RamDevice(limits.TRANSFER_BYTES_MAX / 512 + 64);

  test.each([0x88, 0x8a, 0x8b, 0x8e])("%i of TRANSFER_BYTES_MAX is taken, of a block more is not", async (opcode) => {
    const { run, initiator } = await host(large);
    const blocks = limits.TRANSFER_BYTES_MAX / 512;
    const transfer = (count: number) => (opcode === 0x88 ? { read: count * 512 } : { write: count * 512 });
    expect((await run(cdb16(opcode, 0, blocks + 1), transfer(blocks + 1))).sense).toBe("5/24/0");
    await initiator.send(initiator.command(cdb16(opcode, 0, blocks), transfer(blocks)));
    expect(initiator.receive()[0].opcode).toBe(opcode === 0x88 ? 0x25 : 0x31);
  });

  test("WRITE SAME is of WRITE_SAME_BYTES_MAX at most", async () => {
    const { run } = await host(large);
    const blocks = limits.WRITE_SAME_BYTES_MAX / 512;
    expect((await run(cdb16(0x93, 0, blocks + 1), { write: 512, data: pattern(512) })).sense).toBe("5/24/0");
    expect((await run(cdb16(0x93, 0, blocks), { write: 512, data: pattern(512) })).status).toBe(0);
  });

  const unmap = (extents: readonly (readonly [lba: number, blocks: number])[]) => {
    const data = new Uint8Array(8 + 16 * extents.length);
    const view = new DataView(data.buffer);
    view.setUint16(0, data.length - 2);
    view.setUint16(2, data.length - 8);
    extents.forEach(([lba, blocks], at) => {
      view.setUint32(12 + 16 * at, lba);
      view.setUint32(16 + 16 * at, blocks);
    });
    return { cdb: [0x42, 0, 0, 0, 0, 0, 0, data.length >> 8, data.length & 255, 0], data };
  };

  test("UNMAP has UNMAP_DESCRIPTORS_MAX descriptors, of UNMAP_BLOCKS_MAX together", async () => {
    const device = new RamDevice(0);
    device.blockCount = 4 * limits.UNMAP_BLOCKS_MAX;
    const { run } = await host(device);
    const sense = async (extents: Parameters<typeof unmap>[0]) => {
      const { cdb, data } = unmap(extents);
      return (await run(cdb, { write: data.length, data })).sense;
    };
    const each = (count: number) => Array.from({ length: count }, (_, at) => [at, 1] as const);
    expect(await sense(each(limits.UNMAP_DESCRIPTORS_MAX))).toBe("");
    expect(await sense(each(limits.UNMAP_DESCRIPTORS_MAX + 1))).toBe("5/26/0");
    expect(await sense([[0, limits.UNMAP_BLOCKS_MAX]])).toBe("");
    const half = limits.UNMAP_BLOCKS_MAX / 2;
    expect(
      await sense([
        [0, half],
        [half, half + 1],
      ]),
    ).toBe("5/26/0");
    expect(device.calls).toHaveLength(limits.UNMAP_DESCRIPTORS_MAX + 1);
  });

  test("PERSISTENT RESERVE OUT has a list of RESERVE_LIST_BYTES_MAX at most", async () => {
    const { run } = await host(new RamDevice(64));
    const bytes = limits.RESERVE_LIST_BYTES_MAX + 1;
    const cdb = [0x5f, 0, 0, 0, 0, ...[24, 16, 8, 0].map((shift) => (bytes >>> shift) & 255), 0];
    expect((await run(cdb, { write: bytes })).sense).toBe("5/1a/0");
  });
});

test("what a session holds of writes stays within WRITE_BUDGET_BYTES, with room for a window of unsolicited data", async () => {
  const world = bench();
  const initiator = await new Initiator(world).ready("InitialR2T=No");
  await initiator.send(...Array.from({ length: 64 }, () => initiator.command(write10(0, 2048), { write: 1048576 })));
  const [before] = world.server.sessions();
  expect(before.bytesHeld).toBeLessThanOrEqual(limits.WRITE_BUDGET_BYTES - limits.UNSOLICITED_RESERVE_BYTES);
  world.device.held = true;
  const data = pattern(limits.FIRST_BURST_BYTES_MAX);
  await initiator.send(
    ...Array.from({ length: 64 }, () => initiator.command(write10(0, 128), { write: data.length, data })),
  );
  const [{ bytesHeld, tasks }] = world.server.sessions();
  expect([bytesHeld <= limits.WRITE_BUDGET_BYTES, tasks]).toEqual([true, 128]);
  expect(initiator.receive().every(({ opcode }) => opcode === 0x31)).toBe(true);
});
