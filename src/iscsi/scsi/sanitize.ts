/**
 * SANITIZE, SBC-3: overwrites every block of a unit, or gives each of them back after that (BLOCK ERASE).
 *
 * Only a device that writes in place can be sanitized so: of any other the command is unknown. A unit whose operation failed
 * refuses commands until another one succeeds or EXIT FAILURE MODE may lift it.
 */

import type { Pending } from "../interfaces.ts";
import type { Command } from "./command.ts";
import { begin, type Pass } from "./operation.ts";
import { CheckCondition, invalidCdbField, invalidParameter, Senses } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";

const IMMED = 0x80;
const RESERVED = 0x40;
const AUSE = 0x20;
const LENGTH_BYTE = 7;

export function isSanitizable(unit: LogicalUnit): boolean {
  return unit.device.overwritesInPlace === true;
}

export function sanitizeOverwrite(command: Command, unit: LogicalUnit): void {
  if (!mayRun(command, unit, true)) return;
  const length = command.view.getUint16(LENGTH_BYTE);
  if (length <= HEADER_BYTES || length > HEADER_BYTES + unit.blockSize) {
    command.fail(invalidCdbField(LENGTH_BYTE));
    return;
  }
  command.collect(length, (_, __, list) => sanitize(unit, command, overwritePasses(unit, list)));
}

/** The blocks are overwritten with zeros before they are given back: what a drive does with them is its own matter. */
export function sanitizeBlockErase(command: Command, unit: LogicalUnit): void {
  if (!mayRun(command, unit, true) || !hasNoList(command)) return;
  command.run(() => sanitize(unit, command, [new Uint8Array(unit.blockSize), "unmap"]));
}

export function sanitizeExitFailureMode(command: Command, unit: LogicalUnit): void {
  if (!mayRun(command, unit, false) || !hasNoList(command)) return;
  if (unit.refusal === undefined) return;
  if (!unit.refusal.mayBeLifted) {
    command.fail(invalidCdbField(1));
    return;
  }
  unit.refusal = undefined;
}

function mayRun(command: Command, unit: LogicalUnit, writes: boolean): boolean {
  const { cdb } = command;
  if (!isSanitizable(unit)) command.fail(Senses.InvalidOpcode);
  else if (writes && unit.writeProtected) command.fail(Senses.WriteProtected);
  else if ((cdb[1] & RESERVED) !== 0) command.fail(invalidCdbField(1));
  else {
    const reserved = cdb.subarray(2, LENGTH_BYTE).findIndex((byte) => byte !== 0);
    if (reserved < 0) return true;
    command.fail(invalidCdbField(2 + reserved));
  }
  return false;
}

function hasNoList(command: Command): boolean {
  if (command.view.getUint16(LENGTH_BYTE) === 0) return true;
  command.fail(invalidCdbField(LENGTH_BYTE));
  return false;
}

const HEADER_BYTES = 4;
const INVERT = 0x80;
const TEST = 0x60;
const COUNT = 0x1f;

function overwritePasses(unit: LogicalUnit, list: Uint8Array): Pass[] {
  const count = list[0] & COUNT;
  const patternBytes = (list[2] << 8) | list[3];
  if (count === 0 || (list[0] & TEST) !== 0) throw new CheckCondition(invalidParameter(0));
  if (patternBytes === 0 || patternBytes > unit.blockSize) throw new CheckCondition(invalidParameter(2));
  if (list.length !== HEADER_BYTES + patternBytes) throw new CheckCondition(Senses.ParameterListLength);
  const block = Uint8Array.from({ length: unit.blockSize }, (_, at) => list[HEADER_BYTES + (at % patternBytes)]);
  const inverted = (list[0] & INVERT) === 0 ? block : block.map((byte) => ~byte);
  return Array.from({ length: count }, (_, pass) => (pass % 2 === 0 ? block : inverted));
}

function sanitize(unit: LogicalUnit, command: Command, passes: readonly Pass[]): Pending {
  return begin(unit, command, {
    passes,
    immediate: (command.cdb[1] & IMMED) !== 0,
    inProgress: Senses.SanitizeInProgress,
    failed: Senses.SanitizeFailed,
    mayBeLifted: (command.cdb[1] & AUSE) !== 0,
  });
}
