/** The only source of randomness. */
export interface Random {
  /** A whole number, 0 <= n < bound; bound is at most 2^32. */
  below(bound: number): number;
  fill(bytes: Uint8Array): void;
}

/** A random (version 4) UUID's 16 bytes, RFC 9562 section 5.4. */
export function randomUuid(random: Random): Uint8Array {
  const bytes = new Uint8Array(16);
  random.fill(bytes);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes;
}

export function isSameUuid(one: Uint8Array, other: Uint8Array): boolean {
  return one.every((byte, at) => byte === other[at]);
}

export function formatUuid(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
