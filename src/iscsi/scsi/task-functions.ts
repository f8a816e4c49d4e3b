/** REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS, SPC-4: those that a session carries out for a LUN. */

import type { Command } from "./command.ts";
import { invalidCdbField } from "./sense.ts";

const ABORT_TASK = 0x80;
const ABORT_TASK_SET = 0x40;
const CLEAR_TASK_SET = 0x10;
const LOGICAL_UNIT_RESET = 0x08;

const FUNCTIONS = ABORT_TASK | ABORT_TASK_SET | CLEAR_TASK_SET | LOGICAL_UNIT_RESET;
const BASIC_BYTES = 4;
/** With REPD: no timeout is given for any of them, so all of them are 0. */
const EXTENDED_BYTES = 16;

export function reportSupportedTaskManagementFunctions(command: Command): void {
  const extended = (command.cdb[2] & 0x80) !== 0;
  const allocation = command.view.getUint32(6);
  if (allocation < BASIC_BYTES) {
    command.fail(invalidCdbField(6));
    return;
  }
  const bytes = new Uint8Array(extended ? EXTENDED_BYTES : BASIC_BYTES);
  bytes[0] = FUNCTIONS;
  if (extended) bytes[3] = EXTENDED_BYTES - BASIC_BYTES;
  command.answer(bytes, allocation);
}
