/**
 * Checksums and parity in plain TypeScript: for the simulated world, for machines without the accelerated library,
 * and as the answer that the accelerated ones are tested against.
 */

import { assert } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import type { Arithmetic } from "./arithmetic.ts";

export const plainArithmetic: Arithmetic = {
  crc32c,

  crc32cBlocks(data, into) {
    const blocks = wholeBlocks(data, into);
    for (let block = 0; block < blocks; block++) {
      into[block] = crc32c(data.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
    }
  },

  xor(sources, into) {
    checkXor(sources, into);
    const words = wordsOf(into);
    const sourceWords = sources.map(wordsOf);
    if (words === undefined || sourceWords.includes(undefined)) return xorWords(sources, into);
    xorWords(sourceWords as Uint32Array[], words);
    // The last one to three bytes fill no word.
    const rest = into.length - (into.length % 4);
    if (rest < into.length) {
      const ends = sources.map((source) => source.subarray(rest));
      xorWords(ends, into.subarray(rest));
    }
  },
};

/** @returns the number of 4 KiB blocks in `data`, for each of which `into` has room */
export function wholeBlocks(data: Uint8Array, into: Uint32Array): number {
  const blocks = data.length / BLOCK_BYTES;
  assert(Number.isInteger(blocks), `checksums of ${data.length} bytes, which are not whole blocks`);
  assert(into.length >= blocks, `room for ${into.length} checksums, ${blocks} are wanted`);
  return blocks;
}

/** Asserts what `Arithmetic.xor` asks of its caller. */
export function checkXor(sources: readonly Uint8Array[], into: Uint8Array): void {
  assert(sources.length >= 2, `exclusive or of ${sources.length} sources`);
  for (const source of sources) {
    assert(source.length === into.length, `exclusive or of ${source.length} bytes into ${into.length}`);
  }
}

function wordsOf(bytes: Uint8Array): Uint32Array | undefined {
  return bytes.byteOffset % 4 === 0 ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2) : undefined;
}

type Elements = Uint8Array | Uint32Array;

function xorWords(sources: readonly Elements[], into: Elements): void {
  const [first, second] = sources;
  for (let at = 0; at < into.length; at++) into[at] = first[at] ^ second[at];
  for (let index = 2; index < sources.length; index++) {
    const source = sources[index];
    for (let at = 0; at < into.length; at++) into[at] ^= source[at];
  }
}
