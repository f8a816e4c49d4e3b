/**
 * A watchdog of a simulated machine. It is hardware: it runs on when the process that armed it ends, stops or hangs, and
 * when its time is up it resets the machine and remembers that it did until the power is cut by something else.
 */

import { assert } from "../../base/assert.ts";
import { OperatingError } from "../../base/operating-error.ts";
import { type Millis, millis } from "../../base/units.ts";
import type { Watchdog, Watchdogs } from "../watchdog.ts";
import type { SimulatedEvent } from "./event-queue.ts";
import type { Process } from "./process.ts";
import type { Scheduler } from "./scheduler.ts";

/** Milliseconds that opening takes. */
const OPEN_MILLIS = 0.1;

export interface WatchdogSettings {
  /** Nobody can disarm it. */
  readonly nowayout: boolean;
  /** What the device makes of the timeout that it is asked for. */
  readonly rounds: (wanted: Millis) => Millis;
  /** Whether it tells how much time is left. */
  readonly tellsTimeLeft: boolean;
}

const SETTINGS: WatchdogSettings = {
  nowayout: false,
  rounds: (wanted) => wanted,
  tellsTimeLeft: true,
};

const TIMEOUT_DEFAULT = millis(60_000);

export class SimulatedWatchdog {
  readonly #scheduler: Scheduler;
  readonly #settings: WatchdogSettings;
  readonly #onExpired: () => void;
  /** Who has it open. */
  #user: Process | undefined;
  #timeout = TIMEOUT_DEFAULT;
  #expiry: { readonly at: number; readonly event: SimulatedEvent } | undefined;
  #hasReset = false;
  #broken = false;
  /** Times that it was fed. */
  feeds = 0;

  /** @param onExpired resets the machine */
  constructor(
    scheduler: Scheduler,
    readonly path: string,
    settings: Partial<WatchdogSettings>,
    onExpired: () => void,
  ) {
    this.#scheduler = scheduler;
    this.#settings = { ...SETTINGS, ...settings };
    this.#onExpired = onExpired;
  }

  get isArmed(): boolean {
    return this.#expiry !== undefined;
  }

  /** From now on the device refuses whatever it is asked. */
  break(): void {
    this.#broken = true;
  }

  /** The machine lost its power. What this watchdog remembers of a reset is gone, unless this one was its own. */
  powerCut(): void {
    this.#hasReset = false;
    this.#stop();
    this.#timeout = TIMEOUT_DEFAULT;
    this.#user = undefined;
  }

  /** What `Watchdogs.open` does, for a process of this machine. */
  open(process: Process): Watchdog {
    const { path } = this;
    if (this.#user !== undefined && !this.#user.ended) {
      throw new OperatingError("watchdog.busy", `The watchdog ${path} is in use.`, "Stop the process that feeds it.");
    }
    this.#user = process;
    this.#start();
    return {
      path,
      identity: "simulated watchdog",
      causedLastBoot: this.#hasReset,
      nowayout: this.#settings.nowayout,
      setTimeout: (wanted) => {
        if (this.#takesFrom(process)) {
          this.#timeout = this.#settings.rounds(wanted);
          this.#start();
        }
        return this.#timeout;
      },
      feed: () => {
        if (!this.#takesFrom(process)) return;
        this.feeds++;
        this.#start();
      },
      timeLeft: () => {
        if (!this.#settings.tellsTimeLeft || this.#expiry === undefined) return undefined;
        return millis(Math.max(0, this.#expiry.at - this.#scheduler.now));
      },
      disarm: () => {
        if (!this.#takesFrom(process)) return undefined;
        this.#user = undefined;
        if (this.#settings.nowayout) return "it was made so that nobody can disarm it";
        this.#stop();
        return undefined;
      },
    };
  }

  /** @returns false for a process that has ended: what it still does has no effect */
  #takesFrom(process: Process): boolean {
    if (process.ended) return false;
    assert(this.#user === process, `the watchdog ${this.path} is used by another process, or closed`);
    if (!this.#broken) return true;
    throw new OperatingError("watchdog.failed", `The watchdog ${this.path} failed.`, "Replace it.");
  }

  #start(): void {
    this.#stop();
    const event = this.#scheduler.schedule(this.#timeout, `watchdog ${this.path} expires`, () => {
      this.#expiry = undefined;
      this.#onExpired();
      this.#hasReset = true;
    });
    this.#expiry = { at: this.#scheduler.now + this.#timeout, event };
  }

  #stop(): void {
    if (this.#expiry !== undefined) this.#scheduler.cancel(this.#expiry.event);
    this.#expiry = undefined;
  }
}

/** The watchdogs of one machine as one of its processes sees them. */
export class SimulatedWatchdogs implements Watchdogs {
  constructor(
    private readonly process: Process,
    private readonly watchdogs: ReadonlyMap<string, SimulatedWatchdog>,
  ) {}

  open(path: string): Promise<Watchdog> {
    return new Promise((resolve, reject) => {
      this.process.schedule(OPEN_MILLIS, `open ${path}`, () => {
        try {
          const watchdog = this.watchdogs.get(path);
          if (watchdog === undefined) {
            throw new OperatingError("watchdog.missing", `There is no watchdog ${path}.`, "Name one that is there.");
          }
          resolve(watchdog.open(this.process));
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}
