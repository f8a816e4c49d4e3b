import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  COPIES_KNOWN_MAX,
  COPIES_OF_HOST_MAX,
  COPY_CSCDS_MAX,
  COPY_LIST_BYTES_MAX,
  COPY_SEGMENTS_MAX,
} from "../limits.ts";
import { byteSegment, copyCdb, cscd, lid1List, lid4List, segment } from "../testing/copy.ts";
import { build, pattern, same, write10 } from "../testing/initiator.ts";
import { another, host, type Run } from "../testing/scsi.ts";
import { RamDevice } from "../testing/world.ts";

const NAA = 0x3000000000000000n;
const A = cscd(NAA);
const B = cscd(NAA + 1n);
const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];
const failure = Object.assign(new Error("gone"), { code: "drive.failed" });
const MiB = 1024 * 1024;
/** What LUN 0 holds at first. */
const CONTENT = pattern(16384 * 512, 3);

/** LUN 0 and LUN 1, `a` and `b`. */
async function twoUnits(blocks = 4096, blockSizeOfB = 512) {
  const a = new RamDevice(blocks);
  const b = new RamDevice((blocks * 512) / blockSizeOfB, blockSizeOfB);
  a.bytes.set(CONTENT.subarray(0, a.bytes.length));
  const luns = [a, b].map((device, lun) => ({
    lun,
    device,
    identity: { vendor: "V", product: "P", revision: "1", serial: `s${lun}`, naa: NAA + BigInt(lun) },
  }));
  const made = await host(a, { target: { luns } });
  await made.run(TEST_UNIT_READY, { lun: 1 });
  return { ...made, a, b };
}

const copy1 = (run: Run, list: Uint8Array, lun = 0) =>
  run(copyCdb(0x83, 0, list.length), { write: list.length, data: list, lun });
const copy4 = (run: Run, list: Uint8Array, lun = 0) =>
  run(copyCdb(0x83, 1, list.length), { write: list.length, data: list, lun });
const status1 = (run: Run, listId: number) => run(copyCdb(0x84, 0, 255, [listId]), { read: 255 });
const status4 = (run: Run, listId: number) => run(copyCdb(0x84, 5, 255, [0, 0, 0, listId]), { read: 255 });
const abort = (listId: number) => copyCdb(0x83, 0x1c, 0, [0, 0, 0, listId]);

async function openAll(world: { timers: { turn(): Promise<void> } }, ...devices: readonly RamDevice[]): Promise<void> {
  while (devices.some(({ gates }) => gates.length > 0)) {
    for (const { gates } of devices) gates.shift()?.open();
    await world.timers.turn();
  }
}

describe("EXTENDED COPY", () => {
  test.each([
    ["LID1", (run: Run, segments: number[][]) => copy1(run, lid1List(7, [A, B], segments))],
    ["LID4", (run: Run, segments: number[][]) => copy4(run, lid4List(7, [A, B], segments))],
  ])("%s copies segments between units and within one, in pieces", async (_, copy) => {
    const { run, a, b } = await twoUnits(16384);
    const segments = [
      segment({ from: 0, to: 1, blocks: 5000, fromLba: 10, toLba: 3 }),
      segment({ from: 1, to: 0xffff, blocks: 2, fromLba: 3, toLba: 12000 }),
      segment({ from: 0, to: 1, blocks: 0 }),
      byteSegment(1024, 1, 16382, 0, 1),
    ];
    const before = a.bytes.slice();
    expect((await copy(run, segments)).status).toBe(0);
    expect(same(b.bytes.subarray(3 * 512, 5003 * 512), before.subarray(10 * 512, 5010 * 512))).toBe(true);
    expect(same(a.bytes.subarray(12000 * 512, 12002 * 512), before.subarray(10 * 512, 12 * 512))).toBe(true);
    expect(same(b.bytes.subarray(16382 * 512), before.subarray(512, 1536))).toBe(true);
    expect(b.calls).toEqual([
      ...["write 3+2048", "write 2051+2048", "write 4099+904"],
      ...["read 3+2", "write 16382+2"],
    ]);
  });

  test("blocks of different sizes, counted as those of either", async () => {
    const { run, a, b } = await twoUnits(4096, 4096);
    const units = [A, cscd(NAA + 1n, 4096)];
    expect(
      (await copy1(run, lid1List(1, units, [segment({ from: 0, to: 1, blocks: 16, fromLba: 8, toLba: 2 })]))).status,
    ).toBe(0);
    expect(same(b.bytes.subarray(8192, 16384), a.bytes.subarray(4096, 12288))).toBe(true);
    const counted = segment({ flags: 2, from: 0, to: 1, blocks: 2, fromLba: 80, toLba: 9 });
    expect((await copy1(run, lid1List(1, units, [counted]))).status).toBe(0);
    expect(same(b.bytes.subarray(9 * 4096, 11 * 4096), a.bytes.subarray(80 * 512, 96 * 512))).toBe(true);
    expect((await copy1(run, lid1List(1, units, [segment({ from: 0, to: 1, blocks: 9 })]))).sense).toBe("a/26/a");
  });

  test("blocks that overlap come out as they were", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(3000), fc.nat(3000), fc.integer({ min: 1, max: 6000 }), async (from, to, blocks) => {
        const { run, a } = await twoUnits(9000);
        const before = a.bytes.slice(from * 512, (from + blocks) * 512);
        const list = lid1List(1, [A], [segment({ blocks, fromLba: from, toLba: to })]);
        expect((await copy1(run, list)).status).toBe(0);
        expect(same(a.bytes.subarray(to * 512, (to + blocks) * 512), before)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test("a list without segments, and no list, do nothing", async () => {
    const { run, a } = await twoUnits();
    expect((await copy1(run, lid1List(1, [A], []))).status).toBe(0);
    expect((await run(copyCdb(0x83, 0, 0))).status).toBe(0);
    expect((await run(copyCdb(0x83, 1, 0))).status).toBe(0);
    expect(a.calls).toEqual([]);
  });

  test("a segment that verifies", async () => {
    const { run } = await twoUnits();
    const verify = (index: number) => [7, 0, 0, 8, 0, index, 0, 0, 1, 0, 0, 0];
    expect((await copy1(run, lid1List(1, [A, B], [verify(0), verify(1)]))).status).toBe(0);
    expect((await copy1(run, lid1List(1, [A, B], [verify(0), verify(2)]))).sense).toBe("a/d/2");
  });

  test.each([
    ["shorter than its header", lid1List(1, [], []).subarray(0, 15), "5/1a/0"],
    ["longer than any", new Uint8Array(17 + COPY_LIST_BYTES_MAX), "5/1a/0"],
    ["too many CSCDs", lid1List(1, new Array(COPY_CSCDS_MAX + 1).fill(A), [segment({})]), "5/26/6"],
    ["too many segments", lid1List(1, [A], new Array(COPY_SEGMENTS_MAX + 1).fill(segment({}))), "5/26/8"],
    ["a CSCD that is cut", lid1List(1, [A], [segment({})]).subarray(0, 47), "5/1a/0"],
    ["a segment that is cut", lid1List(1, [A], [segment({})]).subarray(0, 75), "5/1a/0"],
    ["a CSCD list of half a descriptor", lid1List(1, [A.slice(0, 16)], []), "5/1a/0"],
    ["a CSCD of another type", lid1List(1, [cscd(NAA, 512, 0, 0xe0)], [segment({})]), "5/26/7"],
    ["a segment of another type", lid1List(1, [A], [segment({ type: 3 })]), "5/26/9"],
    ["a segment of another length", lid1List(1, [A], [[2, 0, 0, 0x17, ...new Array<number>(24).fill(0)]]), "5/26/0"],
    ["inline data", lid1List(1, [A], [segment({})], { inline: 4 }), "5/26/b"],
  ])("%s is refused, and nothing is copied", async (_, list, sense) => {
    const { run, a } = await twoUnits();
    expect((await copy1(run, list)).sense).toBe(sense);
    expect(a.calls).toEqual([]);
    expect((await status1(run, 1)).sense).toBe("5/24/0");
  });

  test.each([
    ["another format", 0, 0, "5/26/0"],
    ["another length of the header's CSCD", 3, 0x21, "5/26/0"],
    ["another type of it", 16, 0xfe, "5/26/0"],
  ])("LID4: %s is refused", async (_, at, value, sense) => {
    const { run } = await twoUnits();
    const list = lid4List(1, [A], [segment({})]);
    list[at] = value;
    expect((await copy4(run, list)).sense).toBe(sense);
  });

  test.each([
    ["no such CSCD", [A], segment({ to: 1 }), "a/d/2", 6],
    ["a CSCD that no unit is", [cscd(NAA + 9n)], segment({}), "a/d/2", 4],
    ["one of another device type", [cscd(NAA, 512, 1)], segment({}), "a/d/3", 4],
    ["one with blocks of another size", [cscd(NAA, 4096)], segment({}), "a/0/0", 4],
    ["a source out of range", [A], segment({ blocks: 2, fromLba: 4095 }), "a/0/0", 12],
    ["a destination out of range", [A], segment({ blocks: 2, toLba: 4095 }), "a/0/0", 20],
    ["bytes that are no whole blocks", [A], byteSegment(513, 0, 9), "a/26/a", 8],
    ["a byte offset", [A], byteSegment(512, 0, 9, 0, 0, [0, 8]), "a/26/a", 30],
    ["more than a segment may be", [A], byteSegment(0x20000000, 0, 9), "a/0/0", 8],
  ])("%s ends it at that segment, which the sense names", async (_, cscds, bad, sense, byte) => {
    const { run, a } = await twoUnits();
    const good = segment({ to: 0xffff, from: 0xffff, blocks: 1, fromLba: 5, toLba: 6 });
    const outcome = await copy1(run, lid1List(1, cscds, [good, bad, good]));
    expect(outcome.sense).toBe(sense);
    const view = new DataView(outcome.data.buffer, outcome.data.byteOffset);
    expect([view.getUint32(8), view.getUint8(15), view.getUint16(16)]).toEqual([1, 0xa0, byte]);
    expect(a.calls).toEqual(["read 5+1", "write 6+1"]);
    const details = (await run(copyCdb(0x84, 4, 255, [1]), { read: 255 })).data;
    expect([details.length, details[3], details[56], details[59]]).toEqual([78, 74, 2, 18]);
    expect(details.subarray(60)).toEqual(outcome.data.slice());
    expect([...(await status1(run, 1)).data]).toEqual([0, 0, 0, 8, 2, 0, 1, 0, 0, 0, 2, 0]);
    expect((await status4(run, 1)).data[5]).toBe(2);
  });

  test("the same in sense of descriptors", async () => {
    const { run, world } = await twoUnits();
    const unit = world.target.device.unit(0);
    if (unit !== undefined) unit.dSense = true;
    const { data } = await copy1(run, lid1List(1, [A], [segment({ to: 1 })]));
    const expected = [
      0x72,
      0x0a,
      0x0d,
      2,
      0,
      0,
      0,
      20,
      1,
      10,
      0,
      0,
      ...new Array<number>(8).fill(0),
      2,
      6,
      0,
      0,
      0xa0,
      0,
      6,
      0,
    ];
    expect([...data]).toEqual(expected);
  });

  test("a device that fails ends it", async () => {
    const { run, world, a, b } = await twoUnits();
    const failed: number[] = [];
    Object.assign(world.target.device.host, { deviceFailed: ({ lun }: { lun: number }) => failed.push(lun) });
    const list = lid1List(1, [A, B], [segment({ from: 0, to: 1 })]);
    a.failure = failure;
    expect((await copy1(run, list)).sense).toBe("a/d/1");
    a.failure = undefined;
    b.failure = failure;
    expect((await copy1(run, list)).sense).toBe("a/d/1");
    expect(failed).toEqual([0, 1]);
  });
});

describe("who may copy", () => {
  test("not to a unit that is write-protected, by whichever way", async () => {
    const { run, world, b } = await twoUnits();
    const unit = world.target.device.unit(1);
    if (unit !== undefined) unit.swp = true;
    expect((await copy1(run, lid1List(1, [A, B], [segment({ from: 0, to: 1 })]))).sense).toBe("a/d/1");
    expect((await copy1(run, lid1List(1, [A, B], [segment({ from: 1, to: 0 })]))).status).toBe(0);
    expect(b.calls).toEqual(["read 0+1"]);
  });

  test("reservations hold at every unit that is touched, and at each piece", async () => {
    const { run, world, initiator, a, b } = await twoUnits(8192);
    const other = await another(world);
    await other.run(TEST_UNIT_READY, { lun: 1 });
    const list = lid1List(1, [A, B], [segment({ from: 0, to: 1, blocks: 6000 })]);
    const reserve = (type: number, lun: number) => [
      { cdb: [0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0], lun },
      { cdb: [0x5f, 1, type, 0, 0, 0, 0, 0, 24, 0], lun },
    ];
    const key = (at: number) => {
      const data = new Uint8Array(24);
      data[at] = 9;
      return data;
    };
    const take = async (type: number, lun: number) => {
      const [register, hold] = reserve(type, lun);
      await other.run(register.cdb, { write: 24, data: key(15), lun });
      expect((await other.run(hold.cdb, { write: 24, data: key(7), lun })).status).toBe(0);
    };
    a.held = true;
    await initiator.send(initiator.command(copyCdb(0x83, 0, list.length), { write: list.length, data: list }));
    a.gates.shift()?.open();
    await world.timers.turn();
    expect(b.calls).toEqual(["write 0+2048"]);
    await take(1, 1);
    await openAll(world, a);
    expect(b.calls).toEqual(["write 0+2048"]);
    expect(initiator.receive().map((pdu) => [pdu.data[4], pdu.data[14], pdu.data[15]])).toEqual([[0x0a, 0x0d, 1]]);
    a.held = false;
    // Write exclusive leaves reading to others, exclusive access does not.
    const back = lid1List(1, [A, B], [segment({ from: 1, to: 0 })]);
    expect((await copy1(run, back)).status).toBe(0);
    expect((await copy1(run, list, 1)).status).toBe(0x18);
    const clear = await other.run([0x5f, 3, 0, 0, 0, 0, 0, 0, 24, 0], { write: 24, data: key(7), lun: 1 });
    expect(clear.status).toBe(0);
    await take(3, 1);
    expect((await copy1(run, back)).sense).toBe("a/d/1");
  });
});

describe("a copy under way", () => {
  async function held() {
    const made = await twoUnits();
    made.a.held = true;
    made.b.held = true;
    return made;
  }
  const LIST_BYTES = 140;
  const list = (id: number, options = {}) => lid4List(id, [A, B], [segment({ from: 0, to: 1, blocks: 4096 })], options);

  test("tells how far it is, and what has become of it", async () => {
    const { run, world, a, b, initiator } = await held();
    await initiator.send(initiator.command(copyCdb(0x83, 1, LIST_BYTES), { write: LIST_BYTES, data: list(5) }));
    a.gates.shift()?.open();
    await world.timers.turn();
    b.gates.shift()?.open();
    await world.timers.turn();
    const view = async () => new DataView((await status4(run, 5)).data.slice().buffer);
    let status = await view();
    expect([4, 5, 12, 15].map((at) => status.getUint8(at))).toEqual([1, 0x11, 0, 0]);
    expect([status.getUint16(6), status.getBigUint64(16), status.getUint16(24)]).toEqual([1, BigInt(MiB), 0]);
    expect([...(await status1(run, 5)).data]).toEqual([0, 0, 0, 8, 0, 0, 0, 0, 0, 0x10, 0, 0]);
    expect((await run(copyCdb(0x84, 4, 255, [5]), { read: 255 })).data).toEqual(new Uint8Array(4));
    // Its identifier is taken.
    expect((await copy4(run, list(5))).sense).toBe("5/0/16");
    await openAll(world, a, b);
    expect(initiator.receive().map((pdu) => pdu.header.getUint8(3))).toEqual([0]);
    status = await view();
    expect([status.getUint8(5), status.getBigUint64(16), status.getUint16(24)]).toEqual([1, BigInt(2 * MiB), 1]);
    expect([...(await status1(run, 5)).data]).toEqual([0, 0, 0, 8, 1, 0, 1, 0, 0, 0x20, 0, 0]);
  });

  test("IMMED does not wait for it", async () => {
    const { run, world, a, b } = await held();
    expect((await copy4(run, list(5, { immediate: true }))).status).toBe(0);
    expect((await status4(run, 5)).data[5]).toBe(0x12);
    await openAll(world, a, b);
    expect((await status4(run, 5)).data[5]).toBe(1);
    expect(same(a.bytes, b.bytes)).toBe(true);
  });

  test("is aborted by COPY OPERATION ABORT, which waits for its devices", async () => {
    const { run, world, a, b, initiator } = await held();
    b.held = false;
    const tag = initiator.itt;
    // A device that does not listen to signals.
    a.read = (lba, into) =>
      new Promise((resolve) => a.gates.push({ kind: "read", lba, open: resolve, fail: () => into }));
    await initiator.send(initiator.command(copyCdb(0x83, 1, LIST_BYTES), { write: LIST_BYTES, data: list(5) }));
    await initiator.send(initiator.command(abort(5)));
    expect(initiator.receive()).toEqual([]);
    a.gates.shift()?.open();
    await world.timers.turn();
    const answers = initiator
      .receive()
      .map((pdu) => [pdu.header.getUint32(16) - tag, pdu.header.getUint8(3), pdu.data[4]])
      .sort(([one], [other]) => one - other);
    expect(answers).toEqual([
      [0, 2, 0x0a],
      [1, 0, undefined],
    ]);
    expect(b.calls).toEqual([]);
    expect((await status4(run, 5)).data[5]).toBe(0x60);
    expect((await run(abort(5))).status).toBe(0);
    expect((await run(abort(6))).sense).toBe("5/24/0");
  });

  test("ends with its task", async () => {
    const { run, world, a, b, initiator } = await held();
    const tag = initiator.itt;
    await initiator.send(initiator.command(copyCdb(0x83, 1, LIST_BYTES), { write: LIST_BYTES, data: list(5) }));
    await initiator.send(
      build(0x02, {
        immediate: true,
        flags: 0x81,
        itt: 900,
        words: { 20: tag, 24: initiator.cmdSN, 32: initiator.cmdSN - 1 },
      }),
    );
    await world.timers.turn();
    expect(initiator.receive().map((pdu) => [pdu.opcode, pdu.header.getUint8(2)])).toEqual([[0x22, 0]]);
    expect(b.calls).toEqual([]);
    expect((await status4(run, 5)).data[5]).toBe(0x60);
    a.held = false;
    b.held = false;
    expect((await copy4(run, list(5))).status).toBe(0);
  });

  test.each([
    ["LUN RESET", { words: { 8: 0 }, function: 0x85 }],
    ["TARGET WARM RESET", { words: { 8: 0 }, function: 0x86 }],
  ])("%s ends one that nobody waits for", async (_, { function: tmf }) => {
    const { run, world, b, initiator } = await held();
    await copy4(run, list(5, { immediate: true }));
    await initiator.send(build(0x02, { immediate: true, flags: tmf, itt: 900, words: { 24: initiator.cmdSN } }));
    await world.timers.turn();
    expect(initiator.receive().map((pdu) => [pdu.opcode, pdu.header.getUint8(2)])).toEqual([[0x22, 0]]);
    expect((await run(TEST_UNIT_READY)).sense).toBe("6/29/3");
    expect((await status4(run, 5)).data[5]).toBe(0x60);
    expect(b.calls).toEqual([]);
  });

  test("is the last that a lost session does: a new one starts after it, and knows nothing of it", async () => {
    const { run, world, a, b } = await held();
    a.read = (lba) => new Promise((resolve) => a.gates.push({ kind: "read", lba, open: resolve, fail: () => {} }));
    const other = await another(world);
    await other.run(TEST_UNIT_READY, { lun: 1 });
    expect((await copy4(other.run, list(5, { immediate: true }))).status).toBe(0);
    other.initiator.connection.onClose();
    await world.timers.turn();
    expect(world.server.heldSessions).toBe(2);
    a.gates.shift()?.open();
    await world.timers.turn();
    expect(world.server.heldSessions).toBe(1);
    expect(b.calls).toEqual([]);
    const again = await another(world);
    expect((await status4(again.run, 5)).sense).toBe("5/24/0");
    expect((await status4(run, 5)).sense).toBe("5/24/0");
  });

  test("is waited for by whoever ends its session", async () => {
    const { run, world, a } = await held();
    a.read = (lba) => new Promise((resolve) => a.gates.push({ kind: "read", lba, open: resolve, fail: () => {} }));
    expect((await copy4(run, list(5, { immediate: true }))).status).toBe(0);
    let ended = false;
    const ending = world.target.logOutAll("maintenance").then(() => {
      ended = true;
    });
    await world.timers.turn();
    expect([ended, world.server.heldSessions]).toEqual([false, 1]);
    a.gates.shift()?.open();
    await ending;
    expect(world.server.heldSessions).toBe(0);
  });

  test("PREEMPT AND ABORT of its port at a unit that it writes waits for it", async () => {
    const { run, world, b, a, initiator } = await held();
    const key = (...at: readonly number[]) => {
      const data = new Uint8Array(24);
      for (const one of at) data[one] = 9;
      return data;
    };
    const other = await another(world);
    await other.run(TEST_UNIT_READY, { lun: 1 });
    const out = (action: number) => [0x5f, action, 5, 0, 0, 0, 0, 0, 24, 0];
    const mine = key(15);
    mine[15] = 7;
    await run(out(0), { write: 24, data: mine, lun: 1 });
    await other.run(out(0), { write: 24, data: key(15), lun: 1 });
    // Sent to LUN 0, writes LUN 1.
    await initiator.send(initiator.command(copyCdb(0x83, 1, LIST_BYTES), { write: LIST_BYTES, data: list(5) }));
    a.gates.shift()?.open();
    await world.timers.turn();
    expect(b.calls).toEqual(["write 0+2048"]);
    const preempt = key(7);
    preempt[15] = 7;
    expect((await other.run(out(5), { write: 24, data: preempt, lun: 1 })).status).toBe(0);
    expect(b.calls).toEqual(["write 0+2048"]);
    expect(initiator.receive().map((pdu) => pdu.data[4])).toEqual([0x0a]);
  });

  test("ends when a unit that it touches is removed, or is sanitized", async () => {
    const { run, world, b } = await held();
    await copy4(run, list(5, { immediate: true }));
    await world.target.removeLun(1);
    expect((await run(TEST_UNIT_READY)).sense).toBe("6/3f/e");
    expect((await status4(run, 5)).data[5]).toBe(0x60);
    expect(b.calls).toEqual([]);
    const second = await held();
    second.b.overwritesInPlace = true;
    await copy4(second.run, list(5, { immediate: true }));
    expect((await second.run([0x48, 0x82, 0, 0, 0, 0, 0, 0, 0, 0], { lun: 1 })).status).toBe(0);
    expect((await status4(second.run, 5)).data[5]).toBe(0x60);
    await second.world.timers.turn();
    expect(second.b.calls).toEqual(["write 0+2048"]);
    second.a.held = false;
    expect((await copy4(second.run, list(6))).sense).toBe("a/d/1");
  });

  test("a target that closes waits for it, and leaks nothing", async () => {
    const { run, world, a, b } = await held();
    await copy4(run, list(5, { immediate: true }));
    a.gates.shift()?.open();
    await world.timers.turn();
    let closed = false;
    const closing = world.server.close().then(() => {
      closed = true;
    });
    await world.timers.turn();
    expect([closed, b.signals.at(-1)?.aborted]).toEqual([true, true]);
    await closing;
    expect(world.memory.outstanding).toBe(0);
  });

  test("more than a target carries out at once are told BUSY, and one host leaves room for others", async () => {
    const { run, world, a, b } = await held();
    const others = [await another(world, 1), await another(world, 2)];
    const begin = async (by: Run, ids: number) => {
      for (let id = 0; id < ids; id++) {
        expect((await copy4(by, list(id, { immediate: true }))).status).toBe(0);
      }
      expect((await copy4(by, list(99))).status).toBe(0x08);
      expect((await status4(by, 99)).sense).toBe("5/24/0");
    };
    await begin(run, COPIES_OF_HOST_MAX);
    // Two ports of one host have a share.
    await begin(others[0].run, COPIES_OF_HOST_MAX / 2);
    expect((await copy4(others[1].run, list(0))).status).toBe(0x08);
    await openAll(world, a, b);
    a.held = false;
    b.held = false;
    expect((await copy4(run, list(99))).status).toBe(0);
  });

  test("lets others have their turn", async () => {
    const { initiator } = await twoUnits(16384);
    const order: number[] = [];
    const large = lid1List(1, [A, B], [segment({ from: 0, to: 1, blocks: 16384 })]);
    await initiator.send(
      initiator.command(copyCdb(0x83, 0, large.length), { write: large.length, data: large }),
      initiator.command(write10(0, 1), { write: 512, data: pattern(512) }),
    );
    for (const pdu of initiator.receive()) order.push(pdu.header.getUint32(16));
    expect(order).toHaveLength(2);
    expect(order[0]).toBeGreaterThan(order[1]);
  });
});

test("of copies that are over the oldest are forgotten", async () => {
  const { run } = await twoUnits(64);
  const list = (id: number) => lid4List(id, [], []);
  for (let id = 0; id <= COPIES_KNOWN_MAX; id++) expect((await copy4(run, list(id))).status).toBe(0);
  expect((await status4(run, 0)).sense).toBe("5/24/0");
  expect((await status4(run, 1)).status).toBe(0);
  // One whose identifier comes again takes its place.
  expect((await copy4(run, list(1))).status).toBe(0);
  expect((await status4(run, 2)).status).toBe(0);
});

test("the results of one host do not push out those of another", async () => {
  const { run, world } = await twoUnits(64);
  const other = await another(world);
  const list = (id: number) => lid4List(id, [], []);
  expect((await copy4(other.run, list(0))).status).toBe(0);
  for (let id = 0; id <= COPIES_KNOWN_MAX; id++) expect((await copy4(run, list(id))).status).toBe(0);
  expect((await status4(other.run, 0)).status).toBe(0);
  expect([(await status4(run, 1)).sense, (await status4(run, 2)).status]).toEqual(["5/24/0", 0]);
});

test("without a list identifier nobody can ask for it", async () => {
  const { run } = await twoUnits();
  const list = lid1List(3, [A], [segment({ toLba: 5 })], { usage: 3 });
  expect((await copy1(run, list)).status).toBe(0);
  expect((await status1(run, 3)).sense).toBe("5/24/0");
});

test("RECEIVE COPY OPERATING PARAMETERS, the VPD page and the list of commands agree", async () => {
  const { run } = await twoUnits();
  const { data } = await run(copyCdb(0x84, 3, 255), { read: 255 });
  const view = new DataView(data.buffer, data.byteOffset);
  expect([view.getUint32(0), data[4], view.getUint16(8), view.getUint16(10)]).toEqual([
    44,
    1,
    COPY_CSCDS_MAX,
    COPY_SEGMENTS_MAX,
  ]);
  expect([view.getUint32(12), view.getUint32(16), view.getUint16(34)]).toEqual([
    COPY_LIST_BYTES_MAX,
    256 * MiB,
    COPIES_OF_HOST_MAX,
  ]);
  expect([...data.subarray(43)]).toEqual([4, 0x02, 0x07, 0x0a, 0xe4]);
  expect((await run([0x12, 0, 0, 0, 255, 0], { read: 255 })).data[5] & 0x08).toBe(0x08);

  const page = (await run([0x12, 1, 0x8f, 4, 0, 0], { read: 1024 })).data;
  const descriptors = new Map<number, Uint8Array>();
  for (let at = 4; at < page.length; at += 4 + ((page[at + 2] << 8) | page[at + 3])) {
    expect(at % 4).toBe(0);
    descriptors.set(
      (page[at] << 8) | page[at + 1],
      page.subarray(at + 4, at + 4 + ((page[at + 2] << 8) | page[at + 3])),
    );
  }
  expect((page[2] << 8) | page[3]).toBe(page.length - 4);
  expect([...(descriptors.get(0x0008) ?? [])].slice(0, 5)).toEqual([4, 0x02, 0x07, 0x0a, 0xe4]);
  const commands = descriptors.get(0x0001) ?? new Uint8Array(0);
  for (let at = 1; at < 1 + commands[0]; at += 2 + commands[at + 1]) {
    for (const action of commands.subarray(at + 2, at + 2 + commands[at + 1])) {
      const one = await run([0xa3, 0x0c, 2, commands[at], 0, action, 0, 0, 0, 255, 0, 0], { read: 255 });
      expect([commands[at], action, one.data[1] & 7]).toEqual([commands[at], action, 3]);
    }
  }
});
