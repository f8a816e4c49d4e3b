/** Hash functions of the runtime. */

import { createHash } from "node:crypto";
import type { Hashes, HashName } from "../hashes.ts";

export function linuxHashes(): Hashes {
  const hash = (name: HashName) => (bytes: Uint8Array) => new Uint8Array(createHash(name).update(bytes).digest());
  return { md5: hash("md5"), sha1: hash("sha1"), sha256: hash("sha256"), "sha3-256": hash("sha3-256") };
}
