/**
 * A connection of a session in full feature phase: takes PDUs, puts its commands in the order of the session, answers.
 *
 * Invariants: every request gets exactly one answer, or none if its CmdSN is outside the window; what a connection has
 * asked for is answered on it; StatSN and text exchanges are its own; nothing is sent after `close`.
 */

import { type EarlyCommand, type KeptPdu, keep } from "./command-order.ts";
import {
  AsyncEvent,
  FINAL,
  IMMEDIATE,
  LogoutReason,
  LogoutResponse,
  OPCODE_MASK,
  Opcode,
  RESERVED_TAG,
  RejectReason,
} from "./constants.ts";
import { DataInTransfers } from "./data-in.ts";
import type { Timer } from "./interfaces.ts";
import { ACKNOWLEDGE_MILLIS } from "./limits.ts";
import type { Digest } from "./negotiation.ts";
import type { Output } from "./output.ts";
import { BHS_BYTES, before, Common, DataOut, LOGOUT_CID_OFFSET, Request } from "./pdu.ts";
import { Replies } from "./replies.ts";
import { RetainedStatuses } from "./retained.ts";
import type { Session } from "./session.ts";
import { snack } from "./snack.ts";
import type { Allegiance, Task } from "./task.ts";
import { taskManagement } from "./task-management.ts";
import { TextExchange } from "./text-exchange.ts";

/** What is under a connection in full feature phase. */
export interface ConnectionLink {
  readonly remote: string;
  readonly local: string;
  /** Output was added outside of a data event. */
  outputAdded(): void;
  /** Sends what is queued, then closes the connection. */
  closeAfterFlush(why: string): void;
  /** Closes at once. */
  drop(why: string): void;
  /** The payload that is arriving is not wanted any more. */
  discardStream(): void;
}

export interface ConnectionSpec {
  readonly cid: number;
  readonly statSN: number;
  readonly output: Output;
  /** The largest data segment that the initiator takes here. */
  readonly segmentBytesMax: number;
  readonly headerDigest: Digest;
  readonly dataDigest: Digest;
}

export class SessionConnection implements Allegiance {
  readonly cid: number;
  readonly session: Session;
  readonly link: ConnectionLink;
  readonly replies: Replies;
  readonly dataIn: DataInTransfers;
  readonly headerDigest: Digest;
  readonly dataDigest: Digest;
  readonly #text: TextExchange;
  /** StatSNs before this one have been acknowledged. */
  #acknowledged: number;
  /** What waits until everything that was sent has been acknowledged. */
  #fences: { readonly statSN: number; readonly run: () => void }[] = [];
  /** Runs while there are any. */
  #patience: Timer | undefined;
  #streaming: Task | undefined;
  #streamFinal = false;
  #streamBytes = 0;
  #spill: Uint8Array | undefined;
  /** A Data-Out for a command whose turn has not come. */
  #early: KeptPdu | undefined;
  /** The header of the Data-Out that is arriving, where its data may turn out to be damaged. */
  #streamHeader: Uint8Array | undefined;
  #closed = false;
  /** Set by anything that arrives; cleared by the connection's probe timer. */
  heard = true;

  constructor(session: Session, spec: ConnectionSpec, link: ConnectionLink) {
    this.session = session;
    this.link = link;
    this.cid = spec.cid;
    this.headerDigest = spec.headerDigest;
    this.dataDigest = spec.dataDigest;
    this.replies = new Replies(spec.output, spec.statSN, session.order);
    this.replies.segmentBytesMax = spec.segmentBytesMax;
    if (session.parameters.errorRecoveryLevel > 0) {
      this.replies.retained = new RetainedStatuses((task) => session.tasks?.takeBack(task));
    }
    this.#acknowledged = spec.statSN;
    this.dataIn = new DataInTransfers(session.taskOwner, this.replies, session.parameters, session.buffers);
    this.#text = new TextExchange(this.replies, (which) => session.sendTargets(which, link.local));
  }

  get closed(): boolean {
    return this.#closed;
  }

  pdu(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    if (this.#closed) return;
    const expStatSN = view.getUint32(at + Request.expStatSN);
    if (expStatSN !== this.#acknowledged) this.acknowledge(expStatSN);
    const opcode = view.getUint8(at) & OPCODE_MASK;
    switch (opcode) {
      case Opcode.DataOut:
        this.#dataOut(view, bytes, at, dataAt, dataBytes);
        return;
      case Opcode.ScsiCommand:
      case Opcode.NopOut:
      case Opcode.TaskManagementRequest:
      case Opcode.TextRequest:
      case Opcode.LogoutRequest: {
        const { session } = this;
        if (!this.#isTurn(opcode, view, bytes, at, dataAt, dataBytes)) return;
        this.#request(opcode, view, bytes, at, dataAt, dataBytes);
        if (session.order.waiting > 0) session.deliverEarly();
        return;
      }
      case Opcode.SnackRequest:
        this.#snack(view, bytes, at);
        return;
      case Opcode.LoginRequest:
        this.#reject(RejectReason.ProtocolError, bytes, at);
        return;
      default:
        this.#reject(RejectReason.CommandNotSupported, bytes, at);
        return;
    }
  }

  /** A command that has come early, and its data, have their turn now. */
  deliver(early: EarlyCommand): void {
    if (this.#closed) return;
    const { view, bytes, dataAt, dataBytes } = early;
    this.#request(view.getUint8(0) & OPCODE_MASK, view, bytes, 0, dataAt, dataBytes);
    for (const one of early.dataOuts) {
      if (this.#closed) return;
      if (one.isDamaged) this.#lost(one.view, 0, one.dataBytes);
      else this.#dataOut(one.view, one.bytes, 0, one.dataAt, one.dataBytes);
    }
    this.outputAdded();
  }

  #request(opcode: number, view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    switch (opcode) {
      case Opcode.ScsiCommand:
        this.#scsiCommand(view, bytes, at, dataAt, dataBytes);
        return;
      case Opcode.NopOut:
        this.#nopOut(view, bytes, at, dataAt, dataBytes);
        return;
      case Opcode.TaskManagementRequest:
        if (!taskManagement(this, view, at)) this.#reject(RejectReason.CommandNotSupported, bytes, at);
        return;
      case Opcode.TextRequest:
        this.#textRequest(view, bytes, at, dataAt, dataBytes);
        return;
      default:
        this.#logout(view, at);
        return;
    }
  }

  /**
   * Whether a request's turn has come by its CmdSN, section 4.2.2.1. It is ignored or kept, or the connection closed, if
   * not.
   */
  #isTurn(opcode: number, view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): boolean {
    if ((view.getUint8(at) & IMMEDIATE) !== 0) return true;
    const cmdSN = view.getUint32(at + Request.cmdSN);
    const { session } = this;
    const { order } = session;
    if (cmdSN === order.expCmdSN) {
      order.advance();
      // A command takes its place in the window until its response; anything else is answered at once.
      order.grant(opcode === Opcode.ScsiCommand ? session.taskCount + 1 : session.taskCount);
      return true;
    }
    if (!order.inWindow(cmdSN)) session.ignored++;
    // On a single connection nothing overtakes: a command that is missing will not come.
    else if (!session.missingMayCome) this.#drop(`CmdSN ${cmdSN} came where ${order.expCmdSN} was due`);
    else if (order.addEarly(cmdSN, keep(bytes, at, dataAt, dataBytes), this)) session.heldUp();
    else this.#drop("more commands and data than can wait for one that is missing");
    return false;
  }

  /** A Data-Out of which only the header has arrived. @returns where its payload goes */
  dataOutBegins(view: DataView, at: number, dataBytes: number, header: Uint8Array): Uint8Array | undefined {
    this.#spill = undefined;
    this.#early = undefined;
    if (this.replies.retained !== undefined) this.#streamHeader = header.slice(at, at + BHS_BYTES);
    if (!this.#closed && this.#earlyCommandOf(view, at) !== undefined) {
      const whole = new Uint8Array(BHS_BYTES + dataBytes);
      whole.set(header.subarray(at, at + BHS_BYTES));
      this.#streaming = undefined;
      this.#early = { view: new DataView(whole.buffer), bytes: whole, dataAt: BHS_BYTES, dataBytes };
      return whole.subarray(BHS_BYTES);
    }
    this.#streaming = this.#closed ? undefined : this.#acceptDataOut(view, header, at, dataBytes);
    const task = this.#streaming;
    const { tasks } = this.session;
    if (task === undefined || tasks === undefined) return undefined;
    this.#streamFinal = (view.getUint8(at + DataOut.flags) & FINAL) !== 0;
    this.#streamBytes = dataBytes;
    const target = tasks.dataOut.target(task, dataBytes);
    // Only in part what the command needs: gathered apart, and the part copied at the end.
    if (target === undefined && task.received < task.pieceEnd) this.#spill = new Uint8Array(dataBytes);
    return target ?? this.#spill;
  }

  dataOutEnds(): void {
    const task = this.#streaming;
    const spill = this.#spill;
    const early = this.#early;
    this.#streaming = undefined;
    this.#spill = undefined;
    this.#early = undefined;
    // The turn of its command may have come meanwhile.
    if (early !== undefined) this.#dataOut(early.view, early.bytes, 0, early.dataAt, early.dataBytes);
    const { tasks } = this.session;
    if (task === undefined || tasks === undefined) return;
    if (spill !== undefined) tasks.dataOut.place(task, spill, 0, spill.length);
    else task.received += this.#streamBytes;
    tasks.dataOut.received(task, this.#streamFinal);
  }

  /** A PDU of which the header is sound and the data is not, section 7.8: it counts as not come. */
  damaged(view: DataView, bytes: Uint8Array, at: number, dataBytes: number): void {
    if (this.#closed) return;
    this.#reject(RejectReason.DataDigestError, bytes, at);
    if ((view.getUint8(at) & OPCODE_MASK) === Opcode.DataOut) this.#lost(view, at, dataBytes);
  }

  dataOutDamaged(): void {
    const header = this.#streamHeader;
    const isWanted = this.#streaming !== undefined || this.#early !== undefined;
    this.#streaming = undefined;
    this.#spill = undefined;
    this.#early = undefined;
    if (header === undefined || this.#closed) return;
    const view = new DataView(header.buffer);
    this.#reject(RejectReason.DataDigestError, header, 0);
    if (isWanted) this.#lost(view, 0, view.getUint32(Common.lengths) & 0xffffff);
  }

  /** A Data-Out that is damaged, or that comes after one that is. */
  #lost(view: DataView, at: number, dataBytes: number): void {
    const early = this.#earlyCommandOf(view, at);
    if (early !== undefined) {
      const header = new Uint8Array(view.buffer, view.byteOffset + at, BHS_BYTES).slice();
      const kept = { view: new DataView(header.buffer), bytes: header, dataAt: BHS_BYTES, dataBytes, isDamaged: true };
      if (!this.session.order.addData(early, kept)) this.#drop(TOO_MUCH_EARLY_DATA);
      return;
    }
    const { tasks } = this.session;
    const task = tasks?.get(view.getUint32(at + DataOut.initiatorTaskTag));
    if (task === undefined || tasks === undefined || task.aborted || task.allegiance !== this) return;
    if (!tasks.dataOut.isAfterLoss(task, view, at, dataBytes)) return;
    tasks.dataOut.lost(task, (view.getUint8(at + DataOut.flags) & FINAL) !== 0);
  }

  #snack(view: DataView, bytes: Uint8Array, at: number): void {
    const { retained } = this.replies;
    const reason = retained === undefined ? RejectReason.SnackReject : snack(this, retained, view, at);
    if (reason !== 0) this.#reject(reason as RejectCode, bytes, at);
  }

  taskEnded(task: Task): void {
    if (task !== this.#streaming) return;
    this.#streaming = undefined;
    this.#spill = undefined;
    this.link.discardStream();
  }

  outputAdded(): void {
    this.link.outputAdded();
  }

  #scsiCommand(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    const { tasks } = this.session;
    if (tasks === undefined) {
      this.#reject(RejectReason.CommandNotSupported, bytes, at);
      return;
    }
    const reason = tasks.command(this, view, bytes, at, dataAt, dataBytes);
    if (reason !== 0) this.#reject(reason as RejectCode, bytes, at);
  }

  #dataOut(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    const early = this.#earlyCommandOf(view, at);
    if (early !== undefined) {
      if (this.session.order.addData(early, keep(bytes, at, dataAt, dataBytes))) return;
      this.#drop(TOO_MUCH_EARLY_DATA);
      return;
    }
    const task = this.#acceptDataOut(view, bytes, at, dataBytes);
    const { tasks } = this.session;
    if (task === undefined || tasks === undefined) return;
    const final = (view.getUint8(at + DataOut.flags) & FINAL) !== 0;
    if (dataBytes > 0) tasks.dataOut.place(task, bytes, dataAt, dataBytes);
    tasks.dataOut.received(task, final);
  }

  #earlyCommandOf(view: DataView, at: number): EarlyCommand | undefined {
    const { order } = this.session;
    return order.waiting === 0 ? undefined : order.earlyOf(this, view.getUint32(at + Common.initiatorTaskTag));
  }

  /** The task whose data this is, if it fits what was asked for. LUNs of Data-Outs are not looked at. */
  #acceptDataOut(view: DataView, bytes: Uint8Array, at: number, dataBytes: number): Task | undefined {
    const { tasks } = this.session;
    const task = tasks?.get(view.getUint32(at + DataOut.initiatorTaskTag));
    if (task === undefined || tasks === undefined || task.aborted) {
      // It was sent before its initiator learned that the task has ended.
      this.session.ignored++;
      return undefined;
    }
    if (task.allegiance !== this) {
      this.#reject(RejectReason.ProtocolError, bytes, at);
      return undefined;
    }
    if (tasks.dataOut.accept(task, view, at, dataBytes)) return task;
    const isOfSequence = tasks.dataOut.isAfterLoss(task, view, at, dataBytes);
    if (!isOfSequence || (this.replies.retained === undefined && !task.refused)) {
      this.#reject(RejectReason.ProtocolError, bytes, at);
      tasks.dataErrors(task, isOfSequence);
    }
    if (isOfSequence) this.#lost(view, at, dataBytes);
    return undefined;
  }

  #nopOut(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    const tag = view.getUint32(at + Request.initiatorTaskTag);
    // An answer to a probe, or a mere sign of life.
    if (tag === RESERVED_TAG) return;
    const data = dataBytes === 0 ? NOTHING : bytes.subarray(dataAt, dataAt + dataBytes);
    this.replies.nopIn(tag, view.getUint32(at + Request.lun), view.getUint32(at + Request.lun + 4), data);
  }

  #textRequest(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    const reason = this.#text.request(view, at, bytes.subarray(dataAt, dataAt + dataBytes));
    if (reason !== 0) this.#reject(reason as RejectCode, bytes, at);
  }

  #logout(view: DataView, at: number): void {
    const { session } = this;
    const tag = view.getUint32(at + Request.initiatorTaskTag);
    const reason = view.getUint8(at + Request.flags) & 0x7f;
    const cid = view.getUint16(at + LOGOUT_CID_OFFSET);
    if (reason === LogoutReason.RemoveForRecovery) {
      this.#logoutForRecovery(tag, cid);
      return;
    }
    const whole = reason === LogoutReason.CloseSession;
    const other = session.connections.get(cid);
    if (!whole && other === undefined) {
      if (session.recovery?.has(cid)) this.#logoutOfLost(tag, cid);
      else this.replies.logout(tag, LogoutResponse.CidNotFound);
      return;
    }
    // The answer says that every task has ended.
    if (!whole && other !== undefined && other !== this) {
      other.link.closeAfterFlush("logout");
      session.endTasks(cid, () => {
        if (!this.#closed) this.replies.logout(tag, LogoutResponse.Closed);
        this.outputAdded();
      });
      return;
    }
    session.endTasks(whole ? undefined : cid, () => {
      if (this.#closed) return;
      this.replies.logout(tag, LogoutResponse.Closed);
      this.link.closeAfterFlush("logout");
      if (!whole) return;
      session.closeConnections("logout");
      session.close("logout");
    });
  }

  /** The tasks of a connection are to go on elsewhere. */
  #logoutForRecovery(tag: number, cid: number): void {
    const { recovery, connections } = this.session;
    if (recovery === undefined) {
      this.replies.logout(tag, LogoutResponse.RecoveryNotSupported);
      return;
    }
    const live = connections.get(cid);
    if (live === undefined && !recovery.has(cid)) {
      this.replies.logout(tag, LogoutResponse.CidNotFound);
      return;
    }
    this.replies.logout(tag, LogoutResponse.Closed, 0, recovery.retainSeconds);
    live?.close("logout for recovery", true);
    live?.link.closeAfterFlush("logout for recovery");
    recovery.loggedOut(cid);
  }

  /** The tasks of a lost connection are not wanted any more. */
  #logoutOfLost(tag: number, cid: number): void {
    const { session } = this;
    session.recovery?.giveUp(cid);
    session.endTasks(cid, () => {
      if (!this.#closed) this.replies.logout(tag, LogoutResponse.Closed);
      this.outputAdded();
    });
  }

  whenAcknowledged(run: () => void): void {
    const { statSN } = this.replies;
    if (this.#closed || this.#acknowledged === statSN) {
      run();
      return;
    }
    this.#fences.push({ statSN, run });
    if (this.#fences.length === 1) this.#askForAcknowledgement();
  }

  /** Anew with each that has passed. */
  #askForAcknowledgement(): void {
    this.#patience?.cancel();
    this.#patience = this.session.after(ACKNOWLEDGE_MILLIS, () => this.#drop("no acknowledgement of what it was sent"));
    this.replies.probe();
    this.outputAdded();
  }

  /** An ExpStatSN of nonsense is no reason to end a connection: initiators send stale ones. */
  acknowledge(expStatSN: number): void {
    if (!before(this.#acknowledged, expStatSN) || before(this.replies.statSN, expStatSN)) return;
    this.#acknowledged = expStatSN;
    this.replies.retained?.acknowledge(expStatSN);
    if (this.#fences.length > 0) this.#runFences();
  }

  #runFences(): void {
    const passed = this.#fences.filter(({ statSN }) => this.#closed || !before(this.#acknowledged, statSN));
    this.#fences = this.#fences.filter((fence) => !passed.includes(fence));
    if (this.#fences.length === 0) this.#patience?.cancel();
    if (!this.#closed && passed.length > 0 && this.#fences.length > 0) this.#askForAcknowledgement();
    for (const { run } of passed) run();
  }

  #reject(reason: RejectCode, bytes: Uint8Array, at: number): void {
    this.session.rejected++;
    this.replies.reject(reason, bytes.subarray(at, at + BHS_BYTES));
  }

  /** An asynchronous message, section 11.9, with its parameters. */
  announce(
    event: (typeof AsyncEvent)[keyof typeof AsyncEvent],
    one: number,
    two: number,
    three: number,
    lun?: number,
  ): void {
    if (this.#closed) return;
    this.replies.asyncMessage(event, one, two, three, lun);
    this.outputAdded();
  }

  /** The target gives this connection up: where there is another, the initiator is told on that. */
  announceLoss(): void {
    const other = [...this.session.connections.values()].find((one) => one !== this);
    const { defaultTime2Wait, defaultTime2Retain } = this.session.parameters;
    other?.announce(AsyncEvent.ConnectionDropped, this.cid, defaultTime2Wait, defaultTime2Retain);
  }

  #drop(why: string): void {
    this.announceLoss();
    this.link.drop(why);
  }

  /**
   * The transport takes or brings nothing any more.
   *
   * @param isLost whether that was not meant, so that its tasks may go on elsewhere; they end without an answer if not
   */
  close(why: string, isLost: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#streaming = undefined;
    this.#spill = undefined;
    this.#early = undefined;
    this.dataIn.close();
    this.session.left(this, why, isLost);
    this.#runFences();
  }
}

type RejectCode = (typeof RejectReason)[keyof typeof RejectReason];

const NOTHING = new Uint8Array(0);
const TOO_MUCH_EARLY_DATA = "more data than can wait for a command that is missing";
