/** REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS, SPC-4: those that a session carries out for a LUN. */

import type { Command } from "./command.ts";
import { invalidCdbField } from "./sense.ts";
import type { LogicalUnit, Nexus } from "./unit.ts";

const ABORT_TASK = 0x80;
const ABORT_TASK_SET = 0x40;
const CLEAR_TASK_SET = 0x10;
const LOGICAL_UNIT_RESET = 0x08;
const QUERY_TASK = 0x04;
/** Of the second byte. */
const QUERY_ASYNCHRONOUS_EVENT = 0x04;
const QUERY_TASK_SET = 0x02;
const I_T_NEXUS_RESET = 0x01;

const FUNCTIONS = ABORT_TASK | ABORT_TASK_SET | CLEAR_TASK_SET | LOGICAL_UNIT_RESET;
const BASIC_BYTES = 4;
/** With REPD: no timeout is given for any of them, so all of them are 0. */
const EXTENDED_BYTES = 16;

export function reportSupportedTaskManagementFunctions(command: Command, _unit: LogicalUnit, nexus: Nexus): void {
  const extended = (command.cdb[2] & 0x80) !== 0;
  const allocation = command.view.getUint32(6);
  if (allocation < BASIC_BYTES) {
    command.fail(invalidCdbField(6));
    return;
  }
  const bytes = new Uint8Array(extended ? EXTENDED_BYTES : BASIC_BYTES);
  bytes[0] = FUNCTIONS;
  if (nexus.siblings.hasQueries) {
    bytes[0] |= QUERY_TASK;
    bytes[1] = QUERY_ASYNCHRONOUS_EVENT | QUERY_TASK_SET | I_T_NEXUS_RESET;
  }
  if (extended) bytes[3] = EXTENDED_BYTES - BASIC_BYTES;
  command.answer(bytes, allocation);
}
