import { describe, expect, it } from "vitest";
import { Tree } from "./cpio.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const content = (words: string) => new TextEncoder().encode(words);

describe("an archive", () => {
  it("has each entry in cpio's newc form, padded to four bytes", () => {
    const tree = new Tree();
    tree.add("a/f", { kind: "file", mode: 0o755, content: content("hello") });
    const header = (...fields: readonly string[]) => `070701${fields.join("")}`;
    const zero = "00000000";
    const [one, two] = ["00000001", "00000002"];
    const folder = header(one, "000041ed", zero, zero, two, zero, zero, zero, zero, zero, zero, two, zero);
    const file = header(two, "000081ed", zero, zero, one, zero, "00000005", zero, zero, zero, zero, "00000004", zero);
    const end = header(zero, zero, zero, zero, one, zero, zero, zero, zero, zero, zero, "0000000b", zero);
    expect(text(tree.archive())).toBe(`${folder}a\0${file}a/f\0\0\0hello\0\0\0${end}TRAILER!!!\0\0\0\0`);
  });

  it("is the same whatever order its entries came in", () => {
    const paths = ["z", "b/c", "b/a/x", "a"];
    const archive = (order: readonly string[]) => {
      const tree = new Tree();
      for (const path of order) tree.add(path, { kind: "file", content: content(path) });
      return text(tree.archive());
    };
    expect(archive(paths)).toBe(archive(paths.toReversed()));
  });

  it("has the folders above an entry before it, links and devices", () => {
    const tree = new Tree();
    tree.add("dev/console", { kind: "device", major: 5, minor: 1 });
    tree.add("bin/sh", { kind: "link", to: "busybox" });
    tree.add("dev", { kind: "folder" });
    expect(tree.paths()).toEqual(["bin", "bin/sh", "dev", "dev/console"]);
    const archive = text(tree.archive());
    expect(archive).toContain(`${"00000005"}${"00000001"}${"0000000c"}00000000dev/console\0`);
    expect(archive).toContain("bin/sh\0\0\0\0busybox\0");
  });

  it("has nothing twice", () => {
    const tree = new Tree();
    tree.add("a", { kind: "link", to: "b" });
    expect(() => tree.add("a", { kind: "link", to: "c" })).toThrow("a is in the tree twice");
  });
});
