/** What leads to a reset by the watchdog, what does not, and that nothing is lost by one. */

import { describe, expect, it } from "vitest";
import { lba } from "../../../src/base/units.ts";
import { snapshot } from "../../../src/site/snapshot.ts";
import { Load } from "../load.ts";
import { Operator } from "../operator.ts";
import { DEADLINE, PRIMARY, SimulatedSystem, stamped, stampOf } from "../system.ts";

const TIMEOUT = 10_000;
const WATCHED = { legs: [["boulder"], ["pueblo"]], watchdog: "10s" };
/** Virtual milliseconds from a reset until the site's process runs again. */
const BOOT = 20_000;

/** A system that its operator looks after, with hosts that write and check what they read. */
async function underLoad(seed: number) {
  const system = new SimulatedSystem(seed, WATCHED);
  const operator = new Operator(system);
  const resets: string[] = [];
  const wrong: string[] = [];
  operator.onBug = (site, error) => wrong.push(`${site}: ${error instanceof Error ? error.stack : error}`);
  system.onReset = (name) => {
    resets.push(name);
    operator.ended(name, BOOT);
  };
  operator.begin();
  const { universe } = system;
  await universe.run(() => system.server !== undefined, { deadline: DEADLINE });
  const load = new Load(system, { hosts: 2, depth: 8, onViolation: (what) => wrong.push(what) });
  load.begin();
  await universe.advance(5000);
  expect(load.writes).toBeGreaterThan(0);

  /** Everyone is served again, every site is the same, and hosts find all that they were told is written. */
  const comeToRest = async () => {
    const goal = load.hosts.map((host) => host.counters.acknowledged + 3);
    const isServed = () => load.hosts.every((host, at) => host.counters.acknowledged >= goal[at]);
    await universe.run(() => system.server !== undefined && isServed(), { deadline: DEADLINE });
    await universe.result(load.end(), { deadline: DEADLINE });
    await system.settle();
    await universe.result(load.readAll(), { deadline: DEADLINE });
    for (const name of system.names) {
      wrong.push(...load.registers.checkContent(await system.stored(name), name, universe.now));
    }
    wrong.push(...load.registers.check());
    expect(wrong).toEqual([]);
    expect((await system.verify()).sites.map(({ verdict }) => verdict)).toEqual([
      "identical",
      "identical",
      "identical",
    ]);
  };
  return { system, universe, resets, comeToRest };
}

describe("a site that hangs", () => {
  it("is reset within the timeout if its process stands still, and nothing that was acknowledged is lost", async () => {
    for (const [seed, name] of [
      [1, PRIMARY],
      [2, PRIMARY],
      [3, "boulder"],
    ] as const) {
      const { system, universe, resets, comeToRest } = await underLoad(seed);
      const machine = universe.machine(name);
      machine.pause();
      await universe.advance(TIMEOUT / 2);
      expect(resets).toEqual([]);
      await universe.advance(TIMEOUT / 2 + 1);
      expect(resets).toEqual([name]);
      await universe.run(() => system.sites.has(name), { deadline: DEADLINE });
      expect(snapshot(system.site(name)).alarms.map(({ code }) => code)).toContain("watchdog.caused-boot");
      await comeToRest();
      expect(resets).toEqual([name]);
    }
  });

  it("is reset if its journal's drive stalls for longer than the timeout, and not before", async () => {
    for (const [seed, name] of [
      [4, PRIMARY],
      [5, "pueblo"],
    ] as const) {
      const { system, universe, resets, comeToRest } = await underLoad(seed);
      const drive = universe.machine(name).drive("/journal");
      const short = drive.stall();
      await universe.advance(TIMEOUT / 2);
      short.remove();
      await universe.advance(2 * TIMEOUT);
      expect(resets).toEqual([]);

      const long = drive.stall();
      await universe.advance(TIMEOUT + 1);
      expect(resets).toEqual([name]);
      long.remove();
      await universe.run(() => system.sites.has(name), { deadline: DEADLINE });
      await comeToRest();
      expect(resets).toEqual([name]);
    }
  });
});

describe("a site that is well", () => {
  it("is not reset for what it waits for: legs that are cut, a drive that its array lacks, a primary that is gone", async () => {
    const system = new SimulatedSystem(6, WATCHED);
    const resets: string[] = [];
    system.onReset = (name) => resets.push(name);
    await system.start();
    const { universe } = system;
    const volume = system.volume();
    await universe.result(volume.write(lba(1), stamped(1)), { deadline: DEADLINE });
    for (const leg of ["boulder", "pueblo"]) universe.network.partition(PRIMARY, leg);
    universe.machine(PRIMARY).drive("/drive-1").vanish();
    let acknowledged = false;
    volume.write(lba(1), stamped(2))?.then(() => {
      acknowledged = true;
    });
    await universe.advance(20 * TIMEOUT);
    expect(snapshot(system.primary)).toMatchObject({
      state: "suspended",
      watchdog: { state: "guarding", lateFeeds: 0, timeoutMs: TIMEOUT },
    });
    expect(acknowledged).toBe(false);
    system.crash(PRIMARY);
    await universe.advance(20 * TIMEOUT);
    expect(resets).toEqual([]);

    for (const leg of ["boulder", "pueblo"]) universe.network.heal(PRIMARY, leg);
    await system.boot(PRIMARY);
    await system.serving();
    await system.settle();
    expect(stampOf(await system.stored("boulder"), 1)).toBe(2);
  });
});

describe("a site that fails", () => {
  it("is reset when its journal has failed, says so before, and comes back with all that it acknowledged", async () => {
    const system = new SimulatedSystem(7, WATCHED);
    const resets: string[] = [];
    system.onReset = (name) => resets.push(name);
    await system.start();
    const { universe } = system;
    const volume = system.volume();
    await universe.result(volume.write(lba(1), stamped(1)), { deadline: DEADLINE });
    await system.settle();
    await universe.advance(TIMEOUT);
    universe.machine("boulder").drive("/journal").inject({ on: "write", action: "fail", times: 1 });
    // Nobody writes: the canary finds it.
    await universe.run(() => system.site("boulder").pipeline.failure !== undefined, { deadline: TIMEOUT });
    const failed = snapshot(system.site("boulder"));
    expect(failed).toMatchObject({ state: "failed", watchdog: { state: "withheld" } });
    expect(failed.alarms.map(({ code }) => code)).toEqual(["journal.failed", "watchdog.withheld"]);
    await universe.advance(TIMEOUT);
    expect(resets).toEqual(["boulder"]);
    await system.boot("boulder");
    await universe.result(volume.write(lba(2), stamped(2)), { deadline: DEADLINE });
    await system.settle();
    const content = await system.stored("boulder");
    expect([1, 2].map((block) => stampOf(content, block))).toEqual([1, 2]);
  });
});
