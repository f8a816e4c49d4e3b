/**
 * The system of the guest of `npm run bench -- lio`: Debian's kernel with its iSCSI target, and in memory tgtd and the
 * clients as they are installed on this machine, Bun, and this project's programs for the guest, bundled.
 */

import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fetchIngredients } from "../image/debian.ts";
import { type GuestFiles, GuestSystem } from "../image/guest-system.ts";
import { BuildError, runText } from "../image/run.ts";
import { BenchFailure } from "./failure.ts";
import type { GuestPlan } from "./guest-lines.ts";

const CACHE = join(import.meta.dirname, "../image/cache");
const INIT = join(import.meta.dirname, "guest/init");
/** The disk in memory and its file system; the kernel's target, and what it is set up in. */
const MODULES = "brd ext4 crc32c_generic configfs target_core_mod target_core_file iscsi_target_mod".split(" ");
const PROGRAMS = [
  "usr/sbin/tgtd",
  "usr/sbin/tgtadm",
  "usr/bin/qemu-img",
  "usr/bin/iscsi-perf",
  "sbin/mke2fs",
  // What qemu-img opens by name.
  "usr/lib/x86_64-linux-gnu/qemu/block-iscsi.so",
  // What the C library opens by name, when a thread is cancelled.
  "lib/x86_64-linux-gnu/libgcc_s.so.1",
];
/** Each bundled into one file of its own name in the guest's folder /bench, where each looks for the other. */
const SCRIPTS = ["guest/rounds.ts", "package-server.ts"];

/** @throws BenchFailure where something of this machine is missing for it */
export function makeGuestSystem(folder: string, plan: GuestPlan): GuestFiles {
  try {
    return make(folder, plan);
  } catch (error) {
    throw error instanceof BuildError ? new BenchFailure(error.message) : error;
  }
}

function make(folder: string, plan: GuestPlan): GuestFiles {
  const { kernel, busybox } = fetchIngredients(CACHE, ["kernel", "busybox"]);
  const init = readFileSync(INIT, "utf8");
  const guest = new GuestSystem(folder, { kernel, busybox, roots: ["/"], modules: MODULES, init });
  for (const path of PROGRAMS) guest.programs.add(path);
  guest.programs.addFrom("bin/bun", process.execPath);
  for (const source of SCRIPTS) guest.text(`bench/${basename(source)}`, bundle(join(import.meta.dirname, source)));
  guest.text("etc/plan.json", JSON.stringify(plan));
  guest.text("etc/passwd", "root:x:0:0:root:/run:/bin/sh\n");
  return guest.write();
}

function bundle(source: string): string {
  return runText(process.execPath, ["build", "--target=bun", "--format=esm", source]);
}
