/** The drives of this machine, from the kernel's own list of them. */

import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { byteCount } from "../../base/units.ts";
import type { ListedDrive } from "../drive-list.ts";

/** The kernel counts in these, whatever a drive's own blocks are. */
const SECTOR_BYTES = 512;

/** Drives without a medium of their own that lasts, and areas of a card that are not for data. */
const NO_DRIVE = /^(sr|fd|nbd|zram)\d|boot\d+$|rpmb$/;

/** Of several names that stay with a drive, the first kind that it has. */
const NAME_KINDS = ["nvme-eui.", "nvme-", "wwn-", "scsi-", "ata-", "virtio-"];

/** Partitions of the drive that an appliance starts from. */
const FIRMWARE_PARTITION = /^PARTNAME=antipode-/m;

/** Where the kernel and the system keep what is read here; others in tests. */
export interface DrivePlaces {
  readonly block: string;
  readonly byId: string;
  readonly mounts: string;
}

const PLACES: DrivePlaces = { block: "/sys/block", byId: "/dev/disk/by-id", mounts: "/proc/mounts" };

export function listDrives(places: DrivePlaces = PLACES): readonly ListedDrive[] {
  const names = stableNames(places.byId);
  const mounts = new Map(
    readText(places.mounts)
      .split("\n")
      .map((line) => line.split(" ", 2))
      .flatMap(([device, folder]) => (device.startsWith("/dev/") ? [[basename(device), folder] as const] : [])),
  );
  return readdirSync(places.block)
    .filter((name) => !NO_DRIVE.test(name) && existsSync(`${places.block}/${name}/device`))
    .sort(byNumber)
    .flatMap((name): readonly ListedDrive[] => {
      const folder = `${places.block}/${name}`;
      const size = Number(readText(`${folder}/size`)) * SECTOR_BYTES;
      if (!(size > 0)) return [];
      const partitions = readdirSync(folder).filter((each) => existsSync(`${folder}/${each}/partition`));
      const model = readText(`${folder}/device/model`).trim();
      const path = names.get(name) ?? `/dev/${name}`;
      const usedBy = user(folder, name, partitions, mounts);
      return [{ path, size: byteCount(size), model, partitions: partitions.length, usedBy }];
    });
}

function user(
  folder: string,
  name: string,
  partitions: readonly string[],
  mounts: ReadonlyMap<string, string>,
): string | undefined {
  if (partitions.some((part) => FIRMWARE_PARTITION.test(readText(`${folder}/${part}/uevent`)))) {
    return "the firmware's own drive";
  }
  for (const each of [name, ...partitions]) {
    const mounted = mounts.get(each);
    if (mounted !== undefined) return `in use: mounted at ${mounted}`;
    const holders = `${folder}/${each === name ? "" : `${each}/`}holders`;
    const [holder] = existsSync(holders) ? readdirSync(holders) : [];
    if (holder !== undefined) return `in use: a part of ${holder}`;
  }
  return readText(`${folder}/ro`).trim() === "1" ? "write-protected" : undefined;
}

/** By the kernel's name of a drive, the best of those that stay with it. */
function stableNames(byId: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const rank = (link: string) => NAME_KINDS.findIndex((kind) => link.startsWith(kind));
  const links = (existsSync(byId) ? readdirSync(byId) : []).filter((link) => rank(link) >= 0);
  for (const link of links.sort((a, b) => rank(b) - rank(a) || byNumber(b, a))) {
    const path = `${byId}/${link}`;
    // A link whose drive is just being pulled out leads nowhere.
    if (existsSync(path)) found.set(basename(realpathSync(path)), path);
  }
  return found;
}

function byNumber(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/** Empty where there is none: what one kind of drive has, another lacks. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
