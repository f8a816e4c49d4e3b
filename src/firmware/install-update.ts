/**
 * Puts an update into the slot that does not run, and has the next start be of it.
 *
 * Nothing is touched before the whole file has been checked, nor while the running version has yet to prove itself: the
 * other slot may be the only good one then. From then on the running slot stays whole and startable, whatever fails.
 */

import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/operating-error.ts";
import type { Files } from "../platform/files.ts";
import { checkUpdate, type Judge, sameBytes } from "./check-update.ts";
import type { OnProgress } from "./progress.ts";
import { readThrough } from "./read-through.ts";
import { formatSlotName, isSetAside, TRIES } from "./slot-name.ts";
import { INCOMING, notAsWritten, type Slot, type Slots, type SlotView } from "./slots.ts";
import { HEAD_BYTES, type Manifest } from "./update-file.ts";
import type { Version } from "./version.ts";

/** What the file system may take beside the image: the folder may grow. */
const SPARE_BYTES = 256 * 1024;

/** Throws every reason not to install it. @returns the slots as they are then */
export async function installUpdate(
  files: Files,
  slots: Slots,
  path: string,
  judge: Judge,
  onProgress: OnProgress,
): Promise<SlotView> {
  const manifest = await checkUpdate(files, path, judge, onProgress);
  const { version } = manifest;
  const { running, slots: present } = await slots.begin();
  assertReplaceable(running.slot, version);
  const others = present.filter((slot) => slot !== running.slot);

  const needed = manifest.payloadBytes + SPARE_BYTES;
  const room = await files.room(slots.folder);
  // Where there is room for three, the other slot stays until the new image is known to be on the drive.
  const fitsBeside = room >= needed;
  if (room + others.reduce((sum, { bytes }) => sum + bytes, 0) < needed) {
    throw new OperatingError(
      "firmware.no-room",
      `${slots.folder} has room for ${room} bytes, and ${needed} are needed.`,
      "Remove from that partition what is not the firmware's.",
    );
  }
  await slots.record({ cause: "update", from: running.slot.version, to: version });
  if (!fitsBeside) await removeAll(slots, others);
  const incoming = `${slots.folder}/${INCOMING}`;
  await copyImage(files, path, incoming, judge, onProgress);
  await assertWritten(files, incoming, manifest, judge, onProgress);
  if (fitsBeside) await removeAll(slots, others);
  await files.rename(incoming, `${slots.folder}/${formatSlotName({ version, tries: { left: TRIES, done: 0 } })}`);
  // Only an older version needs more than its name to be first.
  return slots.putFirst(version);
}

function assertReplaceable(running: Slot, version: Version): void {
  if (running.version === version) {
    throw new OperatingError("firmware.running", `Version ${version} is what runs.`, "Nothing has to be done.");
  }
  if (running.tries === undefined) return;
  const state = isSetAside(running)
    ? "is set aside for the next start"
    : `has yet to prove itself, with ${running.tries.left} starts left`;
  throw new OperatingError(
    "firmware.not-good",
    `Version ${running.version} runs, but ${state}; the other slot may be the only good one, and is kept.`,
    "Wait until the running version is marked good (`firmware show`), or restart into the other slot first.",
  );
}

async function removeAll(slots: Slots, others: readonly Slot[]): Promise<void> {
  for (const { file } of others) await slots.remove(file);
}

async function copyImage(
  files: Files,
  from: string,
  to: string,
  { signatures }: Judge,
  onProgress: OnProgress,
): Promise<void> {
  const update = await files.open(from);
  if (update === undefined) {
    throw new OperatingError("firmware.missing", `${from} is gone.`, "Keep the medium in place until it is installed.");
  }
  try {
    const image = await files.create(to);
    try {
      await readThrough(update, HEAD_BYTES, signatures, "writing", onProgress, (part) => image.write(part));
      await image.finish();
    } catch (error) {
      await image.discard();
      throw error;
    }
  } finally {
    await update.close();
  }
}

/** Reads what was written, and so finds as well what changed in the update file since it was checked. */
async function assertWritten(
  files: Files,
  path: string,
  { payloadBytes, payloadSha256 }: Manifest,
  { signatures }: Judge,
  onProgress: OnProgress,
): Promise<void> {
  const image = await files.open(path);
  assert(image !== undefined, "a file that was just written is there");
  try {
    const sha256 = await readThrough(image, 0, signatures, "reading back", onProgress);
    if (image.size !== payloadBytes || !sameBytes(sha256, payloadSha256))
      throw notAsWritten(`The image in ${path} is another`);
  } finally {
    await image.close();
  }
}
