/**
 * Frames of the site link: a header of 64 bytes, then a payload. Numbers are little-endian.
 *
 * Invariants: bytes 0 to 59 of a header are covered by its last field; four numbers follow the epoch in every frame, and
 * a type without use for one sends it as 0; the header's format never changes, so that a site can refuse a newer one in
 * words; HELLO and REFUSE are sent in version 1 for ever.
 */

import { descriptorBytes, REQUEST_BLOCKS_MAX } from "../base/data-write-request.ts";
import { layout, raw, u8, u16, u32, u64 } from "../base/layout.ts";
import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, KiB, MiB } from "../base/units.ts";
import type { Arithmetic } from "../platform/arithmetic.ts";

export const PROTOCOL_VERSION = 1;
/** "ALNK" as the first four bytes. */
export const MAGIC = 0x4b4e4c41;

export const Header = layout("link frame header", 64, {
  magic: [0, u32],
  version: [4, u8],
  type: [5, u8],
  flags: [6, u16],
  payloadBytes: [8, u32],
  /** CRC32C of the payload; in a REQUEST of its descriptor only, whose own checksums cover the data. */
  payloadCrc: [12, u32],
  /** The sender's epoch; in frames of the receiver the epoch that it has promised. */
  epoch: [16, u64],
  /** One of the tables below. */
  numbers: [24, raw(32)],
  /** Which call a CALL or an ANSWER belongs to, which HEARTBEAT an ECHO answers. */
  tag: [56, u32],
  headerCrc: [60, u32],
});

/** REQUEST, COMMIT and HEARTBEAT. */
export const StreamNumbers = layout("link stream numbers", 32, {
  /** The request's sequence; 0 in the others. */
  sequence: [0, u64],
  /** All up to here is ACKed by every in-sync site; 0 while the sender does not stream. */
  committed: [8, u64],
  reserved: [16, raw(16)],
});

/** ACK and ECHO. All are cumulative. */
export const AckNumbers = layout("link ACK numbers", 32, {
  hop: [0, u64],
  end: [8, u64],
  /** Bytes of encoded requests, since the session began, that the sender may have sent. */
  creditLimit: [16, u64],
  /** Bytes that have arrived on the data connection. */
  received: [24, u64],
});

export const WelcomeNumbers = layout("link WELCOME numbers", 32, {
  lastEpoch: [0, u64],
  appended: [8, u64],
  creditLimit: [16, u64],
  reserved: [24, raw(8)],
});

/** CALL and ANSWER. The first frame of one carries no body: its payload is the method, or the error. */
export const MessageNumbers = layout("link message numbers", 32, {
  /** Bytes of the whole body. */
  bodyBytes: [0, u64],
  /** Bytes of the body that earlier frames carried. */
  bodyOffset: [8, u64],
  reserved: [16, raw(16)],
});

const NUMBERS_AT = Header.numbers.offset;
const HIGHEST_WORD = 0x1fffff;

export const FrameType = {
  HELLO: 1,
  REFUSE: 2,
  WELCOME: 3,
  FENCED: 4,
  REQUEST: 5,
  COMMIT: 6,
  ACK: 7,
  HEARTBEAT: 8,
  ECHO: 9,
  CALL: 10,
  ANSWER: 11,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** In a CALL or ANSWER: the first frame of the message. */
export const FLAG_FIRST = 1;
/** In the first frame of an ANSWER: the call failed, the payload says why. */
export const FLAG_FAILED = 2;
/** In an ECHO: the receiver has no room and has stopped reading the data connection. */
export const FLAG_PAUSED = 4;

/** Bytes of a call's body, or an answer's, in one frame. Small, so that a heartbeat never waits behind a whole body. */
export const MESSAGE_CHUNK_BYTES = 64 * KiB;
/** Bytes of a whole body. */
export const MESSAGE_BODY_MAX = 4 * MiB;
export const REQUEST_PAYLOAD_MAX = descriptorBytes(REQUEST_BLOCKS_MAX) + REQUEST_BLOCKS_MAX * BLOCK_BYTES;

const PAYLOAD_MAX: readonly number[] = (() => {
  const maxima: Record<keyof typeof FrameType, number> = {
    HELLO: 64 * KiB,
    REFUSE: 4 * KiB,
    WELCOME: 0,
    FENCED: 0,
    REQUEST: REQUEST_PAYLOAD_MAX,
    COMMIT: 0,
    ACK: 0,
    HEARTBEAT: 0,
    ECHO: 0,
    CALL: MESSAGE_CHUNK_BYTES,
    ANSWER: MESSAGE_CHUNK_BYTES,
  };
  const byCode: number[] = [];
  for (const [name, code] of Object.entries(FrameType)) byCode[code] = maxima[name as keyof typeof FrameType];
  return byCode;
})();
const NAMES: readonly string[] = Object.entries(FrameType).reduce<string[]>((names, [name, code]) => {
  names[code] = name;
  return names;
}, []);

export function frameName(type: number): string {
  return NAMES[type] ?? `type ${type}`;
}

/** @returns the most bytes that a payload of this type can have; `undefined` for an unknown type */
export function payloadMax(type: number): number | undefined {
  return PAYLOAD_MAX[type];
}

/** Blocks of data in a REQUEST with a payload of so many bytes: a fraction if no request is that long. */
export function requestBlocks(payloadBytes: number): number {
  return (payloadBytes - descriptorBytes(0)) / (descriptorBytes(1) - descriptorBytes(0) + BLOCK_BYTES);
}

/** Starts a header: everything but its numbers, which are zeroed, and its checksums, which `sealHeader` sets. */
export function beginHeader(
  view: DataView,
  at: number,
  type: FrameType,
  epoch: number,
  payloadBytes: number,
  tag = 0,
  flags = 0,
): void {
  for (let word = 0; word < Header.size; word += 4) view.setUint32(at + word, 0);
  Header.magic.set(view, at, MAGIC);
  Header.version.set(view, at, PROTOCOL_VERSION);
  Header.type.set(view, at, type);
  Header.flags.set(view, at, flags);
  Header.payloadBytes.set(view, at, payloadBytes);
  Header.epoch.set(view, at, epoch);
  Header.tag.set(view, at, tag);
}

/** Ends a header whose numbers are set. `bytes` and `view` are over the same memory. */
export function sealHeader(
  arithmetic: Arithmetic,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  payloadCrc: number,
): void {
  Header.payloadCrc.set(view, at, payloadCrc);
  Header.headerCrc.set(view, at, arithmetic.crc32c(bytes.subarray(at, at + Header.headerCrc.offset)));
}

/**
 * Checks all of a header that can be checked without knowing the state of the link.
 *
 * @returns why the connection it came from can't be used any more, or `undefined`
 */
export function checkHeader(
  arithmetic: Arithmetic,
  bytes: Uint8Array,
  view: DataView,
  at: number,
): OperatingError | undefined {
  if (Header.magic.get(view, at) !== MAGIC) return frameError("link.garbage", "What arrived is not a frame.");
  const crc = arithmetic.crc32c(bytes.subarray(at, at + Header.headerCrc.offset));
  if (Header.headerCrc.get(view, at) !== crc) return frameError("link.corrupt", "A frame's header is damaged.");
  const version = Header.version.get(view, at);
  if (version !== PROTOCOL_VERSION) {
    return frameError("link.version", `A frame has protocol version ${version}, this site speaks ${PROTOCOL_VERSION}.`);
  }
  const type = Header.type.get(view, at);
  const most = payloadMax(type);
  if (most === undefined) return frameError("link.type", `A frame has the unknown type ${type}.`);
  const length = Header.payloadBytes.get(view, at);
  if (length > most) {
    return frameError("link.oversized", `A ${frameName(type)} frame of ${length} bytes, at most ${most} are allowed.`);
  }
  if (type === FrameType.REQUEST && !Number.isInteger(requestBlocks(length))) {
    return frameError("link.protocol", `A REQUEST frame of ${length} bytes is as long as no request.`);
  }
  for (let number = Header.epoch.offset; number < Header.tag.offset; number += 8) {
    if (view.getUint32(at + number + 4, true) > HIGHEST_WORD) {
      return frameError("link.protocol", `A ${frameName(type)} frame has a number out of range.`);
    }
  }
  return undefined;
}

/** Bytes at the start of a payload that the header's checksum covers. */
export function checkedBytes(type: number, payloadBytes: number): number {
  return type === FrameType.REQUEST ? descriptorBytes(requestBlocks(payloadBytes)) : payloadBytes;
}

export function frameError(code: string, what: string): OperatingError {
  return new OperatingError(code, what, "The link reconnects by itself; if this repeats, check what is at both ends.");
}

/**
 * A frame that has arrived. One object is used again for each frame of a connection: nothing of it may be kept.
 */
export class Frame {
  type: number = 0;
  /** The header's bytes, and where in them it starts. */
  view: DataView = new DataView(new ArrayBuffer(Header.size));
  at = 0;
  payload: Uint8Array = new Uint8Array(0);

  get name(): string {
    return frameName(this.type);
  }
  get flags(): number {
    return Header.flags.get(this.view, this.at);
  }
  get tag(): number {
    return Header.tag.get(this.view, this.at);
  }
  get epoch(): number {
    return Header.epoch.get(this.view, this.at);
  }
  /** Where the frame's own numbers start in `view`. */
  get numbers(): number {
    return this.at + NUMBERS_AT;
  }
}
