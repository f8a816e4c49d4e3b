import { describe, expect, test } from "vitest";
import type { Grant } from "./access.ts";
import type { Portal } from "./portal.ts";
import { copyCdb, cscd, lid4List, populateList, segment, writeUsingTokenList } from "./testing/copy.ts";
import { type Bench, bench, build, Initiator, pattern, read10, TARGET, text, write10 } from "./testing/initiator.ts";
import { RamDevice } from "./testing/world.ts";

const ADA = "iqn.2026-11.dev.antipode:ada";
const BOB = "iqn.2026-11.dev.antipode:bob";
const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];
const LUN_RESET = 5;
const WARM_RESET = 6;
const COLD_RESET = 7;

const naaOf = (unit: number) => (0x3n << 60n) | BigInt(unit);
const identity = (unit: number) => ({
  vendor: "V",
  product: "P",
  revision: "1",
  serial: `s-${unit}`,
  naa: naaOf(unit),
});

/** A target with the units 0, 1 and 2, and grants that a test changes. */
function world(grants: Record<string, Grant | undefined>): Bench & { readonly devices: readonly RamDevice[] } {
  const devices = [0, 1, 2].map(() => new RamDevice(128));
  const luns = devices.map((device, lun) => ({ lun, device, identity: identity(lun) }));
  return { ...bench({ target: { luns, grant: (name) => grants[name] } }), devices };
}

const lunMap = (map: Readonly<Record<number, number>>): Grant => ({
  luns: new Map(Object.entries(map).map(([lun, own]) => [Number(lun), own])),
});

class Host {
  readonly initiator: Initiator;

  constructor(of: Bench, name: string, portal?: Portal) {
    this.initiator = new Initiator(of, { name, isid: 0x80000001 }, portal);
  }

  async login(): Promise<number> {
    return (await this.initiator.login()).header.getUint16(36);
  }

  /** The status, and after CHECK CONDITION the sense. */
  async run(cdb: readonly number[], options: Parameters<Initiator["command"]>[1] = {}): Promise<string> {
    await this.initiator.send(this.initiator.command(cdb, options));
    return this.outcomes().join();
  }

  outcomes(): string[] {
    return this.initiator.receive().map(({ opcode, header, data }) => {
      if (opcode !== 0x21) return `PDU ${opcode.toString(16)}`;
      const status = header.getUint8(3);
      if (status !== 0x02) return status.toString(16);
      return [data[4], data[14], data[15]].map((one) => one.toString(16)).join("/");
    });
  }

  async data(cdb: readonly number[], lun = 0): Promise<Uint8Array> {
    await this.initiator.send(this.initiator.command(cdb, { read: 512, lun }));
    return this.initiator.receive()[0].data;
  }

  async luns(): Promise<number[]> {
    const list = await this.data([0xa0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
    const view = new DataView(list.buffer, list.byteOffset);
    return Array.from({ length: view.getUint32(0) / 8 }, (_, at) => view.getUint16(8 + 8 * at));
  }

  async serial(lun: number): Promise<string> {
    return new TextDecoder().decode((await this.data([0x12, 1, 0x80, 0, 255, 0], lun)).subarray(4));
  }

  /** A token for the first block of a LUN. */
  async token(lun = 0): Promise<Uint8Array> {
    const list = populateList([[0, 1]]);
    const cdb = copyCdb(0x83, 0x10, list.length, [0, 0, 0, 0, 0, 0, 0, 1]);
    expect(await this.run(cdb, { write: list.length, data: list, lun })).toBe("0");
    await this.initiator.send(this.initiator.command(copyCdb(0x84, 7, 1024, [0, 0, 0, 1]), { read: 1024, lun }));
    return this.initiator.receive()[0].data.slice(38);
  }

  /** Takes all that there is to report on these LUNs. */
  async settle(...luns: readonly number[]): Promise<this> {
    for (const lun of luns) while ((await this.run(TEST_UNIT_READY, { lun })) !== "0");
    return this;
  }

  async manage(code: number, lun = 0): Promise<number> {
    const words = { 8: lun << 16, 20: 0xffffffff, 24: this.initiator.cmdSN++ };
    await this.initiator.send(build(0x02, { flags: 0x80 | code, itt: 9999, words }));
    return (
      this.initiator
        .receive()
        .find(({ opcode }) => opcode === 0x22)
        ?.header.getUint8(2) ?? -1
    );
  }

  async close(): Promise<void> {
    this.initiator.connection.onClose();
  }
}

async function host(of: Bench, name: string, ...luns: readonly number[]): Promise<Host> {
  const it = new Host(of, name);
  expect(await it.login()).toBe(0);
  return it.settle(...luns);
}

describe("an initiator", () => {
  test("sees the units that it is given, under the LUNs that it is given them", async () => {
    const of = world({ [ADA]: lunMap({ 0: 0, 300: 2 }), [BOB]: lunMap({ 5: 1, 1: 2 }) });
    const ada = await host(of, ADA, 0, 0x4000 | 300);
    const bob = await host(of, BOB, 1, 5);
    expect(await ada.luns()).toEqual([0, 0x4000 | 300]);
    expect(await bob.luns()).toEqual([1, 5]);
    expect([await ada.serial(0), await ada.serial(0x4000 | 300)]).toEqual(["s-0", "s-2"]);
    expect([await bob.serial(5), await bob.serial(1)]).toEqual(["s-1", "s-2"]);
    const data = pattern(512);
    expect(await ada.run(write10(3, 1), { write: 512, data, lun: 0x4000 | 300 })).toBe("0");
    expect(await bob.data(read10(3, 1), 1)).toEqual(data);
    expect(await bob.run(write10(3, 1), { write: 512, data: pattern(512, 9), lun: 5 })).toBe("0");
    expect(of.devices[1].bytes.subarray(3 * 512, 4 * 512)).toEqual(pattern(512, 9));
    expect(of.devices[0].bytes.every((byte) => byte === 0)).toBe(true);
  });

  test("has no unit where it is given none, whatever the target has there", async () => {
    const of = world({ [BOB]: lunMap({ 5: 1 }) });
    const bob = await host(of, BOB, 5);
    for (const lun of [0, 1, 2]) {
      expect((await bob.data([0x12, 0, 0, 0, 255, 0], lun))[0]).toBe(0x7f);
      expect(await bob.run(read10(0, 1), { read: 512, lun })).toBe("5/25/0");
      expect(await bob.run(TEST_UNIT_READY, { lun })).toBe("5/25/0");
      expect(await bob.manage(LUN_RESET, lun)).toBe(2);
    }
    expect(of.devices.flatMap(({ calls }) => calls)).toEqual([]);
  });

  test("resets what it is given, and not what others are", async () => {
    const of = world({ [ADA]: lunMap({ 0: 0, 1: 1 }), [BOB]: lunMap({ 0: 1 }) });
    const ada = await host(of, ADA, 0, 1);
    const bob = await host(of, BOB, 0);
    of.devices[0].held = true;
    of.devices[1].held = true;
    await ada.initiator.send(ada.initiator.command(read10(0, 1), { read: 512, lun: 0 }));
    await ada.initiator.send(ada.initiator.command(read10(0, 1), { read: 512, lun: 1 }));
    expect(await bob.manage(COLD_RESET)).toBe(6);
    const reset = bob.manage(WARM_RESET);
    await of.timers.turn();
    for (const device of of.devices) for (const gate of device.gates) gate.open();
    await of.timers.turn();
    await reset;
    // The read of the unit that only ada has is answered with its data.
    expect(ada.outcomes().toSorted()).toEqual(["40", "PDU 25"]);
    for (const device of of.devices) device.held = false;
    expect([await ada.run(TEST_UNIT_READY, { lun: 0 }), await ada.run(TEST_UNIT_READY, { lun: 1 })]).toEqual([
      "0",
      "6/29/3",
    ]);
    await bob.close();
  });

  test("is told of no token for what others are given", async () => {
    const of = world({ [ADA]: lunMap({ 0: 0, 1: 1 }), [BOB]: lunMap({ 0: 1 }) });
    const ada = await host(of, ADA, 0, 1);
    const bob = await host(of, BOB, 0);
    for (const lun of [0, 1]) await ada.token(lun);
    const sources = async (it: Host) => {
      const list = await it.data(copyCdb(0x84, 8, 512));
      return Array.from({ length: (list.length - 8) / 96 }, (_, at) => list[8 + 96 * at + 16 + 15]);
    };
    expect([await sources(ada), await sources(bob)]).toEqual([[0, 1], [1]]);
  });

  test("can't register another at a unit that it is not given", async () => {
    const of = world({ [ADA]: lunMap({ 0: 0, 1: 1 }), [BOB]: lunMap({ 0: 1 }) });
    const ada = await host(of, ADA, 0, 1);
    await host(of, BOB, 0);
    const name = new TextEncoder().encode(BOB);
    const id = new Uint8Array(4 + ((name.length + 4) & ~3));
    id.set([0x05, 0, 0, id.length - 4]);
    id.set(name, 4);
    const list = new Uint8Array(28 + id.length).with(15, 9).with(20, 0x08).with(27, id.length);
    list.set(id, 28);
    const register = (lun: number) =>
      ada.run([0x5f, 0, 0, 0, 0, 0, 0, 0, list.length, 0], { write: list.length, data: list, lun });
    expect([await register(0), await register(1)]).toEqual(["0", "0"]);
    const registered = (unit: number) => of.target.device.unit(unit)?.reservations.state.registrations.length;
    expect([registered(0), registered(1)]).toEqual([1, 2]);
  });

  test("is not let in, nor told of the target, where it is given nothing", async () => {
    const of = world({ [ADA]: {} });
    expect(await new Host(of, BOB).login()).toBe(0x0202);
    const discovery = new Initiator(of);
    const names = text(`InitiatorName=${BOB}`, "SessionType=Discovery");
    await discovery.send(build(0x03, { immediate: true, flags: 0x87, words: { 24: 1 }, data: names }));
    discovery.receive();
    await discovery.send(build(0x04, { words: { 20: 0xffffffff, 24: 1 }, data: text("SendTargets=All") }));
    expect(discovery.receive()[0].data).toHaveLength(0);
  });
});

describe("a change of what initiators are given", () => {
  test("is told once to each nexus that it concerns, and to no other", async () => {
    const grants: Record<string, Grant> = { [ADA]: lunMap({ 0: 0 }), [BOB]: lunMap({ 0: 1 }) };
    const of = world(grants);
    const ada = await host(of, ADA, 0);
    const bob = await host(of, BOB, 0);
    grants[BOB] = lunMap({ 0: 1, 7: 2 });
    await of.target.changeAccess();
    expect(await ada.run(TEST_UNIT_READY)).toBe("0");
    expect([await bob.run(TEST_UNIT_READY), await bob.run(TEST_UNIT_READY)]).toEqual(["6/3f/e", "0"]);
    expect([await bob.run(TEST_UNIT_READY, { lun: 7 }), await bob.run(TEST_UNIT_READY, { lun: 7 })]).toEqual([
      "6/29/0",
      "0",
    ]);
    grants[BOB] = lunMap({ 7: 2 });
    await of.target.changeAccess();
    // Whoever has asked which LUNs there are knows.
    expect(await bob.luns()).toEqual([7]);
    expect(await bob.run(TEST_UNIT_READY, { lun: 7 })).toBe("0");
    expect(await bob.run(TEST_UNIT_READY)).toBe("5/25/0");
    expect(await ada.run(TEST_UNIT_READY)).toBe("0");
  });

  test("puts another unit under a LUN as one that has just come", async () => {
    const grants: Record<string, Grant> = { [BOB]: lunMap({ 0: 1 }) };
    const of = world(grants);
    const bob = await host(of, BOB, 0);
    grants[BOB] = lunMap({ 0: 2 });
    await of.target.changeAccess();
    expect([await bob.run(TEST_UNIT_READY), await bob.run(TEST_UNIT_READY), await bob.run(TEST_UNIT_READY)]).toEqual([
      "6/29/0",
      "6/3f/e",
      "0",
    ]);
    expect(await bob.serial(0)).toBe("s-2");
  });

  test("is done when no device works any more for what was taken away", async () => {
    const grants: Record<string, Grant> = { [BOB]: lunMap({ 0: 1, 1: 2 }) };
    const of = world(grants);
    const bob = await host(of, BOB, 0, 1);
    expect(await bob.run([0x16, 0, 0, 0, 0, 0])).toBe("0");
    of.devices[1].held = true;
    const data = pattern(512);
    await bob.initiator.send(bob.initiator.command(write10(0, 1), { write: 512, data }));
    grants[BOB] = lunMap({ 1: 2 });
    let done = false;
    const changing = of.target.changeAccess().then(() => {
      done = true;
    });
    await of.timers.turn();
    expect([done, bob.outcomes()]).toEqual([false, []]);
    expect(of.target.device.unit(1)?.reservations.reserver).toContain(BOB);
    for (const gate of of.devices[1].gates) gate.open();
    await of.timers.turn();
    await changing;
    expect(bob.outcomes()).toEqual(["40"]);
    expect(of.target.device.unit(1)?.reservations.reserver).toBeUndefined();
    expect(await bob.run(TEST_UNIT_READY, { lun: 1 })).toBe("6/3f/e");
  });

  test("reaches copies: from and to what the initiator is given, and no longer than it is", async () => {
    const grants: Record<string, Grant> = { [BOB]: lunMap({ 0: 0, 1: 1 }) };
    const of = world(grants);
    const bob = await host(of, BOB, 0, 1);
    const copyTo = (unit: number) => {
      const list = lid4List(unit, [cscd(naaOf(unit))], [segment({ from: 0xffff, to: 0 })]);
      return bob.run(copyCdb(0x83, 0x01, list.length), { write: list.length, data: list });
    };
    expect(await copyTo(1)).toBe("0");
    // A unit that is not its own is as one that is not there.
    expect(await copyTo(2)).toBe("a/d/2");
    of.devices[0].held = true;
    const list = lid4List(3, [cscd(naaOf(1))], [segment({ from: 0xffff, to: 0 })]);
    const command = { write: list.length, data: list };
    await bob.initiator.send(bob.initiator.command(copyCdb(0x83, 0x01, list.length), command));
    const { length } = of.devices[1].calls;
    grants[BOB] = lunMap({ 0: 0 });
    const changing = of.target.changeAccess();
    await of.timers.turn();
    for (const gate of of.devices[0].gates) gate.open();
    await of.timers.turn();
    await changing;
    expect(bob.outcomes()).toEqual(["a/0/0"]);
    expect(of.devices[1].calls).toHaveLength(length);
  });

  test("ends tokens: whoever has one may be given less than its maker was", async () => {
    const grants: Record<string, Grant> = { [BOB]: lunMap({ 0: 0, 1: 1 }) };
    const of = world(grants);
    const bob = await host(of, BOB, 0, 1);
    const token = await bob.token(1);
    const list = writeUsingTokenList(token, [[9, 1]]);
    const cdb = copyCdb(0x83, 0x11, list.length, [0, 0, 0, 0, 0, 0, 0, 2]);
    const use = () => bob.run(cdb, { write: list.length, data: list });
    expect(await use()).toBe("0");
    grants[BOB] = lunMap({ 0: 0 });
    await of.target.changeAccess();
    await bob.settle(0);
    expect(await use()).toBe("5/23/8");
  });

  test("logs out who may not log in any more, and is done when the device is", async () => {
    const grants: Record<string, Grant | undefined> = { [ADA]: {}, [BOB]: {} };
    const of = world(grants);
    const ada = await host(of, ADA, 0);
    const bob = await host(of, BOB, 0);
    of.devices[0].held = true;
    await bob.initiator.send(bob.initiator.command(write10(0, 1), { write: 512, data: pattern(512) }));
    grants[BOB] = undefined;
    let done = false;
    const changing = of.target.changeAccess().then(() => {
      done = true;
    });
    await of.timers.turn();
    expect(bob.outcomes()).toEqual(["PDU 32"]);
    expect([bob.initiator.transport.closed, done]).toEqual(["closed", false]);
    await bob.close();
    for (const gate of of.devices[0].gates) gate.open();
    await of.timers.turn();
    await changing;
    expect(of.events).toContain("session-closed: its access was taken away");
    expect(await new Host(of, BOB).login()).toBe(0x0202);
    expect(await ada.run(TEST_UNIT_READY)).toBe("0");
  });

  test("ends copies of who may not log in any more at once, whatever else is under way", async () => {
    const grants: Record<string, Grant | undefined> = { [BOB]: {} };
    const of = world(grants);
    const bob = await host(of, BOB, 0, 1);
    of.devices[0].held = true;
    of.devices[1].held = true;
    const list = lid4List(1, [cscd(naaOf(2))], [segment({ from: 0xffff, to: 0 })], { immediate: true });
    const copy = { write: list.length, data: list, lun: 1 };
    expect(await bob.run(copyCdb(0x83, 0x01, list.length), copy)).toBe("0");
    await bob.initiator.send(bob.initiator.command(write10(0, 1), { write: 512, data: pattern(512) }));
    grants[BOB] = undefined;
    const changing = of.target.changeAccess();
    for (const gate of of.devices[1].gates) gate.open();
    await of.timers.turn();
    expect(of.devices[2].calls).toEqual([]);
    for (const gate of of.devices[0].gates) gate.open();
    await of.timers.turn();
    await changing;
    expect(of.server.heldSessions).toBe(0);
  });

  test("that comes in the middle of a login counts", async () => {
    const grants: Record<string, Grant | undefined> = { [BOB]: {} };
    const of = world(grants);
    const bob = new Initiator(of, { name: BOB, isid: 0x80000001 });
    const names = text(`InitiatorName=${BOB}`, `TargetName=${TARGET}`);
    await bob.send(build(0x03, { immediate: true, flags: 0x04, words: { 8: 0x80000001 }, data: names }));
    expect(bob.receive()[0].header.getUint16(36)).toBe(0);
    grants[BOB] = undefined;
    await bob.send(build(0x03, { immediate: true, flags: 0x87, words: { 8: 0x80000001 } }));
    expect(bob.receive()[0].header.getUint16(36)).toBe(0x0202);
    expect(of.server.heldSessions).toBe(0);
  });

  test("of users logs out those whose user is gone, or who have proven nothing", async () => {
    // Whatever is hashed, so that the tests need not answer challenges.
    const hashes = { md5: () => new Uint8Array(16) };
    const of = bench({ hashes });
    const secretsOf = (...users: readonly string[]) => ({
      secretOf: (user: string) => (users.includes(user) ? new Uint8Array(16) : undefined),
    });
    const stranger = await host(of, ADA, 0);
    await of.target.changeAccess({ chap: secretsOf("bob") });
    await of.timers.turn();
    expect(stranger.initiator.transport.closed).toBe("closed");
    const bob = new Initiator(of, { name: BOB, isid: 0x80000001 });
    const say = async (flags: number, ...keys: readonly string[]) => {
      await bob.send(build(0x03, { immediate: true, flags, words: { 8: 0x80000001 }, data: text(...keys) }));
      return bob.receive()[0].header.getUint16(36);
    };
    await say(0x00, `InitiatorName=${BOB}`, `TargetName=${TARGET}`, "AuthMethod=CHAP");
    await say(0x00, "CHAP_A=5");
    expect(await say(0x83, "CHAP_N=bob", `CHAP_R=0x${"00".repeat(16)}`)).toBe(0);
    // One that has begun to log in, and has just proven it, when its user goes.
    const late = new Initiator(of, { name: ADA, isid: 0x80000001 });
    const tell = async (flags: number, ...keys: readonly string[]) => {
      await late.send(build(0x03, { immediate: true, flags, words: { 8: 0x80000001 }, data: text(...keys) }));
      return late.receive()[0].header.getUint16(36);
    };
    await tell(0x00, `InitiatorName=${ADA}`, `TargetName=${TARGET}`, "AuthMethod=CHAP");
    await tell(0x00, "CHAP_A=5");
    expect(await tell(0x81, "CHAP_N=bob", `CHAP_R=0x${"00".repeat(16)}`)).toBe(0);
    await of.target.changeAccess({ chap: secretsOf("bob", "eve") });
    expect(bob.transport.closed).toBe("no");
    await of.target.changeAccess({ chap: secretsOf("eve") });
    await of.timers.turn();
    expect(bob.transport.closed).toBe("closed");
    expect(await tell(0x87)).toBe(0x0201);
  });

  test("of users leaves no connection of one that is gone: none joins the session of another", async () => {
    const of = bench({ hashes: { md5: () => new Uint8Array(16) } });
    await of.target.changeAccess({ chap: { secretOf: () => new Uint8Array(16) } });
    const login = async (initiator: Initiator, user: string) => {
      let status = -1;
      const say = async (flags: number, ...keys: readonly string[]) => {
        const words = { 8: 0x80000001, 12: initiator.tsih, 20: initiator.cid << 16 };
        await initiator.send(build(0x03, { immediate: true, flags, words, data: text(...keys) }));
        const { header } = initiator.receive()[0];
        status = header.getUint16(36);
        if (flags === 0x83 && status === 0) initiator.tsih = header.getUint16(14);
      };
      await say(0x00, `InitiatorName=${ADA}`, `TargetName=${TARGET}`, "AuthMethod=CHAP", "MaxConnections=4");
      await say(0x00, "CHAP_A=5");
      await say(0x83, `CHAP_N=${user}`, `CHAP_R=0x${"00".repeat(16)}`);
      return status;
    };
    const one = new Initiator(of, { name: ADA, isid: 0x80000001 });
    expect(await login(one, "ada")).toBe(0);
    expect(await login(one.beside(1), "eve")).toBe(0x0202);
    expect(await login(one.beside(0), "eve")).toBe(0x0202);
    expect(await login(one.beside(1), "ada")).toBe(0);
    expect(one.transport.closed).toBe("no");
  });

  test("of write protection is told to every nexus", async () => {
    const of = world({ [ADA]: {}, [BOB]: lunMap({ 4: 0 }) });
    const ada = await host(of, ADA, 0);
    const bob = await host(of, BOB, 4);
    const write = (by: Host, lun: number) => by.run(write10(0, 1), { write: 512, data: pattern(512), lun });
    of.target.protect(0, true);
    of.target.protect(0, true);
    expect([await write(ada, 0), await write(ada, 0)]).toEqual(["6/2a/1", "7/27/0"]);
    expect([await write(bob, 4), await write(bob, 4)]).toEqual(["6/2a/1", "7/27/0"]);
    of.target.protect(0, false);
    expect([await write(ada, 0), await write(ada, 0)]).toEqual(["6/2a/1", "0"]);
  });

  test("of a unit's size is told to every nexus, under the LUN that it has there", async () => {
    const of = world({ [ADA]: {}, [BOB]: lunMap({ 4: 1, 1: 0 }) });
    const ada = await host(of, ADA, 0, 1);
    const bob = await host(of, BOB, 4, 1);
    of.devices[1].blockCount = 256;
    of.target.resized(1);
    expect(await ada.run(TEST_UNIT_READY, { lun: 0 })).toBe("0");
    expect(await ada.run(TEST_UNIT_READY, { lun: 1 })).toBe("6/2a/9");
    expect(await bob.run(TEST_UNIT_READY, { lun: 1 })).toBe("0");
    expect([await bob.run(TEST_UNIT_READY, { lun: 4 }), await bob.run(TEST_UNIT_READY, { lun: 4 })]).toEqual([
      "6/2a/9",
      "0",
    ]);
  });

  test("does not reach an initiator that used a LUN in vain until then", async () => {
    const of = world({ [ADA]: {} });
    const ada = await host(of, ADA, 0);
    for (let lun = 100; lun < 1300; lun++) await ada.run(TEST_UNIT_READY, { lun: lun < 256 ? lun : 0x4000 | lun });
    expect(await ada.run(TEST_UNIT_READY, { lun: 9 })).toBe("5/25/0");
    of.target.addLun({ lun: 9, device: new RamDevice(8), identity: identity(9) });
    expect(await ada.run(TEST_UNIT_READY, { lun: 9 })).toBe("6/29/0");
  });

  test.each([
    ["two LUNs of one unit", { 0: 1, 1: 1 }],
    ["a LUN that none can have", { 16384: 1 }],
  ])("to %s is a mistake of whoever grants it", async (_, map) => {
    const of = world({ [BOB]: lunMap(map) });
    await expect(new Host(of, BOB).login()).rejects.toThrow(RangeError);
  });
});

describe("portal groups", () => {
  const offered: Portal = { address: { host: "192.0.2.2", port: 3260 }, groupTag: 7 };
  const other: Portal = { address: { host: "192.0.2.2", port: 3261 }, groupTag: 8 };

  test("a target is offered at its own, and does not exist elsewhere", async () => {
    const of = bench({ target: { portalGroups: [7] } });
    const initiator = new Initiator(of, undefined, offered);
    const reply = await initiator.login();
    expect(reply.header.getUint16(36)).toBe(0);
    expect(new TextDecoder().decode(reply.data)).toContain("TargetPortalGroupTag=7\0");
    expect((await new Initiator(of, undefined, other).login()).header.getUint16(36)).toBe(0x0203);
    await of.target.changeAccess({ portalGroups: [8] });
    await of.timers.turn();
    expect(initiator.transport.closed).toBe("closed");
    expect((await new Initiator(of, undefined, other).login()).header.getUint16(36)).toBe(0);
  });

  test("one initiator port has a session in each, and reinstates only its own", async () => {
    const of = bench();
    const first = await new Initiator(of, undefined, offered).ready();
    const second = await new Initiator(of, undefined, other).ready();
    expect(of.server.sessions()).toHaveLength(2);
    expect((await new Initiator(of, undefined, offered).login()).header.getUint16(36)).toBe(0);
    expect([first.transport.closed, second.transport.closed]).toEqual(["aborted", "no"]);
  });

  test("what an initiator is given may depend on where it comes in", async () => {
    const of = bench({ target: { grant: (_, { groupTag }) => (groupTag === 7 ? {} : undefined) } });
    expect((await new Initiator(of, undefined, offered).login()).header.getUint16(36)).toBe(0);
    expect((await new Initiator(of, undefined, other).login()).header.getUint16(36)).toBe(0x0202);
  });

  test("a RESERVE ends with the last session of its port, whatever that one was given", async () => {
    const luns = [0, 1].map((lun) => ({ lun, device: new RamDevice(128), identity: identity(lun) }));
    const grant = (_: string, { groupTag }: Portal) => lunMap({ 0: groupTag - 7 });
    const of = bench({ target: { luns, grant } });
    const hosts = [new Host(of, ADA, offered), new Host(of, ADA, other)];
    for (const each of hosts) {
      expect(await each.login()).toBe(0);
      await each.settle(0);
    }
    expect(await hosts[0].run([0x16, 0, 0, 0, 0, 0])).toBe("0");
    for (const each of hosts) await each.close();
    expect(of.server.heldSessions).toBe(0);
    expect(of.target.device.unit(0)?.reservations.reserver).toBeUndefined();
  });

  test("SendTargets names the portals of each target's groups", async () => {
    const network = {
      listen: (address: { host: string; port: number } | { path: string }) => Promise.resolve({ address, close() {} }),
    };
    const of = bench({ network, target: { portalGroups: [1, 7] } });
    const portals = await Promise.all([
      of.server.listen({ host: "0.0.0.0", port: 3260 }),
      of.server.listen({ host: "198.51.100.1", port: 3260 }, 7),
      of.server.listen({ host: "203.0.113.1", port: 3260 }, 8),
    ]);
    of.server.addTarget({ name: "iqn.2026-11.dev.antipode:b", luns: [], portalGroups: [8] });
    const initiator = new Initiator(of);
    const names = text(`InitiatorName=${ADA}`, "SessionType=Discovery");
    await initiator.send(build(0x03, { immediate: true, flags: 0x87, words: { 24: 1 }, data: names }));
    initiator.receive();
    const ask = async () => {
      const words = { 20: 0xffffffff, 24: initiator.cmdSN++ };
      await initiator.send(build(0x04, { words, data: text("SendTargets=All") }));
      return new TextDecoder().decode(initiator.receive()[0].data).split("\0").filter(Boolean);
    };
    expect(await ask()).toEqual([
      `TargetName=${TARGET}`,
      "TargetAddress=192.0.2.2:3260,1",
      "TargetAddress=198.51.100.1:3260,7",
    ]);
    portals[1].close();
    expect(await ask()).toEqual([`TargetName=${TARGET}`, "TargetAddress=192.0.2.2:3260,1"]);
    await expect(of.server.listen({ host: "0.0.0.0", port: 1 }, 0)).rejects.toThrow(RangeError);
  });
});
