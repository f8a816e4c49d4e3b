/**
 * PRE-FETCH (10), (16), SBC-3: has the device read blocks that it then keeps in memory.
 *
 * CONDITION MET says that all of the blocks fit into the device's cache, GOOD that they do not: of a device that names no
 * cache, nothing is read. What is read goes nowhere but there.
 */

import type { Command } from "./command.ts";
import { fits, locate } from "./extent.ts";
import { readPieces } from "./pieces.ts";
import { Status } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";

const IMMED = 0x02;

export function prefetch(command: Command, unit: LogicalUnit): void {
  const immediate = (command.cdb[1] & IMMED) !== 0;
  locate(command);
  command.fua = false;
  if (!fits(command, unit)) return;
  // 0 blocks are all up to the end.
  if (command.blocks === 0) command.blocks = unit.blockCount - command.lba;
  const room = Math.floor((unit.device.cacheBytes ?? 0) / unit.blockSize);
  const all = command.blocks <= room;
  const blocks = Math.min(command.blocks, room);
  if (immediate) {
    // One at a time: what comes while it is at work is told that there is no room.
    if (unit.background.busy) return;
    if (all) command.status = Status.ConditionMet;
    const { lba } = command;
    unit.background.run(async (signal) => {
      try {
        await readThrough(unit, lba, blocks, signal);
      } catch (error) {
        // The host is told when it reads the block. A medium that was ejected is no failure.
        if (!signal.aborted && unit.loaded) unit.host.deviceFailed(unit, error);
      }
    });
    return;
  }
  if (blocks === 0) {
    if (all) command.status = Status.ConditionMet;
    return;
  }
  command.run(async () => {
    await readThrough(unit, command.lba, blocks, command.signal);
    if (all) command.status = Status.ConditionMet;
  }, false);
}

function readThrough(unit: LogicalUnit, lba: number, blocks: number, signal: AbortSignal): Promise<void> {
  return readPieces(unit, signal, lba, blocks * unit.blockSize, () => {});
}
