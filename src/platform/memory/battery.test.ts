import { expect, it } from "vitest";
import { batteryCases } from "../battery.cases.ts";
import type { BatteryReading } from "../battery.ts";
import { MemoryUniverse } from "./memory-world.ts";

const SOURCE = { kind: "sysfs", name: "BAT0" } as const;
let seed = 0;

batteryCases("simulated", async () => {
  const universe = new MemoryUniverse(++seed);
  const { battery, world } = universe.machine("denver");
  return {
    batteries: world.batteries,
    source: SOURCE,
    vacant: { kind: "sysfs", name: "BAT7" },
    now: () => world.clock.now(),
    run: (pending) => universe.result(pending),
    show: (shown) => battery.show(shown),
    silence: () => battery.failGauge("silent"),
    turn: () => universe.advance(1000),
    close: async () => {},
  };
});

function setUp() {
  const universe = new MemoryUniverse("gauge");
  const machine = universe.machine("denver");
  const read = (): Promise<BatteryReading> =>
    universe.result(machine.world.batteries.read(SOURCE, new AbortController().signal));
  return { universe, machine, battery: machine.battery, read };
}

it("a gauge that repeats itself says how old that is, also to a process that was started since", async () => {
  const { universe, machine, battery, read } = setUp();
  await read();
  battery.failGauge("repeats");
  battery.fail();
  await universe.advance(5000);
  machine.kill();
  machine.restart();
  const { state, takenAt } = await read();
  expect(state).toBe("good");
  expect(machine.world.clock.now() - takenAt).toBeCloseTo(5002, 0);
  battery.recoverGauge();
  expect(await read()).toMatchObject({ state: "failed", charge: 0 });
});

it("a gauge that has failed says nothing of the battery, and the battery nothing of the gauge", async () => {
  const { universe, battery, read } = setUp();
  battery.failGauge("refuses");
  expect([battery.holds, battery.goodSince]).toEqual([true, undefined]);
  await expect(read()).rejects.toMatchObject({ code: "battery.unreadable" });
  battery.recoverGauge();
  battery.fail({ state: "good", charge: 30 });
  expect([battery.holds, battery.goodSince]).toEqual([false, undefined]);
  battery.recover();
  expect([battery.holds, battery.goodSince]).toEqual([true, universe.now]);
});

it("a gauge that has never measured anything has nothing to repeat", async () => {
  const { battery, read } = setUp();
  battery.failGauge("repeats");
  await expect(read()).rejects.toMatchObject({ code: "battery.unreadable" });
});
