/** Numbers that RFC 7143 fixes. The numbers that this target chooses are in limits.ts. */

/** RFC 7143 section 11.2.1.2. */
export const Opcode = {
  NopOut: 0x00,
  ScsiCommand: 0x01,
  TaskManagementRequest: 0x02,
  LoginRequest: 0x03,
  TextRequest: 0x04,
  DataOut: 0x05,
  LogoutRequest: 0x06,
  SnackRequest: 0x10,
  NopIn: 0x20,
  ScsiResponse: 0x21,
  TaskManagementResponse: 0x22,
  LoginResponse: 0x23,
  TextResponse: 0x24,
  DataIn: 0x25,
  LogoutResponse: 0x26,
  R2T: 0x31,
  AsyncMessage: 0x32,
  Reject: 0x3f,
} as const;

export const OPCODE_MASK = 0x3f;
export const IMMEDIATE = 0x40;
/** The F bit of every PDU, and the T bit of login PDUs. */
export const FINAL = 0x80;
/** The C bit of text and login PDUs. */
export const CONTINUE = 0x40;
export const RESERVED_TAG = 0xffffffff;

/** Flags of a SCSI Command, section 11.3.1. */
export const CommandFlag = { Read: 0x40, Write: 0x20, AttributeMask: 0x07 } as const;
export const TaskAttribute = { Untagged: 0, Simple: 1, Ordered: 2, HeadOfQueue: 3, Aca: 4 } as const;
/** Flags of a SCSI Response and of a Data-In with status, sections 11.4.1 and 11.7.1. */
export const ResidualFlag = { Overflow: 0x04, Underflow: 0x02 } as const;
export const DATA_IN_STATUS = 0x01;
/** The A bit of a Data-In, section 11.7.2. */
export const DATA_IN_ACKNOWLEDGE = 0x40;

/** Section 11.5.1, and RFC 7144 section 4.1 from QUERY TASK on. */
export const TaskManagement = {
  AbortTask: 1,
  AbortTaskSet: 2,
  ClearAca: 3,
  ClearTaskSet: 4,
  LogicalUnitReset: 5,
  TargetWarmReset: 6,
  TargetColdReset: 7,
  TaskReassign: 8,
  QueryTask: 9,
  QueryTaskSet: 10,
  NexusReset: 11,
  QueryAsyncEvent: 12,
} as const;

/** The iSCSIProtocolLevel that functions of RFC 7144 need. */
export const PROTOCOL_LEVEL_SAM5 = 2;

/** Section 11.6.1. */
export const TaskManagementResponse = {
  Complete: 0,
  TaskDoesNotExist: 1,
  LunDoesNotExist: 2,
  TaskStillAllegiant: 3,
  TaskReassignNotSupported: 4,
  NotSupported: 5,
  AuthorizationFailed: 6,
  /** What a query of RFC 7144 has asked about is there. */
  Succeeded: 7,
  Rejected: 255,
} as const;

/** Section 11.16.1. */
export const SnackType = { DataOrR2T: 0, Status: 1, DataAck: 2, RData: 3 } as const;

/** Section 11.17.1. */
export const RejectReason = {
  DataDigestError: 0x02,
  SnackReject: 0x03,
  ProtocolError: 0x04,
  CommandNotSupported: 0x05,
  TaskInProgress: 0x07,
  InvalidPduField: 0x09,
  OutOfResources: 0x0a,
} as const;

/** Status-Class in the high byte, Status-Detail in the low one; section 11.13.5. */
export const LoginStatus = {
  Success: 0x0000,
  MovedTemporarily: 0x0101,
  MovedPermanently: 0x0102,
  InitiatorError: 0x0200,
  AuthenticationFailure: 0x0201,
  AuthorizationFailure: 0x0202,
  TargetNotFound: 0x0203,
  UnsupportedVersion: 0x0205,
  TooManyConnections: 0x0206,
  MissingParameter: 0x0207,
  SessionTypeNotSupported: 0x0209,
  SessionDoesNotExist: 0x020a,
  InvalidDuringLogin: 0x020b,
  ServiceUnavailable: 0x0301,
  OutOfResources: 0x0302,
} as const;

/** CSG and NSG of a login, section 11.12.3. */
export const Stage = { Security: 0, Operational: 1, FullFeature: 3 } as const;

/** Section 11.14.1 and 11.15.1. */
export const LogoutReason = { CloseSession: 0, CloseConnection: 1, RemoveForRecovery: 2 } as const;
export const LogoutResponse = { Closed: 0, CidNotFound: 1, RecoveryNotSupported: 2 } as const;

/** Section 11.9.1. */
export const AsyncEvent = { LogoutRequested: 1, ConnectionDropped: 2, SessionDropped: 3, TaskTermination: 5 } as const;
