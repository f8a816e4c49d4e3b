/**
 * What systemd-boot tells the system that it started, in UEFI variables (the Boot Loader Interface). They are of the
 * present start: systemd-boot sets them anew each time, and what is renamed afterwards does not change them.
 */

import type { Files } from "../platform/files.ts";

const VENDOR = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/** Path of the entry under its new name, where its tries are counted and it could be renamed. */
const BOOT_COUNT_PATH = `LoaderBootCountPath-${VENDOR}`;
/** Name of the entry as it was found. */
const ENTRY_SELECTED = `LoaderEntrySelected-${VENDOR}`;
/** The kernel puts the variable's attributes in front of its content. */
const ATTRIBUTE_BYTES = 4;

/** @returns the name that the started file had when the kernel took over; undefined where systemd-boot did not start it */
export async function startedFile(files: Files, folder: string): Promise<string | undefined> {
  const path =
    (await text(files, `${folder}/${BOOT_COUNT_PATH}`)) ?? (await text(files, `${folder}/${ENTRY_SELECTED}`));
  return path?.slice(path.lastIndexOf("\\") + 1);
}

async function text(files: Files, path: string): Promise<string | undefined> {
  const bytes = await files.read(path);
  if (bytes === undefined || bytes.length <= ATTRIBUTE_BYTES) return undefined;
  const [content] = new TextDecoder("utf-16le").decode(bytes.subarray(ATTRIBUTE_BYTES)).split("\0");
  return content === "" ? undefined : content;
}
