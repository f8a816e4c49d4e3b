/**
 * CRC32C (Castagnoli, RFC 3720 appendix B.4) in plain TypeScript, eight bytes a step.
 * The fast one is the platform's; this one is its fallback, its oracle, and the checksum of the simulated world.
 */

import { assert } from "./assert.ts";

const POLYNOMIAL = 0x82f63b78;

const tables: readonly Uint32Array[] = (() => {
  const made = Array.from({ length: 8 }, () => new Uint32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    made[0][byte] = crc >>> 0;
  }
  for (let byte = 0; byte < 256; byte++) {
    for (let k = 1; k < 8; k++) {
      const previous = made[k - 1][byte];
      made[k][byte] = (previous >>> 8) ^ made[0][previous & 0xff];
    }
  }
  return made;
})();

const [t0, t1, t2, t3, t4, t5, t6, t7] = tables;

/**
 * @param seed the checksum of the bytes before these, to go on from
 * @param start of the bytes that are covered, which end before `end`; all of them by default. It saves making a view
 * @returns the checksum as an unsigned 32-bit number; `crc32c("123456789")` is 0xe3069283
 */
export function crc32c(bytes: Uint8Array, seed = 0, start = 0, end = bytes.length): number {
  assert(start >= 0 && start <= end && end <= bytes.length, "a checksum of bytes that are not there");
  let crc = ~seed;
  let at = start;
  const eights = end - ((end - start) % 8);
  for (; at < eights; at += 8) {
    crc ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    crc =
      t7[crc & 0xff] ^
      t6[(crc >>> 8) & 0xff] ^
      t5[(crc >>> 16) & 0xff] ^
      t4[crc >>> 24] ^
      t3[bytes[at + 4]] ^
      t2[bytes[at + 5]] ^
      t1[bytes[at + 6]] ^
      t0[bytes[at + 7]];
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[at]) & 0xff];
  return ~crc >>> 0;
}
