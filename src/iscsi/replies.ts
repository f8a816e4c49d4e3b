/**
 * The PDUs that a connection sends, and the sequence numbers that they carry (RFC 7143 section 4.2.2).
 *
 * Invariants: StatSN, which each connection counts for itself, advances with each PDU that carries a status or is an
 * answer, never with an R2T, a Data-In without status or a NOP-In of our own; every PDU carries ExpCmdSN and MaxCmdSN.
 */

import {
  DATA_IN_ACKNOWLEDGE,
  DATA_IN_STATUS,
  FINAL,
  Opcode,
  RESERVED_TAG,
  type RejectReason,
  ResidualFlag,
} from "./constants.ts";
import { ZERO_COPY_BYTES_MIN } from "./limits.ts";
import type { Output } from "./output.ts";
import { BHS_BYTES, DataIn, lunWord, R2T, Response, ScsiResponse } from "./pdu.ts";
import type { RetainedStatuses } from "./retained.ts";
import { formatSense } from "./scsi/sense.ts";
import type { Task } from "./task.ts";

/** What a session grants over all of its connections. */
export interface CommandWindow {
  readonly expCmdSN: number;
  readonly maxCmdSN: number;
}

export class Replies {
  readonly output: Output;
  readonly #window: CommandWindow;
  statSN: number;
  /** Where answers are kept until they are acknowledged, if they are. */
  retained: RetainedStatuses | undefined;
  /** The largest data segment that the initiator takes. */
  segmentBytesMax = 8192;
  /** Begins shortly before the reserved one, so that every session comes past it. */
  #targetTransferTag = RESERVED_TAG - 15;

  constructor(output: Output, statSN: number, window: CommandWindow) {
    this.output = output;
    this.statSN = statSN;
    this.#window = window;
  }

  /** A tag that no transfer has now, and never the reserved one. */
  nextTag(): number {
    this.#targetTransferTag = (this.#targetTransferTag + 1) >>> 0;
    if (this.#targetTransferTag === RESERVED_TAG) this.#targetTransferTag = 1;
    return this.#targetTransferTag;
  }

  /** A Data-In; `last` ends the task with GOOD status. Its data is in place at `output.dataAt(at)`, or sent after. */
  dataInHeader(at: number, task: Task, dataBytes: number, final: boolean, last: boolean): void {
    const { view } = this.output;
    let flags = final ? FINAL : 0;
    let residual = 0;
    if (last) {
      flags |= DATA_IN_STATUS;
      residual = task.transferBytes - task.expectedDataTransferLength;
      if (residual > 0) flags |= ResidualFlag.Overflow;
      else if (residual < 0) flags |= ResidualFlag.Underflow;
    }
    view.setUint32(at, (Opcode.DataIn << 24) | (flags << 16) | task.status);
    view.setUint32(at + DataIn.lengths, dataBytes);
    view.setUint32(at + DataIn.lun, 0);
    view.setUint32(at + DataIn.lun + 4, 0);
    view.setUint32(at + DataIn.initiatorTaskTag, task.initiatorTaskTag);
    view.setUint32(at + DataIn.targetTransferTag, RESERVED_TAG);
    view.setUint32(at + DataIn.statSN, last ? this.#advance() : 0);
    view.setUint32(at + DataIn.expCmdSN, this.#window.expCmdSN);
    view.setUint32(at + DataIn.maxCmdSN, this.#window.maxCmdSN);
    view.setUint32(at + DataIn.dataSN, task.dataSN++);
    view.setUint32(at + DataIn.bufferOffset, task.sent);
    view.setUint32(at + DataIn.residualCount, Math.abs(residual));
    if (final && !last && this.retained !== undefined && task.sent + dataBytes < task.readEnd) this.#ask(at, task);
  }

  /**
   * Has a Data-In that ends a burst ask for a DataACK, section 11.7.2: what its initiator has need not be sent again. After the
   * last one the status says so. The task is found again by its own tag.
   */
  #ask(at: number, task: Task): void {
    const { view } = this.output;
    view.setUint8(at + DataIn.flags, view.getUint8(at + DataIn.flags) | DATA_IN_ACKNOWLEDGE);
    view.setUint32(at + DataIn.lun, lunWord(task.nexus?.lun ?? 0));
    view.setUint32(at + DataIn.targetTransferTag, task.initiatorTaskTag);
  }

  /** @param moved bytes that the CDB's transfer amounts to, for the residual */
  scsiResponse(task: Task, moved: number, descriptorSense: boolean): void {
    const sense = task.sense === undefined ? undefined : formatSense(task.sense, descriptorSense);
    const dataBytes = sense === undefined ? 0 : 2 + sense.length;
    const { output } = this;
    const at = output.open(dataBytes);
    const { view } = output;
    const residual = moved - task.expectedDataTransferLength;
    const flags = FINAL | (residual > 0 ? ResidualFlag.Overflow : residual < 0 ? ResidualFlag.Underflow : 0);
    view.setUint32(at, (Opcode.ScsiResponse << 24) | (flags << 16) | task.status);
    view.setUint32(at + ScsiResponse.lengths, dataBytes);
    view.setUint32(at + ScsiResponse.reserved, 0);
    view.setUint32(at + ScsiResponse.reserved + 4, 0);
    view.setUint32(at + ScsiResponse.initiatorTaskTag, task.initiatorTaskTag);
    view.setUint32(at + ScsiResponse.snackTag, task.snackTag);
    this.#stamp(view, at, this.#advance());
    view.setUint32(at + ScsiResponse.expDataSN, task.dataSN);
    view.setUint32(at + ScsiResponse.bidirectionalReadResidualCount, 0);
    view.setUint32(at + ScsiResponse.residualCount, Math.abs(residual));
    if (sense !== undefined) {
      const dataAt = output.dataAt(at);
      view.setUint16(dataAt, sense.length);
      output.bytes.set(sense, dataAt + 2);
    }
    if (this.retained !== undefined) {
      const dataAt = output.dataAt(at);
      this.#retain(at, output.bytes.subarray(dataAt, dataAt + dataBytes), task);
    }
    output.close(at, dataBytes);
  }

  /** @returns the Target Transfer Tag that the Data-Outs will carry */
  readyToTransfer(task: Task, lun: number, offset: number, length: number): number {
    const tag = this.nextTag();
    this.repeatR2T(task, lun, tag, task.dataSN++, offset, length);
    return tag;
  }

  /** An R2T as it was sent before. */
  repeatR2T(task: Task, lun: number, tag: number, r2tSN: number, offset: number, length: number): void {
    const { output } = this;
    const at = output.open(0);
    const { view } = output;
    view.setUint32(at, (Opcode.R2T << 24) | (FINAL << 16));
    view.setUint32(at + R2T.lengths, 0);
    view.setUint32(at + R2T.lun, lunWord(lun));
    view.setUint32(at + R2T.lun + 4, 0);
    view.setUint32(at + R2T.initiatorTaskTag, task.initiatorTaskTag);
    view.setUint32(at + R2T.targetTransferTag, tag);
    this.#stamp(view, at, this.statSN);
    view.setUint32(at + R2T.r2tSN, r2tSN);
    view.setUint32(at + R2T.bufferOffset, offset);
    view.setUint32(at + R2T.desiredDataTransferLength, length);
    output.close(at, 0);
  }

  /** The answer to a NOP-Out, with the data that it carried. */
  nopIn(initiatorTaskTag: number, lunHigh: number, lunLow: number, data: Uint8Array): void {
    const echoed = data.length > this.segmentBytesMax ? data.subarray(0, this.segmentBytesMax) : data;
    const at = this.#begin(Opcode.NopIn, FINAL, 0, initiatorTaskTag, RESERVED_TAG, echoed.length, true);
    this.output.view.setUint32(at + Response.lun, lunHigh);
    this.output.view.setUint32(at + Response.lun + 4, lunLow);
    this.#end(at, echoed);
  }

  /** Asks the initiator for a sign of life. */
  probe(): void {
    this.#end(this.#begin(Opcode.NopIn, FINAL, 0, RESERVED_TAG, this.nextTag(), 0, false), NOTHING, false);
  }

  text(flags: number, initiatorTaskTag: number, targetTransferTag: number, data: Uint8Array): void {
    this.#end(this.#begin(Opcode.TextResponse, flags, 0, initiatorTaskTag, targetTransferTag, data.length, true), data);
  }

  /** @param information 24 bits that RFC 7144 has some functions answer with */
  taskManagement(initiatorTaskTag: number, response: number, information = 0): void {
    const at = this.#begin(Opcode.TaskManagementResponse, FINAL, response, initiatorTaskTag, 0, 0, true);
    this.output.view.setUint32(at + Response.lun, (information << 8) >>> 0);
    this.#end(at, NOTHING);
  }

  /** @param wait seconds before tasks can be reassigned @param retain seconds after which they can't any more */
  logout(initiatorTaskTag: number, response: number, wait = 0, retain = 0): void {
    const at = this.#begin(Opcode.LogoutResponse, FINAL, response, initiatorTaskTag, 0, 0, true);
    this.output.view.setUint32(at + Response.word40, ((wait << 16) | retain) >>> 0);
    this.#end(at, NOTHING);
  }

  /** @param header the 48 bytes that are rejected */
  reject(reason: (typeof RejectReason)[keyof typeof RejectReason], header: Uint8Array): void {
    this.#end(this.#begin(Opcode.Reject, FINAL, reason, RESERVED_TAG, 0, BHS_BYTES, true), header);
  }

  /** Section 11.9: an event of the target, parameters as the event defines them. */
  asyncMessage(event: number, parameter1: number, parameter2: number, parameter3: number, lun = 0): void {
    const at = this.#begin(Opcode.AsyncMessage, FINAL, 0, RESERVED_TAG, 0, 0, true);
    const { view } = this.output;
    view.setUint32(at + Response.lun, lunWord(lun));
    view.setUint32(at + Response.word36, (event << 24) | parameter1);
    view.setUint32(at + Response.word40, ((parameter2 << 16) | parameter3) >>> 0);
    this.#end(at, NOTHING);
  }

  #begin(
    opcode: number,
    flags: number,
    code: number,
    initiatorTaskTag: number,
    targetTransferTag: number,
    dataBytes: number,
    status: boolean,
  ): number {
    const at = this.output.open(dataBytes < ZERO_COPY_BYTES_MIN ? dataBytes : 0);
    const { view } = this.output;
    view.setUint32(at, (opcode << 24) | (flags << 16) | (code << 8));
    view.setUint32(at + Response.lengths, dataBytes);
    view.setUint32(at + Response.lun, 0);
    view.setUint32(at + Response.lun + 4, 0);
    view.setUint32(at + Response.initiatorTaskTag, initiatorTaskTag);
    view.setUint32(at + Response.targetTransferTag, targetTransferTag);
    this.#stamp(view, at, status ? this.#advance() : this.statSN);
    view.setUint32(at + Response.word36, 0);
    view.setUint32(at + Response.word40, 0);
    view.setUint32(at + Response.word44, 0);
    return at;
  }

  /** @param status whether it has a StatSN of its own */
  #end(at: number, data: Uint8Array, status = true): void {
    if (status && this.retained !== undefined) this.#retain(at, data, undefined);
    if (data.length >= ZERO_COPY_BYTES_MIN) {
      this.output.closeWith(at, data.slice(), undefined);
      return;
    }
    if (data.length > 0) this.output.bytes.set(data, this.output.dataAt(at));
    this.output.close(at, data.length);
  }

  #retain(at: number, data: Uint8Array, task: Task | undefined): void {
    const bytes = new Uint8Array(BHS_BYTES + data.length);
    bytes.set(this.output.bytes.subarray(at, at + BHS_BYTES));
    bytes.set(data, BHS_BYTES);
    if (task !== undefined) task.retained = true;
    this.retained?.keep({ statSN: this.output.view.getUint32(at + Response.statSN), bytes, task });
  }

  /** A PDU as it was sent before, but for what it says of the command window. */
  resend(bytes: Uint8Array): void {
    const data = bytes.subarray(BHS_BYTES);
    const at = this.output.open(data.length < ZERO_COPY_BYTES_MIN ? data.length : 0);
    const { view } = this.output;
    this.output.bytes.set(bytes.subarray(0, BHS_BYTES), at);
    view.setUint32(at + Response.expCmdSN, this.#window.expCmdSN);
    view.setUint32(at + Response.maxCmdSN, this.#window.maxCmdSN);
    this.#end(at, data, false);
  }

  /** A Data-In as it was sent before, of which the data lies at `from` of the transfer. */
  repeatDataIn(task: Task, dataSN: number, from: number, data: Uint8Array, final: boolean): void {
    const at = this.output.open(data.length < ZERO_COPY_BYTES_MIN ? data.length : 0);
    const { view } = this.output;
    this.output.bytes.fill(0, at, at + BHS_BYTES);
    view.setUint32(at, (Opcode.DataIn << 24) | ((final ? FINAL : 0) << 16));
    view.setUint32(at + DataIn.lengths, data.length);
    view.setUint32(at + DataIn.initiatorTaskTag, task.initiatorTaskTag);
    view.setUint32(at + DataIn.targetTransferTag, RESERVED_TAG);
    view.setUint32(at + DataIn.expCmdSN, this.#window.expCmdSN);
    view.setUint32(at + DataIn.maxCmdSN, this.#window.maxCmdSN);
    view.setUint32(at + DataIn.dataSN, dataSN);
    view.setUint32(at + DataIn.bufferOffset, from);
    if (final && from + data.length < task.readEnd) this.#ask(at, task);
    this.#end(at, data, false);
  }

  #stamp(view: DataView, at: number, statSN: number): void {
    view.setUint32(at + Response.statSN, statSN);
    view.setUint32(at + Response.expCmdSN, this.#window.expCmdSN);
    view.setUint32(at + Response.maxCmdSN, this.#window.maxCmdSN);
  }

  #advance(): number {
    const now = this.statSN;
    this.statSN = (now + 1) >>> 0;
    return now;
  }
}

const NOTHING = new Uint8Array(0);
