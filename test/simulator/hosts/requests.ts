/** The PDUs that an initiator sends, with the numbers that they carry; what one turn has to say leaves in one write. */

import { CommandFlag, FINAL, IMMEDIATE, LogoutReason, Opcode, RESERVED_TAG } from "../../../src/iscsi/constants.ts";
import {
  DataOut,
  LoginRequest as LoginHeader,
  lunWord,
  Request,
  Response,
  ScsiCommand,
  TaskManagementRequest,
} from "../../../src/iscsi/pdu.ts";
import type { Clock } from "../../../src/platform/clock.ts";
import type { Connection } from "../../../src/platform/network.ts";
import type { LoginRequest } from "./login.ts";
import type { Numbers } from "./numbers.ts";
import type { Crc32c } from "./pdu-reader.ts";
import { PduWriter } from "./pdu-writer.ts";
import type { Task } from "./task.ts";

export class Requests {
  /** How often something was handed to the connection. */
  flushes = 0;
  /** The longest data segment of a Data-Out. */
  segmentBytes = 0;
  readonly writer: PduWriter;
  readonly #clock: Clock;
  readonly #connection: Connection;
  readonly #numbers: Numbers;
  readonly #lun: number;
  #flushScheduled = false;
  #stopped = false;

  constructor(clock: Clock, connection: Connection, crc32c: Crc32c, numbers: Numbers, lun: number) {
    this.writer = new PduWriter(crc32c);
    this.#clock = clock;
    this.#connection = connection;
    this.#numbers = numbers;
    this.#lun = lunWord(lun);
  }

  stop(): void {
    this.#stopped = true;
  }

  login(request: LoginRequest, isid: number, tag: number): void {
    const { stage, next, isPart, text } = request;
    const flags = (next === undefined ? 0 : FINAL | next) | (isPart ? 0x40 : 0) | (stage << 2);
    const at = this.#begin(Opcode.LoginRequest, flags, tag, text.length, true);
    const { view } = this.writer;
    view.setUint16(at + LoginHeader.isid, Math.floor(isid / 2 ** 32));
    view.setUint32(at + LoginHeader.isid + 2, isid >>> 0);
    this.#end(at, text);
  }

  /** @param unsolicited whether Data-Outs follow that no R2T asks for */
  command(task: Task, attribute: number, immediate: Uint8Array, unsolicited: boolean, isImmediate: boolean): void {
    const { cdb, data, into } = task.command;
    const direction = (into === undefined ? 0 : CommandFlag.Read) | (data === undefined ? 0 : CommandFlag.Write);
    const flags = (unsolicited ? 0 : FINAL) | direction | attribute;
    const at = this.#begin(Opcode.ScsiCommand, flags, task.tag, immediate.length, isImmediate);
    const { view } = this.writer;
    view.setUint32(at + ScsiCommand.lun, this.#lun);
    view.setUint32(at + ScsiCommand.expectedDataTransferLength, task.length);
    new Uint8Array(view.buffer).set(cdb, at + ScsiCommand.cdb);
    this.#end(at, immediate);
  }

  /** A sequence of Data-Outs. */
  dataOut(task: Task, targetTransferTag: number, from: number, length: number): void {
    const { data } = task.command;
    if (data === undefined) return;
    const end = from + length;
    for (let offset = from, dataSN = 0; offset < end; dataSN++) {
      const bytes = Math.min(this.segmentBytes, end - offset);
      const at = this.writer.begin(Opcode.DataOut, offset + bytes === end ? FINAL : 0, bytes);
      const { view } = this.writer;
      view.setUint32(at + DataOut.lun, this.#lun);
      view.setUint32(at + DataOut.initiatorTaskTag, task.tag);
      view.setUint32(at + DataOut.targetTransferTag, targetTransferTag);
      view.setUint32(at + DataOut.expStatSN, this.#numbers.expStatSN);
      view.setUint32(at + DataOut.dataSN, dataSN);
      view.setUint32(at + DataOut.bufferOffset, offset);
      this.#end(at, data.subarray(offset, offset + bytes));
      offset += bytes;
    }
  }

  /** @param task for ABORT TASK */
  taskManagement(tag: number, kind: number, task: Task | undefined, isImmediate: boolean): void {
    const at = this.#begin(Opcode.TaskManagementRequest, FINAL | kind, tag, 0, isImmediate);
    const { view } = this.writer;
    view.setUint32(at + TaskManagementRequest.lun, this.#lun);
    view.setUint32(at + TaskManagementRequest.referencedTaskTag, task?.tag ?? RESERVED_TAG);
    view.setUint32(at + TaskManagementRequest.refCmdSN, task?.cmdSN ?? 0);
    this.#end(at, NOTHING);
  }

  nopOut(tag: number, data: Uint8Array, isImmediate: boolean): void {
    const at = this.#begin(Opcode.NopOut, FINAL, tag, data.length, isImmediate);
    this.writer.view.setUint32(at + Request.targetTransferTag, RESERVED_TAG);
    this.#end(at, data);
  }

  /** The answer to a NOP-In, which is at `fromAt`. */
  answer(from: DataView, fromAt: number): void {
    const at = this.#begin(Opcode.NopOut, FINAL, RESERVED_TAG, 0, true);
    const { view } = this.writer;
    view.setUint32(at + Request.lun, from.getUint32(fromAt + Response.lun));
    view.setUint32(at + Request.lun + 4, from.getUint32(fromAt + Response.lun + 4));
    view.setUint32(at + Request.targetTransferTag, from.getUint32(fromAt + Response.targetTransferTag));
    this.#end(at, NOTHING);
  }

  logout(tag: number): void {
    this.#end(this.#begin(Opcode.LogoutRequest, FINAL | LogoutReason.CloseSession, tag, 0, true), NOTHING);
  }

  #begin(opcode: number, flags: number, tag: number, dataBytes: number, isImmediate: boolean): number {
    const at = this.writer.begin(opcode | (isImmediate ? IMMEDIATE : 0), flags, dataBytes);
    const { view } = this.writer;
    view.setUint32(at + Request.initiatorTaskTag, tag);
    view.setUint32(at + Request.cmdSN, this.#numbers.cmdSN);
    view.setUint32(at + Request.expStatSN, this.#numbers.expStatSN);
    if (!isImmediate) this.#numbers.sent();
    return at;
  }

  #end(at: number, data: Uint8Array): void {
    this.writer.end(at, data);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    this.#clock.afterTurn(() => {
      this.#flushScheduled = false;
      this.flush();
    });
  }

  flush(): void {
    if (this.#stopped || this.writer.isEmpty) return;
    this.flushes++;
    this.writer.flush(this.#connection);
  }
}

const NOTHING = new Uint8Array(0);
