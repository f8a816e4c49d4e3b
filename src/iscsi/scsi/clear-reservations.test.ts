import { describe, expect, test } from "vitest";
import type { KeptReservations } from "../interfaces.ts";
import { type Bench, bench, Initiator, pattern, write10 } from "../testing/initiator.ts";
import { RamDevice } from "../testing/world.ts";

const CONFLICT = "18";
const identity = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };

class Host {
  private constructor(readonly initiator: Initiator) {}

  static async login(of: Bench, letter: string): Promise<Host> {
    const port = { name: `iqn.2026-11.dev.antipode:${letter}`, isid: 0x80000001 };
    return new Host(await new Initiator(of, port).ready());
  }

  /** The status, and after CHECK CONDITION the additional sense. */
  async run(cdb: readonly number[], data?: Uint8Array): Promise<string> {
    await this.initiator.send(this.initiator.command(cdb, data && { write: data.length, data }));
    const [{ header, data: sense }] = this.initiator.receive();
    const status = header.getUint8(3);
    return status === 2 ? `${sense[14].toString(16)}/${sense[15].toString(16)}` : status.toString(16);
  }

  writes(): Promise<string> {
    return this.run(write10(0, 1), pattern(512));
  }

  /** PERSISTENT RESERVE OUT: REGISTER is 0 and RESERVE, of exclusive access, is 1. */
  reserveOut(action: 0 | 1, key: number, actionKey: number): Promise<string> {
    const list = new Uint8Array(24);
    list[7] = key;
    list[15] = actionKey;
    list[20] = action === 0 ? 1 : 0; // APTPL
    return this.run([0x5f, action, 0x03, 0, 0, 0, 0, 0, list.length, 0], list);
  }
}

async function setUp() {
  let kept: KeptReservations | undefined;
  let failure: Error | undefined;
  let gate: Promise<void> = Promise.resolve();
  const store = {
    kept: undefined,
    save: async (now: KeptReservations | undefined) => {
      await gate;
      if (failure !== undefined) throw failure;
      kept = now;
    },
  };
  const world = bench({ target: { luns: [{ lun: 0, device: new RamDevice(64), identity, reservations: store }] } });
  const [a, b, c] = [await Host.login(world, "a"), await Host.login(world, "b"), await Host.login(world, "c")];
  const hold = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gate = promise;
    return resolve;
  };
  const fail = () => {
    failure = Object.assign(new Error("no room"), { code: "file.failed" });
  };
  return { world, a, b, c, hold, fail, kept: () => kept };
}

describe("the owner of a unit", () => {
  test("ends all that is reserved, once that is stored, and whoever was registered is told", async () => {
    const { world, a, b, c, hold, kept } = await setUp();
    expect([await a.reserveOut(0, 0, 1), await b.reserveOut(0, 0, 2), await a.reserveOut(1, 1, 0)]).toEqual([
      "0",
      "0",
      "0",
    ]);
    expect([await b.writes(), kept()?.registrations.length]).toEqual([CONFLICT, 2]);
    const pass = hold();
    const clearing = world.target.clearReservations(0);
    await world.timers.turn();
    expect(await c.writes()).toBe(CONFLICT);
    pass();
    await clearing;
    expect([await c.writes(), kept()]).toEqual(["0", undefined]);
    expect([await a.writes(), await b.writes(), await a.writes()]).toEqual(["2a/3", "2a/3", "0"]);
  });

  test("ends a RESERVE too", async () => {
    const { world, a, b } = await setUp();
    expect([await a.run([0x16, 0, 0, 0, 0, 0]), await b.writes()]).toEqual(["0", CONFLICT]);
    await world.target.clearReservations(0);
    expect([await b.writes(), await a.writes(), await a.writes()]).toEqual(["0", "2a/3", "0"]);
    await world.target.clearReservations(99);
  });

  test("ends what one host has, and leaves the others theirs", async () => {
    const { world, a, b, c, kept } = await setUp();
    for (const [host, key] of [
      [a, 1],
      [b, 2],
      [c, 3],
    ] as const) {
      expect(await host.reserveOut(0, 0, key)).toBe("0");
    }
    expect([await a.reserveOut(1, 1, 0), await b.writes()]).toEqual(["0", CONFLICT]);
    await world.target.clearReservations(0, "iqn.2026-11.dev.antipode:c");
    expect([await b.writes(), await c.writes(), kept()?.registrations.map(({ key }) => key)]).toEqual([
      CONFLICT,
      CONFLICT,
      [1n, 2n],
    ]);
    await world.target.clearReservations(0, "iqn.2026-11.dev.antipode:a");
    expect([await a.writes(), await b.writes(), await c.writes()]).toEqual(["2a/5", "0", "2a/5"]);
    expect(kept()).toMatchObject({ registrations: [{ key: 2n }], reservation: undefined });
  });

  test("ends the RESERVE of the host that is named, and no other's", async () => {
    const { world, a, b } = await setUp();
    await a.run([0x16, 0, 0, 0, 0, 0]);
    await world.target.clearReservations(0, "iqn.2026-11.dev.antipode:b");
    expect(await b.writes()).toBe(CONFLICT);
    await world.target.clearReservations(0, "iqn.2026-11.dev.antipode:a");
    expect(await b.writes()).toBe("0");
  });

  test("changes nothing where it could not be stored", async () => {
    const { world, a, b, fail, kept } = await setUp();
    expect([await a.reserveOut(0, 0, 1), await a.reserveOut(1, 1, 0)]).toEqual(["0", "0"]);
    fail();
    await expect(world.target.clearReservations(0)).rejects.toMatchObject({ code: "file.failed" });
    expect([await b.writes(), await a.writes(), kept()?.registrations.length]).toEqual([CONFLICT, "0", 1]);
  });
});
