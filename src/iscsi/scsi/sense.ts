/** Status codes and sense data of SAM-5 and SPC-4 section 4.5. */

export const Status = {
  Good: 0x00,
  CheckCondition: 0x02,
  ConditionMet: 0x04,
  Busy: 0x08,
  ReservationConflict: 0x18,
  TaskSetFull: 0x28,
  TaskAborted: 0x40,
} as const;

export const SenseKey = {
  NoSense: 0x0,
  NotReady: 0x2,
  MediumError: 0x3,
  HardwareError: 0x4,
  IllegalRequest: 0x5,
  UnitAttention: 0x6,
  DataProtect: 0x7,
  CopyAborted: 0xa,
  AbortedCommand: 0xb,
  Miscompare: 0xe,
} as const;

export interface Sense {
  /** One of `SenseKey`. */
  readonly key: number;
  /** Additional sense code. */
  readonly asc: number;
  /** Additional sense code qualifier. */
  readonly ascq: number;
  /** The INFORMATION field, such as the offset of a miscompare. */
  readonly information?: number;
  /** SENSE KEY SPECIFIC: the byte of the CDB or of the parameter list that is in error. */
  readonly field?: { readonly inCdb: boolean; readonly byte: number };
  /** SENSE KEY SPECIFIC: how much of what the unit is busy with is done, in 65536ths. */
  readonly progress?: number;
  /** COMMAND-SPECIFIC INFORMATION of COPY ABORTED: the segment that failed, and the byte of it that is in error, if one is. */
  readonly segment?: { readonly index: number; readonly byte?: number };
}

const sense = (key: number, asc: number, ascq: number): Sense => Object.freeze({ key, asc, ascq });

export const Senses = {
  None: sense(SenseKey.NoSense, 0x00, 0x00),
  NotReady: sense(SenseKey.NotReady, 0x04, 0x00),
  StoppedUnit: sense(SenseKey.NotReady, 0x04, 0x02),
  AccessInTransition: sense(SenseKey.NotReady, 0x04, 0x0a),
  PortInStandby: sense(SenseKey.NotReady, 0x04, 0x0b),
  PortUnavailable: sense(SenseKey.NotReady, 0x04, 0x0c),
  PortOffline: sense(SenseKey.NotReady, 0x04, 0x12),
  MediumNotPresent: sense(SenseKey.NotReady, 0x3a, 0x00),
  UnrecoveredRead: sense(SenseKey.MediumError, 0x11, 0x00),
  FormatInProgress: sense(SenseKey.NotReady, 0x04, 0x04),
  FormatFailed: sense(SenseKey.MediumError, 0x31, 0x01),
  SelfTestFailed: sense(SenseKey.HardwareError, 0x3e, 0x03),
  SanitizeInProgress: sense(SenseKey.NotReady, 0x04, 0x1b),
  SanitizeFailed: sense(SenseKey.MediumError, 0x31, 0x03),
  WriteError: sense(SenseKey.MediumError, 0x0c, 0x00),
  InternalTargetFailure: sense(SenseKey.HardwareError, 0x44, 0x00),
  SetTargetPortGroupsFailed: sense(SenseKey.HardwareError, 0x67, 0x0a),
  OperationInProgress: sense(SenseKey.IllegalRequest, 0x00, 0x16),
  InvalidOpcode: sense(SenseKey.IllegalRequest, 0x20, 0x00),
  LbaOutOfRange: sense(SenseKey.IllegalRequest, 0x21, 0x00),
  InvalidFieldInCdb: sense(SenseKey.IllegalRequest, 0x24, 0x00),
  UnsupportedTokenType: sense(SenseKey.IllegalRequest, 0x23, 0x01),
  TokenUnknown: sense(SenseKey.IllegalRequest, 0x23, 0x04),
  TokenCorrupt: sense(SenseKey.IllegalRequest, 0x23, 0x05),
  TokenRevoked: sense(SenseKey.IllegalRequest, 0x23, 0x06),
  TokenExpired: sense(SenseKey.IllegalRequest, 0x23, 0x07),
  TokenCancelled: sense(SenseKey.IllegalRequest, 0x23, 0x08),
  TokenDeleted: sense(SenseKey.IllegalRequest, 0x23, 0x09),
  LunNotSupported: sense(SenseKey.IllegalRequest, 0x25, 0x00),
  InvalidFieldInParameterList: sense(SenseKey.IllegalRequest, 0x26, 0x00),
  ParameterListLength: sense(SenseKey.IllegalRequest, 0x1a, 0x00),
  InvalidRelease: sense(SenseKey.IllegalRequest, 0x26, 0x04),
  TooManyCscds: sense(SenseKey.IllegalRequest, 0x26, 0x06),
  UnsupportedCscdType: sense(SenseKey.IllegalRequest, 0x26, 0x07),
  TooManySegments: sense(SenseKey.IllegalRequest, 0x26, 0x08),
  UnsupportedSegmentType: sense(SenseKey.IllegalRequest, 0x26, 0x09),
  InlineDataLengthExceeded: sense(SenseKey.IllegalRequest, 0x26, 0x0b),
  MediumRemovalPrevented: sense(SenseKey.IllegalRequest, 0x53, 0x02),
  InsufficientRegistrationResources: sense(SenseKey.IllegalRequest, 0x55, 0x04),
  InsufficientTokenResources: sense(SenseKey.IllegalRequest, 0x55, 0x0d),
  SavingNotSupported: sense(SenseKey.IllegalRequest, 0x39, 0x00),
  WriteProtected: sense(SenseKey.DataProtect, 0x27, 0x00),
  MediumMayHaveChanged: sense(SenseKey.UnitAttention, 0x28, 0x00),
  PowerOn: sense(SenseKey.UnitAttention, 0x29, 0x00),
  UnitReset: sense(SenseKey.UnitAttention, 0x29, 0x03),
  NexusLoss: sense(SenseKey.UnitAttention, 0x29, 0x07),
  ModeParametersChanged: sense(SenseKey.UnitAttention, 0x2a, 0x01),
  LogParametersChanged: sense(SenseKey.UnitAttention, 0x2a, 0x02),
  ReservationsPreempted: sense(SenseKey.UnitAttention, 0x2a, 0x03),
  ReservationsReleased: sense(SenseKey.UnitAttention, 0x2a, 0x04),
  RegistrationsPreempted: sense(SenseKey.UnitAttention, 0x2a, 0x05),
  AccessStateChanged: sense(SenseKey.UnitAttention, 0x2a, 0x06),
  CapacityChanged: sense(SenseKey.UnitAttention, 0x2a, 0x09),
  InquiryDataChanged: sense(SenseKey.UnitAttention, 0x3f, 0x03),
  LunsChanged: sense(SenseKey.UnitAttention, 0x3f, 0x0e),
  /** Of a copy: it was aborted, or its segment is in error. */
  CopyAborted: sense(SenseKey.CopyAborted, 0x00, 0x00),
  ThirdPartyDeviceFailure: sense(SenseKey.CopyAborted, 0x0d, 0x01),
  CopyTargetNotReachable: sense(SenseKey.CopyAborted, 0x0d, 0x02),
  IncorrectCopyTargetType: sense(SenseKey.CopyAborted, 0x0d, 0x03),
  UnexpectedInexactSegment: sense(SenseKey.CopyAborted, 0x26, 0x0a),
  Miscompare: sense(SenseKey.Miscompare, 0x1d, 0x00),
  /** RFC 7143 section 11.4.7.2. */
  UnexpectedUnsolicitedData: sense(SenseKey.AbortedCommand, 0x0c, 0x0c),
  IncorrectAmountOfData: sense(SenseKey.AbortedCommand, 0x0c, 0x0d),
} as const;

/** Thrown by the work of a command to end it with CHECK CONDITION. */
export class CheckCondition extends Error {
  override readonly name = "CheckCondition";

  constructor(readonly sense: Sense) {
    super(`sense ${sense.key.toString(16)}/${sense.asc.toString(16)}/${sense.ascq.toString(16)}`);
  }
}

/** INVALID FIELD IN CDB that points at its byte. */
export function invalidCdbField(byte: number): Sense {
  return { ...Senses.InvalidFieldInCdb, field: { inCdb: true, byte } };
}

export function invalidParameter(byte: number): Sense {
  return { ...Senses.InvalidFieldInParameterList, field: { inCdb: false, byte } };
}

export const FIXED_SENSE_BYTES = 18;
/** SD of the segment pointer: the byte is counted from the begin of its segment descriptor. */
const SEGMENT_DESCRIPTOR = 0x20;

/** Fixed format, SPC-4 section 4.5.3, or descriptor format, 4.5.2. */
export function formatSense(sense: Sense, descriptor: boolean): Uint8Array {
  return descriptor ? descriptorSense(sense) : fixedSense(sense);
}

function fixedSense(sense: Sense): Uint8Array {
  const bytes = new Uint8Array(FIXED_SENSE_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x70;
  bytes[2] = sense.key;
  bytes[7] = FIXED_SENSE_BYTES - 8;
  bytes[12] = sense.asc;
  bytes[13] = sense.ascq;
  // The field has 32 bits; what does not fit is left out, as VALID says.
  if (sense.information !== undefined && sense.information <= 0xffffffff) {
    bytes[0] |= 0x80;
    view.setUint32(3, sense.information);
  }
  if (sense.field !== undefined) {
    bytes[15] = 0x80 | (sense.field.inCdb ? 0x40 : 0);
    view.setUint16(16, sense.field.byte);
  }
  if (sense.progress !== undefined) {
    bytes[15] = 0x80;
    view.setUint16(16, sense.progress);
  }
  if (sense.segment !== undefined) {
    view.setUint32(8, sense.segment.index);
    if (sense.segment.byte !== undefined) {
      bytes[15] = 0x80 | SEGMENT_DESCRIPTOR;
      view.setUint16(16, sense.segment.byte);
    }
  }
  return bytes;
}

function descriptorSense(sense: Sense): Uint8Array {
  const descriptors: Uint8Array[] = [];
  if (sense.information !== undefined) {
    const information = new Uint8Array([0x00, 0x0a, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    new DataView(information.buffer).setBigUint64(4, BigInt(sense.information));
    descriptors.push(information);
  }
  if (sense.segment !== undefined) {
    const { index, byte } = sense.segment;
    descriptors.push(new Uint8Array([0x01, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, index >> 8, index & 0xff]));
    if (byte !== undefined) {
      descriptors.push(new Uint8Array([0x02, 0x06, 0, 0, 0x80 | SEGMENT_DESCRIPTOR, byte >> 8, byte & 0xff, 0]));
    }
  }
  if (sense.field !== undefined) {
    const { inCdb, byte } = sense.field;
    descriptors.push(new Uint8Array([0x02, 0x06, 0, 0, 0x80 | (inCdb ? 0x40 : 0), byte >> 8, byte & 0xff, 0]));
  }
  if (sense.progress !== undefined) {
    descriptors.push(new Uint8Array([0x02, 0x06, 0, 0, 0x80, sense.progress >> 8, sense.progress & 0xff, 0]));
  }
  const length = descriptors.reduce((sum, one) => sum + one.length, 0);
  const bytes = new Uint8Array(8 + length);
  bytes.set([0x72, sense.key, sense.asc, sense.ascq, 0, 0, 0, length]);
  let at = 8;
  for (const one of descriptors) {
    bytes.set(one, at);
    at += one.length;
  }
  return bytes;
}
