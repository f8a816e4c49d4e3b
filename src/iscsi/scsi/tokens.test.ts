import { describe, expect, test } from "vitest";
import { TOKEN_RANGES_MAX, TOKEN_SECONDS, TOKEN_SECONDS_MAX, TOKENS_MAX } from "../limits.ts";
import { copyCdb, cscd, lid1List, lid4List, populateList, segment, writeUsingTokenList } from "../testing/copy.ts";
import { type Bench, pattern, same, write10 } from "../testing/initiator.ts";
import { another, cdb16, host, type Run } from "../testing/scsi.ts";
import { RamDevice } from "../testing/world.ts";
import { AccessState } from "./port-groups.ts";

const NAA = 0x3000000000000000n;
const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];
const MiB = 1024 * 1024;
/** What LUN 0 holds at first. */
const CONTENT = pattern(8192 * 512, 3);
const ALIVE = "";
const REVOKED = "5/23/6";
const CANCELLED = "5/23/8";

type Ranges = readonly (readonly [lba: number, blocks: number])[];

async function twoUnits(blocks = 8192, blockSizeOfB = 512) {
  const a = new RamDevice(blocks);
  const b = new RamDevice((blocks * 512) / blockSizeOfB, blockSizeOfB);
  a.bytes.set(CONTENT.subarray(0, a.bytes.length));
  const luns = [a, b].map((device, lun) => ({
    lun,
    device,
    identity: { vendor: "V", product: "P", revision: "1", serial: `s${lun}`, naa: NAA + BigInt(lun) },
    removable: true,
  }));
  // Each number comes once in a while, so that tokens differ.
  let count = 0;
  const random = { below: (bound: number) => count++ % bound };
  const made = await host(a, { target: { luns }, random });
  await made.run(TEST_UNIT_READY, { lun: 1 });
  return { ...made, a, b };
}

const listId = (id: number) => [0, 0, 0, 0, 0, 0, 0, id];
const populate = (run: Run, list: Uint8Array, id = 1) =>
  run(copyCdb(0x83, 0x10, list.length, listId(id)), { write: list.length, data: list });
const information = (run: Run, id = 1, lun = 0) => run(copyCdb(0x84, 7, 1024, [0, 0, 0, id]), { read: 1024, lun });
const use = (run: Run, list: Uint8Array, lun = 1, id = 2) =>
  run(copyCdb(0x83, 0x11, list.length, listId(id)), { write: list.length, data: list, lun });

async function tokenFor(run: Run, ranges: Ranges, options = {}): Promise<Uint8Array> {
  const outcome = await populate(run, populateList(ranges, options));
  expect([outcome.sense, outcome.status]).toEqual(["", 0]);
  const { data } = await information(run);
  expect(data).toHaveLength(32 + 4 + 2 + 512);
  return data.slice(38);
}

/** What a host is told of a token when it uses it for one block at LUN 1. */
async function stateOf(run: Run, token: Uint8Array): Promise<string> {
  return (await use(run, writeUsingTokenList(token, [[8000, 1]]), 1, 77)).sense;
}

async function openAll(world: Bench, ...devices: readonly RamDevice[]): Promise<void> {
  while (devices.some(({ gates }) => gates.length > 0)) {
    for (const { gates } of devices) gates.shift()?.open();
    await world.timers.turn();
  }
}

describe("POPULATE TOKEN and WRITE USING TOKEN", () => {
  test("copy ranges to ranges, in order, from an offset on", async () => {
    const { run, a, b } = await twoUnits();
    const token = await tokenFor(run, [
      [10, 5],
      [4000, 0],
      [100, 3000],
    ]);
    const rod = Buffer.concat([a.bytes.subarray(5120, 7680), a.bytes.subarray(51200, 51200 + 3000 * 512)]);
    const list = writeUsingTokenList(
      token,
      [
        [0, 3],
        [500, 2500],
      ],
      { offset: 4 },
    );
    expect((await use(run, list)).status).toBe(0);
    expect(same(b.bytes.subarray(0, 3 * 512), rod.subarray(4 * 512, 7 * 512))).toBe(true);
    expect(same(b.bytes.subarray(500 * 512, 3000 * 512), rod.subarray(7 * 512, 2507 * 512))).toBe(true);
    expect(b.bytes.subarray(3 * 512, 500 * 512).every((byte) => byte === 0)).toBe(true);
    const { data } = await information(run, 2, 1);
    const view = new DataView(data.buffer, data.byteOffset);
    expect([view.getUint32(0), data[4], data[5], data[15], view.getBigUint64(16)]).toEqual([32, 0x11, 1, 0xf1, 2503n]);
    expect([view.getUint16(24), view.getUint32(32)]).toEqual([2, 0]);
  });

  test("what the token says of itself", async () => {
    const { run } = await twoUnits();
    const token = await tokenFor(run, [[10, 5]]);
    const view = new DataView(token.buffer);
    expect([view.getUint32(0), view.getUint16(6), view.getBigUint64(48), view.getBigUint64(56)]).toEqual([
      0x00800001,
      0x01f8,
      0n,
      2560n,
    ]);
    expect([...token.subarray(16, 48)]).toEqual(cscd(NAA));
    expect([view.getUint32(88), token[93], token[94]]).toEqual([512, 3, 0xc0]);
    const { data } = await information(run);
    expect([data[3], data[4], data[5], data[15], new DataView(data.buffer, data.byteOffset).getBigUint64(16)]).toEqual([
      (data.length - 4) & 255,
      0x10,
      1,
      0xf1,
      5n,
    ]);
    const all = (await run(copyCdb(0x84, 8, 255), { read: 255 })).data;
    expect([all[3], all.length]).toEqual([100, 104]);
    expect(all.subarray(8)).toEqual(token.subarray(0, 96));
  });

  test("more than the token has is cut short, and said to be", async () => {
    const { run, a, b } = await twoUnits();
    const token = await tokenFor(run, [[10, 5]]);
    expect(
      (
        await use(
          run,
          writeUsingTokenList(token, [
            [0, 3],
            [100, 8],
          ]),
        )
      ).status,
    ).toBe(0);
    expect(same(b.bytes.subarray(100 * 512, 102 * 512), a.bytes.subarray(13 * 512, 15 * 512))).toBe(true);
    expect(b.bytes.subarray(102 * 512, 108 * 512).every((byte) => byte === 0)).toBe(true);
    const { data } = await information(run, 2, 1);
    expect([data[5], data[23], data[25]]).toEqual([3, 5, 1]);
  });

  test("within one LUN, and by another host", async () => {
    const { run, world, a } = await twoUnits();
    const other = await another(world);
    const token = await tokenFor(run, [[10, 5]]);
    expect((await use(other.run, writeUsingTokenList(token, [[7000, 5]]), 0)).status).toBe(0);
    expect(same(a.bytes.subarray(7000 * 512, 7005 * 512), a.bytes.subarray(10 * 512, 15 * 512))).toBe(true);
    expect((await information(other.run, 1)).sense).toBe("5/24/0");
  });

  test("between blocks of different sizes, where whole ones are moved", async () => {
    const { run, a, b } = await twoUnits(8192, 4096);
    const token = await tokenFor(run, [
      [8, 16],
      [100, 4],
    ]);
    expect((await use(run, writeUsingTokenList(token, [[3, 1]], { offset: 1 }))).status).toBe(0);
    expect(same(b.bytes.subarray(3 * 4096, 4 * 4096), a.bytes.subarray(16 * 512, 24 * 512))).toBe(true);
    expect((await use(run, writeUsingTokenList(token, [[3, 3]]))).sense).toBe("a/26/a");
  });

  test("of a copy without tokens bytes are told, whose blocks need not be those of the unit", async () => {
    const { run, a } = await twoUnits(8192, 4096);
    const list = lid4List(5, [cscd(NAA)], [segment({ fromLba: 10, toLba: 20 })]);
    expect((await run(copyCdb(0x83, 1, list.length), { write: list.length, data: list, lun: 1 })).status).toBe(0);
    expect(same(a.bytes.subarray(20 * 512, 21 * 512), a.bytes.subarray(10 * 512, 11 * 512))).toBe(true);
    const { data } = await information(run, 5, 1);
    const view = new DataView(data.buffer, data.byteOffset);
    expect([data[4], data[5], data[15], view.getBigUint64(16), view.getUint32(32)]).toEqual([1, 1, 0, 512n, 0]);
  });

  test("IMMED does not wait", async () => {
    const { run, world, a, b } = await twoUnits();
    expect((await populate(run, populateList([[0, 4096]], { immediate: true }))).status).toBe(0);
    const token = (await information(run)).data.slice(38);
    a.held = true;
    expect((await use(run, writeUsingTokenList(token, [[0, 4096]], { immediate: true }))).status).toBe(0);
    expect((await information(run, 2, 1)).data[5]).toBe(0x12);
    await openAll(world, a);
    expect((await information(run, 2, 1)).data[5]).toBe(1);
    expect(same(b.bytes.subarray(0, 2 * MiB), a.bytes.subarray(0, 2 * MiB))).toBe(true);
  });

  test("the block device zero token gives blocks back", async () => {
    const { run, b } = await twoUnits();
    b.bytes.fill(7);
    const zero = new Uint8Array(512);
    zero.set([0xff, 0xff, 0, 1, 0, 0, 1, 0xf8]);
    expect(
      (
        await use(
          run,
          writeUsingTokenList(zero, [
            [5, 3],
            [100, 1],
          ]),
        )
      ).status,
    ).toBe(0);
    expect(b.calls).toEqual(["unmap 5+3", "unmap 100+1"]);
    expect((await information(run, 2, 1)).data[23]).toBe(4);
  });

  test.each([
    ["a timeout beyond any", populateList([[0, 1]], { timeout: TOKEN_SECONDS_MAX + 1 }), "5/26/0"],
    ["another type of token", populateList([[0, 1]], { type: 0x00010000 }), "5/26/0"],
    ["a persistent point in time", populateList([[0, 1]], { type: 0x00800002 }), "5/26/0"],
    [
      "a block that is not there",
      populateList([
        [0, 1],
        [8191, 2],
      ]),
      "5/21/0",
    ],
    [
      "a block twice",
      populateList([
        [0, 5],
        [100, 1],
        [4, 1],
      ]),
      "5/26/0",
    ],
    ["half a header", populateList([]).subarray(0, 15), "5/1a/0"],
    ["half a range", populateList([[0, 1]]).subarray(0, 31), "5/1a/0"],
    ["a length that is too short", populateList([[0, 1]]).with(1, 29), "5/26/0"],
    ["a length of ranges that is none", populateList([[0, 1]]).with(15, 8), "5/26/0"],
    ["more ranges than allowed", populateList(new Array(TOKEN_RANGES_MAX + 1).fill([0, 1])), "5/1a/0"],
  ])("%s is refused", async (_, list, sense) => {
    const { run } = await twoUnits();
    expect((await populate(run, list)).sense).toBe(sense);
    expect((await information(run)).sense).toBe("5/24/0");
  });

  test("more than a token may stand for is refused, and an offset beyond it", async () => {
    const { run } = await twoUnits();
    const device = new RamDevice(0);
    device.blockCount = 2 ** 40;
    const large = await host(device);
    expect(
      (
        await populate(
          large.run,
          populateList([
            [0, 0x80000],
            [2 ** 33, 1],
          ]),
        )
      ).sense,
    ).toBe("5/26/0");
    const token = await tokenFor(run, [[0, 5]]);
    expect((await use(run, writeUsingTokenList(token, [[0, 1]], { offset: 6 }))).sense).toBe("5/26/0");
    expect((await use(run, writeUsingTokenList(token, [[0, 1]], { offset: 5 }))).status).toBe(0);
  });

  test("types that a host may name", async () => {
    const { run } = await twoUnits();
    for (const type of [0x00800000, 0x00800001, 0x0080ffff]) await tokenFor(run, [[0, 1]], { type });
    expect((await run(copyCdb(0x83, 0x10, 0))).status).toBe(0);
    expect((await run(copyCdb(0x83, 0x11, 0))).status).toBe(0);
  });
});

describe("a token is over", () => {
  const changes: readonly (readonly [name: string, change: (run: Run) => Promise<{ status: number }>])[] = [
    ["WRITE", (run) => run(write10(12, 1), { write: 512, data: pattern(512) })],
    ["WRITE of many blocks", (run) => run(write10(0, 64), { write: 64 * 512, data: pattern(64 * 512) })],
    ["WRITE SAME", (run) => run(cdb16(0x93, 14, 9), { write: 512, data: pattern(512) })],
    ["WRITE SAME that unmaps", (run) => run(cdb16(0x93, 14, 9, 0x08), { write: 512, data: new Uint8Array(512) })],
    ["ORWRITE", (run) => run(cdb16(0x8b, 10, 1), { write: 512, data: pattern(512) })],
    ["WRITE AND VERIFY", (run) => run(cdb16(0x8e, 10, 1), { write: 512, data: pattern(512) })],
    [
      "EXTENDED COPY",
      (run) => {
        const list = lid1List(9, [cscd(NAA)], [segment({ fromLba: 3000, toLba: 10 })]);
        return run(copyCdb(0x83, 0, list.length), { write: list.length, data: list });
      },
    ],
    [
      "WRITE USING TOKEN of zeros",
      (run) => {
        const list = writeUsingTokenList(new Uint8Array(512).with(0, 0xff).with(1, 0xff).with(3, 1), [[11, 1]]);
        return use(run, list, 0);
      },
    ],
  ];

  test.each(changes)("as soon as %s changes one of its blocks", async (_, change) => {
    const { run } = await twoUnits();
    const token = await tokenFor(run, [
      [10, 5],
      [2000, 5],
    ]);
    const apart = await tokenFor(run, [[1000, 1]]);
    expect(await stateOf(run, token)).toBe(ALIVE);
    expect((await change(run)).status).toBe(0);
    expect(await stateOf(run, token)).toBe(REVOKED);
    expect(await stateOf(run, apart)).toBe(ALIVE);
  });

  test.each(["as every write", "in its own way"])(
    "as soon as WRITE ATOMIC, which the device does %s, changes one of its blocks",
    async (way) => {
      const { run, a } = await twoUnits();
      a.atomicBlocksMax = 8;
      if (way === "in its own way") a.writeAtomic = (lba, from, options) => a.write(lba, from, options);
      const token = await tokenFor(run, [[10, 5]]);
      const writeAtomic = cdb16(0x9c, 13, 0).with(13, 2);
      expect((await run(writeAtomic, { write: 1024, data: pattern(1024) })).status).toBe(0);
      expect(await stateOf(run, token)).toBe(REVOKED);
    },
  );

  test("and not when others are written, or all are read", async () => {
    const { run } = await twoUnits();
    const token = await tokenFor(run, [
      [10, 5],
      [2000, 5],
    ]);
    for (const lba of [9, 15, 1999, 2005, 1000]) await run(write10(lba, 1), { write: 512, data: pattern(512) });
    await run(cdb16(0x88, 0, 4096), { read: 4096 * 512 });
    expect(await stateOf(run, token)).toBe(ALIVE);
  });

  test("a write that was in flight comes before it, one that comes meanwhile after it", async () => {
    const { run, world, initiator, a, b } = await twoUnits();
    a.held = true;
    const [first, second] = [pattern(512, 50), pattern(512, 60)];
    const list = populateList([[10, 1]]);
    await initiator.send(
      initiator.command(write10(10, 1), { write: 512, data: first }),
      initiator.command(copyCdb(0x83, 0x10, list.length, listId(1)), { write: list.length, data: list }),
      initiator.command(write10(10, 1), { write: 512, data: second }),
    );
    expect(a.gates).toHaveLength(1);
    a.gates.shift()?.open();
    await world.timers.turn();
    expect(initiator.receive().map((pdu) => pdu.header.getUint8(3))).toEqual([0, 0]);
    const token = (await information(run)).data.slice(38);
    await openAll(world, a);
    a.held = false;
    expect(initiator.receive().map((pdu) => pdu.header.getUint8(3))).toEqual([0]);
    expect(await stateOf(run, token)).toBe(REVOKED);
    expect(same(a.bytes.subarray(5120, 5632), second)).toBe(true);
    expect(b.calls).toEqual([]);
  });

  test("a write between two pieces of a copy ends it before anything new is copied", async () => {
    const { run, world, initiator, a, b } = await twoUnits();
    const before = a.bytes.slice();
    const token = await tokenFor(run, [[0, 6000]]);
    a.held = true;
    const list = writeUsingTokenList(token, [[0, 6000]]);
    const cdb = copyCdb(0x83, 0x11, list.length, listId(2));
    await initiator.send(initiator.command(cdb, { write: list.length, data: list, lun: 1 }));
    a.gates.shift()?.open();
    await world.timers.turn();
    expect(a.gates.map(({ kind, lba }) => `${kind} ${lba}`)).toEqual(["read 2048"]);
    await initiator.send(initiator.command(write10(2048, 1), { write: 512, data: pattern(512, 99) }));
    // The write lands before the read that was there first.
    a.gates.pop()?.open();
    await openAll(world, a);
    const answers = initiator.receive().map((pdu) => [pdu.header.getUint8(3), pdu.data[4], pdu.data[14], pdu.data[15]]);
    expect(answers).toContainEqual([2, 5, 0x23, 6]);
    expect(b.calls).toEqual(["write 0+2048"]);
    expect(same(b.bytes.subarray(0, MiB), before.subarray(0, MiB))).toBe(true);
    const { data } = await information(run, 2, 1);
    expect([data[5], data[12], new DataView(data.buffer, data.byteOffset).getBigUint64(16)]).toEqual([2, 2, 2048n]);
  });

  test("when it was not used for as long as its maker said; its time stands still while it is used", async () => {
    const { run, world, initiator, a } = await twoUnits();
    const token = await tokenFor(run, [[0, 1]], { timeout: 5 });
    const usual = await tokenFor(run, [[1, 1]]);
    world.timers.advance(4999);
    expect(await stateOf(run, token)).toBe(ALIVE);
    world.timers.advance(4999);
    a.held = true;
    const list = writeUsingTokenList(token, [[0, 1]]);
    const cdb = copyCdb(0x83, 0x11, list.length, listId(2));
    await initiator.send(initiator.command(cdb, { write: list.length, data: list, lun: 1 }));
    world.timers.advance(9000);
    await openAll(world, a);
    a.held = false;
    expect(
      initiator
        .receive()
        .filter(({ opcode }) => opcode === 0x21)
        .map((pdu) => pdu.header.getUint8(3)),
    ).toEqual([0]);
    world.timers.advance(5000);
    expect(await stateOf(run, token)).toBe("5/23/7");
    expect(await stateOf(run, usual)).toBe(ALIVE);
    world.timers.advance(1000 * TOKEN_SECONDS);
    expect(await stateOf(run, usual)).toBe("5/23/7");
  });

  test("when its user deletes it", async () => {
    const { run } = await twoUnits();
    const token = await tokenFor(run, [[0, 1]]);
    expect((await use(run, writeUsingTokenList(token, [[5, 1]], { remove: true }))).status).toBe(0);
    expect(await stateOf(run, token)).toBe("5/23/9");
    expect((await run(copyCdb(0x84, 8, 255), { read: 255 })).data).toEqual(new Uint8Array([0, 0, 0, 4, 0, 0, 0, 0]));
  });

  test.each([
    [
      "the ports are no longer active",
      (world: Bench) => world.target.changeAccessStates([{ group: 1, state: AccessState.Standby }]),
    ],
    [
      "the LUN has another size",
      (world: Bench) => {
        world.device.blockCount++;
        world.target.resized(0);
      },
    ],
    ["the LUN is removed", (world: Bench) => world.target.removeLun(0)],
    [
      "the medium of the LUN is ejected, and loaded again",
      async (_: Bench, run: Run) => {
        for (const what of [2, 3]) expect((await run([0x1b, 0, 0, 0, what, 0])).status).toBe(0);
      },
    ],
  ])("when %s", async (_, change) => {
    const { run, world, a } = await twoUnits();
    const token = await tokenFor(run, [[0, 1]]);
    const unit = world.target.device.unit(0);
    expect(unit?.device).not.toBe(a);
    await change(world, run);
    expect(() => world.target.device.host.tokens.find(token)).toThrow("5/23/8");
    expect(unit?.device).toBe(a);
  });

  test("a target that is not available has none", async () => {
    const { run, world } = await twoUnits();
    await tokenFor(run, [[0, 1]]);
    world.target.available = false;
    expect(world.target.device.host.tokens.all()).toEqual([]);
  });
});

describe("a token that is none", () => {
  test("unknown, changed, of another type", async () => {
    const { run } = await twoUnits();
    const token = await tokenFor(run, [[0, 1]]);
    expect(await stateOf(run, token.with(8, token[8] ^ 1))).toBe("5/23/4");
    for (const at of [20, 63, 300, 511]) expect(await stateOf(run, token.with(at, token[at] ^ 1))).toBe("5/23/5");
    expect(await stateOf(run, token.with(1, 1))).toBe("5/23/1");
    expect(await stateOf(run, token)).toBe(ALIVE);
  });

  test("more than a target keeps: the oldest of the host with the most gives way", async () => {
    const { run, world } = await twoUnits();
    const other = await another(world);
    const tokens: Uint8Array[] = [];
    for (let at = 0; at < TOKENS_MAX; at++) tokens.push(await tokenFor(run, [[at, 1]]));
    const one = await tokenFor(other.run, [[500, 1]]);
    expect(await stateOf(run, tokens[0])).toBe(CANCELLED);
    for (let at = 0; at < TOKENS_MAX; at++) tokens.push(await tokenFor(run, [[at, 1]]));
    expect(await stateOf(run, one)).toBe(ALIVE);
    expect([await stateOf(run, tokens[TOKENS_MAX]), await stateOf(run, tokens[TOKENS_MAX + 1])]).toEqual([
      CANCELLED,
      ALIVE,
    ]);
  });

  test("one that is being copied with does not give way", async () => {
    const { run, world, a, b } = await twoUnits();
    const token = await tokenFor(run, [[0, 1]]);
    b.held = true;
    const list = writeUsingTokenList(token, [[100, 1]], { immediate: true });
    expect((await use(run, list)).status).toBe(0);
    for (let at = 1; at <= TOKENS_MAX; at++) await tokenFor(run, [[at, 1]]);
    await openAll(world, a, b);
    b.held = false;
    expect(await stateOf(run, token)).toBe(ALIVE);
    expect(same(b.bytes.subarray(100 * 512, 101 * 512), CONTENT.subarray(0, 512))).toBe(true);
  });
});

describe("who may", () => {
  test("reservations hold, and write protection", async () => {
    const { run, world } = await twoUnits();
    const token = await tokenFor(run, [[0, 1]]);
    const other = await another(world);
    const key = (at: number) => new Uint8Array(24).with(at, 9);
    const out = (action: number, type: number) => [0x5f, action, type, 0, 0, 0, 0, 0, 24, 0];
    await other.run(out(0, 0), { write: 24, data: key(15) });
    await other.run(out(1, 1), { write: 24, data: key(7) });
    // Write exclusive: reading is free.
    await tokenFor(run, [[5, 1]]);
    expect((await use(run, writeUsingTokenList(token, [[0, 1]]), 0)).status).toBe(0x18);
    await other.run(out(2, 1), { write: 24, data: key(7) });
    await other.run(out(1, 3), { write: 24, data: key(7) });
    expect((await populate(run, populateList([[0, 1]]))).status).toBe(0x18);
    expect(await stateOf(run, token)).toBe("a/d/1");
    const unit = world.target.device.unit(1);
    if (unit !== undefined) unit.swp = true;
    expect(await stateOf(run, token)).toBe("7/27/0");
  });
});

test("only while a token is alive does a unit's device tell of writes", async () => {
  const { run, world, a } = await twoUnits();
  const unit = world.target.device.unit(0);
  expect(unit?.device).toBe(a);
  await tokenFor(run, [[0, 1]]);
  await tokenFor(run, [[9, 1]]);
  expect(unit?.device).not.toBe(a);
  expect([unit?.device.blockCount, unit?.device.cacheBytes]).toEqual([a.blockCount, undefined]);
  await run(write10(0, 1), { write: 512, data: pattern(512) });
  expect(unit?.device).not.toBe(a);
  await run(write10(9, 1), { write: 512, data: pattern(512) });
  expect(unit?.device).toBe(a);
});

test("a token does not hide what its LUN's device is", async () => {
  const { run, a } = await twoUnits();
  Object.assign(a, { volatileCache: true });
  const caching = async () => (await run([0x1a, 8, 0x08, 0, 255, 0], { read: 255 })).data[4 + 2];
  const extended = async () => (await run([0x12, 1, 0x86, 0, 255, 0], { read: 255 })).data[6];
  expect([await caching(), await extended()]).toEqual([0x04, 0x01]);
  await tokenFor(run, [[0, 1]]);
  expect([await caching(), await extended()]).toEqual([0x04, 0x01]);
});

test("the VPD page says what is possible", async () => {
  const { run } = await twoUnits();
  const page = (await run([0x12, 1, 0x8f, 4, 0, 0], { read: 1024 })).data;
  const view = new DataView(page.buffer, page.byteOffset);
  const found = new Map<number, number>();
  for (let at = 4; at < page.length; at += 4 + view.getUint16(at + 2)) found.set(view.getUint16(at), at);
  expect([...found.keys()]).toEqual([0x0000, 0x0001, 0x0004, 0x0008, 0x000c, 0x0106, 0x0108, 0x8001]);
  const limits = found.get(0) ?? 0;
  expect([view.getUint16(limits + 10), view.getUint32(limits + 12), view.getUint32(limits + 16)]).toEqual([
    TOKEN_RANGES_MAX,
    TOKEN_SECONDS_MAX,
    TOKEN_SECONDS,
  ]);
  expect(view.getBigUint64(limits + 20)).toBe(BigInt((256 * MiB) / 512));
  const types = found.get(0x0108) ?? 0;
  expect([view.getUint16(types + 2), view.getUint16(types + 6)]).toEqual([132, 128]);
  expect([view.getUint32(types + 8), page[types + 12], view.getUint32(types + 72), page[types + 76]]).toEqual([
    0x00800001, 3, 0xffff0001, 2,
  ]);
  expect(view.getUint16((found.get(0x0106) ?? 0) + 2)).toBe(92);
});
