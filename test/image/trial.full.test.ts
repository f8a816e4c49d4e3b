/** A version that comes up, but whose site does not: it is left as one is that hangs while it boots, only later. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { VERSION } from "../../image/identity.ts";
import { Workbench } from "../conformance/workbench.ts";
import { Appliance, configure, emptyDrives, LONE_SITE, RESETS } from "./appliance.ts";
import { BUILD_DEADLINE_MS, type BuiltImage, builtImage, flash } from "./built-image.ts";
import { makeUpdate, updateDrive } from "./updates.ts";

const TRIAL = join(import.meta.dirname, "../../image/root/sbin/trial");
const FAULTY = "0.9.0";
const INSTALL_DEADLINE_MS = 240_000;
/** Three starts in vain, and one that is not. */
const FALL_BACK_DEADLINE_MS = 540_000;

let bench: Workbench;
let built: BuiltImage;
beforeAll(async () => {
  bench = new Workbench();
  built = await builtImage(bench);
}, BUILD_DEADLINE_MS + 60_000);
afterAll(() => bench.close());

/** An update that gives its site so few seconds, and starts none. */
function faultyUpdate(): Promise<string> {
  const trial = readFileSync(TRIAL, "utf8");
  const impatient = trial.replace(/seconds_max=\d+/, "seconds_max=10");
  expect(impatient).not.toBe(trial);
  return makeUpdate(bench, built, FAULTY, {
    "sbin/trial": impatient,
    "sbin/site": "#!/bin/sh\n/sbin/boot-over\ntouch /run/appliance/booted\nexec sleep 86400\n",
  });
}

it("is started three times, and then the version before it, which says why", async () => {
  const image = await flash(bench, built, "appliance");
  await configure(bench, image, stringify(LONE_SITE));
  const update = await updateDrive(bench, [await faultyUpdate()]);
  const machine = { image, drives: { ...emptyDrives(bench, "ouray", ["a", "journal"]), update } };

  const before = await Appliance.boot(bench, machine);
  await before.says(/antipode: this firmware has proven itself/);
  await before.login();
  const installed = await before.command(`firmware install /update/${FAULTY}.update`, "", INSTALL_DEADLINE_MS);
  expect(installed).toMatch(new RegExp(`next +${FAULTY}\n`));
  await before.restart();

  const after = await Appliance.boot(bench, { ...machine, more: RESETS });
  await after.says(/antipode: this firmware has proven itself/, FALL_BACK_DEADLINE_MS);
  expect(after.line.match(/this firmware has not proven itself: the appliance starts anew/g)).toHaveLength(3);
  await after.loginAgain();
  expect(await after.command("show firmware")).toMatch(
    new RegExp(`running +${VERSION}\n[^]*FELL BACK: ${FAULTY} did not come up in 3 starts`),
  );
  await after.powerOff();
});
