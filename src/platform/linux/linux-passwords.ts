/** scrypt of the runtime, in a thread of its own. */

import { scrypt } from "node:crypto";
import type { Passwords } from "../passwords.ts";

const BYTES = 32;

export function linuxPasswords(): Passwords {
  return {
    hash: (password, salt, { n, r, p }) =>
      new Promise((resolve, reject) => {
        // The default limit is just what the usual cost needs, and no more.
        const options = { N: n, r, p, maxmem: 256 * n * r };
        scrypt(password, salt, BYTES, options, (error, key) => {
          if (error) reject(error);
          else resolve(new Uint8Array(key));
        });
      }),
  };
}
