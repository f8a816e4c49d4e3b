/**
 * The Basic Header Segments of RFC 7143 section 11 as tables: each field's name and offset; all numbers big-endian.
 * A table must tile its 48 bytes exactly or this module does not load. Encoders and decoders use the same offsets,
 * so that the hot path reads `view.getUint32(at + DataOut.bufferOffset)` and makes no object for a header.
 */

import { REPORT_LUNS_UNIT } from "./scsi/lun.ts";

export const BHS_BYTES = 48;
export const DIGEST_BYTES = 4;

type Columns = Readonly<Record<string, readonly [offset: number, width: number]>>;

function bhs<const C extends Columns>(name: string, columns: C): { readonly [K in keyof C]: C[K][0] } {
  let next = 0;
  const offsets: Record<string, number> = {};
  for (const [field, [offset, width]] of Object.entries(columns)) {
    if (offset !== next)
      throw new RangeError(`${name}.${field} starts at ${offset}, the field before it ends at ${next}`);
    offsets[field] = offset;
    next = offset + width;
  }
  if (next !== BHS_BYTES) throw new RangeError(`${name} fills ${next} of ${BHS_BYTES} bytes`);
  return offsets as { readonly [K in keyof C]: C[K][0] };
}

/** The DataSegmentLength field shares its word with TotalAHSLength: read both as `lengths`. */
export const Common = bhs("any PDU", {
  opcode: [0, 1],
  flags: [1, 1],
  specific: [2, 2],
  lengths: [4, 4],
  lun: [8, 8],
  initiatorTaskTag: [16, 4],
  rest: [20, 28],
});

export const ScsiCommand = bhs("SCSI Command", {
  opcode: [0, 1],
  flags: [1, 1],
  reserved: [2, 2],
  lengths: [4, 4],
  lun: [8, 8],
  initiatorTaskTag: [16, 4],
  expectedDataTransferLength: [20, 4],
  cmdSN: [24, 4],
  expStatSN: [28, 4],
  cdb: [32, 16],
});

export const ScsiResponse = bhs("SCSI Response", {
  opcode: [0, 1],
  flags: [1, 1],
  response: [2, 1],
  status: [3, 1],
  lengths: [4, 4],
  reserved: [8, 8],
  initiatorTaskTag: [16, 4],
  snackTag: [20, 4],
  statSN: [24, 4],
  expCmdSN: [28, 4],
  maxCmdSN: [32, 4],
  expDataSN: [36, 4],
  bidirectionalReadResidualCount: [40, 4],
  residualCount: [44, 4],
});

export const TaskManagementRequest = bhs("Task Management Function Request", {
  opcode: [0, 1],
  function: [1, 1],
  reserved: [2, 2],
  lengths: [4, 4],
  lun: [8, 8],
  initiatorTaskTag: [16, 4],
  referencedTaskTag: [20, 4],
  cmdSN: [24, 4],
  expStatSN: [28, 4],
  refCmdSN: [32, 4],
  expDataSN: [36, 4],
  reservedTail: [40, 8],
});

export const DataOut = bhs("SCSI Data-Out", {
  opcode: [0, 1],
  flags: [1, 1],
  reserved: [2, 2],
  lengths: [4, 4],
  lun: [8, 8],
  initiatorTaskTag: [16, 4],
  targetTransferTag: [20, 4],
  reserved24: [24, 4],
  expStatSN: [28, 4],
  reserved32: [32, 4],
  dataSN: [36, 4],
  bufferOffset: [40, 4],
  reservedTail: [44, 4],
});

export const DataIn = bhs("SCSI Data-In", {
  opcode: [0, 1],
  flags: [1, 1],
  reserved: [2, 1],
  status: [3, 1],
  lengths: [4, 4],
  lun: [8, 8],
  initiatorTaskTag: [16, 4],
  targetTransferTag: [20, 4],
  statSN: [24, 4],
  expCmdSN: [28, 4],
  maxCmdSN: [32, 4],
  dataSN: [36, 4],
  bufferOffset: [40, 4],
  residualCount: [44, 4],
});

export const R2T = bhs("Ready To Transfer", {
  opcode: [0, 1],
  flags: [1, 1],
  reserved: [2, 2],
  lengths: [4, 4],
  lun: [8, 8],
  initiatorTaskTag: [16, 4],
  targetTransferTag: [20, 4],
  statSN: [24, 4],
  expCmdSN: [28, 4],
  maxCmdSN: [32, 4],
  r2tSN: [36, 4],
  bufferOffset: [40, 4],
  desiredDataTransferLength: [44, 4],
});

/** What Text Request, NOP-Out and Logout Request share. */
export const Request = bhs("Text, NOP-Out or Logout Request", {
  opcode: [0, 1],
  flags: [1, 1],
  reserved: [2, 2],
  lengths: [4, 4],
  lun: [8, 8],
  initiatorTaskTag: [16, 4],
  targetTransferTag: [20, 4],
  cmdSN: [24, 4],
  expStatSN: [28, 4],
  reservedTail: [32, 16],
});

export const Snack = bhs("SNACK Request", {
  opcode: [0, 1],
  flags: [1, 1],
  reserved: [2, 2],
  lengths: [4, 4],
  lun: [8, 8],
  initiatorTaskTag: [16, 4],
  targetTransferTag: [20, 4],
  reserved24: [24, 4],
  expStatSN: [28, 4],
  reserved32: [32, 8],
  begRun: [40, 4],
  runLength: [44, 4],
});

/** The CID of a Logout Request lies where others have their Target Transfer Tag. */
export const LOGOUT_CID_OFFSET = 20;

/** What Text, NOP-In, Task Management, Logout and Reject responses and asynchronous messages share. */
export const Response = bhs("responses", {
  opcode: [0, 1],
  flags: [1, 1],
  code: [2, 1],
  reserved: [3, 1],
  lengths: [4, 4],
  lun: [8, 8],
  initiatorTaskTag: [16, 4],
  targetTransferTag: [20, 4],
  statSN: [24, 4],
  expCmdSN: [28, 4],
  maxCmdSN: [32, 4],
  word36: [36, 4],
  word40: [40, 4],
  word44: [44, 4],
});

export const LoginRequest = bhs("Login Request", {
  opcode: [0, 1],
  flags: [1, 1],
  versionMax: [2, 1],
  versionMin: [3, 1],
  lengths: [4, 4],
  isid: [8, 6],
  tsih: [14, 2],
  initiatorTaskTag: [16, 4],
  cid: [20, 2],
  reserved: [22, 2],
  cmdSN: [24, 4],
  expStatSN: [28, 4],
  reservedTail: [32, 16],
});

export const LoginResponse = bhs("Login Response", {
  opcode: [0, 1],
  flags: [1, 1],
  versionMax: [2, 1],
  versionActive: [3, 1],
  lengths: [4, 4],
  isid: [8, 6],
  tsih: [14, 2],
  initiatorTaskTag: [16, 4],
  reserved20: [20, 4],
  statSN: [24, 4],
  expCmdSN: [28, 4],
  maxCmdSN: [32, 4],
  status: [36, 2],
  reservedTail: [38, 10],
});

/** Bytes of padding after a segment of `length` bytes: segments end on a word. */
export function padding(length: number): number {
  return -length & 3;
}

/**
 * The logical unit number in the 8 bytes at `at`: single level, peripheral (bus 0) or flat addressing (SAM-5 4.7), or the
 * REPORT LUNS well-known unit.
 *
 * @returns -1 for any other form
 */
export function readLun(view: DataView, at: number): number {
  const first = view.getUint32(at);
  if ((first & 0xffff) !== 0 || view.getUint32(at + 4) !== 0) return -1;
  const method = first >>> 30;
  if (method === 0) return first >>> 24 === 0 ? first >>> 16 : -1;
  if (first >>> 16 === REPORT_LUNS_UNIT) return REPORT_LUNS_UNIT;
  return method === 1 ? (first >>> 16) & 0x3fff : -1;
}

/** The first word of a LUN in its 8-byte form; the second is zero. */
export function lunWord(lun: number): number {
  return lun < 256 ? lun << 16 : ((0x4000 | lun) << 16) >>> 0;
}

/** Serial number arithmetic of RFC 1982 on 32 bits: is `a` before `b`? */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}
