/**
 * GET LBA STATUS, SBC-3: which blocks are mapped, as far as the device can tell; of one that can't, all are said to be.
 *
 * The answer may end before the unit does: it has no more descriptors than the initiator has room for, and comes of a
 * bounded number of questions to the device. Whoever wants the rest asks from there.
 */

import { LBA_STATUS_RUNS_MAX } from "../limits.ts";
import type { Command } from "./command.ts";
import { Senses } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";

const HEADER_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
const MAPPED = 0;
const DEALLOCATED = 1;
/** NUMBER OF LOGICAL BLOCKS has 32 bits. */
const BLOCKS_MAX = 0xffffffff;

interface Extent {
  readonly lba: number;
  blocks: number;
  readonly mapped: boolean;
}

export function getLbaStatus(command: Command, unit: LogicalUnit): void {
  const { view } = command;
  command.lba = view.getUint32(2) * 0x100000000 + view.getUint32(6);
  if (command.lba >= unit.blockCount) {
    command.fail(Senses.LbaOutOfRange);
    return;
  }
  if (unit.device.allocation === undefined) {
    const blocks = Math.min(unit.blockCount - command.lba, BLOCKS_MAX);
    report(command, [{ lba: command.lba, blocks, mapped: true }]);
    return;
  }
  command.run(ask, false);
}

async function ask(unit: LogicalUnit, command: Command): Promise<void> {
  const extentsMax = Math.max(1, Math.floor((command.view.getUint32(10) - HEADER_BYTES) / DESCRIPTOR_BYTES));
  const { signal } = command;
  const extents: Extent[] = [];
  let next = command.lba;
  for (let asked = 0; asked < LBA_STATUS_RUNS_MAX && next < unit.blockCount; asked++) {
    const { mapped, blocks } = (await unit.device.allocation?.(next, unit.blockCount - next, signal)) ?? {
      mapped: true,
      blocks: unit.blockCount - next,
    };
    const last = extents.at(-1);
    if (last?.mapped === mapped && last.blocks + blocks <= BLOCKS_MAX) last.blocks += blocks;
    else if (extents.length === extentsMax) break;
    else extents.push({ lba: next, blocks: Math.min(blocks, BLOCKS_MAX), mapped });
    next += blocks;
    await unit.yield();
    signal.throwIfAborted();
  }
  report(command, extents);
}

function report(command: Command, extents: readonly Extent[]): void {
  const bytes = new Uint8Array(HEADER_BYTES + DESCRIPTOR_BYTES * extents.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  extents.forEach(({ lba, blocks, mapped }, index) => {
    const at = HEADER_BYTES + DESCRIPTOR_BYTES * index;
    view.setBigUint64(at, BigInt(lba));
    view.setUint32(at + 8, blocks);
    bytes[at + 12] = mapped ? MAPPED : DEALLOCATED;
  });
  command.answer(bytes, command.view.getUint32(10));
}
