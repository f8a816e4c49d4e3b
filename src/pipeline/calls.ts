/**
 * What one site asks of the next over the link's control channel, apart from the stream of requests:
 *
 * | call | asks for |
 * | --- | --- |
 * | position | how far its log goes, after it has promised the asker's epoch |
 * | fetch | requests of its journal, for an asker that is behind |
 * | cut | to drop the end of its log that the asker does not share |
 * | checksums | the checksums of stored blocks, of this site and of all behind it |
 * | read | the content of blocks, for an asker that does not store them or can't read them |
 *
 * Questions and answers are JSON, except where they carry blocks.
 */

import * as z from "zod";
import {
  type DataWriteRequest,
  dataBlocks,
  decodeDescriptor,
  descriptorBytes,
  encodeDescriptor,
} from "../base/data-write-request.ts";
import { OperatingError } from "../base/operating-error.ts";
import {
  BLOCK_BYTES,
  type Epoch,
  type Lba,
  lba,
  MiB,
  type Millis,
  millis,
  type Sequence,
  type VolumeId,
} from "../base/units.ts";
import type { LogPosition } from "./history.ts";

/** Carries one question to the site at the other end of a link. */
export type Call = (method: string, body: Uint8Array, deadline: Millis) => Promise<Uint8Array>;

/** Bytes of requests in one answer to `fetch`, at the most; one request always fits. */
export const FETCH_BYTES_MAX = 2 * MiB;
/** Blocks in one `checksums` question, at the most. */
export const CHECKSUM_BLOCKS_MAX = 1024;
/** Blocks in one `read` question, at the most. */
export const READ_BLOCKS_MAX = 512;

const SHORT_DEADLINE = millis(10_000);
/** A chain of sites may have to catch up before the last of them can answer. */
const CHECKSUM_DEADLINE = millis(60_000);

export interface ChecksumQuestion {
  readonly volume: VolumeId;
  readonly lba: Lba;
  readonly blocks: number;
  /** The answer speaks of a state that holds every request up to here. */
  readonly atLeast: Sequence;
}

export type SiteChecksums =
  | { readonly site: string; readonly state: "stored"; readonly checksums: readonly number[] }
  | { readonly site: string; readonly state: "diskless" }
  /** `code` and `reason` are of the error that the site met. */
  | { readonly site: string; readonly state: "unknown"; readonly code: string; readonly reason: string };

export interface CallHandlers {
  position(): LogPosition;
  /** Requests from `from` on, as many as fit in `FETCH_BYTES_MAX`, at least one. */
  fetch(from: Sequence): Promise<readonly DataWriteRequest[]>;
  cut(to: Sequence): Promise<void>;
  checksums(question: ChecksumQuestion): Promise<readonly SiteChecksums[]>;
  read(volume: VolumeId, lba: Lba, into: Uint8Array): Promise<void>;
}

const count = z.number().int().nonnegative();
const sequenceField = count.transform((value) => value as Sequence);
const epochField = count.transform((value) => value as Epoch);
const volumeField = count.max(0xffff).transform((value) => value as VolumeId);
const lbaField = count.transform((value) => value as Lba);

const Questions = {
  fetch: z.object({ from: sequenceField }),
  cut: z.object({ to: sequenceField }),
  checksums: z.object({
    volume: volumeField,
    lba: lbaField,
    blocks: count.max(CHECKSUM_BLOCKS_MAX),
    atLeast: sequenceField,
  }),
  read: z.object({ volume: volumeField, lba: lbaField, blocks: count.max(READ_BLOCKS_MAX) }),
};

const Position = z.object({
  promised: epochField,
  lastEpoch: epochField,
  appended: sequenceField,
  retired: sequenceField,
  committed: sequenceField,
  history: z.array(z.object({ epoch: epochField, start: sequenceField })),
});

const Checksums = z.array(
  z.discriminatedUnion("state", [
    z.object({ site: z.string(), state: z.literal("stored"), checksums: z.array(count) }),
    z.object({ site: z.string(), state: z.literal("diskless") }),
    z.object({ site: z.string(), state: z.literal("unknown"), code: z.string(), reason: z.string() }),
  ]),
);

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function decode<T>(schema: z.ZodType<T>, body: Uint8Array, what: string): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw malformed(what, "not JSON");
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw malformed(what, z.prettifyError(parsed.error));
  return parsed.data;
}

function malformed(what: string, why: string): OperatingError {
  return new OperatingError(
    "link.malformed",
    `The ${what} of the site link can't be understood: ${why}.`,
    "Check that both sites run the same version.",
  );
}

export async function askPosition(call: Call): Promise<LogPosition> {
  return decode(Position, await call("position", new Uint8Array(0), SHORT_DEADLINE), "answer to position");
}

export async function askCut(call: Call, to: Sequence): Promise<void> {
  await call("cut", encode({ to }), SHORT_DEADLINE);
}

export async function askChecksums(call: Call, question: ChecksumQuestion): Promise<readonly SiteChecksums[]> {
  return decode(Checksums, await call("checksums", encode(question), CHECKSUM_DEADLINE), "answer to checksums");
}

export async function askRead(call: Call, volume: VolumeId, lba: Lba, into: Uint8Array): Promise<void> {
  const body = await call("read", encode({ volume, lba, blocks: into.length / BLOCK_BYTES }), SHORT_DEADLINE);
  if (body.length !== into.length) throw malformed("answer to read", `${body.length} bytes for ${into.length}`);
  into.set(body);
}

/** @returns the requests from `from` on that the site gave, at least one; their checksums are not verified here */
export async function askFetch(call: Call, from: Sequence): Promise<readonly DataWriteRequest[]> {
  const body = await call("fetch", encode({ from }), SHORT_DEADLINE);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const requests: DataWriteRequest[] = [];
  for (let at = 0; at < body.length; ) {
    const head = decodeDescriptor(view, at, body.length);
    if (typeof head === "string") throw malformed("answer to fetch", head);
    at += head.encodedBytes;
    const end = at + (head.kind === "write" ? head.blocks * BLOCK_BYTES : 0);
    if (end > body.length) throw malformed("answer to fetch", "a request is cut short");
    requests.push({ ...head, data: body.subarray(at, end) });
    at = end;
  }
  if (requests.length === 0) throw malformed("answer to fetch", "it holds no request");
  return requests;
}

/** Answers one call by the handlers. Rejects with `link.malformed` where the question can't be understood. */
export async function answerCall(handlers: CallHandlers, method: string, body: Uint8Array): Promise<Uint8Array> {
  switch (method) {
    case "position":
      return encode(handlers.position());
    case "fetch":
      return encodeRequests(await handlers.fetch(decode(Questions.fetch, body, "question fetch").from));
    case "cut":
      await handlers.cut(decode(Questions.cut, body, "question cut").to);
      return new Uint8Array(0);
    case "checksums":
      return encode(await handlers.checksums(decode(Questions.checksums, body, "question checksums")));
    case "read": {
      const question = decode(Questions.read, body, "question read");
      const into = new Uint8Array(question.blocks * BLOCK_BYTES);
      await handlers.read(question.volume, lba(question.lba), into);
      return into;
    }
    default:
      throw malformed("question", `there is no call ${JSON.stringify(method)}`);
  }
}

function encodeRequests(requests: readonly DataWriteRequest[]): Uint8Array {
  const bytes = requests.reduce((sum, each) => sum + descriptorBytes(dataBlocks(each)) + each.data.length, 0);
  const body = new Uint8Array(bytes);
  const view = new DataView(body.buffer);
  let at = 0;
  for (const request of requests) {
    at += encodeDescriptor(view, at, request);
    body.set(request.data, at);
    at += request.data.length;
  }
  return body;
}
