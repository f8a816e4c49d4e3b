export const BLOCK_BYTES = 4096;

/** @returns how many blocks these bytes are; throws a `RangeError` where that is no whole number, or none */
export function blocksOf(bytes: number, blockSize: number): number {
  const blocks = bytes / blockSize;
  if (!Number.isInteger(blocks) || blocks === 0) {
    throw new RangeError(`${bytes} bytes are no whole number of blocks of ${blockSize}, or none`);
  }
  return blocks;
}
