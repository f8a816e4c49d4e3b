/**
 * Why the slots are as they are: the last change that somebody asked for, written down before it is carried out.
 *
 * What became of it is not written but concluded, from what runs and from the slots' names, so that it is right even where
 * the firmware that failed could write nothing. It is only for people: where it is lost or damaged, nothing else is.
 */

import type { Files } from "../platform/files.ts";
import { isLastResort, isSetAside } from "./slot-name.ts";
import type { SlotView } from "./slots.ts";
import { parseVersion, type Version } from "./version.ts";

export interface LastChange {
  readonly cause: "update" | "operator";
  /** What was running or would have been started before it. */
  readonly from: Version;
  readonly to: Version;
  /** Milliseconds since 1970 as the appliance believed then. */
  readonly atMs: number;
}

export type Outcome =
  /** Nothing was ever changed: as flashed. */
  | { readonly is: "none" }
  /** The version that it was to is running. */
  | { readonly is: "done"; readonly change: LastChange }
  /** The next start will be of that version. */
  | { readonly is: "pending"; readonly change: LastChange }
  /** That version did not come up in as many starts, and systemd-boot went back. */
  | { readonly is: "fell-back"; readonly change: LastChange; readonly starts: number }
  /** It was cut off before it was whole: neither is that version running nor will it be started. */
  | { readonly is: "unfinished"; readonly change: LastChange };

const FOLDER = "EFI/antipode";
const FILE = "last-change.json";

export async function writeLastChange(files: Files, esp: string, change: LastChange): Promise<void> {
  await files.makeFolder(`${esp}/${FOLDER}`);
  const content = new TextEncoder().encode(`${JSON.stringify(change)}\n`);
  await files.replace(`${esp}/${FOLDER}/${FILE}`, content, { isPublic: true });
}

export async function readLastChange(files: Files, esp: string): Promise<LastChange | undefined> {
  const content = await files.read(`${esp}/${FOLDER}/${FILE}`);
  if (content === undefined) return undefined;
  try {
    const { cause, from, to, atMs } = JSON.parse(new TextDecoder().decode(content));
    const versions = { from: parseVersion(String(from)), to: parseVersion(String(to)) };
    if (versions.from === undefined || versions.to === undefined || typeof atMs !== "number") return undefined;
    if (cause !== "update" && cause !== "operator") return undefined;
    return { cause, from: versions.from, to: versions.to, atMs };
  } catch {
    return undefined;
  }
}

/** What became of a change, as far as the slots show it now. */
export function outcomeOf(change: LastChange | undefined, { slots, running, next }: SlotView): Outcome {
  if (change === undefined) return { is: "none" };
  if (running?.slot.version === change.to) return { is: "done", change };
  if (next?.version === change.to) return { is: "pending", change };
  const slot = slots.find(({ version }) => version === change.to);
  if (slot?.tries === undefined || !isLastResort(slot) || isSetAside(slot)) return { is: "unfinished", change };
  return { is: "fell-back", change, starts: slot.tries.done };
}
