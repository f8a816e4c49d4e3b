/**
 * The firmware image, as `npm run image` builds it but compressed less: that the same sources make the same bytes, that
 * it boots by UEFI to served LUNs, and what it says of itself on its serial line.
 */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, assert, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { DISK_BYTES } from "../../image/disk.ts";
import { UKI_NAME, UPDATE_NAME, VERSION } from "../../image/identity.ts";
import type { Sbom } from "../../image/manifest.ts";
import { qemuIo, tool } from "../conformance/initiator.ts";
import { freePorts, until, Workbench } from "../conformance/workbench.ts";
import { Appliance, configure, emptyDrives, filesOf, HOST, LONE_SITE, PASSWORD } from "./appliance.ts";
import { BUILD_DEADLINE_MS, type BuiltImage, build, builtImage, flash } from "./built-image.ts";
import { BARE_SHELL, flashBare } from "./open-image.ts";

const MiB = 2 ** 20;
/** What an update is allowed to take, and a stick of 1 GB holds. */
const UKI_BYTES_MAX = 90e6;
const STICK_BYTES = 1e9;
/** A site that ends and starts again, without hardware virtualisation. */
const APPLY_DEADLINE_MS = 120_000;
/** The minute that a commit waits, and what comes on top of it. */
const CONFIRM_DEADLINE_MS = 120_000;
/** From the kernel's start to a LUN that is served, as a multiple of that to a shell: 2.1 to 2.5 where nothing else runs. */
const BOOT_RATIO_MAX = 3;
/** Of each kind, until that shows. */
const BOOTS_MAX = 3;
/** Of an idle site with one LUN. */
const RESIDENT_MIB_MAX = 400;
const IQN = "iqn.2026-11.dev.antipode:image";
const LEGS = ["boulder", "pueblo"] as const;
const CARDS = ["52:54:00:aa:00:01", "52:54:00:aa:00:02"];
const VOLUME = { size: "64MiB", lun: 0 };

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

/** The configuration of a remote mirror site, which runs here as a plain process. */
function leg(name: string, port: number): string {
  return stringify({
    site: { name },
    group: "image",
    role: "mirror",
    drives: [{ path: `${name}-drive`, size: "128MiB" }],
    arrays: { main: { level: 1, drives: [0] } },
    volumes: { vm: { ...VOLUME, array: "main" } },
    journal: { device: `${name}-journal`, size: "32MiB", window: "8MiB", cache: "8MiB" },
    link: { listen: `127.0.0.1:${port}`, from: ["denver"] },
    control: { socket: `${name}.sock` },
  });
}

/** The configuration of an appliance that stores what a site sends that is not there. */
const ALONE = { ...LONE_SITE, network: { interfaces: { eth0: { addresses: ["192.0.2.1/24"] } } } };

/** @returns where the appliance listens, as it says itself */
function listening(status: string): readonly string[] {
  return Array.from(status.matchAll(/^ +listens +(.*)$/gm), ([, where]) => where);
}

/** The same kernel and memory to a shell: from its start, in seconds. */
async function bareBootSeconds(name: string, drives: Readonly<Record<string, string>>): Promise<number> {
  const machine = await Appliance.boot(bench, { image: await flashBare(bench, image, name), drives, cards: CARDS });
  const [, seconds] = await machine.says(new RegExp(`\\[ *([\\d.]+)\\] antipode: ${BARE_SHELL}`));
  await machine.powerCut();
  return Number(seconds);
}

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

  it("serves a LUN whose writes two remote mirror sites have, from its own drives, network and start on", async () => {
    const [portal, ...linkPorts] = await freePorts(1 + LEGS.length);
    const legs = await Promise.all(
      LEGS.map((name, at) => bench.serve(bench.write(`${name}.yaml`, leg(name, linkPorts[at])))),
    );
    const drives = emptyDrives(bench, "denver", ["a", "b", "journal"]);
    const config = stringify({
      site: { name: "denver" },
      group: "image",
      role: "primary",
      drives: ["/dev/disk/by-id/virtio-a", "/dev/disk/by-id/virtio-b"],
      arrays: { main: { level: 1, drives: [0, 1] } },
      volumes: { vm: { ...VOLUME, array: "main" } },
      journal: { device: "/dev/disk/by-id/virtio-journal" },
      // 860 is iSCSI's other port, and one that not every process may listen on.
      target: { iqn: IQN, listen: ["0.0.0.0:3260", "0.0.0.0:860"] },
      watchdog: { timeout: "10min" },
      sites: Object.fromEntries(LEGS.map((name, at) => [name, { address: `${HOST}:${linkPorts[at]}` }])),
      mirror: { legs: LEGS.map((name) => [name]) },
      network: {
        hostname: "san1",
        interfaces: {
          eth0: { addresses: ["10.0.2.15/24"] },
          // The cards' addresses give them other names than the kernel would.
          left: { mac: CARDS[1], mtu: 9000 },
          right: { mac: CARDS[0], mtu: 9000 },
        },
        bonds: { bond0: { interfaces: ["left", "right"], mtu: 9000 } },
        vlans: { hosts: { on: "bond0", id: 100, mtu: 9000, addresses: ["198.51.100.7/24"] } },
        gateway: HOST,
        dns: ["10.0.2.3"],
        ntp: [HOST],
      },
    });
    const drive = await flash(bench, image, "denver");
    await configure(bench, drive, config);
    let [bare, served] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    const boot = () => Appliance.boot(bench, { image: drive, drives, ports: { 3260: portal }, cards: CARDS });
    let appliance: Appliance | undefined;
    // The shortest of each: what else the test's machine does makes some boots longer, and none shorter.
    for (let at = 1; at <= BOOTS_MAX; at++) {
      await appliance?.powerCut();
      bare = Math.min(bare, await bareBootSeconds(`bare-${at}`, drives));
      appliance = await boot();
      const [, seconds] = await appliance.says(/\[ *([\d.]+)\] antipode: the site serves hosts/);
      served = Math.min(served, Number(seconds));
      const ratio = (served / bare).toFixed(2);
      console.log(`kernel start to a bare shell: ${bare} s, to a LUN served: ${served} s, ${ratio} times`);
      if (served / bare < BOOT_RATIO_MAX) break;
    }
    assert(appliance !== undefined, "it was booted");
    expect(served / bare).toBeLessThan(BOOT_RATIO_MAX);

    const url = `iscsi://127.0.0.1:${portal}/${IQN}/0`;
    expect(await tool(bench, "iscsi-ls", `iscsi://127.0.0.1:${portal}`)).toContain(IQN);
    expect(await tool(bench, "qemu-img", "info", url)).toMatch(/virtual size: 64 MiB/);
    await qemuIo(bench, url, "write -P 0xa7 3M 5M", "flush", "read -P 0xa7 3M 5M", "read -P 0 8M 1M");

    await appliance.login();
    const status = (await appliance.command("show appliance")) + (await appliance.command("show status"));
    expect(status).toMatch(/^san1, up/m);
    expect(status).toContain("10.0.2.15/24 on eth0");
    expect(status).toContain("198.51.100.7/24 on hosts");
    expect(status).toMatch(/watchdog i6300ESB timer, active, nowayout 1/);
    expect(status).toContain("rights   user antipode, capabilities net_bind_service\n");
    expect(status).not.toContain("IT CAN");
    expect(listening(status)).toEqual(["tcp 0.0.0.0:3260", "tcp 0.0.0.0:860"]);
    expect(status).toMatch(/clock +kept by time servers/);
    expect(status).toMatch(/state +SERVING/);
    expect(status).not.toContain("is not in use");
    const resident = Number(/memory +(\d+) MiB used by the site process/.exec(status)?.[1]);
    expect(resident).toBeGreaterThan(0);
    expect(resident).toBeLessThan(RESIDENT_MIB_MAX);
    expect(appliance.line).not.toMatch(/failed|going on without|several drives/);

    await appliance.powerOff();
    for (const [at, name] of LEGS.entries()) {
      expect(await legs[at].stop()).toBe(0);
      const { code, text } = await bench.antipode(
        "inspect",
        bench.path(`${name}.yaml`),
        "--volume",
        "vm",
        "--export",
        bench.path(name),
      );
      expect(code, text).toBe(0);
      const copy = readFileSync(bench.path(name));
      expect(copy.subarray(3 * MiB, 8 * MiB).every((byte) => byte === 0xa7)).toBe(true);
      expect(copy[3 * MiB - 1] | copy[8 * MiB]).toBe(0);
    }
  });
});
