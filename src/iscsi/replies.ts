/**
 * The PDUs that a session sends, and the sequence numbers that they carry (RFC 7143 section 4.2.2).
 *
 * Invariants: StatSN advances with each PDU that carries a status or is an answer, never with an R2T, a Data-In
 * without status or a NOP-In of our own; MaxCmdSN never goes back; every PDU carries ExpCmdSN and MaxCmdSN.
 */

import { DATA_IN_STATUS, FINAL, Opcode, RESERVED_TAG, type RejectReason, ResidualFlag } from "./constants.ts";
import { COMMAND_WINDOW, ZERO_COPY_BYTES_MIN } from "./limits.ts";
import type { Output } from "./output.ts";
import { BHS_BYTES, before, DataIn, lunWord, R2T, Response, ScsiResponse } from "./pdu.ts";
import { formatSense } from "./scsi/sense.ts";
import type { Task } from "./task.ts";

export class Replies {
  readonly output: Output;
  statSN: number;
  expCmdSN: number;
  maxCmdSN: number;
  /** The largest data segment that the initiator takes. */
  segmentBytesMax = 8192;
  #targetTransferTag = 0;

  constructor(output: Output, statSN: number, cmdSN: number) {
    this.output = output;
    this.statSN = statSN;
    this.expCmdSN = cmdSN;
    this.maxCmdSN = (cmdSN + COMMAND_WINDOW - 1) >>> 0;
  }

  /** Opens the command window as far as `tasks` in progress leave room. */
  grant(tasks: number): void {
    const max = (this.expCmdSN + Math.max(COMMAND_WINDOW - tasks, 0) - 1) >>> 0;
    if (before(this.maxCmdSN, max)) this.maxCmdSN = max;
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
    view.setUint32(at + DataIn.expCmdSN, this.expCmdSN);
    view.setUint32(at + DataIn.maxCmdSN, this.maxCmdSN);
    view.setUint32(at + DataIn.dataSN, task.dataSN++);
    view.setUint32(at + DataIn.bufferOffset, task.sent);
    view.setUint32(at + DataIn.residualCount, Math.abs(residual));
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
    view.setUint32(at + ScsiResponse.snackTag, 0);
    this.#stamp(view, at, this.#advance());
    view.setUint32(at + ScsiResponse.expDataSN, task.dataSN);
    view.setUint32(at + ScsiResponse.bidirectionalReadResidualCount, 0);
    view.setUint32(at + ScsiResponse.residualCount, Math.abs(residual));
    if (sense !== undefined) {
      const dataAt = output.dataAt(at);
      view.setUint16(dataAt, sense.length);
      output.bytes.set(sense, dataAt + 2);
    }
    output.close(at, dataBytes);
  }

  /** @returns the Target Transfer Tag that the Data-Outs will carry */
  readyToTransfer(task: Task, lun: number, offset: number, length: number): number {
    const tag = this.nextTag();
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
    view.setUint32(at + R2T.r2tSN, task.dataSN++);
    view.setUint32(at + R2T.bufferOffset, offset);
    view.setUint32(at + R2T.desiredDataTransferLength, length);
    output.close(at, 0);
    return tag;
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
    this.#end(this.#begin(Opcode.NopIn, FINAL, 0, RESERVED_TAG, this.nextTag(), 0, false), NOTHING);
  }

  text(flags: number, initiatorTaskTag: number, targetTransferTag: number, data: Uint8Array): void {
    this.#end(this.#begin(Opcode.TextResponse, flags, 0, initiatorTaskTag, targetTransferTag, data.length, true), data);
  }

  taskManagement(initiatorTaskTag: number, response: number): void {
    this.#end(this.#begin(Opcode.TaskManagementResponse, FINAL, response, initiatorTaskTag, 0, 0, true), NOTHING);
  }

  logout(initiatorTaskTag: number, response: number): void {
    const at = this.#begin(Opcode.LogoutResponse, FINAL, response, initiatorTaskTag, 0, 0, true);
    this.#end(at, NOTHING);
  }

  /** @param header the 48 bytes that are rejected */
  reject(reason: (typeof RejectReason)[keyof typeof RejectReason], header: Uint8Array): void {
    this.#end(this.#begin(Opcode.Reject, FINAL, reason, RESERVED_TAG, 0, BHS_BYTES, true), header);
  }

  /** Section 11.9: an event of the target, parameters as the event defines them. */
  asyncMessage(event: number, parameter1: number, parameter2: number, parameter3: number): void {
    const at = this.#begin(Opcode.AsyncMessage, FINAL, 0, RESERVED_TAG, 0, 0, true);
    const { view } = this.output;
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

  #end(at: number, data: Uint8Array): void {
    if (data.length >= ZERO_COPY_BYTES_MIN) {
      this.output.closeWith(at, data.slice(), undefined);
      return;
    }
    if (data.length > 0) this.output.bytes.set(data, this.output.dataAt(at));
    this.output.close(at, data.length);
  }

  #stamp(view: DataView, at: number, statSN: number): void {
    view.setUint32(at + Response.statSN, statSN);
    view.setUint32(at + Response.expCmdSN, this.expCmdSN);
    view.setUint32(at + Response.maxCmdSN, this.maxCmdSN);
  }

  #advance(): number {
    const now = this.statSN;
    this.statSN = (now + 1) >>> 0;
    return now;
  }
}

const NOTHING = new Uint8Array(0);
