/** A machine with one small drive, for tests of drives. */

import { BLOCK_BYTES, lba as toLba } from "../../base/units.ts";
import type { Drive } from "../drive.ts";
import type { DriveSettings } from "./drive-settings.ts";
import { MemoryUniverse } from "./memory-world.ts";
import { SECTOR_BYTES } from "./page.ts";

export const BLOCKS = 256;
export const PATH = "/dev/a";

export async function setUp(seed: number | string, settings?: Partial<DriveSettings>) {
  const universe = new MemoryUniverse(seed);
  const media = universe.addDrive("denver", PATH, BLOCKS * BLOCK_BYTES, settings);
  const machine = universe.machine("denver");
  const open = (path = PATH) => universe.result(machine.world.drives.open(path, "read-write"));
  const drive = await open();
  /** Waits for a write of one value. */
  const write = (lba: number, value: number, { blocks = 1, fua = false, to = drive as Drive } = {}) =>
    universe.result(to.write(toLba(lba), block(value, blocks), { fua }));
  /** The first byte of each block as a read returns it. */
  const read = async (lba: number, blocks = 1, from: Drive = drive) => {
    const into = block(0, blocks);
    await universe.result(from.read(toLba(lba), into));
    return Array.from({ length: blocks }, (_, at) => into[at * BLOCK_BYTES]);
  };
  return { universe, media, machine, open, drive, write, read };
}

export function block(value: number, blocks = 1): Uint8Array {
  return new Uint8Array(blocks * BLOCK_BYTES).fill(value);
}

/** The value of each sector, which must be filled with one value. */
export function sectors(content: Uint8Array): number[] {
  const values: number[] = [];
  for (let at = 0; at < content.length; at += SECTOR_BYTES) {
    const sector = content.subarray(at, at + SECTOR_BYTES);
    if (sector.some((byte) => byte !== sector[0])) throw new Error(`the sector at ${at} is torn`);
    values.push(sector[0]);
  }
  return values;
}

/** Bits that are not the same. */
export function differingBits(a: Uint8Array, b: Uint8Array): number {
  let count = 0;
  for (let at = 0; at < a.length; at++) {
    for (let bits = a[at] ^ b[at]; bits !== 0; bits &= bits - 1) count++;
  }
  return count;
}
