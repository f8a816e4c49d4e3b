import { describe, expect, test } from "vitest";
import { INITIATOR, read10, TARGET, write10 } from "../testing/initiator.ts";
import { another, host } from "../testing/scsi.ts";
import { RamDevice } from "../testing/world.ts";
import { AccessState, PortGroups, type PortGroupsSpec } from "./port-groups.ts";

const { ActiveOptimized, ActiveNonOptimized, Standby, Unavailable, Offline, Transitioning } = AccessState;
const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];
const REQUEST_SENSE = [3, 0, 0, 0, 255, 0];
const INQUIRY = [0x12, 0, 0, 0, 255, 0];
const PAGE = (page: number) => [0x12, 1, page, 1, 255, 0];
const reportGroups = (format = 0, allocation = 255) => [
  0xa3,
  (format << 5) | 0x0a,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  allocation,
  0,
  0,
];
const setGroups = (length: number) => [0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, length, 0, 0];
const identity = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };

const TWO_SERVERS: PortGroupsSpec = {
  groups: [
    { id: 1, ports: [1], state: ActiveOptimized, preferred: true },
    { id: 0x1234, ports: [2, 0xfffe], state: Standby },
  ],
  transitionSeconds: 60,
};

function withGroups(portGroups?: PortGroupsSpec) {
  const device = new RamDevice(64);
  const luns = [0, 1].map((lun) => ({ lun, device, identity: { ...identity, naa: identity.naa + BigInt(lun) } }));
  return host(device, { target: { luns, portGroups } });
}

function list(...wishes: readonly (readonly [state: number, group: number])[]): Uint8Array {
  return new Uint8Array([0, 0, 0, 0, ...wishes.flatMap(([state, group]) => [state, 0, group >> 8, group & 255])]);
}

describe("REPORT TARGET PORT GROUPS", () => {
  test("one group with one port unless told otherwise", async () => {
    const { run } = await host();
    const expected = [0, 0, 0, 12, 0, 0xcf, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
    expect([...(await run(reportGroups(), { read: 255 })).data]).toEqual(expected);
    expect((await run(INQUIRY, { read: 255 })).data.slice(5, 7)).toEqual(new Uint8Array([0x18, 0]));
  });

  test("groups with their ports, of all servers, in both formats", async () => {
    const { run } = await withGroups(TWO_SERVERS);
    const groups = [
      ...[0x80, 0xcf, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1],
      ...[0x02, 0xcf, 0x12, 0x34, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0xff, 0xfe],
    ];
    expect([...(await run(reportGroups(), { read: 255 })).data]).toEqual([0, 0, 0, 28, ...groups]);
    expect([...(await run(reportGroups(1), { read: 255 })).data]).toEqual([0, 0, 0, 32, 0x10, 60, 0, 0, ...groups]);
    expect((await run(reportGroups(0, 4), { read: 4 })).data).toEqual(new Uint8Array([0, 0, 0, 28]));
    expect((await run(reportGroups(2), { read: 255 })).sense).toBe("5/24/0");
    expect((await run(INQUIRY, { read: 255 })).data.slice(5, 7)).toEqual(new Uint8Array([0x18, 0x10]));
  });

  test("a server with another portal group is another port", async () => {
    const { run } = await host(new RamDevice(64), { portalGroupTag: 0xfffe, target: { portGroups: TWO_SERVERS } });
    expect((await run(TEST_UNIT_READY)).sense).toBe("2/4/b");
    const page = (await run(PAGE(0x83), { read: 500 })).data;
    const found = Buffer.from(page).toString("hex");
    expect(found).toContain("519400040000fffe");
    expect(found).toContain("5195000400001234");
    expect(new TextDecoder().decode(page)).toContain(`${TARGET},t,0xfffe`);
  });
});

describe("VPD pages", () => {
  test("device identification: the unit's designators first, then those of port and target", async () => {
    const { run } = await withGroups(TWO_SERVERS);
    const { data } = await run(PAGE(0x83), { read: 500 });
    expect(data.length).toBe(4 + ((data[2] << 8) | data[3]));
    const found: string[] = [];
    for (let at = 4; at < data.length; at += 4 + data[at + 3]) {
      const value = data.subarray(at + 4, at + 4 + data[at + 3]);
      const text = (data[at] & 15) === 1 ? Buffer.from(value).toString("hex") : new TextDecoder().decode(value);
      found.push(`${data[at].toString(16)} ${data[at + 1].toString(16)} ${text.replace(/\0+$/, "")}`);
    }
    expect(found).toEqual([
      "1 3 3000000000000000",
      "2 1 V       s",
      "51 94 00000001",
      "51 95 00000001",
      `53 98 ${TARGET},t,0x0001`,
      `53 a8 ${TARGET}`,
    ]);
  });

  test("SCSI ports: each with its name", async () => {
    const { run } = await withGroups(TWO_SERVERS);
    const { data } = await run(PAGE(0x88), { read: 500 });
    expect(data.length).toBe(4 + ((data[2] << 8) | data[3]));
    const found: string[] = [];
    for (let at = 4; at < data.length; ) {
      const length = (data[at + 10] << 8) | data[at + 11];
      const name = data.subarray(at + 16, at + 12 + length);
      found.push(`${(data[at + 2] << 8) | data[at + 3]} ${new TextDecoder().decode(name).replace(/\0+$/, "")}`);
      at += 12 + length;
    }
    expect(found).toEqual([1, 2, 0xfffe].map((port) => `${port} ${TARGET},t,0x${port.toString(16).padStart(4, "0")}`));
  });
});

describe("a port that is not active", () => {
  const READY_ONLY: readonly (readonly [name: string, cdb: readonly number[], options?: { read: number }])[] = [
    ["TEST UNIT READY", TEST_UNIT_READY],
    ["READ", read10(0, 1), { read: 512 }],
    ["WRITE", write10(0, 1)],
    ["SYNCHRONIZE CACHE", [0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    ["UNMAP", [0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    ["RESERVE", [0x16, 0, 0, 0, 0, 0]],
    ["GET LBA STATUS", [0x9e, 0x12, ...new Array<number>(11).fill(0), 24, 0, 0], { read: 24 }],
  ];
  const SETTINGS: readonly (readonly [name: string, cdb: readonly number[], read: number])[] = [
    ["MODE SENSE", [0x1a, 0, 0x3f, 0, 255, 0], 255],
    ["READ CAPACITY (10)", [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8],
    ["READ CAPACITY (16)", [0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0], 32],
    ["PERSISTENT RESERVE IN", [0x5e, 0, 0, 0, 0, 0, 0, 0, 255, 0], 255],
    ["REPORT SUPPORTED OPERATION CODES", [0xa3, 0x0c, 1, 0x12, 0, 0, 0, 0, 0, 255, 0, 0], 255],
  ];

  test.each([
    ["standby", Standby, "2/4/b"],
    ["unavailable", Unavailable, "2/4/c"],
    ["offline", Offline, "2/4/12"],
    ["transitioning", Transitioning, "2/4/a"],
  ])("%s: what is answered and what is not", async (_, state, sense) => {
    const { run, world, device } = await withGroups(TWO_SERVERS);
    world.target.changeAccessStates([{ group: 1, state }]);
    expect((await run(TEST_UNIT_READY)).sense).toBe("6/2a/6");
    for (const [name, cdb, options] of READY_ONLY)
      expect([name, (await run(cdb, options)).sense]).toEqual([name, sense]);
    for (const [name, cdb, read] of SETTINGS) {
      expect([name, (await run(cdb, { read })).sense]).toEqual([name, state === Standby ? "" : sense]);
    }
    expect((await run(INQUIRY, { read: 255 })).data[0]).toBe(0);
    expect((await run(PAGE(0x83), { read: 255 })).status).toBe(0);
    expect((await run([0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0], { read: 255 })).status).toBe(0);
    const requested = (await run(REQUEST_SENSE, { read: 255 })).data;
    expect([2, 12, 13].map((at) => requested[at].toString(16)).join("/")).toBe(sense);
    expect((await run(reportGroups(), { read: 255 })).data[4]).toBe(0x80 | state);
    expect(device.calls).toEqual([]);

    world.target.changeAccessStates([{ group: 1, state: ActiveNonOptimized, preferred: false }]);
    expect((await run(TEST_UNIT_READY)).sense).toBe("6/2a/6");
    expect((await run(read10(0, 1), { read: 512 })).status).toBe(0);
    expect((await run(reportGroups(), { read: 255 })).data[4]).toBe(ActiveNonOptimized);
  });

  test("a LUN that comes later is as the others are", async () => {
    const { run, world } = await withGroups(TWO_SERVERS);
    world.target.changeAccessStates([{ group: 1, state: Unavailable }]);
    world.target.addLun({ lun: 7, device: new RamDevice(64), identity });
    expect((await run(TEST_UNIT_READY, { lun: 7 })).sense).toBe("6/29/0");
    expect((await run(TEST_UNIT_READY, { lun: 7 })).sense).toBe("2/4/c");
  });
});

test("each nexus of each LUN learns once of a change, none of what changes nothing", async () => {
  const { run, world } = await withGroups(TWO_SERVERS);
  const other = await another(world);
  await other.run(TEST_UNIT_READY, { lun: 1 });
  world.target.changeAccessStates([{ group: 1, state: ActiveOptimized }]);
  expect((await run(TEST_UNIT_READY)).status).toBe(0);
  world.target.changeAccessStates([{ group: 0x1234, state: Unavailable }]);
  for (const one of [() => run(TEST_UNIT_READY), () => other.run(TEST_UNIT_READY)]) {
    expect((await one()).sense).toBe("6/2a/6");
    expect((await one()).status).toBe(0);
  }
  expect((await other.run(TEST_UNIT_READY, { lun: 1 })).sense).toBe("6/2a/6");
  const { data } = await run(reportGroups(), { read: 255 });
  expect([data[9], data[16], data[21]]).toEqual([0, Unavailable, 2]);
  expect(world.target.portGroups.map(({ state }) => state)).toEqual([ActiveOptimized, Unavailable]);
});

describe("SET TARGET PORT GROUPS", () => {
  test("a target that was not given a way to change them has no such command", async () => {
    const { run } = await withGroups(TWO_SERVERS);
    expect((await run(setGroups(8), { write: 8, data: list([0, 1]) })).sense).toBe("5/20/0");
    expect((await run([0xa3, 0x0c, 2, 0xa4, 0, 0x0a, 0, 0, 0, 255, 0, 0], { read: 255 })).data[1] & 7).toBe(1);
  });

  test("who embeds the target carries it out, and the host that asked is not told of it", async () => {
    const asked: unknown[] = [];
    const change = async (...args: readonly unknown[]) => {
      asked.push(args);
      return true;
    };
    const { run, world } = await withGroups({ ...TWO_SERVERS, change });
    const other = await another(world);
    expect((await run(INQUIRY, { read: 255 })).data[5]).toBe(0x38);
    const data = list([Unavailable, 1], [ActiveOptimized, 0x1234]);
    expect((await run(setGroups(data.length), { write: data.length, data })).status).toBe(0);
    const wishes = [
      { group: 1, state: Unavailable },
      { group: 0x1234, state: ActiveOptimized },
    ];
    expect(asked).toEqual([[wishes, expect.stringMatching(new RegExp(`^${INITIATOR},i,0x`))]]);
    expect((await run(TEST_UNIT_READY)).sense).toBe("2/4/c");
    expect((await other.run(TEST_UNIT_READY)).sense).toBe("6/2a/6");
    const report = (await run(reportGroups(), { read: 255 })).data;
    expect([report[4], report[9], report[16], report[21]]).toEqual([0x80 | Unavailable, 1, ActiveOptimized, 1]);
    // What is so already is not asked for; it works through a port that is unavailable.
    expect((await run(setGroups(data.length), { write: data.length, data })).status).toBe(0);
    expect(asked).toHaveLength(1);
  });

  test("one refused, one that comes in between, one that fails", async () => {
    const settle: ((done: boolean | Error) => void)[] = [];
    const change = () =>
      new Promise<boolean>((resolve, reject) =>
        settle.push((done) => (done instanceof Error ? reject(done) : resolve(done))),
      );
    const { run, initiator, world } = await withGroups({ ...TWO_SERVERS, change });
    const other = await another(world);
    const data = list([Standby, 1]);
    const write = { write: data.length, data };
    const status = () =>
      initiator.receive().map((pdu) => [pdu.header.getUint8(3), [4, 14, 15].map((at) => pdu.data[at])]);
    await initiator.send(initiator.command(setGroups(data.length), write));
    expect(initiator.receive()).toEqual([]);
    expect((await other.run(setGroups(data.length), write)).sense).toBe("2/4/a");
    settle[0](false);
    await world.timers.turn();
    expect(status()).toEqual([[2, [4, 0x67, 0x0a]]]);
    await initiator.send(initiator.command(setGroups(data.length), write));
    settle[1](new Error("no way"));
    await world.timers.turn();
    expect(status()).toEqual([[2, [4, 0x44, 0]]]);
    expect((await run(TEST_UNIT_READY)).status).toBe(0);
    await initiator.send(initiator.command(setGroups(data.length), write));
    settle[2](true);
    await world.timers.turn();
    expect(initiator.receive().map((pdu) => pdu.header.getUint8(3))).toEqual([0]);
    expect((await run(TEST_UNIT_READY)).sense).toBe("2/4/b");
  });

  test("one that nobody waits for any more goes on, and its host's session ends without it", async () => {
    const settle: ((done: boolean | Error) => void)[] = [];
    const change = () =>
      new Promise<boolean>((resolve, reject) =>
        settle.push((done) => (done instanceof Error ? reject(done) : resolve(done))),
      );
    const { run, world } = await withGroups({ ...TWO_SERVERS, change });
    const data = list([Standby, 1]);
    for (const outcome of [new Error("no way"), false, true]) {
      const other = await another(world);
      await other.initiator.send(other.initiator.command(setGroups(data.length), { write: data.length, data }));
      other.initiator.connection.onClose();
      await world.timers.turn();
      expect(world.server.heldSessions).toBe(1);
      expect((await run(TEST_UNIT_READY)).status).toBe(0);
      settle.shift()?.(outcome);
      await world.timers.turn();
    }
    expect(world.server.counters().deviceErrors).toBe(1);
    expect((await run(TEST_UNIT_READY)).sense).toBe("6/2a/6");
    expect((await run(TEST_UNIT_READY)).sense).toBe("2/4/b");
  });

  test.each([
    ["no such group", list([Standby, 9]), "5/26/0"],
    ["a host can't ask for transitioning", list([Transitioning, 1]), "5/26/0"],
    ["nor for dependence on blocks", list([4, 1]), "5/26/0"],
    ["offline names a port, and one that is all of its group", list([Offline, 2]), "5/26/0"],
    ["half a descriptor", list([Standby, 1]).subarray(0, 6), "5/1a/0"],
    ["more groups than there are", list([Standby, 1], [Standby, 1], [Standby, 1]), "5/1a/0"],
  ])("%s", async (_, data, sense) => {
    const { run } = await withGroups({ ...TWO_SERVERS, change: async () => true });
    expect((await run(setGroups(data.length), { write: data.length, data })).sense).toBe(sense);
    expect((await run(setGroups(0))).status).toBe(0);
    expect((await run(TEST_UNIT_READY)).status).toBe(0);
  });

  test("a group of one port goes offline by it; a reservation of another refuses it", async () => {
    const { run, world } = await withGroups({ ...TWO_SERVERS, change: async () => true });
    const other = await another(world);
    await other.run([0x16, 0, 0, 0, 0, 0]);
    const data = list([Offline, 1]);
    expect((await run(setGroups(8), { write: 8, data })).status).toBe(0x18);
    expect((await other.run(setGroups(8), { write: 8, data })).status).toBe(0);
    expect((await run(TEST_UNIT_READY)).status).toBe(0x18);
  });
});

test("groups that make no sense are refused by their maker", () => {
  const group = { id: 1, ports: [1], state: ActiveOptimized };
  const make = (spec: Partial<PortGroupsSpec>) => () => new PortGroups(TARGET, 1, { groups: [group], ...spec });
  const bad: readonly Partial<PortGroupsSpec>[] = [
    { groups: [] },
    { groups: [group, group] },
    { groups: [group, { ...group, id: 2 }] },
    { groups: [{ ...group, ports: [2] }] },
    { groups: [{ ...group, ports: [1, 0] }] },
    { groups: [{ ...group, id: 0x10000 }] },
    { groups: [{ ...group, state: 4 }] },
    { transitionSeconds: 256 },
  ];
  for (const spec of bad) expect(make(spec)).toThrow(RangeError);
  const groups = make({})();
  expect(() => groups.apply([{ group: 2, state: Standby }], 2)).toThrow(RangeError);
  expect(() => groups.apply([{ group: 1, state: 7 }], 2)).toThrow(RangeError);
  expect(groups.apply([{ group: 1, state: ActiveOptimized, preferred: true }], 2)).toBe(true);
  expect(groups.groupOf(1)).toMatchObject({ preferred: true, alteredBy: 0 });
});

test("a LUN's registrations name the port", async () => {
  const { run } = await host(new RamDevice(64), {
    portalGroupTag: 2,
    target: { portGroups: { groups: [{ id: 5, ports: [2], state: ActiveOptimized }] } },
  });
  const register = new Uint8Array(24);
  register[15] = 9;
  expect((await run([0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0], { write: 24, data: register })).status).toBe(0);
  const { data } = await run([0x5e, 3, 0, 0, 0, 0, 0, 0, 255, 0], { read: 255 });
  expect([data[8 + 18], data[8 + 19]]).toEqual([0, 2]);
});
