/** The RECEIVE COPY commands and RECEIVE ROD TOKEN INFORMATION of SPC-4: how copies are, and what a target can do. */

import { concat } from "../concat.ts";
import {
  COPIES_OF_HOST_MAX,
  COPY_CSCDS_MAX,
  COPY_LIST_BYTES_MAX,
  COPY_SEGMENT_BYTES_MAX,
  COPY_SEGMENTS_MAX,
} from "../limits.ts";
import type { Command } from "./command.ts";
import type { Copy } from "./copies.ts";
import { DESCRIPTOR_TYPES } from "./copy-list.ts";
import { formatSense, invalidCdbField, Status } from "./sense.ts";
import { TOKEN_BYTES } from "./tokens.ts";
import type { LogicalUnit, Nexus } from "./unit.ts";

const ALLOCATION_LENGTH_BYTE = 10;
const LIST_ID_BYTE = 2;

/** COPY OPERATION STATUS. */
const CopyStatus = {
  UnderWay: 0x00,
  Done: 0x01,
  Failed: 0x02,
  CutShort: 0x03,
  Foreground: 0x11,
  Background: 0x12,
  Aborted: 0x60,
} as const;

const BYTES = 0x00;
const MEBIBYTES = 0x02;
const BLOCKS = 0xf1;

/** The copy that a CDB asks for; the command has failed where there is none. */
function asked(command: Command, unit: LogicalUnit, nexus: Nexus, listId: number): Copy | undefined {
  const copy = unit.host.copies.find(unit, nexus.name, listId);
  if (copy === undefined) command.fail(invalidCdbField(LIST_ID_BYTE));
  return copy;
}

function answer(command: Command, bytes: Uint8Array): void {
  command.answer(bytes, command.view.getUint32(ALLOCATION_LENGTH_BYTE));
}

export function receiveCopyStatusLid1(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const copy = asked(command, unit, nexus, command.cdb[LIST_ID_BYTE]);
  if (copy === undefined) return;
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  bytes[4] = lid1Status(copy);
  view.setUint16(5, copy.segments);
  const fits = copy.bytes <= 0xffffffff;
  bytes[7] = fits ? BYTES : MEBIBYTES;
  view.setUint32(8, fits ? copy.bytes : Math.floor(copy.bytes / 0x100000));
  answer(command, bytes);
}

function lid1Status({ state }: Copy): number {
  if (state === "under way") return CopyStatus.UnderWay;
  return state === "done" ? CopyStatus.Done : CopyStatus.Failed;
}

/** Of a copy that has failed; there is nothing to say of any other. */
export function receiveCopyFailureDetails(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const copy = asked(command, unit, nexus, command.cdb[LIST_ID_BYTE]);
  if (copy === undefined) return;
  const sense = copy.sense === undefined ? new Uint8Array(0) : formatSense(copy.sense, unit.dSense);
  const bytes = new Uint8Array(60 + sense.length);
  const view = new DataView(bytes.buffer);
  if (sense.length > 0) {
    view.setUint32(0, bytes.length - 4);
    bytes[56] = Status.CheckCondition;
    view.setUint16(58, sense.length);
    bytes.set(sense, 60);
  }
  answer(command, sense.length > 0 ? bytes : bytes.subarray(0, 4));
}

export function receiveCopyStatusLid4(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const copy = asked(command, unit, nexus, command.view.getUint32(LIST_ID_BYTE));
  if (copy !== undefined) answer(command, statusOf(copy, unit, BYTES));
}

/** POPULATE TOKEN and WRITE USING TOKEN: what they transfer are blocks of the unit itself, and other copies' need not be. */
const TOKEN_COMMANDS: ReadonlySet<number> = new Set([0x10, 0x11]);
/** RESERVED and the token, where the copy has made one. */
const TOKEN_DESCRIPTOR_BYTES = 2 + TOKEN_BYTES;

export function receiveRodTokenInformation(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const copy = asked(command, unit, nexus, command.view.getUint32(LIST_ID_BYTE));
  if (copy === undefined) return;
  const status = statusOf(copy, unit, TOKEN_COMMANDS.has(copy.spec.serviceAction) ? BLOCKS : BYTES);
  const descriptors = new Uint8Array(4 + (copy.token === undefined ? 0 : TOKEN_DESCRIPTOR_BYTES));
  new DataView(descriptors.buffer).setUint32(0, descriptors.length - 4);
  if (copy.token !== undefined) descriptors.set(copy.token, 6);
  const bytes = concat(status, descriptors);
  new DataView(bytes.buffer).setUint32(0, bytes.length - 4);
  answer(command, bytes);
}

/** What RECEIVE COPY STATUS (LID4) reports, and what RECEIVE ROD TOKEN INFORMATION does before its token. */
function statusOf(copy: Copy, unit: LogicalUnit, unitsOfCount: number): Uint8Array {
  const sense = copy.sense === undefined ? new Uint8Array(0) : formatSense(copy.sense, unit.dSense);
  const bytes = new Uint8Array(32 + sense.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  bytes[4] = copy.spec.serviceAction;
  bytes[5] = lid4Status(copy);
  view.setUint16(6, copy.operations & 0xffff);
  // No estimate of when it is worth asking again.
  view.setUint32(8, 0xfffffffe);
  bytes[12] = copy.sense === undefined ? Status.Good : Status.CheckCondition;
  bytes.set([sense.length, sense.length, unitsOfCount], 13);
  view.setBigUint64(16, BigInt(unitsOfCount === BLOCKS ? copy.bytes / unit.blockSize : copy.bytes));
  view.setUint16(24, copy.segments);
  bytes.set(sense, 32);
  return bytes;
}

function lid4Status({ state, spec, cutShort }: Copy): number {
  switch (state) {
    case "under way":
      return spec.immediate ? CopyStatus.Background : CopyStatus.Foreground;
    case "done":
      return cutShort ? CopyStatus.CutShort : CopyStatus.Done;
    case "failed":
      return CopyStatus.Failed;
    case "aborted":
      return CopyStatus.Aborted;
  }
}

export function receiveCopyOperatingParameters(command: Command): void {
  const bytes = new Uint8Array(44 + DESCRIPTOR_TYPES.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  bytes[4] = 0x01; // SNLID: a list may come without an identifier
  view.setUint16(8, COPY_CSCDS_MAX);
  view.setUint16(10, COPY_SEGMENTS_MAX);
  view.setUint32(12, COPY_LIST_BYTES_MAX);
  view.setUint32(16, COPY_SEGMENT_BYTES_MAX);
  // Neither inline nor held data, and no streams.
  view.setUint16(34, COPIES_OF_HOST_MAX);
  bytes[36] = COPIES_OF_HOST_MAX;
  bytes[43] = DESCRIPTOR_TYPES.length;
  bytes.set(DESCRIPTOR_TYPES, 44);
  answer(command, bytes);
}
