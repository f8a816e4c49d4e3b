/** What a target tells who logs or counts it. Nothing in the package logs by itself. */

export type TargetEvent =
  | { readonly type: "session-opened"; readonly session: SessionSnapshot }
  | { readonly type: "session-closed"; readonly session: SessionSnapshot; readonly why: string }
  | LoginFailure
  | {
      readonly type: "login-redirected";
      readonly remote: string;
      readonly initiatorName: string;
      /** Whether for now or for good. */
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
