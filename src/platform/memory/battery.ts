/**
 * The battery behind a machine's write caches: what they hold outlives a power cut while it holds. Its gauge measures it
 * whenever it is asked, unless the gauge has failed; that says nothing of the battery.
 */

import { OperatingError } from "../../base/operating-error.ts";
import { instant } from "../../base/units.ts";
import { type Batteries, type BatteryReading, type BatterySource, formatSource } from "../battery.ts";
import type { Clock } from "../clock.ts";
import type { Process } from "./process.ts";

/** What the machine calls its battery. */
const NAME = "BAT0";
/** Milliseconds that an answer takes. */
const ANSWER_MILLIS = 2;

type Shown = Pick<BatteryReading, "state" | "charge">;

/** How a gauge has failed. `repeats`: it tells what it measured last, and when that was. `silent`: it never answers. */
export type GaugeFault = "repeats" | "silent" | "refuses";

const SOUND: Shown = { state: "good", charge: 100 };
const BROKEN: Shown = { state: "failed", charge: 0 };

interface Measurement {
  /** Virtual time. */
  readonly at: number;
  readonly shown: Shown;
}

export class Battery {
  readonly #now: () => number;
  #holds = true;
  #shown = SOUND;
  #goodSince: number | undefined = 0;
  #gaugeFault: GaugeFault | undefined;
  #measured: Measurement | undefined;

  /** @param now virtual milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  get holds(): boolean {
    return this.#holds;
  }

  /** Virtual time since when whoever asks learns that it is good; undefined while nobody does. */
  get goodSince(): number | undefined {
    return this.#goodSince;
  }

  /** From now on it holds nothing. @param shown what its gauge makes of that */
  fail(shown: Shown = BROKEN): void {
    this.#holds = false;
    this.show(shown);
  }

  recover(): void {
    this.#holds = true;
    this.show(SOUND);
  }

  /** It holds as before, and its gauge tells this of it. */
  show(shown: Shown): void {
    this.#shown = shown;
    this.#changed();
  }

  failGauge(how: GaugeFault): void {
    this.#gaugeFault = how;
    this.#changed();
  }

  recoverGauge(): void {
    this.#gaugeFault = undefined;
    this.#changed();
  }

  /** What its gauge answers now. */
  answer(): Measurement | "silent" | "refuses" {
    if (this.#gaugeFault === undefined) this.#measured = { at: this.#now(), shown: this.#shown };
    else if (this.#gaugeFault !== "repeats") return this.#gaugeFault;
    // A gauge that has never measured anything has nothing to repeat.
    return this.#measured ?? "refuses";
  }

  #changed(): void {
    const isGood = this.#gaugeFault === undefined && this.#shown === SOUND;
    this.#goodSince = isGood ? (this.#goodSince ?? this.#now()) : undefined;
  }
}

/** The battery of one machine as one of its processes sees it. */
export class SimulatedBatteries implements Batteries {
  /** Virtual time at which the newest good reading was measured that the process was given. */
  goodAt: number | undefined;
  /** Whether the last answer was one; undefined before there was any. */
  isLastGood: boolean | undefined;

  constructor(
    private readonly process: Process,
    private readonly clock: Clock,
    private readonly battery: Battery,
  ) {}

  read(source: BatterySource, signal: AbortSignal): Promise<BatteryReading> {
    return new Promise((resolve, reject) => {
      const refuse = (why: string) => {
        this.isLastGood = false;
        reject(unreadable(source, why));
      };
      if (signal.aborted) return refuse("it did not answer in time");
      signal.addEventListener("abort", () => refuse("it did not answer in time"), { once: true });
      this.process.schedule(ANSWER_MILLIS, "battery answers", () => {
        if (source.kind !== "sysfs" || source.name !== NAME) return refuse("there is no such battery");
        const answer = this.battery.answer();
        if (answer === "silent") return;
        if (answer === "refuses") return refuse("its gauge does not work");
        this.isLastGood = answer.shown === SOUND;
        if (this.isLastGood) this.goodAt = answer.at;
        const age = this.process.scheduler.now - answer.at;
        resolve({ ...answer.shown, takenAt: instant(this.clock.now() - age) });
      });
    });
  }
}

function unreadable(source: BatterySource, why: string): OperatingError {
  return new OperatingError(
    "battery.unreadable",
    `Battery ${formatSource(source)} gives no reading: ${why}.`,
    "Look at the battery and its gauge.",
  );
}
