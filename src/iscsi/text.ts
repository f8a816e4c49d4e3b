/** Text segments of RFC 7143 section 6.1: `key=value` pairs, each ended by a zero byte. */

/** Section 6.1: names of at most 63 bytes, values of at most 255 unless a key says otherwise. */
export const KEY_BYTES_MAX = 63;
export const VALUE_BYTES_MAX = 8192;
const PAIRS_MAX = 256;

export type Pair = readonly [key: string, value: string];

/** Names begin with a capital, but for that of one key which the standard itself defines: iSCSIProtocolLevel. */
const KEY_NAME = /^(?:[A-Z][A-Za-z0-9.\-+@_/#]*|iSCSIProtocolLevel)$/;

/** @returns the pairs in order, or what is wrong with the text */
export function parseText(bytes: Uint8Array): Pair[] | string {
  const pairs: Pair[] = [];
  let at = 0;
  while (at < bytes.length) {
    let end = bytes.indexOf(0, at);
    if (end < 0) end = bytes.length;
    if (end > at) {
      if (pairs.length === PAIRS_MAX) return `more than ${PAIRS_MAX} keys`;
      const equals = bytes.indexOf(0x3d, at);
      if (equals < 0 || equals >= end) return "a key without '='";
      if (equals - at > KEY_BYTES_MAX) return `a key name of ${equals - at} bytes`;
      if (end - equals - 1 > VALUE_BYTES_MAX) return `a value of ${end - equals - 1} bytes`;
      const key = decoder.decode(bytes.subarray(at, equals));
      if (!KEY_NAME.test(key)) return "a key name with characters that none may have";
      pairs.push([key, decoder.decode(bytes.subarray(equals + 1, end))]);
    }
    at = end + 1;
  }
  return pairs;
}

export function formatText(pairs: readonly Pair[]): Uint8Array {
  return encoder.encode(pairs.map(([key, value]) => `${key}=${value}\0`).join(""));
}

/** A number of section 6.1: decimal or hexadecimal. @returns NaN for anything else */
export function parseNumber(value: string): number {
  return /^(0[xX][0-9a-fA-F]{1,13}|0|[1-9][0-9]{0,14})$/.test(value) ? Number(value) : Number.NaN;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();
