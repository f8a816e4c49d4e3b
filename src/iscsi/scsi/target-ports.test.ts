/** Portal groups of one server as target ports of their own. */

import { describe, expect, test } from "vitest";
import {
  type Bench,
  bench,
  build,
  INITIATOR,
  Initiator,
  pattern,
  TARGET,
  text,
  write10,
} from "../testing/initiator.ts";
import { type Run, runOn } from "../testing/scsi.ts";
import { RamDevice } from "../testing/world.ts";
import { AccessState, type PortGroupsSpec } from "./port-groups.ts";
import { ReservationType, ReserveOut } from "./reservations.ts";
import { formatTransportId, portName } from "./transport-id.ts";

const CONFLICT = 0x18;
const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];
const RESERVE = [0x16, 0, 0, 0, 0, 0];
const REPORT_GROUPS = [0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0];
const ISID = 0x80000001;
const ALL_TG_PT = 0x04;
const SPEC_I_PT = 0x08;

/** One initiator port, through some target port, its unit attentions out of the way. */
async function through(world: Bench, groupTag: number, name = INITIATOR) {
  const initiator = await new Initiator(world, { name, isid: ISID }, { groupTag }).ready();
  return { initiator, run: runOn(initiator) };
}

async function twoPorts(portGroups?: PortGroupsSpec) {
  const world = bench({ device: new RamDevice(64), target: { portGroups } });
  const [one, two] = [await through(world, 1), await through(world, 2)];
  await one.run(TEST_UNIT_READY);
  return { world, one, two };
}

const page = async (run: Run, code: number) => (await run([0x12, 1, code, 1, 255, 0], { read: 511 })).data;
const write = async (run: Run) => (await run(write10(0, 1), { write: 512, data: pattern(512) })).status;

async function reserveOut(
  run: Run,
  action: number,
  { key = 0, actionKey = 0, type = 0, flags = 0, more = [] as number[] },
) {
  const list = new Uint8Array([...new Uint8Array(24), ...more]).with(7, key).with(15, actionKey).with(20, flags);
  return (await run([0x5f, action, type, 0, 0, 0, 0, 0, list.length, 0], { write: list.length, data: list })).status;
}

/** The registrations as READ FULL STATUS has them: key, relative target port, and whether it holds. */
async function registrations(run: Run) {
  const { data } = await run([0x5e, 3, 0, 0, 0, 0, 0, 4, 0, 0], { read: 1024 });
  const view = new DataView(data.buffer, data.byteOffset);
  const found: [key: number, port: number, holds: number][] = [];
  for (let at = 8; at < data.length; at += 24 + view.getUint32(at + 20)) {
    found.push([Number(view.getBigUint64(at)), view.getUint16(at + 18), data[at + 12] & 1]);
  }
  return found;
}

describe("each portal group is a port", () => {
  test("which names itself, and is one of all ports", async () => {
    const { one, two } = await twoPorts();
    for (const [{ run }, port] of [
      [one, 1],
      [two, 2],
    ] as const) {
      const identification = Buffer.from(await page(run, 0x83));
      expect(identification.includes(Buffer.from([0x51, 0x94, 0, 4, 0, 0, 0, port]))).toBe(true);
      expect(identification.includes(Buffer.from([0x51, 0x95, 0, 4, 0, 0, 0, 1]))).toBe(true);
      expect(identification.includes(`${TARGET},t,0x000${port}\0`)).toBe(true);
      const ports = Buffer.from(await page(run, 0x88));
      expect([1, 2].map((each) => ports.includes(`${TARGET},t,0x000${each}\0`))).toEqual([true, true]);
      const { data } = await run(REPORT_GROUPS, { read: 255 });
      expect([...data.subarray(4)]).toEqual([0, 0xcf, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
      expect((await run([0x12, 0, 0, 0, 255, 0], { read: 255 })).data[6] & 0x10).toBe(0x10);
    }
  });

  test("that the server has another one is told to whoever is there", async () => {
    const world = bench({ device: new RamDevice(64) });
    const { run } = await through(world, 1);
    await through(world, 1, "iqn.other");
    expect((await run(TEST_UNIT_READY)).status).toBe(0);
    await through(world, 2);
    expect((await run(TEST_UNIT_READY)).sense).toBe("6/3f/3");
    expect((await run(TEST_UNIT_READY)).status).toBe(0);
  });

  test("states are those of the port that a command comes through", async () => {
    const groups = [
      { id: 1, ports: [1], state: AccessState.ActiveOptimized },
      { id: 2, ports: [2], state: AccessState.Standby },
    ];
    const { world, one, two } = await twoPorts({ groups });
    expect([await write(one.run), (await two.run(TEST_UNIT_READY)).sense]).toEqual([0, "2/4/b"]);
    expect((await two.run([3, 0, 0, 0, 255, 0], { read: 255 })).data[12]).toBe(0x04);
    expect((await one.run([3, 0, 0, 0, 255, 0], { read: 255 })).data[12]).toBe(0);
    world.target.changeAccessStates([
      { group: 1, state: AccessState.Unavailable },
      { group: 2, state: AccessState.ActiveNonOptimized },
    ]);
    for (const { run } of [one, two]) expect((await run(TEST_UNIT_READY)).sense).toMatch(/2a\/6|2\/4\/c/);
    expect([(await one.run(TEST_UNIT_READY)).sense, await write(two.run)]).toEqual(["2/4/c", 0]);
  });

  test("where groups are named, the target does not exist at a port that is in none", async () => {
    const groups = [{ id: 1, ports: [1, 9], state: AccessState.ActiveOptimized }];
    const world = bench({ target: { portGroups: { groups } } });
    await through(world, 1);
    const other = new Initiator(world, undefined, { groupTag: 2 });
    expect((await other.login()).header.getUint16(36)).toBe(0x0203);
    const discovery = new Initiator(world, undefined, { groupTag: 2 });
    const names = text(`InitiatorName=${INITIATOR}`, "SessionType=Discovery");
    await discovery.send(build(0x03, { immediate: true, flags: 0x87, words: { 24: 1 }, data: names }));
    discovery.receive();
    await discovery.send(build(0x04, { words: { 20: 0xffffffff, 24: 1 }, data: text("SendTargets=All") }));
    expect(discovery.receive()[0].data).toHaveLength(0);
  });
});

describe("an initiator port is another nexus through another port", () => {
  test("a registration is that of one port, and with ALL_TG_PT of all", async () => {
    const { one, two } = await twoPorts();
    expect(await reserveOut(one.run, ReserveOut.Register, { actionKey: 5 })).toBe(0);
    expect(await reserveOut(one.run, ReserveOut.Reserve, { key: 5, type: ReservationType.WriteExclusive })).toBe(0);
    expect([await write(one.run), await write(two.run)]).toEqual([0, CONFLICT]);
    expect(await registrations(two.run)).toEqual([[5, 1, 1]]);
    expect(await reserveOut(one.run, ReserveOut.Register, { key: 5, actionKey: 0 })).toBe(0);

    expect(await reserveOut(one.run, ReserveOut.Register, { actionKey: 6, flags: ALL_TG_PT })).toBe(0);
    expect(await registrations(one.run)).toEqual([
      [6, 1, 0],
      [6, 2, 0],
    ]);
    const type = ReservationType.WriteExclusiveRegistrantsOnly;
    expect(await reserveOut(two.run, ReserveOut.Reserve, { key: 6, type })).toBe(0);
    expect([await write(one.run), await write(two.run)]).toEqual([0, 0]);
    // It would meet a conflict at the other port, where the key is another one by now.
    expect(await reserveOut(two.run, ReserveOut.Register, { key: 6, actionKey: 7 })).toBe(0);
    expect(await reserveOut(one.run, ReserveOut.Register, { key: 6, flags: ALL_TG_PT })).toBe(0);
    expect(await registrations(one.run)).toEqual([[7, 2, 1]]);
    expect(await reserveOut(two.run, ReserveOut.RegisterAndIgnoreExistingKey, { actionKey: 8, flags: ALL_TG_PT })).toBe(
      0,
    );
    expect((await registrations(one.run)).map(([key, port]) => [key, port])).toEqual([
      [8, 2],
      [8, 1],
    ]);
  });

  test("SPEC_I_PT names ports at the target port that is asked, or at all", async () => {
    const { one, two } = await twoPorts();
    const id = formatTransportId(portName("iqn.2026-11.dev.antipode:b", 1));
    const more = [0, 0, 0, id.length, ...id];
    expect(await reserveOut(two.run, ReserveOut.Register, { actionKey: 3, flags: SPEC_I_PT, more })).toBe(0);
    expect((await registrations(one.run)).map(([, port]) => port)).toEqual([2, 2]);
    expect(await reserveOut(one.run, ReserveOut.Register, { actionKey: 3, flags: SPEC_I_PT | ALL_TG_PT, more })).toBe(
      0,
    );
    expect((await registrations(one.run)).map(([, port]) => port).sort()).toEqual([1, 1, 2, 2]);
  });

  test("REGISTER AND MOVE moves to a port, also one's own through another", async () => {
    const { one, two } = await twoPorts();
    await reserveOut(one.run, ReserveOut.Register, { actionKey: 5 });
    await reserveOut(one.run, ReserveOut.Reserve, { key: 5, type: ReservationType.WriteExclusive });
    const id = formatTransportId(portName(INITIATOR, ISID * 0x10000));
    const move = async (port: number) => {
      const list = new Uint8Array([...new Uint8Array(24), ...id])
        .with(7, 5)
        .with(15, 9)
        .with(19, port)
        .with(23, id.length);
      const cdb = [0x5f, ReserveOut.RegisterAndMove, 1, 0, 0, 0, 0, 0, list.length, 0];
      return one.run(cdb, { write: list.length, data: list });
    };
    expect([(await move(3)).sense, (await move(1)).sense]).toEqual(["5/26/0", "5/26/0"]);
    expect((await move(2)).status).toBe(0);
    expect([await write(one.run), await write(two.run)]).toEqual([CONFLICT, 0]);
    expect(await registrations(one.run)).toEqual([
      [5, 1, 0],
      [9, 2, 1],
    ]);
  });

  test("a RESERVE keeps it out there, and ends with its own session", async () => {
    const { world, one, two } = await twoPorts();
    expect((await one.run(RESERVE)).status).toBe(0);
    expect([await write(one.run), await write(two.run)]).toEqual([0, CONFLICT]);
    two.initiator.connection.onClose();
    const again = await through(world, 2);
    expect(await write(again.run)).toBe(CONFLICT);
    one.initiator.connection.onClose();
    await world.timers.turn();
    expect(await write(again.run)).toBe(0);
  });

  test("PREEMPT AND ABORT aborts what came through the preempted port alone", async () => {
    const { world, one, two } = await twoPorts();
    await reserveOut(one.run, ReserveOut.Register, { actionKey: 1 });
    await reserveOut(two.run, ReserveOut.Register, { actionKey: 2 });
    const third = await through(world, 1, "iqn.third");
    await reserveOut(third.run, ReserveOut.Register, { actionKey: 3 });
    world.device.held = true;
    for (const { initiator } of [one, two]) {
      await initiator.send(initiator.command(write10(1, 1), { write: 512, data: pattern(512) }));
    }
    world.device.held = false;
    const list = new Uint8Array(24).with(7, 3).with(15, 2);
    const cdb = [0x5f, ReserveOut.PreemptAndAbort, 0, 0, 0, 0, 0, 0, 24, 0];
    await third.initiator.send(third.initiator.command(cdb, { write: 24, data: list }));
    for (const gate of world.device.gates.splice(0)) gate.open();
    await world.timers.turn();
    const statuses = [one, two, third].map(({ initiator }) =>
      initiator.receive().map(({ header }) => header.getUint8(3)),
    );
    expect(statuses).toEqual([[0], [0x40], [0]]);
  });
});
