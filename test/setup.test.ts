/** Holds what set-up does about Debian's packages, with a machine of fake commands; it changes nothing here. */

import { spawnSync } from "node:child_process";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");
const script = join(root, "setup/install-packages.sh");
const IMAGE_PACKAGES = [
  "libisal2",
  "e2fsprogs",
  "binutils",
  "dosfstools",
  "fdisk",
  "kmod",
  "mtools",
  "sbsigntool",
  "zstd",
];
/** In the order of the list, which is the order in which they are installed. */
const TEST_PACKAGES = [
  ...["libisal2", "libiscsi-bin", "qemu-utils", "qemu-block-extra", "tgt", "qemu-system-x86", "ovmf", "nut-server"],
  ...["openssl", "systemd-boot-efi", ...IMAGE_PACKAGES.slice(1)],
];
const allBut = (...missing: readonly string[]) => TEST_PACKAGES.filter((name) => !missing.includes(name));

let machine: string;
beforeEach(() => {
  machine = mkdtempSync(join(tmpdir(), "antipode-setup-"));
  writeFileSync(join(machine, "log"), "");
});
afterEach(() => rmSync(machine, { recursive: true, force: true }));

/** Node itself: `bun --bun` puts a `node` in front of the path that is Bun. */
function node(): string {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    if (folder.includes("bun-node")) continue;
    try {
      accessSync(join(folder, "node"), constants.X_OK);
      return join(folder, "node");
    } catch {} // not in this folder
  }
  throw new Error("node is not in the path");
}

/** A command that does as told; those that change the machine write down how they were called. */
function command(name: string, does: string): void {
  const log = ["sh", "sudo"].includes(name) ? `echo "${name} $*" >>"${machine}/log"` : "";
  writeFileSync(join(machine, name), `#!/bin/sh\n${log}\n${does}\n`, { mode: 0o755 });
}

function installed(...names: readonly string[]): void {
  command("dpkg-query", names.map((name) => `echo "${name}:amd64 installed"`).join("\n"));
}

function setUp(purpose: string): { code: number | null; out: string; calls: string[] } {
  const { status, stdout, stderr } = spawnSync(node(), [join(root, "setup/setup.mjs"), purpose], {
    env: { PATH: machine },
    encoding: "utf8",
  });
  const calls = readFileSync(join(machine, "log"), "utf8").split("\n").slice(0, -1);
  return { code: status, out: stdout + stderr, calls };
}

describe("set-up", () => {
  it("is silent and calls nothing when nothing is missing", () => {
    installed(...TEST_PACKAGES);
    expect(setUp("test")).toEqual({ code: 0, out: "", calls: [] });
  });

  it("looks only for what its purpose needs", () => {
    installed("libisal2");
    expect(setUp("start")).toEqual({ code: 0, out: "", calls: [] });
    installed(...IMAGE_PACKAGES);
    expect(setUp("image")).toEqual({ code: 0, out: "", calls: [] });
  });

  it("counts a package whose files are gone as missing", () => {
    command("dpkg-query", 'echo "libisal2 config-files"');
    expect(setUp("start").out).toContain("libisal2 is not installed");
  });

  it("starts without what it can do without, and says how it does", () => {
    installed();
    const { code, out } = setUp("start");
    expect(code).toBe(0);
    expect(out).toMatch(/^set-up: libisal2 is not installed .*computed in TypeScript instead/);
    expect(out).toContain(`sudo sh ${script} libisal2`);
  });

  it("ends with the command to run by hand where it cannot install", () => {
    installed(...allBut("libiscsi-bin", "qemu-utils", "qemu-block-extra", "e2fsprogs"));
    const { code, out } = setUp("test");
    expect(code).toBe(1);
    expect(out).toContain(`Run this by hand: sudo sh ${script} libiscsi-bin qemu-utils qemu-block-extra e2fsprogs`);
  });

  it("installs what is missing, as root or with sudo", () => {
    installed(...allBut("tgt", "e2fsprogs"));
    command("apt-get", "exit 0");
    command("sh", "exit 0");
    command("sudo", "exit 0");
    const { code, out, calls } = setUp("test");
    expect(code).toBe(0);
    expect(out).toContain("tgt: Debian's iSCSI target");
    const install = `sh ${script} tgt e2fsprogs`;
    expect(calls).toEqual(process.getuid?.() === 0 ? [install] : ["sudo -n true", `sudo -n ${install}`]);
  });

  it("fails where the installation fails", () => {
    installed("libisal2");
    command("apt-get", "exit 0");
    command("sh", "exit 100");
    command("sudo", '[ "$2" = true ]');
    const { code, out } = setUp("test");
    expect(code).toBe(1);
    expect(out).toContain("apt-get could not install them");
  });

  it("refuses a purpose that it does not have", () => {
    installed();
    expect(setUp("everything").code).toBe(1);
  });
});
