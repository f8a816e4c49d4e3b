import type { Instant } from "../base/units.ts";
import { formatAddress } from "./network.ts";

/** Where the readings of a battery are to be had. */
export type BatterySource =
  /** The kernel, which calls it so (`/sys/class/power_supply/NAME`). */
  | { readonly kind: "sysfs"; readonly name: string }
  /** A NUT server, which calls it so; a UPS, mostly. */
  | { readonly kind: "nut"; readonly ups: string; readonly host: string; readonly port: number };

/** What a battery is said to be at one moment. Whether that is good enough, and recent enough, is for others to decide. */
export interface BatteryReading {
  /**
   * `good`: there is power beside it, and nothing is wrong with it; it may still be charging. `discharging`: it carries what
   * hangs on it. `low`: not for long any more. `failed`: it would not.
   */
  readonly state: "good" | "discharging" | "low" | "failed";
  /** Per cent; undefined where nobody tells. */
  readonly charge: number | undefined;
  /** On the monotonic clock: when it was measured where that is told, otherwise before it was asked for. */
  readonly takenAt: Instant;
}

export interface Batteries {
  /**
   * Asks for a reading. Rejects with `battery.unreadable` where none is to be had: nobody answers, or not before the signal,
   * or what is answered is out of date or makes no sense.
   */
  read(source: BatterySource, signal: AbortSignal): Promise<BatteryReading>;
}

/** As the configuration has it, for messages to people. */
export function formatSource(source: BatterySource): string {
  return source.kind === "sysfs" ? source.name : `${source.ups}@${formatAddress(source)}`;
}
