/** What is in memory after boot, and all of it: busybox, the antipode binary, other programs, their libraries, modules, /init. */

import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { Tree } from "./cpio.ts";
import type { DebianPackages, IngredientName } from "./debian.ts";
import { VERSION } from "./identity.ts";
import { LIBRARY_FOLDER, missingLibraries } from "./libraries.ts";
import type { ModuleTree } from "./modules.ts";
import { BuildError, run } from "./run.ts";

/** Programs of busybox that the boot, its scripts and the antipode command use. */
const APPLETS = (
  "acpid cat chmod chown cp cut date dmesg find findfs free grep hostname init ip kill ln mdev mkdir modprobe mount mv netstat poweroff readlink " +
  "reboot rm route sed seq sh sleep sort stat stty sync sysctl touch tr udhcpc umount uname unshare watchdog xargs"
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

/** Programs other than busybox's applets and antipode: where each goes, and where it is in which package. */
const PROGRAMS: readonly (readonly [path: string, from: IngredientName, packaged: string])[] = [
  // Its path is written into every program that is linked with the C library.
  ["lib64/ld-linux-x86-64.so.2", "libc", `${LIBRARY_FOLDER}/ld-linux-x86-64.so.2`],
  ["bin/busybox", "busybox", "bin/busybox"],
  ["bin/setpriv", "rights", "usr/bin/setpriv"],
  ["bin/smartctl", "smart", "usr/sbin/smartctl"],
  ["bin/upsc", "ups", "bin/upsc"],
  ["bin/etcd", "etcd", "usr/bin/etcd"],
  ["sbin/fsck.vfat", "fat", "sbin/fsck.fat"],
  ["sbin/e2fsck", "ext4", "sbin/e2fsck.static"],
  ["usr/sbin/ntpd", "time", "usr/sbin/ntpd"],
];
/** Libraries that programs are linked with, or ask for by name; the C library answers names of hosts by itself. */
const LIBRARIES: readonly (readonly [from: IngredientName, folder: string, names: readonly string[]])[] = [
  ["libc", LIBRARY_FOLDER, ["libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6"]],
  ["isal", `usr/${LIBRARY_FOLDER}`, ["libisal.so.2"]],
  ["capabilities", LIBRARY_FOLDER, ["libcap-ng.so.0"]],
  ["selinux", LIBRARY_FOLDER, ["libselinux.so.1"]],
  ["patterns", `usr/${LIBRARY_FOLDER}`, ["libpcre2-8.so.0"]],
  ["cxx", `usr/${LIBRARY_FOLDER}`, ["libstdc++.so.6"]],
  ["gcc", LIBRARY_FOLDER, ["libgcc_s.so.1"]],
  ["upsClient", LIBRARY_FOLDER, ["libupsclient.so.6"]],
  ["nss", `usr/${LIBRARY_FOLDER}`, ["libnss3.so", "libnssutil3.so", "libssl3.so"]],
  ["nspr", `usr/${LIBRARY_FOLDER}`, ["libnspr4.so", "libplc4.so", "libplds4.so"]],
];
/** By which smartctl knows what makers' numbers mean: where it looks, and where it is in the package. */
const DRIVE_DATABASE = ["var/lib/smartmontools/drivedb/drivedb.h", "usr/share/smartmontools/drivedb.h"] as const;

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

  program("bin/antipode", binary);
  for (const [path, from, packaged] of PROGRAMS) program(path, join(packages[from].root, packaged));
  for (const [from, folder, names] of LIBRARIES) {
    for (const name of names) program(`${LIBRARY_FOLDER}/${name}`, join(packages[from].root, folder, name));
  }
  const [database, packaged] = DRIVE_DATABASE;
  tree.add(database, { kind: "file", content: readFileSync(join(packages.smart.root, packaged)) });
  for (const applet of APPLETS) tree.add(`bin/${applet}`, { kind: "link", to: "busybox" });
  // Where the kernel looks for it.
  tree.add("sbin/modprobe", { kind: "link", to: "../bin/busybox" });

  for (const file of modules.files) tree.add(file, { kind: "file", content: readFileSync(join(modules.root, file)) });
  const missing = missingLibraries(tree);
  if (missing.length > 0) throw new BuildError(`${missing.join(", ")}: add it to image/initramfs.ts`);
  return tree;
}

/** @param level of zstd: 19 for what is shipped, 3 for what is only tested */
export function compress(archive: Uint8Array, level: number): Uint8Array {
  return run("zstd", [`-${level}`, "-T0", "--check", "-c", "-q"], { input: archive });
}
