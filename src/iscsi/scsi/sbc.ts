/** Commands of SBC-3: what block devices answer. */

import type { Pending } from "../interfaces.ts";
import { PHYSICAL_BLOCK_BYTES, UNMAP_BLOCKS_MAX, UNMAP_DESCRIPTORS_MAX, WRITE_SAME_BYTES_MAX } from "../limits.ts";
import { type Command, Plan } from "./command.ts";
import { fits, locate, transfer } from "./extent.ts";
import { writeRepeated } from "./pieces.ts";
import { CheckCondition, invalidCdbField, invalidParameter, Senses } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";

/** READ (6), (10), (12), (16). */
export function read(command: Command, unit: LogicalUnit): void {
  transfer(command, unit, Plan.Read);
}

/** WRITE (6), (10), (12), (16). */
export function write(command: Command, unit: LogicalUnit): void {
  if (unit.writeProtected) {
    command.fail(Senses.WriteProtected);
    return;
  }
  transfer(command, unit, Plan.Write);
}

/** SYNCHRONIZE CACHE (10), (16): the whole device, whatever range was named. IMMED needs no care: it may wait. */
export function synchronizeCache(command: Command, unit: LogicalUnit): void {
  locate(command);
  command.fua = false;
  if (!fits(command, unit)) return;
  command.run(flush);
}

function flush(unit: LogicalUnit): Pending {
  return unit.device.flush();
}

/** SBC-3 section 5.16. */
export function readCapacity10(command: Command, unit: LogicalUnit): void {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.min(Math.max(unit.blockCount - 1, 0), 0xffffffff));
  view.setUint32(4, unit.blockSize);
  command.answer(bytes, bytes.length);
}

/** SBC-3 section 5.17. */
export function readCapacity16(command: Command, unit: LogicalUnit): void {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(Math.max(unit.blockCount - 1, 0)));
  view.setUint32(8, unit.blockSize);
  bytes[13] = Math.log2(PHYSICAL_BLOCK_BYTES / unit.blockSize);
  bytes[14] = 0xc0; // LBPME, LBPRZ
  command.answer(bytes, command.view.getUint32(10));
}

/** WRITE SAME (10), (16): UNMAP with zeros gives the blocks back, anything else is written. */
export function writeSame(command: Command, unit: LogicalUnit): void {
  if (unit.writeProtected) {
    command.fail(Senses.WriteProtected);
    return;
  }
  const { cdb } = command;
  const flags = cdb[1];
  locate(command);
  command.fua = false;
  // WRPROTECT, ANCHOR, and the obsolete PBDATA and LBDATA.
  if ((flags & 0xf6) !== 0) {
    command.fail(invalidCdbField(1));
    return;
  }
  if (command.blocks === 0) {
    // WSNZ is zero: all from here to the end, of which there has to be something.
    if (command.lba >= unit.blockCount) {
      command.fail(Senses.LbaOutOfRange);
      return;
    }
    command.blocks = unit.blockCount - command.lba;
  }
  if (!fits(command, unit)) return;
  if (command.blocks * unit.blockSize > WRITE_SAME_BYTES_MAX) {
    command.fail(invalidCdbField(cdb[0] === 0x93 ? 10 : 7));
    return;
  }
  if (cdb[0] === 0x93 && (flags & 0x01) !== 0) {
    command.run(writeSameZeros);
    return;
  } // NDOB
  command.writing = true;
  command.collect(unit.blockSize, fillBlocks, true);
}

/** WRITE SAME (10) and (16) have UNMAP in the same bit. */
function wantsUnmap(command: Command): boolean {
  return (command.cdb[1] & 0x08) !== 0;
}

function writeSameZeros(unit: LogicalUnit, command: Command): Pending {
  return fillBlocks(unit, command, new Uint8Array(unit.blockSize));
}

function fillBlocks(unit: LogicalUnit, command: Command, pattern: Uint8Array): Pending {
  if (wantsUnmap(command) && pattern.every((byte) => byte === 0)) {
    return unmapAll(unit, command, [[command.lba, command.blocks]]);
  }
  return writeRepeated(unit, command.signal, command.lba, command.blocks, pattern);
}

/** SBC-3 section 5.28. */
export function unmap(command: Command, unit: LogicalUnit): void {
  if (unit.writeProtected) {
    command.fail(Senses.WriteProtected);
    return;
  }
  if ((command.cdb[1] & 0x01) !== 0) {
    command.fail(invalidCdbField(1));
    return;
  } // ANCHOR
  const length = command.view.getUint16(7);
  if (length === 0) return;
  if (length < 8) {
    command.fail(Senses.ParameterListLength);
    return;
  }
  command.writing = true;
  command.collect(length, unmapExtents);
}

function unmapExtents(unit: LogicalUnit, command: Command, data: Uint8Array): Pending {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const listed = Math.min(data.length < 8 ? 0 : view.getUint16(2), data.length - 8);
  const count = Math.floor(Math.max(listed, 0) / 16);
  if (count > UNMAP_DESCRIPTORS_MAX) throw new CheckCondition(invalidParameter(2));
  const extents: (readonly [lba: number, blocks: number])[] = [];
  let total = 0;
  for (let at = 8; at < 8 + 16 * count; at += 16) {
    const lba = view.getUint32(at) * 0x100000000 + view.getUint32(at + 4);
    const blocks = view.getUint32(at + 8);
    total += blocks;
    if (lba + blocks > unit.blockCount) throw new CheckCondition(Senses.LbaOutOfRange);
    if (blocks > 0) extents.push([lba, blocks]);
  }
  if (total > UNMAP_BLOCKS_MAX) throw new CheckCondition(Senses.InvalidFieldInParameterList);
  return extents.length === 0 ? undefined : unmapAll(unit, command, extents);
}

/** All at once, since each may wait for the same flush: extents that overlap come out the same in any order. */
async function unmapAll(
  unit: LogicalUnit,
  command: Command,
  extents: readonly (readonly [number, number])[],
): Promise<void> {
  const { signal } = command;
  await unit.inTurn(signal, async () => {
    const parts = extents.map(async ([lba, blocks]) => unit.device.unmap(lba, blocks, signal));
    for (const part of await Promise.allSettled(parts)) if (part.status === "rejected") throw part.reason;
  });
}
