/**
 * One of the two connections of a link: frames in, frames out, and one end of it with one reason.
 *
 * Invariants: `onEnd` is called once, unless the owner ends the channel first; frames leave in the order in which they
 * were begun; what waits to be written never exceeds the gather buffer, a frame that finds no room is not begun.
 */

import { assert } from "../base/assert.ts";
import type { OperatingError } from "../base/operating-error.ts";
import { KiB, millis } from "../base/units.ts";
import type { Connection, ConnectionHandlers } from "../platform/network.ts";
import type { World } from "../platform/world.ts";
import { beginHeader, type Frame, type FrameType, frameError, Header, sealHeader } from "./frame.ts";
import { FrameReader } from "./frame-reader.ts";

export type ChannelName = "data" | "control";

/** Bytes of frames that are gathered for one write: enough for the largest frame that is not a request. */
const GATHER_BYTES = 96 * KiB;

export interface ChannelOwner {
  /** Bytes have arrived; their frames follow. */
  onInput(channel: Channel): void;
  /** @returns false to be given the same frame again after `release` */
  onFrame(channel: Channel, frame: Frame): boolean;
  onWritable(channel: Channel): void;
  /** Nothing more comes: the peer has gone, or what it sent can't be read. The owner ends the channel. */
  onEnd(channel: Channel, error: OperatingError): void;
}

/** How long the last words of a channel may take to reach the peer. */
const LINGER = millis(1000);
const NOTHING = new Uint8Array(0);
const QUIET: ChannelOwner = {
  onInput() {},
  onFrame: () => true,
  onWritable: (channel) => channel.linger(),
  onEnd() {},
};

export class Channel implements ConnectionHandlers {
  readonly connection: Connection;
  /** Bytes that have arrived. */
  received = 0;
  /** Bytes that the transport has taken. */
  written = 0;
  readonly #world: World;
  #owner: ChannelOwner;
  readonly #reader: FrameReader;
  #gather: Uint8Array;
  #view: DataView;
  /** What waits in the gather buffer is at `start` to `end`. */
  #start = 0;
  #end = 0;
  #writable = true;
  #open = true;

  constructor(
    world: World,
    connection: Connection,
    owner: ChannelOwner,
    allowed: readonly FrameType[],
    gatherBytes = GATHER_BYTES,
  ) {
    this.#world = world;
    this.connection = connection;
    this.#owner = owner;
    this.#gather = world.memory.allocate(gatherBytes);
    this.#view = new DataView(this.#gather.buffer, this.#gather.byteOffset, this.#gather.length);
    this.#reader = new FrameReader(
      world,
      {
        onFrame: (frame) => this.#owner.onFrame(this, frame),
        onFault: (error) => this.#owner.onEnd(this, error),
      },
      allowed,
    );
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** It only waits for its last words to be sent. */
  get lingers(): boolean {
    return this.#owner === QUIET;
  }

  get held(): boolean {
    return this.#reader.held;
  }

  /** Hands the channel over, once its greeting has told to whom it belongs. */
  give(owner: ChannelOwner, allowed: readonly FrameType[]): void {
    this.#owner = owner;
    this.#reader.allow(allowed);
  }

  allow(types: readonly FrameType[]): void {
    this.#reader.allow(types);
  }

  /** Offers a held frame again. */
  release(): void {
    if (!this.#open || !this.#reader.held) return;
    this.#owner.onInput(this);
    this.#reader.release();
    if (this.#open && !this.#reader.held) this.connection.resume();
  }

  /**
   * Begins a frame whose payload, or the part of it that is gathered, is copied to `gather` by the caller.
   *
   * @param gathered bytes of payload that will be put into the gather buffer; the rest the caller writes directly
   * @returns the header's place in the gather buffer, for its numbers and for `seal`; -1 if there is no room
   */
  begin(type: FrameType, epoch: number, payloadBytes = 0, tag = 0, flags = 0, gathered = payloadBytes): number {
    const size = Header.size + gathered;
    if (!this.#open || !this.#makeRoom(size)) return -1;
    const at = this.#end;
    this.#end += size;
    beginHeader(this.#view, at, type, epoch, payloadBytes, tag, flags);
    return at;
  }

  /** Ends the frame at `at`. */
  seal(at: number, payloadCrc = 0): void {
    sealHeader(this.#world.arithmetic, this.#gather, this.#view, at, payloadCrc);
  }

  /** Sends a whole frame with a payload and no numbers. @returns false if there is no room */
  put(type: FrameType, epoch: number, payload: Uint8Array, tag = 0, flags = 0): boolean {
    const at = this.begin(type, epoch, payload.length, tag, flags);
    if (at < 0) return false;
    this.#gather.set(payload, at + Header.size);
    this.seal(at, this.#world.arithmetic.crc32c(payload));
    return true;
  }

  /** The gather buffer, to fill frames in. */
  get gather(): Uint8Array {
    return this.#gather;
  }
  get view(): DataView {
    return this.#view;
  }

  /** Writes what was gathered. @returns true when nothing is left */
  flush(): boolean {
    if (this.#start === this.#end) return this.#writable;
    if (!this.#writable || !this.#open) return false;
    const taken = this.#write(this.#gather.subarray(this.#start, this.#end));
    if (!this.#open) return false;
    this.#start += taken;
    if (this.#start < this.#end) return false;
    this.#start = 0;
    this.#end = 0;
    return this.#writable;
  }

  /** Writes past the gather buffer, which must be empty. @returns the bytes taken; if fewer, `onWritable` follows */
  writeDirectly(bytes: Uint8Array): number {
    assert(this.#start === this.#end, "what was gathered goes out before what is written directly");
    return this.#writable && this.#open ? this.#write(bytes) : 0;
  }

  /** Ends the channel at once; the owner is not told. */
  abort(): void {
    if (!this.#open) return;
    this.#shut();
    this.connection.abort();
  }

  /** Sends what was gathered, ignores what still comes, and ends the channel. */
  linger(): void {
    if (!this.#open) return;
    if (this.#owner !== QUIET) {
      this.#owner = QUIET;
      this.#reader.close();
      this.#world.clock.after(LINGER, () => this.abort());
    }
    if (!this.flush() || !this.#open) return;
    this.#shut();
    this.connection.close();
  }

  onData(bytes: Uint8Array): void {
    if (!this.#open) return;
    this.received += bytes.length;
    this.#owner.onInput(this);
    const held = this.#reader.held;
    this.#reader.push(bytes);
    if (this.#open && !held && this.#reader.held) this.connection.pause();
  }

  onDrain(): void {
    if (!this.#open) return;
    this.#writable = true;
    this.#owner.onWritable(this);
  }

  onClose(): void {
    if (!this.#open) return;
    this.#shut();
    this.#owner.onEnd(this, frameError("link.lost", `The connection to ${this.connection.remote} was closed.`));
  }

  #write(bytes: Uint8Array): number {
    const taken = this.connection.write(bytes);
    this.written += taken;
    if (taken < bytes.length) this.#writable = false;
    return taken;
  }

  #makeRoom(size: number): boolean {
    if (this.#end + size <= this.#gather.length) return true;
    if (this.#end - this.#start + size > this.#gather.length) return false;
    this.#gather.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    return true;
  }

  #shut(): void {
    this.#open = false;
    this.#reader.close();
    const gather = this.#gather;
    this.#gather = NOTHING;
    this.#view = new DataView(NOTHING.buffer);
    this.#start = 0;
    this.#end = 0;
    this.#world.memory.free(gather);
  }
}
