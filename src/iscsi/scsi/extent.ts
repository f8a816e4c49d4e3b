/** The blocks that a CDB names: where each form of CDB has them, and whether the unit has them. */

import { TRANSFER_BYTES_MAX } from "../limits.ts";
import type { Command } from "./command.ts";
import { invalidCdbField, Senses } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";

/** Where a CDB of each length has its LBA, its number of blocks and, from 10 bytes on, its flags. */
export function locate(command: Command): void {
  const { cdb, view } = command;
  switch (cdb[0] >> 5) {
    case 0:
      command.lba = view.getUint32(0) & 0x1fffff;
      command.blocks = cdb[4] === 0 ? 256 : cdb[4];
      return;
    case 4:
      command.lba = view.getUint32(2) * 0x100000000 + view.getUint32(6);
      command.blocks = view.getUint32(10);
      break;
    case 5:
      command.lba = view.getUint32(2);
      command.blocks = view.getUint32(6);
      break;
    default:
      command.lba = view.getUint32(2);
      command.blocks = view.getUint16(7);
  }
  command.fua = (cdb[1] & 0x08) !== 0;
}

/** @returns whether the command may go on; it has failed otherwise */
export function fits(command: Command, unit: LogicalUnit): boolean {
  // Beyond 2^53 the sum is inexact but far out of range all the same.
  if (command.lba + command.blocks <= unit.blockCount) return true;
  command.fail(Senses.LbaOutOfRange);
  return false;
}

/** Plans the transfer of the CDB's blocks, if they are there and not too many. */
export function transfer(command: Command, unit: LogicalUnit, plan: number): void {
  locate(command);
  if (command.cdb[0] >> 5 !== 0 && command.cdb[1] >> 5 !== 0) {
    command.fail(invalidCdbField(1));
    return;
  }
  if (!fits(command, unit)) return;
  const bytes = command.blocks * unit.blockSize;
  if (bytes > TRANSFER_BYTES_MAX) {
    command.fail(Senses.InvalidFieldInCdb);
    return;
  }
  if (command.blocks === 0) return;
  command.plan = plan;
  command.transferBytes = bytes;
}
