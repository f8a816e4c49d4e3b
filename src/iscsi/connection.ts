/**
 * One connection, from its acceptance to its end: login, then its part in a session. It owns the input, the output and the
 * timers; a data event is parsed whole and its replies leave in one write.
 *
 * Invariants: no PDU but a login is taken before full feature phase; there is always a timer that would end a
 * connection nobody uses; after `#ended` nothing is read or sent.
 */

import { CONTINUE, FINAL, OPCODE_MASK, Opcode } from "./constants.ts";
import type { TargetEvent } from "./events.ts";
import { Input, type PduSink } from "./input.ts";
import type { Connection, ConnectionHandlers, Crc32c, Timer, Timers } from "./interfaces.ts";
import {
  COMMAND_WINDOW,
  FLUSH_TURN_BYTES,
  LINGER_MILLIS,
  LOGIN_MILLIS,
  OUTPUT_PAUSE_BYTES,
  PROBE_MILLIS,
  RECV_SEGMENT_BYTES_MAX,
} from "./limits.ts";
import { type LoginInput, type LoginReply, type LoginState, type LoginTarget, login, loginStart } from "./login.ts";
import type { Parameters } from "./negotiation.ts";
import { type ChunkPool, Output } from "./output.ts";
import { LoginRequest, LoginResponse } from "./pdu.ts";
import type { Portal } from "./portal.ts";
import type { Session } from "./session.ts";
import { type ConnectionLink, SessionConnection } from "./session-connection.ts";
import type { LoggedIn } from "./session-table.ts";

/** The end of a login, and what a session that it opens starts with. */
export interface FinishedLogin extends LoggedIn {
  readonly parameters: Parameters;
  readonly cmdSN: number;
}

/** What a connection asks of the server it belongs to. */
export interface ConnectionHost {
  readonly timers: Timers;
  readonly chunks: ChunkPool;
  readonly crc32c: Crc32c | undefined;
  emit(event: TargetEvent): void;
  /** So much has come from an initiator. */
  received(bytes: number): void;
  /** What logins at a portal are answered by. */
  loginAt(portal: Portal): LoginTarget;
  session(tsih: number): Session | undefined;
  /** Finds the session that a login is for, see `SessionTable`: `ready` gets it, or a login status. */
  prepare(login: FinishedLogin, ready: (result: Session | number) => void): void;
  /** A login is done: a session is open, or one more connection of it. */
  opened(session: Session, isNew: boolean): void;
  closed(connection: TargetConnection): void;
  dropped(connection: TargetConnection, why: string): void;
  loginFailed(connection: TargetConnection, initiatorName: string, status: number, why?: string): void;
}

type Phase = "login" | "reinstating" | "full-feature" | "closing" | "ended";

export class TargetConnection implements ConnectionHandlers, PduSink, ConnectionLink {
  readonly transport: Connection;
  /** Where it came in. */
  readonly portal: Portal;
  readonly #host: ConnectionHost;
  readonly #loginTarget: LoginTarget;
  readonly #output: Output;
  readonly #input: Input;
  #phase: Phase = "login";
  #login: LoginState = loginStart();
  #loginStatSN: number | undefined;
  /** In its first login request, what its initiator had of the connection that it takes the place of. */
  #firstExpStatSN: number | undefined;
  /** From full feature phase on. */
  #joined: SessionConnection | undefined;
  #timer: Timer;
  #probing = false;
  #inEvent = false;
  #flushScheduled = false;
  /** The transport was told to close: nothing is written any more. */
  #finished = false;
  /** The transport is paused until the initiator takes what it is owed. */
  #paused = false;
  #why = "closed by the initiator";

  constructor(transport: Connection, portal: Portal, host: ConnectionHost) {
    this.transport = transport;
    this.portal = portal;
    this.#host = host;
    this.#loginTarget = host.loginAt(portal);
    this.#output = new Output(transport, host.chunks, host.crc32c);
    this.#input = new Input(this, host.crc32c);
    this.#timer = host.timers.after(LOGIN_MILLIS, () => this.drop("no login in time"));
  }

  get remote(): string {
    return this.transport.remote;
  }

  get local(): string {
    return this.transport.local;
  }

  onData(bytes: Uint8Array): void {
    this.#host.received(bytes.length);
    if (this.#joined !== undefined) {
      this.#joined.heard = true;
      const { tasks } = this.#joined.session;
      if (tasks !== undefined) tasks.arrivedAt = this.#host.timers.now();
    }
    this.#inEvent = true;
    this.#input.feed(bytes);
    this.#inEvent = false;
    this.#flush();
  }

  onDrain(): void {
    this.#output.blocked = false;
    this.#flush();
  }

  onClose(): void {
    this.#end();
  }

  pdu(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    if (this.#phase === "full-feature") {
      this.#joined?.pdu(view, bytes, at, dataAt, dataBytes);
      if (this.#output.queuedBytes > OUTPUT_PAUSE_BYTES) this.#pauseForOutput();
      return;
    }
    if (this.#phase !== "login") return;
    if ((view.getUint8(at) & OPCODE_MASK) !== Opcode.LoginRequest) {
      this.drop("a PDU other than a login");
      return;
    }
    this.#loginRequest(view, bytes, at, dataAt, dataBytes);
  }

  dataOutBegins(view: DataView, at: number, dataBytes: number): Uint8Array | undefined {
    if (this.#phase !== "full-feature") {
      this.drop("data before full feature phase");
      return undefined;
    }
    const header = new Uint8Array(view.buffer, view.byteOffset);
    return this.#joined?.dataOutBegins(view, at, dataBytes, header);
  }

  dataOutEnds(): void {
    this.#joined?.dataOutEnds();
  }

  damaged(view: DataView, bytes: Uint8Array, at: number, dataBytes: number): void {
    this.#joined?.damaged(view, bytes, at, dataBytes);
  }

  dataOutDamaged(): void {
    this.#joined?.dataOutDamaged();
  }

  malformed(why: string): void {
    this.#joined?.announceLoss();
    this.drop(why);
  }

  #loginRequest(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    const flags = view.getUint8(at + LoginRequest.flags);
    const input: LoginInput = {
      transit: (flags & FINAL) !== 0,
      continue: (flags & CONTINUE) !== 0,
      currentStage: (flags >> 2) & 3,
      nextStage: flags & 3,
      versionMax: view.getUint8(at + LoginRequest.versionMax),
      versionMin: view.getUint8(at + LoginRequest.versionMin),
      isid: view.getUint16(at + LoginRequest.isid) * 0x100000000 + view.getUint32(at + LoginRequest.isid + 2),
      tsih: view.getUint16(at + LoginRequest.tsih),
      cid: view.getUint16(at + LoginRequest.cid),
      text: bytes.subarray(dataAt, dataAt + dataBytes),
    };
    const tag = view.getUint32(at + LoginRequest.initiatorTaskTag);
    const cmdSN = view.getUint32(at + LoginRequest.cmdSN);
    this.#loginStatSN ??= view.getUint32(at + LoginRequest.expStatSN);
    this.#firstExpStatSN ??= this.#loginStatSN;
    const expStatSN = this.#firstExpStatSN;
    const step = login(this.#login, input, this.#loginTarget);
    this.#login = step.state;
    const { identity } = step.state;
    if (step.state.phase !== "full-feature" || identity === undefined) {
      this.#loginResponse(step.reply, input.isid, input.tsih, tag, cmdSN);
      if (step.state.phase === "failed") this.#refuse(step.reply.status);
      return;
    }
    // What comes next belongs to the session that is not there yet.
    this.#phase = "reinstating";
    this.#input.paused = true;
    const { parameters, proof } = step.state;
    const finished: FinishedLogin = {
      identity,
      portal: this.portal,
      tsih: input.tsih,
      parameters,
      cmdSN,
      user: proof?.chap.phase === "done" ? proof.chap.user : undefined,
      expStatSN,
      isWanted: () => this.#phase === "reinstating",
    };
    this.#host.prepare(finished, (result) => {
      if (typeof result === "number") {
        const reply = { ...step.reply, transit: false, nextStage: 0, status: result, text: NOTHING };
        this.#loginResponse(reply, input.isid, 0, tag, cmdSN);
        this.#refuse(result);
      } else {
        this.#loginResponse(step.reply, input.isid, result.tsih, tag, cmdSN);
        this.#open(result, finished);
      }
      this.#input.resume();
      this.outputAdded();
    });
  }

  #loginResponse(reply: LoginReply, isid: number, tsih: number, tag: number, cmdSN: number): void {
    const output = this.#output;
    const at = output.open(reply.text.length);
    const { view, bytes } = output;
    const flags = (reply.transit ? FINAL : 0) | (reply.stage << 2) | reply.nextStage;
    const statSN = this.#loginStatSN ?? 0;
    this.#loginStatSN = (statSN + 1) >>> 0;
    bytes.fill(0, at, at + 48);
    view.setUint32(at, (Opcode.LoginResponse << 24) | (flags << 16));
    view.setUint32(at + LoginResponse.lengths, reply.text.length);
    view.setUint16(at + LoginResponse.isid, Math.floor(isid / 0x100000000));
    view.setUint32(at + LoginResponse.isid + 2, isid >>> 0);
    view.setUint16(at + LoginResponse.tsih, tsih);
    view.setUint32(at + LoginResponse.initiatorTaskTag, tag);
    view.setUint32(at + LoginResponse.statSN, statSN);
    // A further connection finds the numbers of its session.
    const order = this.#host.session(tsih)?.order;
    view.setUint32(at + LoginResponse.expCmdSN, order?.expCmdSN ?? cmdSN);
    view.setUint32(at + LoginResponse.maxCmdSN, order?.maxCmdSN ?? (cmdSN + COMMAND_WINDOW - 1) >>> 0);
    view.setUint16(at + LoginResponse.status, reply.status);
    bytes.set(reply.text, output.dataAt(at));
    output.close(at, reply.text.length);
  }

  #refuse(status: number): void {
    this.#host.loginFailed(this, this.#login.identity?.initiatorName ?? "", status, this.#login.why);
    this.closeAfterFlush("login refused");
  }

  #open(session: Session, { identity, tsih, parameters }: FinishedLogin): void {
    const { headerDigest, dataDigest, initiatorMaxRecvDataSegmentLength } = parameters;
    this.#phase = "full-feature";
    this.#output.headerDigest = this.#input.headerDigest = headerDigest === "CRC32C";
    this.#output.dataDigest = this.#input.dataDigest = dataDigest === "CRC32C";
    this.#input.segmentBytesMax = RECV_SEGMENT_BYTES_MAX;
    this.#input.recovers = session.parameters.errorRecoveryLevel > 0;
    const spec = {
      cid: identity.cid,
      statSN: this.#loginStatSN ?? 0,
      output: this.#output,
      segmentBytesMax: initiatorMaxRecvDataSegmentLength,
      headerDigest,
      dataDigest,
    };
    this.#joined = new SessionConnection(session, spec, this);
    session.join(this.#joined);
    this.#host.opened(session, tsih === 0);
    this.#armProbe();
  }

  #armProbe(): void {
    this.#timer.cancel();
    this.#timer = this.#host.timers.after(PROBE_MILLIS, () => this.#probe());
  }

  #probe(): void {
    const joined = this.#joined;
    if (joined === undefined || this.#phase !== "full-feature") return;
    if (joined.heard) this.#probing = false;
    else if (this.#probing) {
      joined.announceLoss();
      this.drop("no answer to a probe");
      return;
    } else {
      this.#probing = true;
      joined.replies.probe();
      this.#flush();
    }
    joined.heard = false;
    this.#armProbe();
  }

  outputAdded(): void {
    if (this.#inEvent || this.#flushScheduled || this.#phase === "ended") return;
    this.#flushScheduled = true;
    this.#host.timers.afterTurn(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const output = this.#output;
    const dataIn = this.#joined?.dataIn;
    const until = output.bytesSent + FLUSH_TURN_BYTES;
    for (;;) {
      if (this.#phase === "ended" || this.#finished) return;
      const more = output.flush();
      if (more || output.bytesSent >= until) {
        if (output.queuedBytes > 0 || dataIn?.hasStalled) this.outputAdded();
        break;
      }
      if (output.blocked || dataIn === undefined || !dataIn.hasStalled) break;
      dataIn.resumeStalled();
    }
    if (output.queuedBytes === 0) {
      output.rest();
      if (this.#phase === "closing" && !this.#finished) {
        this.#finished = true;
        this.transport.close();
      }
    }
    if (this.#paused && output.queuedBytes < OUTPUT_PAUSE_BYTES / 2) {
      this.#paused = false;
      this.transport.resume();
      this.#inEvent = true;
      this.#input.resume();
      this.#inEvent = false;
      this.outputAdded();
    }
  }

  #pauseForOutput(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#input.paused = true;
    this.transport.pause();
  }

  discardStream(): void {
    this.#input.discardStream();
  }

  closeAfterFlush(why: string): void {
    if (this.#phase === "closing" || this.#phase === "ended") return;
    this.#why = why;
    this.#phase = "closing";
    this.#input.stop();
    this.#joined?.close(why, false);
    this.#timer.cancel();
    this.#timer = this.#host.timers.after(LINGER_MILLIS, () => this.drop(why));
    this.outputAdded();
  }

  drop(why: string): void {
    if (this.#phase === "ended") return;
    if (this.#phase !== "closing") this.#host.dropped(this, why);
    this.#why = why;
    this.#end();
    this.transport.abort();
  }

  #end(): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#timer.cancel();
    this.#input.stop();
    this.#output.discard();
    this.#joined?.close(this.#why, true);
    this.#host.closed(this);
  }
}

const NOTHING = new Uint8Array(0);
