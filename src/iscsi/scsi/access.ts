/**
 * What a command does to a logical unit as far as reservations go: the tables of commands that are allowed in the presence
 * of reservations, of SPC-4 (section 5.13.1) and SBC-3, with commands that this target may not have.
 *
 * Invariant: each command of the target has its place here; `accessOf` throws for one that has not, as the table of
 * commands is made.
 */

export const Access = {
  /** Allowed whatever is reserved. */
  Free: 0,
  /** Refused only where another nexus holds the reservation of a RESERVE. */
  Ready: 1,
  /** Looks at the medium, or at what its exclusive user may keep to itself: allowed where only writing is exclusive. */
  Read: 2,
  /** Changes what others rely on: the holder's, and the registrants' where the reservation is for them. */
  Write: 3,
  /** Manages reservations: the command itself decides. */
  Own: 4,
} as const;

export type AccessRule = number | ((cdb: Uint8Array) => number);

const { Free, Ready, Read, Write, Own } = Access;

/** START is one and POWER CONDITION is zero. */
const startStop = (cdb: Uint8Array) => ((cdb[4] & 0xf1) === 0x01 ? Free : Write);
/** PREVENT is zero. */
const preventAllow = (cdb: Uint8Array) => ((cdb[4] & 0x03) === 0 ? Free : Write);

const RULES: readonly (readonly [rule: AccessRule, ...opcodes: number[]])[] = [
  [Ready, 0x00],
  // REQUEST SENSE, INQUIRY, READ CAPACITY (10), LOG SENSE, REPORT LUNS
  [Free, 0x03, 0x12, 0x25, 0x4d, 0xa0],
  [startStop, 0x1b],
  [preventAllow, 0x1e],
  // RESERVE and RELEASE (6) and (10), PERSISTENT RESERVE IN and OUT
  [Own, 0x16, 0x17, 0x56, 0x57, 0x5e, 0x5f],
  // READ, VERIFY, PRE-FETCH
  [Read, 0x08, 0x28, 0x88, 0xa8, 0x2f, 0x8f, 0xaf, 0x34, 0x90],
  // MODE SENSE, READ BUFFER, RECEIVE DIAGNOSTIC RESULTS, READ DEFECT DATA, RECEIVE COPY RESULTS
  [Read, 0x1a, 0x5a, 0x3c, 0x1c, 0x37, 0xb7, 0x84],
  // WRITE, WRITE ATOMIC, WRITE AND VERIFY, WRITE SAME, ORWRITE, COMPARE AND WRITE
  [Write, 0x0a, 0x2a, 0x8a, 0xaa, 0x9c, 0x2e, 0x8e, 0xae, 0x41, 0x93, 0x8b, 0x89],
  // SYNCHRONIZE CACHE, UNMAP, FORMAT UNIT, REASSIGN BLOCKS, SANITIZE, EXTENDED COPY and the token commands
  [Write, 0x35, 0x91, 0x42, 0x04, 0x07, 0x48, 0x83],
  // MODE SELECT, LOG SELECT, SEND DIAGNOSTIC, WRITE BUFFER
  [Write, 0x15, 0x55, 0x4c, 0x1d, 0x3b],
];

const SERVICE_ACTION_RULES: readonly (readonly [rule: AccessRule, opcode: number, ...serviceActions: number[]])[] = [
  // READ CAPACITY (16); GET LBA STATUS
  [Free, 0x9e, 0x10],
  [Read, 0x9e, 0x12],
  // REPORT TARGET PORT GROUPS and its like; REPORT SUPPORTED OPERATION CODES and TASK MANAGEMENT FUNCTIONS
  [Free, 0xa3, 0x05, 0x0a, 0x0b, 0x0e, 0x0f],
  [Read, 0xa3, 0x0c, 0x0d],
  // POPULATE TOKEN
  [Read, 0x83, 0x10],
  // SET TARGET PORT GROUPS and its like
  [Write, 0xa4, 0x06, 0x0a, 0x0b, 0x0e, 0x0f],
];

/** @param serviceAction of opcodes whose service actions are commands of their own */
export function accessOf(opcode: number, serviceAction: number | undefined): AccessRule {
  const found =
    SERVICE_ACTION_RULES.find(
      ([, code, ...actions]) => code === opcode && actions.includes(serviceAction ?? -1),
    )?.[0] ?? RULES.find(([, ...opcodes]) => opcodes.includes(opcode))?.[0];
  if (found === undefined) throw new Error(`opcode ${opcode.toString(16)} has no place in the table of reservations`);
  return found;
}
