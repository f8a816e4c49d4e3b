/**
 * What must be true of an array after a power cut: the content of its volume, and which members may be missing.
 *
 * It is kept beside the array, from the operations alone, and says where a refusal to assemble is honest.
 */

import type { ArrayLevel } from "../../../src/raid/geometry.ts";
import type { Page } from "./page.ts";

/** A write (or an unmap: pages of zeros) that no completed flush followed. */
export interface Effect {
  readonly kind: "write" | "unmap";
  readonly first: number;
  readonly pages: readonly Page[];
}

/**
 * What the superblocks say of a slot.
 *
 *     active   its drive holds everything
 *     leaving  active, or missing already: its drive was away at assembly, and the first write says so
 *     losing   its drive failed just now: stripes may be half written that only it could complete
 *     lost     missing, and everything that was in flight then is complete
 *     joining  its new drive is being rebuilt, or is active already
 */
export type SlotState = "active" | "leaving" | "losing" | "lost" | "joining";

export interface Slot {
  readonly drive: number;
  readonly state: SlotState;
}

export interface Expectation {
  /** The volume as it was flushed last. */
  readonly base: readonly Page[];
  /** In the order that they were given. */
  readonly pending: readonly Effect[];
  readonly slots: readonly Slot[];
  /** All drives that ever belonged to the array. */
  readonly drives: readonly number[];
  /** Drives that give no answer. */
  readonly dead: readonly number[];
  /** One block is bad, and nothing else may be. */
  readonly rotten?: boolean;
  /** Written to since it was closed. */
  readonly dirty: boolean;
}

/** The volume once all that is pending was done. */
export function contentOf({ base, pending }: Pick<Expectation, "base" | "pending">): Page[] {
  const content = [...base];
  for (const { first, pages } of pending) for (const [i, page] of pages.entries()) content[first + i] = page;
  return content;
}

/** What a block may hold before all that is pending was done again. */
export function versionsOf({ base, pending }: Expectation, block: number): readonly Page[] {
  const versions = [base[block]];
  for (const { first, pages } of pending) {
    if (block >= first && block < first + pages.length) versions.push(pages[block - first]);
  }
  return versions;
}

/** Equal where the expectations are. */
export function expectationKey({ base, pending, slots, drives, dead, dirty }: Expectation): string {
  return [
    base.map((page) => page.id).join(" "),
    pending.map(({ kind, first, pages }) => `${kind} ${first} ${pages.map((page) => page.id).join(" ")}`).join(", "),
    slots.map(({ drive, state }) => `${drive} ${state}`).join(", "),
    drives.join(" "),
    dead.join(" "),
    dirty,
  ].join("; ");
}

/** Codes that assembly from these drives may refuse with, and whether it has to. */
export function refusals(
  { slots, dirty }: Expectation,
  level: ArrayLevel,
  present: ReadonlySet<number>,
): { readonly allowed: ReadonlySet<string>; readonly required: boolean } {
  const tolerates = level === 5 ? 1 : slots.length - 1;
  const absent = slots.filter(({ drive, state }) => state === "lost" || !present.has(drive));
  const uncertain = slots.filter(({ drive, state }) => state !== "active" || !present.has(drive));
  const allowed = new Set<string>();
  if (uncertain.length > tolerates) {
    allowed.add("raid.too-few");
    // Where nothing but drives are there that were never taken in.
    allowed.add("raid.blank");
    // Or only one that the others went on without.
    allowed.add("raid.left-behind");
  }
  if (level === 5) {
    // A member that went together with the power takes what only it knew of the stripes in flight with it.
    const unknown = slots.some(({ drive, state }) => state !== "lost" && !present.has(drive));
    if (slots.some(({ state }) => state === "losing") || (dirty && unknown)) allowed.add("raid.dirty-degraded");
  }
  return { allowed, required: absent.length > tolerates };
}
