/**
 * FORMAT UNIT, SBC-3: gives every block back, so that all of them read as zeros; what a device keeps of them is its own matter,
 * and SANITIZE is for that. There is neither a list of defects, nor protection information, nor a pattern to initialize with.
 */

import type { Command } from "./command.ts";
import { begin } from "./operation.ts";
import { CheckCondition, invalidCdbField, invalidParameter, Senses } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";

const PROTECTION = 0xc0;
const LONG_LIST = 0x20;
const HAS_DATA = 0x10;

export function formatUnit(command: Command, unit: LogicalUnit): void {
  const flags = command.cdb[1];
  if (unit.writeProtected) command.fail(Senses.WriteProtected);
  else if ((flags & PROTECTION) !== 0) command.fail(invalidCdbField(1));
  else if ((flags & HAS_DATA) === 0) command.run(() => format(unit, command, false));
  else {
    const headerBytes = (flags & LONG_LIST) === 0 ? 4 : 8;
    command.collect(headerBytes, (_, __, header) => format(unit, command, isImmediate(header)));
  }
}

const USAGE = 0x07;
/** FOV, which says that the others mean something, and DPRY, DCRT, STPF and IP. */
const OPTIONS_VALID = 0x80;
const OPTIONS = 0x70;
const PATTERN = 0x08;
const IMMED = 0x02;

/** Checks a parameter list header, which nothing may follow. */
function isImmediate(header: Uint8Array): boolean {
  const isLong = header.length === 8;
  const options = header[1];
  const hasOptions = (options & (OPTIONS | PATTERN)) !== 0;
  if ((header[0] & USAGE) !== 0) throw new CheckCondition(invalidParameter(0));
  if ((options & PATTERN) !== 0 || (hasOptions && (options & OPTIONS_VALID) === 0)) {
    throw new CheckCondition(invalidParameter(1));
  }
  if (isLong && header[3] !== 0) throw new CheckCondition(invalidParameter(3));
  const lengthAt = isLong ? 4 : 2;
  if (header.subarray(lengthAt).some((byte) => byte !== 0)) throw new CheckCondition(invalidParameter(lengthAt));
  return (options & IMMED) !== 0;
}

function format(unit: LogicalUnit, command: Command, immediate: boolean) {
  return begin(unit, command, {
    passes: ["unmap"],
    immediate,
    inProgress: Senses.FormatInProgress,
    failed: Senses.FormatFailed,
    mayBeLifted: false,
  });
}
