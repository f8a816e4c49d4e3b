/**
 * The sequence numbers of a session (RFC 7143 section 4.2.2): of the requests that are sent, of the window that the target
 * grants them, and of the statuses that come back. Each check returns what is wrong, or undefined.
 */

import { before, Response } from "../../../src/iscsi/pdu.ts";
import type { SeededRandom } from "../../../src/platform/memory/memory-world.ts";

/** Serial numbers start anywhere, often shortly before they wrap. */
export const SERIALS = [0, 1, 0x7ffffff0, 0xfffffff0, 0xffffffff];

export class Numbers {
  /** Of the next request that is not immediate. */
  cmdSN: number;
  /** Of the next status. */
  expStatSN: number;
  #expCmdSN: number;
  #maxCmdSN: number;
  #hasStatSN = false;

  constructor(random: SeededRandom) {
    this.cmdSN = random.pick(SERIALS);
    this.#expCmdSN = this.cmdSN;
    this.#maxCmdSN = this.cmdSN;
    this.expStatSN = random.pick(SERIALS);
  }

  /** Whether a request that is not immediate may be sent. */
  get isOpen(): boolean {
    return !before(this.#maxCmdSN, this.cmdSN);
  }

  /** A request that is not immediate was sent. */
  sent(): void {
    this.cmdSN = (this.cmdSN + 1) >>> 0;
  }

  /** ExpCmdSN and MaxCmdSN, which every PDU carries. */
  window(view: DataView, at: number): string | undefined {
    const expCmdSN = view.getUint32(at + Response.expCmdSN);
    const maxCmdSN = view.getUint32(at + Response.maxCmdSN);
    if (before(this.cmdSN, expCmdSN)) return `ExpCmdSN ${expCmdSN}, and ${this.cmdSN} is the next to be sent`;
    if (before(expCmdSN, this.#expCmdSN)) return `ExpCmdSN went back from ${this.#expCmdSN} to ${expCmdSN}`;
    if (before(maxCmdSN, (expCmdSN - 1) >>> 0)) return `MaxCmdSN ${maxCmdSN} with ExpCmdSN ${expCmdSN}`;
    if (before(maxCmdSN, this.#maxCmdSN)) return `MaxCmdSN went back from ${this.#maxCmdSN} to ${maxCmdSN}`;
    this.#expCmdSN = expCmdSN;
    this.#maxCmdSN = maxCmdSN;
    return undefined;
  }

  /** The StatSN of a PDU that carries a status. Each comes once, in order, from wherever the target begins. */
  status(view: DataView, at: number): string | undefined {
    if (!this.#hasStatSN) this.expStatSN = view.getUint32(at + Response.statSN);
    this.#hasStatSN = true;
    const wrong = this.upcoming(view, at);
    this.expStatSN = (this.expStatSN + 1) >>> 0;
    return wrong;
  }

  /** The StatSN of a PDU that carries none: that of the next status. */
  upcoming(view: DataView, at: number): string | undefined {
    const statSN = view.getUint32(at + Response.statSN);
    return statSN === this.expStatSN ? undefined : `StatSN ${statSN} where ${this.expStatSN} is due`;
  }
}
