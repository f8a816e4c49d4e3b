/**
 * Watches the battery that a site's configuration names for its journal, and decides whether it is known good.
 *
 * Invariants:
 * - Good means: a reading that is no older than `FRESH_MAX` says that nothing is wrong and that it is charged. Everything
 *   else is not good: before the first reading, after a question that nobody answered, when readings are out of date.
 * - That is looked up in the last reading whenever it is asked for, by the monotonic clock; no flag keeps it.
 *
 * What follows from it is for others: requests gather in the journal only while it is good, and people are told.
 */

import { assert } from "../base/assert.ts";
import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { type Instant, millis } from "../base/units.ts";
import { type BatteryReading, type BatterySource, formatSource } from "../platform/battery.ts";
import { elapsed, type Timer } from "../platform/clock.ts";
import type { World } from "../platform/world.ts";

/** From an answer, or from giving it up, to the next question. */
const READ_INTERVAL = millis(2000);
/** How long an answer may take. */
const READ_DEADLINE = millis(2000);
/** A reading that is older counts for nothing. One that is missed, with those times, does not make the one before so. */
export const FRESH_MAX = millis(6000);
/** Per cent from which on it counts as charged. */
const CHARGE_MIN = 80;

export type Standing =
  | { readonly kind: "good"; readonly charge: number }
  /** The site has just started, and nobody has answered yet. */
  | { readonly kind: "unknown" }
  /** `why` ends a sentence that begins with the battery. */
  | { readonly kind: "bad"; readonly why: string };

/** What came of the last question. */
type Latest =
  | { readonly kind: "awaited"; readonly since: Instant }
  | { readonly kind: "read"; readonly reading: BatteryReading }
  | { readonly kind: "missed"; readonly error: OperatingError };

/** What can be seen of it. */
export interface BatteryView {
  /** As the configuration has it. */
  readonly source: string;
  readonly standing: Standing;
  /** When the last reading was taken, where the last question was answered. */
  readonly takenAt: Instant | undefined;
}

export class BatteryWatch {
  /** Called when its standing has changed in kind, at the first reading as well. */
  onChange: (view: BatteryView) => void = () => {};
  readonly #world: Pick<World, "clock" | "batteries">;
  readonly #source: BatterySource;
  #latest: Latest;
  /** The standing that was told last. */
  #told: Standing["kind"] = "unknown";
  #timer: Timer | undefined;
  /** Tells of a reading that has become too old; whether it has is looked up. */
  #expiry: Timer | undefined;
  #asking: AbortController | undefined;

  constructor(world: Pick<World, "clock" | "batteries">, source: BatterySource) {
    this.#world = world;
    this.#source = source;
    this.#latest = { kind: "awaited", since: world.clock.now() };
  }

  /** Asks for the first reading, and goes on asking. */
  start(): void {
    assert(this.#timer === undefined, "it is started once");
    this.#ask();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#expiry?.cancel();
    this.#asking?.abort();
    this.#asking = undefined;
  }

  get isGood(): boolean {
    return this.#standing.kind === "good";
  }

  get view(): BatteryView {
    const takenAt = this.#latest.kind === "read" ? this.#latest.reading.takenAt : undefined;
    return { source: formatSource(this.#source), standing: this.#standing, takenAt };
  }

  /** What is to be told of it as long as it is so. */
  get alarm(): OperatingError | undefined {
    const standing = this.#standing;
    if (standing.kind !== "bad") return undefined;
    return new OperatingError(
      "journal.battery",
      `The journal's battery ${formatSource(this.#source)} is not known to be good: ${standing.why}.`,
      "Look at the battery and at what reads it. Nothing gathers in the journal until it is good again.",
    );
  }

  get #standing(): Standing {
    return standingOf(this.#latest, this.#world.clock.now());
  }

  #ask(): void {
    const asking = new AbortController();
    this.#asking = asking;
    this.#timer = this.#world.clock.after(READ_DEADLINE, () => asking.abort());
    this.#world.batteries.read(this.#source, asking.signal).then(
      (reading) => this.#answered(asking, { kind: "read", reading }),
      (error: unknown) => {
        if (!isOperatingError(error)) throw error;
        this.#answered(asking, { kind: "missed", error });
      },
    );
  }

  #answered(asking: AbortController, latest: Latest): void {
    if (this.#asking !== asking) return;
    this.#timer?.cancel();
    this.#timer = this.#world.clock.after(READ_INTERVAL, () => this.#ask());
    this.#latest = latest;
    this.#expiry?.cancel();
    if (latest.kind === "read") {
      const left = FRESH_MAX - elapsed(this.#world.clock, latest.reading.takenAt);
      // Just past the end, since at the end the reading still counts.
      this.#expiry = left < 0 ? undefined : this.#world.clock.after(millis(left + 1), () => this.#tell());
    }
    this.#tell();
  }

  #tell(): void {
    const { view } = this;
    if (view.standing.kind === this.#told) return;
    this.#told = view.standing.kind;
    this.onChange(view);
  }
}

function standingOf(latest: Latest, now: Instant): Standing {
  switch (latest.kind) {
    case "awaited":
      return now - latest.since <= FRESH_MAX ? { kind: "unknown" } : bad("it has given no reading yet");
    case "missed":
      return bad(latest.error.what.replace(/\.$/, ""));
    case "read":
      return standingBy(latest.reading, now);
  }
}

function standingBy({ state, charge, takenAt }: BatteryReading, now: Instant): Standing {
  if (now - takenAt > FRESH_MAX) return bad(`its last reading is ${Math.round((now - takenAt) / 1000)} s old`);
  switch (state) {
    case "discharging":
      return bad("it carries the load, so power is lost");
    case "low":
      return bad("it is low");
    case "failed":
      return bad("it has failed, or has to be replaced");
    case "good":
      if (charge === undefined) return bad("nobody tells how far it is charged");
      return charge < CHARGE_MIN ? bad(`it is charged to ${Math.round(charge)} % only`) : { kind: "good", charge };
  }
}

function bad(why: string): Standing {
  return { kind: "bad", why };
}
