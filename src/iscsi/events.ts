/** What a target tells who logs or counts it. Nothing in the package logs by itself. */

export type TargetEvent =
  | { readonly type: "session-opened"; readonly session: SessionSnapshot }
  | { readonly type: "session-closed"; readonly session: SessionSnapshot; readonly why: string }
  | LoginFailure
  | {
      readonly type: "login-redirected";
      readonly remote: string;
      readonly initiatorName: string;
      /** A `LoginStatus`: moved temporarily or permanently. */
      readonly status: number;
      readonly to: string;
    }
  | { readonly type: "connection-dropped"; readonly remote: string; readonly why: string }
  | { readonly type: "connection-refused"; readonly remote: string; readonly why: string }
  | { readonly type: "device-failed"; readonly targetName: string; readonly lun: number; readonly error: unknown };

export interface LoginFailure {
  readonly type: "login-failed";
  readonly remote: string;
  /** As it says itself; empty where it did not say. */
  readonly initiatorName: string;
  /** Status-Class and Status-Detail of RFC 7143 section 11.13.5. */
  readonly status: number;
  /** What the status does not say: how an authentication failed. Never holds a secret. */
  readonly why?: string;
}

export interface SessionSnapshot {
  readonly tsih: number;
  readonly initiatorName: string;
  readonly initiatorAlias: string;
  /** Whom it has proven to be, where that was asked for. */
  readonly user?: string;
  /** Empty in a discovery session. */
  readonly targetName: string;
  readonly isid: number;
  readonly connections: number;
  /** These four are of the connection that it has had longest. */
  readonly remote: string;
  readonly local: string;
  readonly headerDigest: string;
  readonly dataDigest: string;
  readonly tasks: number;
  readonly commands: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Write data held now. */
  readonly bytesHeld: number;
  readonly outputBytesQueued: number;
}

/** How long commands took: see statistics.ts for what is counted, and for the bounds of the buckets. */
export interface LatencyHistogram {
  readonly buckets: readonly number[];
  /** The sum of the buckets. */
  readonly commands: number;
  /** Divided by a length of time, the mean of how many were at work at once in it. */
  readonly totalMs: number;
  readonly longestMs: number;
}

/** Counted since the unit was added, or the target: never reset. */
export interface CommandStatistics {
  readonly reads: LatencyHistogram;
  readonly writes: LatencyHistogram;
  /** All that are neither: those that move no blocks, and those that do more with them than to read or write. */
  readonly others: LatencyHistogram;
  /** Of commands that succeeded. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Commands that are in the target now, and the most that ever were. */
  readonly depth: number;
  readonly deepest: number;
  /** CHECK CONDITION, but for unit attentions. */
  readonly failed: number;
  /** BUSY, TASK SET FULL and RESERVATION CONFLICT. */
  readonly refused: number;
  /** Ended without a status of their own. */
  readonly aborted: number;
  readonly deviceErrors: number;
}

export interface UnitStatistics extends CommandStatistics {
  /** The target's own. */
  readonly lun: number;
}

/** Units that were removed are in its own figures, and are not listed. `deepest` is that of the unit that had most. */
export interface TargetStatistics extends CommandStatistics {
  readonly targetName: string;
  readonly units: readonly UnitStatistics[];
}

/** Counted since the server was made; never reset. */
export interface Counters {
  connectionsAccepted: number;
  connectionsRefused: number;
  connectionsDropped: number;
  logins: number;
  loginsFailed: number;
  loginsRedirected: number;
  sessionsReinstated: number;
  commands: number;
  bytesRead: number;
  bytesWritten: number;
  pdusRejected: number;
  pdusIgnored: number;
  deviceErrors: number;
}
