/** Every rule that a target may break is broken once, on the way from a real target to a host. */

import { describe, expect, it } from "vitest";
import { Opcode } from "../../../src/iscsi/constants.ts";
import { TargetServer } from "../../../src/iscsi/index.ts";
import { padding } from "../../../src/iscsi/pdu.ts";
import { RamDevice } from "../../../src/iscsi/testing/world.ts";
import { MemoryUniverse } from "../../../src/platform/memory/memory-world.ts";
import type { Connection } from "../../../src/platform/network.ts";
import { Host } from "./host.ts";
import { Registers } from "./registers.ts";

const TARGET = "iqn.2026-11.dev.antipode:test";
const BLOCKS = 128;

/** Sees each PDU of the target in its place. @returns true to hold it back */
type Mangle = (view: DataView, at: number, dataAt: number) => boolean;

interface Outcome {
  readonly violations: string[];
  readonly host: Host;
}

/** A host of a target in memory, with everything that the target sends going through `mangle`. */
async function run(mangle: Mangle | undefined, digests = false, flip = 0): Promise<Outcome> {
  const universe = new MemoryUniverse(7);
  const world = universe.world("target");
  const server = new TargetServer({
    network: world.network,
    timers: world.clock,
    memory: world.memory,
    random: world.random,
    crc32c: (...covered) => world.arithmetic.crc32c(...covered),
    // As a site has it. These hosts offer more, and know no more.
    errorRecoveryLevel: 0,
  });
  const identity = { vendor: "ANTIPODE", product: "TEST", revision: "1", serial: "s-1", naa: 0x3000000000000001n };
  server.addTarget({ name: TARGET, luns: [{ lun: 0, device: new RamDevice(BLOCKS), identity }] });
  await universe.result(
    world.network.listen({ host: "target", port: 3260 }, (connection) => {
      return server.accept(mangle === undefined ? connection : mangled(connection, mangle));
    }),
  );
  const violations: string[] = [];
  const region = { blockSize: 512, first: 0, blocks: BLOCKS };
  const registers = new Registers({ ...region, onWrong: (text) => violations.push(text) });
  const host = new Host(universe, {
    name: "oslo",
    portals: [{ host: "target", port: 3260 }],
    target: TARGET,
    lun: 0,
    ...region,
    large: 0.04,
    depth: 4,
    pause: 5,
    digests,
    commandTimeout: 2000,
    registers,
    mayLose: false,
    onViolation: (text) => violations.push(text),
  });
  universe.network.flipBits("target", "oslo", flip);
  universe.network.flipBits("oslo", "target", flip);
  host.start();
  await universe.advance(10_000);
  return { violations, host };
}

/** The same connection, but for the PDUs that are written to it. It takes all that is written at once. */
function mangled(connection: Connection, mangle: Mangle): Connection {
  return {
    remote: connection.remote,
    local: connection.local,
    pause: () => connection.pause(),
    resume: () => connection.resume(),
    close: () => connection.close(),
    abort: () => connection.abort(),
    write: (bytes) => {
      const copy = bytes.slice();
      const view = new DataView(copy.buffer);
      for (let at = 0; at < copy.length; ) {
        const length = view.getUint32(at + 4) & 0xffffff;
        const end = at + 48 + length + padding(length);
        const isHeld = mangle(view, at, at + 48);
        if (!isHeld) connection.write(copy.subarray(at, end));
        at = end;
      }
      return bytes.length;
    },
  };
}

/** Mangles one PDU of an opcode: by `act`, which returns true to hold it back. */
function nth(opcode: number, count: number, act: (view: DataView, at: number, dataAt: number) => unknown): Mangle {
  let seen = 0;
  return (view, at, dataAt) => view.getUint8(at) === opcode && ++seen === count && act(view, at, dataAt) === true;
}

const add = (offset: number, by: number) => (view: DataView, at: number) => {
  view.setUint32(at + offset, view.getUint32(at + offset) + by);
};

const CASES: readonly (readonly [name: string, mangle: () => Mangle, told: RegExp])[] = [
  ["a StatSN that skips", () => nth(Opcode.ScsiResponse, 10, add(24, 1)), /StatSN \d+ where \d+ is due/],
  ["a status that is left out", () => nth(Opcode.ScsiResponse, 10, () => true), /StatSN \d+ where \d+ is due/],
  [
    "an ExpCmdSN beyond what was sent",
    () => nth(Opcode.ScsiResponse, 10, add(28, 200)),
    /ExpCmdSN \d+, and \d+ is the/,
  ],
  ["an ExpCmdSN that goes back", () => nth(Opcode.ScsiResponse, 10, add(28, -50)), /ExpCmdSN went back/],
  ["a MaxCmdSN that goes back", () => nth(Opcode.ScsiResponse, 10, add(32, -3)), /MaxCmdSN went back/],
  ["a response for nothing", () => nth(Opcode.ScsiResponse, 10, add(16, 0x5000)), /SCSI Response for no task/],
  ["a residual", () => nth(Opcode.ScsiResponse, 10, add(44, 512)), /stray residual of 512/],
  ["a wrong ExpDataSN", () => nth(Opcode.ScsiResponse, 10, add(36, 1)), /ExpDataSN \d+, \d+ have come/],
  ["Data-In out of order", () => nth(Opcode.DataIn, 10, add(36, 1)), /Data-In out of order/],
  ["Data-In at a wrong place", () => nth(Opcode.DataIn, 10, add(40, 512)), /Data-In at \d+ where \d+ comes next/],
  ["Data-In that is left out", () => nth(Opcode.DataIn, 10, () => true), /StatSN|GOOD with|Data-In out of order/],
  ["Data-In for nothing", () => nth(Opcode.DataIn, 10, add(16, 0x5000)), /Data-In for no task/],
  [
    "Data-In without the F bit",
    () => nth(Opcode.DataIn, 10, (view, at) => view.setUint8(at + 1, view.getUint8(at + 1) & 0x7f)),
    /without the F bit/,
  ],
  [
    "data that is not that of the block",
    () => nth(Opcode.DataIn, 30, (view, _, data) => view.setUint8(data + 9, 77)),
    /a mix/,
  ],
  ["R2T for too much", () => nth(Opcode.R2T, 5, add(44, 0x1000000)), /R2T (for|up to) \d+/],
  ["R2T at a wrong place", () => nth(Opcode.R2T, 5, add(40, 4)), /R2T at \d+ where \d+ comes next/],
  ["R2T out of order", () => nth(Opcode.R2T, 5, add(36, 1)), /R2T out of order/],
  [
    "a ping's answer with other data",
    () => nth(Opcode.NopIn, 1, (view, _, data) => view.setUint8(data, 1)),
    /other data/,
  ],
  ["an answer to no ping", () => nth(Opcode.NopIn, 1, add(16, 1)), /NOP-In for no NOP-Out/],
  [
    "an unknown opcode",
    () => nth(Opcode.ScsiResponse, 10, (view, at) => view.setUint8(at, 0x2a)),
    /protocol: opcode 42/,
  ],
  ["a login of another ISID", () => nth(Opcode.LoginResponse, 1, add(8, 1)), /another ISID/],
  [
    "a login that is refused",
    () => nth(Opcode.LoginResponse, 1, (v, at) => v.setUint16(at + 36, 0x203)),
    /refused with status 203/,
  ],
  ["a login without TSIH", () => nth(Opcode.LoginResponse, 2, (v, at) => v.setUint16(at + 14, 0)), /without a TSIH/],
];

describe("a session", () => {
  it("finds nothing wrong with a target that keeps the rules", async () => {
    const { violations, host } = await run(undefined);
    expect(violations).toEqual([]);
    expect(host.counters.acknowledged).toBeGreaterThan(1000);
  });

  for (const [name, mangle, told] of CASES) {
    it(`finds ${name}, and goes on with a new one`, async () => {
      const { violations, host } = await run(mangle());
      expect(violations.join("\n")).toMatch(told);
      expect(host.counters.acknowledged).toBeGreaterThan(1000);
    });
  }

  it("takes a busy target and one that can't be logged in to for what they are", async () => {
    const busy = nth(Opcode.ScsiResponse, 10, (view, at) => {
      if (view.getUint8(at + 3) === 0) view.setUint8(at + 3, 0x08);
    });
    const unavailable = nth(Opcode.LoginResponse, 1, (view, at) => view.setUint16(at + 36, 0x301));
    const { violations, host } = await run((view, at, data) => busy(view, at, data) || unavailable(view, at, data));
    expect(violations).toEqual([]);
    expect(host.counters.busy).toBe(1);
    expect(host.counters.ends.get("login refused with status 301")).toBe(1);
  });

  it("holds damage on the wire against nobody, and takes nothing that is damaged", async () => {
    const { violations, host } = await run(undefined, true, 0.02);
    expect(violations).toEqual([]);
    expect(host.counters.digestErrors).toBeGreaterThan(5);
    expect(host.counters.ends.get("the login was damaged")).toBeGreaterThan(0);
    expect(host.counters.acknowledged).toBeGreaterThan(100);
  });
});
