/**
 * The image to flash: a GPT with three partitions, which fits a stick of 1 GB. Written as plain files, without root.
 *
 * - `antipode-efi`: the EFI system partition: the boot loader, and kernel images, of which there is room for several;
 * - `antipode-config`: the configuration, and nothing that can be had again;
 * - `antipode-log`: logs and what happened last; it may be lost.
 *
 * The partitions are known by these names: see `/init`.
 */

import { closeSync, ftruncateSync, mkdirSync, openSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { UKI_NAME, uuid } from "./identity.ts";
import { run } from "./run.ts";

export const MiB = 1024 * 1024;
const SECTOR_BYTES = 512;

interface Partition {
  readonly name: string;
  readonly type: string;
  readonly start: number;
  readonly bytes: number;
}

/** Types: the EFI system partition; Linux file system data. */
const ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
const LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";

export const PARTITIONS = {
  efi: { name: "antipode-efi", type: ESP, start: 1 * MiB, bytes: 512 * MiB },
  config: { name: "antipode-config", type: LINUX, start: 513 * MiB, bytes: 64 * MiB },
  log: { name: "antipode-log", type: LINUX, start: 577 * MiB, bytes: 256 * MiB },
} as const satisfies Record<string, Partition>;

/** The partitions, and a last MiB with the second copy of the partition table. */
export const DISK_BYTES = 834 * MiB;

/** No menu, unless a key is held while it starts; and nobody edits the kernel's command line. */
const LOADER_CONFIG = "timeout 0\neditor no\nauto-firmware no\nconsole-mode keep\n";

export interface DiskParts {
  readonly uki: string;
  /** The boot loader's path. */
  readonly loader: string;
}

export function makeDisk(parts: DiskParts, work: string, output: string): void {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const files = {
    efi: makeEfi(parts, work),
    config: makeExt4("config", work),
    log: makeExt4("log", work),
  };
  makeSparse(output, DISK_BYTES);
  partition(output);
  for (const [key, { start, bytes }] of Object.entries(PARTITIONS)) {
    copyInto(output, start, files[key as keyof typeof files], bytes);
  }
}

function makeSparse(path: string, bytes: number): void {
  rmSync(path, { force: true });
  const file = openSync(path, "w");
  ftruncateSync(file, bytes);
  closeSync(file);
}

function makeEfi({ uki, loader }: DiskParts, work: string): string {
  const path = join(work, "efi.vfat");
  makeSparse(path, PARTITIONS.efi.bytes);
  const volume = uuid("efi").replaceAll("-", "").slice(0, 8);
  run("mkfs.vfat", ["--invariant", "-F", "32", "-n", "ANTIPODE", "-i", volume, path]);

  const loaderConfig = join(work, "loader.conf");
  writeFileSync(loaderConfig, LOADER_CONFIG);
  run("mmd", ["-i", path, "::/EFI", "::/EFI/BOOT", "::/EFI/Linux", "::/loader"]);
  for (const [from, to] of [
    [loader, "EFI/BOOT/BOOTX64.EFI"],
    [loaderConfig, "loader/loader.conf"],
    [uki, `EFI/Linux/${UKI_NAME}`],
  ]) {
    run("mcopy", ["-i", path, from, `::/${to}`]);
  }
  return path;
}

function makeExt4(key: "config" | "log", work: string): string {
  const path = join(work, `${key}.ext4`);
  makeSparse(path, PARTITIONS[key].bytes);
  const identity = ["-U", uuid(key), "-E", `hash_seed=${uuid(`${key} hash`)},root_owner=0:0,lazy_itable_init=0`];
  run("mke2fs", ["-q", "-t", "ext4", "-m", "0", "-L", PARTITIONS[key].name, ...identity, path]);
  return path;
}

function partition(path: string): void {
  const rows = Object.entries(PARTITIONS).map(([key, { name, type, start, bytes }]) => {
    const [first, sectors] = [start / SECTOR_BYTES, bytes / SECTOR_BYTES];
    return `start=${first}, size=${sectors}, type=${type}, uuid=${uuid(`${key} partition`)}, name="${name}"`;
  });
  const table = ["label: gpt", `label-id: ${uuid("disk")}`, ...rows, ""].join("\n");
  run("sfdisk", ["-q", "--no-reread", "--no-tell-kernel", path], { input: table });
}

/** Leaves out what is all zeros, so that the image stays sparse. */
function copyInto(disk: string, start: number, path: string, bytes: number): void {
  const [from, to] = [openSync(path, "r"), openSync(disk, "r+")];
  const [part, zeros] = [Buffer.alloc(MiB), Buffer.alloc(MiB)];
  for (let at = 0; at < bytes; at += part.length) {
    readSync(from, part, 0, part.length, at);
    if (!part.equals(zeros)) writeSync(to, part, 0, part.length, start + at);
  }
  closeSync(from);
  closeSync(to);
}
