/** What is in memory after boot, and all of it: busybox, the antipode binary with its libraries, modules, /init. */

import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { Tree } from "./cpio.ts";
import type { DebianPackages } from "./debian.ts";
import { VERSION } from "./identity.ts";
import type { ModuleTree } from "./modules.ts";
import { run } from "./run.ts";

/** Programs of busybox that the boot, its scripts and the antipode command use. */
const APPLETS = (
  "acpid cat chmod chown cp cut date dmesg find findfs free grep hostname init ip kill ln mdev mkdir modprobe mount mv netstat poweroff readlink " +
  "reboot rm route sed seq sh sleep sort stat stty sync sysctl touch tr udhcpc umount uname unshare xargs"
).split(" ");

/** Where things are mounted, or made while it runs. */
const FOLDERS = [
  "proc",
  "sys",
  "dev",
  "run",
  "config",
  "log",
  "efi",
  "update",
  "usb",
  "etc/openntpd",
  "var/lib/openntpd/db",
  "var/lib/openntpd/run",
];

/** The loader's path is written into every program that is linked with the C library. */
const LOADER = "lib64/ld-linux-x86-64.so.2";
const LIBRARIES = "lib/x86_64-linux-gnu";
/** What the binary is linked with; the C library answers names by itself. */
const LIBC_PARTS = ["libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6"];
const ISAL = "libisal.so.2";
const LIBCAP_NG = "libcap-ng.so.0";

export interface Ingredients {
  readonly packages: DebianPackages;
  readonly modules: ModuleTree;
  /** The compiled command's path. */
  readonly binary: string;
  /** Folder of files that are taken as they are. */
  readonly overlay: string;
  /** Public keys that updates are held to, in PEM. Without them no update is taken until the owner gives keys. */
  readonly trusted?: string;
}

export function initramfsTree({ packages, modules, binary, overlay, trusted }: Ingredients): Tree {
  const tree = new Tree();
  const program = (path: string, from: string) =>
    tree.add(path, { kind: "file", mode: 0o755, content: readFileSync(realpathSync(from)) });

  for (const folder of FOLDERS) tree.add(folder, { kind: "folder" });
  tree.add("tmp", { kind: "folder", mode: 0o700 });
  tree.add("dev/console", { kind: "device", major: 5, minor: 1 });
  for (const path of readdirSync(overlay, { recursive: true, encoding: "utf8", withFileTypes: true })) {
    if (!path.isFile()) continue;
    const from = join(path.parentPath, path.name);
    const to = from.slice(overlay.length + 1);
    const content = readFileSync(from);
    const mode = content.toString("latin1", 0, 2) === "#!" ? 0o755 : 0o644;
    tree.add(to, { kind: "file", mode, content });
  }
  tree.add("etc/antipode-release", { kind: "file", content: new TextEncoder().encode(`${VERSION}\n`) });

  if (trusted !== undefined) {
    tree.add("etc/antipode/firmware-keys.pem", { kind: "file", content: new TextEncoder().encode(trusted) });
  }

  program("bin/busybox", join(packages.busybox.root, "bin/busybox"));
  for (const applet of APPLETS) tree.add(`bin/${applet}`, { kind: "link", to: "busybox" });
  // Where the kernel looks for it.
  tree.add("sbin/modprobe", { kind: "link", to: "../bin/busybox" });

  program("bin/antipode", binary);
  program(LOADER, join(packages.libc.root, LIBRARIES, "ld-linux-x86-64.so.2"));
  for (const part of LIBC_PARTS) program(`${LIBRARIES}/${part}`, join(packages.libc.root, LIBRARIES, part));
  program(`${LIBRARIES}/${ISAL}`, join(packages.isal.root, "usr", LIBRARIES, ISAL));
  program("bin/setpriv", join(packages.rights.root, "usr/bin/setpriv"));
  program(`${LIBRARIES}/${LIBCAP_NG}`, join(packages.capabilities.root, LIBRARIES, LIBCAP_NG));

  program("sbin/fsck.vfat", join(packages.fat.root, "sbin/fsck.fat"));
  program("sbin/e2fsck", join(packages.ext4.root, "sbin/e2fsck.static"));
  program("usr/sbin/ntpd", join(packages.time.root, "usr/sbin/ntpd"));
  for (const file of modules.files) tree.add(file, { kind: "file", content: readFileSync(join(modules.root, file)) });
  return tree;
}

/** @param level of zstd: 19 for what is shipped, 3 for what is only tested */
export function compress(archive: Uint8Array, level: number): Uint8Array {
  return run("zstd", [`-${level}`, "-T0", "--check", "-c", "-q"], { input: archive });
}
