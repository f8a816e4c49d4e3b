/** Whether bytes are what somebody vouched for: hashes and signatures. Whom to believe is decided elsewhere. */
export interface Signatures {
  /** Whether `signature` (64 bytes) is that of `message` by the owner of an ed25519 `key` (32 bytes), RFC 8032. */
  verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** A SHA-256 of what is yet to come. */
  sha256(): Hash;
}

export interface Hash {
  update(part: Uint8Array): void;
  /** 32 bytes. Ends the hash: it takes nothing more. */
  digest(): Uint8Array;
}

/** Signs as the owner of one private key. */
export interface Signer {
  /** The public key, 32 bytes. */
  readonly key: Uint8Array;
  /** @returns 64 bytes */
  sign(message: Uint8Array): Uint8Array;
}
