/** Binary values in text keys, RFC 7143 section 6.1: hexadecimal after `0x`, base64 after `0b`. */

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export function formatHex(bytes: Uint8Array): string {
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** @returns the bytes; `undefined` where the text is no binary value, or not one of `min` to `max` bytes */
export function parseBinary(text: string, min: number, max = min): Uint8Array | undefined {
  const digits = text.slice(2);
  const bytes = /^0x/i.test(text) ? fromHex(digits, max) : /^0b/i.test(text) ? fromBase64(digits, max) : undefined;
  return bytes !== undefined && bytes.length >= min && bytes.length <= max ? bytes : undefined;
}

function fromHex(digits: string, max: number): Uint8Array | undefined {
  if (digits.length > 2 * max || !/^([0-9a-f]{2})*$/i.test(digits)) return undefined;
  return Uint8Array.from({ length: digits.length / 2 }, (_, at) =>
    Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16),
  );
}

/** RFC 4648 section 4, padded, in its one form: bits that no byte has are zero. */
function fromBase64(digits: string, max: number): Uint8Array | undefined {
  if (digits.length > 4 * Math.ceil(max / 3) || digits.length % 4 !== 0) return undefined;
  const padding = /={0,2}$/.exec(digits)?.[0].length ?? 0;
  const bytes = new Uint8Array((digits.length / 4) * 3 - padding);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const digit of digits.slice(0, digits.length - padding)) {
    const value = BASE64.indexOf(digit);
    if (value < 0) return undefined;
    bits = (bits << 6) | value;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes[at++] = bits >> held;
    bits &= (1 << held) - 1;
  }
  return bits === 0 ? bytes : undefined;
}
