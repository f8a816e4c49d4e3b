/**
 * Batteries that the kernel has a driver for, by its own list of power supplies. The words are those of the kernel's
 * Documentation/ABI/testing/sysfs-class-power.
 */

import { readFile } from "node:fs";
import { promisify } from "node:util";
import type { BatteryReading, BatterySource } from "../battery.ts";
import type { Clock } from "../clock.ts";
import { batteryUnreadable, NOT_IN_TIME } from "./battery-unreadable.ts";

type SysfsSource = Extract<BatterySource, { readonly kind: "sysfs" }>;

/** What the kernel has of a battery, by the names of its files; empty where its driver does not tell. */
interface Facts {
  readonly type: string;
  readonly present: string;
  readonly status: string;
  readonly health: string;
  readonly capacity: string;
  readonly level: string;
}

/** What a driver says of a battery with which nothing is wrong; `Unknown` is what most of them say. */
const SOUND = ["", "Good", "Unknown", "Warm", "Cool"];
/** There is power beside the battery. */
const SUPPLIED = ["Charging", "Not charging", "Full"];

const readFileAsync = promisify(readFile);

export class SysfsBatteries {
  readonly #clock: Pick<Clock, "now">;
  readonly #root: string;
  /** Batteries whose driver has not answered yet: it is not asked again, since each question may hold up a thread. */
  readonly #asked = new Set<string>();

  constructor(clock: Pick<Clock, "now">, root: string) {
    this.#clock = clock;
    this.#root = root;
  }

  read(source: SysfsSource, signal: AbortSignal): Promise<BatteryReading> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(batteryUnreadable(source, NOT_IN_TIME));
      if (this.#asked.has(source.name)) {
        return reject(batteryUnreadable(source, "its driver has not answered the question before"));
      }
      signal.addEventListener("abort", () => reject(batteryUnreadable(source, NOT_IN_TIME)), { once: true });
      this.#asked.add(source.name);
      const takenAt = this.#clock.now();
      this.#facts(source)
        .finally(() => this.#asked.delete(source.name))
        .then((facts) => resolve({ ...readingOf(source, facts), takenAt }))
        .catch(reject);
    });
  }

  async #facts(source: SysfsSource): Promise<Facts> {
    const read = async (file: string) => (await readFileAsync(`${this.#root}/${source.name}/${file}`, "utf8")).trim();
    const type = await read("type").catch((error: unknown) => {
      throw batteryUnreadable(source, "the kernel has no power supply of that name", error);
    });
    // Only the type is always there; a driver shows what it knows.
    const files = ["present", "status", "health", "capacity", "capacity_level"];
    const [present, status, health, capacity, level] = await Promise.all(
      files.map((file) => read(file).catch(() => "")),
    );
    return { type, present, status, health, capacity, level };
  }
}

function readingOf(source: SysfsSource, facts: Facts): Omit<BatteryReading, "takenAt"> {
  const { type, present, status, health, capacity, level } = facts;
  if (type !== "Battery" && type !== "UPS") throw batteryUnreadable(source, `it is of the type '${type}', no battery`);
  const charge = /^\d{1,3}$/.test(capacity) ? Math.min(100, Number(capacity)) : undefined;
  if (present === "0" || !SOUND.includes(health)) return { state: "failed", charge };
  if (level === "Critical" || level === "Low") return { state: "low", charge };
  if (status === "Discharging") return { state: "discharging", charge };
  if (SUPPLIED.includes(status)) return { state: "good", charge };
  throw batteryUnreadable(source, `its status is '${status}'`);
}
