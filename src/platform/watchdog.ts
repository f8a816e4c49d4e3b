import type { Millis } from "../base/units.ts";

/**
 * A hardware watchdog: a timer that resets the machine unless it is fed in time. It runs on without the process: one that
 * ends, stops or hangs leaves it armed, and the next that opens it in time takes it over.
 *
 * Calls take no time to speak of. Each throws `watchdog.failed` where the device refuses it.
 */
export interface Watchdog {
  readonly path: string;
  /** What the driver calls the device. */
  readonly identity: string;
  /** Whether it was this watchdog that reset the machine last. A driver that can't tell says no. */
  readonly causedLastBoot: boolean;
  /** Whether the kernel lets nobody disarm it; undefined where it does not say. */
  readonly nowayout: boolean | undefined;
  /**
   * Asks for a timeout, and reads back what the device really has, which may be another: devices round, and some have one
   * that can't be changed. Undefined where the driver does not tell.
   */
  setTimeout(wanted: Millis): Millis | undefined;
  /** Starts the timeout anew. */
  feed(): void;
  /** Until the machine is reset; undefined where the driver does not tell. */
  timeLeft(): Millis | undefined;
  /** Lets go of the device and disarms it. @returns why it is armed still, if it is: then the machine will be reset */
  disarm(): string | undefined;
}

export interface Watchdogs {
  /**
   * Opens a watchdog, which arms it, or takes over and feeds one that is armed already.
   * Rejects with `watchdog.missing`, `watchdog.busy`, `watchdog.unusable` or `watchdog.failed`.
   */
  open(path: string): Promise<Watchdog>;
}
