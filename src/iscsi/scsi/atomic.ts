/**
 * WRITE ATOMIC (16), SBC-4: after a failure, a power cut included, all of its blocks are written or none.
 *
 * Only a device can promise that, and says up to how many blocks (`atomicBlocksMax`); of one that does not the command is
 * unknown. What is taken for a whole write here reaches the device as one, since it is collected before it is passed on.
 */

import type { Pending } from "../interfaces.ts";
import { PIECE_BYTES_MAX } from "../limits.ts";
import type { Command } from "./command.ts";
import { fits, locate } from "./extent.ts";
import { invalidCdbField, Senses } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";

/** MAXIMUM ATOMIC TRANSFER LENGTH; 0 where the device promises nothing. */
export function atomicBlocksMax(unit: LogicalUnit): number {
  return Math.min(unit.device.atomicBlocksMax ?? 0, PIECE_BYTES_MAX / unit.blockSize);
}

const ATOMIC_BOUNDARY_BYTE = 10;
const TRANSFER_LENGTH_BYTE = 12;

export function writeAtomic(command: Command, unit: LogicalUnit): void {
  const blocksMax = atomicBlocksMax(unit);
  if (blocksMax === 0) {
    command.fail(Senses.InvalidOpcode);
    return;
  }
  if (unit.writeProtected) {
    command.fail(Senses.WriteProtected);
    return;
  }
  locate(command);
  command.blocks = command.view.getUint16(TRANSFER_LENGTH_BYTE);
  if (command.cdb[1] >> 5 !== 0) {
    command.fail(invalidCdbField(1));
    return;
  }
  // VPD page B0h says that there is no boundary.
  if (command.view.getUint16(ATOMIC_BOUNDARY_BYTE) !== 0) {
    command.fail(invalidCdbField(ATOMIC_BOUNDARY_BYTE));
    return;
  }
  if (!fits(command, unit)) return;
  if (command.blocks > blocksMax) {
    command.fail(invalidCdbField(TRANSFER_LENGTH_BYTE));
    return;
  }
  if (command.blocks === 0) return;
  command.writing = true;
  command.collect(command.blocks * unit.blockSize, writeWhole);
}

function writeWhole(unit: LogicalUnit, command: Command, data: Uint8Array): Promise<void> {
  const { lba, fua, signal } = command;
  const options = { fua, signal };
  const write = (): Pending => {
    const { device } = unit;
    return device.writeAtomic === undefined ? device.write(lba, data, options) : device.writeAtomic(lba, data, options);
  };
  return unit.device.writeAtomic === undefined
    ? unit.inTurn(signal, write)
    : unit.exclusively(signal, async () => write());
}
