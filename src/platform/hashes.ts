/** Cryptographic hash functions, FIPS 180-4 and 202 and RFC 1321, by the names that CHAP has for them. */

export type HashName = "md5" | "sha1" | "sha256" | "sha3-256";

/** Each takes its whole input at once. */
export type Hashes = Readonly<Record<HashName, (bytes: Uint8Array) => Uint8Array>>;

export const HASH_BYTES: Readonly<Record<HashName, number>> = { md5: 16, sha1: 20, sha256: 32, "sha3-256": 32 };
