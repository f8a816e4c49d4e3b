/**
 * A firmware's version: MAJOR.MINOR.PATCH, and nothing behind it.
 *
 * systemd-boot would take `1.2.0-rc.1` for newer than `1.2.0`, and `+` begins its count of tries: so releases that are
 * not final have versions of their own. Three plain numbers are ordered by it as they are here.
 */

declare const brand: unique symbol;
export type Version = string & { readonly [brand]: "Version" };

/** Pattern of a version, without anchors; no number has a leading zero, so that a version is written in one way only. */
export const VERSION_PATTERN = "(?:0|[1-9]\\d{0,4})(?:\\.(?:0|[1-9]\\d{0,4})){2}";
const WHOLE = new RegExp(`^${VERSION_PATTERN}$`);

/** @returns undefined where the text is no version */
export function parseVersion(text: string): Version | undefined {
  return WHOLE.test(text) ? (text as Version) : undefined;
}

/** Below 0 where `a` is the older one. */
export function compareVersions(a: Version, b: Version): number {
  const theirs = b.split(".").map(Number);
  for (const [place, ours] of a.split(".").map(Number).entries()) {
    if (ours !== theirs[place]) return ours - theirs[place];
  }
  return 0;
}
