/**
 * A command on its way through a session, as its initiator sees it: how much of its data has moved, and whether what
 * the target sends for it is what it may send next (RFC 7143 sections 11.4, 11.7 and 11.8). The session is of error
 * recovery level 0, with all data in order. Each method returns what is wrong, or undefined.
 */

import { DATA_IN_STATUS, FINAL, RESERVED_TAG, ResidualFlag } from "../../../src/iscsi/constants.ts";
import { DataIn, R2T, ScsiResponse } from "../../../src/iscsi/pdu.ts";
import type { Command } from "./command.ts";
import type { Agreed } from "./login.ts";

const RESIDUAL = ResidualFlag.Overflow | ResidualFlag.Underflow;

export class Task {
  /** Bytes that were read so far, or that were sent or asked for. */
  moved = 0;
  /** Data-In and R2T PDUs that have come. */
  #dataSN = 0;
  #burst = 0;
  #r2ts = 0;
  #r2tsAt = -1;

  /**
   * @param order    place among the requests of its session
   * @param deadline by the clock of the host, when it has taken too long
   */
  constructor(
    readonly tag: number,
    readonly cmdSN: number,
    readonly order: number,
    readonly command: Command,
    public deadline: number,
  ) {}

  get length(): number {
    return this.command.data?.length ?? this.command.into?.length ?? 0;
  }

  dataIn(view: DataView, at: number, data: Uint8Array, agreed: Agreed): string | undefined {
    const { into } = this.command;
    const flags = view.getUint8(at + DataIn.flags);
    const offset = view.getUint32(at + DataIn.bufferOffset);
    if (into === undefined) return "Data-In for a command that does not read";
    if (view.getUint32(at + DataIn.dataSN) !== this.#dataSN++)
      return `Data-In out of order, DataSN is not ${this.#dataSN - 1}`;
    if (offset !== this.moved) return `Data-In at ${offset} where ${this.moved} comes next`;
    if (offset + data.length > into.length) return `Data-In up to ${offset + data.length} of ${into.length} bytes`;
    if (data.length === 0 && (flags & DATA_IN_STATUS) === 0) return "Data-In without data";
    if (view.getUint32(at + DataIn.targetTransferTag) !== RESERVED_TAG) return "Data-In with a Target Transfer Tag";
    this.#burst += data.length;
    if (this.#burst > agreed.maxBurstLength) return `Data-In sequence of ${this.#burst} bytes`;
    if ((flags & FINAL) !== 0) this.#burst = 0;
    into.set(data, offset);
    this.moved += data.length;
    if ((flags & DATA_IN_STATUS) === 0)
      return view.getUint32(at + DataIn.statSN) === 0 ? undefined : "Data-In with a stray StatSN";
    if ((flags & FINAL) === 0) return "Data-In with status and without the F bit";
    if (view.getUint8(at + DataIn.status) !== 0) return "Data-In with a status that is not GOOD";
    return this.#complete(flags, view.getUint32(at + DataIn.residualCount));
  }

  /** @param flush counts what this initiator has sent: several R2Ts at one count are outstanding together */
  readyToTransfer(view: DataView, at: number, agreed: Agreed, flush: number): string | undefined {
    const { data } = this.command;
    const offset = view.getUint32(at + R2T.bufferOffset);
    const length = view.getUint32(at + R2T.desiredDataTransferLength);
    if (data === undefined) return "R2T for a command that does not write";
    if (view.getUint32(at + R2T.r2tSN) !== this.#dataSN++) return `R2T out of order, R2TSN is not ${this.#dataSN - 1}`;
    if (view.getUint32(at + R2T.targetTransferTag) === RESERVED_TAG) return "R2T without a Target Transfer Tag";
    if (offset !== this.moved) return `R2T at ${offset} where ${this.moved} comes next`;
    if (length === 0 || length > agreed.maxBurstLength) return `R2T for ${length} bytes`;
    if (offset + length > data.length) return `R2T up to ${offset + length} of ${data.length} bytes`;
    this.#r2ts = this.#r2tsAt === flush ? this.#r2ts + 1 : 1;
    this.#r2tsAt = flush;
    if (this.#r2ts > agreed.maxOutstandingR2T) return `${this.#r2ts} R2Ts at once`;
    this.moved += length;
    return undefined;
  }

  response(view: DataView, at: number): string | undefined {
    const flags = view.getUint8(at + ScsiResponse.flags);
    const response = view.getUint8(at + ScsiResponse.response);
    const residual = view.getUint32(at + ScsiResponse.residualCount);
    if ((flags & FINAL) === 0) return "SCSI Response without the F bit";
    if (response !== 0) return `SCSI Response with response code ${response}`;
    if ((flags & RESIDUAL) === 0 && residual !== 0) return `SCSI Response with a stray residual of ${residual}`;
    if ((flags & RESIDUAL) === RESIDUAL) return "SCSI Response with two residuals";
    if ((flags & ResidualFlag.Underflow) !== 0 && residual > this.length) return `a residual of ${residual} bytes`;
    const sent = view.getUint32(at + ScsiResponse.expDataSN);
    if (sent !== this.#dataSN) return `SCSI Response with ExpDataSN ${sent}, ${this.#dataSN} have come`;
    return view.getUint8(at + ScsiResponse.status) === 0 ? this.#complete(flags, residual) : undefined;
  }

  /** Hosts ask for exactly what their commands move. */
  #complete(flags: number, residual: number): string | undefined {
    if ((flags & RESIDUAL) !== 0 || residual !== 0) return `GOOD with a residual of ${residual} bytes`;
    if (this.moved !== this.length) return `GOOD with ${this.moved} of ${this.length} bytes`;
    return undefined;
  }
}
