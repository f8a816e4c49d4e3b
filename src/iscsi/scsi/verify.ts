/**
 * VERIFY and WRITE AND VERIFY, SBC-3: blocks are read back, and compared where BYTCHK says so.
 *
 * What is read back comes from the device as every read does; whether that reaches its medium is the device's matter.
 */

import type { Pending } from "../interfaces.ts";
import { type Command, Plan } from "./command.ts";
import { transfer } from "./extent.ts";
import { readPieces } from "./pieces.ts";
import { CheckCondition, invalidCdbField, Senses } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";
import { differsAt } from "./words.ts";

/** BYTCHK. */
const ByteCheck = {
  /** Read the blocks. */
  None: 0,
  /** Compare them with as many that the initiator sends. */
  All: 1,
  /** Compare each of them with one that the initiator sends. */
  One: 3,
} as const;

function byteCheckOf(command: Command): number {
  return (command.cdb[1] >> 1) & 3;
}

/** VERIFY (10), (12), (16). */
export function verify(command: Command, unit: LogicalUnit): void {
  const byteCheck = byteCheckOf(command);
  if (byteCheck === 2) {
    command.fail(invalidCdbField(1));
    return;
  }
  transfer(command, unit, Plan.Pieces);
  // VERIFY has no FUA.
  command.fua = false;
  if (command.plan !== Plan.Pieces) return;
  switch (byteCheck) {
    case ByteCheck.None:
      command.transferBytes = 0;
      command.run(readAll, false);
      return;
    case ByteCheck.One:
      command.collect(unit.blockSize, compareEach);
      return;
    default:
      command.piece = comparePiece;
      return;
  }
}

/** WRITE AND VERIFY (10), (12), (16). */
export function writeAndVerify(command: Command, unit: LogicalUnit): void {
  if (unit.writeProtected) {
    command.fail(Senses.WriteProtected);
    return;
  }
  if (byteCheckOf(command) > ByteCheck.All) {
    command.fail(invalidCdbField(1));
    return;
  }
  transfer(command, unit, Plan.Pieces);
  command.fua = true;
  command.writing = true;
  command.piece = writeThenVerify;
}

async function writeThenVerify(
  unit: LogicalUnit,
  command: Command,
  lba: number,
  data: Uint8Array,
  offset: number,
): Promise<void> {
  const { signal } = command;
  await unit.inTurn(signal, () => unit.device.write(lba, data, { fua: true, signal }));
  const look = byteCheckOf(command) === ByteCheck.All ? comparing(data, offset) : () => {};
  await readPieces(unit, signal, lba, data.length, look);
}

function comparePiece(
  unit: LogicalUnit,
  command: Command,
  lba: number,
  data: Uint8Array,
  offset: number,
): Promise<void> {
  return readPieces(unit, command.signal, lba, data.length, comparing(data, offset));
}

/** A piece is read in one buffer. */
function comparing(data: Uint8Array, offset: number): (there: Uint8Array) => void {
  return (there) => {
    const at = differsAt(there, data);
    if (at >= 0) throw miscompare(offset + at);
  };
}

function readAll(unit: LogicalUnit, command: Command): Pending {
  return readPieces(unit, command.signal, command.lba, command.blocks * unit.blockSize, () => {});
}

/** INFORMATION counts from the first block that was to be verified, since the block that was sent has each offset often. */
function compareEach(unit: LogicalUnit, command: Command, block: Uint8Array): Pending {
  return readPieces(unit, command.signal, command.lba, command.blocks * unit.blockSize, (there, offset) => {
    for (let from = 0; from < there.length; from += block.length) {
      const at = differsAt(there.subarray(from, from + block.length), block);
      if (at >= 0) throw miscompare(offset + from + at);
    }
  });
}

export function miscompare(at: number): CheckCondition {
  return new CheckCondition({ ...Senses.Miscompare, information: at });
}
