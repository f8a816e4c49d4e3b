/** A site that watches a real NUT server's UPS, through all that happens to the UPS, its driver and the server. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { stringify } from "yaml";
import { freeDemoPort, SiteProcess } from "./harness.ts";
import { NutServer } from "./nut-server.ts";

const DEADLINE_MS = 60_000;

let dir: string;
let server: NutServer;
let site: SiteProcess;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "antipode-battery-"));
  server = new NutServer(dir, await freeDemoPort());
  const file = `${dir}/denver.yaml`;
  const config = {
    site: { name: "denver" },
    group: "prod",
    role: "primary",
    drives: [{ path: "disk", size: "64MiB" }],
    arrays: { main: { level: 1, drives: [0] } },
    volumes: { lun0: { array: "main", size: "16MiB", lun: 0 } },
    journal: { device: "journal", size: "64MiB", battery: { nut: `ups@127.0.0.1:${server.port}` } },
    target: { iqn: "iqn.2026-11.dev.antipode:battery", listen: ["127.0.0.1:0"] },
    control: { socket: "denver.sock" },
  };
  writeFileSync(file, stringify(config));
  site = new SiteProcess(dir, "denver", file);
});

afterEach(async () => {
  await site.kill();
  await server.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Waits until the site shows the battery so, and an alarm exactly where it is bad. */
function untilBattery(what: string, state: "good" | "bad", reason = ""): Promise<void> {
  return site.untilStatus(`its battery is ${what}`, DEADLINE_MS, ({ journal: { battery }, alarms }) => {
    const isAlarm = alarms.some(({ code }) => code === "journal.battery");
    return battery?.state === state && isAlarm === (state === "bad") && (battery.reason ?? "").includes(reason);
  });
}

it("tells good, discharging, low, stale and lost readings apart, and is itself again when they are", async () => {
  site.start();
  await untilBattery("not to be had, for no server runs", "bad", "it refuses connections");
  server.start("dummy-ups");
  server.start("upsd");
  await untilBattery("good", "good");
  expect((await site.status()).journal.battery).toMatchObject({ chargePercent: 100 });

  server.show("OB DISCHRG", 97);
  await untilBattery("discharging", "bad", "power is lost");
  server.show("OB LB", 9);
  await untilBattery("low", "bad", "it is low");
  server.show("OL CHRG", 40);
  await untilBattery("charging", "bad", "charged to 40 % only");
  server.show("OL CHRG", 90);
  await untilBattery("charged", "good");

  server.signal("dummy-ups", "SIGSTOP");
  await untilBattery("stale", "bad", "out of date");
  server.signal("dummy-ups", "SIGCONT");
  await untilBattery("fresh again", "good");
  await server.end("dummy-ups");
  await untilBattery("without its driver", "bad", "its driver does not run");
  server.start("dummy-ups");
  await untilBattery("read by its driver again", "good");

  server.signal("upsd", "SIGSTOP");
  await untilBattery("of a server that hangs", "bad", "nobody answered in time");
  await server.end("upsd");
  await untilBattery("of a server that is gone", "bad", "it refuses connections");
  server.start("upsd");
  await untilBattery("of a server that is back", "good");
  await site.stop();
});
