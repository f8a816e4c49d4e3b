/**
 * A site that watches its journal's battery does what it must while that is not known good, and says so; as soon as it is
 * known good again nothing of it is left. For each process, and while it is not stopped:
 *
 * - Nothing gathers in its journal while it has no good reading that is recent enough, or its last answer was none:
 *   what may be stored is being stored, however slowly. So also after a start, until the first good reading.
 * - Where it had no such reading for `LIMIT`, its status has the alarm.
 * - Where whoever asked would have learned for `LIMIT` that the battery is good, its status has no alarm.
 */

import { FRESH_MAX } from "../../../src/site/battery-watch.ts";
import type { Checker } from "./checker.ts";
import type { Fleet, WatchedBattery, WatchedSite } from "./fleet.ts";

/** How long a reading is good for, with clocks that run a twentieth too slow, and what an answer takes. */
const LIMIT = FRESH_MAX * 1.05 + 200;
/** From an answer until what has gathered is on its way: no time, but what happens within one millisecond has no order. */
const GRACE = 100;

interface Life {
  /** Since when its process was seen to run without being stopped. */
  runningSince: number | undefined;
  /** Since when requests were seen to gather that must not. */
  gatheringSince: number | undefined;
}

export class Batteries implements Checker {
  readonly name = "batteries";
  readonly #fleet: Fleet;
  readonly #now: () => number;
  readonly #lives = new WeakMap<WatchedSite, Life>();

  /** @param now virtual milliseconds */
  constructor(fleet: Fleet, now: () => number) {
    this.#fleet = fleet;
    this.#now = now;
  }

  look(): string | undefined {
    for (const site of this.#fleet.running) {
      if (site.battery === undefined) continue;
      const fault = this.#lookAt(site, site.battery, this.#lifeOf(site));
      if (fault !== undefined) return `${site.name}: ${fault}`;
    }
    return undefined;
  }

  #lifeOf(site: WatchedSite): Life {
    const known = this.#lives.get(site);
    if (known !== undefined) return known;
    const life: Life = { runningSince: undefined, gatheringSince: undefined };
    this.#lives.set(site, life);
    return life;
  }

  #lookAt(site: WatchedSite, battery: WatchedBattery, life: Life): string | undefined {
    if (site.isStopped) {
      life.runningSince = undefined;
      life.gatheringSince = undefined;
      return undefined;
    }
    const now = this.#now();
    life.runningSince ??= now;
    return this.#gathering(site, battery, life, now) ?? alarm(battery, life.runningSince, now);
  }

  #gathering({ pipeline }: WatchedSite, battery: WatchedBattery, life: Life, now: number): string | undefined {
    const isGood = battery.isLastGood === true && battery.goodAt !== undefined && now - battery.goodAt <= LIMIT;
    life.gatheringSince = isGood || !pipeline.isGathering ? undefined : (life.gatheringSince ?? now);
    if (life.gatheringSince === undefined || now - life.gatheringSince <= GRACE) return undefined;
    return `requests gather since ${now - life.gatheringSince} ms, though its battery is not known to be good`;
  }
}

function alarm(battery: WatchedBattery, runningSince: number, now: number): string | undefined {
  const withoutGood = now - Math.max(runningSince, battery.goodAt ?? 0);
  if (withoutGood > LIMIT) {
    return battery.isAlarmShown
      ? undefined
      : `no alarm, though it had no good reading of its battery for ${withoutGood} ms`;
  }
  const allGood = now - Math.max(runningSince, battery.goodSince ?? now);
  if (allGood <= LIMIT || !battery.isAlarmShown) return undefined;
  return `an alarm, though whoever asked for ${allGood} ms would have learned that its battery is good`;
}
