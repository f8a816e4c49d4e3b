/**
 * Moves blocks from one unit to another, or within one, a buffer at a time and beside the work of others.
 *
 * Invariants: before each piece it is looked at whether the copy's host may still do so at both units; blocks that overlap
 * come out as they were before.
 */

import { PIECE_BYTES_MAX, WORK_TURN_BYTES } from "../limits.ts";
import { Access } from "./access.ts";
import type { Copy } from "./copies.ts";
import { CheckCondition, Senses } from "./sense.ts";
import { targetPortOf } from "./transport-id.ts";
import type { LogicalUnit } from "./unit.ts";

export interface Place {
  readonly unit: LogicalUnit;
  readonly lba: number;
}

/** @throws CheckCondition where the copy's nexus could not read the unit by itself now */
export function requireReadable({ spec }: Copy, unit: LogicalUnit): void {
  requireAccess(unit, spec.nexus, Access.Read);
}

/** @throws CheckCondition where the copy's nexus could not write the unit by itself now */
export function requireWritable({ spec }: Copy, unit: LogicalUnit): void {
  if (unit.writeProtected) throw new CheckCondition(Senses.ThirdPartyDeviceFailure);
  requireAccess(unit, spec.nexus, Access.Write);
}

export function requireAccess(unit: LogicalUnit, nexus: string, access: number): void {
  const { reservations } = unit;
  const isOpen = unit.open || unit.isOpenThrough(targetPortOf(nexus));
  if (!isOpen || (reservations.held && reservations.conflicts(nexus, access))) {
    throw new CheckCondition(Senses.ThirdPartyDeviceFailure);
  }
}

/**
 * @param bytes a multiple of both units' block sizes, within both
 * @param stillValid looks at the source once more when a piece is read, before it is written; throws to end the copy
 */
export async function copyBlocks(
  copy: Copy,
  from: Place,
  to: Place,
  bytes: number,
  stillValid: () => void = () => {},
): Promise<void> {
  const { signal } = copy;
  const { buffers } = to.unit.host;
  copy.units.add(from.unit).add(to.unit);
  // Of blocks that overlap the last are moved first where they move up.
  const backwards = from.unit === to.unit && to.lba > from.lba && to.lba < from.lba + bytes / from.unit.blockSize;
  const buffer = buffers.take(Math.min(bytes, PIECE_BYTES_MAX));
  let at = from.unit;
  try {
    for (let done = 0, turn = 0; done < bytes; ) {
      const length = Math.min(bytes - done, PIECE_BYTES_MAX);
      const offset = backwards ? bytes - done - length : done;
      const piece = buffer.subarray(0, length);
      signal.throwIfAborted();
      requireReadable(copy, from.unit);
      at = from.unit;
      await from.unit.device.read(from.lba + offset / from.unit.blockSize, piece, signal);
      stillValid();
      at = to.unit;
      await to.unit.inTurn(signal, () => {
        requireWritable(copy, to.unit);
        return to.unit.device.write(to.lba + offset / to.unit.blockSize, piece, { signal });
      });
      done += length;
      copy.bytes += length;
      copy.operations++;
      turn += length;
      if (turn >= WORK_TURN_BYTES) {
        turn = 0;
        await to.unit.yield();
      }
    }
  } catch (error) {
    throw failureAt(copy, at, error);
  } finally {
    buffers.give(buffer);
  }
}

/** A device's error is reported to who embeds the target as it is, and to the copy's host as one of a third party. */
export function failureAt({ signal }: Copy, unit: LogicalUnit, error: unknown): unknown {
  if (signal.aborted || error instanceof CheckCondition) return error;
  unit.host.deviceFailed(unit, error);
  return new CheckCondition(Senses.ThirdPartyDeviceFailure);
}
