/** An iSCSI target (RFC 7143) over any block device. */

export type { Grant, Redirection, TargetAccess } from "./access.ts";
export type { Chap, ChapAccount } from "./chap.ts";
export type {
  CommandStatistics,
  Counters,
  LatencyHistogram,
  LoginFailure,
  SessionSnapshot,
  TargetEvent,
  TargetStatistics,
  UnitStatistics,
} from "./events.ts";
export type {
  Address,
  Allocation,
  BlockDevice,
  ChapAlgorithm,
  ChapHashes,
  Connection,
  ConnectionHandlers,
  Crc32c,
  KeptReservations,
  Listener,
  Memory,
  Network,
  Pending,
  Random,
  ReservationStore,
  Timer,
  Timers,
  WriteOptions,
} from "./interfaces.ts";
export * as limits from "./limits.ts";
export type { Portal } from "./portal.ts";
export { mediumError } from "./scsi/device.ts";
export type { LunMap } from "./scsi/lun-view.ts";
export { type AccessChange, AccessState, type PortGroup, type PortGroupsSpec } from "./scsi/port-groups.ts";
export { holds as holdsReservation, ReservationType } from "./scsi/reservations.ts";
export { type Sense, SenseKey, Senses } from "./scsi/sense.ts";
export { initiatorNameOf, initiatorPortOf, nexusName } from "./scsi/transport-id.ts";
export type { Identity, LogicalUnit, LunSpec } from "./scsi/unit.ts";
export { LATENCY_BOUNDS_MS, latencyOf } from "./statistics.ts";
export { type ServerOptions, Target, TargetServer, type TargetSpec } from "./target.ts";
