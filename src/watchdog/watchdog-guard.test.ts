import { describe, expect, it } from "vitest";
import { OperatingError } from "../base/operating-error.ts";
import { type Millis, millis } from "../base/units.ts";
import { MemoryUniverse, type WatchdogSettings } from "../platform/memory/memory-world.ts";
import type { Canary } from "./canary.ts";
import { START_MAX, STOP_MAX } from "./guard-state.ts";
import { WatchdogGuard } from "./watchdog-guard.ts";

const DEVICE = "/dev/watchdog";
const TIMEOUT = millis(30_000);

const PASSES: Canary = async () => {};
const HANGS: Canary = () => new Promise(() => {});

/** A machine with a watchdog and a guard on it. */
async function setUp(settings: Partial<WatchdogSettings> = {}, timeout: Millis = TIMEOUT) {
  const universe = new MemoryUniverse("guard");
  const machine = universe.machine("denver");
  const device = machine.addWatchdog(DEVICE, settings);
  const alarms: string[] = [];
  const arm = () =>
    universe.result(
      WatchdogGuard.arm(machine.world, { device: DEVICE, timeout, onAlarm: ({ code }) => alarms.push(code) }),
    );
  return { universe, machine, device, alarms, arm, guard: await arm() };
}

describe("arming", () => {
  it("arms with the timeout that was asked for, and says so", async () => {
    const { device, guard, alarms } = await setUp();
    expect(device.isArmed).toBe(true);
    expect(guard.view).toMatchObject({ device: DEVICE, state: "starting", timeout: TIMEOUT, causedLastBoot: false });
    expect(alarms).toEqual([]);
  });

  it("takes what a device rounds to, and goes by that", async () => {
    const { universe, guard, machine } = await setUp({ rounds: () => millis(16_000) });
    expect(guard.view.timeout).toBe(16_000);
    guard.watch(PASSES);
    await universe.advance(200_000);
    expect(machine.state).toBe("running");
    expect((await setUp({ rounds: (wanted) => millis(wanted + 1000) }, millis(2000))).guard.view.timeout).toBe(3000);
  });

  it("refuses a device with another timeout, and leaves it disarmed", async () => {
    for (const other of [14_000, 34_000]) {
      const universe = new MemoryUniverse(other);
      const device = universe.machine("denver").addWatchdog(DEVICE, { rounds: () => millis(other) });
      const options = { device: DEVICE, timeout: TIMEOUT, onAlarm: () => {} };
      const armed = universe.result(WatchdogGuard.arm(universe.world("denver"), options));
      await expect(armed).rejects.toMatchObject({
        code: "watchdog.timeout",
        what: expect.stringContaining(`has a timeout of ${other / 1000} s`),
      });
      expect(device.isArmed).toBe(false);
    }
  });

  it("tells of a boot that the watchdog caused", async () => {
    const { universe, machine, arm, alarms } = await setUp();
    machine.pause();
    await universe.advance(TIMEOUT + 1);
    expect(machine.state).toBe("down");
    machine.restart();
    expect((await arm()).view.causedLastBoot).toBe(true);
    expect(alarms).toEqual(["watchdog.caused-boot"]);
  });
});

describe("a site that starts", () => {
  it("is not reset while it runs, for as long as a start may take", async () => {
    const { universe, machine, guard } = await setUp();
    await universe.advance(START_MAX - TIMEOUT);
    expect(machine.state).toBe("running");
    guard.watch(PASSES);
    await universe.advance(10 * TIMEOUT);
    expect(machine.state).toBe("running");
  });

  it("is reset when it takes longer, or stands still", async () => {
    const slow = await setUp();
    await slow.universe.advance(START_MAX + 2 * TIMEOUT);
    expect(slow.machine.state).toBe("down");
    const stopped = await setUp();
    stopped.machine.pause();
    await stopped.universe.advance(TIMEOUT + 1);
    expect(stopped.machine.state).toBe("down");
  });
});

describe("a site that runs", () => {
  it("is fed three times in a timeout, by its canaries alone", async () => {
    const { universe, device, guard, machine } = await setUp();
    let sent = 0;
    guard.watch(async () => {
      sent++;
    });
    await universe.advance(10 * TIMEOUT);
    expect(machine.state).toBe("running");
    expect(sent).toBeGreaterThanOrEqual(29);
    expect(device.feeds).toBe(sent);
    expect(guard.view).toMatchObject({ state: "guarding", feeds: sent, lateFeeds: 0 });
    expect(guard.view.longestGap).toBeLessThan(TIMEOUT / 2);
  });

  it("is reset when a canary does not come back", async () => {
    const { universe, machine, guard } = await setUp();
    let canary = PASSES;
    guard.watch(() => canary());
    await universe.advance(5 * TIMEOUT);
    canary = HANGS;
    await universe.advance(TIMEOUT + 1);
    expect(machine.state).toBe("down");
  });

  it("is not reset by a canary that comes late, and is said to be slow", async () => {
    const { universe, machine, guard, alarms } = await setUp();
    let pass = () => {};
    let delay = true;
    guard.watch(() => (delay ? new Promise((resolve) => (pass = resolve)) : PASSES()));
    await universe.advance(0.9 * TIMEOUT);
    delay = false;
    pass();
    await universe.advance(3 * TIMEOUT);
    expect(machine.state).toBe("running");
    expect(alarms).toEqual(["watchdog.late"]);
    expect(guard.view).toMatchObject({ state: "guarding", lateFeeds: 1 });
  });

  it("is reset when it has failed, and says why before", async () => {
    const { universe, machine, guard, alarms } = await setUp();
    guard.watch(async () => {
      throw new OperatingError("journal.failed", "The journal failed.", "Replace its drive.");
    });
    await universe.run(() => alarms.length > 0);
    expect(alarms).toEqual(["watchdog.withheld"]);
    expect(machine.state).toBe("running");
    expect(guard.view.state).toBe("withheld");
    await universe.advance(TIMEOUT);
    expect(machine.state).toBe("down");
  });

  it("tells of a device that takes no feed", async () => {
    const { universe, device, guard, alarms } = await setUp();
    guard.watch(PASSES);
    device.break();
    await universe.run(() => alarms.length > 0);
    expect(alarms).toEqual(["watchdog.failed"]);
    expect(guard.view.feeds).toBe(0);
  });
});

describe("a site that stops", () => {
  it("is fed while it does, and leaves the watchdog disarmed", async () => {
    const { universe, machine, device, guard } = await setUp();
    guard.watch(HANGS);
    guard.stopping();
    await universe.advance(STOP_MAX - 1);
    expect(machine.state).toBe("running");
    guard.disarm();
    guard.disarm();
    expect(guard.view.state).toBe("disarmed");
    expect(device.isArmed).toBe(false);
    await universe.advance(100 * TIMEOUT);
    expect(machine.state).toBe("running");
  });

  it("is reset when that takes too long", async () => {
    const { universe, machine, guard } = await setUp();
    guard.watch(PASSES);
    guard.stopping();
    await universe.advance(STOP_MAX + 2 * TIMEOUT);
    expect(machine.state).toBe("down");
  });

  it("says so where the watchdog can't be disarmed, or fails to be", async () => {
    const { universe, machine, guard, alarms } = await setUp({ nowayout: true });
    guard.stopping();
    guard.disarm();
    expect(guard.view.state).toBe("left armed");
    expect(alarms).toEqual(["watchdog.left-armed"]);
    await universe.advance(TIMEOUT + 1);
    expect(machine.state).toBe("down");
    const broken = await setUp();
    broken.device.break();
    broken.guard.disarm();
    expect(broken.alarms).toEqual(["watchdog.left-armed"]);
  });

  it("without a word leaves it to the next process, which takes it over", async () => {
    const { universe, machine, guard, arm } = await setUp();
    guard.watch(PASSES);
    machine.kill();
    await universe.advance(TIMEOUT / 2);
    machine.restart();
    const next = await arm();
    next.watch(PASSES);
    await universe.advance(3 * TIMEOUT);
    expect(machine.state).toBe("running");
    machine.kill();
    await universe.advance(TIMEOUT + 1);
    expect(machine.state).toBe("down");
  });
});
