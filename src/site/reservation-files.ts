/**
 * Where a primary keeps hosts' persistent reservations while it is not running: a small file for each volume, in one
 * folder of this site.
 *
 * A file is there only while something is reserved or registered for good. It is a line of JSON and its checksum, replaced
 * whole. One that can't be read is never passed over: what a host fenced off must not be let in again. It names initiator
 * ports alone, since a site is one target port.
 */

import { assert } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import { OperatingError } from "../base/operating-error.ts";
import type { VolumeId } from "../base/units.ts";
import { initiatorPortOf, type KeptReservations, nexusName, type ReservationStore } from "../iscsi/index.ts";
import type { Files } from "../platform/files.ts";

const FORMAT = 1;
/** Relative identifier of a site's target port, which is the tag of its portal group. */
export const TARGET_PORT = 1;

/** Reads what was kept for the volumes. Rejects with `file.failed`, or `site.reservations-damaged`. */
export async function openReservations(
  files: Files,
  folder: string,
  group: string,
  volumes: readonly VolumeId[],
): Promise<ReadonlyMap<VolumeId, ReservationStore>> {
  await files.makeFolder(folder);
  const stores = new Map<VolumeId, ReservationStore>();
  for (const volume of volumes) {
    const path = `${folder}/${group}-lun-${volume}.json`;
    const content = await files.read(path);
    stores.set(volume, {
      kept: content === undefined ? undefined : parse(path, content),
      save: (kept) => (kept === undefined ? files.remove(path) : files.replace(path, format(kept))),
    });
  }
  return stores;
}

function format({ registrations, reservation }: KeptReservations): Uint8Array {
  const line = JSON.stringify({
    format: FORMAT,
    registrations: registrations.map(({ nexus, key }) => ({ port: portOf(nexus), key: key.toString(16) })),
    reservation: reservation && { type: reservation.type, holder: reservation.holder && portOf(reservation.holder) },
  });
  return new TextEncoder().encode(`${line}\n${checksum(line)}\n`);
}

function nexusOf(port: string): string {
  return nexusName(port, TARGET_PORT);
}

function portOf(nexus: string): string {
  const port = initiatorPortOf(nexus);
  assert(nexusOf(port) === nexus, "hosts come to a site through its one target port");
  return port;
}

function checksum(line: string): string {
  return crc32c(new TextEncoder().encode(line)).toString(16).padStart(8, "0");
}

function parse(path: string, content: Uint8Array): KeptReservations {
  const [line, sum, end, ...more] = new TextDecoder().decode(content).split("\n");
  if (sum !== checksum(line) || end !== "" || more.length > 0) throw damaged(path, "it does not have its checksum");
  // What has its checksum was written by this function's other half, or by that of another release.
  const { format, registrations, reservation } = JSON.parse(line) as Written;
  if (format !== FORMAT) throw damaged(path, "another release of Antipode wrote it");
  return {
    registrations: registrations.map(({ port, key }) => ({ nexus: nexusOf(port), key: BigInt(`0x${key}`) })),
    reservation: reservation && { type: reservation.type, holder: reservation.holder && nexusOf(reservation.holder) },
  };
}

interface Written {
  readonly format: number;
  readonly registrations: readonly { readonly port: string; readonly key: string }[];
  readonly reservation?: { readonly type: number; readonly holder?: string };
}

function damaged(path: string, why: string): OperatingError {
  return new OperatingError(
    "site.reservations-damaged",
    `The hosts' persistent reservations in ${path} can't be used: ${why}.`,
    "Make sure that no host uses the LUN that should not, and remove the file; hosts then register anew.",
  );
}
