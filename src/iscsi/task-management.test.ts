/** Task management functions that RFC 7144 adds, and how many there may be at once. */

import { describe, expect, test } from "vitest";
import { FUNCTIONS_MAX } from "./limits.ts";
import { bench, Initiator, pattern, read10, write10 } from "./testing/initiator.ts";

const LOGICAL_UNIT_RESET = 5;
const QUERY_TASK = 9;
const QUERY_TASK_SET = 10;
const I_T_NEXUS_RESET = 11;
const QUERY_ASYNCHRONOUS_EVENT = 12;

/** Response and additional response information. */
async function manage(initiator: Initiator, code: number, tag = 0xffffffff, lun = 0) {
  await initiator.send(initiator.management(code, { 8: lun << 16, 20: tag }));
  const [pdu] = initiator.receive();
  return pdu === undefined ? undefined : [pdu.opcode, pdu.header.getUint8(2), pdu.header.getUint32(8) >>> 8];
}

const SUPPORTED = [0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0];

test.each([["iSCSIProtocolLevel=1"], []])("without the protocol level they are not there: %s", async (...keys) => {
  const initiator = await new Initiator(bench()).ready(...keys);
  for (const code of [QUERY_TASK, QUERY_TASK_SET, I_T_NEXUS_RESET, QUERY_ASYNCHRONOUS_EVENT]) {
    expect(await manage(initiator, code)).toEqual([0x22, 5, 0]);
  }
  await initiator.send(initiator.command(SUPPORTED, { read: 4 }));
  expect([...initiator.receive()[0].data]).toEqual([0xd8, 0, 0, 0]);
});

describe("with iSCSIProtocolLevel=2", () => {
  const LEVEL = "iSCSIProtocolLevel=2";

  test("REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS tells of them", async () => {
    const initiator = await new Initiator(bench()).ready(LEVEL);
    await initiator.send(initiator.command(SUPPORTED, { read: 4 }));
    expect([...initiator.receive()[0].data]).toEqual([0xdc, 0x07, 0, 0]);
  });

  test("a priority changes nothing, and a status has no qualifier", async () => {
    const initiator = await new Initiator(bench()).ready(LEVEL);
    const command = initiator.command([0, 0, 0, 0, 0, 0]);
    command[2] = 0xf0;
    await initiator.send(command);
    const [pdu] = initiator.receive();
    expect([pdu.opcode, pdu.header.getUint8(3), pdu.header.getUint16(8)]).toEqual([0x21, 0, 0]);
  });

  test("QUERY TASK and QUERY TASK SET say what is there", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready(LEVEL);
    expect(await manage(initiator, QUERY_TASK_SET)).toEqual([0x22, 0, 0]);
    const tag = initiator.itt;
    await initiator.send(initiator.command(write10(0, 2), { write: 1024 }));
    const [r2t] = initiator.receive();
    expect(await manage(initiator, QUERY_TASK_SET)).toEqual([0x22, 7, 0]);
    expect(await manage(initiator, QUERY_TASK, tag)).toEqual([0x22, 7, 0]);
    expect(await manage(initiator, QUERY_TASK, tag + 1)).toEqual([0x22, 0, 0]);
    expect(await manage(initiator, QUERY_TASK, tag, 1)).toEqual([0x22, 2, 0]);
    await initiator.send(initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(1024), true));
    expect(initiator.receive()[0].opcode).toBe(0x21);
    expect(await manage(initiator, QUERY_TASK, tag)).toEqual([0x22, 0, 0]);
  });

  test("QUERY ASYNCHRONOUS EVENT says which unit attention is first, and leaves it there", async () => {
    const world = bench();
    const initiator = new Initiator(world);
    await initiator.login(LEVEL);
    expect(await manage(initiator, QUERY_ASYNCHRONOUS_EVENT)).toEqual([0x22, 7, 0x162900]);
    world.device.blockCount++;
    world.target.resized(0);
    expect(await manage(initiator, QUERY_ASYNCHRONOUS_EVENT)).toEqual([0x22, 7, 0x262900]);
    for (const expected of [0x29, 0x2a]) {
      await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
      expect(initiator.receive()[0].data[14]).toBe(expected);
    }
    expect(await manage(initiator, QUERY_ASYNCHRONOUS_EVENT)).toEqual([0x22, 0, 0]);
  });

  test("I_T NEXUS RESET ends the tasks and the RESERVE of its session, and no other's", async () => {
    const world = bench();
    const one = await new Initiator(world).ready(LEVEL);
    const two = await new Initiator(world, { name: "iqn.two", isid: 2 << 8 }).ready(LEVEL);
    await one.send(one.command([0x16, 0, 0, 0, 0, 0]));
    expect(one.receive()[0].header.getUint8(3)).toBe(0);
    await two.send(two.command(read10(0, 1), { read: 512 }));
    expect(two.receive()[0].header.getUint8(3)).toBe(0x18);
    world.device.held = true;
    await one.send(one.command(read10(0, 1), { read: 512 }));
    expect(await manage(one, I_T_NEXUS_RESET)).toBeUndefined();
    for (const gate of world.device.gates.splice(0)) gate.open();
    await world.timers.turn();
    await two.send(two.command(read10(1, 1), { read: 512 }));
    for (const gate of world.device.gates.splice(0)) gate.open();
    await world.timers.turn();
    expect(one.receive().map((pdu) => [pdu.opcode, pdu.header.getUint8(2)])).toEqual([[0x22, 0]]);
    expect(two.receive().map((pdu) => pdu.opcode)).toEqual([0x25]);
    await one.send(one.command([0, 0, 0, 0, 0, 0]));
    const [attention] = one.receive();
    expect([attention.data[14], attention.data[15]]).toEqual([0x29, 7]);
  });
});

test("more functions than can be under way at once are rejected, and there is room again once they are answered", async () => {
  const world = bench();
  const initiator = await new Initiator(world).ready();
  world.device.held = true;
  await initiator.send(initiator.command(write10(0, 1), { write: 512, data: pattern(512) }));
  for (let count = 0; count < FUNCTIONS_MAX; count++) {
    expect(await manage(initiator, LOGICAL_UNIT_RESET)).toBeUndefined();
  }
  expect(await manage(initiator, LOGICAL_UNIT_RESET)).toEqual([0x22, 255, 0]);
  world.device.gates[0].open();
  await world.timers.turn();
  const answers = initiator.receive();
  expect([answers.length, answers.every(({ header }) => header.getUint8(2) === 0)]).toEqual([FUNCTIONS_MAX, true]);
  expect(await manage(initiator, LOGICAL_UNIT_RESET)).toEqual([0x22, 0, 0]);
});
