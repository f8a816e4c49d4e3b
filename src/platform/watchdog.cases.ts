/** What every implementation of `Watchdogs` does, as cases that each of them runs in its own test. */

import { describe, expect, it } from "vitest";
import { type Millis, millis } from "../base/units.ts";
import type { Watchdogs } from "./watchdog.ts";

/** How the device is; as one would wish it unless told otherwise. */
export interface WatchdogNature {
  readonly nowayout?: boolean;
  readonly tellsTimeLeft?: boolean;
  /** What it makes of the timeout that it is asked for, in whole seconds. */
  readonly rounds?: (wanted: Millis) => Millis;
}

export interface WatchdogFixture {
  /** As the process that runs now sees them. */
  readonly watchdogs: Watchdogs;
  /** Of the one watchdog that is there, and of none. */
  readonly path: string;
  readonly vacantPath: string;
  /** Whether the machine was reset and is not up again. */
  readonly isReset: boolean;
  /** Waits for what a call gives. */
  run<T>(pending: Promise<T>): Promise<T>;
  elapse(time: Millis): Promise<void>;
  /** Ends the process without a word, and starts another. */
  restartProcess(): void;
  /** Lets the machine boot after a reset. */
  boot(): void;
  /** From now on the device refuses whatever it is asked. */
  break(): void;
}

const SECOND = 1000;

export function watchdogCases(name: string, makeFixture: (nature: WatchdogNature) => WatchdogFixture): void {
  const setUp = async (nature: WatchdogNature = {}) => {
    const fixture = makeFixture(nature);
    const open = () => fixture.run(fixture.watchdogs.open(fixture.path));
    const elapse = (seconds: number) => fixture.elapse(millis(seconds * SECOND));
    return { fixture, open, elapse, watchdog: await open() };
  };

  describe(`watchdog: ${name}`, () => {
    it("resets the machine once its timeout has passed since it was fed last, and not before", async () => {
      const { fixture, watchdog, elapse } = await setUp();
      expect(watchdog.setTimeout(millis(10 * SECOND))).toBe(10 * SECOND);
      for (let time = 0; time < 5; time++) {
        await elapse(9);
        expect(fixture.isReset).toBe(false);
        watchdog.feed();
      }
      await elapse(9);
      expect(fixture.isReset).toBe(false);
      await elapse(2);
      expect(fixture.isReset).toBe(true);
    });

    it("is armed as soon as it is open", async () => {
      const { fixture, elapse } = await setUp();
      await elapse(3600);
      expect(fixture.isReset).toBe(true);
    });

    it("says what it is, and after a boot whether that was its work", async () => {
      const { fixture, watchdog, open, elapse } = await setUp();
      expect(watchdog.identity).toMatch(/\w/);
      expect(watchdog.causedLastBoot).toBe(false);
      await elapse(3600);
      fixture.boot();
      expect((await open()).causedLastBoot).toBe(true);
    });

    it("reads back the timeout that the device has, whatever was asked for", async () => {
      const { fixture, watchdog, elapse } = await setUp({ rounds: () => millis(60 * SECOND) });
      expect(watchdog.setTimeout(millis(45 * SECOND))).toBe(60 * SECOND);
      await elapse(59);
      expect(fixture.isReset).toBe(false);
      await elapse(2);
      expect(fixture.isReset).toBe(true);
    });

    it("does nothing more once it is disarmed, and can be armed again", async () => {
      const { fixture, watchdog, open, elapse } = await setUp();
      expect(watchdog.nowayout).toBe(false);
      expect(watchdog.disarm()).toBeUndefined();
      await elapse(3600);
      expect(fixture.isReset).toBe(false);
      (await open()).setTimeout(millis(10 * SECOND));
      await elapse(11);
      expect(fixture.isReset).toBe(true);
    });

    it("says so where nobody can disarm it", async () => {
      const { fixture, watchdog, elapse } = await setUp({ nowayout: true });
      expect(watchdog.nowayout).toBe(true);
      expect(watchdog.disarm()).toMatch(/\w/);
      await elapse(3600);
      expect(fixture.isReset).toBe(true);
    });

    it("runs on when its process ends without a word, and the next one takes it over", async () => {
      const { fixture, watchdog, open, elapse } = await setUp();
      watchdog.setTimeout(millis(10 * SECOND));
      fixture.restartProcess();
      await elapse(8);
      const again = await open();
      again.setTimeout(millis(10 * SECOND));
      await elapse(8);
      expect(fixture.isReset).toBe(false);
      fixture.restartProcess();
      await elapse(11);
      expect(fixture.isReset).toBe(true);
    });

    it("serves one process at a time, and is missed where it is not", async () => {
      const { fixture, open } = await setUp();
      await expect(open()).rejects.toMatchObject({ code: "watchdog.busy" });
      const missing = fixture.run(fixture.watchdogs.open(fixture.vacantPath));
      await expect(missing).rejects.toMatchObject({ code: "watchdog.missing", name: "OperatingError" });
    });

    it("tells how much time is left, if the device does", async () => {
      const { watchdog, elapse } = await setUp();
      watchdog.setTimeout(millis(10 * SECOND));
      await elapse(4);
      expect(watchdog.timeLeft()).toBe(6 * SECOND);
      expect((await setUp({ tellsTimeLeft: false })).watchdog.timeLeft()).toBeUndefined();
    });

    it("says that it failed", async () => {
      const { fixture, watchdog } = await setUp();
      fixture.break();
      expect(() => watchdog.feed()).toThrow(expect.objectContaining({ code: "watchdog.failed" }));
      expect(() => watchdog.setTimeout(millis(SECOND))).toThrow(expect.objectContaining({ code: "watchdog.failed" }));
    });
  });
}
