/**
 * The system of a SAN host: Debian's kernel, and in memory the programs of Debian's packages by which its users mount
 * LUNs: open-iscsi, multipath-tools, udev, xfsprogs. Nothing in it is of this project's making but `/init`, the way in
 * for tests, and the program that writes a load.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inject } from "vitest";
import { fetchIngredients, fetchNamed } from "../../image/debian.ts";
import { type GuestFiles, GuestSystem, guestFiles } from "../../image/guest-system.ts";
import { run } from "../../image/run.ts";
import type {} from "./image-folder.ts";
import { madeOnce } from "./made-once.ts";
import { SHELL_SCRIPT } from "./shell-port.ts";

const root = join(import.meta.dirname, "../..");
const own = join(import.meta.dirname, "san-host-root");

/** Besides what the image itself is made of. */
const PACKAGES = (
  "open-iscsi multipath-tools kpartx udev dmsetup sg3-utils-udev xfsprogs " +
  // What their programs are linked with.
  "libopeniscsiusr libisns0 libmount1 libkmod2 libssl3 libsystemd0 libaio1 libdevmapper1.02.1 libedit2 libjson-c5 " +
  "libudev1 liburcu8 libblkid1 libinih1 libuuid1 libselinux1 libpcre2-8-0 libcap2 libacl1 liblzma5 libzstd1 liblz4-1 " +
  "libgcrypt20 libgpg-error0 libtinfo6 libbsd0 libmd0 libgcc-s1"
).split(" ");

const PROGRAMS = [
  "sbin/iscsid",
  "sbin/iscsiadm",
  "sbin/multipath",
  "sbin/multipathd",
  "sbin/mkfs.xfs",
  "sbin/xfs_repair",
  "sbin/dmsetup",
  "sbin/kpartx",
  "bin/udevadm",
  // Opened by name: how threads are cancelled.
  "lib/x86_64-linux-gnu/libgcc_s.so.1",
];

const MODULES =
  "virtio_pci virtio_net virtio_console iscsi_tcp sd_mod sg dm_multipath dm_service_time scsi_dh_alua xfs crc32c_generic".split(
    " ",
  );

/** Groups that udev's rules name. */
const GROUPS = "root tty kmem input sgx video render audio lp disk cdrom tape kvm dialout".split(" ");

export const INITIATOR = "iqn.1993-08.org.debian:01:sanhost";

/** Made once for all the tests of a run. */
export async function sanHostSystem(): Promise<GuestFiles> {
  const folder = join(inject("imageFolder"), "san-host");
  await madeOnce(folder, make);
  return guestFiles(folder);
}

async function make(folder: string): Promise<void> {
  const cache = join(root, "image/cache");
  const { kernel, busybox, libc } = fetchIngredients(cache, ["kernel", "busybox", "libc"]);
  const roots = [libc.root, ...fetchNamed(cache, PACKAGES).map((fetched) => fetched.root)];
  const init = readFileSync(join(own, "init"), "utf8");
  const guest = new GuestSystem(folder, { kernel, busybox, roots, modules: MODULES, init });

  for (const path of PROGRAMS) guest.programs.add(path);
  for (const path of ["lib/udev", "lib/udev/rules.d", "lib/multipath"]) guest.programs.addAll(path);
  guest.link("lib/systemd/systemd-udevd", "/bin/udevadm");
  guest.text("bin/shell-port", SHELL_SCRIPT, 0o755);
  guest.text("etc/multipath.conf", readFileSync(join(own, "multipath.conf"), "utf8"));
  guest.text("etc/iscsi/initiatorname.iscsi", `InitiatorName=${INITIATOR}\n`);
  guest.text("etc/iscsi/iscsid.conf", readFileSync(join(rootOf(roots, "open-iscsi"), "etc/iscsi/iscsid.conf"), "utf8"));
  guest.text("etc/passwd", "root:x:0:0:root:/run:/bin/sh\n");
  guest.text("etc/group", GROUPS.map((name, id) => `${name}:x:${id}:\n`).join(""));
  guest.programs.addFrom("bin/san-load", compileLoad(folder));
  guest.write();
}

function rootOf(roots: readonly string[], name: string): string {
  const found = roots.find((path) => path.includes(`/${name}_`));
  if (found === undefined) throw new Error(`no package ${name}`);
  return found;
}

/** @returns the program's path */
function compileLoad(work: string): string {
  const program = join(work, "san-load");
  const source = join(import.meta.dirname, "san-load.ts");
  run(process.execPath, ["build", "--target=bun", "--format=esm", "--compile", source, "--outfile", program]);
  return program;
}
