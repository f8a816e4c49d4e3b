/** Which drives an array takes in the place of a missing member, and how they are made ready for it. */

import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, lba } from "../base/units.ts";
import type { Drive } from "../platform/drive.ts";
import { formatUuid } from "../platform/random.ts";
import type { World } from "../platform/world.ts";
import { prepare } from "./create.ts";
import { encodeJoinMark } from "./join-mark.ts";
import { HEAD_BLOCKS, JOIN_MARK_BLOCK, TAIL_BLOCKS, ZONE_BLOCKS, ZONES_FIRST_BLOCK, zonesOf } from "./member-layout.ts";
import type { Membership } from "./membership.ts";
import { look } from "./signatures.ts";

/** The slot that a new drive is to take. Throws `raid.rebuilding`, `raid.not-missing` or `raid.duplicate-drive`. */
export function newSlot({ members, rebuilding }: Membership, name: string, drive: Drive): number {
  if (rebuilding !== undefined) {
    throw new OperatingError(
      "raid.rebuilding",
      `Array ${name} is rebuilding its member at ${rebuilding.path}.`,
      "Add the next drive when that is done.",
    );
  }
  const user = members.find((member) => member.attached && member.path === drive.path);
  if (user !== undefined) {
    throw new OperatingError(
      "raid.duplicate-drive",
      `Drive ${drive.path} is slot ${user.slot} of array ${name} already.`,
      "Add another drive.",
    );
  }
  const missing = members.find((member) => !member.attached);
  if (missing !== undefined) return missing.slot;
  throw new OperatingError(
    "raid.not-missing",
    `Array ${name} lacks no member.`,
    "Keep the drive until one of them fails.",
  );
}

/**
 * Rejects with `raid.too-small`, or with `raid.foreign` where a drive is neither blank nor of the array.
 *
 * @param arrayUuid the array's; `undefined` takes a drive whatever is on it
 */
export async function checkNewDrive(
  world: World,
  name: string,
  drive: Drive,
  zones: number,
  arrayUuid: Uint8Array | undefined,
): Promise<void> {
  if (drive.blockSize !== BLOCK_BYTES || zonesOf(drive.blockCount) < zones) {
    throw new OperatingError(
      "raid.too-small",
      `Drive ${drive.path} has ${drive.blockCount} blocks of ${drive.blockSize} bytes, too few for array ${name}.`,
      `Use one with at least ${ZONES_FIRST_BLOCK + zones * ZONE_BLOCKS + TAIL_BLOCKS} blocks of ${BLOCK_BYTES} bytes.`,
    );
  }
  if (arrayUuid === undefined) return;
  const { blank, superblock, joining, what } = await look(drive, world.memory, world.arithmetic);
  const owner = superblock?.arrayUuid ?? joining;
  if (blank || (owner !== undefined && formatUuid(owner) === formatUuid(arrayUuid))) return;
  throw new OperatingError(
    "raid.foreign",
    `Drive ${drive.path} is not blank: it holds ${what}.`,
    `Add another drive to array ${name}, or give overwrite if its content may be lost.`,
  );
}

/**
 * Clears a drive: no block of it was ever written. Rejects as the drive does. `unmark` follows once it has superblocks;
 * until then assembly leaves it out.
 */
export async function clear(world: World, drive: Drive, zones: number, arrayUuid: Uint8Array): Promise<void> {
  const head = world.memory.allocate(HEAD_BLOCKS * BLOCK_BYTES);
  try {
    const mark = head.subarray(JOIN_MARK_BLOCK * BLOCK_BYTES, (JOIN_MARK_BLOCK + 1) * BLOCK_BYTES);
    encodeJoinMark(arrayUuid, mark, world.arithmetic);
    await drive.write(lba(JOIN_MARK_BLOCK), mark);
    await drive.flush();
    await prepare(world, drive, zones, head);
  } finally {
    world.memory.free(head);
  }
}

/** Removes the mark that `clear` left. Rejects as the drive does. */
export async function unmark(world: World, drive: Drive): Promise<void> {
  const zeros = world.memory.allocate(BLOCK_BYTES);
  try {
    await drive.write(lba(JOIN_MARK_BLOCK), zeros);
    await drive.flush();
  } finally {
    world.memory.free(zeros);
  }
}
