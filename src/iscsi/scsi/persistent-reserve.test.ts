import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { KeptReservations, ReservationStore } from "../interfaces.ts";
import { type Bench, bench, build, concat, Initiator, pattern, read10, TARGET, write10 } from "../testing/initiator.ts";
import { RamDevice } from "../testing/world.ts";
import { ReservationType, ReserveOut } from "./reservations.ts";
import { formatTransportId, initiatorPortOf, nexusName, portName } from "./transport-id.ts";

const {
  WriteExclusive: WE,
  ExclusiveAccess: EA,
  WriteExclusiveRegistrantsOnly: WERO,
  ExclusiveAccessRegistrantsOnly: EARO,
  WriteExclusiveAllRegistrants: WEAR,
  ExclusiveAccessAllRegistrants: EAAR,
} = ReservationType;

const CONFLICT = 0x18;
const TASK_ABORTED = 0x40;

const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];
const RESERVE_6 = [0x16, 0, 0, 0, 0, 0];
const RELEASE_6 = [0x17, 0, 0, 0, 0, 0];
const RESERVE_10 = [0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const RELEASE_10 = [0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0];

interface Outcome {
  readonly status: number;
  /** key/asc/ascq */
  readonly sense: string;
  readonly data: Uint8Array;
}

interface List {
  readonly key?: bigint;
  readonly actionKey?: bigint;
  readonly flags?: number;
  readonly type?: number;
  readonly scope?: number;
  readonly ids?: readonly Uint8Array[];
  /** Instead of that of `ids`. */
  readonly idBytes?: number;
}

/** In groups of four bytes. */
function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString("hex")
    .replace(/.{8}(?=.)/g, "$& ");
}

/** A host: an initiator port with what it asks most. */
class Host {
  readonly initiator: Initiator;
  readonly name: string;

  constructor(
    readonly world: Bench,
    letter: string,
    isid = 0x80000001,
  ) {
    this.name = `iqn.2026-11.dev.antipode:${letter}`;
    this.initiator = new Initiator(world, { name: this.name, isid });
  }

  get port(): string {
    return portName(this.name, this.initiator.port.isid * 0x10000);
  }

  async ready(): Promise<this> {
    await this.initiator.ready();
    return this;
  }

  async run(cdb: readonly number[], options: Parameters<Initiator["command"]>[1] = {}): Promise<Outcome> {
    await this.initiator.send(this.initiator.command(cdb, options));
    const [outcome, ...more] = this.outcomes();
    expect(more).toEqual([]);
    return outcome;
  }

  outcomes(): Outcome[] {
    return this.initiator.receive().map((pdu) => {
      const failed = pdu.opcode === 0x21 && pdu.data.length > 0;
      const sense = pdu.data.subarray(2);
      return {
        status: pdu.header.getUint8(3),
        sense: failed ? [sense[2] & 0x0f, sense[12], sense[13]].map((one) => one.toString(16)).join("/") : "",
        data: failed ? sense : pdu.data,
      };
    });
  }

  /** A PERSISTENT RESERVE OUT as a PDU. */
  out(action: number, list: List = {}): Uint8Array {
    const { key = 0n, actionKey = 0n, flags = 0, type = 0, scope = 0, ids } = list;
    const named = concat(...(ids ?? []));
    const moves = action === ReserveOut.RegisterAndMove;
    const length = moves ? 24 + named.length : ids === undefined ? 24 : 28 + named.length;
    const data = new Uint8Array(length);
    const view = new DataView(data.buffer);
    view.setBigUint64(0, key);
    view.setBigUint64(8, actionKey);
    if (moves) {
      data[17] = flags;
      view.setUint16(18, 1);
      view.setUint32(20, list.idBytes ?? named.length);
      data.set(named, 24);
    } else {
      data[20] = flags;
      if (ids !== undefined) {
        view.setUint32(24, list.idBytes ?? named.length);
        data.set(named, 28);
      }
    }
    const cdb = [0x5f, action, (scope << 4) | type, 0, 0, 0, 0, length >> 8, length & 255, 0];
    return this.initiator.command(cdb, { write: length, data });
  }

  async reserveOut(action: number, list: List = {}): Promise<Outcome> {
    await this.initiator.send(this.out(action, list));
    return this.outcomes()[0];
  }

  async register(actionKey: bigint, list: List = {}): Promise<void> {
    expect(await this.reserveOut(ReserveOut.RegisterAndIgnoreExistingKey, { ...list, actionKey })).toMatchObject({
      status: 0,
    });
  }

  async reserve(key: bigint, type: number): Promise<void> {
    expect((await this.reserveOut(ReserveOut.Reserve, { key, type })).status).toBe(0);
  }

  reserveIn(action: number, allocation = 4096): Promise<Outcome> {
    return this.run([0x5e, action, 0, 0, 0, 0, 0, allocation >> 8, allocation & 255, 0], { read: allocation });
  }

  async keys(): Promise<bigint[]> {
    const { data } = await this.reserveIn(0);
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    expect(view.getUint32(4)).toBe(data.length - 8);
    return Array.from({ length: view.getUint32(4) / 8 }, (_, at) => view.getBigUint64(8 + 8 * at));
  }

  /** The status of a test of readiness, and its sense. */
  async probe(): Promise<string> {
    const { status, sense } = await this.run(TEST_UNIT_READY);
    return sense === "" ? String(status) : sense;
  }

  writes(): Promise<Outcome> {
    return this.run(write10(0, 1), { write: 512, data: pattern(512) });
  }
}

async function hosts(options: Parameters<typeof bench>[0] = {}) {
  const world = bench({ device: new RamDevice(64), ...options });
  const a = await new Host(world, "a").ready();
  const b = await new Host(world, "b").ready();
  const c = await new Host(world, "c").ready();
  return { world, a, b, c };
}

/** A store whose saves wait until a test lets them through. */
class HeldStore implements ReservationStore {
  kept: KeptReservations | undefined;
  held = false;
  readonly #waiting: { pass: () => void; fail: (error: Error) => void }[] = [];

  save(kept: KeptReservations | undefined): Promise<void> {
    if (!this.held) {
      this.kept = kept;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        pass: () => {
          this.kept = kept;
          resolve();
        },
        fail: reject,
      });
    });
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  pass(): void {
    this.#waiting.shift()?.pass();
  }

  fail(): void {
    this.#waiting.shift()?.fail(Object.assign(new Error("no room"), { code: "file.failed" }));
  }
}

const identity = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };

async function storedHosts(store: HeldStore) {
  const device = new RamDevice(64);
  return hosts({ device, target: { luns: [{ lun: 0, device, identity, reservations: store }] } });
}

describe("PERSISTENT RESERVE IN", () => {
  test("keys, the reservation and the full status, as SPC-4 lays them out", async () => {
    const { a, b } = await hosts();
    expect(hex((await a.reserveIn(0)).data)).toBe("00000000 00000000");
    await a.register(0x0102030405060708n);
    await b.register(2n);
    await a.reserve(0x0102030405060708n, WERO);
    expect(hex((await b.reserveIn(0)).data)).toBe("00000002 00000010 01020304 05060708 00000000 00000002");
    expect(hex((await b.reserveIn(1)).data)).toBe("00000002 00000010 01020304 05060708 00000000 00050000");
    const full = (await b.reserveIn(3)).data;
    expect(hex(full.subarray(0, 32))).toBe("00000002 00000090 01020304 05060708 00000000 01050000 00000001 00000030");
    expect(hex(full.subarray(32, 36))).toBe("4500002c");
    expect(new TextDecoder().decode(full.subarray(36, 36 + 44))).toBe("iqn.2026-11.dev.antipode:a,i,0x800000010000\0");
    expect(hex(full.subarray(80, 80 + 24))).toBe("00000000 00000002 00000000 00000000 00000001 00000030");
  });

  test("the allocation length cuts, and does not change what is said of the length", async () => {
    const { a } = await hosts();
    await a.register(1n);
    expect(hex((await a.reserveIn(0, 10)).data)).toBe("00000001 00000008 0000");
    expect((await a.run([0x5e, 0, 0, 0, 0, 0, 0, 0, 0, 0])).status).toBe(0);
  });

  test("capabilities, with and without a store", async () => {
    const without = await hosts();
    expect(hex((await without.a.reserveIn(2)).data)).toBe("00081cb0 ea010000");
    const { a } = await storedHosts(new HeldStore());
    await a.register(1n, { flags: 1 });
    expect(hex((await a.reserveIn(2)).data)).toBe("00081db1 ea010000");
    for (let action = 4; action < 32; action++) expect((await a.reserveIn(action)).sense).toBe("5/24/0");
  });
});

describe("who may do what", () => {
  const MODE_SENSE = [0x1a, 0, 0x3f, 0, 255, 0];
  const STOP = [0x1b, 0, 0, 0, 0, 0];
  const START = [0x1b, 0, 0, 0, 1, 0];
  const cases = [
    { what: "READ", cdb: read10(0, 1), access: "read" },
    { what: "WRITE", cdb: write10(0, 1), access: "write" },
    { what: "VERIFY", cdb: [0x2f, 0, 0, 0, 0, 0, 0, 0, 1, 0], access: "read" },
    { what: "SYNCHRONIZE CACHE", cdb: [0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0], access: "write" },
    { what: "MODE SENSE", cdb: MODE_SENSE, access: "read" },
    { what: "TEST UNIT READY", cdb: TEST_UNIT_READY, access: "free" },
    { what: "READ CAPACITY", cdb: [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], access: "free" },
    { what: "INQUIRY", cdb: [0x12, 0, 0, 0, 36, 0], access: "free" },
    { what: "START STOP UNIT that stops", cdb: STOP, access: "write" },
    { what: "START STOP UNIT that starts", cdb: START, access: "free" },
  ];

  test.each([
    { name: "Write Exclusive", type: WE, registrants: "read", strangers: "read" },
    { name: "Exclusive Access", type: EA, registrants: "none", strangers: "none" },
    { name: "Write Exclusive, Registrants Only", type: WERO, registrants: "all", strangers: "read" },
    { name: "Exclusive Access, Registrants Only", type: EARO, registrants: "all", strangers: "none" },
    { name: "Write Exclusive, All Registrants", type: WEAR, registrants: "all", strangers: "read" },
    { name: "Exclusive Access, All Registrants", type: EAAR, registrants: "all", strangers: "none" },
  ])("$name", async ({ type, registrants, strangers }) => {
    const { a, b, c } = await hosts();
    await a.register(1n);
    await b.register(2n);
    await a.reserve(1n, type);
    const may = (rights: string, access: string) => access === "free" || rights === "all" || rights === access;
    for (const { what, cdb, access } of cases) {
      const transfer =
        what === "WRITE" ? { write: 512, data: pattern(512) } : cdb[0] === 0x28 || cdb[0] < 0x1b ? { read: 512 } : {};
      expect((await a.run(cdb, transfer)).status, `holder, ${what}`).toBe(0);
      expect((await b.run(cdb, transfer)).status, `registrant, ${what}`).toBe(may(registrants, access) ? 0 : CONFLICT);
      expect((await c.run(cdb, transfer)).status, `stranger, ${what}`).toBe(may(strangers, access) ? 0 : CONFLICT);
    }
    // A stranger manages nothing; anybody may look, and register.
    for (const action of [ReserveOut.Reserve, ReserveOut.Release, ReserveOut.Clear, ReserveOut.Preempt]) {
      expect((await c.reserveOut(action, { type, actionKey: 1n })).status).toBe(CONFLICT);
    }
    expect(await c.keys()).toEqual([1n, 2n]);
    await c.register(3n);
  });

  test("a write that was refused has written nothing, and its data is taken", async () => {
    const { a, b, world } = await hosts();
    await a.register(1n);
    await a.reserve(1n, WE);
    expect((await b.writes()).status).toBe(CONFLICT);
    expect(world.device.calls).toEqual([]);
    expect(await b.probe()).toBe("0");
  });
});

describe("unit attentions", () => {
  test("of a release for registrants go to the others, once", async () => {
    const { a, b, c } = await hosts();
    await a.register(1n);
    await b.register(2n);
    await a.reserve(1n, EARO);
    expect((await a.reserveOut(ReserveOut.Release, { key: 1n, type: EARO })).status).toBe(0);
    expect([await a.probe(), await b.probe(), await b.probe(), await c.probe()]).toEqual(["0", "6/2a/4", "0", "0"]);
  });

  test("of PREEMPT tell who lost a registration, and of another type who kept it", async () => {
    const { a, b, c } = await hosts();
    await a.register(1n);
    await b.register(2n);
    await c.register(3n);
    await a.reserve(1n, WERO);
    expect((await b.reserveOut(ReserveOut.Preempt, { key: 2n, actionKey: 1n, type: EARO })).status).toBe(0);
    // The conflict comes first, and does not take the unit attention away.
    expect((await a.writes()).status).toBe(CONFLICT);
    expect([await a.probe(), await b.probe(), await c.probe()]).toEqual(["6/2a/5", "0", "6/2a/4"]);
  });

  test("of CLEAR", async () => {
    const { a, b, c } = await hosts();
    await a.register(1n);
    await b.register(2n);
    expect((await a.reserveOut(ReserveOut.Clear, { key: 1n })).status).toBe(0);
    expect([await a.probe(), await b.probe(), await c.probe()]).toEqual(["0", "6/2a/3", "0"]);
  });

  test("a reset is reported ahead of a conflict", async () => {
    const { a, b } = await hosts();
    await a.register(1n);
    await a.reserve(1n, EA);
    await b.initiator.send(build(0x02, { flags: 0x85, immediate: true, words: { 8: 0, 24: b.initiator.cmdSN } }));
    b.initiator.receive();
    expect((await b.writes()).sense).toBe("6/29/3");
    expect((await b.writes()).status).toBe(CONFLICT);
    expect((await a.run(read10(0, 1), { read: 512 })).sense).toBe("6/29/3");
    expect((await a.run(read10(0, 1), { read: 512 })).status).toBe(0);
  });
});

describe("PREEMPT AND ABORT", () => {
  test("ends when the tasks of the preempted have, and theirs alone", async () => {
    const { a, b, c, world } = await hosts();
    await a.register(1n);
    await b.register(2n);
    await c.register(3n);
    await a.reserve(1n, WERO);
    world.device.held = true;
    for (const host of [a, c]) {
      await host.initiator.send(host.initiator.command(write10(1, 1), { write: 512, data: pattern(512) }));
    }
    // The device was not told: its requests were done at once until now.
    const [writeOfA, writeOfC] = world.device.gates;
    await b.initiator.send(b.out(ReserveOut.PreemptAndAbort, { key: 2n, actionKey: 1n, type: WERO }));
    expect([...a.outcomes(), ...b.outcomes()]).toEqual([]);
    writeOfA.open();
    await world.timers.turn();
    expect(a.outcomes().map(({ status }) => status)).toEqual([TASK_ABORTED]);
    expect(b.outcomes().map(({ status }) => status)).toEqual([0]);
    expect(c.outcomes()).toEqual([]);
    writeOfC.open();
    await world.timers.turn();
    expect(c.outcomes().map(({ status }) => status)).toEqual([0]);
    world.device.held = false;
    expect((await a.writes()).status).toBe(CONFLICT);
    expect(await b.keys()).toEqual([2n, 3n]);
  });

  test("is not what PREEMPT does: tasks go on", async () => {
    const { a, b, world } = await hosts();
    await a.register(1n);
    await b.register(2n);
    world.device.held = true;
    await a.initiator.send(a.initiator.command(write10(1, 1), { write: 512, data: pattern(512) }));
    expect((await b.reserveOut(ReserveOut.Preempt, { key: 2n, actionKey: 1n })).status).toBe(0);
    world.device.gates[0].open();
    await world.timers.turn();
    expect(a.outcomes().map(({ status }) => status)).toEqual([0]);
  });

  test("spares itself where its own nexus is among the preempted", async () => {
    const { a, b } = await hosts();
    await a.register(1n);
    await b.register(1n);
    expect((await a.reserveOut(ReserveOut.PreemptAndAbort, { key: 1n, actionKey: 1n })).status).toBe(0);
    expect(await a.keys()).toEqual([]);
    expect(await b.probe()).toBe("6/2a/5");
  });
});

describe("parameter lists", () => {
  test("SPEC_I_PT names a port, or all ports of a name that are there", async () => {
    const { a, b, world } = await hosts();
    const second = await new Host(world, "b", 0x80000002).ready();
    const absent = portName("iqn.2026-11.dev.antipode:later", 0x123456789abc);
    const name = formatTransportId(b.name);
    name[0] = 0x05;
    const ids = [formatTransportId(absent), name];
    expect((await a.reserveOut(ReserveOut.Register, { actionKey: 9n, flags: 0x0c, ids })).status).toBe(0);
    expect(await a.keys()).toEqual([9n, 9n, 9n, 9n]);
    await second.reserve(9n, WE);
    expect((await b.writes()).status).toBe(CONFLICT);
  });

  test.each([
    ["too short for SPEC_I_PT", { flags: 8 }, "5/1a/0"],
    ["longer than it says", { flags: 8, ids: [formatTransportId("x,i,0x000000000001")], idBytes: 4 }, "5/1a/0"],
    ["another protocol", { flags: 8, ids: [new Uint8Array([0x46, 0, 0, 20, ...new Array(20).fill(65)])] }, "5/26/0"],
    [
      "a name without an end",
      { flags: 8, ids: [new Uint8Array([0x45, 0, 0, 20, ...new Array(20).fill(65)])] },
      "5/26/0",
    ],
    ["a name of another form", { flags: 8, ids: [formatTransportId("iqn.x")] }, "5/26/0"],
    ["a length that is none", { flags: 8, ids: [new Uint8Array([0x45, 0, 0, 3, 65, 0, 0])] }, "5/26/0"],
    ["APTPL without a store", { flags: 1 }, "5/26/0"],
  ])("REGISTER, %s", async (_, list, sense) => {
    const { a } = await hosts();
    expect((await a.reserveOut(ReserveOut.Register, { actionKey: 1n, ...list })).sense).toBe(sense);
    expect(await a.keys()).toEqual([]);
  });

  test("SPEC_I_PT is REGISTER's alone, scope and type are checked, and the list has its length", async () => {
    const { a } = await hosts();
    const ids = [formatTransportId("x,i,0x000000000001")];
    const ignore = ReserveOut.RegisterAndIgnoreExistingKey;
    expect((await a.reserveOut(ignore, { actionKey: 1n, flags: 8, ids })).sense).toBe("5/26/0");
    await a.register(1n);
    expect((await a.reserveOut(ReserveOut.Register, { key: 1n, actionKey: 2n, flags: 8, ids })).sense).toBe("5/24/0");
    expect((await a.reserveOut(ReserveOut.Reserve, { key: 1n, type: 2 })).sense).toBe("5/24/0");
    expect((await a.reserveOut(ReserveOut.Reserve, { key: 1n, type: WE, scope: 2 })).sense).toBe("5/24/0");
    expect((await a.reserveOut(0x08)).sense).toBe("5/24/0");
    const short = await a.run([0x5f, 0, 0, 0, 0, 0, 0, 0, 8, 0], { write: 8, data: new Uint8Array(8) });
    expect(short.sense).toBe("5/1a/0");
    expect((await a.run([0x5f, 3, 0, 0, 0, 0, 0, 0, 24, 0])).sense).toBe("5/24/0");
    expect(await a.keys()).toEqual([1n]);
  });

  test("REGISTER AND MOVE", async () => {
    const { a, b } = await hosts();
    await a.register(1n);
    await a.reserve(1n, EA);
    const move = ReserveOut.RegisterAndMove;
    const name = formatTransportId(b.name);
    name[0] = 0x05;
    expect((await a.reserveOut(move, { key: 1n, actionKey: 5n, ids: [name] })).sense).toBe("5/26/0");
    expect((await a.reserveOut(move, { key: 1n, actionKey: 5n, ids: [] })).sense).toBe("5/26/0");
    const ids = [formatTransportId(b.port)];
    expect((await a.reserveOut(move, { key: 1n, actionKey: 5n, ids, idBytes: 8 })).sense).toBe("5/1a/0");
    expect((await a.reserveOut(move, { key: 1n, actionKey: 5n, ids, flags: 2 })).status).toBe(0);
    expect(await b.keys()).toEqual([5n]);
    expect([(await b.writes()).status, (await a.writes()).status]).toEqual([0, CONFLICT]);
  });
});

test("any parameter list gets one answer, and the unit answers on", async () => {
  const { a, b } = await hosts();
  const bytes = fc.uint8Array({ minLength: 8, maxLength: 100 });
  await fc.assert(
    fc.asyncProperty(fc.nat(8), fc.nat(255), fc.nat(4), fc.nat(4), fc.nat(15), bytes, async (...drawn) => {
      const [action, type, key, actionKey, flags, list] = drawn;
      // Keys that others may have, and lengths that are nearly right, lead furthest.
      if (list.length >= 24) {
        list.fill(0, 0, 16);
        list[7] = key;
        list[15] = actionKey;
        list[20] = flags;
        list.fill(0, 24, 27);
      }
      const cdb = [0x5f, action, type, 0, 0, 0, 0, 0, list.length, 0];
      expect([0, 2, CONFLICT]).toContain((await a.run(cdb, { write: list.length, data: list })).status);
      expect((await b.reserveIn(3)).status).toBe(0);
    }),
    { seed: 1, numRuns: 300 },
  );
});

describe("sessions", () => {
  test("a registration is its port's: the same ISID has it again, another has not", async () => {
    const { a, b, world } = await hosts();
    await a.register(1n);
    await a.reserve(1n, WE);
    a.initiator.connection.onClose();
    expect((await b.writes()).status).toBe(CONFLICT);
    const other = await new Host(world, "a", 0x80000009).ready();
    expect((await other.writes()).status).toBe(CONFLICT);
    const again = await new Host(world, "a").ready();
    expect((await again.writes()).status).toBe(0);
    expect((await again.reserveOut(ReserveOut.Release, { key: 1n, type: WE })).status).toBe(0);
  });
});

describe("what outlives the target", () => {
  test("is stored before the status is sent, one change after another", async () => {
    const store = new HeldStore();
    const { a, b, world } = await storedHosts(store);
    store.held = true;
    await a.initiator.send(a.out(ReserveOut.Register, { actionKey: 1n, flags: 1 }));
    await b.initiator.send(b.out(ReserveOut.Register, { actionKey: 2n, flags: 1 }));
    expect([store.waiting, ...a.outcomes(), ...b.outcomes()]).toEqual([1]);
    expect(await b.keys()).toEqual([]);
    store.pass();
    await world.timers.turn();
    expect(a.outcomes().map(({ status }) => status)).toEqual([0]);
    expect([store.waiting, ...b.outcomes()]).toEqual([1]);
    store.pass();
    await world.timers.turn();
    expect(b.outcomes().map(({ status }) => status)).toEqual([0]);
    expect(await b.keys()).toEqual([1n, 2n]);
  });

  test("is not made by one that waits for the change that aborts it", async () => {
    const store = new HeldStore();
    const { a, b, world } = await storedHosts(store);
    await a.register(1n, { flags: 1 });
    await b.register(2n, { flags: 1 });
    await b.reserve(2n, WERO);
    store.held = true;
    await a.initiator.send(a.out(ReserveOut.PreemptAndAbort, { key: 1n, actionKey: 2n, type: WERO }));
    await b.initiator.send(b.out(ReserveOut.RegisterAndIgnoreExistingKey, { actionKey: 3n }));
    store.pass();
    await world.timers.turn();
    expect(a.outcomes().map(({ status }) => status)).toEqual([0]);
    expect(b.outcomes().map(({ status }) => status)).toEqual([TASK_ABORTED]);
    expect([store.waiting, ...(await a.keys())]).toEqual([0, 1n]);
    expect(await b.probe()).toBe("6/2a/5");
    expect((await b.writes()).status).toBe(CONFLICT);
  });

  test("has not happened where it could not be stored", async () => {
    const store = new HeldStore();
    const { a, world } = await storedHosts(store);
    store.held = true;
    await a.initiator.send(a.out(ReserveOut.Register, { actionKey: 1n, flags: 1 }));
    store.fail();
    await world.timers.turn();
    expect(a.outcomes().map(({ status }) => status)).toEqual([2]);
    expect(await a.keys()).toEqual([]);
    store.held = false;
    store.kept = { registrations: [{ nexus: nexusName(a.port, 1), key: 1n }], reservation: undefined };
    // The store may have it all the same: a change that is not to be kept takes it out.
    await a.register(7n);
    expect(store.kept).toBeUndefined();
  });

  test("is there after a restart, without the generation, and for its nexus", async () => {
    const store = new HeldStore();
    const first = await storedHosts(store);
    await first.a.register(1n, { flags: 1 });
    await first.b.register(2n, { flags: 1 });
    await first.a.reserve(1n, WERO);
    const { a, b, c } = await storedHosts(store);
    expect(hex((await a.reserveIn(1)).data)).toBe("00000000 00000010 00000000 00000001 00000000 00050000");
    const statuses = [await a.writes(), await b.writes(), await c.writes()].map(({ status }) => status);
    expect(statuses).toEqual([0, 0, CONFLICT]);
    await a.register(1n);
    expect(store.kept).toBeUndefined();
  });

  test("is refused where no target could have kept it", () => {
    const device = new RamDevice(64);
    const made = (kept: KeptReservations) => () =>
      bench({
        target: { luns: [{ lun: 0, device, identity, reservations: { kept, save: () => Promise.resolve() } }] },
      });
    const p = nexusName(portName("iqn.2026-11.dev.antipode:p", 1), 1);
    const registrations = [{ nexus: p, key: 1n }];
    expect(made({ registrations, reservation: undefined })).not.toThrow();
    // Names of several lines could log in once.
    const odd = nexusName(portName("iqn.a\nb\u2028c", 1), 1);
    expect(made({ registrations: [{ nexus: odd, key: 1n }], reservation: undefined })).not.toThrow();
    expect(made({ registrations, reservation: { type: EAAR, holder: undefined } })).not.toThrow();
    expect(made({ registrations, reservation: { type: WE, holder: p.replace("p", "q") } })).toThrow(RangeError);
    expect(made({ registrations, reservation: { type: 2, holder: p } })).toThrow(RangeError);
    expect(made({ registrations: [{ nexus: p, key: 0n }], reservation: undefined })).toThrow(RangeError);
    for (const nexus of ["p", initiatorPortOf(p)]) {
      expect(made({ registrations: [{ nexus, key: 1n }], reservation: undefined })).toThrow(RangeError);
    }
    expect(made({ registrations: [...registrations, ...registrations], reservation: undefined })).toThrow(RangeError);
  });
});

describe("RESERVE and RELEASE", () => {
  test.each([
    ["6", RESERVE_6, RELEASE_6],
    ["10", RESERVE_10, RELEASE_10],
  ])("(%s): one nexus has the unit, and gives it back", async (_, reserve, release) => {
    const { a, b } = await hosts();
    for (const _ of [1, 2]) expect((await a.run(reserve)).status).toBe(0);
    expect((await b.run(reserve)).status).toBe(CONFLICT);
    expect((await b.run(release)).status).toBe(0);
    expect((await b.run(TEST_UNIT_READY)).status).toBe(CONFLICT);
    expect((await b.run(read10(0, 1), { read: 512 })).status).toBe(CONFLICT);
    expect((await b.run([0x12, 0, 0, 0, 36, 0], { read: 36 })).status).toBe(0);
    expect((await b.run([3, 0, 0, 0, 18, 0], { read: 18 })).status).toBe(0);
    expect((await a.writes()).status).toBe(0);
    // Nobody manages persistent reservations meanwhile, the one who has it neither.
    for (const host of [a, b]) {
      expect((await host.reserveIn(0)).status).toBe(CONFLICT);
      expect((await host.reserveOut(ReserveOut.Register, { actionKey: 1n })).status).toBe(CONFLICT);
    }
    expect((await a.run(release)).status).toBe(0);
    expect((await b.writes()).status).toBe(0);
    expect((await a.run([reserve[0], 0x10, ...reserve.slice(2)])).sense).toBe("5/24/0");
  });

  test("do nothing where a persistent reservation says the same, and else meet a conflict", async () => {
    const { a, b, c } = await hosts();
    await a.register(1n);
    for (const cdb of [RESERVE_6, RELEASE_6]) expect((await a.run(cdb)).status).toBe(CONFLICT);
    await b.register(2n);
    await a.reserve(1n, WE);
    for (const cdb of [RESERVE_6, RELEASE_6]) {
      expect([await a.run(cdb), await b.run(cdb), await c.run(cdb)].map(({ status }) => status)).toEqual([
        0,
        CONFLICT,
        CONFLICT,
      ]);
    }
    expect((await c.run(read10(0, 1), { read: 512 })).status).toBe(0);
    expect((await a.reserveOut(ReserveOut.Preempt, { key: 1n, actionKey: 1n, type: WERO })).status).toBe(0);
    await b.probe();
    for (const cdb of [RESERVE_10, RELEASE_10]) {
      expect([await b.run(cdb), await c.run(cdb)].map(({ status }) => status)).toEqual([0, CONFLICT]);
    }
  });

  test("come between a PERSISTENT RESERVE OUT and its parameter list", async () => {
    const { a, b } = await hosts();
    const cdb = [0x5f, ReserveOut.RegisterAndIgnoreExistingKey, 0, 0, 0, 0, 0, 0, 24, 0];
    const tag = a.initiator.itt;
    await a.initiator.send(a.initiator.command(cdb, { write: 24 }));
    const [r2t] = a.initiator.receive();
    expect((await b.run(RESERVE_6)).status).toBe(0);
    const list = Uint8Array.from({ length: 24 }, (_, at) => (at === 15 ? 1 : 0));
    await a.initiator.send(a.initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, list, true));
    expect(a.outcomes().map(({ status }) => status)).toEqual([CONFLICT]);
    await b.run(RELEASE_6);
    expect(await a.keys()).toEqual([]);
  });

  test("meet a conflict while a registration is being stored", async () => {
    const store = new HeldStore();
    const { a, b, world } = await storedHosts(store);
    store.held = true;
    await a.initiator.send(a.out(ReserveOut.Register, { actionKey: 1n, flags: 1 }));
    expect((await b.run(RESERVE_6)).status).toBe(CONFLICT);
    store.pass();
    await world.timers.turn();
    expect(a.outcomes().map(({ status }) => status)).toEqual([0]);
    expect((await b.writes()).status).toBe(0);
  });

  test("end with the session", async () => {
    const { a, b } = await hosts();
    await a.run(RESERVE_6);
    a.initiator.connection.onClose();
    expect((await b.writes()).status).toBe(0);
  });

  test("outlast a lost connection until the device is done with its writes", async () => {
    const device = new RamDevice(64);
    const { a, b, world } = await hosts({ device });
    await a.run(RESERVE_6);
    let open = () => {};
    device.write = () =>
      new Promise<void>((resolve) => {
        open = resolve;
      });
    await a.initiator.send(a.initiator.command(write10(1, 1), { write: 512, data: pattern(512) }));
    a.initiator.connection.onClose();
    expect((await b.run(RESERVE_6)).status).toBe(CONFLICT);
    open();
    await world.timers.turn();
    expect((await b.run(RESERVE_6)).status).toBe(0);
  });

  test.each([
    ["a reset of the unit", 0x85],
    ["a reset of the target", 0x86],
  ])("end with %s, which leaves persistent ones", async (_, flags) => {
    const { a, b, world } = await hosts();
    const reset = async () => {
      await b.initiator.send(build(0x02, { flags, immediate: true, words: { 8: 0, 24: b.initiator.cmdSN } }));
      expect(b.initiator.receive().map((pdu) => [pdu.opcode, pdu.header.getUint8(2)])).toEqual([[0x22, 0]]);
      await b.probe();
    };
    await a.run(RESERVE_6);
    await reset();
    expect((await b.writes()).status).toBe(0);
    await a.probe();
    await a.register(1n);
    await a.reserve(1n, WE);
    await reset();
    expect((await b.writes()).status).toBe(CONFLICT);
    expect(world.server.sessionsOf(TARGET).length).toBe(3);
  });
});
