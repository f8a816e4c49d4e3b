/**
 * A session in full feature phase, over its one connection: takes PDUs, keeps CmdSN in order, answers.
 *
 * Invariants: commands start in CmdSN order; every request gets exactly one answer or none if its CmdSN is outside
 * the window; nothing is sent after `close`; a session is `quiet` only once no device works for it any more.
 */

import type { BufferPool } from "./buffers.ts";
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
  TaskManagement,
  TaskManagementResponse,
} from "./constants.ts";
import type { Timers } from "./interfaces.ts";
import { PLUGGED_COMMANDS_MAX } from "./limits.ts";
import type { LoginIdentity } from "./login.ts";
import type { Parameters } from "./negotiation.ts";
import type { Output } from "./output.ts";
import { BHS_BYTES, before, DataOut, LOGOUT_CID_OFFSET, Request, readLun, TaskManagementRequest } from "./pdu.ts";
import { Replies } from "./replies.ts";
import type { LunView } from "./scsi/lun-view.ts";
import type { Sense } from "./scsi/sense.ts";
import { portName } from "./scsi/transport-id.ts";
import type { LogicalUnit } from "./scsi/unit.ts";
import type { Task } from "./task.ts";
import { TaskSet, type TaskSetEvents } from "./task-set.ts";
import { TextExchange } from "./text-exchange.ts";

/** What a session asks of its connection and its target. */
export interface SessionHost extends Omit<TaskSetEvents, "idle" | "taskEnded"> {
  /** Sends what is queued, then closes the connection. */
  closeAfterFlush(why: string): void;
  /** Closes at once. */
  drop(why: string): void;
  /** The payload that is arriving is not wanted any more. */
  discardStream(): void;
  /** Records of SendTargets, one for `target` or for all that this initiator may use. */
  sendTargets(which: "All" | string): string | undefined;
  /** Resets a unit, or all that this initiator is given, for every session; `done` once their tasks have ended. */
  reset(unit: LogicalUnit | undefined, by: Session, done: () => void): void;
  /** Ends every session of the target. */
  coldReset(): void;
  /** The session's devices have nothing left to do; called once, after `close`. */
  quiet(): void;
}

export interface SessionSpec {
  readonly identity: LoginIdentity;
  readonly tsih: number;
  readonly parameters: Parameters;
  readonly statSN: number;
  readonly cmdSN: number;
  /** What the initiator is given of the target; absent in a discovery session. */
  readonly view: LunView | undefined;
  readonly buffers: BufferPool;
  readonly timers: Timers;
  readonly output: Output;
  readonly writeBudget?: number;
}

export class Session {
  readonly identity: LoginIdentity;
  /** The SCSI name of the initiator's port. */
  readonly initiatorPort: string;
  readonly tsih: number;
  readonly replies: Replies;
  readonly tasks: TaskSet | undefined;
  readonly #host: SessionHost;
  readonly #parameters: Parameters;
  readonly #text: TextExchange;
  /** CmdSNs of commands that were aborted before they came. */
  readonly #plugged = new Set<number>();
  #streaming: Task | undefined;
  #streamFinal = false;
  #streamBytes = 0;
  #spill: Uint8Array | undefined;
  #closing = false;
  #quiet = false;
  /** Set by anything that arrives; cleared by the connection's probe timer. */
  heard = true;
  ignored = 0;
  rejected = 0;

  constructor(spec: SessionSpec, host: SessionHost) {
    this.identity = spec.identity;
    this.initiatorPort = portName(spec.identity.initiatorName, spec.identity.isid);
    this.tsih = spec.tsih;
    this.#host = host;
    this.#parameters = spec.parameters;
    this.replies = new Replies(spec.output, spec.statSN, spec.cmdSN);
    this.replies.segmentBytesMax = spec.parameters.initiatorMaxRecvDataSegmentLength;
    this.#text = new TextExchange(this.replies, (which) => this.#sendTargets(which));
    if (spec.view !== undefined) {
      this.tasks = new TaskSet(
        this.replies,
        spec.parameters,
        spec.view,
        spec.buffers,
        spec.timers,
        {
          outputAdded: () => host.outputAdded(),
          deviceFailed: (lun, error) => host.deviceFailed(lun, error),
          taskEnded: (task) => {
            if (task === this.#streaming) this.#stopStream();
          },
          idle: () => this.#checkQuiet(),
        },
        spec.writeBudget,
      );
    }
  }

  get parameters(): Readonly<Parameters> {
    return this.#parameters;
  }

  pdu(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    if (this.#closing) return;
    switch (view.getUint8(at) & OPCODE_MASK) {
      case Opcode.ScsiCommand:
        this.#scsiCommand(view, bytes, at, dataAt, dataBytes);
        return;
      case Opcode.DataOut:
        this.#dataOut(view, bytes, at, dataAt, dataBytes);
        return;
      case Opcode.NopOut:
        this.#nopOut(view, bytes, at, dataAt, dataBytes);
        return;
      case Opcode.TaskManagementRequest:
        this.#taskManagement(view, bytes, at);
        return;
      case Opcode.TextRequest:
        if (this.#inOrder(view, at)) this.#textRequest(view, bytes, at, dataAt, dataBytes);
        return;
      case Opcode.LogoutRequest:
        this.#logout(view, at);
        return;
      case Opcode.SnackRequest:
        this.#reject(RejectReason.SnackReject, bytes, at);
        return;
      case Opcode.LoginRequest:
        this.#reject(RejectReason.ProtocolError, bytes, at);
        return;
      default:
        this.#reject(RejectReason.CommandNotSupported, bytes, at);
        return;
    }
  }

  /** A Data-Out of which only the header has arrived. @returns where its payload goes */
  dataOutBegins(view: DataView, at: number, dataBytes: number, header: Uint8Array): Uint8Array | undefined {
    this.#spill = undefined;
    this.#streaming = this.#closing ? undefined : this.#acceptDataOut(view, header, at, dataBytes);
    const task = this.#streaming;
    if (task === undefined || this.tasks === undefined) return undefined;
    this.#streamFinal = (view.getUint8(at + DataOut.flags) & FINAL) !== 0;
    this.#streamBytes = dataBytes;
    const target = this.tasks.dataOut.target(task, dataBytes);
    // Only in part what the command needs: gathered apart, and the part copied at the end.
    if (target === undefined && task.received < task.pieceEnd) this.#spill = new Uint8Array(dataBytes);
    return target ?? this.#spill;
  }

  dataOutEnds(): void {
    const task = this.#streaming;
    const spill = this.#spill;
    this.#streaming = undefined;
    this.#spill = undefined;
    if (task === undefined || this.tasks === undefined) return;
    if (spill !== undefined) this.tasks.dataOut.place(task, spill, 0, spill.length);
    else task.received += this.#streamBytes;
    this.tasks.dataOut.received(task, this.#streamFinal);
  }

  #stopStream(): void {
    this.#streaming = undefined;
    this.#spill = undefined;
    this.#host.discardStream();
  }

  #scsiCommand(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    if (!this.#inOrder(view, at)) return;
    if (this.tasks === undefined) {
      this.#reject(RejectReason.CommandNotSupported, bytes, at);
      return;
    }
    const reason = this.tasks.command(view, bytes, at, dataAt, dataBytes);
    if (reason !== 0) this.#reject(reason as RejectCode, bytes, at);
  }

  /** Whether a request's turn has come by its CmdSN, section 4.2.2.1. It is ignored, or the connection closed, if not. */
  #inOrder(view: DataView, at: number): boolean {
    if ((view.getUint8(at) & IMMEDIATE) !== 0) return true;
    const cmdSN = view.getUint32(at + Request.cmdSN);
    const { replies } = this;
    if (cmdSN === replies.expCmdSN) {
      // A command takes its place in the window until its response; anything else is answered at once.
      this.#advance((view.getUint8(at) & OPCODE_MASK) === Opcode.ScsiCommand ? 1 : 0);
      return true;
    }
    if (before(cmdSN, replies.expCmdSN) || before(replies.maxCmdSN, cmdSN)) {
      this.ignored++;
      return false;
    }
    // On a single connection nothing overtakes: a command that is missing will not come.
    this.#drop(`CmdSN ${cmdSN} came where ${replies.expCmdSN} was due`);
    return false;
  }

  #advance(taken: number): void {
    const { replies } = this;
    do replies.expCmdSN = (replies.expCmdSN + 1) >>> 0;
    while (this.#plugged.size > 0 && this.#plugged.delete(replies.expCmdSN));
    replies.grant((this.tasks?.size ?? 0) + taken);
  }

  #dataOut(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    const task = this.#acceptDataOut(view, bytes, at, dataBytes);
    if (task === undefined || this.tasks === undefined) return;
    const final = (view.getUint8(at + DataOut.flags) & FINAL) !== 0;
    if (dataBytes > 0) this.tasks.dataOut.place(task, bytes, dataAt, dataBytes);
    this.tasks.dataOut.received(task, final);
  }

  /** The task whose data this is, if it fits what was asked for. LUNs of Data-Outs are not looked at. */
  #acceptDataOut(view: DataView, bytes: Uint8Array, at: number, dataBytes: number): Task | undefined {
    const task = this.tasks?.get(view.getUint32(at + DataOut.initiatorTaskTag));
    if (task === undefined || this.tasks === undefined || task.aborted) {
      // It was sent before its initiator learned that the task has ended.
      this.ignored++;
      return undefined;
    }
    if (this.tasks.dataOut.accept(task, view, at, dataBytes)) return task;
    this.#reject(RejectReason.ProtocolError, bytes, at);
    this.tasks.dataErrors(task);
    return undefined;
  }

  #nopOut(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    if (!this.#inOrder(view, at)) return;
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

  #sendTargets(value: string): string | undefined {
    if (this.identity.discovery) return this.#host.sendTargets(value === "" ? "All" : value);
    // Section 13.3: in a normal session only the target itself may be asked about.
    if (value !== "" && value !== this.identity.targetName) return undefined;
    return this.#host.sendTargets(this.identity.targetName);
  }

  #taskManagement(view: DataView, bytes: Uint8Array, at: number): void {
    if (!this.#inOrder(view, at)) return;
    const { tasks } = this;
    if (tasks === undefined) {
      this.#reject(RejectReason.CommandNotSupported, bytes, at);
      return;
    }
    const tag = view.getUint32(at + TaskManagementRequest.initiatorTaskTag);
    const lun = readLun(view, at + TaskManagementRequest.lun);
    const answer = (response: number) => {
      if (this.#closing) return;
      this.replies.taskManagement(tag, response);
      this.#host.outputAdded();
    };
    const complete = () => answer(TaskManagementResponse.Complete);
    const unit = tasks.view.unit(lun);
    switch (view.getUint8(at + TaskManagementRequest.function) & 0x7f) {
      case TaskManagement.AbortTask: {
        const task = tasks.get(view.getUint32(at + TaskManagementRequest.referencedTaskTag));
        if (task !== undefined && task.nexus?.lun === lun) {
          tasks.abort([task], complete);
          return;
        }
        const cmdSN = view.getUint32(at + Request.cmdSN);
        answer(this.#plug(view.getUint32(at + TaskManagementRequest.refCmdSN), cmdSN));
        return;
      }
      // Each nexus has a task set of its own (TST), so clearing it is aborting it.
      case TaskManagement.AbortTaskSet:
      case TaskManagement.ClearTaskSet:
        if (unit === undefined) {
          answer(TaskManagementResponse.LunDoesNotExist);
          return;
        }
        tasks.abort(tasks.tasksOf(lun), complete);
        return;
      case TaskManagement.LogicalUnitReset:
        if (unit === undefined) {
          answer(TaskManagementResponse.LunDoesNotExist);
          return;
        }
        this.#host.reset(unit, this, complete);
        return;
      case TaskManagement.TargetWarmReset:
        this.#host.reset(undefined, this, complete);
        return;
      case TaskManagement.TargetColdReset:
        // It would end the sessions of hosts that use what this one is not even shown.
        if (!tasks.view.isWhole) {
          answer(TaskManagementResponse.AuthorizationFailed);
          return;
        }
        this.#host.reset(undefined, this, () => {
          complete();
          this.#host.coldReset();
        });
        return;
      case TaskManagement.TaskReassign:
        answer(TaskManagementResponse.TaskReassignNotSupported);
        return;
      default:
        answer(TaskManagementResponse.NotSupported);
        return;
    }
  }

  /**
   * ABORT TASK of a task that is not here, section 11.5.1: a command still to come counts as come and aborted. One that
   * has not the lower CmdSN was immediate, and is over: its number is that of a command that was not sent yet.
   */
  #plug(refCmdSN: number, cmdSN: number): number {
    const { replies } = this;
    if (before(refCmdSN, replies.expCmdSN) || !before(refCmdSN, cmdSN) || before(replies.maxCmdSN, refCmdSN)) {
      return TaskManagementResponse.TaskDoesNotExist;
    }
    if (this.#plugged.size === PLUGGED_COMMANDS_MAX) return TaskManagementResponse.Rejected;
    if (refCmdSN === replies.expCmdSN) this.#advance(0);
    else this.#plugged.add(refCmdSN);
    return TaskManagementResponse.Complete;
  }

  #logout(view: DataView, at: number): void {
    if (!this.#inOrder(view, at)) return;
    const tag = view.getUint32(at + Request.initiatorTaskTag);
    const reason = view.getUint8(at + Request.flags) & 0x7f;
    const cid = view.getUint16(at + LOGOUT_CID_OFFSET);
    if (reason === LogoutReason.RemoveForRecovery) {
      this.replies.logout(tag, LogoutResponse.RecoveryNotSupported);
      return;
    }
    if (reason === LogoutReason.CloseConnection && cid !== this.identity.cid) {
      this.replies.logout(tag, LogoutResponse.CidNotFound);
      return;
    }
    const done = () => {
      if (this.#closing) return;
      this.replies.logout(tag, LogoutResponse.Closed);
      this.#closing = true;
      this.#host.closeAfterFlush("logout");
    };
    // The answer says that every task has ended.
    if (this.tasks === undefined) done();
    else this.tasks.abort(this.tasks.all(), done);
  }

  #reject(reason: RejectCode, bytes: Uint8Array, at: number): void {
    this.rejected++;
    this.replies.reject(reason, bytes.subarray(at, at + BHS_BYTES));
  }

  #drop(why: string): void {
    this.#host.drop(why);
  }

  /** Establishes a unit attention for this session's initiator. */
  attention(unit: LogicalUnit, sense: Sense): void {
    this.tasks?.view.nexusOf(unit)?.attention(sense);
  }

  /** Tells the initiator that its connection will be dropped, section 11.9. */
  announceDrop(): void {
    if (this.#closing) return;
    this.replies.asyncMessage(
      AsyncEvent.ConnectionDropped,
      this.identity.cid,
      this.#parameters.defaultTime2Wait,
      this.#parameters.defaultTime2Retain,
    );
  }

  /** The connection is gone: ends all tasks without an answer. `quiet` follows. */
  close(): void {
    this.#closing = true;
    this.tasks?.close();
    this.#checkQuiet();
  }

  get isQuiet(): boolean {
    return this.#quiet;
  }

  #checkQuiet(): void {
    if (!this.#closing || this.#quiet || !this.#closed() || (this.tasks?.size ?? 0) > 0) return;
    this.#quiet = true;
    this.#host.quiet();
  }

  #closed(): boolean {
    return this.tasks === undefined || this.tasks.closed;
  }
}

type RejectCode = (typeof RejectReason)[keyof typeof RejectReason];

const NOTHING = new Uint8Array(0);
