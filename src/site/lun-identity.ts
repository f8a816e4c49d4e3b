/**
 * How hosts know a LUN: the same at every appliance of its group, now and after a takeover, so that multipath sees one
 * disk and not two. It follows from the group's name and the volume's LUN alone.
 */

import { crc32c } from "../base/crc32c.ts";
import type { VolumeId } from "../base/units.ts";

export interface LunNames {
  /** VPD page 80h. */
  readonly serial: string;
  /** VPD page 83h, NAA locally assigned (SPC-4 section 7.8.6.6.4): 4 bits of type 3h and 60 of our own. */
  readonly naa: bigint;
}

export function lunNames(group: string, volume: VolumeId): LunNames {
  const name = new TextEncoder().encode(`antipode:${group}:${volume}`);
  const high = crc32c(name);
  const low = crc32c(name, high);
  const naa = (0x3n << 60n) | ((BigInt(high) & 0xfffffffn) << 32n) | BigInt(low);
  return { serial: naa.toString(16), naa };
}
