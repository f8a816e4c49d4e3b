/**
 * The simulated world: machines, drives, a network and one virtual clock in one process, all from one seed. The same
 * seed and the same calls give the same run, event for event; `traceHash` tells whether they did.
 *
 * Nothing happens outside `run`, `advance` and `result`, except what a test does itself: a promise that waits for time, a
 * drive or the network stays open until one of them is called.
 *
 * @example
 * const universe = new MemoryUniverse(7);
 * universe.addDrive("denver", "/dev/a", 64 * MiB);
 * const world = universe.world("denver");
 * const drive = await universe.result(world.drives.open("/dev/a", "read-write"));
 * await universe.result(drive.write(lba(0), block, { fua: true }));
 * universe.machine("denver").crash();
 * const again = universe.machine("denver").restart();
 */

import type { ByteCount, Millis } from "../../base/units.ts";
import type { Arithmetic } from "../arithmetic.ts";
import { plainArithmetic } from "../plain-arithmetic.ts";
import type { DriveSettings } from "./drive-settings.ts";
import { Machine, type SimulatedWorld } from "./machine.ts";
import { type RunOptions, Scheduler } from "./scheduler.ts";
import { SeededRandom } from "./seeded-random.ts";
import type { SimulatedDrive } from "./simulated-drive.ts";
import { SimulatedNetwork } from "./simulated-network.ts";

export type { Battery, GaugeFault } from "./battery.ts";
export type { Fault, FaultHit, FaultOptions } from "./drive-fault.ts";
export type { CutShape, DriveSnapshot } from "./drive-media.ts";
export type { DriveOperation, DriveSettings } from "./drive-settings.ts";
export type { CrashOptions, Machine, SimulatedWorld } from "./machine.ts";
export type { RunOptions } from "./scheduler.ts";
export { SeededRandom } from "./seeded-random.ts";
export type { SimulatedDrive } from "./simulated-drive.ts";
export type { NetworkSettings, SimulatedNetwork } from "./simulated-network.ts";
export type { SimulatedWatchdog, WatchdogSettings } from "./simulated-watchdog.ts";
export type { Verdict } from "./verdict.ts";
export type { LinkSettings } from "./wire.ts";

export interface UniverseOptions {
  /** What every machine reckons with; plain TypeScript unless told otherwise. */
  readonly arithmetic?: Arithmetic;
}

export class MemoryUniverse {
  /** For what a test itself leaves to chance. */
  readonly random: SeededRandom;
  readonly network: SimulatedNetwork;
  readonly arithmetic: Arithmetic;
  readonly #scheduler: Scheduler;
  readonly #machines = new Map<string, Machine>();

  constructor(
    readonly seed: number | string,
    options: UniverseOptions = {},
  ) {
    const root = new SeededRandom(String(seed));
    this.random = root.fork("test");
    this.#scheduler = new Scheduler(root);
    this.network = new SimulatedNetwork(this.#scheduler);
    this.arithmetic = options.arithmetic ?? plainArithmetic;
  }

  /** Virtual milliseconds since the universe began. */
  get now(): number {
    return this.#scheduler.now;
  }

  /** 16 hexadecimal digits over everything that has happened. */
  get traceHash(): string {
    return this.#scheduler.trace.hash;
  }

  /** Events that have happened. */
  get events(): number {
    return this.#scheduler.trace.events;
  }

  /** The last events in words, oldest first. */
  get lastEvents(): string[] {
    return this.#scheduler.trace.lastEvents();
  }

  /** The machine of that name; it is made, with power on and a process, when it is first named. */
  machine(name: string): Machine {
    let machine = this.#machines.get(name);
    if (machine === undefined) {
      machine = new Machine(name, this.#scheduler, this.network, this.arithmetic);
      this.#machines.set(name, machine);
    }
    return machine;
  }

  get machines(): Machine[] {
    return [...this.#machines.values()];
  }

  /** The World of the process that runs on a machine now. */
  world(name: string): SimulatedWorld {
    return this.machine(name).world;
  }

  /** Adds a drive of zeros, `size` bytes, to a machine. */
  addDrive(machine: string, path: string, size: ByteCount | number, settings?: Partial<DriveSettings>): SimulatedDrive {
    return this.machine(machine).addDrive(path, size, settings);
  }

  /**
   * Lets events happen until the condition holds. Rejects with the time and the last events when the deadline passes
   * first, or when nothing is left that could happen. What a handler or a timer throws comes out here.
   */
  run(until: () => boolean, options?: RunOptions): Promise<void> {
    return this.#scheduler.run(until, options);
  }

  /** Lets a time pass with everything that happens in it. */
  advance(duration: Millis | number): Promise<void> {
    return this.#scheduler.advance(duration);
  }

  /** Lets events happen until the promise settles. @returns what it gives; rejects as it does, or as `run` does */
  async result<T>(promise: PromiseLike<T> | T, options?: RunOptions): Promise<T> {
    const outcome: { settled: boolean } = { settled: false };
    const settle = () => {
      outcome.settled = true;
    };
    const watched = Promise.resolve(promise);
    watched.then(settle, settle);
    await this.#scheduler.run(() => outcome.settled, options);
    return watched;
  }

  /** Runs `act` at a virtual time from now, between two events: for what a test does to the world. */
  after(delay: Millis | number, act: () => void): void {
    this.#scheduler.schedule(delay, "test", act);
  }
}
