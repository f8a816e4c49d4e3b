import { expect, test } from "vitest";
import { volumeId } from "../base/units.ts";
import { linuxHashes } from "../platform/linux/linux-hashes.ts";
import { lunNames } from "./lun-identity.ts";

const names = (group: string, volume: number) => lunNames(linuxHashes(), group, volumeId(volume));

test("the names of a LUN, which hosts have to find again: the start of a SHA-256", () => {
  expect(names("prod", 0)).toEqual({ serial: "3d34bdf6aac51bbb", naa: 0x3d34bdf6aac51bbbn });
  expect(names("prod", 1)).toEqual({ serial: "34086d83e7af46af", naa: 0x34086d83e7af46afn });
});

test("many names differ, as 60 bits let them and 32 would not", () => {
  const all = new Set<bigint>();
  for (let group = 0; group < 1000; group++) {
    for (let volume = 0; volume < 256; volume++) all.add(names(`g${group}`, volume).naa);
  }
  expect(all.size).toBe(256_000);
  expect([...all].every((naa) => naa >> 60n === 3n)).toBe(true);
});
