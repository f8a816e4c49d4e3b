/** What every implementation of `Batteries` does, as cases that each of them runs in its own test. */

import { describe, expect, it } from "vitest";
import type { Instant } from "../base/units.ts";
import type { Batteries, BatteryReading, BatterySource } from "./battery.ts";

export interface BatteryFixture {
  readonly batteries: Batteries;
  /** Of the one battery that is there, and of none. */
  readonly source: BatterySource;
  readonly vacant: BatterySource;
  /** As the clock shows it that readings go by. */
  now(): Instant;
  /** Waits for what a call gives. */
  run<T>(pending: Promise<T>): Promise<T>;
  /** From now on the battery is said to be so. */
  show(shown: Pick<BatteryReading, "state" | "charge">): void;
  /** From now on nobody answers. */
  silence(): void;
  /** Lets whatever may happen without delay happen. */
  turn(): Promise<void>;
  close(): Promise<void>;
}

const UNREADABLE = { code: "battery.unreadable", name: "OperatingError", remedy: expect.stringMatching(/\w/) };

export function batteryCases(name: string, makeFixture: () => Promise<BatteryFixture>): void {
  const using = async (body: (fixture: BatteryFixture) => Promise<void>) => {
    const fixture = await makeFixture();
    try {
      await body(fixture);
    } finally {
      await fixture.close();
    }
  };
  const read = ({ batteries, source, run }: BatteryFixture, from = source, signal = new AbortController().signal) =>
    run(batteries.read(from, signal));

  describe(`batteries: ${name}`, () => {
    it.each([
      { state: "good", charge: 100 },
      { state: "good", charge: 41 },
      { state: "discharging", charge: 90 },
      { state: "low", charge: 9 },
      { state: "failed", charge: 100 },
    ] as const)("tells of one that is $state, $charge per cent charged", (shown) =>
      using(async (fixture) => {
        fixture.show(shown);
        expect(await read(fixture)).toMatchObject(shown);
      }),
    );

    it("tells no charge where nobody knows it", () =>
      using(async (fixture) => {
        fixture.show({ state: "good", charge: undefined });
        expect(await read(fixture)).toMatchObject({ state: "good", charge: undefined });
      }));

    it("says when that was: not before it was asked for, and not later than it is answered", () =>
      using(async (fixture) => {
        const before = fixture.now();
        const { takenAt } = await read(fixture);
        expect(takenAt).toBeGreaterThanOrEqual(before);
        expect(takenAt).toBeLessThanOrEqual(fixture.now());
      }));

    it("tells each time what is so then", () =>
      using(async (fixture) => {
        expect(await read(fixture)).toMatchObject({ state: "good" });
        fixture.show({ state: "failed", charge: 100 });
        expect(await read(fixture)).toMatchObject({ state: "failed" });
        fixture.show({ state: "good", charge: 100 });
        expect(await read(fixture)).toMatchObject({ state: "good" });
      }));

    it("has no reading of one that is not there", () =>
      using(async (fixture) => {
        await expect(read(fixture, fixture.vacant)).rejects.toMatchObject(UNREADABLE);
      }));

    it("waits for an answer until it is told not to", () =>
      using(async (fixture) => {
        fixture.silence();
        const control = new AbortController();
        let isOver = false;
        const reading = fixture.batteries.read(fixture.source, control.signal).finally(() => {
          isOver = true;
        });
        reading.catch(() => {});
        await fixture.turn();
        expect(isOver).toBe(false);
        control.abort();
        await expect(reading).rejects.toMatchObject(UNREADABLE);
        await expect(read(fixture, fixture.source, control.signal)).rejects.toMatchObject(UNREADABLE);
      }));
  });
}
