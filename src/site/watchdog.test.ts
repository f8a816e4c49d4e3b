import { describe, expect, it } from "vitest";
import { millis } from "../base/units.ts";
import { parseConfig } from "../config/config.ts";
import { MemoryUniverse, type WatchdogSettings } from "../platform/memory/memory-world.ts";
import { runCommand } from "./commands.ts";
import type { SiteEvent } from "./events.ts";
import { Site } from "./site.ts";
import { snapshot } from "./snapshot.ts";

const CONFIG = {
  site: { name: "denver" },
  group: "prod",
  role: "primary",
  drives: ["/a"],
  arrays: { main: { level: 1, drives: [0] } },
  volumes: { db: { array: "main", size: "4MiB", lun: 0 } },
  journal: { device: "/journal", window: "4MiB", cache: "1MiB" },
  target: { iqn: "iqn.2026-11.dev.antipode:prod", listen: ["denver:3260"] },
  watchdog: { timeout: "20s" },
};
const TIMEOUT = 20_000;

function setUp(settings?: Partial<WatchdogSettings>) {
  const universe = new MemoryUniverse("site and watchdog");
  const machine = universe.machine("denver");
  const drives = ["/journal", "/a"].map((path) => universe.addDrive("denver", path, 16 * 2 ** 20));
  const device = settings === undefined ? undefined : machine.addWatchdog("/dev/watchdog", settings);
  const events: SiteEvent[] = [];
  const open = (config: object = CONFIG) => {
    const onEvent = (event: SiteEvent) => events.push(event);
    return universe.result(Site.open(machine.world, parseConfig(JSON.stringify(config), "/denver.yaml"), { onEvent }));
  };
  return { universe, machine, drives, device, events, open };
}

describe("a site with a watchdog", () => {
  it("does not start without it, and looks at no drive", async () => {
    const { open, drives } = setUp();
    await expect(open()).rejects.toMatchObject({
      code: "watchdog.missing",
      remedy: expect.stringMatching(/\w/),
    });
    for (const drive of drives) expect(drive.counts).toMatchObject({ read: 0, write: 0 });
  });

  it("does not start with one that has another timeout", async () => {
    const { open, device } = setUp({ rounds: () => millis(60_000) });
    await expect(open()).rejects.toMatchObject({ code: "watchdog.timeout" });
    expect(device?.isArmed).toBe(false);
  });

  it("has it armed before its drives are opened, and shows it", async () => {
    const { universe, open, device, drives, events } = setUp({});
    const wasArmed = new Set<boolean | undefined>();
    for (const drive of drives) {
      drive.onRead = () => {
        wasArmed.add(device?.isArmed);
        return "continue";
      };
    }
    const site = await open();
    expect([...wasArmed]).toEqual([true]);
    await universe.result(site.serve());
    await universe.advance(5 * TIMEOUT + 3000);
    const { text } = await universe.result(runCommand(site, ["show", "status"], () => {}));
    expect(text).toMatch(/^watchdog {2}simulated watchdog \(\/dev\/watchdog\): guarding, timeout 20 s, fed \d s ago$/m);
    expect(text).toMatch(/^boot {6}no reset by the watchdog is known$/m);
    expect(text).toMatch(/^alarms {4}none$/m);
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
    expect(snapshot(site).watchdog).toMatchObject({ nowayout: false, lateFeeds: 0, causedLastBoot: false });
    expect(snapshot(site).watchdog?.timeLeftMs).toBeGreaterThan(TIMEOUT / 2);
    expect(events.filter(({ kind }) => kind === "watchdog")).toHaveLength(1);
  });

  it("disarms it when it stops as it was told to, and is reset when it does not stop", async () => {
    const { universe, machine, open, device, events } = setUp({});
    let site = await open();
    await universe.result(site.serve());
    await universe.result(site.close());
    expect(device?.isArmed).toBe(false);
    expect(events.at(-1)).toMatchObject({ kind: "watchdog", guard: { state: "disarmed" } });
    await universe.advance(5 * TIMEOUT);
    expect(machine.state).toBe("running");

    site = await open();
    await universe.result(site.serve());
    machine.drive("/journal").stall();
    void site.close();
    await universe.advance(60_000 + 2 * TIMEOUT);
    expect(machine.state).toBe("down");
  });

  it("says that it can't be disarmed, where that is so, and that it is not the site that was at fault", async () => {
    const { universe, machine, open, events } = setUp({ nowayout: true });
    const site = await open();
    await universe.result(site.close());
    expect(events.filter(({ kind }) => kind === "alarm")).toMatchObject([{ error: { code: "watchdog.left-armed" } }]);
    expect(events.at(-1)).toMatchObject({ kind: "watchdog", guard: { state: "left armed" } });
    await universe.advance(TIMEOUT + 1);
    expect(machine.state).toBe("down");
    machine.restart();
    const { text } = await universe.result(runCommand(await open(), ["show", "status"], () => {}));
    expect(text).toMatch(/^boot {6}CAUSED by a reset of the watchdog$/m);
    expect(text).toMatch(/^ALARM {5}The watchdog \/dev\/watchdog \(simulated watchdog\) has reset this machine/m);
  });

  it("disarms it when it is refused a start for another reason", async () => {
    const { universe, machine, open, device } = setUp({});
    const site = await open();
    await universe.result(site.close());
    await expect(open({ ...CONFIG, group: "test" })).rejects.toMatchObject({ name: "OperatingError" });
    expect(device?.isArmed).toBe(false);
    await universe.advance(5 * TIMEOUT);
    expect(machine.state).toBe("running");
  });

  it("that has none configured leaves the one that is there alone", async () => {
    const { watchdog: _, ...config } = CONFIG;
    const { universe, open, device } = setUp({});
    const site = await open(config);
    await universe.result(site.serve());
    expect(device?.isArmed).toBe(false);
    expect(snapshot(site).watchdog).toBeUndefined();
  });
});
