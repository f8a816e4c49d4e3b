/**
 * A site's drives, arrays, volumes and journal, brought up from its configuration.
 *
 * Nothing is ever laid out over what is there: a blank journal together with blank drives is a new site, and is set
 * up; a journal or array that is blank while the rest is not was exchanged or lost, and is refused.
 */

import type { BlockDevice } from "../base/block-device.ts";
import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, type VolumeId, volumeId } from "../base/units.ts";
import type { Config } from "../config/config.ts";
import { Journal } from "../journal/journal.ts";
import { ReadCache } from "../journal/read-cache.ts";
import type { Drive } from "../platform/drive.ts";
import type { World } from "../platform/world.ts";
import { type ArrayEvent, DiskArray, type GenerationMemory } from "../raid/disk-array.ts";

export interface Storage {
  readonly journalDrive: Drive;
  readonly journal: Journal;
  readonly cache: ReadCache;
  readonly arrays: ReadonlyMap<string, DiskArray>;
  /** The stored volumes; empty for a site without storage. */
  readonly volumes: ReadonlyMap<VolumeId, BlockDevice>;
  /** Drives that were configured but could not be opened, and why. */
  readonly missing: readonly OperatingError[];
  /**
   * Puts the drive that is now at a configured path into an array, in the place of a missing member, and begins to
   * rebuild it. Rejects as `DiskArray.add` does, as `Drives.open` does, or with `site.no-array`, `site.no-drive`.
   */
  addDrive(array: string, path: string, overwrite: boolean): Promise<void>;
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Lay out journal and arrays anew, whatever the drives hold. */
  readonly overwrite: boolean;
  /** Use a level 5 array that lost a member in a crash, although the stripes in flight then may be torn. */
  readonly acceptDirtyDegraded: boolean;
  readonly onArrayEvent: (array: string, event: ArrayEvent) => void;
}

/** Brings everything up for writing. What was opened is closed again if it fails. */
export async function openStorage(world: World, config: Config, options: OpenOptions): Promise<Storage> {
  const opened: { close(): Promise<void> }[] = [];
  try {
    const { drives, missing } = await openDrives(world, config, opened);
    const { drive: journalDrive, isNew } = await openOrCreate(world, config.journal.device, config.journal.size);
    opened.push(journalDrive);
    const journal = await openOrFormat(world, config, journalDrive, isNew, drives, options.overwrite);
    opened.push(journal);
    const memory: GenerationMemory = {
      known: (arrayUuid) => journal.arrayGeneration(arrayUuid),
      keep: (arrayUuid, generation) => journal.keepArrayGeneration(arrayUuid, generation),
    };

    const arrays = new Map<string, DiskArray>();
    for (const [name, section] of Object.entries(config.arrays)) {
      const members = section.drives.map((index) => drives[index]).filter((drive) => drive !== undefined);
      const { acceptDirtyDegraded } = options;
      const { group } = config;
      const array = await DiskArray.assemble(world, members, { name, group, acceptDirtyDegraded, memory });
      array.onEvent = (event) => options.onArrayEvent(name, event);
      arrays.set(name, array);
      opened.push(array);
    }
    const volumes = await openVolumes(config, arrays);
    const cache = new ReadCache(world, config.journal.cache);
    const addDrive = async (name: string, path: string, overwrite: boolean) => {
      const array = arrayThatMayUse(config, arrays, name, path);
      await drives[config.drives.findIndex((drive) => drive.path === path)]?.close();
      const drive = await world.drives.open(path, "read-write");
      try {
        await array.add(drive, { overwrite });
      } catch (error) {
        await drive.close();
        throw error;
      }
      drives[config.drives.findIndex((each) => each.path === path)] = drive;
      opened.unshift(drive);
    };
    const close = () => closeAll(opened);
    return { journalDrive, journal, cache, arrays, volumes, missing, addDrive, close };
  } catch (error) {
    await closeAll(opened).catch(() => {});
    throw error;
  }
}

/** The array of that name, if the drive at the path is one of its own and not in use by it now. */
function arrayThatMayUse(
  config: Config,
  arrays: ReadonlyMap<string, DiskArray>,
  name: string,
  path: string,
): DiskArray {
  const array = arrays.get(name);
  if (array === undefined) {
    const known = [...arrays.keys()].join(", ") || "none";
    throw new OperatingError("site.no-array", `There is no array '${name}'.`, `Arrays are: ${known}.`);
  }
  const paths = config.arrays[name].drives.map((index) => config.drives[index].path);
  if (!paths.includes(path)) {
    throw new OperatingError(
      "site.no-drive",
      `Array ${name} has no drive ${path} in the configuration.`,
      `Put the new drive where a missing one was: ${paths.join(", ")}.`,
    );
  }
  const user = array.status.members.find((member) => member.path === path);
  if (user?.state === "active" || user?.state === "rebuilding") {
    throw new OperatingError(
      "site.drive-in-use",
      `Drive ${path} is slot ${user.slot} of array ${name}, and ${user.state}.`,
      "Name the drive that takes the place of a missing one (show array).",
    );
  }
  return array;
}

/** Closes all, last opened first, whatever fails on the way; then fails as the first did. */
async function closeAll(opened: readonly { close(): Promise<void> }[]): Promise<void> {
  const failures: unknown[] = [];
  for (const each of [...opened].reverse()) await each.close().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

async function openDrives(
  world: World,
  config: Config,
  opened: { close(): Promise<void> }[],
): Promise<{ drives: (Drive | undefined)[]; missing: OperatingError[] }> {
  const drives: (Drive | undefined)[] = [];
  const missing: OperatingError[] = [];
  for (const { path, size } of config.drives) {
    try {
      const { drive } = await openOrCreate(world, path, size);
      drives.push(drive);
      opened.push(drive);
    } catch (error) {
      // An array can do without a drive that is gone; one that somebody else uses is a mistake to be told of.
      if (!isOperatingError(error, "drive.missing")) throw error;
      drives.push(undefined);
      missing.push(error);
    }
  }
  return { drives, missing };
}

async function openOrCreate(
  world: World,
  path: string,
  size: Config["journal"]["size"],
): Promise<{ readonly drive: Drive; readonly isNew: boolean }> {
  try {
    return { drive: await world.drives.open(path, "read-write"), isNew: false };
  } catch (error) {
    if (size === undefined || !isOperatingError(error, "drive.missing")) throw error;
    await world.drives.create(path, size);
    return { drive: await world.drives.open(path, "read-write"), isNew: true };
  }
}

/**
 * A site is new when its journal was never set up; its drives are then refused unless they are blank too. Where there
 * are no such drives nothing tells a new journal from one that took the place of another, unless it was made just now.
 */
async function openOrFormat(
  world: World,
  config: Config,
  journalDrive: Drive,
  isNew: boolean,
  drives: readonly (Drive | undefined)[],
  overwrite: boolean,
): Promise<Journal> {
  const owner = { group: config.group, site: config.site.name };
  const options = { ...owner, windowBytes: config.journal.window };
  if (!overwrite) {
    try {
      return await Journal.open(world, journalDrive, options);
    } catch (error) {
      if (!isOperatingError(error, "journal.blank")) throw error;
      if (!isNew && Object.keys(config.arrays).length === 0) throw journalBlank(journalDrive);
    }
  }
  await format(world, config, journalDrive, drives, overwrite);
  return Journal.open(world, journalDrive, options);
}

function journalBlank({ path }: Drive): OperatingError {
  return new OperatingError(
    "site.journal-blank",
    `The journal drive ${path} is blank, and this site has no other drive that could tell whether it is a new site.`,
    "If the site is new, start it once with --overwrite. If it is not, attach the drive that its journal is on.",
  );
}

async function format(
  world: World,
  config: Config,
  journalDrive: Drive,
  drives: readonly (Drive | undefined)[],
  overwrite: boolean,
): Promise<void> {
  for (const [name, section] of Object.entries(config.arrays)) {
    const members = section.drives.map((index) => {
      const drive = drives[index];
      if (drive !== undefined) return drive;
      throw new OperatingError(
        "site.drive-missing",
        `Array ${name} is to be made, but its drive ${config.drives[index].path} is not there.`,
        "Attach the drive, or take it out of the array; a new array is made with all of its drives.",
      );
    });
    const identity = { name, group: config.group };
    try {
      await DiskArray.create(world, members, {
        ...identity,
        level: section.level,
        chunkBytes: section.chunk,
        overwrite,
      });
    } catch (error) {
      // Set-up that was cut short leaves an array of ours without a volume: there is nothing to lose in it.
      if (!isOperatingError(error, "raid.foreign") || !(await isEmptyArray(world, members, identity))) throw error;
    }
  }
  // The journal comes last: it says that the site is set up.
  await Journal.format(world, journalDrive, { group: config.group, site: config.site.name, overwrite });
}

async function isEmptyArray(
  world: World,
  members: readonly Drive[],
  identity: { readonly name: string; readonly group: string },
): Promise<boolean> {
  try {
    const array = await DiskArray.assemble(world, members, { ...identity, readOnly: true });
    await array.close();
    return array.status.state === "optimal" && array.volumes.length === 0;
  } catch (error) {
    if (isOperatingError(error)) return false;
    throw error;
  }
}

async function openVolumes(
  config: Config,
  arrays: ReadonlyMap<string, DiskArray>,
): Promise<ReadonlyMap<VolumeId, BlockDevice>> {
  const volumes = new Map<VolumeId, BlockDevice>();
  for (const [name, section] of Object.entries(config.volumes)) {
    if (section.array === undefined) continue;
    const array = arrays.get(section.array);
    if (array === undefined) continue;
    const blocks = section.size / BLOCK_BYTES;
    const device = array.volume(name) ?? (await array.createVolume(name, blocks));
    if (device.blockCount !== blocks) {
      throw new OperatingError(
        "site.volume-size",
        `Volume ${name} is ${section.size} bytes in the configuration, but ${device.blockCount * BLOCK_BYTES} bytes in array ${section.array}.`,
        "Put the stored size into the configuration; a volume can't be resized by this version.",
      );
    }
    volumes.set(volumeId(section.lun), device);
  }
  return volumes;
}
