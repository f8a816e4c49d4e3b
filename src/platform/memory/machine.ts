/**
 * A machine of the simulated world: its power, its process, its drives and its clocks. Its process is stopped,
 * killed, or dies with the power; a restart makes a new one, with a World of its own, over the same drives. A watchdog that
 * is not fed cuts the power.
 *
 * From the moment a process ends, its World does nothing and tells it nothing: promises stay open, timers and handlers
 * are silent, writes are swallowed. Code of it that still is on the stack runs to its end without effect.
 */

import { assert } from "../../base/assert.ts";
import type { ByteCount, Millis } from "../../base/units.ts";
import type { Arithmetic } from "../arithmetic.ts";
import type { World } from "../world.ts";
import { Battery, SimulatedBatteries } from "./battery.ts";
import type { DriveSettings } from "./drive-settings.ts";
import { plainHashes } from "./plain-hashes.ts";
import { Process } from "./process.ts";
import type { Scheduler } from "./scheduler.ts";
import { MachineTime, SimulatedClock } from "./simulated-clock.ts";
import { SimulatedDrive } from "./simulated-drive.ts";
import { SimulatedDrives } from "./simulated-drives.ts";
import { SimulatedMemory } from "./simulated-memory.ts";
import type { Host, SimulatedNetwork } from "./simulated-network.ts";
import { SimulatedWatchdog, SimulatedWatchdogs, type WatchdogSettings } from "./simulated-watchdog.ts";

export interface CrashOptions {
  /**
   * What peers see of it. `close`: their connections close after `notice` milliseconds.
   * `half-open`: nothing, until they send something to the machine after it has started again.
   */
  readonly peers?: "close" | "half-open";
  /** 200 unless told otherwise. */
  readonly notice?: Millis | number;
}

const NOTICE_MILLIS = 200;
/** Monotonic clocks start anywhere below this. */
const CLOCK_ORIGIN_MAX = 1e9;

/** A World, and what a test may look at in it. */
export interface SimulatedWorld extends World {
  readonly memory: SimulatedMemory;
}

export class Machine implements Host {
  readonly time: MachineTime;
  /** Of the write caches of its drives. Its processes know it as `BAT0`. */
  readonly battery: Battery;
  /** Called after a watchdog has reset the machine: it is down until it is restarted. */
  onReset: () => void = () => {};
  readonly #drives = new Map<string, SimulatedDrive>();
  readonly #watchdogs = new Map<string, SimulatedWatchdog>();
  /** Drives made so far, by path. */
  readonly #drivesMade = new Map<string, number>();
  #process: Process | undefined;
  #world: SimulatedWorld | undefined;
  #clock: SimulatedClock | undefined;
  #lives = 0;
  #powered = true;

  constructor(
    readonly name: string,
    private readonly scheduler: Scheduler,
    private readonly network: SimulatedNetwork,
    private readonly arithmetic: Arithmetic,
  ) {
    this.time = new MachineTime(scheduler);
    this.battery = new Battery(() => scheduler.now);
    network.addHost(this);
    this.#start();
  }

  /** `down` after a crash, `ended` after a kill. */
  get state(): "running" | "stopped" | "ended" | "down" {
    if (!this.#powered) return "down";
    return this.#process?.state ?? "ended";
  }

  get powered(): boolean {
    return this.#powered;
  }

  get process(): Process | undefined {
    return this.#process;
  }

  /** Processes that were started so far. */
  get lives(): number {
    return this.#lives;
  }

  /** The World of the process that runs here now. */
  get world(): SimulatedWorld {
    assert(this.#world !== undefined, `machine ${this.name} is ${this.state}: restart it first`);
    return this.#world;
  }

  /** Cuts the power. */
  crash(options: CrashOptions = {}): void {
    if (!this.#powered) return;
    this.#powered = false;
    this.#end();
    const notice = options.peers === "half-open" ? undefined : (options.notice ?? NOTICE_MILLIS);
    this.network.powerCut(this.name, notice);
    for (const drive of this.#drives.values()) drive.powerCut();
    for (const watchdog of this.#watchdogs.values()) watchdog.powerCut();
  }

  /** Ends the process as kill -9 does: what it wrote stays, what it was writing is there or not, peers see a close. */
  kill(): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#end();
    this.network.processEnded(process);
    for (const drive of this.#drives.values()) drive.processEnded(process);
  }

  /** Starts a new process after a crash or a kill. */
  restart(): SimulatedWorld {
    assert(this.#process === undefined, `machine ${this.name} is ${this.state}: crash or kill it first`);
    this.#powered = true;
    return this.#start();
  }

  /** Stops the process as SIGSTOP does. What happens to it waits; its drives and the kernel's side of TCP go on. */
  pause(): void {
    this.#process?.stop();
  }

  resume(): void {
    this.#process?.continue();
  }

  /** The drive at a path; undefined where none is. */
  findDrive(path: string): SimulatedDrive | undefined {
    return this.#drives.get(path);
  }

  /** The drive at a path of this machine. */
  drive(path: string): SimulatedDrive {
    const drive = this.#drives.get(path);
    assert(drive !== undefined, `machine ${this.name} has no drive ${path}`);
    return drive;
  }

  addDrive(path: string, size: ByteCount | number, settings?: Partial<DriveSettings>): SimulatedDrive {
    assert(!this.#drives.has(path), `machine ${this.name} has a drive ${path} already`);
    const made = (this.#drivesMade.get(path) ?? 0) + 1;
    this.#drivesMade.set(path, made);
    const name = made === 1 ? `${this.name} ${path}` : `${this.name} ${path} ${made}`;
    const drive = new SimulatedDrive(this.scheduler, this, path, name, size, settings);
    this.#drives.set(path, drive);
    return drive;
  }

  /** Pulls a drive out, for `insertDrive` to put it in somewhere. */
  removeDrive(path: string): SimulatedDrive {
    const drive = this.drive(path);
    drive.takeOut();
    this.#drives.delete(path);
    return drive;
  }

  /** Puts in a drive that was removed from this machine or from another one. It has to be opened again. */
  insertDrive(path: string, drive: SimulatedDrive): void {
    assert(!this.#drives.has(path), `machine ${this.name} has a drive ${path} already`);
    drive.putInto(this, path);
    this.#drives.set(path, drive);
  }

  /** Puts a new drive of zeros in the place of the one at `path`, if one is there. */
  replaceDrive(path: string, size: ByteCount | number, settings?: Partial<DriveSettings>): SimulatedDrive {
    if (this.#drives.has(path)) this.removeDrive(path);
    return this.addDrive(path, size, settings);
  }

  addWatchdog(path: string, settings: Partial<WatchdogSettings> = {}): SimulatedWatchdog {
    assert(!this.#watchdogs.has(path), `machine ${this.name} has a watchdog ${path} already`);
    const watchdog = new SimulatedWatchdog(this.scheduler, path, settings, () => {
      // Nobody is told of a reset: peers find out when they send something to what came up after it.
      this.crash({ peers: "half-open" });
      this.onReset();
    });
    this.#watchdogs.set(path, watchdog);
    return watchdog;
  }

  /** Another host name of this machine. */
  addName(host: string): void {
    this.network.name(host, this.name);
  }

  /** Sets what people see; a process's monotonic clock does not notice. */
  setWallClock(millisSince1970: number): void {
    this.time.setWallClock(millisSince1970);
  }

  stepWallClock(by: Millis | number): void {
    this.time.setWallClock(this.time.wallClock + by);
  }

  /** Makes the machine's clocks run fast (or slow, below 0) from now on. */
  setClockDrift(partsPerMillion: number): void {
    this.time.setDrift(partsPerMillion);
  }

  #start(): SimulatedWorld {
    const process = new Process(this.scheduler, this.name, ++this.#lives);
    const random = this.scheduler.random.fork(`process ${this.name} ${this.#lives}`);
    const clock = new SimulatedClock(process, this.time, random.below(CLOCK_ORIGIN_MAX));
    const world: SimulatedWorld = {
      clock,
      random: random.fork("world"),
      drives: new SimulatedDrives(process, this.#drives, (path, size) => this.addDrive(path, size)),
      network: this.network.of(process),
      memory: new SimulatedMemory(),
      arithmetic: this.arithmetic,
      hashes: plainHashes,
      watchdogs: new SimulatedWatchdogs(process, this.#watchdogs),
      batteries: new SimulatedBatteries(process, clock, this.battery),
    };
    this.#process = process;
    this.#clock = clock;
    this.#world = world;
    return world;
  }

  #end(): void {
    this.#process?.end();
    this.#clock?.stop();
    this.#process = undefined;
    this.#clock = undefined;
    this.#world = undefined;
  }
}
