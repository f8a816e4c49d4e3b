/**
 * Cuts the byte stream of a connection into PDUs. A PDU that lies whole in one data event is handed on where it
 * lies; one that is split is put together first, but the payload of a large Data-Out goes straight to its task.
 *
 * Invariants: at most one PDU is kept in part; lengths and digests are checked before anyone sees a PDU; after
 * `malformed` nothing more is handed on.
 */

import { OPCODE_MASK, Opcode } from "./constants.ts";
import type { Crc32c } from "./interfaces.ts";
import { LOGIN_SEGMENT_BYTES_MAX, STREAM_BYTES_MIN } from "./limits.ts";
import { BHS_BYTES, Common, DIGEST_BYTES, padding } from "./pdu.ts";

export interface PduSink {
  /** A whole PDU: header at `at`, `dataBytes` of data at `dataAt`, both in `bytes` and `view`, valid during the call. */
  pdu(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void;
  /** The header of a Data-Out whose payload is still to come. @returns where it goes; `undefined` discards it */
  dataOutBegins(view: DataView, at: number, dataBytes: number): Uint8Array | undefined;
  /** All of the payload announced last has arrived and its digest is right. */
  dataOutEnds(): void;
  /** As `pdu`, of one whose data digest does not match. Only called if `recovers` is set. */
  damaged(view: DataView, bytes: Uint8Array, at: number, dataBytes: number): void;
  /** All of the payload announced last has arrived, and its digest does not match. Only called if `recovers` is set. */
  dataOutDamaged(): void;
  /** The stream cannot be understood from here on. */
  malformed(why: string): void;
}

const INITIAL_BYTES = 1024;

export class Input {
  readonly #sink: PduSink;
  readonly #crc: Crc32c | undefined;
  /** A PDU of which `#have` bytes have arrived. */
  #partial = new Uint8Array(INITIAL_BYTES);
  #view = new DataView(this.#partial.buffer);
  #have = 0;
  /** Data events, or what is left of them, that wait until `resume`. */
  readonly #waiting: Uint8Array[] = [];
  #streaming = false;
  #stream: Uint8Array | undefined;
  #streamAt = 0;
  #streamBytes = 0;
  #tailBytes = 0;
  #crcSoFar = 0;
  readonly #tail = new Uint8Array(3 + DIGEST_BYTES);
  #dead = false;

  headerDigest = false;
  dataDigest = false;
  segmentBytesMax = LOGIN_SEGMENT_BYTES_MAX;
  /** Whether a wrong data digest costs a PDU and not the connection. */
  recovers = false;
  /** Set by the sink to have what follows wait until `resume`. */
  paused = false;

  constructor(sink: PduSink, crc: Crc32c | undefined) {
    this.#sink = sink;
    this.#crc = crc;
  }

  feed(bytes: Uint8Array): void {
    if (this.#dead) return;
    if (this.paused || this.#waiting.length > 0) this.#waiting.push(bytes);
    else this.#consume(bytes);
  }

  resume(): void {
    this.paused = false;
    while (!this.paused && !this.#dead) {
      const bytes = this.#waiting.shift();
      if (bytes === undefined) return;
      this.#consume(bytes);
    }
  }

  stop(): void {
    this.#dead = true;
    this.#waiting.length = 0;
    this.#stream = undefined;
  }

  /** The task whose payload is arriving is gone: the rest of the payload is thrown away. */
  discardStream(): void {
    this.#stream = undefined;
  }

  #consume(bytes: Uint8Array): void {
    let at = 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    while (at < bytes.length) {
      if (this.#dead) return;
      if (this.paused) {
        this.#waiting.unshift(bytes.subarray(at));
        return;
      }
      if (this.#streaming) at = this.#continueStream(bytes, at);
      else if (this.#have > 0) at = this.#continuePartial(bytes, at);
      else {
        const total = bytes.length - at >= BHS_BYTES ? this.#pduBytes(view, at) : 0;
        if (total < 0) return;
        if (total > 0 && at + total <= bytes.length) {
          if (!this.#deliver(view, bytes, at)) return;
          at += total;
        } else at = this.#continuePartial(bytes, at);
      }
    }
  }

  #headerBytes(view: DataView, at: number): number {
    return BHS_BYTES + view.getUint8(at + Common.lengths) * 4 + (this.headerDigest ? DIGEST_BYTES : 0);
  }

  /** Bytes of the PDU that starts at `at`, or -1 if it is too long to be taken. */
  #pduBytes(view: DataView, at: number): number {
    const dataBytes = view.getUint32(at + Common.lengths) & 0xffffff;
    if (dataBytes > this.segmentBytesMax) {
      this.#fail(`a data segment of ${dataBytes} bytes, at most ${this.segmentBytesMax} are allowed`);
      return -1;
    }
    const header = this.#headerBytes(view, at);
    if (dataBytes === 0) return header;
    return header + dataBytes + padding(dataBytes) + (this.dataDigest ? DIGEST_BYTES : 0);
  }

  #deliver(view: DataView, bytes: Uint8Array, at: number): boolean {
    if (!this.#headerIsSound(view, bytes, at)) return false;
    const dataBytes = view.getUint32(at + Common.lengths) & 0xffffff;
    const dataAt = at + this.#headerBytes(view, at);
    if (this.dataDigest && dataBytes > 0 && this.#crc !== undefined) {
      const end = dataAt + dataBytes + padding(dataBytes);
      if (this.#crc(bytes, 0, dataAt, end) !== view.getUint32(end, true)) {
        if (!this.recovers) {
          this.#fail("a data digest that does not match");
          return false;
        }
        this.#sink.damaged(view, bytes, at, dataBytes);
        return true;
      }
    }
    this.#sink.pdu(view, bytes, at, dataAt, dataBytes);
    return true;
  }

  #headerIsSound(view: DataView, bytes: Uint8Array, at: number): boolean {
    if (!this.headerDigest || this.#crc === undefined) return true;
    const end = at + this.#headerBytes(view, at) - DIGEST_BYTES;
    if (this.#crc(bytes, 0, at, end) === view.getUint32(end, true)) return true;
    this.#fail("a header digest that does not match");
    return false;
  }

  /** Takes bytes of a split PDU. @returns where the bytes that were not taken start */
  #continuePartial(bytes: Uint8Array, at: number): number {
    let position = this.#take(bytes, at, BHS_BYTES);
    if (this.#have < BHS_BYTES) return position;
    const total = this.#pduBytes(this.#view, 0);
    if (total < 0) return position;
    const header = this.#headerBytes(this.#view, 0);
    const dataBytes = this.#view.getUint32(Common.lengths) & 0xffffff;
    if ((this.#view.getUint8(0) & OPCODE_MASK) === Opcode.DataOut && dataBytes >= STREAM_BYTES_MIN) {
      position = this.#take(bytes, position, header);
      if (this.#have < header) return position;
      this.#have = 0;
      if (!this.#headerIsSound(this.#view, this.#partial, 0)) return position;
      this.#beginStream(dataBytes);
      return position;
    }
    position = this.#take(bytes, position, total);
    if (this.#have < total) return position;
    this.#have = 0;
    this.#deliver(this.#view, this.#partial, 0);
    return position;
  }

  /** Copies into the split PDU until it has `wanted` bytes. */
  #take(bytes: Uint8Array, at: number, wanted: number): number {
    if (this.#have >= wanted) return at;
    if (this.#partial.length < wanted) {
      const larger = new Uint8Array(wanted);
      larger.set(this.#partial.subarray(0, this.#have));
      this.#partial = larger;
      this.#view = new DataView(larger.buffer);
    }
    const count = Math.min(wanted - this.#have, bytes.length - at);
    this.#partial.set(bytes.subarray(at, at + count), this.#have);
    this.#have += count;
    return at + count;
  }

  #beginStream(dataBytes: number): void {
    this.#stream = this.#sink.dataOutBegins(this.#view, 0, dataBytes);
    this.#streaming = true;
    this.#streamAt = 0;
    this.#streamBytes = dataBytes;
    this.#tailBytes = padding(dataBytes) + (this.dataDigest ? DIGEST_BYTES : 0);
    this.#crcSoFar = 0;
  }

  #continueStream(bytes: Uint8Array, at: number): number {
    let position = at;
    if (this.#streamAt < this.#streamBytes) {
      const count = Math.min(this.#streamBytes - this.#streamAt, bytes.length - at);
      const part = bytes.subarray(at, at + count);
      this.#stream?.set(part, this.#streamAt);
      if (this.dataDigest && this.#crc !== undefined) this.#crcSoFar = this.#crc(part, this.#crcSoFar);
      this.#streamAt += count;
      position += count;
    }
    const end = this.#streamBytes + this.#tailBytes;
    while (this.#streamAt >= this.#streamBytes && this.#streamAt < end && position < bytes.length) {
      this.#tail[this.#streamAt++ - this.#streamBytes] = bytes[position++];
    }
    if (this.#streamAt < end) return position;
    this.#streaming = false;
    if (this.dataDigest && this.#crc !== undefined) {
      const pad = padding(this.#streamBytes);
      const expected = new DataView(this.#tail.buffer).getUint32(pad, true);
      if (this.#crc(this.#tail, this.#crcSoFar, 0, pad) !== expected) {
        this.#stream = undefined;
        if (this.recovers) this.#sink.dataOutDamaged();
        else this.#fail("a data digest that does not match");
        return position;
      }
    }
    this.#stream = undefined;
    this.#sink.dataOutEnds();
    return position;
  }

  #fail(why: string): void {
    this.stop();
    this.#sink.malformed(why);
  }
}
