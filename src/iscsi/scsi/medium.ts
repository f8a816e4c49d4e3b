/** Commands about a medium as such, as a unit answers them whose medium is always there and has no defects: SBC-3. */

import type { Command } from "./command.ts";
import { invalidCdbField } from "./sense.ts";

const START = 0x01;
const LOEJ = 0x02;

/** START STOP UNIT: there is no motor, so both ways are done at once; there is nothing to eject. */
export function startStopUnit(command: Command): void {
  const flags = command.cdb[4];
  const powerCondition = flags >> 4;
  // 0 is START_VALID, 1 is ACTIVE.
  if (powerCondition > 1 || (powerCondition === 0 && (flags & (LOEJ | START)) === LOEJ)) {
    command.fail(invalidCdbField(4));
  }
}

/** PREVENT ALLOW MEDIUM REMOVAL: it can't be removed either way. */
export function preventAllowMediumRemoval(command: Command): void {
  if ((command.cdb[4] & 0x03) > 1) command.fail(invalidCdbField(4));
}

const REQUESTED = 0x18;
/** Address descriptors: block (short, extended short, extended long, long), bytes from index, physical sector. */
const FORMAT_MAX = 5;

/** READ DEFECT DATA (10): the lists that were asked for, empty in whatever format. */
export function readDefectData10(command: Command): void {
  const asked = command.cdb[2];
  if ((asked & 0x07) > FORMAT_MAX) {
    command.fail(invalidCdbField(2));
    return;
  }
  command.answer(new Uint8Array([0, asked & (REQUESTED | 0x07), 0, 0]), command.view.getUint16(7));
}

/** READ DEFECT DATA (12). */
export function readDefectData12(command: Command): void {
  const asked = command.cdb[1];
  if ((asked & 0x07) > FORMAT_MAX) {
    command.fail(invalidCdbField(1));
    return;
  }
  command.answer(new Uint8Array([0, asked & (REQUESTED | 0x07), 0, 0, 0, 0, 0, 0]), command.view.getUint32(6));
}
