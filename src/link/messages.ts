/**
 * Calls and their answers on the control connection: bodies of some megabytes, cut into frames that heartbeats pass.
 *
 * Invariants: one message is under way at a time in each direction, so that its receiver assembles at most one; no
 * more than `CALLS_MAX` wait at either end.
 */

import { assert } from "../base/assert.ts";
import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { type Instant, type Millis, millis } from "../base/units.ts";
import type { World } from "../platform/world.ts";
import type { Channel } from "./channel.ts";
import {
  FLAG_FAILED,
  FLAG_FIRST,
  type Frame,
  FrameType,
  frameError,
  Header,
  MESSAGE_BODY_MAX,
  MESSAGE_CHUNK_BYTES,
  MessageNumbers,
} from "./frame.ts";
import { encodeError } from "./greeting.ts";

const NO_BODY = new Uint8Array(0);
/** Calls that one link has outstanding at the most. */
export const CALLS_MAX = 16;

export interface Message {
  readonly tag: number;
  readonly flags: number;
  /** The method, or the error. */
  readonly head: Uint8Array;
  readonly body: Uint8Array;
}

/** Sends messages one after another, a frame whenever the connection has taken the frame before. */
export class MessageOutbox {
  readonly #world: World;
  readonly #type: FrameType;
  readonly #waiting: Message[] = [];
  #started = false;
  #offset = 0;

  constructor(world: World, type: FrameType) {
    this.#world = world;
    this.#type = type;
  }

  /** Messages that are not wholly sent. */
  get waiting(): number {
    return this.#waiting.length;
  }

  add(message: Message): void {
    assert(this.#waiting.length < CALLS_MAX, "no more messages wait than calls may be outstanding");
    assert(message.head.length <= MESSAGE_CHUNK_BYTES && message.body.length <= MESSAGE_BODY_MAX, "message too large");
    this.#waiting.push(message);
  }

  run(channel: Channel, epoch: number): void {
    while (channel.flush()) {
      const message = this.#waiting[0];
      if (message === undefined) return;
      if (!this.#started) {
        this.#frame(channel, epoch, message, message.head, message.flags | FLAG_FIRST);
        this.#started = true;
      } else {
        const end = Math.min(this.#offset + MESSAGE_CHUNK_BYTES, message.body.length);
        this.#frame(channel, epoch, message, message.body.subarray(this.#offset, end), message.flags);
        this.#offset = end;
      }
      if (this.#offset === message.body.length) {
        this.#waiting.shift();
        this.#started = false;
        this.#offset = 0;
      }
    }
  }

  #frame(channel: Channel, epoch: number, message: Message, payload: Uint8Array, flags: number): void {
    const at = channel.begin(this.#type, epoch, payload.length, message.tag, flags);
    assert(at >= 0, "a message's frame has room in an empty gather buffer");
    const numbers = at + Header.numbers.offset;
    MessageNumbers.bodyBytes.set(channel.view, numbers, message.body.length);
    MessageNumbers.bodyOffset.set(channel.view, numbers, this.#offset);
    channel.gather.set(payload, at + Header.size);
    channel.seal(at, this.#world.arithmetic.crc32c(payload));
  }
}

/** Puts the frames of one message after another together. */
export class MessageInbox {
  #partial: Message | undefined;
  #have = 0;

  /** @returns the message when its last frame is there, or what is wrong with the frame */
  take(frame: Frame): Message | OperatingError | undefined {
    const bodyBytes = MessageNumbers.bodyBytes.get(frame.view, frame.numbers);
    const bodyOffset = MessageNumbers.bodyOffset.get(frame.view, frame.numbers);
    let partial = this.#partial;
    if ((frame.flags & FLAG_FIRST) !== 0) {
      if (partial !== undefined) return frameError("link.protocol", "A message began before the last one ended.");
      if (bodyBytes > MESSAGE_BODY_MAX) {
        return frameError(
          "link.oversized",
          `A message of ${bodyBytes} bytes, at most ${MESSAGE_BODY_MAX} are allowed.`,
        );
      }
      partial = {
        tag: frame.tag,
        flags: frame.flags,
        head: frame.payload.slice(),
        body: new Uint8Array(bodyBytes),
      };
      this.#have = 0;
    } else {
      if (partial === undefined || partial.tag !== frame.tag || partial.body.length !== bodyBytes) {
        return frameError("link.protocol", "A message goes on that never began.");
      }
      const end = bodyOffset + frame.payload.length;
      if (bodyOffset !== this.#have || end > bodyBytes || frame.payload.length === 0) {
        return frameError("link.protocol", `A message of ${bodyBytes} bytes goes on at the wrong place.`);
      }
      partial.body.set(frame.payload, bodyOffset);
      this.#have = end;
    }
    const complete = this.#have === partial.body.length;
    this.#partial = complete ? undefined : partial;
    return complete ? partial : undefined;
  }
}

interface OutstandingCall {
  readonly method: string;
  readonly deadline: Instant;
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (error: OperatingError) => void;
  /** The caller was told that time is up; the place stays taken until the other site has answered. */
  expired: boolean;
}

/** The calls that wait for their answers. */
export class OutstandingCalls {
  readonly #calls = new Map<number, OutstandingCall>();
  #lastId = 0;

  get full(): boolean {
    return this.#calls.size >= CALLS_MAX;
  }

  /** @returns the call's id */
  add(call: Omit<OutstandingCall, "expired">): number {
    assert(!this.full, "a call has a place");
    this.#lastId = this.#lastId === 0xffffffff ? 1 : this.#lastId + 1;
    this.#calls.set(this.#lastId, { ...call, expired: false });
    return this.#lastId;
  }

  /** @returns the call if its caller still waits; its place is free again */
  remove(id: number): OutstandingCall | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call === undefined || call.expired ? undefined : call;
  }

  /** Rejects the calls whose time is up. @returns how long until the next one's is */
  expire(now: Instant, site: string): Millis | undefined {
    let next: Millis | undefined;
    for (const call of this.#calls.values()) {
      if (call.expired) continue;
      const left = millis(call.deadline - now);
      if (left > 0) {
        if (next === undefined || left < next) next = left;
        continue;
      }
      call.expired = true;
      call.reject(
        new OperatingError(
          "link.timeout",
          `Site ${site} did not answer the call ${call.method} in time.`,
          "Look at the load of that site and of the link to it.",
        ),
      );
    }
    return next;
  }

  rejectAll(error: OperatingError): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) if (!call.expired) call.reject(error);
  }
}

/** The calls that came from the other site and have not been answered yet. */
export class CallAnswers {
  readonly #inbox = new MessageInbox();
  readonly #outbox: MessageOutbox;
  #running = 0;

  constructor(world: World) {
    this.#outbox = new MessageOutbox(world, FrameType.ANSWER);
  }

  /**
   * Takes a CALL frame; with its last one, has the call carried out.
   *
   * @param carryOut  rejects with an `OperatingError`, which goes back to the caller
   * @param onAnswer  an answer waits to be sent
   * @returns what is wrong with the frame
   */
  take(
    frame: Frame,
    carryOut: (call: Message) => Promise<Uint8Array>,
    onAnswer: () => void,
  ): OperatingError | undefined {
    const call = this.#inbox.take(frame);
    if (call === undefined || call instanceof OperatingError) return call;
    if (this.#running + this.#outbox.waiting >= CALLS_MAX) {
      return frameError("link.protocol", `More than ${CALLS_MAX} calls are outstanding.`);
    }
    this.#running++;
    carryOut(call).then(
      (body) => this.#answer(call, body, onAnswer),
      (error: unknown) => {
        if (!isOperatingError(error)) throw error;
        this.#answer(call, error, onAnswer);
      },
    );
    return undefined;
  }

  /** Sends what waits, as far as the connection takes it. */
  run(channel: Channel, epoch: number): void {
    this.#outbox.run(channel, epoch);
  }

  #answer(call: Message, outcome: Uint8Array | OperatingError, onAnswer: () => void): void {
    this.#running--;
    if (outcome instanceof OperatingError) {
      this.#outbox.add({ tag: call.tag, flags: FLAG_FAILED, head: encodeError(outcome), body: NO_BODY });
    } else if (outcome.length > MESSAGE_BODY_MAX) {
      const what = `The answer has ${outcome.length} bytes, at most ${MESSAGE_BODY_MAX} are sent.`;
      const error = new OperatingError("link.oversized", what, "Ask for less at once.");
      this.#outbox.add({ tag: call.tag, flags: FLAG_FAILED, head: encodeError(error), body: NO_BODY });
    } else {
      this.#outbox.add({ tag: call.tag, flags: 0, head: NO_BODY, body: outcome });
    }
    onAnswer();
  }
}
