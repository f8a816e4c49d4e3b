/** `antipode firmware`: keys, images and updates as their makers and an appliance's operator handle them, right and wrong. */

import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, it } from "vitest";
import { CONFIGURATION_FORMAT } from "../../src/config/format.ts";
import { Revisions } from "../../src/config/revisions.ts";
import { Users } from "../../src/console/users.ts";
import { ukiOf } from "../../src/firmware/firmware-testing.ts";
import { linuxClock } from "../../src/platform/linux/linux-clock.ts";
import { linuxFiles } from "../../src/platform/linux/linux-files.ts";
import { linuxPasswords } from "../../src/platform/linux/linux-passwords.ts";
import { linuxRandom } from "../../src/platform/linux/linux-random.ts";
import { ANTIPODE, Workbench } from "../conformance/workbench.ts";
import { EXIT, expectRefusal } from "./refusal.ts";

let bench: Workbench;
beforeEach(() => {
  bench = new Workbench();
});
afterEach(() => bench.close());

const CONFIGURATION = `site: { name: boston }
group: g
role: mirror
drives: [/dev/a]
arrays: { main: { level: 1, drives: [0] } }
volumes: { db01: { array: main, size: 512MiB, lun: 7 } }
journal: { device: /dev/j }
link: { listen: "[::]:7400", from: [denver] }
`;
const FILLER = 3 * 1024 * 1024 + 17;

/** @param reads the highest format of configurations that it reads */
async function image(release: string, reads: number = CONFIGURATION_FORMAT): Promise<Uint8Array> {
  const { stdout } = await bench.antipode("firmware", "os-release", "--release", release);
  const osRelease = stdout.replace(/(ANTIPODE_CONFIGURATION_[A-Z]+)=\d+/g, `$1=${reads}`);
  return ukiOf(release, { osRelease, filler: FILLER });
}

/** An appliance that systemd-boot started from version 1.1.0, beside which is 1.0.0. */
async function appliance(): Promise<readonly string[]> {
  for (const folder of ["efi/EFI/Linux", "efivars"]) mkdirSync(bench.path(folder), { recursive: true });
  for (const version of ["1.0.0", "1.1.0"])
    writeFileSync(bench.path(`efi/EFI/Linux/antipode_${version}.efi`), await image(version));
  const selected = Buffer.from("\x07\0\0\0antipode_1.1.0.efi\0", "latin1");
  const variable = Buffer.concat([
    selected.subarray(0, 4),
    Buffer.from(selected.subarray(4).toString("latin1"), "utf16le"),
  ]);
  writeFileSync(bench.path("efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"), variable);
  return [
    "--esp",
    bench.path("efi"),
    "--efivars",
    bench.path("efivars"),
    "--keys",
    bench.path("keys/firmware-keys.pem"),
    "--revisions",
    bench.path("revisions"),
  ];
}

const slots = () => readdirSync(bench.path("efi/EFI/Linux")).sort();

async function signed(version: string, key = "keys", reads?: number): Promise<string> {
  const [from, into] = [bench.path(`${version}.efi`), bench.path(`${version}-${key}.update`)];
  writeFileSync(from, await image(version, reads));
  const privateKey = bench.path(`${key}/firmware-key.pem`);
  const made = await bench.antipode("firmware", "sign", from, "--key", privateKey, "--into", into);
  expect(made.code, made.text).toBe(0);
  return into;
}

it("makes keys, signs an image, installs it, and goes back", async () => {
  const options = await appliance();
  expect((await bench.antipode("firmware", "keygen", bench.path("keys"))).code).toBe(0);
  expect(statSync(bench.path("keys/firmware-key.pem")).mode & 0o777).toBe(0o600);
  const update = await signed("1.2.0");

  const checked = await bench.antipode("firmware", "check", update, "--json", ...options);
  expect(JSON.parse(checked.stdout)).toMatchObject({ version: "1.2.0", product: "antipode x86-64" });
  expect(slots()).toEqual(["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);

  const installed = await bench.antipode("firmware", "install", update, ...options);
  expect(installed.code, installed.text).toBe(0);
  expect(slots()).toEqual(["antipode_1.1.0.efi", "antipode_1.2.0+3.efi"]);
  const written = readFileSync(bench.path("efi/EFI/Linux/antipode_1.2.0+3.efi"));
  expect(written.equals(readFileSync(bench.path("1.2.0.efi")))).toBe(true);
  const shown = await bench.antipode("firmware", "show", ...options);
  expect(shown.stdout.replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/, "THEN")).toBe(
    [
      "running  1.1.0",
      "next     1.2.0",
      "slot     1.2.0: on trial, 3 starts left, 3.0 MiB",
      "slot     1.1.0: good, running, 3.0 MiB",
      "change   update from 1.1.0 to 1.2.0, THEN UTC",
      "         waits for the next start",
      "",
    ].join("\n"),
  );

  const back = await bench.antipode("firmware", "rollback", "--json", ...options);
  expect(JSON.parse(back.stdout)).toMatchObject({ running: "1.1.0", next: "1.1.0" });
  expect(slots()).toEqual(["antipode_1.1.0.efi", "antipode_1.2.0+0.efi"]);
  expect((await bench.antipode("firmware", "good", ...options)).stdout).toBe("it was marked good already\n");
});

it("refuses what is not to be installed, by name, and changes nothing", async () => {
  const options = await appliance();
  for (const folder of ["keys", "stranger"]) await bench.antipode("firmware", "keygen", bench.path(folder));
  const update = await signed("1.2.0");
  const bytes = readFileSync(update);
  const put = (name: string, content: Uint8Array) => {
    writeFileSync(bench.path(name), content);
    return bench.path(name);
  };
  const damaged = Uint8Array.from(bytes);
  damaged[2_000_000] ^= 1;
  const cases: readonly (readonly [file: string, code: string])[] = [
    [await signed("1.2.0", "stranger"), "firmware.untrusted"],
    [put("short", bytes.subarray(0, 2_000_000)), "firmware.truncated"],
    [put("damaged", damaged), "firmware.damaged"],
    [bench.path("1.2.0.efi"), "firmware.foreign"],
    [bench.path("none"), "firmware.missing"],
    [await signed("1.1.0"), "firmware.running"],
  ];
  for (const [file, code] of cases) {
    expectRefusal(await bench.antipode("firmware", "install", file, ...options), EXIT.operation, code);
  }
  const keyless = [...options, "--keys", bench.path("none")];
  expectRefusal(await bench.antipode("firmware", "check", update, ...keyless), EXIT.operation, "firmware.keys");
  expect(slots()).toEqual(["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);
});

it("refuses a firmware that can't read the newest revision of the configuration, forwards and back", async () => {
  const options = await appliance();
  await bench.antipode("firmware", "keygen", bench.path("keys"));
  const update = await signed("1.2.0");
  // What runs is a release that writes a format which those of this test do not know.
  const newest = new Revisions(bench.path("revisions"), linuxFiles(), linuxClock(), {
    format: CONFIGURATION_FORMAT + 1,
  });
  await newest.commit({ text: CONFIGURATION, author: "ada", base: 0 });
  // Whoever runs can't read it either, and then nothing gets worse.
  expect((await bench.antipode("firmware", "check", update, ...options)).code).toBe(0);

  const older = new Revisions(bench.path("revisions"), linuxFiles(), linuxClock());
  await older.commit({ text: CONFIGURATION, author: "ada", base: 1 });
  writeFileSync(bench.path("efi/EFI/Linux/antipode_1.0.0.efi"), await image("1.0.0", 0));
  const low = await signed("1.3.0", "keys", 0);
  for (const command of [["install", low], ["check", low], ["rollback"]]) {
    const refused = await bench.antipode("firmware", ...command, ...options);
    expectRefusal(refused, EXIT.operation, "firmware.downgrade", "reads configurations up to format 0, and this");
  }
  expect(slots()).toEqual(["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);
});

it("takes an update over HTTP from a user of the console, with progress, and nothing from others", async () => {
  const options = await appliance();
  await bench.antipode("firmware", "keygen", bench.path("keys"));
  const bytes = readFileSync(await signed("1.2.0"));
  const users = new Users(bench.path("revisions/users.json"), linuxFiles(), linuxPasswords(), linuxRandom());
  await users.set("ada", "correct horse");
  const config = bench.write("config.yaml", `${CONFIGURATION}management: { listen: "127.0.0.1:0" }\n`);
  const management = bench.start(ANTIPODE, ["management", config, ...options, "--uploads", bench.dir]);
  await management.says('"msg":"management is up"');
  const [, address = ""] = /"listen":"([^"]+)"/.exec(management.text) ?? [];
  const url = `http://${address}/firmware`;
  const asAda = { authorization: `Basic ${btoa("ada:correct horse")}` };

  expect((await fetch(url)).status).toBe(401);
  const cut = await fetch(url, { method: "PUT", headers: asAda, body: bytes.subarray(0, 2_000_000) });
  expect(cut.status).toBe(422);
  expect(await cut.json()).toMatchObject({ code: "firmware.truncated" });
  expect(slots()).toEqual(["antipode_1.0.0.efi", "antipode_1.1.0.efi"]);

  const taken = await fetch(url, { method: "PUT", headers: asAda, body: bytes });
  const lines = (await taken.text())
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.at(-1)).toMatchObject({ kind: "result", firmware: { running: "1.1.0", next: "1.2.0" } });
  expect(lines.length).toBeGreaterThan(3);
  expect(slots()).toEqual(["antipode_1.1.0.efi", "antipode_1.2.0+3.efi"]);
  expect(readdirSync(bench.dir).filter((name) => name.startsWith("antipode-upload"))).toEqual([]);
  const shown = await fetch(url, { headers: asAda });
  expect(await shown.json()).toMatchObject({ next: "1.2.0", upload: { state: "installed" } });

  const wrong = { authorization: `Basic ${btoa("ada:wrong")}` };
  expect((await fetch(url, { headers: wrong })).status).toBe(401);
  expect(management.text).not.toContain("correct horse");
  expect(await management.stop()).toBe(0);
});

it("says what keeps management from being up, and that it was not asked for", async () => {
  const without = await bench.antipode("management", bench.write("none.yaml", CONFIGURATION));
  expect([without.code, without.text]).toEqual([0, expect.stringContaining("has no 'management'")]);
  const tls = (certificate: string) =>
    bench.write(
      "tls.yaml",
      `${CONFIGURATION}management: { listen: "127.0.0.1:0", tls: { key: k, certificate: ${certificate} } }`,
    );
  bench.write("k", "no key");
  expectRefusal(await bench.antipode("management", tls("c")), EXIT.operation, "management.tls", "/c can't be read");
  expectRefusal(await bench.antipode("management", tls("k")), EXIT.operation, "network.identity");
});

it("refuses wrong makers' commands", async () => {
  await bench.antipode("firmware", "keygen", bench.path("keys"));
  const again = await bench.antipode("firmware", "keygen", bench.path("keys"));
  expectRefusal(again, EXIT.operation, "firmware.key-exists", "firmware-key.pem");
  const release = await bench.antipode("firmware", "os-release", "--release", "1.2.0-rc.1");
  expectRefusal(release, EXIT.usage, "usage.release", "1.2.0-rc.1");
  writeFileSync(bench.path("image"), new Uint8Array(100));
  const sign = (key: string) =>
    bench.antipode("firmware", "sign", bench.path("image"), "--key", bench.path(key), "--into", bench.path("out"));
  expectRefusal(await sign("keys/firmware-key.pem"), EXIT.operation, "firmware.image", bench.path("image"));
  expectRefusal(await sign("keys/firmware-keys.pem"), EXIT.operation, "firmware.private-key");
});

it("has no slots on a machine that is no appliance", async () => {
  await appliance();
  await bench.antipode("firmware", "keygen", bench.path("keys"));
  const elsewhere = ["--esp", bench.path("efi"), "--efivars", bench.path("nowhere")];
  expectRefusal(await bench.antipode("firmware", "good", ...elsewhere), EXIT.operation, "firmware.not-started-here");
  expectRefusal(
    await bench.antipode("firmware", "rollback", ...elsewhere),
    EXIT.operation,
    "firmware.not-started-here",
  );
  expectRefusal(await bench.antipode("firmware", "rollback", "newest", ...elsewhere), EXIT.usage, "usage.firmware");
});
