/** Changes bytes in the ways that parsers get wrong: single bits, ends of ranges, and numbers of several bytes. */

import type { SeededRandom } from "../../src/platform/memory/seeded-random.ts";

const BYTES = [0x00, 0x01, 0x02, 0x3f, 0x40, 0x7f, 0x80, 0xfe, 0xff];
const WORDS = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x1ff, 0x200, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

/** @param times at most so many changes, at least one */
export function mutate(random: SeededRandom, bytes: Uint8Array, times: number): void {
  if (bytes.length === 0) return;
  for (let left = 1 + random.below(times); left > 0; left--) mutateOnce(random, bytes);
}

function mutateOnce(random: SeededRandom, bytes: Uint8Array): void {
  const at = random.below(bytes.length);
  switch (random.below(5)) {
    case 0:
      bytes[at] ^= 1 << random.below(8);
      return;
    case 1:
      bytes[at] = random.pick(BYTES);
      return;
    case 2:
      bytes[at] += random.chance(0.5) ? 1 : -1;
      return;
    case 3:
      bytes[at] = random.below(256);
      return;
    default: {
      const word = random.pick(WORDS);
      const width = random.pick([2, 4]);
      for (let i = 0; i < width && at + i < bytes.length; i++) bytes[at + i] = word >>> (8 * (width - 1 - i));
    }
  }
}
