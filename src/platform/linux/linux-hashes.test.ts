import { expect, it } from "vitest";
import { HASH_BYTES, type HashName } from "../hashes.ts";
import { plainHashes } from "../memory/plain-hashes.ts";
import { linuxHashes } from "./linux-hashes.ts";

/** Of "abc": RFC 1321 section A.5, and the examples that NIST gives of the others. */
it.each<[HashName, string]>([
  ["md5", "900150983cd24fb0d6963f7d28e17f72"],
  ["sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"],
  ["sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  ["sha3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"],
])("%s is what its standard says", (name, expected) => {
  expect(Buffer.from(linuxHashes()[name](Buffer.from("abc"))).toString("hex")).toBe(expected);
});

it.each(Object.keys(HASH_BYTES) as HashName[])(
  "%s is as long in the simulated world, and tells inputs apart",
  (name) => {
    const of = (text: string) => plainHashes[name](Buffer.from(text));
    expect(of("abc")).toHaveLength(linuxHashes()[name](Buffer.from("abc")).length);
    expect(of("abc")).toEqual(of("abc"));
    expect(of("abc")).not.toEqual(of("abd"));
  },
);
