import { describe, expect, it } from "vitest";
import { lba } from "../base/units.ts";
import { parseConfig } from "../config/config.ts";
import { MirroredVolume } from "../mirror/mirrored-volume.ts";
import { MemoryUniverse, type SimulatedWorld } from "../platform/memory/memory-world.ts";
import { BatteryWatch, FRESH_MAX, type Standing } from "./battery-watch.ts";
import { runCommand } from "./commands.ts";
import type { SiteEvent } from "./events.ts";
import { Site } from "./site.ts";

const SECOND = 1000;

function setUp(change: (universe: MemoryUniverse) => void = () => {}, name = "BAT0") {
  const universe = new MemoryUniverse("battery watch");
  const machine = universe.machine("denver");
  change(universe);
  const watch = new BatteryWatch(machine.world, { kind: "sysfs", name });
  const changes: Standing["kind"][] = [];
  watch.onChange = ({ standing }) => changes.push(standing.kind);
  return { universe, machine, battery: machine.battery, watch, changes };
}

describe("a battery that is watched", () => {
  it("is unknown until the first answer, good with it, and stays so", async () => {
    const { universe, watch, changes } = setUp();
    expect(watch.isGood).toBe(false);
    watch.start();
    expect(watch.view).toEqual({ source: "BAT0", standing: { kind: "unknown" }, takenAt: undefined });
    expect(watch.alarm).toBeUndefined();
    await universe.advance(SECOND);
    expect(watch.view.standing).toEqual({ kind: "good", charge: 100 });
    await universe.advance(60 * SECOND);
    expect(watch.isGood).toBe(true);
    expect(changes).toEqual(["good"]);
  });

  it.each([
    [{ state: "failed", charge: 100 }, /has failed/],
    [{ state: "low", charge: 100 }, /is low/],
    [{ state: "discharging", charge: 100 }, /power is lost/],
    [{ state: "good", charge: 79 }, /charged to 79 % only/],
    [{ state: "good", charge: undefined }, /nobody tells how far it is charged/],
  ] as const)("is bad with the next reading when that is %o, and good again with the one after", async (shown, why) => {
    const { universe, battery, watch, changes } = setUp();
    watch.start();
    await universe.advance(SECOND);
    battery.show(shown);
    await universe.advance(2 * SECOND);
    expect(watch.isGood).toBe(false);
    expect(watch.alarm).toMatchObject({ code: "journal.battery", what: expect.stringMatching(why) });
    battery.show({ state: "good", charge: 80 });
    await universe.advance(2 * SECOND + 10);
    expect([watch.isGood, watch.alarm]).toEqual([true, undefined]);
    expect(changes).toEqual(["good", "bad", "good"]);
  });

  it.each([
    ["refuses", 2 * SECOND + 10],
    ["silent", 4 * SECOND + 10],
  ] as const)("is bad as soon as a question has no answer: its gauge %s", async (fault, within) => {
    const { universe, battery, watch } = setUp();
    watch.start();
    await universe.advance(SECOND);
    battery.failGauge(fault);
    await universe.advance(within);
    expect(watch.isGood).toBe(false);
    battery.recoverGauge();
    await universe.advance(4 * SECOND);
    expect(watch.isGood).toBe(true);
  });

  it("is bad when its last reading is too old, however often that is repeated", async () => {
    const { universe, battery, watch, changes } = setUp();
    watch.start();
    await universe.advance(SECOND);
    battery.failGauge("repeats");
    await universe.advance(FRESH_MAX - SECOND);
    expect([watch.isGood, changes]).toEqual([true, ["good"]]);
    // Told at that moment, not with the next answer.
    await universe.advance(4);
    expect([watch.isGood, changes]).toEqual([false, ["good", "bad"]]);
    await universe.advance(SECOND);
    expect(watch.view.standing).toEqual({ kind: "bad", why: "its last reading is 7 s old" });
  });

  it("is bad at once when the process goes on after a stop, before anything was asked", async () => {
    const { universe, machine, watch } = setUp();
    watch.start();
    await universe.advance(SECOND);
    expect(watch.isGood).toBe(true);
    machine.pause();
    await universe.advance(10 * FRESH_MAX);
    expect(watch.isGood).toBe(false);
    machine.resume();
    await universe.advance(5 * SECOND);
    expect(watch.isGood).toBe(true);
  });

  it("is bad where there is none, and where nobody answers from the start on", async () => {
    const none = setUp(() => {}, "BAT7");
    none.watch.start();
    await none.universe.advance(10);
    expect(none.watch.alarm?.what).toMatch(/BAT7 is not known to be good: .* there is no such battery\.$/);
    const silent = setUp((universe) => universe.machine("denver").battery.failGauge("silent"));
    silent.watch.start();
    await silent.universe.advance(3 * SECOND);
    expect(silent.watch.alarm?.what).toMatch(/did not answer in time/);
  });

  it("is asked no more once the watch is over", async () => {
    const { universe, battery, watch, changes } = setUp();
    watch.start();
    await universe.advance(SECOND);
    watch.stop();
    battery.fail();
    await universe.advance(60 * SECOND);
    expect(changes).toEqual(["good"]);
  });
});

const CONFIG = {
  site: { name: "denver" },
  group: "prod",
  role: "primary",
  drives: ["/a"],
  arrays: { main: { level: 1, drives: [0] } },
  volumes: { db: { array: "main", size: "4MiB", lun: 0 } },
  journal: { device: "/journal", window: "4MiB", cache: "1MiB", battery: { sysfs: "BAT0" } },
  target: { iqn: "iqn.2026-11.dev.antipode:prod", listen: ["denver:3260"] },
};

describe("a site whose journal has a battery", () => {
  async function serving() {
    const universe = new MemoryUniverse("site and battery");
    const machine = universe.machine("denver");
    for (const path of ["/journal", "/a"]) universe.addDrive("denver", path, 16 * 2 ** 20);
    const events: SiteEvent[] = [];
    const open = (world: SimulatedWorld) => {
      const onEvent = (event: SiteEvent) => events.push(event);
      return universe.result(Site.open(world, parseConfig(JSON.stringify(CONFIG), "/denver.yaml"), { onEvent }));
    };
    const site = await open(machine.world);
    await universe.result(site.serve());
    await universe.advance(SECOND);
    const show = async (...words: string[]) => (await universe.result(runCommand(site, words, () => {}))).text;
    /** Milliseconds until one more host write is stored. */
    const storedAfter = async () => {
      const { feed, pipeline, config } = site;
      if (feed.kind !== "hosts") throw new Error("a primary is fed by hosts");
      const { id, size } = config.volumes.db;
      const start = universe.now;
      const at = pipeline.appended + 1;
      await universe.result(new MirroredVolume(feed.controller, id, size, 4096).write(lba(0), new Uint8Array(4096)));
      await universe.run(() => pipeline.stored >= at);
      return universe.now - start;
    };
    return { universe, machine, battery: machine.battery, site, events, show, storedAfter };
  }

  it("lets requests gather while it is good, and stores them at once while it is not", async () => {
    const { universe, battery, storedAfter } = await serving();
    expect(await storedAfter()).toBeGreaterThan(SECOND - 1);
    battery.fail();
    await universe.advance(3 * SECOND);
    expect(await storedAfter()).toBeLessThan(SECOND / 10);
    battery.recover();
    await universe.advance(3 * SECOND);
    expect(await storedAfter()).toBeGreaterThan(SECOND - 1);
  });

  it("shows it, and an alarm for as long as it is not good", async () => {
    const { universe, battery, events, show } = await serving();
    expect(await show("show", "status")).toMatch(/^battery {3}BAT0: good, 100 % charged, read \d s ago$/m);
    expect(await show("show", "journal")).toMatch(/^battery {4}BAT0: good, 100 % charged, read \d s ago$/m);
    battery.fail();
    await universe.advance(3 * SECOND);
    const text = await show("show", "status");
    expect(text).toMatch(/^battery {3}BAT0: BAD, it has failed, or has to be replaced$/m);
    expect(text).toMatch(/^ALARM {5}The journal's battery BAT0 is not known to be good: it has failed/m);
    battery.recover();
    await universe.advance(3 * SECOND);
    expect(await show("show", "status")).toMatch(/^alarms {4}none$/m);
    const standings = events.map((event) => (event.kind === "battery" ? event.battery.standing.kind : undefined));
    expect(standings.filter((kind) => kind !== undefined)).toEqual(["good", "bad", "good"]);
  });
});
