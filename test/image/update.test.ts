/**
 * Updates of an appliance, as its operator gives them: on the console and over the network; and what keeps it startable and
 * reachable whatever goes wrong: refusals, power cuts, a firmware that hangs, a commit that cuts off who made it.
 *
 * One appliance goes through all of it, so each test begins with what the one before it left.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { VERSION } from "../../image/identity.ts";
import { ukiOf, updateOf } from "../../src/firmware/firmware-testing.ts";
import { linuxSignatures, signerOf } from "../../src/platform/linux/linux-signatures.ts";
import { freePorts, until, Workbench } from "../conformance/workbench.ts";
import { Appliance, configure, emptyDrives, HOST, LONE_SITE, PASSWORD, RESETS } from "./appliance.ts";
import { BUILD_DEADLINE_MS, type BuiltImage, builtImage, flash } from "./built-image.ts";
import { makeUpdate, updateDrive } from "./updates.ts";

const root = join(import.meta.dirname, "../..");
/** What is updated to: another version only by what it says of itself. */
const NEXT = "0.9.0";
/** The same, but it hangs while it boots. */
const HANGING = "0.9.1";
/** In an update file's head; docs/firmware.md. */
const SIGNATURE_OFFSET = 448;
const SMALL_BYTES = 1024 * 1024;
const INSTALL_DEADLINE_MS = 240_000;
/** A site that ends and starts again, without hardware virtualisation. */
const APPLY_DEADLINE_MS = 120_000;
/** The minute that a commit waits, and going back from it. */
const BACK_DEADLINE_MS = 60_000 + APPLY_DEADLINE_MS;
const REQUEST_DEADLINE_MS = 5000;
const ANSWER_DEADLINE_MS = 30_000;
/** Three starts that hang, and one that does not. */
const FALL_BACK_DEADLINE_MS = 540_000;

const CONFIGURATION = {
  ...LONE_SITE,
  management: { listen: "0.0.0.0:8080" },
  network: { interfaces: { eth0: { addresses: ["10.0.2.15/24"] } }, gateway: HOST },
};

let bench: Workbench;
let built: BuiltImage;
let image: string;
/** An update that is right. */
let next: string;
let drives: Readonly<Record<string, string>>;
/** Where the appliance's management is reached. */
let port: number;

beforeAll(async () => {
  bench = new Workbench();
  built = await builtImage(bench);
  image = await flash(bench, built, "appliance");
  await configure(bench, image, stringify(CONFIGURATION));
  [port] = await freePorts(1);
  next = await makeUpdate(bench, built, NEXT);
  const update = await updateDrive(bench, [next, await hangingUpdate(), ...wrongUpdates(next)]);
  drives = { ...emptyDrives(bench, "ouray", ["a", "journal"]), update };
}, BUILD_DEADLINE_MS + 60_000);
afterAll(() => bench.close());

/** An update that hangs in the check of the first partition, and whose watchdog is less patient than that of others. */
async function hangingUpdate(): Promise<string> {
  const init = readFileSync(join(root, "image/root/init"), "utf8");
  const impatient = init.replace(/boot_seconds_max=\d+/, "boot_seconds_max=10");
  expect(impatient).not.toBe(init);
  return makeUpdate(bench, built, HANGING, {
    init: impatient,
    "sbin/fsck.vfat": "#!/bin/sh\necho '<4>antipode: this firmware hangs' >/dev/kmsg\nexec sleep 86400\n",
  });
}

/** Such as no appliance of this image may take, small, since that is seen at their beginning. */
function wrongUpdates(next: string): readonly string[] {
  const small = readFileSync(next).subarray(0, SMALL_BYTES);
  const cut = bench.write("cut.update", small);
  const bytes = Uint8Array.from(small);
  bytes[SIGNATURE_OFFSET] ^= 1;
  const forged = bench.write("forged.update", bytes);
  const signer = signerOf(readFileSync(built.privateKey, "utf8"), built.privateKey);
  const toaster = updateOf(ukiOf(NEXT), NEXT, signer, linuxSignatures, { product: "toaster" });
  return [cut, forged, bench.write("foreign.update", toaster)];
}

function boot(resets = false): Promise<Appliance> {
  return Appliance.boot(bench, { image, drives, ports: { 8080: port }, more: resets ? RESETS : [] });
}

/** A boot of what has a site, which proves itself. */
async function bootProven(): Promise<Appliance> {
  const appliance = await boot();
  await appliance.says(/antipode: this firmware has proven itself/);
  await appliance.loginAgain();
  return appliance;
}

const install = (appliance: Appliance, file: string) =>
  appliance.command(`firmware install /update/${file}`, "", INSTALL_DEADLINE_MS);

function request(init: RequestInit = {}, deadlineMs = REQUEST_DEADLINE_MS): Promise<Response> {
  const headers = { authorization: `Basic ${btoa(`admin:${PASSWORD}`)}` };
  const signal = AbortSignal.timeout(deadlineMs);
  return fetch(`http://127.0.0.1:${port}/firmware`, { ...init, headers, signal });
}

const answers = () =>
  request().then(
    ({ status }) => status === 200,
    () => false,
  );

it("refuses what is no update for it, and comes back from a commit that cut off who made it", async () => {
  const appliance = await boot();
  await appliance.says(/antipode: this firmware has proven itself/);
  await appliance.login();
  await until(answers, () => "management to answer", APPLY_DEADLINE_MS);

  await appliance.command("configure");
  await appliance.command("set network.interfaces.eth0.addresses [10.0.2.99/24]");
  expect(await appliance.command("commit confirmed 1", "", APPLY_DEADLINE_MS)).toMatch(
    /Revision 2 is committed[\s\S]*The network is set up anew/,
  );
  expect(await answers()).toBe(false);
  for (const [file, code] of [
    ["forged", "signature"],
    ["cut", "truncated"],
    ["foreign", "product"],
  ]) {
    const refused = await appliance.command(`run firmware install /update/${file}.update`, "", INSTALL_DEADLINE_MS);
    expect(refused).toContain(`(firmware.${code})`);
  }
  await until(answers, () => "the address that was changed to be back", BACK_DEADLINE_MS);
  const told = /Nobody confirmed the last commit\. Revision 3: back to revision 1/;
  await until(
    () => told.test(appliance.line),
    () => `${told} in\n${appliance.line}`,
    APPLY_DEADLINE_MS,
  );
  // Whatever was told in between, the next prompt is the one after this answer.
  await appliance.begin("run show revision 3", /group: image[\s\S]*?ouray# /, ANSWER_DEADLINE_MS);
  await appliance.command("exit");
  expect(await appliance.command("show appliance")).toMatch(
    new RegExp(`slot +${VERSION}: good, running[^]*change +none: as flashed[^]*10\\.0\\.2\\.15/24 on eth0`),
  );
  await appliance.begin(`firmware install /update/${NEXT}.update`, /writing: [1-8]\d %/, INSTALL_DEADLINE_MS);
  await appliance.powerCut();
});

it("runs on after a power cut in the middle of an update, and takes it when it is given again, over the network too", async () => {
  const unfinished = new RegExp(`running +${VERSION}\n[^]*slot +${VERSION}: good, running[^]*UNFINISHED`);
  const cutWhileWriting = await bootProven();
  expect(await cutWhileWriting.command("show firmware")).toMatch(unfinished);
  await cutWhileWriting.begin(`firmware install /update/${NEXT}.update`, /reading back: \d\d %/, INSTALL_DEADLINE_MS);
  await cutWhileWriting.powerCut();

  const cutWhileReading = await bootProven();
  expect(await cutWhileReading.command("show firmware")).toMatch(unfinished);
  await until(answers, () => "management to answer", APPLY_DEADLINE_MS);
  const body = readFileSync(next);
  const answer = await request({ method: "PUT", body }, INSTALL_DEADLINE_MS);
  const lines = (await answer.text()).trimEnd().split("\n");
  expect(lines.length).toBeGreaterThan(10);
  expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ kind: "result", firmware: { running: VERSION, next: NEXT } });
  expect(await cutWhileReading.command("show firmware")).toMatch(new RegExp(`slot +${NEXT}: on trial, 3 starts left`));
  await cutWhileReading.restart();
});

it("runs the new version, and the old one again after a rollback", async () => {
  const after = await bootProven();
  const status = await after.command("show appliance");
  expect(status).toMatch(new RegExp(`running +${NEXT}\n[^]*slot +${NEXT}: good, running`));
  expect(status).toContain(`update from ${VERSION} to ${NEXT}`);
  expect(after.line).not.toMatch(/failed|going on without|several drives/);
  expect(await after.command("firmware rollback")).toMatch(new RegExp(`next +${VERSION}\n`));
  await after.restart();

  const back = await bootProven();
  expect(await back.command("show firmware")).toMatch(
    new RegExp(`running +${VERSION}\n[^]*slot +${VERSION}: good, running[^]*an operator chose ${VERSION}`),
  );
  expect(await install(back, `${HANGING}.update`)).toMatch(new RegExp(`next +${HANGING}\n`));
  await back.restart();
});

it("falls back by itself from a version that hangs while it boots, and says why", async () => {
  const appliance = await boot(true);
  await appliance.says(/antipode: this firmware has proven itself/, FALL_BACK_DEADLINE_MS);
  expect(appliance.line.match(/antipode: this firmware hangs/g)).toHaveLength(3);
  await appliance.loginAgain();
  expect(await appliance.command("show firmware")).toMatch(
    new RegExp(`running +${VERSION}\n[^]*FELL BACK: ${HANGING} did not come up in 3 starts`),
  );
  await appliance.powerOff();
});
