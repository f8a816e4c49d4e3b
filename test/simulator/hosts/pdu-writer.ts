/** What an initiator has to send: PDUs one behind another in one buffer, and from there to the connection as it takes them. */

import { BHS_BYTES, Common, DIGEST_BYTES, padding } from "../../../src/iscsi/pdu.ts";
import type { Connection } from "../../../src/platform/network.ts";
import type { Crc32c } from "./pdu-reader.ts";

const INITIAL_BYTES = 64 * 1024;

export class PduWriter {
  headerDigest = false;
  dataDigest = false;
  readonly #crc32c: Crc32c;
  #bytes = new Uint8Array(INITIAL_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #start = 0;
  #end = 0;

  constructor(crc32c: Crc32c) {
    this.#crc32c = crc32c;
  }

  /** Of the PDU that was begun last. */
  get view(): DataView {
    return this.#view;
  }

  /** Begins a PDU with a header of zeros but for these. @returns where in `view` it is, until `end` */
  begin(opcode: number, flags: number, dataBytes: number): number {
    this.#reserve(BHS_BYTES + dataBytes + 3 + 2 * DIGEST_BYTES);
    const at = this.#end;
    this.#bytes.fill(0, at, at + BHS_BYTES);
    this.#view.setUint8(at, opcode);
    this.#view.setUint8(at + 1, flags);
    this.#view.setUint32(at + Common.lengths, dataBytes);
    return at;
  }

  /** Completes the PDU that was begun with its data, of the length announced, and its digests. */
  end(at: number, data: Uint8Array): void {
    let end = at + BHS_BYTES;
    if (this.headerDigest) end = this.#digest(at, end);
    if (data.length > 0) {
      const dataAt = end;
      this.#bytes.set(data, dataAt);
      end = dataAt + data.length + padding(data.length);
      this.#bytes.fill(0, dataAt + data.length, end);
      if (this.dataDigest) end = this.#digest(dataAt, end);
    }
    this.#end = end;
  }

  #digest(from: number, to: number): number {
    this.#view.setUint32(to, this.#crc32c(this.#bytes.subarray(from, to)), true);
    return to + DIGEST_BYTES;
  }

  get isEmpty(): boolean {
    return this.#start === this.#end;
  }

  /** @returns false if the connection did not take all of it: more can be sent when it has drained */
  flush(connection: Connection): boolean {
    if (this.isEmpty) return true;
    this.#start += connection.write(this.#bytes.subarray(this.#start, this.#end));
    if (!this.isEmpty) return false;
    this.#start = 0;
    this.#end = 0;
    return true;
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return;
    const queued = this.#end - this.#start;
    if (queued + bytes <= this.#bytes.length) this.#bytes.copyWithin(0, this.#start, this.#end);
    else {
      const larger = new Uint8Array(2 * (queued + bytes));
      larger.set(this.#bytes.subarray(this.#start, this.#end));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#start = 0;
    this.#end = queued;
  }
}
