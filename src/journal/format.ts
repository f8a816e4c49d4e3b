/** Makes a new journal on a drive, and refuses to where the drive holds anything, unless it is told to overwrite. */

import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, epoch, lba, MiB, sequence } from "../base/units.ts";
import type { Drive } from "../platform/drive.ts";
import { randomUuid } from "../platform/random.ts";
import type { World } from "../platform/world.ts";
import { LOG_BYTES_MIN } from "./log-window.ts";
import { encodeFirstSuperblocks, type JournalOwner, NAME_BYTES_MAX, RING_START_BYTES } from "./superblock.ts";

/** The ring's size is a multiple of this, so that the format does not depend on odd sizes of drives. */
const RING_GRAIN_BYTES = MiB;
/** What is looked at for content at either end of the drive. */
const PROBE_BYTES = MiB;

/** Whose the journal will be. */
export interface FormatOptions extends JournalOwner {
  /** Whether what the drive holds may be lost. */
  readonly overwrite?: boolean;
}

/** As `Journal.format`. */
export async function formatJournal(world: World, drive: Drive, options: FormatOptions): Promise<void> {
  assert(drive.blockSize === BLOCK_BYTES, `journal on a drive of ${drive.blockSize}-byte blocks`);
  for (const name of [options.group, options.site]) {
    const nameBytes = new TextEncoder().encode(name).length;
    assert(nameBytes > 0 && nameBytes <= NAME_BYTES_MAX, `name of ${nameBytes} bytes`);
  }
  const space = drive.blockCount * BLOCK_BYTES - RING_START_BYTES;
  const ringBytes = space - (space % RING_GRAIN_BYTES);
  if (ringBytes < LOG_BYTES_MIN) {
    throw new OperatingError(
      "journal.size",
      `${drive.path} has ${drive.blockCount * BLOCK_BYTES} bytes, which is too small for a journal.`,
      `Give the journal a drive of at least ${4 * MiB} bytes.`,
    );
  }
  if (!options.overwrite) await refuseContent(world, drive);
  const head = world.memory.allocate(RING_START_BYTES);
  try {
    // An old journal's superblocks must be gone before the first new one is there.
    await drive.write(lba(0), head, { fua: true });
    encodeFirstSuperblocks(world.arithmetic, head, {
      uuid: randomUuid(world.random),
      group: options.group,
      site: options.site,
      driveBlocks: drive.blockCount,
      ringBytes,
      closed: true,
      promised: epoch(0),
      tailPosition: 0,
      tailHash: 0,
      retired: sequence(0),
      retiredEpoch: epoch(0),
      durablePosition: 0,
      opening: { number: 0, position: 0, sequence: sequence(0) },
      history: [],
      arrays: [],
    });
    await drive.write(lba(0), head, { fua: true });
  } finally {
    world.memory.free(head);
  }
}

/** Rejects with `journal.exists` where either end of the drive holds anything but zeros. */
async function refuseContent(world: World, drive: Drive): Promise<void> {
  const bytes = Math.min(PROBE_BYTES, drive.blockCount * BLOCK_BYTES);
  const buffer = world.memory.allocate(bytes);
  try {
    for (const first of [0, drive.blockCount - bytes / BLOCK_BYTES]) {
      await drive.read(lba(first), buffer);
      const at = firstNonZero(buffer);
      if (at < 0) continue;
      throw new OperatingError(
        "journal.exists",
        `${drive.path} is not blank: there is content at byte ${first * BLOCK_BYTES + at}.`,
        "Check that it is the right drive; format it with overwrite if its content is not needed.",
      );
    }
  } finally {
    world.memory.free(buffer);
  }
}

function firstNonZero(bytes: Uint8Array): number {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== 0) return at;
  return -1;
}
