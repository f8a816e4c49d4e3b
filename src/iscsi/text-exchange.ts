/**
 * Text Requests of a session in full feature phase, RFC 7143 section 11.10: a request may come in several PDUs (C
 * bit), and so may the answer, each part fetched with an empty request that carries the tag of the part before.
 */

import { CONTINUE, FINAL, RESERVED_TAG, RejectReason } from "./constants.ts";
import { TEXT_BYTES_MAX } from "./limits.ts";
import { Request } from "./pdu.ts";
import type { Replies } from "./replies.ts";
import { formatText, type Pair, parseNumber, parseText } from "./text.ts";

const NOTHING = new Uint8Array(0);
/** Part of an answer that one PDU carries. */
const PART_BYTES_MAX = 8192;

export class TextExchange {
  readonly #replies: Replies;
  readonly #sendTargets: (which: string) => string | undefined;
  #request: Uint8Array = NOTHING;
  #answer: Uint8Array = NOTHING;
  #tag = RESERVED_TAG;

  constructor(replies: Replies, sendTargets: (which: string) => string | undefined) {
    this.#replies = replies;
    this.#sendTargets = sendTargets;
  }

  /** @returns a reason to reject the request with, or 0 */
  request(view: DataView, at: number, data: Uint8Array): number {
    const flags = view.getUint8(at + Request.flags);
    const tag = view.getUint32(at + Request.initiatorTaskTag);
    const transferTag = view.getUint32(at + Request.targetTransferTag);
    if (transferTag === RESERVED_TAG) {
      // A new exchange ends whatever was left of another.
      this.#request = NOTHING;
      this.#answer = NOTHING;
    } else if (transferTag !== this.#tag) return RejectReason.ProtocolError;

    if (this.#answer.length > 0) return this.#sendPart(tag);
    if (this.#request.length + data.length > TEXT_BYTES_MAX) {
      this.#request = NOTHING;
      return RejectReason.OutOfResources;
    }
    const whole = new Uint8Array(this.#request.length + data.length);
    whole.set(this.#request);
    whole.set(data, this.#request.length);
    if ((flags & CONTINUE) !== 0) {
      if ((flags & FINAL) !== 0) return RejectReason.ProtocolError;
      this.#request = whole;
      this.#tag = this.#replies.nextTag();
      this.#replies.text(0, tag, this.#tag, NOTHING);
      return 0;
    }
    this.#request = NOTHING;
    const pairs = parseText(whole);
    // Section 6.4: nothing is negotiated or declared twice.
    if (typeof pairs === "string" || new Set(pairs.map(([key]) => key)).size < pairs.length) {
      return RejectReason.ProtocolError;
    }
    this.#answer = this.#answerTo(pairs);
    return this.#sendPart(tag);
  }

  #answerTo(pairs: readonly Pair[]): Uint8Array {
    const answers: Pair[] = [];
    let targets = "";
    for (const [key, value] of pairs) {
      if (key === "SendTargets") {
        const records = this.#sendTargets(value);
        if (records === undefined) answers.push([key, "Reject"]);
        else targets += records;
      } else if (key === "MaxRecvDataSegmentLength") {
        const declared = parseNumber(value);
        if (declared >= 512 && declared < 2 ** 24) this.#replies.segmentBytesMax = declared;
        else answers.push([key, "Reject"]);
      } else answers.push([key, "NotUnderstood"]);
    }
    return concat(formatText(answers), new TextEncoder().encode(targets));
  }

  #sendPart(tag: number): number {
    const limit = Math.min(this.#replies.segmentBytesMax, PART_BYTES_MAX);
    const part = this.#answer.subarray(0, limit);
    this.#answer = this.#answer.subarray(part.length);
    const more = this.#answer.length > 0;
    this.#tag = more ? this.#replies.nextTag() : RESERVED_TAG;
    this.#replies.text(more ? CONTINUE : FINAL, tag, this.#tag, part);
    return 0;
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}
