/**
 * Random lives of hosts that reserve a unit, write, abort, are reset, preempted and cut off, at a device that is done with
 * writes whenever it likes: what one wrote while the unit was its own, and was aborted, never lands after a write of the next owner.
 */

import fc from "fast-check";
import { expect, test } from "vitest";
import { bench, build, Initiator, pattern, TARGET, write10 } from "../testing/initiator.ts";
import { RamDevice } from "../testing/world.ts";
import { Plan } from "./command.ts";
import { ReservationType, ReserveOut } from "./reservations.ts";

const ABORT_TASK_SET = 2;
const LOGICAL_UNIT_RESET = 5;
const I_T_NEXUS_RESET = 11;
const WRITE_10 = 0x2a;
const BLOCKS = 4096;

class World {
  /** Writes at the device, by LBA: what each has to be done. */
  readonly gates = new Map<number, () => void>();
  /** Whose each was, if the unit was its own when it came to the device. */
  readonly #owners = new Map<number, string>();
  readonly hosts: Initiator[] = [];
  /** What must not be: the device would take an error thrown here for its own. */
  readonly overtaken: string[] = [];
  #lba = 0;
  readonly #bench;

  constructor() {
    const device = new RamDevice(BLOCKS);
    device.write = (lba) => {
      this.#check(lba);
      return new Promise((resolve) => this.gates.set(lba, resolve));
    };
    this.#bench = bench({ device });
  }

  async login(at: number): Promise<void> {
    const port = { name: `iqn.2026-11.dev.antipode:${at}`, isid: 0x80000001 };
    const host = new Initiator(this.#bench, port);
    this.hosts[at] = host;
    // The session before may have to wait for the device.
    await host.login("iSCSIProtocolLevel=2");
  }

  get #tasks() {
    return this.#bench.server
      .sessionsOf(TARGET)
      .flatMap(({ nexus, tasks }) => (tasks?.all() ?? []).map((task) => ({ nexus, task })));
  }

  /** The nexus that has the unit for itself. */
  get #owner(): string | undefined {
    const { reserver, state } = this.unit.reservations;
    return reserver ?? state.reservation?.holder;
  }

  get unit() {
    const unit = this.#bench.target.device.unit(0);
    if (unit === undefined) throw new Error("the unit is gone");
    return unit;
  }

  #check(lba: number): void {
    const owner = this.#owner;
    const writer = this.#tasks.find(({ task }) => task.plan === Plan.Write && task.lba === lba)?.nexus;
    if (owner === undefined || writer !== owner) return;
    this.#owners.set(lba, owner);
    for (const { nexus, task } of this.#tasks) {
      const wasOwn = this.gates.has(task.lba) && this.#owners.get(task.lba) === nexus;
      if (nexus !== owner && task.aborted && wasOwn) this.overtaken.push(`a write of ${nexus} by one of ${owner}`);
    }
  }

  /** Has a host send; a write that is under way, and not aborted, when its owner loses the unit then may land whenever it does. */
  async send(host: Initiator, pdu: Uint8Array): Promise<void> {
    await host.send(pdu);
    this.#forgetUnaborted();
  }

  #forgetUnaborted(): void {
    const owner = this.#owner;
    for (const { nexus, task } of this.#tasks) {
      if (nexus !== owner && !task.aborted && this.#owners.get(task.lba) === nexus) this.#owners.delete(task.lba);
    }
  }

  /** As a host does that waits for the answers to all else before it writes. */
  async write(host: Initiator): Promise<void> {
    if (this.#tasksOf(host).some(({ cdb }) => cdb[0] !== WRITE_10)) return;
    this.#lba = (this.#lba + 1) % BLOCKS;
    await this.send(host, host.command(write10(this.#lba, 1), { write: 512, data: pattern(512) }));
  }

  /** Whether the host has a write under way that it has not given up. */
  writes(host: Initiator): boolean {
    return this.#tasksOf(host).some(({ aborted, writes }) => !aborted && writes);
  }

  #tasksOf({ port }: Initiator) {
    return this.#tasks.filter(({ nexus }) => nexus.startsWith(`${port.name},`)).map(({ task }) => task);
  }

  async manage(host: Initiator, code: number): Promise<void> {
    const words = { 8: 0, 20: 0xffffffff, 24: host.cmdSN };
    await this.send(host, build(0x02, { flags: 0x80 | code, immediate: true, itt: 100_000 + host.itt++, words }));
  }

  async reserveOut(host: Initiator, action: number, key: number, actionKey = 0): Promise<void> {
    const list = new Uint8Array(24).with(7, key).with(15, actionKey);
    const cdb = [0x5f, action, ReservationType.ExclusiveAccess, 0, 0, 0, 0, 0, 24, 0];
    await this.send(host, host.command(cdb, { write: 24, data: list }));
  }

  async open(which: number): Promise<void> {
    const [lba] = [...this.gates.keys()].slice(which % Math.max(1, this.gates.size));
    this.gates.get(lba)?.();
    this.gates.delete(lba);
    await this.#bench.timers.turn();
    this.#forgetUnaborted();
  }

  async settle(): Promise<void> {
    while (this.gates.size > 0) await this.open(0);
    await this.#bench.timers.turn();
  }

  /** Tasks of sessions that are there. */
  get tasksLeft(): number {
    return this.#tasks.length;
  }
}

/** The keys of hosts are their numbers, from 1 on. */
const ACTIONS: readonly ((world: World, at: number, n: number) => Promise<void>)[] = [
  (world, at) => world.write(world.hosts[at]),
  (world, _, n) => world.open(n),
  async (world, at) => {
    await world.send(world.hosts[at], world.hosts[at].command([0x16, 0, 0, 0, 0, 0]));
    await world.write(world.hosts[at]);
  },
  async (world, at) => {
    await world.reserveOut(world.hosts[at], ReserveOut.RegisterAndIgnoreExistingKey, 0, at + 1);
    await world.reserveOut(world.hosts[at], ReserveOut.Reserve, at + 1);
    await world.write(world.hosts[at]);
  },
  async (world, at, n) => {
    await world.reserveOut(world.hosts[at], ReserveOut.RegisterAndIgnoreExistingKey, 0, at + 1);
    await world.reserveOut(world.hosts[at], ReserveOut.PreemptAndAbort, at + 1, 1 + (n % 3));
  },
  async (world, at) => {
    const host = world.hosts[at];
    await world.manage(host, ABORT_TASK_SET);
    // What it still writes then is its own matter.
    if (world.writes(host)) return;
    await world.send(host, host.command([0x17, 0, 0, 0, 0, 0]));
    await world.reserveOut(host, ReserveOut.Release, at + 1);
  },
  (world, at) => world.manage(world.hosts[at], LOGICAL_UNIT_RESET),
  (world, at) => world.manage(world.hosts[at], I_T_NEXUS_RESET),
  async (world, at) => {
    world.hosts[at].connection.onClose();
    await world.login(at);
  },
];

test("no aborted write of an owner lands after one of the next", async () => {
  const step = fc.tuple(fc.nat(ACTIONS.length - 1), fc.nat(2), fc.nat(7));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 40, maxLength: 40 }), async (steps) => {
      const world = new World();
      for (const at of [0, 1, 2]) await world.login(at);
      for (const [action, at, n] of steps) {
        await ACTIONS[action](world, at, n);
        // Unit attentions are not to get in the way.
        for (const host of world.hosts) {
          for (let count = 0; count < 3; count++) await host.send(host.command([3, 0, 0, 0, 18, 0], { read: 18 }));
          host.receive();
        }
      }
      await world.settle();
      expect([world.overtaken, world.tasksLeft]).toEqual([[], 0]);
      // Nobody is kept out any more but by what is reserved now.
      const { held, reserver, state } = world.unit.reservations;
      expect(held).toBe(reserver !== undefined || state.reservation !== undefined);
    }),
    { seed: 1, numRuns: 150 },
  );
});
