/**
 * Work on every block of a unit, whether its host waits for it or not: SANITIZE and FORMAT UNIT.
 *
 * Invariants: an operation that has begun goes on whatever becomes of its command, its session and its task set, and only
 * the end of the unit stops it; from its begin to its end no other command reaches the device, since those under way are
 * aborted first and those that come are refused; a unit whose operation failed refuses them until another one of its kind
 * succeeds, or as it says.
 */

import type { Pending } from "../interfaces.ts";
import { UNMAP_BLOCKS_MAX } from "../limits.ts";
import type { Command } from "./command.ts";
import { writeRepeated } from "./pieces.ts";
import { CheckCondition, type Sense, Senses } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";
import { whileWaitedFor } from "./waits.ts";

/** One walk over all blocks: each is written, or given back where there is nothing to write. */
export type Pass = Uint8Array | "unmap";

export interface Operation {
  readonly passes: readonly Pass[];
  /** Whether its command ends as it begins. */
  readonly immediate: boolean;
  /** What other commands are told while it is at work, with how far it is, and once it has failed. */
  readonly inProgress: Sense;
  readonly failed: Sense;
  /** Whether EXIT FAILURE MODE of SANITIZE has the unit used again after it has failed. */
  readonly mayBeLifted: boolean;
}

/** Begins an operation for the command of that kind. @returns when it may end: never before it has begun */
export function begin(unit: LogicalUnit, command: Command, operation: Operation): Pending {
  // It may have been decoded before another one began, or before the medium was ejected.
  if (unit.refusal !== undefined && unit.refusal.except !== command.cdb[0]) {
    throw new CheckCondition(unit.refusal.sense());
  }
  if (!unit.loaded) throw new CheckCondition(Senses.MediumNotPresent);
  const { passes, inProgress, failed, mayBeLifted } = operation;
  const opcode = command.cdb[0];
  const total = passes.length * unit.blockCount;
  let done = 0;
  unit.refusal = {
    sense: () => ({ ...inProgress, progress: Math.min(0xffff, Math.floor((done / total) * 0x10000)) }),
    except: undefined,
    mayBeLifted: false,
  };
  let hasFailed = false;
  const over = unit.background.run(async (signal) => {
    try {
      await unit.host.abortTasks(unit, command);
      for (const pass of passes) await walk(unit, pass, signal, (blocks) => (done += blocks));
      unit.refusal = undefined;
    } catch (error) {
      if (signal.aborted) return;
      hasFailed = true;
      unit.refusal = { sense: () => failed, except: opcode, mayBeLifted };
      unit.host.deviceFailed(unit, error);
    }
  });
  if (operation.immediate) return undefined;
  const ends = over.then(() => {
    if (hasFailed) throw new CheckCondition(failed);
  });
  return whileWaitedFor(command.signal, ends);
}

async function walk(
  unit: LogicalUnit,
  pass: Pass,
  signal: AbortSignal,
  advanced: (blocks: number) => void,
): Promise<void> {
  if (pass === "unmap") {
    for (let lba = 0; lba < unit.blockCount; lba += UNMAP_BLOCKS_MAX) {
      signal.throwIfAborted();
      const blocks = Math.min(UNMAP_BLOCKS_MAX, unit.blockCount - lba);
      await unit.device.unmap(lba, blocks, signal);
      advanced(blocks);
    }
  } else await writeRepeated(unit, signal, 0, unit.blockCount, pass, advanced);
  await unit.device.flush(signal);
}
