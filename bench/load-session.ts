/**
 * One session of an initiator that keeps a target busy and times every request. Sound, and no more than that: it is there
 * for what the initiators of other projects don't offer: many sessions in one process, data digests, and latencies.
 */

import type { Socket } from "bun";
import type { Crc32c } from "../src/iscsi/index.ts";
import { BenchFailure } from "./failure.ts";
import type { Load } from "./load.ts";

const HEADER_BYTES = 48;
const DIGEST_BYTES = 4;
const RESERVED_TAG = 0xffffffff;
const SEGMENT_BYTES = 256 * 1024;
const FIRST_BURST_BYTES = 64 * 1024;
/** Where RFC 7143 says nothing else was declared. */
const SEGMENT_BYTES_DEFAULT = 8192;
const UNIT_ATTENTIONS_MAX = 8;
const READY_TAG = 0x10000;
/** Data digests that come are checked once in so many PDUs: what is measured is the other side's making of them. */
const CHECKED_ONE_IN = 16;

const To = { NopOut: 0x00, ScsiCommand: 0x01, Login: 0x03, DataOut: 0x05 } as const;
const From = { NopIn: 0x20, ScsiResponse: 0x21, Login: 0x23, DataIn: 0x25, R2T: 0x31 } as const;
const READ_16 = 0x88;
const WRITE_16 = 0x8a;

type State =
  | { readonly kind: "login"; exchanges: number }
  | { readonly kind: "ready"; attentions: number }
  | { readonly kind: "loaded" };

export class LoadSession {
  readonly #load: Load;
  readonly #crc: Crc32c;
  readonly #onError: (error: Error) => void;
  readonly #onReady: () => void;
  /** Microseconds that each answered request took. */
  readonly latencies: number[] = [];
  #socket: Socket | undefined;
  #state: State = { kind: "login", exchanges: 0 };
  #digests = false;
  #stopped = false;
  #cmdSN = 1;
  #statSN = 0;
  #sendSegmentBytes = SEGMENT_BYTES_DEFAULT;
  #firstBurst = FIRST_BURST_BYTES;
  #next = 0;
  readonly #begun: Float64Array;
  readonly #data: Uint8Array;
  /** Digests of so many of its bytes, from the first on: all segments have the same content. */
  readonly #dataDigests = new Map<number, number>();

  #out = new Uint8Array(1024 * 1024);
  #outView = new DataView(this.#out.buffer);
  #outStart = 0;
  #outEnd = 0;

  readonly #header = new Uint8Array(HEADER_BYTES + DIGEST_BYTES);
  readonly #view = new DataView(this.#header.buffer);
  #headerBytes = 0;
  /** Of the data segment that is arriving: what is left of its data, of its padding and of its digest. */
  #dataLeft = 0;
  #padLeft = 0;
  #digestLeft = 0;
  #digest = 0;
  #sum = 0;
  #segments = 0;
  #checks = false;
  readonly #text: number[] = [];

  /** Resolves once it may be loaded. */
  static open(load: Load, number: number, crc: Crc32c, onError: (error: Error) => void): Promise<LoadSession> {
    return new Promise((resolve, reject) => {
      const session: LoadSession = new LoadSession(load, crc, onError, () => resolve(session));
      Bun.connect({
        hostname: load.host,
        port: load.port,
        socket: {
          open: (socket) => session.#opened(socket, number),
          data: (_, bytes) => session.#received(bytes),
          drain: () => session.#flush(),
          close: () => session.#closed(),
          error: (_, error) => onError(error),
        },
      }).catch(reject);
    });
  }

  private constructor(load: Load, crc: Crc32c, onError: (error: Error) => void, onReady: () => void) {
    this.#load = load;
    this.#crc = crc;
    this.#onError = onError;
    this.#onReady = onReady;
    this.#begun = new Float64Array(load.depth);
    this.#data = new Uint8Array(load.requestBytes).fill(0xa5);
  }

  start(): void {
    this.#next = Math.floor(Math.random() * this.#places);
    for (let tag = 0; tag < this.#load.depth; tag++) this.#request(tag);
    this.#flush();
  }

  /** Requests that are answered later do not count. */
  stop(): void {
    this.#stopped = true;
    this.#socket?.terminate();
  }

  get #places(): number {
    return Math.floor(this.#load.volumeBytes / this.#load.requestBytes);
  }

  #opened(socket: Socket, number: number): void {
    this.#socket = socket;
    socket.setNoDelay(true);
    const digest = this.#load.digests ? "CRC32C" : "None";
    this.#login(
      // Two with one name and one ISID would end each other's sessions, RFC 7143 section 6.3.5.
      `InitiatorName=iqn.2026-11.dev.antipode:load-${process.pid}-${number}`,
      `TargetName=${this.#load.target}`,
      "SessionType=Normal",
      `HeaderDigest=${digest}`,
      `DataDigest=${digest}`,
      "InitialR2T=No",
      "ImmediateData=Yes",
      `FirstBurstLength=${FIRST_BURST_BYTES}`,
      `MaxBurstLength=${1024 * 1024}`,
      `MaxRecvDataSegmentLength=${SEGMENT_BYTES}`,
      "MaxConnections=1",
      "ErrorRecoveryLevel=0",
    );
  }

  #login(...keys: readonly string[]): void {
    const text = new TextEncoder().encode(keys.map((key) => `${key}\0`).join(""));
    const view = this.#open(To.Login | 0x40, 0x87, text.length);
    view.setUint32(8, 0x80000000);
    view.setUint16(12, Math.floor(Math.random() * 0x10000));
    view.setUint32(24, this.#cmdSN);
    this.#close(text);
    this.#flush();
  }

  #request(tag: number): void {
    const { kind, order, requestBytes, blockBytes } = this.#load;
    const place = order === "random" ? Math.floor(Math.random() * this.#places) : this.#next++ % this.#places;
    const blocks = requestBytes / blockBytes;
    const writes = kind === "write";
    const immediate = writes ? Math.min(requestBytes, this.#sendSegmentBytes, this.#firstBurst) : 0;
    this.#begun[tag] = performance.now();
    const view = this.#command(tag, writes ? 0xa1 : 0xc1, requestBytes, immediate);
    view.setUint8(32, writes ? WRITE_16 : READ_16);
    view.setBigUint64(34, BigInt(place * blocks));
    view.setUint32(42, blocks);
    this.#close(this.#data.subarray(0, immediate));
  }

  #testUnitReady(): void {
    this.#command(READY_TAG, 0x81, 0, 0);
    this.#close(NOTHING);
    this.#flush();
  }

  #command(tag: number, flags: number, length: number, immediate: number): DataView {
    const view = this.#open(To.ScsiCommand, flags, immediate);
    view.setUint16(8, this.#load.lun);
    view.setUint32(16, tag);
    view.setUint32(20, length);
    view.setUint32(24, this.#cmdSN);
    this.#cmdSN = (this.#cmdSN + 1) >>> 0;
    return view;
  }

  /** A PDU whose header the caller goes on with, and `#close` ends. */
  #open(opcode: number, flags: number, dataBytes: number): DataView {
    const needed = HEADER_BYTES + dataBytes + 3 + 2 * DIGEST_BYTES;
    if (this.#outEnd + needed > this.#out.length) this.#makeRoom(needed);
    const view = new DataView(this.#out.buffer, this.#outEnd, HEADER_BYTES);
    this.#out.fill(0, this.#outEnd, this.#outEnd + HEADER_BYTES);
    view.setUint8(0, opcode);
    view.setUint8(1, flags);
    view.setUint32(4, dataBytes);
    view.setUint32(28, this.#statSN);
    return view;
  }

  #close(data: Uint8Array): void {
    const at = this.#outEnd;
    this.#outEnd += HEADER_BYTES;
    if (this.#digests) this.#seal(this.#crc(this.#out, 0, at, this.#outEnd));
    if (data.length === 0) return;
    const dataAt = this.#outEnd;
    this.#out.set(data, dataAt);
    this.#outEnd += data.length;
    while ((this.#outEnd - dataAt) % 4 !== 0) this.#out[this.#outEnd++] = 0;
    if (this.#digests) this.#seal(this.#dataDigest(dataAt, data.length));
  }

  #seal(digest: number): void {
    this.#outView.setUint32(this.#outEnd, digest, true);
    this.#outEnd += DIGEST_BYTES;
  }

  #dataDigest(at: number, length: number): number {
    const known = this.#dataDigests.get(length);
    if (known !== undefined) return known;
    const digest = this.#crc(this.#out, 0, at, this.#outEnd);
    this.#dataDigests.set(length, digest);
    return digest;
  }

  #makeRoom(needed: number): void {
    const left = this.#outEnd - this.#outStart;
    const larger = left + needed > this.#out.length ? new Uint8Array(2 * (left + needed)) : this.#out;
    larger.set(this.#out.subarray(this.#outStart, this.#outEnd));
    if (larger !== this.#out) this.#outView = new DataView(larger.buffer);
    this.#out = larger;
    this.#outStart = 0;
    this.#outEnd = left;
  }

  #flush(): void {
    if (this.#stopped || this.#socket === undefined || this.#outStart === this.#outEnd) return;
    this.#outStart += Math.max(0, this.#socket.write(this.#out.subarray(this.#outStart, this.#outEnd)));
    if (this.#outStart === this.#outEnd) this.#outStart = this.#outEnd = 0;
  }

  #closed(): void {
    if (!this.#stopped) this.#onError(new BenchFailure("the target closed a session."));
  }

  #received(bytes: Uint8Array): void {
    if (this.#stopped) return;
    try {
      for (let at = 0; at < bytes.length && !this.#stopped; ) at = this.#take(bytes, at);
      this.#flush();
    } catch (error) {
      this.#onError(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Takes the next part of the PDU that is arriving. @returns where the one after it begins */
  #take(bytes: Uint8Array, at: number): number {
    const headerBytes = this.#digests ? HEADER_BYTES + DIGEST_BYTES : HEADER_BYTES;
    if (this.#headerBytes < headerBytes) {
      const count = Math.min(headerBytes - this.#headerBytes, bytes.length - at);
      this.#header.set(bytes.subarray(at, at + count), this.#headerBytes);
      this.#headerBytes += count;
      if (this.#headerBytes === headerBytes) this.#headerTaken();
      return at + count;
    }
    if (this.#dataLeft > 0) {
      const count = Math.min(this.#dataLeft, bytes.length - at);
      if (this.#checks) this.#sum = this.#crc(bytes, this.#sum, at, at + count);
      if (this.#state.kind === "login") this.#text.push(...bytes.subarray(at, at + count));
      this.#dataLeft -= count;
      if (this.#dataLeft + this.#padLeft + this.#digestLeft === 0) this.#taken();
      return at + count;
    }
    const pad = Math.min(this.#padLeft, bytes.length - at);
    if (this.#checks) this.#sum = this.#crc(bytes, this.#sum, at, at + pad);
    this.#padLeft -= pad;
    let position = at + pad;
    while (this.#digestLeft > 0 && position < bytes.length) {
      this.#digest = (this.#digest >>> 8) | (bytes[position++] << 24);
      this.#digestLeft--;
    }
    if (this.#padLeft + this.#digestLeft === 0) this.#taken();
    return position;
  }

  #headerTaken(): void {
    if (this.#digests && this.#crc(this.#header, 0, 0, HEADER_BYTES) !== this.#view.getUint32(HEADER_BYTES, true)) {
      throw new BenchFailure("a header digest is wrong.");
    }
    const length = this.#view.getUint32(4) & 0xffffff;
    this.#dataLeft = length;
    this.#padLeft = -length & 3;
    this.#digestLeft = length > 0 && this.#digests ? DIGEST_BYTES : 0;
    this.#sum = 0;
    this.#checks = this.#digestLeft > 0 && this.#segments++ % CHECKED_ONE_IN === 0;
    if (length === 0) this.#taken();
  }

  /** A whole PDU is there. */
  #taken(): void {
    const view = this.#view;
    this.#headerBytes = 0;
    if (this.#checks && this.#digest >>> 0 !== this.#sum) {
      throw new BenchFailure("a data digest is wrong.");
    }
    const opcode = view.getUint8(0) & 0x3f;
    const flags = view.getUint8(1);
    const tag = view.getUint32(16);
    switch (opcode) {
      case From.Login:
        this.#loginResponse(flags);
        return;
      case From.R2T:
        this.#supply(tag);
        return;
      case From.NopIn:
        this.#alive();
        return;
      case From.DataIn:
        if ((flags & 0x01) === 0) return;
        break;
      case From.ScsiResponse:
        break;
      default:
        throw new BenchFailure(`a PDU of opcode 0x${opcode.toString(16)} came.`);
    }
    this.#statSN = (view.getUint32(24) + 1) >>> 0;
    this.#answered(tag, view.getUint8(3));
  }

  #answered(tag: number, status: number): void {
    if (this.#state.kind === "ready") {
      // What each new session is told first.
      if (status !== 0 && this.#state.attentions++ < UNIT_ATTENTIONS_MAX) this.#testUnitReady();
      else if (status !== 0) throw new BenchFailure(`the unit is not ready: status ${status}.`);
      else {
        this.#state = { kind: "loaded" };
        this.#onReady();
      }
      return;
    }
    if (status !== 0) throw new BenchFailure(`a request ended with status ${status}.`);
    this.latencies.push((performance.now() - this.#begun[tag]) * 1000);
    this.#request(tag);
  }

  #loginResponse(flags: number): void {
    const status = this.#view.getUint16(36);
    if (status !== 0) throw new BenchFailure(`login failed with status 0x${status.toString(16)}.`);
    if (this.#state.kind !== "login") throw new BenchFailure("a login response came after the login.");
    this.#statSN = (this.#view.getUint32(24) + 1) >>> 0;
    this.#declared(Buffer.from(this.#text.splice(0)).toString());
    if ((flags & 0x83) !== 0x83) {
      if (this.#state.exchanges++ > UNIT_ATTENTIONS_MAX) throw new BenchFailure("the login does not end.");
      this.#login();
      return;
    }
    this.#digests = this.#load.digests;
    this.#state = { kind: "ready", attentions: 0 };
    this.#testUnitReady();
  }

  #declared(text: string): void {
    for (const pair of text.split("\0")) {
      const [key, value] = pair.split("=");
      if (key === "MaxRecvDataSegmentLength") this.#sendSegmentBytes = Number(value);
      if (key === "FirstBurstLength") this.#firstBurst = Number(value);
      if (key === "ImmediateData" && value === "No") this.#firstBurst = 0;
      if (key?.endsWith("Digest") && this.#load.digests && value !== "CRC32C") {
        throw new BenchFailure(`${key} is ${value}.`);
      }
    }
  }

  /** What an R2T asks for. */
  #supply(tag: number): void {
    const [ttt, offset, length] = [20, 40, 44].map((at) => this.#view.getUint32(at));
    for (let sent = 0, dataSN = 0; sent < length; dataSN++) {
      const count = Math.min(length - sent, this.#sendSegmentBytes);
      const view = this.#open(To.DataOut, sent + count === length ? 0x80 : 0, count);
      view.setUint32(16, tag);
      view.setUint32(20, ttt);
      view.setUint32(36, dataSN);
      view.setUint32(40, offset + sent);
      this.#close(this.#data.subarray(0, count));
      sent += count;
    }
  }

  #alive(): void {
    const ttt = this.#view.getUint32(20);
    if (ttt === RESERVED_TAG) return;
    const view = this.#open(To.NopOut | 0x40, 0x80, 0);
    view.setUint32(16, RESERVED_TAG);
    view.setUint32(20, ttt);
    view.setUint32(24, this.#cmdSN);
    this.#close(NOTHING);
  }
}

const NOTHING = new Uint8Array(0);
