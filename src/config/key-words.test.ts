import { describe, expect, it } from "vitest";
import { completeKeys, readKeys } from "./key-words.ts";
import { formatPath, parsePath } from "./problem.ts";
import { describeKey } from "./schema.ts";

describe("keys as they are typed", () => {
  it.each([
    ["volumes.db01.size", "volumes.db01.size"],
    ["vol.db01.si", "volumes.db01.size"],
    ["mirror.legs[0][1]", "mirror.legs[0][1]"],
    ["j.dev", "journal.device"],
    ["site.name", "site.name"],
    ["drives[3].pa", "drives[3].path"],
    ["sites", "sites"],
  ])("%s is %s", (typed, meant) => expect(formatPath(readKeys(typed))).toBe(meant));

  it.each([
    ["volums", "did you mean volumes?"],
    ["volumes.db01.colour", "allowed are array, size, lun, blockSize"],
    ["si", "'si' could be site or sites"],
    ["link.from.x", "give a place in it, such as link.from[0]"],
    ["link[0]", "'link' is no list"],
    ["group.a", "'group' holds a value"],
    ["pair", "this version does not have a paired backup appliance that takes over yet"],
    ["a..b", "is no key"],
    ["[0]", "is no key"],
    ["constructor.x", "allowed are"],
  ])("%s is refused with the words that would be right", (typed, words) => {
    expect(() => readKeys(typed)).toThrow(words);
  });

  it("are what messages write", () => {
    for (const path of [["a"], ["a", 0, 1, "b"], ["arrays", "main", "drives", 2]]) {
      expect(parsePath(formatPath(path))).toEqual(path);
    }
  });

  it("are completed from the schema and from the names that are there", () => {
    const names = (path: readonly unknown[]) => (path[0] === "volumes" ? ["db01", "db02", "logs"] : []);
    const words = (typed: string) => completeKeys(typed, names).map(({ word }) => word);
    expect(words("vo")).toEqual(["volumes."]);
    expect(words("si")).toEqual(["site.", "sites."]);
    expect(words("volumes.db")).toEqual(["volumes.db01.", "volumes.db02."]);
    expect(words("volumes.new.")).toEqual(["array", "size", "lun", "blockSize"].map((key) => `volumes.new.${key}`));
    expect(words("mirror.")).toEqual(["mirror.legs[", "mirror.onLegLoss"]);
    expect(words("drives[0].")).toEqual(["drives[0].path", "drives[0].size"]);
    expect(words("drives[")).toEqual([]);
    expect(words("x.y")).toEqual([]);
    expect(completeKeys("role", names)[0].help).toBe("primary, backup, mirror or relay");
  });

  it("tell what may stand there", () => {
    expect(describeKey(["arrays", "x", "level"])).toMatchObject({ kind: "value", allowed: [1, 5], expected: "1 or 5" });
    expect(describeKey(["journal", "cache"])?.expected).toContain("a size such as 128MiB");
    expect(describeKey(["site", "location", "latitude"])?.expected).toContain("degrees");
    expect(describeKey(["volumes"])?.kind).toBe("entries");
    expect(describeKey(["volumes", "x", "blockSize"])?.allowed).toEqual([512, 4096]);
    expect(describeKey(["nothing"])).toBeUndefined();
  });
});
