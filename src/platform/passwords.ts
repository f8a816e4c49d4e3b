/** Turns passwords into what may be kept of them: slow, so that trying many takes long, and salted. */

/** Parameters of scrypt, RFC 7914 section 2. */
export interface PasswordCost {
  readonly n: number;
  readonly r: number;
  readonly p: number;
}

export interface Passwords {
  /** @returns 32 bytes, the same for the same input */
  hash(password: string, salt: Uint8Array, cost: PasswordCost): Promise<Uint8Array>;
}
