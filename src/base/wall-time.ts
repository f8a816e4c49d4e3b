/** Wall clock time as people write it. Decisions are never made on it: it may step at any time. */

const DAY_MS = 86_400_000;
/** Days in 400 years of the Gregorian calendar, after which it repeats. */
const ERA_DAYS = 146_097;
/** From 1 March of the year 0 to 1 January 1970. */
const EPOCH_DAYS = 719_468;

/** @param time milliseconds since 1970; @returns such as `2026-11-26 23:21:34 UTC` */
export function formatTime(time: number): string {
  const day = Math.floor(time / DAY_MS);
  const seconds = Math.floor((time - day * DAY_MS) / 1000);
  // Years are counted from March on, so that the leap day is a year's last.
  const sinceMarch = day + EPOCH_DAYS;
  const era = Math.floor(sinceMarch / ERA_DAYS);
  const dayOfEra = sinceMarch - era * ERA_DAYS;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0);
  const date = `${year}-${two(month)}-${two(dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1)}`;
  return `${date} ${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)} UTC`;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}
