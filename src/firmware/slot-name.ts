/**
 * The name of a slot's file: `antipode_VERSION.efi`, or `antipode_VERSION+LEFT-DONE.efi` while its starts are counted.
 *
 * The name is all of a slot's state, since it is what systemd-boot reads and rewrites: without a count the version is
 * known to be good; with one it is on trial, and systemd-boot takes one from LEFT and adds one to DONE before each start.
 * With none left it is started only where nothing else can be. The order is that of systemd-boot, see docs/firmware.md.
 */

import { compareVersions, VERSION_PATTERN, type Version } from "./version.ts";

/** Starts that a new version has to prove itself. */
export const TRIES = 3;

const NAME = new RegExp(`^antipode_(${VERSION_PATTERN})(?:\\+(\\d{1,9})(?:-(\\d{1,9}))?)?\\.efi$`);

export interface Tries {
  readonly left: number;
  readonly done: number;
}

export interface SlotName {
  readonly version: Version;
  /** Undefined where the version is known to be good. */
  readonly tries: Tries | undefined;
}

/** @returns undefined where the name is none of ours */
export function parseSlotName(name: string): SlotName | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  const [, version, left, done = "0"] = match;
  const tries = left === undefined ? undefined : { left: Number(left), done: Number(done) };
  return { version: version as Version, tries };
}

export function formatSlotName({ version, tries }: SlotName): string {
  if (tries === undefined) return `antipode_${version}.efi`;
  return `antipode_${version}+${tries.left}${tries.done === 0 ? "" : `-${tries.done}`}.efi`;
}

/** Whether systemd-boot starts it only where nothing else can be started. */
export function isLastResort({ tries }: SlotName): boolean {
  return tries?.left === 0;
}

/** What a slot has when an operator wants the other one: the last resort, though it has not failed. */
export const SET_ASIDE: Tries = { left: 0, done: 0 };

export function isSetAside({ tries }: SlotName): boolean {
  return tries?.left === SET_ASIDE.left && tries.done === SET_ASIDE.done;
}

/** Below 0 where systemd-boot would rather start `a`. */
export function bootOrder(a: SlotName, b: SlotName): number {
  const byResort = Number(isLastResort(a)) - Number(isLastResort(b));
  if (byResort !== 0) return byResort;
  const byVersion = compareVersions(b.version, a.version);
  if (byVersion !== 0 || a.tries === undefined || b.tries === undefined) return byVersion;
  return b.tries.left - a.tries.left || a.tries.done - b.tries.done;
}
