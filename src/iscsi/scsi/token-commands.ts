/**
 * Copies by token, SBC-4 and SPC-4: POPULATE TOKEN has a host given a token for blocks, WRITE USING TOKEN has them copied, at
 * this unit or another of the target. RECEIVE ROD TOKEN INFORMATION is how the host gets the token.
 */

import { concat } from "../concat.ts";
import type { Pending } from "../interfaces.ts";
import { TOKEN_BYTES_MAX, TOKEN_RANGES_MAX, TOKEN_SECONDS, TOKEN_SECONDS_MAX, UNMAP_BLOCKS_MAX } from "../limits.ts";
import type { Command } from "./command.ts";
import { Copy } from "./copies.ts";
import { copyBlocks, failureAt, type Place, requireReadable, requireWritable } from "./copy-blocks.ts";
import { startCopy } from "./extended-copy.ts";
import { CheckCondition, invalidParameter, Senses } from "./sense.ts";
import { isBlockZero, managementTokens, type Range, RodType, TOKEN_BYTES, type Token } from "./tokens.ts";
import type { LogicalUnit, Nexus } from "./unit.ts";

const LIST_ID_BYTE = 6;
const LIST_LENGTH_BYTE = 10;
const RANGE_BYTES = 16;
const IMMED = 0x01;

function copyFor(command: Command, manager: LogicalUnit, nexus: Nexus, list: Uint8Array): Copy {
  return new Copy({
    manager,
    nexus: nexus.name,
    listId: command.view.getUint32(LIST_ID_BYTE),
    serviceAction: command.cdb[1] & 0x1f,
    immediate: (list[2] & IMMED) !== 0,
  });
}

/** Takes a list with a header of so many bytes; the command has failed where it can't be one. */
function collectList(command: Command, headerBytes: number, run: (list: Uint8Array) => Pending): void {
  const length = command.view.getUint32(LIST_LENGTH_BYTE);
  if (length === 0) return;
  if (length < headerBytes || length > headerBytes + RANGE_BYTES * TOKEN_RANGES_MAX) {
    command.fail(Senses.ParameterListLength);
    return;
  }
  command.collect(length, (_, __, list) => run(list));
}

/** Ranges that follow a header, whose last two bytes are their length and whose first two are that of the whole. */
function rangesOf(unit: LogicalUnit, list: Uint8Array, headerBytes: number): readonly Range[] {
  const view = new DataView(list.buffer, list.byteOffset, list.length);
  const length = view.getUint16(headerBytes - 2);
  if (view.getUint16(0) < headerBytes - 2 + length) throw new CheckCondition(invalidParameter(0));
  if (length % RANGE_BYTES !== 0) throw new CheckCondition(invalidParameter(headerBytes - 2));
  if (length > RANGE_BYTES * TOKEN_RANGES_MAX) throw new CheckCondition(Senses.TooManySegments);
  if (headerBytes + length > list.length) throw new CheckCondition(Senses.ParameterListLength);
  const ranges: Range[] = [];
  for (let at = headerBytes; at < headerBytes + length; at += RANGE_BYTES) {
    const lba = view.getUint32(at) * 0x100000000 + view.getUint32(at + 4);
    const blocks = view.getUint32(at + 8);
    if (lba + blocks > unit.blockCount) throw new CheckCondition(Senses.LbaOutOfRange);
    if (blocks > 0) ranges.push({ lba, blocks });
  }
  requireApart(ranges, headerBytes);
  if (blocksOf(ranges) * unit.blockSize > TOKEN_BYTES_MAX) throw new CheckCondition(invalidParameter(headerBytes));
  return ranges;
}

/** No block may be in two ranges. */
function requireApart(ranges: readonly Range[], headerBytes: number): void {
  const sorted = [...ranges].sort((a, b) => a.lba - b.lba);
  const meet = sorted.some(({ lba }, index) => index > 0 && lba < sorted[index - 1].lba + sorted[index - 1].blocks);
  if (meet) throw new CheckCondition(invalidParameter(headerBytes));
}

function blocksOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { blocks }) => sum + blocks, 0);
}

const POPULATE_HEADER_BYTES = 16;
/** RTV: ROD TYPE is valid. */
const TYPE_VALID = 0x02;
const TIMEOUT_BYTE = 4;
const TYPE_BYTE = 8;
const TYPES: ReadonlySet<number> = new Set([RodType.PointInTime, RodType.ChangeVulnerable, RodType.AnyPointInTime]);

export function populateToken(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  collectList(command, POPULATE_HEADER_BYTES, (list) => {
    const view = new DataView(list.buffer, list.byteOffset, list.length);
    const seconds = view.getUint32(TIMEOUT_BYTE);
    if (seconds > TOKEN_SECONDS_MAX) throw new CheckCondition(invalidParameter(TIMEOUT_BYTE));
    if ((list[2] & TYPE_VALID) !== 0 && !TYPES.has(view.getUint32(TYPE_BYTE))) {
      throw new CheckCondition(invalidParameter(TYPE_BYTE));
    }
    const ranges = rangesOf(unit, list, POPULATE_HEADER_BYTES);
    const copy = copyFor(command, unit, nexus, list);
    return startCopy(command, copy, () =>
      // A write that is in flight now would change blocks after the token was made, and not be seen.
      unit.exclusively(copy.signal, async () => {
        requireReadable(copy, unit);
        const { bytes, blocks } = unit.host.tokens.make(
          unit,
          copy.spec.nexus,
          ranges,
          seconds === 0 ? TOKEN_SECONDS : seconds,
        );
        copy.token = bytes;
        copy.bytes = blocks * unit.blockSize;
        copy.segments = ranges.length;
      }),
    );
  });
}

const WRITE_HEADER_BYTES = 536;
const DELETE = 0x02;
const OFFSET_BYTE = 8;
const TOKEN_BYTE = 16;

export function writeUsingToken(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  if (unit.writeProtected) {
    command.fail(Senses.WriteProtected);
    return;
  }
  collectList(command, WRITE_HEADER_BYTES, (list) => {
    const view = new DataView(list.buffer, list.byteOffset, list.length);
    const ranges = rangesOf(unit, list, WRITE_HEADER_BYTES);
    const bytes = list.slice(TOKEN_BYTE, TOKEN_BYTE + TOKEN_BYTES);
    const copy = copyFor(command, unit, nexus, list);
    if (isBlockZero(bytes)) return startCopy(command, copy, () => writeZeros(copy, unit, ranges));
    const { tokens } = unit.host;
    const token = tokens.find(bytes);
    const offset = Number(view.getBigUint64(OFFSET_BYTE)) * unit.blockSize;
    if (offset > token.blocks * token.unit.blockSize) throw new CheckCondition(invalidParameter(OFFSET_BYTE));
    const remove = (list[2] & DELETE) !== 0;
    return startCopy(command, copy, async () => {
      await tokens.using(token, () => writeRanges(copy, token, offset, unit, ranges));
      if (remove) tokens.delete(token);
    });
  });
}

/** UNMAP of a block device has blocks read as zeros. */
async function writeZeros(copy: Copy, unit: LogicalUnit, ranges: readonly Range[]): Promise<void> {
  copy.units.add(unit);
  for (const { lba, blocks } of ranges) {
    for (let done = 0; done < blocks; ) {
      const count = Math.min(blocks - done, UNMAP_BLOCKS_MAX);
      try {
        await unit.inTurn(copy.signal, () => {
          requireWritable(copy, unit);
          return unit.device.unmap(lba + done, count, copy.signal);
        });
      } catch (error) {
        throw failureAt(copy, unit, error);
      }
      done += count;
      copy.bytes += count * unit.blockSize;
      copy.operations++;
      await unit.yield();
    }
    copy.segments++;
  }
}

/** Ends early where the token has no more; then less was transferred than asked for. */
async function writeRanges(
  copy: Copy,
  token: Token,
  offset: number,
  unit: LogicalUnit,
  ranges: readonly Range[],
): Promise<void> {
  const stillValid = () => {
    if (token.over !== undefined) throw new CheckCondition(token.over);
  };
  const sources = extents(token.unit, token.ranges);
  let skip = offset;
  let from = sources.shift();
  for (const to of extents(unit, ranges)) {
    for (let done = 0; done < to.bytes; ) {
      while (from !== undefined && skip >= from.bytes) {
        skip -= from.bytes;
        from = sources.shift();
      }
      if (from === undefined) {
        copy.cutShort = true;
        return;
      }
      const bytes = Math.min(to.bytes - done, from.bytes - skip);
      const source = placeOf(token.unit, from.start + skip, bytes);
      await copyBlocks(copy, source, placeOf(unit, to.start + done, bytes), bytes, stillValid);
      done += bytes;
      skip += bytes;
    }
    copy.segments++;
  }
}

/** @throws CheckCondition where units have blocks of different sizes, and these are not whole ones of the unit */
function placeOf(unit: LogicalUnit, start: number, bytes: number): Place {
  if (start % unit.blockSize !== 0 || bytes % unit.blockSize !== 0) {
    throw new CheckCondition(Senses.UnexpectedInexactSegment);
  }
  return { unit, lba: start / unit.blockSize };
}

interface Extent {
  readonly start: number;
  readonly bytes: number;
}

function extents({ blockSize }: LogicalUnit, ranges: readonly Range[]): Extent[] {
  return ranges.map(({ lba, blocks }) => ({ start: lba * blockSize, bytes: blocks * blockSize }));
}

/** Those of units that the initiator is given: a token tells which unit it is of. */
export function reportAllRodTokens(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const given = new Set(nexus.siblings.units());
  const list = managementTokens(unit.host.tokens.all().filter((token) => given.has(token.unit)));
  const bytes = concat(new Uint8Array(8), list);
  new DataView(bytes.buffer).setUint32(0, bytes.length - 4);
  command.answer(bytes, command.view.getUint32(LIST_LENGTH_BYTE));
}
