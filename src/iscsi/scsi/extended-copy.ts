/**
 * EXTENDED COPY with list identifiers of one byte (LID1) and of four (LID4), and COPY OPERATION ABORT, of SPC-4.
 * Blocks are copied between the units that the initiator may use, so they travel neither to it nor back.
 *
 * A segment that fails ends the copy with COPY ABORTED and its number; segments before it are copied.
 */

import type { Pending } from "../interfaces.ts";
import { COPY_LIST_BYTES_MAX, COPY_SEGMENT_BYTES_MAX } from "../limits.ts";
import { Access } from "./access.ts";
import type { Command } from "./command.ts";
import { Copy } from "./copies.ts";
import { copyBlocks, requireAccess } from "./copy-blocks.ts";
import { type CopyList, LID1_HEADER_BYTES, LID4_HEADER_BYTES, parseCopyList, Segment } from "./copy-list.ts";
import { isDesignatedBy } from "./identification.ts";
import { CheckCondition, invalidCdbField, type Sense, Senses, Status } from "./sense.ts";
import type { LogicalUnit, Nexus } from "./unit.ts";

const LIST_LENGTH_BYTE = 10;

export function extendedCopyLid1(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  extendedCopy(command, unit, nexus, LID1_HEADER_BYTES);
}

export function extendedCopyLid4(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  extendedCopy(command, unit, nexus, LID4_HEADER_BYTES);
}

function extendedCopy(command: Command, unit: LogicalUnit, nexus: Nexus, headerBytes: number): void {
  const length = command.view.getUint32(LIST_LENGTH_BYTE);
  if (length === 0) return;
  if (length < headerBytes || length > headerBytes + COPY_LIST_BYTES_MAX) {
    command.fail(Senses.ParameterListLength);
    return;
  }
  const serviceAction = command.cdb[1] & 0x1f;
  command.collect(length, (_, __, data) => {
    const list = parseCopyList(data, headerBytes === LID4_HEADER_BYTES);
    const { listId, immediate } = list;
    const copy = new Copy({ manager: unit, nexus: nexus.name, listId, serviceAction, immediate });
    return startCopy(command, copy, () => runSegments(copy, list));
  });
}

/** Begins a copy for a command. @returns when the command is done, with the copy or before it */
export function startCopy(command: Command, copy: Copy, work: () => Promise<void>): Pending {
  const { manager, nexus, immediate } = copy.spec;
  const { copies } = manager.host;
  if (!copies.hasRoomFor(nexus)) {
    command.status = Status.Busy;
    return undefined;
  }
  const { signal } = command;
  copies.begin(copy, work);
  return immediate ? undefined : whileWaitedFor(copy, signal);
}

async function whileWaitedFor(copy: Copy, signal: AbortSignal): Promise<void> {
  const abort = () => copy.abort();
  signal.addEventListener("abort", abort);
  await copy.over;
  // The signal may serve other commands after this one.
  signal.removeEventListener("abort", abort);
  if (copy.sense !== undefined) throw new CheckCondition(copy.sense);
}

/** Ends when nothing is under way for the copy any more. */
export function copyOperationAbort(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const copy = unit.host.copies.find(unit, nexus.name, command.view.getUint32(2));
  if (copy === undefined) {
    command.fail(invalidCdbField(2));
    return;
  }
  if (copy.state !== "under way") return;
  copy.abort();
  command.run(() => copy.over);
}

async function runSegments(copy: Copy, list: CopyList): Promise<void> {
  for (const [index, segment] of list.segments.entries()) {
    copy.signal.throwIfAborted();
    try {
      await runSegment(copy, list, segment);
    } catch (error) {
      throw error instanceof CheckCondition ? inSegmentOf(error.sense, index) : error;
    }
    copy.segments++;
  }
}

function runSegment(copy: Copy, list: CopyList, segment: DataView): Pending {
  const type = segment.getUint8(0);
  switch (type) {
    case Segment.BlockToBlock:
      return blockToBlock(copy, list, segment);
    case Segment.BlockToBlockBytes:
      return blockToBlockBytes(copy, list, segment);
    case Segment.VerifyCscd:
      verifyCscd(copy, list, segment);
      return undefined;
    default:
      throw new Error(`segment type ${type.toString(16)} has passed the parser`);
  }
}

const SOURCE_BYTE = 4;
const DESTINATION_BYTE = 6;
/** DC: the number of blocks counts those of the destination. */
const DESTINATION_COUNT = 0x02;
const BLOCKS_BYTE = 10;
const SOURCE_LBA_BYTE = 12;
const DESTINATION_LBA_BYTE = 20;

function blockToBlock(copy: Copy, list: CopyList, segment: DataView): Pending {
  const source = resolve(copy, list, segment, SOURCE_BYTE);
  const destination = resolve(copy, list, segment, DESTINATION_BYTE);
  const counted = (segment.getUint8(1) & DESTINATION_COUNT) === 0 ? source : destination;
  return move(copy, segment, source, destination, segment.getUint16(BLOCKS_BYTE) * counted.blockSize);
}

const BYTES_BYTE = 8;
const SOURCE_OFFSET_BYTE = 28;
const DESTINATION_OFFSET_BYTE = 30;

function blockToBlockBytes(copy: Copy, list: CopyList, segment: DataView): Pending {
  const source = resolve(copy, list, segment, SOURCE_BYTE);
  const destination = resolve(copy, list, segment, DESTINATION_BYTE);
  for (const byte of [SOURCE_OFFSET_BYTE, DESTINATION_OFFSET_BYTE]) {
    if (segment.getUint16(byte) !== 0) throw inSegment(Senses.UnexpectedInexactSegment, byte);
  }
  return move(copy, segment, source, destination, segment.getUint32(BYTES_BYTE));
}

function move(copy: Copy, segment: DataView, source: LogicalUnit, destination: LogicalUnit, bytes: number): Pending {
  if (bytes % source.blockSize !== 0 || bytes % destination.blockSize !== 0) {
    throw inSegment(Senses.UnexpectedInexactSegment, BYTES_BYTE);
  }
  if (bytes > COPY_SEGMENT_BYTES_MAX) throw inSegment(Senses.CopyAborted, BYTES_BYTE);
  const from = { unit: source, lba: lbaOf(segment, SOURCE_LBA_BYTE) };
  const to = { unit: destination, lba: lbaOf(segment, DESTINATION_LBA_BYTE) };
  if (!has(from, bytes)) throw inSegment(Senses.CopyAborted, SOURCE_LBA_BYTE);
  if (!has(to, bytes)) throw inSegment(Senses.CopyAborted, DESTINATION_LBA_BYTE);
  return bytes === 0 ? undefined : copyBlocks(copy, from, to, bytes);
}

function lbaOf(segment: DataView, byte: number): number {
  return segment.getUint32(byte) * 0x100000000 + segment.getUint32(byte + 4);
}

function has({ unit, lba }: { readonly unit: LogicalUnit; readonly lba: number }, bytes: number): boolean {
  return lba + bytes / unit.blockSize <= unit.blockCount;
}

const TUR = 0x01;

function verifyCscd(copy: Copy, list: CopyList, segment: DataView): void {
  const unit = resolve(copy, list, segment, SOURCE_BYTE);
  if ((segment.getUint8(8) & TUR) !== 0) requireAccess(unit, copy.spec.nexus, Access.Ready);
}

/** The unit that the command was sent to. */
const OWN_CSCD = 0xffff;
const DIRECT_ACCESS = 0x00;

/** The unit that a segment names by the index of a CSCD descriptor. */
function resolve({ spec }: Copy, { cscds }: CopyList, segment: DataView, byte: number): LogicalUnit {
  const index = segment.getUint16(byte);
  if (index === OWN_CSCD) return spec.manager;
  const cscd = cscds.at(index);
  const unit = cscd && spec.manager.host.units(spec.nexus).find((one) => isDesignatedBy(one, designatorOf(cscd)));
  if (cscd === undefined || unit === undefined) throw inSegment(Senses.CopyTargetNotReachable, byte);
  if ((cscd.getUint8(1) & 0x1f) !== DIRECT_ACCESS) throw inSegment(Senses.IncorrectCopyTargetType, byte);
  const blockBytes = cscd.getUint32(28) & 0xffffff;
  if (blockBytes !== 0 && blockBytes !== unit.blockSize) throw inSegment(Senses.CopyAborted, byte);
  return unit;
}

const DESIGNATOR_BYTE = 4;
const DESIGNATOR_HEADER_BYTES = 4;
const DESIGNATOR_BYTES_MAX = 20;

/** As VPD page 83h has them. */
function designatorOf(cscd: DataView): Uint8Array {
  const length = Math.min(cscd.getUint8(DESIGNATOR_BYTE + 3), DESIGNATOR_BYTES_MAX);
  return new Uint8Array(cscd.buffer, DESIGNATOR_BYTE, DESIGNATOR_HEADER_BYTES + length);
}

function inSegmentOf({ segment, ...sense }: Sense, index: number): CheckCondition {
  return new CheckCondition({ ...sense, segment: { ...segment, index } });
}

/** The index is set by who knows it. */
function inSegment(sense: Sense, byte: number): CheckCondition {
  return new CheckCondition({ ...sense, segment: { index: 0, byte } });
}
