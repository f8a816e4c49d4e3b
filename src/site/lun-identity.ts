/**
 * How hosts know a LUN: the same at every appliance of its group, now and after a takeover, so that multipath sees one
 * disk and not two. It follows from the group's name and the volume's LUN alone.
 *
 * Hosts take two LUNs of one name for one disk, so the names of two groups that a host sees must never meet by chance: all
 * 60 bits that there are come of a cryptographic hash. Nothing here may change any more once a LUN is in use.
 */

import type { VolumeId } from "../base/units.ts";

export interface LunNames {
  /** VPD page 80h. */
  readonly serial: string;
  /** VPD page 83h, NAA locally assigned (SPC-4 section 7.8.6.6.4): 4 bits of type 3h and 60 of our own. */
  readonly naa: bigint;
}

const NAA_LOCALLY_ASSIGNED = 0x3n << 60n;

export function lunNames(
  { sha256 }: { readonly sha256: (bytes: Uint8Array) => Uint8Array },
  group: string,
  volume: VolumeId,
): LunNames {
  const hash = sha256(new TextEncoder().encode(`antipode:${group}:${volume}`));
  const naa = NAA_LOCALLY_ASSIGNED | (new DataView(hash.buffer, hash.byteOffset).getBigUint64(0) >> 4n);
  return { serial: naa.toString(16), naa };
}
