/**
 * Makes frames of the bytes of one connection, however they are cut.
 *
 * Invariants: nothing is buffered before the length of its frame was checked; a payload that lies whole in one piece is
 * not copied, any other is copied once, into one buffer of bounded size, a request's data at the start of a page there;
 * after a fault, or `close`, no frame is delivered.
 */

import { descriptorBytes } from "../base/data-write-request.ts";
import type { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import type { World } from "../platform/world.ts";
import {
  checkedBytes,
  checkHeader,
  Frame,
  FrameType,
  frameError,
  frameName,
  Header,
  payloadMax,
  requestBlocks,
} from "./frame.ts";

export interface FrameHandler {
  /** @returns false to be given the same frame again after `release`, and none until then */
  onFrame(frame: Frame): boolean;
  onFault(error: OperatingError): void;
}

const NOTHING = new Uint8Array(0);

export class FrameReader {
  readonly #world: World;
  readonly #handler: FrameHandler;
  readonly #frame = new Frame();
  /** Bit n is set while type n may arrive. */
  #allowed: number;
  #chunk: Uint8Array = NOTHING;
  #chunkView: DataView;
  #at = 0;
  /** Pieces that came while a frame was held: few, since the transport has been paused. */
  #later: Uint8Array[] = [];
  readonly #headerBytes = new Uint8Array(Header.size);
  readonly #headerView = new DataView(this.#headerBytes.buffer);
  #headerHave = 0;
  #stage: "header" | "payload" | "dispatch" = "header";
  #length = 0;
  #assembly: Uint8Array | undefined;
  #assemblyStart = 0;
  #payloadHave = 0;
  #held = false;
  #busy = false;
  #closed = false;

  constructor(world: World, handler: FrameHandler, allowed: readonly FrameType[]) {
    this.#world = world;
    this.#handler = handler;
    this.#allowed = mask(allowed);
    this.#chunkView = new DataView(NOTHING.buffer);
  }

  get held(): boolean {
    return this.#held;
  }

  /** From the next frame on, only these types may arrive. */
  allow(types: readonly FrameType[]): void {
    this.#allowed = mask(types);
  }

  push(bytes: Uint8Array): void {
    if (this.#closed) return;
    if (this.#held || this.#busy || this.#at < this.#chunk.length) {
      this.#later.push(bytes);
      return;
    }
    this.#take(bytes);
    this.#parse();
  }

  /** Offers the held frame again, then goes on. */
  release(): void {
    if (!this.#held || this.#closed) return;
    this.#held = false;
    this.#parse();
  }

  close(): void {
    this.#closed = true;
    this.#later = [];
    if (!this.#busy) this.#forget();
  }

  #take(bytes: Uint8Array): void {
    this.#chunk = bytes;
    this.#chunkView = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = 0;
  }

  #parse(): void {
    if (this.#busy) return;
    this.#busy = true;
    while (!this.#closed && this.#step()) {
      // One stage of one frame a step.
    }
    this.#busy = false;
    if (this.#closed) this.#forget();
  }

  /** @returns false when there is nothing left to do now */
  #step(): boolean {
    if (this.#stage === "header") return this.#readHeader();
    if (this.#stage === "payload") return this.#readPayload();
    if (!this.#handler.onFrame(this.#frame)) {
      this.#held = !this.#closed;
      return false;
    }
    this.#stage = "header";
    return true;
  }

  /** @returns false if no more bytes are there */
  #more(): boolean {
    if (this.#at < this.#chunk.length) return true;
    const next = this.#later.shift();
    if (next === undefined) {
      this.#chunk = NOTHING;
      this.#at = 0;
      return false;
    }
    this.#take(next);
    return this.#more();
  }

  #readHeader(): boolean {
    if (!this.#more()) return false;
    const frame = this.#frame;
    const left = this.#chunk.length - this.#at;
    let bytes = this.#chunk;
    if (this.#headerHave === 0 && left >= Header.size) {
      frame.view = this.#chunkView;
      frame.at = this.#at;
      this.#at += Header.size;
    } else {
      const taken = Math.min(left, Header.size - this.#headerHave);
      this.#headerBytes.set(this.#chunk.subarray(this.#at, this.#at + taken), this.#headerHave);
      this.#headerHave += taken;
      this.#at += taken;
      if (this.#headerHave < Header.size) return true;
      this.#headerHave = 0;
      bytes = this.#headerBytes;
      frame.view = this.#headerView;
      frame.at = 0;
    }
    const fault = checkHeader(this.#world.arithmetic, bytes, frame.view, frame.at);
    if (fault !== undefined) return this.#fault(fault);
    frame.type = Header.type.get(frame.view, frame.at);
    if ((this.#allowed & (1 << frame.type)) === 0) {
      return this.#fault(frameError("link.protocol", `A ${frameName(frame.type)} frame came where none may come.`));
    }
    this.#length = Header.payloadBytes.get(frame.view, frame.at);
    this.#payloadHave = 0;
    this.#stage = "payload";
    return true;
  }

  #readPayload(): boolean {
    const length = this.#length;
    if (length === 0) return this.#check(NOTHING);
    if (!this.#more()) return false;
    const left = this.#chunk.length - this.#at;
    if (this.#payloadHave === 0 && left >= length) {
      const payload = this.#chunk.subarray(this.#at, this.#at + length);
      this.#at += length;
      return this.#check(payload);
    }
    const assembly = this.#payloadHave === 0 ? this.#prepareAssembly() : this.#assembly;
    if (assembly === undefined) return false;
    const taken = Math.min(left, length - this.#payloadHave);
    assembly.set(this.#chunk.subarray(this.#at, this.#at + taken), this.#assemblyStart + this.#payloadHave);
    this.#payloadHave += taken;
    this.#at += taken;
    if (this.#payloadHave < length) return true;
    return this.#check(assembly.subarray(this.#assemblyStart, this.#assemblyStart + length));
  }

  #check(payload: Uint8Array): boolean {
    const frame = this.#frame;
    const covered = payload.subarray(0, checkedBytes(frame.type, payload.length));
    if (Header.payloadCrc.get(frame.view, frame.at) !== this.#world.arithmetic.crc32c(covered)) {
      return this.#fault(frameError("link.corrupt", `The payload of a ${frame.name} frame is damaged.`));
    }
    frame.payload = payload;
    this.#stage = "dispatch";
    return true;
  }

  #prepareAssembly(): Uint8Array {
    const type = this.#frame.type;
    const wanted = BLOCK_BYTES + (payloadMax(type) ?? 0);
    if (this.#assembly === undefined || this.#assembly.length < wanted) {
      this.#freeAssembly();
      this.#assembly = this.#world.memory.allocate(wanted);
    }
    this.#assemblyStart = type === FrameType.REQUEST ? BLOCK_BYTES - descriptorBytes(requestBlocks(this.#length)) : 0;
    return this.#assembly;
  }

  #fault(error: OperatingError): boolean {
    this.#closed = true;
    this.#handler.onFault(error);
    return false;
  }

  #forget(): void {
    this.#frame.payload = NOTHING;
    this.#chunk = NOTHING;
    this.#freeAssembly();
  }

  #freeAssembly(): void {
    if (this.#assembly === undefined) return;
    this.#world.memory.free(this.#assembly);
    this.#assembly = undefined;
  }
}

function mask(types: readonly FrameType[]): number {
  let bits = 0;
  for (const type of types) bits |= 1 << type;
  return bits;
}
