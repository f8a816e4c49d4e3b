/** For tests, which have no time for slow hashes: salted, quick, and no secret to anybody. */

import { crc32c } from "../../base/crc32c.ts";
import type { Passwords } from "../passwords.ts";

export const plainPasswords: Passwords = {
  hash: async (password, salt, { n, r, p }) => {
    const text = new TextEncoder().encode(`${password} ${salt.join()} ${n} ${r} ${p}`);
    return Uint8Array.from({ length: 32 }, (_, at) => crc32c(text, at) & 0xff);
  },
};
