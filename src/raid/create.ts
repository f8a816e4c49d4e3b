/**
 * Makes an array on drives. What is on them is lost, so nothing is written before every drive was looked at.
 * Superblocks come last: a creation that was cut short leaves drives that are blank, or no array.
 */

import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, type ByteCount, KiB, type Lba, lba, MiB } from "../base/units.ts";
import type { Drive } from "../platform/drive.ts";
import { randomUuid } from "../platform/random.ts";
import type { World } from "../platform/world.ts";
import { type ArrayLevel, MEMBERS_MIN } from "./geometry.ts";
import {
  CHUNK_BLOCKS_MAX,
  checksumBlock,
  MEMBER_BLOCKS_MIN,
  TAIL_BLOCKS,
  ZONE_BLOCKS,
  ZONES_FIRST_BLOCK,
  zonesOf,
} from "./member-layout.ts";
import { writeCopy } from "./membership.ts";
import { look } from "./signatures.ts";
import { encodeSuperblock, MEMBERS_MAX, NAME_BYTES_MAX, SUPERBLOCK_BYTES, type Superblock } from "./superblock.ts";

export interface CreateOptions {
  readonly name: string;
  readonly group: string;
  readonly level: ArrayLevel;
  /** A power of two, 4 KiB to 1 MiB. */
  readonly chunkBytes: ByteCount;
  /** Create it whatever is on the drives. */
  readonly overwrite?: boolean;
}

/** Blocks that one unmap covers while a drive is prepared. */
const UNMAP_BLOCKS = 262_144;
/** Checksum blocks written at once where the drive cannot unmap. */
const ZEROS_AT_ONCE = 32;
/** Checksum blocks read back to see that an unmap left zeros. */
const SAMPLES = 16;

export async function createArray(world: World, drives: readonly Drive[], options: CreateOptions): Promise<void> {
  checkShape(drives, options);
  if (options.overwrite !== true) await checkBlank(world, drives, options);
  const zones = Math.min(...drives.map((drive) => zonesOf(drive.blockCount)));
  await Promise.all(drives.map((drive) => prepare(world, drive, zones)));
  const superblock: Superblock = {
    level: options.level,
    slot: 0,
    clean: true,
    unsettled: false,
    lineage: 0,
    previous: 0,
    chunkBlocks: options.chunkBytes / BLOCK_BYTES,
    generation: 1,
    arrayUuid: randomUuid(world.random),
    session: new Uint8Array(16),
    zones,
    name: options.name,
    group: options.group,
    members: drives.map(() => ({ uuid: randomUuid(world.random), state: "active", since: 0, rebuilt: 0 })),
    volumes: [],
  };
  const buffer = world.memory.allocate(SUPERBLOCK_BYTES);
  try {
    for (const [slot, drive] of drives.entries()) {
      encodeSuperblock({ ...superblock, slot }, buffer, world.arithmetic);
      await writeCopy(drive, buffer, superblock.generation, "head");
      await writeCopy(drive, buffer, superblock.generation, "tail");
    }
  } finally {
    world.memory.free(buffer);
  }
}

/** Rejects names that a superblock cannot hold. */
export function checkName(what: string, name: string): void {
  const bytes = new TextEncoder().encode(name).length;
  if (bytes >= 1 && bytes <= NAME_BYTES_MAX && !name.includes("\0")) return;
  throw new OperatingError(
    "raid.bad-name",
    `The ${what} name "${name}" has ${bytes} bytes.`,
    `Give it one of 1 to ${NAME_BYTES_MAX} bytes.`,
  );
}

function checkShape(drives: readonly Drive[], options: CreateOptions): void {
  checkName("array", options.name);
  checkName("group", options.group);
  const { level, name, chunkBytes } = options;
  const chunk = chunkBytes / BLOCK_BYTES;
  if (!Number.isInteger(chunk) || chunk < 1 || chunk > CHUNK_BLOCKS_MAX || (chunk & (chunk - 1)) !== 0) {
    throw new OperatingError(
      "raid.bad-chunk",
      `Array ${name} has a chunk of ${chunkBytes} bytes.`,
      `Make it a power of two, from ${BLOCK_BYTES / KiB} KiB to ${(CHUNK_BLOCKS_MAX * BLOCK_BYTES) / KiB} KiB.`,
    );
  }
  if (drives.length < MEMBERS_MIN[level] || drives.length > MEMBERS_MAX) {
    throw new OperatingError(
      "raid.bad-shape",
      `Array ${name} of level ${level} has ${drives.length} drives.`,
      `Give it ${MEMBERS_MIN[level]} to ${MEMBERS_MAX} drives.`,
    );
  }
  checkDistinct(name, drives);
  for (const drive of drives) {
    if (drive.blockSize === BLOCK_BYTES && drive.blockCount >= MEMBER_BLOCKS_MIN) continue;
    throw new OperatingError(
      "raid.too-small",
      `Drive ${drive.path} has ${drive.blockCount} blocks of ${drive.blockSize} bytes.`,
      `Use one with at least ${MEMBER_BLOCKS_MIN} blocks of ${BLOCK_BYTES} bytes.`,
    );
  }
}

export function checkDistinct(name: string, drives: readonly Drive[]): void {
  const seen = new Set<string>();
  for (const { path } of drives) {
    if (seen.has(path)) {
      throw new OperatingError(
        "raid.duplicate-drive",
        `Drive ${path} is given twice for array ${name}.`,
        "Name each drive once.",
      );
    }
    seen.add(path);
  }
}

async function checkBlank(world: World, drives: readonly Drive[], options: CreateOptions): Promise<void> {
  for (const drive of drives) {
    const sighting = await look(drive, world.memory, world.arithmetic);
    if (sighting.blank) continue;
    throw new OperatingError(
      "raid.foreign",
      `Drive ${drive.path} is not blank: it holds ${sighting.what}.`,
      `Use another drive for array ${options.name}, or give overwrite if its content may be lost.`,
    );
  }
}

/**
 * Leaves no old superblock, no log, and checksum blocks of zeros: every block never written.
 *
 * @param head what the head is to hold; zeros unless told otherwise
 */
export async function prepare(world: World, drive: Drive, zones: number, head?: Uint8Array): Promise<void> {
  const zeros = world.memory.allocate(MiB);
  try {
    await drive.write(lba(0), head ?? zeros);
    await drive.write(lba(drive.blockCount - TAIL_BLOCKS), zeros);
    await drive.flush();
    await drive.write(lba(ZONES_FIRST_BLOCK - zeros.length / BLOCK_BYTES), zeros);
    if (!(await unmapZones(world, drive, zones))) await zeroChecksums(drive, zones, zeros.subarray(0, BLOCK_BYTES));
    await drive.flush();
  } finally {
    world.memory.free(zeros);
  }
}

/** @returns whether the checksum blocks are zeros now, as far as samples can tell */
async function unmapZones(world: World, drive: Drive, zones: number): Promise<boolean> {
  const end = ZONES_FIRST_BLOCK + zones * ZONE_BLOCKS;
  const buffer = world.memory.allocate(BLOCK_BYTES);
  try {
    for (let at = ZONES_FIRST_BLOCK; at < end; at += UNMAP_BLOCKS) {
      await drive.unmap(lba(at), Math.min(UNMAP_BLOCKS, end - at));
    }
    for (let sample = 0; sample < Math.min(SAMPLES, zones); sample++) {
      const zone = sample < 2 ? sample * (zones - 1) : world.random.below(Math.min(zones, 0xffffffff));
      await drive.read(checksumBlock(zone), buffer);
      if (buffer.some((byte) => byte !== 0)) return false;
    }
    return true;
  } catch {
    // A drive that cannot unmap is written instead; one that is broken fails that.
    return false;
  } finally {
    world.memory.free(buffer);
  }
}

async function zeroChecksums(drive: Drive, zones: number, zeros: Uint8Array): Promise<void> {
  for (let first = 0; first < zones; first += ZEROS_AT_ONCE) {
    const targets: Lba[] = [];
    for (let zone = first; zone < Math.min(first + ZEROS_AT_ONCE, zones); zone++) targets.push(checksumBlock(zone));
    await Promise.all(targets.map((target) => drive.write(target, zeros)));
  }
}
