/**
 * Sizes and lengths of time as people write them: a whole number and a unit, `100GiB` or `500ms`.
 * A number without a unit is refused, since it could mean bytes or blocks, seconds or milliseconds.
 */

import { type ByteCount, byteCount, type Millis, millis } from "../base/units.ts";

const SIZE_UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000 };

function parse(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d{1,15}) ?([A-Za-z]{1,3})$/.exec(text);
  if (match === null || !Object.hasOwn(units, match[2])) return undefined;
  const value = Number(match[1]) * units[match[2]];
  return Number.isSafeInteger(value) ? value : undefined;
}

/** @returns undefined unless `text` is a whole number of B, KiB, MiB, GiB or TiB below 2^53 bytes */
export function parseSize(text: string): ByteCount | undefined {
  const value = parse(text, SIZE_UNITS);
  return value === undefined ? undefined : byteCount(value);
}

/** @returns undefined unless `text` is a whole number of ms, s or min */
export function parseDuration(text: string): Millis | undefined {
  const value = parse(text, TIME_UNITS);
  return value === undefined ? undefined : millis(value);
}

function format(value: number, units: Readonly<Record<string, number>>): string {
  let best = Object.keys(units)[0];
  for (const [unit, factor] of Object.entries(units)) if (value > 0 && value % factor === 0) best = unit;
  return `${value / units[best]}${best}`;
}

/** In the largest unit that divides it, so that `parseSize` reads it back exactly. */
export function formatSize(size: ByteCount): string {
  return format(size, SIZE_UNITS);
}

/** In the largest unit that divides it, so that `parseDuration` reads back a whole number of milliseconds exactly. */
export function formatDuration(duration: Millis): string {
  return format(duration, TIME_UNITS);
}
