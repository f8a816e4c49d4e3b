/**
 * SANITIZE, SBC-3: overwrites every block of a unit, or gives each of them back after that (BLOCK ERASE).
 *
 * Invariants: an operation that has begun goes on whatever becomes of its command, its session and its task set, and only
 * the end of the unit stops it; from its begin to its end no other command reaches the device, since those under way are
 * aborted first and those that come are refused; a unit whose operation failed refuses them until another one succeeds or
 * EXIT FAILURE MODE may lift it.
 *
 * Only a device that writes in place can be sanitized so: of any other the command is unknown.
 */

import type { Pending } from "../interfaces.ts";
import { UNMAP_BLOCKS_MAX } from "../limits.ts";
import type { Command } from "./command.ts";
import { writeRepeated } from "./pieces.ts";
import { CheckCondition, invalidCdbField, invalidParameter, type Sense, Senses } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";

const IMMED = 0x80;
const RESERVED = 0x40;
const AUSE = 0x20;
const LENGTH_BYTE = 7;

/** One walk over all blocks: each is written, or given back where there is nothing to write. */
type Pass = Uint8Array | "unmap";

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
  command.collect(length, (_, __, list) => begin(unit, command, overwritePasses(unit, list)));
}

/** The blocks are overwritten with zeros before they are given back: what a drive does with them is its own matter. */
export function sanitizeBlockErase(command: Command, unit: LogicalUnit): void {
  if (!mayRun(command, unit, true) || !hasNoList(command)) return;
  command.run(() => begin(unit, command, [new Uint8Array(unit.blockSize), "unmap"]));
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

/** Starts the operation. @returns when its command may end: never before it has begun, at once with IMMED */
function begin(unit: LogicalUnit, command: Command, passes: readonly Pass[]): Pending {
  // It may have been decoded before another one began.
  if (unit.refusal?.mayBeSanitized === false) throw new CheckCondition(unit.refusal.sense());
  const exitAllowed = (command.cdb[1] & AUSE) !== 0;
  const total = passes.length * unit.blockCount;
  let done = 0;
  unit.refusal = {
    sense: () => inProgress(done / total),
    mayBeSanitized: false,
    mayBeLifted: false,
  };
  let failed = false;
  const over = unit.background.run(async (signal) => {
    try {
      await unit.host.abortTasks(unit, command);
      for (const pass of passes) await walk(unit, pass, signal, (blocks) => (done += blocks));
      unit.refusal = undefined;
    } catch (error) {
      if (signal.aborted) return;
      failed = true;
      unit.refusal = { sense: () => Senses.SanitizeFailed, mayBeSanitized: true, mayBeLifted: exitAllowed };
      unit.host.deviceFailed(unit, error);
    }
  });
  if ((command.cdb[1] & IMMED) !== 0) return undefined;
  const ends = over.then(() => {
    if (failed) throw new CheckCondition(Senses.SanitizeFailed);
  });
  return Promise.race([ends, aborted(command.signal)]);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

function inProgress(part: number): Sense {
  return { ...Senses.SanitizeInProgress, progress: Math.min(0xffff, Math.floor(part * 0x10000)) };
}

async function walk(
  unit: LogicalUnit,
  pass: Pass,
  signal: AbortSignal,
  advanced: (blocks: number) => void,
): Promise<void> {
  if (pass === "unmap") {
    for (let lba = 0; lba < unit.blockCount; lba += UNMAP_BLOCKS_MAX) {
      signal.throwIfAborted();
      const blocks = Math.min(UNMAP_BLOCKS_MAX, unit.blockCount - lba);
      await unit.device.unmap(lba, blocks, signal);
      advanced(blocks);
    }
  } else await writeRepeated(unit, signal, 0, unit.blockCount, pass, advanced);
  await unit.device.flush(signal);
}
