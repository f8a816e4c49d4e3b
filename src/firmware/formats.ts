/** Whether a firmware can work with what an appliance has: the one thing that makes going back to an older one unsafe. */

import type { FormatRange, Formats } from "./update-file.ts";

/** Formats of what an appliance has on its drives and in its configuration. */
export interface FormatsInUse {
  /** Undefined where there is no configuration yet. */
  readonly configuration: number | undefined;
  readonly journals: readonly number[];
  readonly arrays: readonly number[];
}

/** @returns why the firmware can't work here; undefined where it can */
export function formatFault(
  { version, formats }: { readonly version: string; readonly formats: Formats },
  inUse: FormatsInUse,
): string | undefined {
  const { reads } = formats.configuration;
  if (inUse.configuration !== undefined && inUse.configuration > reads) {
    return `Firmware ${version} reads configurations up to format ${reads}, and this appliance's has format ${inUse.configuration}.`;
  }
  return (
    rangeFault(version, "journals", formats.journal, inUse.journals) ??
    rangeFault(version, "arrays", formats.array, inUse.arrays)
  );
}

export function sameFormats(a: Formats, b: Formats): boolean {
  return (
    a.configuration.reads === b.configuration.reads &&
    a.configuration.writes === b.configuration.writes &&
    sameRange(a.journal, b.journal) &&
    sameRange(a.array, b.array)
  );
}

function sameRange(a: FormatRange, b: FormatRange): boolean {
  return a.lowest === b.lowest && a.highest === b.highest;
}

function rangeFault(version: string, what: string, range: FormatRange, inUse: readonly number[]): string | undefined {
  const unread = inUse.find((format) => format < range.lowest || format > range.highest);
  if (unread === undefined) return undefined;
  const known = range.lowest === range.highest ? `${range.lowest}` : `${range.lowest} to ${range.highest}`;
  return `Firmware ${version} reads ${what} of format ${known}, and this appliance has one of format ${unread}.`;
}
