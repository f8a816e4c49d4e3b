/**
 * The firmware image, as `npm run image` builds it but compressed less: that the same sources make the same bytes, that
 * it boots by UEFI, is configured on its serial line, and what it says of itself there.
 */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { DISK_BYTES } from "../../image/disk.ts";
import { UKI_NAME, UPDATE_NAME, VERSION } from "../../image/identity.ts";
import type { Sbom } from "../../image/manifest.ts";
import { tool } from "../conformance/initiator.ts";
import { until, Workbench } from "../conformance/workbench.ts";
import { Appliance, configure, emptyDrives, filesOf, LONE_SITE, listening, PASSWORD } from "./appliance.ts";
import { BUILD_DEADLINE_MS, type BuiltImage, build, builtImage, flash } from "./built-image.ts";

/** What an update is allowed to take, and a stick of 1 GB holds. */
const UKI_BYTES_MAX = 90e6;
const STICK_BYTES = 1e9;
/** A site that ends and starts again, without hardware virtualisation. */
const APPLY_DEADLINE_MS = 120_000;
/** The minute that a commit waits, and what comes on top of it. */
const CONFIRM_DEADLINE_MS = 120_000;

let bench: Workbench;
let image: BuiltImage;

beforeAll(async () => {
  bench = new Workbench();
  image = await builtImage(bench);
}, BUILD_DEADLINE_MS + 60_000);
afterAll(() => bench.close());

describe("the image", () => {
  const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

  it("is the same bytes from the same sources, all of its files", async () => {
    const second = bench.path("second");
    await build(bench, second, image.privateKey);
    const files = readdirSync(image.folder).sort();
    expect(files).toEqual([`antipode-${VERSION}.img`, `antipode-${VERSION}.spdx.json`, UKI_NAME, UPDATE_NAME].sort());
    for (const file of files) expect(sha256(join(second, file)), file).toBe(sha256(join(image.folder, file)));
  });

  it("fits a stick of 1 GB, and its kernel image is no larger than an update may be", () => {
    expect(statSync(image.disk).size).toBe(DISK_BYTES);
    expect(DISK_BYTES).toBeLessThan(STICK_BYTES);
    expect(statSync(image.uki).size).toBeLessThan(UKI_BYTES_MAX);
  });

  it("has file systems without fault, and a table of partitions that others read", async () => {
    const table = await tool(bench, "/usr/sbin/sfdisk", "--verify", image.disk);
    expect(table).toContain("No errors detected");
    const dump: { partitiontable: { partitions: { name: string; start: number; size: number }[] } } = JSON.parse(
      await tool(bench, "/usr/sbin/sfdisk", "--json", image.disk),
    );
    const { partitions } = dump.partitiontable;
    expect(partitions.map(({ name }) => name)).toEqual(["antipode-efi", "antipode-config", "antipode-log"]);
    for (const { name, start, size } of partitions) {
      const part = bench.path(name);
      await tool(
        bench,
        "dd",
        `if=${image.disk}`,
        `of=${part}`,
        "bs=512",
        `skip=${start}`,
        `count=${size}`,
        "conv=sparse",
        "status=none",
      );
      truncateSync(part, size * 512);
      if (name === "antipode-efi") await tool(bench, "/usr/sbin/fsck.vfat", "-n", part);
      else await tool(bench, "/usr/sbin/e2fsck", "-f", "-n", part);
    }
  });

  it("has an update file beside it, which the key that it was signed with vouches for", async () => {
    const { folder, update, publicKeys } = image;
    const { code, text } = await bench.antipode("firmware", "check", update, "--keys", publicKeys, "--esp", folder);
    expect(code, text).toBe(0);
    expect(text).toContain(`update   ${VERSION} for antipode x86-64`);
  });

  it("has a manifest that names every package with its version and licence", () => {
    const sbom: Sbom = JSON.parse(readFileSync(join(image.folder, `antipode-${VERSION}.spdx.json`), "utf8"));
    const names = sbom.packages.map(({ name }) => name);
    for (const name of [
      "antipode",
      "busybox-static",
      "libc6",
      "libisal2",
      "util-linux",
      "libcap-ng0",
      "smartmontools",
      "nut-client",
      "etcd-server",
      "openntpd",
      "systemd-boot-efi",
      "dosfstools",
      "e2fsck-static",
      "bun",
      "zod",
    ])
      expect(names).toContain(name);
    expect(names.some((name) => /^linux-image-\d/.test(name))).toBe(true);
    expect(names).not.toContain("vitest");
    expect(new Set(sbom.packages.map(({ SPDXID }) => SPDXID)).size).toBe(names.length);
    for (const { name, versionInfo, licenseDeclared, attributionTexts } of sbom.packages) {
      expect(versionInfo, name).toMatch(/\d/);
      expect(licenseDeclared, name).toMatch(/^[A-Za-z0-9.-]+( (AND|OR|WITH) [A-Za-z0-9.-]+)*$/);
      expect(attributionTexts, name).toBeDefined();
    }
  });
});

/** The configuration of an appliance that stores what a site sends that is not there. */
const ALONE = { ...LONE_SITE, network: { interfaces: { eth0: { addresses: ["192.0.2.1/24"] } } } };

describe("the appliance", () => {
  it("comes up without a configuration, says so, and is configured on its serial line by a script", async () => {
    const blank = await flash(bench, image, "blank");
    const appliance = await Appliance.boot(bench, {
      image: blank,
      drives: emptyDrives(bench, "blank", ["a", "journal"]),
    });
    await appliance.says(/antipode: version \S+, Linux 6\./);
    await appliance.says(/safe mode: this appliance is up, without a site/);
    const banner = await appliance.login();
    expect(banner).toMatch(/No revision of the configuration in \/config can be used: there is none/);
    // Every fault of the boot is said with these words.
    expect(appliance.line).not.toMatch(/failed|going on without|several drives/);

    await appliance.command("configure");
    await appliance.command("load terminal", `${stringify(ALONE)}\x04`);
    expect(await appliance.command("commit", "", APPLY_DEADLINE_MS)).toMatch(
      /Revision 1 is committed[\s\S]*The site runs on it/,
    );
    expect(await appliance.command("run show status")).toContain("mirror of group image");
    const status = await appliance.command("run show appliance");
    expect(status).toContain("192.0.2.1/24 on eth0");
    expect(status).toContain("rights   user antipode, capabilities none\n");
    expect(status).not.toMatch(/IT CAN|not in use/);
    // The link, which the configuration names, and nothing else.
    expect(listening(status)).toEqual(["tcp 0.0.0.0:7400"]);

    // A break, as the driver of the line reports it, ends what runs.
    await appliance.begin("run monitor", /mirror of group image/, APPLY_DEADLINE_MS);
    await appliance.sendBreak();

    // A change that cuts the operator off, were the operator not at a serial line.
    await appliance.command("set network.interfaces.eth0.addresses [192.0.2.99/24]");
    expect(await appliance.command("commit confirmed 1", "", APPLY_DEADLINE_MS)).toMatch(
      /Revision 2 is committed[\s\S]*The network is set up anew; the site runs on\./,
    );
    expect(await appliance.command("run show appliance")).toContain("192.0.2.99/24 on eth0");
    await appliance.says(/Nobody confirmed the last commit\. Revision 3/, CONFIRM_DEADLINE_MS);
    // The console on the screen may have been quicker, and then this one does not tell when it is carried out.
    await appliance.says(/(?:the site runs on|Another console carries that out)\.\s+ouray# /, APPLY_DEADLINE_MS);
    await until(
      async () => (await appliance.command("run show appliance")).includes("192.0.2.1/24 on eth0"),
      () => "the address of before",
      APPLY_DEADLINE_MS,
    );
    expect(await appliance.command("run show revisions")).toMatch(/back to revision 1: revision 2 was not confirmed/);
    await appliance.powerOff();

    const kept = await filesOf(bench, blank, "config");
    expect(kept.map(({ name }) => name)).toEqual(expect.arrayContaining(["users.json", "revision-1.yaml"]));
    const logs = await filesOf(bench, blank, "log");
    expect(logs.map(({ name }) => name)).toEqual(expect.arrayContaining(["site.log", "console-ttyS0.log"]));
    for (const { name, mode } of [...kept, ...logs]) expect(mode, name).toBe("100600");
    const users: { users: { salt: string; hash: string }[] } = JSON.parse(
      kept.find(({ name }) => name === "users.json")?.text ?? "",
    );
    const secrets = [PASSWORD, ...users.users.flatMap(({ salt, hash }) => [salt, hash])];
    expect(secrets).toHaveLength(3);
    const shown = [appliance.line, ...logs.map(({ text }) => text)].join("\n");
    for (const secret of secrets) expect(shown).not.toContain(secret);
  });

  it("starts a site that ends again and again, later each time, and keeps the reason", async () => {
    const faulty = await flash(bench, image, "faulty");
    await configure(bench, faulty, stringify(ALONE));
    const appliance = await Appliance.boot(bench, { image: faulty });
    for (const pause of [1, 2, 4]) {
      await appliance.says(/the site process ended after \d+ s with code 3: /);
      await appliance.says(new RegExp(`starting it again in ${pause} s`));
    }
    await appliance.login();
    expect(await appliance.command("show appliance")).toMatch(
      /last end of the site process: \S+Z .*code 3: .*virtio-journal/,
    );
    await appliance.powerOff();
  });
});
