import { describe, expect, test } from "vitest";
import { build, Initiator, opcodes, pattern, read10, write10 } from "../testing/initiator.ts";
import { another, cdb16, host, runOn } from "../testing/scsi.ts";
import { RamDevice } from "../testing/world.ts";
import { ReserveOut } from "./reservations.ts";

const identity = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };
const EJECT = [0x1b, 0, 0, 0, 0x02, 0];
const LOAD = [0x1b, 0, 0, 0, 0x03, 0];
const PREVENT = [0x1e, 0, 0, 0, 1, 0];
const ALLOW = [0x1e, 0, 0, 0, 0, 0];
const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];
const NO_MEDIUM = "2/3a/0";
const REMOVAL_PREVENTED = "5/53/2";
const I_T_NEXUS_RESET = 11;
const LOGICAL_UNIT_RESET = 5;

async function removable() {
  const device = new RamDevice(64);
  return host(device, { target: { luns: [{ lun: 0, device, identity, removable: true }] } });
}

test("INQUIRY says so, and of no other unit", async () => {
  const { run } = await removable();
  const rmb = async (of: typeof run) => (await of([0x12, 0, 0, 0, 36, 0], { read: 36 })).data[1];
  expect(await rmb(run)).toBe(0x80);
  expect(await rmb((await host()).run)).toBe(0);
});

describe("a medium that was ejected", () => {
  test("has all that was written on it, takes no command that needs it, and is the same when it is loaded again", async () => {
    const { run, device } = await removable();
    await run(write10(3, 1), { write: 512, data: pattern(512) });
    expect((await run(EJECT)).status).toBe(0);
    expect(device.calls).toEqual(["write 3+1", "flush"]);
    const refused = [
      ...[TEST_UNIT_READY, read10(0, 1), write10(0, 1), [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0x9e, 0x10]],
      ...[[0x35], [0x42, 0, 0, 0, 0, 0, 0, 0, 8, 0], cdb16(0x89, 0, 0), cdb16(0x93, 0, 1), [0x34], [0x2f], [0x83]],
    ];
    for (const cdb of refused) expect((await run(cdb, { read: 512 })).sense, `${cdb[0]}`).toBe(NO_MEDIUM);
    const answered = [
      ...[
        [0x12, 0, 0, 0, 36, 0],
        [0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0],
        [0x1a, 0, 0x3f, 0, 255, 0],
      ],
      ...[
        [0x4d, 0, 0x40, 0, 0, 0, 0, 0, 255, 0],
        [0x5e, 0, 0, 0, 0, 0, 0, 0, 8, 0],
      ],
      ...[
        [0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0],
        [0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0],
      ],
    ];
    for (const cdb of answered) expect((await run(cdb, { read: 255 })).status, `${cdb[0]}`).toBe(0);
    const { data } = await run([3, 0, 0, 0, 18, 0], { read: 18 });
    expect([data[2] & 0x0f, data[12], data[13]]).toEqual([2, 0x3a, 0]);
    expect(device.calls).toEqual(["write 3+1", "flush"]);
    // Once more is nothing.
    expect((await run(EJECT)).status).toBe(0);
    expect((await run(LOAD)).status).toBe(0);
    expect((await run(read10(3, 1), { read: 512 })).data).toEqual(pattern(512));
  });

  test("is told of to every other nexus when it is loaded, once, and not where it was there", async () => {
    const { run, world } = await removable();
    const other = await another(world);
    await run(LOAD);
    expect((await other.run(TEST_UNIT_READY)).status).toBe(0);
    await run(EJECT);
    expect((await other.run(TEST_UNIT_READY)).sense).toBe(NO_MEDIUM);
    await run(LOAD);
    expect((await run(TEST_UNIT_READY)).status).toBe(0);
    expect((await other.run(TEST_UNIT_READY)).sense).toBe("6/28/0");
    expect((await other.run(TEST_UNIT_READY)).status).toBe(0);
  });

  test.each([
    ["a write", write10(5, 1), 512],
    ["an ORWRITE", cdb16(0x8b, 5, 1), 512],
    ["a COMPARE AND WRITE", cdb16(0x89, 5, 0).with(13, 1), 1024],
    ["a WRITE SAME", cdb16(0x93, 5, 1), 512],
    ["an UNMAP", [0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0], 24],
    ["a FORMAT UNIT", [0x04, 0x10, 0, 0, 0, 0], 4],
  ])("is not reached by %s that came before, and gets its data now", async (_, cdb, bytes) => {
    const { world, run, initiator, device } = await removable();
    const other = await another(world);
    await initiator.send(initiator.command(cdb, { write: bytes }));
    const [{ header }] = initiator.receive();
    expect((await other.run(EJECT)).status).toBe(0);
    const data = new Uint8Array(bytes);
    if (bytes === 24) data.set([0, 22, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1]);
    await initiator.send(initiator.dataOut(header.getUint32(16), header.getUint32(20), 0, 0, data, true));
    const [answer] = initiator.receive();
    expect([answer.header.getUint8(3), answer.data[4], answer.data[14]]).toEqual([2, 2, 0x3a]);
    expect(device.calls).toEqual(["flush"]);
    await run(LOAD);
    expect((await run(write10(5, 1), { write: 512, data: pattern(512) })).status).toBe(0);
    expect((await run(read10(5, 1), { read: 512 })).data).toEqual(pattern(512));
  });

  test("is no failure of its device where it was read ahead", async () => {
    const device = new RamDevice(4096);
    device.cacheBytes = device.bytes.length;
    const { run, world } = await host(device, { target: { luns: [{ lun: 0, device, identity, removable: true }] } });
    device.held = true;
    expect((await run(cdb16(0x90, 0, 4096, 0x02))).status).toBe(4);
    expect((await run(EJECT)).status).toBe(0);
    device.gates[0].open();
    await world.timers.turn();
    expect(device.calls).toEqual(["read 0+2048", "flush"]);
    expect(world.events).not.toContain("device-failed");
  });

  test("stays out through a reset, and for hosts that come later", async () => {
    const { run, initiator, world } = await removable();
    await run(EJECT);
    await initiator.send(
      build(0x02, { immediate: true, flags: 0x80 | LOGICAL_UNIT_RESET, words: { 24: initiator.cmdSN } }),
    );
    expect(opcodes(initiator.receive())).toEqual([0x22]);
    expect((await run(TEST_UNIT_READY)).sense).toBe("6/29/3");
    expect((await run(TEST_UNIT_READY)).sense).toBe(NO_MEDIUM);
    expect((await (await another(world)).run(TEST_UNIT_READY)).sense).toBe(NO_MEDIUM);
  });

  test("is out only once the writes before have ended, and stays in where it could not be flushed or is not to come out", async () => {
    const { run, initiator, device, world } = await removable();
    device.held = true;
    await initiator.send(
      initiator.command(write10(0, 1), { write: 512, data: pattern(512) }),
      initiator.command(EJECT),
    );
    expect(initiator.receive()).toEqual([]);
    device.held = false;
    device.gates[0].open();
    await world.timers.turn();
    expect(initiator.receive().map(({ header }) => header.getUint8(3))).toEqual([0, 0]);
    expect(device.calls).toEqual(["write 0+1", "flush"]);
    await run(LOAD);
    let flushed = () => {};
    device.flush = () => new Promise((resolve) => (flushed = resolve));
    const tag = initiator.itt;
    await initiator.send(initiator.command(EJECT));
    const words = { 20: tag, 24: initiator.cmdSN };
    await initiator.send(build(0x02, { immediate: true, flags: 0x81, itt: 500, words }));
    expect(initiator.receive()).toEqual([]);
    flushed();
    await world.timers.turn();
    expect(opcodes(initiator.receive())).toEqual([0x22]);
    expect((await run(TEST_UNIT_READY)).status).toBe(0);
    device.flush = () => Promise.reject(Object.assign(new Error("gone"), { code: "drive.failed" }));
    expect((await run(EJECT)).sense).toBe("3/c/0");
    expect((await run(TEST_UNIT_READY)).status).toBe(0);
  });
});

test("power conditions leave a medium where it is, and so does stopping", async () => {
  const { run } = await removable();
  for (let condition = 1; condition < 16; condition++) {
    const { sense } = await run([0x1b, 0, 0, 0, (condition << 4) | 0x02, 0]);
    expect(sense).toBe(condition === 1 ? "" : "5/24/0");
    expect((await run(TEST_UNIT_READY)).status).toBe(0);
  }
  for (const flags of [0, 1, 4, 5]) {
    expect((await run([0x1b, 0, 0, 0, flags, 0])).status).toBe(0);
    expect((await run(TEST_UNIT_READY)).status).toBe(0);
  }
});

describe("a medium whose removal is prevented", () => {
  test("can't be ejected by any host, until every one that prevented it allows it", async () => {
    const { run, world } = await removable();
    const other = await another(world);
    await run(PREVENT);
    await other.run(PREVENT);
    for (const one of [run, other.run]) {
      expect((await one(EJECT)).sense).toBe(REMOVAL_PREVENTED);
      expect((await one(TEST_UNIT_READY)).status).toBe(0);
    }
    await run(ALLOW);
    expect((await run(EJECT)).sense).toBe(REMOVAL_PREVENTED);
    await other.run(ALLOW);
    expect((await run(EJECT)).status).toBe(0);
    // Where it is out it can be locked out.
    await other.run(PREVENT);
    expect((await run(LOAD)).sense).toBe(REMOVAL_PREVENTED);
    await other.run(ALLOW);
    expect((await run(LOAD)).status).toBe(0);
  });

  const prevented = async () => {
    const { run, world } = await removable();
    const port = { name: "iqn.prevents", isid: 5 << 8 };
    const initiator = await new Initiator(world, port).ready("iSCSIProtocolLevel=2");
    await runOn(initiator)(PREVENT);
    expect((await run(EJECT)).sense).toBe(REMOVAL_PREVENTED);
    const manage = (code: number) =>
      initiator.send(build(0x02, { immediate: true, flags: 0x80 | code, words: { 24: initiator.cmdSN } }));
    return { world, run, initiator, manage, port };
  };
  type Prevented = Awaited<ReturnType<typeof prevented>>;

  test.each([
    ["a reset of the LUN", ({ manage }: Prevented) => manage(LOGICAL_UNIT_RESET)],
    ["a warm reset of the target", ({ manage }: Prevented) => manage(6)],
    ["a reset of the nexus", ({ manage }: Prevented) => manage(I_T_NEXUS_RESET)],
    ["a logout", ({ initiator }: Prevented) => initiator.send(build(0x06, { words: { 24: initiator.cmdSN } }))],
    ["the loss of the connection", async ({ initiator }: Prevented) => initiator.connection.onClose()],
    ["a reinstatement", async ({ world, port }: Prevented) => void (await new Initiator(world, port).login())],
  ])("is free again after %s", async (_, end) => {
    const of = await prevented();
    await end(of);
    await of.world.timers.turn();
    // A reset is reported first.
    await of.run(TEST_UNIT_READY);
    expect((await of.run(EJECT)).status).toBe(0);
  });

  test("is free again where PREEMPT AND ABORT ends a registration of who prevented it, not where PREEMPT does", async () => {
    for (const [action, sense] of [
      [ReserveOut.Preempt, REMOVAL_PREVENTED],
      [ReserveOut.PreemptAndAbort, ""],
    ] as const) {
      const { run, initiator } = await prevented();
      const out = (by: typeof run, what: number, key: number, actionKey: number) => {
        const data = new Uint8Array(24).with(7, key).with(15, actionKey);
        return by([0x5f, what, 0, 0, 0, 0, 0, 0, 24, 0], { write: 24, data });
      };
      await out(run, ReserveOut.Register, 0, 1);
      await out(runOn(initiator), ReserveOut.Register, 0, 2);
      expect((await out(run, action, 1, 2)).status).toBe(0);
      expect((await run(EJECT)).sense).toBe(sense);
    }
  });

  test("stays so after a reset of another nexus, and when another host goes", async () => {
    const { run, world } = await prevented();
    const other = await another(world);
    await other.run(PREVENT);
    other.initiator.connection.onClose();
    await world.timers.turn();
    expect((await run(EJECT)).sense).toBe(REMOVAL_PREVENTED);
  });
});
