/**
 * Commands that read blocks and write what they make of them, with no other write in between: COMPARE AND WRITE and
 * ORWRITE, SBC-3.
 *
 * COMPARE AND WRITE has the unit for itself as a whole. ORWRITE has it for each piece that its transfer comes in: for
 * all of a transfer it would have to hold back the writes of every host while it waits for one host's data.
 */

import type { Pending } from "../interfaces.ts";
import { PIECE_BYTES_MAX } from "../limits.ts";
import { type Command, Plan } from "./command.ts";
import { fits, locate, transfer } from "./extent.ts";
import { invalidCdbField, Senses } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";
import { miscompare } from "./verify.ts";
import { differsAt, setBits } from "./words.ts";

/** MAXIMUM COMPARE AND WRITE LENGTH has one byte; both halves of the data are taken as one piece. */
export function compareAndWriteBlocksMax(unit: LogicalUnit): number {
  return Math.min(0xff, PIECE_BYTES_MAX / 2 / unit.blockSize);
}

export function compareAndWrite(command: Command, unit: LogicalUnit): void {
  if (unit.writeProtected) {
    command.fail(Senses.WriteProtected);
    return;
  }
  locate(command);
  command.blocks = command.cdb[13];
  if (command.cdb[1] >> 5 !== 0) {
    command.fail(invalidCdbField(1));
    return;
  }
  if (command.blocks > compareAndWriteBlocksMax(unit)) {
    command.fail(invalidCdbField(13));
    return;
  }
  if (!fits(command, unit)) return;
  command.collect(2 * command.blocks * unit.blockSize, compareThenWrite, true);
}

/** `data` is what is to be there, and then what is to be written. */
function compareThenWrite(unit: LogicalUnit, command: Command, data: Uint8Array): Pending {
  const { lba, fua, signal } = command;
  const bytes = data.length / 2;
  return unit.exclusively(signal, async () => {
    const buffer = unit.host.buffers.take(bytes);
    try {
      const there = buffer.subarray(0, bytes);
      await unit.device.read(lba, there, signal);
      const at = differsAt(there, data.subarray(0, bytes));
      if (at >= 0) throw miscompare(at);
      signal.throwIfAborted();
      command.writing = true;
      await unit.device.write(lba, data.subarray(bytes), { fua, signal });
    } finally {
      unit.host.buffers.give(buffer);
    }
  });
}

/** ORWRITE (16), which is what SBC-3 calls the set operation: bits that are sent as ones become ones. */
export function orWrite(command: Command, unit: LogicalUnit): void {
  if (unit.writeProtected) {
    command.fail(Senses.WriteProtected);
    return;
  }
  transfer(command, unit, Plan.Pieces);
  command.piece = orPiece;
}

function orPiece(unit: LogicalUnit, command: Command, lba: number, data: Uint8Array): Promise<void> {
  const { fua, signal } = command;
  return unit.exclusively(signal, async () => {
    const buffer = unit.host.buffers.take(data.length);
    try {
      const there = buffer.subarray(0, data.length);
      command.writing = false;
      await unit.device.read(lba, there, signal);
      signal.throwIfAborted();
      setBits(there, data);
      command.writing = true;
      await unit.device.write(lba, there, { fua, signal });
    } finally {
      unit.host.buffers.give(buffer);
    }
  });
}
