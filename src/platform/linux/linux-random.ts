/** Randomness of the kernel's generator, drawn in pools so that a small number costs no system call. */

import { assert } from "../../base/assert.ts";
import type { Random } from "../random.ts";

const POOL_WORDS = 256;
const WORD_VALUES = 2 ** 32;
/** Most that the Web Crypto API fills in one call. */
const FILL_BYTES_MAX = 65536;

export function linuxRandom(): Random {
  const pool = new Uint32Array(POOL_WORDS);
  let next = POOL_WORDS;

  const word = (): number => {
    if (next === POOL_WORDS) {
      crypto.getRandomValues(pool);
      next = 0;
    }
    return pool[next++];
  };

  return {
    below(bound) {
      assert(Number.isInteger(bound) && bound > 0 && bound <= WORD_VALUES, `random number below ${bound}`);
      // Words past the last whole multiple of the bound would make small results more likely.
      const fair = WORD_VALUES - (WORD_VALUES % bound);
      let drawn = word();
      while (drawn >= fair) drawn = word();
      return drawn % bound;
    },
    fill(bytes) {
      for (let at = 0; at < bytes.length; at += FILL_BYTES_MAX) {
        crypto.getRandomValues(bytes.subarray(at, at + FILL_BYTES_MAX) as Uint8Array<ArrayBuffer>);
      }
    },
  };
}
