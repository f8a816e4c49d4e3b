/** No write lands after a write of a host that a reservation has let in instead of its own. */

import { describe, expect, test } from "vitest";
import { bench, build, Initiator, pattern, write10 } from "../testing/initiator.ts";
import { type Gate, RamDevice } from "../testing/world.ts";
import { ReservationType, ReserveOut } from "./reservations.ts";

const CONFLICT = 0x18;
const TASK_ABORTED = 0x40;
const LOGICAL_UNIT_RESET = 5;
const TARGET_WARM_RESET = 6;
const I_T_NEXUS_RESET = 11;
const BLOCK = 512;

const { ExclusiveAccess: EA, WriteExclusiveRegistrantsOnly: WERO } = ReservationType;

const RESERVE = [0x16, 0, 0, 0, 0, 0];
const RELEASE = [0x17, 0, 0, 0, 0, 0];
const TEST_UNIT_READY = [0, 0, 0, 0, 0, 0];

class Host {
  private constructor(readonly initiator: Initiator) {}

  static async login(world: ReturnType<typeof bench>, letter: string): Promise<Host> {
    const port = { name: `iqn.2026-11.dev.antipode:${letter}`, isid: 0x80000001 };
    return new Host(await new Initiator(world, port).ready("iSCSIProtocolLevel=2", "InitialR2T=No"));
  }

  /** The statuses of commands that have ended, and the responses of functions. */
  ended(): number[] {
    return this.initiator.receive().map(({ opcode, header }) => header.getUint8(opcode === 0x22 ? 2 : 3));
  }

  async run(cdb: readonly number[], data?: Uint8Array): Promise<number[]> {
    await this.initiator.send(this.initiator.command(cdb, data && { write: data.length, data }));
    return this.ended();
  }

  write(lba: number, seed: number): Promise<number[]> {
    return this.run(write10(lba, 1), pattern(BLOCK, seed));
  }

  async manage(code: number, tag = 0xffffffff): Promise<number[]> {
    await this.initiator.send(
      build(0x02, {
        flags: 0x80 | code,
        immediate: true,
        itt: 9000,
        words: { 8: 0, 20: tag, 24: this.initiator.cmdSN },
      }),
    );
    return this.ended();
  }

  reserveOut(action: number, key: number, actionKey: number, type = 0): Promise<number[]> {
    const list = new Uint8Array(24);
    list[7] = key;
    list[15] = actionKey;
    return this.run([0x5f, action, type, 0, 0, 0, 0, 0, list.length, 0], list);
  }

  register(key: number): Promise<number[]> {
    return this.reserveOut(ReserveOut.RegisterAndIgnoreExistingKey, 0, key);
  }
}

async function hosts() {
  const device = new RamDevice(128);
  const world = bench({ device });
  const [a, b, c] = [await Host.login(world, "a"), await Host.login(world, "b"), await Host.login(world, "c")];
  /** The host's write is at the device, which was not told that it may be aborted. */
  const heldWrite = async (host: Host, lba: number, seed: number): Promise<Gate> => {
    device.held = true;
    expect(await host.write(lba, seed)).toEqual([]);
    device.held = false;
    const gate = device.gates.shift();
    if (gate === undefined) throw new Error("the write is not at the device");
    return gate;
  };
  const open = async (gate: Gate) => {
    gate.open();
    await world.timers.turn();
  };
  return { world, device, a, b, c, heldWrite, open };
}

describe("RESERVE", () => {
  test.each([
    ["LUN RESET", LOGICAL_UNIT_RESET],
    ["TARGET WARM RESET", TARGET_WARM_RESET],
  ])("%s: no host is let in before the aborted write has ended", async (_, code) => {
    const { device, a, b, c, heldWrite, open } = await hosts();
    expect(await a.run(RESERVE)).toEqual([0]);
    const gate = await heldWrite(a, 1, 7);
    expect(await b.manage(code)).toEqual([]);
    for (const host of [b, c]) {
      expect(await host.run(TEST_UNIT_READY)).toEqual([2]);
      expect(await host.write(1, 9)).toEqual([CONFLICT]);
      expect(await host.run(RESERVE)).toEqual([CONFLICT]);
    }
    await open(gate);
    expect([a.ended(), b.ended()]).toEqual([[TASK_ABORTED], [0]]);
    expect([await b.run(RESERVE), await b.write(1, 9), await c.write(1, 8)]).toEqual([[0], [0], [CONFLICT]]);
    expect(device.bytes.subarray(BLOCK, 2 * BLOCK)).toEqual(pattern(BLOCK, 9));
  });

  test("I_T NEXUS RESET: the same", async () => {
    const { device, a, b, heldWrite, open } = await hosts();
    expect(await a.run(RESERVE)).toEqual([0]);
    const gate = await heldWrite(a, 1, 7);
    expect(await a.manage(I_T_NEXUS_RESET)).toEqual([]);
    expect([await b.write(1, 9), await b.run(RESERVE)]).toEqual([[CONFLICT], [CONFLICT]]);
    await open(gate);
    expect([a.ended(), await b.write(1, 9)]).toEqual([[0], [0]]);
    expect(device.bytes.subarray(BLOCK, 2 * BLOCK)).toEqual(pattern(BLOCK, 9));
  });

  test("the host that had it may reserve anew at once, and then keeps it", async () => {
    const { a, b, heldWrite, open } = await hosts();
    await a.run(RESERVE);
    const gate = await heldWrite(a, 1, 7);
    expect(await b.manage(LOGICAL_UNIT_RESET)).toEqual([]);
    expect([await a.run(TEST_UNIT_READY), await a.run(RESERVE), await a.write(2, 3)]).toEqual([[2], [0], [0]]);
    await open(gate);
    expect([a.ended(), b.ended()]).toEqual([[TASK_ABORTED], [0]]);
    expect([await b.run(TEST_UNIT_READY), await b.write(1, 9)]).toEqual([[2], [CONFLICT]]);
    expect([await a.run(RELEASE), await b.write(1, 9)]).toEqual([[0], [0]]);
  });

  test("a registration meanwhile is answered when its host is let in", async () => {
    const { world, a, b, c, heldWrite, open } = await hosts();
    await a.run(RESERVE);
    const gate = await heldWrite(a, 1, 7);
    await b.manage(LOGICAL_UNIT_RESET);
    await c.run(TEST_UNIT_READY);
    expect(await c.register(3)).toEqual([]);
    await world.target.clearReservations(0);
    expect(await c.write(1, 9)).toEqual([CONFLICT]);
    await open(gate);
    expect(c.ended()).toEqual([0]);
  });

  test("with no write to wait for it ends at once", async () => {
    const { a, b } = await hosts();
    await a.run(RESERVE);
    expect(await b.manage(LOGICAL_UNIT_RESET)).toEqual([0]);
    expect([await b.run(TEST_UNIT_READY), await b.write(1, 9)]).toEqual([[2], [0]]);
  });
});

describe("giving up a reservation", () => {
  const ABORT_TASK = 1;
  const ABORT_TASK_SET = 2;
  const CLEAR_TASK_SET = 4;
  type Hosts = Awaited<ReturnType<typeof hosts>>;

  const ways: readonly (readonly [string, (of: Hosts) => Promise<unknown>, (of: Hosts) => Promise<number[]>])[] = [
    ["RELEASE", ({ a }) => a.run(RESERVE), ({ a }) => a.run(RELEASE)],
    [
      "PERSISTENT RESERVE OUT",
      async ({ a }) => [await a.register(1), await a.reserveOut(ReserveOut.Reserve, 1, 0, EA)],
      ({ a }) => a.reserveOut(ReserveOut.Clear, 1, 0),
    ],
  ];

  test.each(
    ways.flatMap(([name, take, give]) =>
      [ABORT_TASK_SET, CLEAR_TASK_SET].map((code) => [name, code, take, give] as const),
    ),
  )("%s waits for the writes that its own host has aborted: function %i", async (_, code, take, give) => {
    const of = await hosts();
    const { device, a, b, heldWrite, open } = of;
    await take(of);
    const gate = await heldWrite(a, 1, 7);
    expect([await a.manage(code), await give(of)]).toEqual([[], []]);
    expect(await b.write(1, 9)).toEqual([CONFLICT]);
    await open(gate);
    expect([a.ended(), await b.write(1, 9)]).toEqual([[0, 0], [0]]);
    expect(device.bytes.subarray(BLOCK, 2 * BLOCK)).toEqual(pattern(BLOCK, 9));
  });

  test.each(ways)("%s that is aborted itself while it waits has not happened", async (_, take, give) => {
    const of = await hosts();
    const { a, b, heldWrite, open } = of;
    await take(of);
    const gate = await heldWrite(a, 1, 7);
    await a.manage(ABORT_TASK_SET);
    const tag = a.initiator.itt;
    expect(await give(of)).toEqual([]);
    expect(await a.manage(ABORT_TASK, tag)).toEqual([0]);
    await open(gate);
    expect([a.ended(), await b.write(1, 9), await a.write(1, 3)]).toEqual([[0], [CONFLICT], [0]]);
  });
});

describe("a write that waits for one before it", () => {
  const ORDERED = 2;

  test.each([
    ["with all of its data", BLOCK, false],
    ["with data that is still to come", 64 * BLOCK, true],
  ])("meets a reservation that was made before it began: %s", async (_, bytes, more) => {
    const { device, world, a, b, heldWrite, open } = await hosts();
    const gate = await heldWrite(a, 1, 7);
    const data = pattern(bytes, 3);
    const { initiator } = a;
    const tag = initiator.itt;
    const first = more ? data.subarray(0, BLOCK) : data;
    const options = { write: bytes, data: first, more, attribute: ORDERED };
    await initiator.send(initiator.command(write10(2, bytes / BLOCK), options));
    expect([await b.run(RESERVE), a.ended()]).toEqual([[0], []]);
    await open(gate);
    expect(a.ended()).toEqual(more ? [0] : [0, CONFLICT]);
    if (more) {
      await initiator.send(initiator.dataOut(tag, 0xffffffff, 0, BLOCK, data.slice(BLOCK), true));
      expect(a.ended()).toEqual([CONFLICT]);
    }
    expect(device.calls).toEqual(["write 1+1"]);
    expect([await b.run(RELEASE), await a.write(3, 1)]).toEqual([[0], [0]]);
    expect(world.server.sessions().map(({ bytesHeld }) => bytesHeld)).toEqual([0, 0, 0]);
  });
});

describe("PREEMPT AND ABORT", () => {
  test("lets in nobody whom the preempted kept out, not the preempting host either, before the aborted write has ended", async () => {
    const { device, a, b, c, heldWrite, open } = await hosts();
    for (const [host, key] of [
      [a, 1],
      [b, 2],
      [c, 3],
    ] as const) {
      expect(await host.register(key)).toEqual([0]);
    }
    expect(await a.reserveOut(ReserveOut.Reserve, 1, 0, EA)).toEqual([0]);
    const gate = await heldWrite(a, 1, 7);
    expect(await b.reserveOut(ReserveOut.PreemptAndAbort, 2, 1, WERO)).toEqual([]);
    for (const host of [a, b, c]) expect(await host.write(1, 9)).toEqual([CONFLICT]);
    await open(gate);
    expect([a.ended(), b.ended()]).toEqual([[TASK_ABORTED], [0]]);
    expect([await b.write(1, 8), await c.run(TEST_UNIT_READY), await c.write(1, 9)]).toEqual([[0], [2], [0]]);
    expect(await a.write(1, 7)).toEqual([CONFLICT]);
    expect(device.bytes.subarray(BLOCK, 2 * BLOCK)).toEqual(pattern(BLOCK, 9));
  });

  test("one host after another: the last is let in when both have no write left", async () => {
    const { a, b, c, heldWrite, open } = await hosts();
    for (const [host, key] of [
      [a, 1],
      [b, 2],
      [c, 3],
    ] as const) {
      await host.register(key);
    }
    await a.reserveOut(ReserveOut.Reserve, 1, 0, EA);
    const gate = await heldWrite(a, 1, 7);
    expect(await b.reserveOut(ReserveOut.PreemptAndAbort, 2, 1, EA)).toEqual([]);
    // It aborts the one before, which waits no longer.
    expect(await c.reserveOut(ReserveOut.PreemptAndAbort, 3, 2, EA)).toEqual([]);
    expect(b.ended()).toEqual([TASK_ABORTED]);
    expect([await b.write(1, 8), await c.write(1, 8)]).toEqual([[CONFLICT], [CONFLICT]]);
    await open(gate);
    expect(c.ended()).toEqual([0]);
    expect([await c.write(1, 9), await b.write(1, 8)]).toEqual([[0], [CONFLICT]]);
  });
});
