/** What this machine is made of, with a look at what its drives hold. */

import { isOperatingError } from "../base/operating-error.ts";
import type { Machine, MachineDrive } from "../console/machine.ts";
import type { ListedDrive } from "../platform/drive-list.ts";
import { fileExists, readText } from "../platform/linux/host-files.ts";
import { listDrives } from "../platform/linux/linux-drive-list.ts";
import { networkLinks } from "../platform/linux/linux-links.ts";
import type { World } from "../platform/world.ts";
import { look } from "../raid/signatures.ts";
import { isAppliance } from "./appliance-places.ts";

const WATCHDOG_IDENTITY = "/sys/class/watchdog/watchdog0/identity";

export async function lookAtMachine(world: World): Promise<Machine> {
  const drives: MachineDrive[] = [];
  // One after the other: two ends of a drive are read in no time, and memory for all at once would not be.
  for (const drive of listDrives()) drives.push(await lookAt(world, drive));
  const cards = isAppliance() ? networkLinks().filter(({ kind }) => kind === "interface") : [];
  const watchdog = fileExists(WATCHDOG_IDENTITY) ? readText(WATCHDOG_IDENTITY).trim() : undefined;
  return { drives, cards, watchdog };
}

async function lookAt(world: World, listed: ListedDrive): Promise<MachineDrive> {
  if (listed.usedBy !== undefined) return listed;
  try {
    const drive = await world.drives.open(listed.path, "read-only");
    try {
      const { blank, what } = await look(drive, world.memory, world.arithmetic);
      return blank ? listed : { ...listed, holds: what };
    } finally {
      await drive.close();
    }
  } catch (error) {
    if (isOperatingError(error, "drive.busy")) return { ...listed, usedBy: "in use by another process" };
    if (!isOperatingError(error)) throw error;
    return { ...listed, usedBy: `unreadable: ${error.what}` };
  }
}
