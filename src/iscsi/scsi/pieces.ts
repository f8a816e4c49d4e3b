/** Work over any number of a unit's blocks, a buffer at a time, and beside the work of others. */

import { PIECE_BYTES_MAX, WORK_TURN_BYTES } from "../limits.ts";
import type { LogicalUnit } from "./unit.ts";

/** Reads `bytes` from `lba` on, a buffer at a time, and shows `look` each of them with its offset. */
export function readPieces(
  unit: LogicalUnit,
  signal: AbortSignal,
  lba: number,
  bytes: number,
  look: (there: Uint8Array, offset: number) => void,
): Promise<void> {
  return unit.workBuffers.with(Math.min(bytes, PIECE_BYTES_MAX), signal, async (buffer) => {
    for (let offset = 0; offset < bytes; ) {
      signal.throwIfAborted();
      const there = buffer.subarray(0, Math.min(bytes - offset, PIECE_BYTES_MAX));
      const pending = unit.device.read(lba + offset / unit.blockSize, there, signal);
      if (pending !== undefined) await pending;
      // A device that is done at once would keep everybody else waiting for the whole range.
      else if (offset > 0) await unit.yield();
      look(there, offset);
      offset += there.length;
    }
  });
}

/** Writes `block` to each of the blocks. @param advanced told of so many that are written */
export function writeRepeated(
  unit: LogicalUnit,
  signal: AbortSignal,
  lba: number,
  blocks: number,
  block: Uint8Array,
  advanced: (blocks: number) => void = () => {},
): Promise<void> {
  const { blockSize } = unit;
  const pieceBlocks = Math.min(blocks, PIECE_BYTES_MAX / blockSize);
  return unit.workBuffers.with(pieceBlocks * blockSize, signal, async (buffer) => {
    for (let at = 0; at < pieceBlocks; at++) buffer.set(block, at * blockSize);
    const options = { signal };
    let turn = 0;
    for (let done = 0; done < blocks; ) {
      signal.throwIfAborted();
      const piece = Math.min(blocks - done, pieceBlocks);
      const bytes = piece * blockSize;
      await unit.inTurn(signal, () => unit.device.write(lba + done, buffer.subarray(0, bytes), options));
      done += piece;
      advanced(piece);
      turn += bytes;
      if (turn >= WORK_TURN_BYTES) {
        turn = 0;
        await unit.yield();
      }
    }
  });
}
