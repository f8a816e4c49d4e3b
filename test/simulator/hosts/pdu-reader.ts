/**
 * Cuts what a target sends into PDUs and checks their digests. A PDU that lies whole in what has arrived is handed on
 * where it lies.
 */

import { BHS_BYTES, Common, DIGEST_BYTES, padding } from "../../../src/iscsi/pdu.ts";

export type Crc32c = (bytes: Uint8Array, seed?: number) => number;

export interface PduSink {
  /** A whole PDU: header at `at`, `dataBytes` of data at `dataAt`; valid during the call. */
  pdu(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void;
  /** What came is damaged or makes no sense; nothing more is handed on. */
  unreadable(why: "digest" | "length", text: string): void;
}

export class PduReader {
  /** Whether what is read next has digests. */
  headerDigest = false;
  dataDigest = false;
  /** The largest data segment that was agreed on. */
  segmentBytesMax: number;
  readonly #sink: PduSink;
  readonly #crc32c: Crc32c;
  #partial = new Uint8Array(4096);
  #have = 0;
  #stopped = false;

  constructor(sink: PduSink, crc32c: Crc32c, segmentBytesMax: number) {
    this.#sink = sink;
    this.#crc32c = crc32c;
    this.segmentBytesMax = segmentBytesMax;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** @param bytes may be kept until the call returns, not longer */
  feed(bytes: Uint8Array): void {
    if (this.#stopped) return;
    if (this.#have > 0) {
      this.#gather(bytes);
      this.#have = this.#cut(this.#partial, this.#have);
      return;
    }
    const rest = this.#cut(bytes, bytes.length);
    if (rest > 0 && !this.#stopped) this.#gather(bytes.subarray(bytes.length - rest));
  }

  #gather(bytes: Uint8Array): void {
    const length = this.#have + bytes.length;
    if (length > this.#partial.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(this.#partial.subarray(0, this.#have));
      this.#partial = larger;
    }
    this.#partial.set(bytes, this.#have);
    this.#have = length;
  }

  /** Hands on the whole PDUs of the first `length` bytes. @returns how many bytes are left, at the front if in `#partial` */
  #cut(bytes: Uint8Array, length: number): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, length);
    let at = 0;
    while (!this.#stopped) {
      const total = this.#deliver(view, bytes, at, length);
      if (total === 0) break;
      at += total;
    }
    if (bytes === this.#partial) this.#partial.copyWithin(0, at, length);
    return length - at;
  }

  /** @returns the bytes of the PDU that was handed on; 0 if it has not come whole, or can't be read */
  #deliver(view: DataView, bytes: Uint8Array, at: number, end: number): number {
    const digest = this.headerDigest ? DIGEST_BYTES : 0;
    if (end - at < BHS_BYTES + digest) return 0;
    const headerBytes = BHS_BYTES + view.getUint8(at + Common.lengths) * 4;
    const dataAt = at + headerBytes + digest;
    if (end < dataAt) return 0;
    if (digest > 0 && this.#crc32c(bytes.subarray(at, at + headerBytes)) !== view.getUint32(dataAt - 4, true)) {
      this.#fail("digest", "a header digest that does not match");
      return 0;
    }
    const dataBytes = view.getUint32(at + Common.lengths) & 0xffffff;
    if (dataBytes > this.segmentBytesMax) {
      this.#fail("length", `a data segment of ${dataBytes} bytes, where ${this.segmentBytesMax} are agreed on`);
      return 0;
    }
    const dataEnd = dataAt + dataBytes + padding(dataBytes);
    const isChecked = this.dataDigest && dataBytes > 0;
    const pduEnd = dataEnd + (isChecked ? DIGEST_BYTES : 0);
    if (end < pduEnd) return 0;
    if (isChecked && this.#crc32c(bytes.subarray(dataAt, dataEnd)) !== view.getUint32(dataEnd, true)) {
      this.#fail("digest", "a data digest that does not match");
      return 0;
    }
    this.#sink.pdu(view, bytes, at, dataAt, dataBytes);
    return pduEnd - at;
  }

  #fail(why: "digest" | "length", text: string): void {
    this.stop();
    this.#sink.unreadable(why, text);
  }
}
