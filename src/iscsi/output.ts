/**
 * What a connection has to send: PDUs are built one behind the other in a chunk and go to the transport in one
 * write; large data segments are queued from their own buffers between them.
 *
 * Invariants: bytes leave in the order in which PDUs were closed; a chunk returns to its pool only when all of it
 * was sent and no device writes into it any more; nothing here grows without `queuedBytes` showing it.
 */

import type { Connection, Crc32c, Memory } from "./interfaces.ts";
import { FLUSH_TURN_BYTES, OUTPUT_CHUNK_BYTES, OUTPUT_CHUNKS_RETAINED_MAX } from "./limits.ts";
import { BHS_BYTES, DIGEST_BYTES, padding } from "./pdu.ts";

export class Chunk {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Queued spans and device reads that still use the chunk. */
  references = 0;
  /** Whether PDUs are still added to it. */
  current = false;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}

export class ChunkPool {
  readonly #memory: Memory;
  readonly #free: Chunk[] = [];

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  get retainedBytes(): number {
    return this.#free.length * OUTPUT_CHUNK_BYTES;
  }

  take(): Chunk {
    const chunk = this.#free.pop() ?? new Chunk(this.#memory.allocate(OUTPUT_CHUNK_BYTES));
    chunk.current = true;
    return chunk;
  }

  /** Takes the chunk back once nothing uses it; called after each use ends. */
  settle(chunk: Chunk): void {
    if (chunk.current || chunk.references > 0) return;
    if (this.#free.length < OUTPUT_CHUNKS_RETAINED_MAX) this.#free.push(chunk);
    else this.#memory.free(chunk.bytes);
  }

  trim(): void {
    for (const chunk of this.#free.splice(0)) this.#memory.free(chunk.bytes);
  }
}

interface Span {
  readonly bytes: Uint8Array;
  start: number;
  readonly end: number;
  readonly chunk: Chunk | undefined;
  readonly release: (() => void) | undefined;
}

export class Output {
  readonly #transport: Connection;
  readonly #pool: ChunkPool;
  readonly #crc: Crc32c | undefined;
  #chunk: Chunk | undefined;
  /** The part of the chunk that is closed but neither queued nor sent. */
  #start = 0;
  #end = 0;
  readonly #queue: Span[] = [];
  #queued = 0;
  headerDigest = false;
  dataDigest = false;
  /** The transport took less than it was given; `onDrain` will follow. */
  blocked = false;
  bytesSent = 0;

  constructor(transport: Connection, pool: ChunkPool, crc: Crc32c | undefined) {
    this.#transport = transport;
    this.#pool = pool;
    this.#crc = crc;
  }

  /** Bytes that wait for the transport. */
  get queuedBytes(): number {
    return this.#queued + this.#end - this.#start;
  }

  /** Where the PDU being built lies: valid from `open` to the next `open`. */
  get bytes(): Uint8Array {
    return this.#current().bytes;
  }

  get view(): DataView {
    return this.#current().view;
  }

  /** @returns where the header of a PDU with `dataBytes` of data goes; all 48 bytes are the caller's to fill */
  open(dataBytes: number): number {
    const needed = BHS_BYTES + dataBytes + 3 + 2 * DIGEST_BYTES;
    if (this.#chunk === undefined || this.#end + needed > this.#chunk.bytes.length) {
      this.#seal();
      this.#retire();
      this.#chunk = this.#pool.take();
    }
    return this.#end;
  }

  /** Where the data of the PDU whose header is at `at` goes. */
  dataAt(at: number): number {
    return this.headerDigest ? at + BHS_BYTES + DIGEST_BYTES : at + BHS_BYTES;
  }

  /** Ends a PDU whose header and data were filled in. */
  close(at: number, dataBytes: number): void {
    let end = this.#closeHeader(at);
    if (dataBytes > 0) {
      const { bytes, view } = this.#current();
      const start = end;
      end += dataBytes;
      for (let pad = padding(dataBytes); pad > 0; pad--) bytes[end++] = 0;
      if (this.dataDigest && this.#crc !== undefined) {
        view.setUint32(end, this.#crc(bytes, 0, start, end), true);
        end += DIGEST_BYTES;
      }
    }
    this.#end = end;
  }

  /** Ends a PDU whose data stays in a buffer of its own until it was sent; `release` is called then. */
  closeWith(at: number, data: Uint8Array, release: (() => void) | undefined): void {
    this.#end = this.#closeHeader(at);
    this.#seal();
    this.#queue.push({ bytes: data, start: 0, end: data.length, chunk: undefined, release });
    this.#queued += data.length;
    const pad = padding(data.length);
    if (pad === 0 && !this.dataDigest) return;
    const tail = this.open(0);
    const { bytes, view } = this.#current();
    bytes.fill(0, tail, tail + pad);
    let end = tail + pad;
    if (this.dataDigest && this.#crc !== undefined) {
      view.setUint32(end, this.#crc(bytes, this.#crc(data), tail, end), true);
      end += DIGEST_BYTES;
    }
    this.#end = end;
  }

  /** A device goes on writing into the present chunk: leaves it to that and builds on in another. */
  detach(): Chunk {
    const chunk = this.#current();
    chunk.references++;
    this.#seal();
    this.#retire();
    return chunk;
  }

  /** The device is done with a chunk that `detach` returned. */
  reattach(chunk: Chunk): void {
    chunk.references--;
    this.#pool.settle(chunk);
  }

  /** Hands what waits to the transport. @returns whether more waits although the transport takes more */
  flush(): boolean {
    let budget = FLUSH_TURN_BYTES;
    while (!this.blocked && budget > 0) {
      const span = this.#queue[0];
      if (span === undefined) {
        if (this.#chunk === undefined || this.#start === this.#end) break;
        const taken = this.#write(this.#chunk.bytes, this.#start, this.#end);
        this.#start += taken;
        budget -= taken;
        if (this.#start === this.#end && this.#chunk.references === 0) this.#start = this.#end = 0;
      } else {
        const taken = this.#write(span.bytes, span.start, span.end);
        span.start += taken;
        this.#queued -= taken;
        budget -= taken;
        if (span.start === span.end) {
          this.#queue.shift();
          this.#drop(span);
        }
      }
    }
    return !this.blocked && this.queuedBytes > 0;
  }

  /** Forgets what was not sent. */
  discard(): void {
    for (const span of this.#queue.splice(0)) this.#drop(span);
    this.#queued = 0;
    this.#start = this.#end;
    this.#retire();
  }

  /** Gives the chunk back while there is nothing to send. */
  rest(): void {
    if (this.queuedBytes === 0) this.#retire();
  }

  #current(): Chunk {
    if (this.#chunk === undefined) throw new Error("no PDU is open");
    return this.#chunk;
  }

  #closeHeader(at: number): number {
    if (!this.headerDigest || this.#crc === undefined) return at + BHS_BYTES;
    const { bytes, view } = this.#current();
    view.setUint32(at + BHS_BYTES, this.#crc(bytes, 0, at, at + BHS_BYTES), true);
    return at + BHS_BYTES + DIGEST_BYTES;
  }

  #write(bytes: Uint8Array, start: number, end: number): number {
    const taken = this.#transport.write(bytes.subarray(start, end));
    if (taken < end - start) this.blocked = true;
    this.bytesSent += taken;
    return taken;
  }

  #seal(): void {
    const chunk = this.#chunk;
    if (chunk === undefined || this.#start === this.#end) return;
    chunk.references++;
    this.#queue.push({ bytes: chunk.bytes, start: this.#start, end: this.#end, chunk, release: undefined });
    this.#queued += this.#end - this.#start;
    this.#start = this.#end;
  }

  #retire(): void {
    const chunk = this.#chunk;
    if (chunk === undefined) return;
    this.#chunk = undefined;
    this.#start = this.#end = 0;
    chunk.current = false;
    this.#pool.settle(chunk);
  }

  #drop(span: Span): void {
    if (span.chunk !== undefined) {
      span.chunk.references--;
      this.#pool.settle(span.chunk);
    }
    span.release?.();
  }
}
