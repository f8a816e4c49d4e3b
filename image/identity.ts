/**
 * What tells one image from another: its version, and the names, identifiers and times that are written into it.
 * Everything here follows from the version alone, so that the same sources make the same bytes at any time and place.
 */

import { createHash } from "node:crypto";
import manifest from "../package.json" with { type: "json" };

export const PRODUCT = "antipode";
export const VERSION: string = manifest.version;

/** 1 January 2026: later than any date that software takes for an unset clock. */
const EPOCH_DEFAULT = 1_767_225_600;

/** Seconds since 1970 that every file and file system in the image carries. SOURCE_DATE_EPOCH is how builders set it. */
export const EPOCH_SECONDS: number = epochSeconds(process.env.SOURCE_DATE_EPOCH);

function epochSeconds(given: string | undefined): number {
  if (given === undefined || given === "") return EPOCH_DEFAULT;
  if (!/^\d{1,10}$/.test(given)) throw new Error(`SOURCE_DATE_EPOCH is '${given}', not a number of seconds since 1970`);
  return Number(given);
}

/** For every program that writes a time. */
export const BUILD_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin`,
  LC_ALL: "C",
  TZ: "UTC",
  SOURCE_DATE_EPOCH: String(EPOCH_SECONDS),
  E2FSPROGS_FAKE_TIME: String(EPOCH_SECONDS),
  MTOOLS_SKIP_CHECK: "1",
};

/** A UUID made from the version and a name, RFC 9562 version 8. */
export function uuid(name: string): string {
  const bytes = createHash("sha256").update(`${PRODUCT} ${VERSION} ${name}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6] & 0x0f) | 0x80;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** The kernel image's name in EFI/Linux. The boot loader reads the version in it, and a counter of tries behind '+'. */
export const UKI_NAME: string = `${PRODUCT}_${VERSION}.efi`;

/** What an appliance installs. */
export const UPDATE_NAME: string = `${PRODUCT}-${VERSION}.update`;
