import { beforeEach, describe, expect, it } from "vitest";
import { Batteries } from "./batteries.ts";
import { FakeSite } from "./fake-site.ts";
import { Fleet, type WatchedBattery } from "./fleet.ts";

/** Longer than a reading is good for. */
const LONG = 7000;
const STEP = 20;

describe("the invariant batteries", () => {
  let site: FakeSite;
  let battery: { -readonly [Key in keyof WatchedBattery]: WatchedBattery[Key] };
  let now: number;
  let checker: Batteries;
  let fleet: Fleet;

  const look = () => {
    fleet.refresh();
    return checker.look();
  };
  /** Looks as often as a run does, until something is found. */
  const lookFor = (time: number) => {
    for (const end = now + time; now < end; now += STEP) {
      const found = look();
      if (found !== undefined) return found;
    }
    return look();
  };
  /** Asks again and again, as a site does, and is told that the battery is good. */
  const readGoodFor = (time: number) => {
    for (const end = now + time; now < end; now += STEP) {
      battery.goodAt = now;
      battery.isLastGood = true;
      const found = look();
      if (found !== undefined) return found;
    }
    return undefined;
  };

  beforeEach(() => {
    now = 100_000;
    battery = { goodSince: 0, goodAt: undefined, isLastGood: undefined, isAlarmShown: false };
    site = new FakeSite("denver");
    site.battery = battery;
    fleet = new Fleet(() => [site]);
    checker = new Batteries(fleet, () => now);
  });

  it("holds for a site that does what it must, and for one that watches no battery", () => {
    expect(readGoodFor(3 * LONG)).toBeUndefined();
    site.pipeline.isGathering = true;
    expect(readGoodFor(3 * LONG)).toBeUndefined();
    site.battery = undefined;
    expect(lookFor(3 * LONG)).toBeUndefined();
  });

  it("is broken by what gathers before the first good reading", () => {
    site.pipeline.isGathering = true;
    expect(lookFor(80)).toBeUndefined();
    expect(lookFor(STEP * 4)).toMatch(/denver: requests gather since \d+ ms, though/);
  });

  it("is broken by what gathers once it was told that the battery is not good, and by nothing that is being stored", () => {
    expect(readGoodFor(LONG)).toBeUndefined();
    battery.isLastGood = false;
    battery.goodSince = undefined;
    expect(lookFor(1000)).toBeUndefined();
    site.pipeline.isGathering = true;
    expect(lookFor(1000)).toMatch(/requests gather/);
  });

  it("is broken by what gathers on a reading that is too old", () => {
    expect(readGoodFor(LONG)).toBeUndefined();
    battery.goodSince = undefined;
    battery.isAlarmShown = true;
    site.pipeline.isGathering = true;
    expect(lookFor(6000)).toBeUndefined();
    expect(lookFor(1000)).toMatch(/requests gather/);
  });

  it("is broken by a missing alarm, after as long as readings are good for", () => {
    expect(readGoodFor(LONG)).toBeUndefined();
    battery.goodSince = undefined;
    expect(lookFor(6000)).toBeUndefined();
    expect(lookFor(1000)).toMatch(/no alarm, though it had no good reading of its battery for \d+ ms/);
    battery.isAlarmShown = true;
    expect(lookFor(LONG)).toBeUndefined();
  });

  it("is broken by an alarm that stays, after as long", () => {
    battery.isAlarmShown = true;
    battery.goodSince = now;
    expect(readGoodFor(6000)).toBeUndefined();
    expect(readGoodFor(1000)).toMatch(/an alarm, though whoever asked for \d+ ms would have learned/);
  });

  it("asks nothing of a process that is stopped, and begins anew when it goes on", () => {
    expect(readGoodFor(LONG)).toBeUndefined();
    site.isStopped = true;
    site.pipeline.isGathering = true;
    expect(lookFor(3 * LONG)).toBeUndefined();
    site.isStopped = false;
    site.pipeline.isGathering = false;
    expect(lookFor(6000)).toBeUndefined();
    expect(lookFor(1000)).toMatch(/no alarm/);
  });
});
