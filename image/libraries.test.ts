import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Tree } from "./cpio.ts";
import { linkedWith, missingLibraries } from "./libraries.ts";

/** A program that every Debian has. */
const CAT = readFileSync("/bin/cat");
const LOADER = "/lib64/ld-linux-x86-64.so.2";

describe("what a program is linked with", () => {
  it("is read from its headers", () => {
    expect(linkedWith(CAT)).toEqual({ loader: LOADER, libraries: ["libc.so.6"] });
    expect(linkedWith(readFileSync(LOADER))).toEqual({ loader: undefined, libraries: [] });
    expect(linkedWith(readFileSync("/lib/x86_64-linux-gnu/libm.so.6")).libraries).toEqual(
      expect.arrayContaining(["libc.so.6"]),
    );
  });

  it("is nothing for what is no program", () => {
    for (const text of ["", "#!/bin/sh\n", "\x7fEL"]) {
      expect(linkedWith(new TextEncoder().encode(text)).libraries).toEqual([]);
    }
  });
});

describe("a tree", () => {
  it("lacks what its programs need and it does not have", () => {
    const tree = new Tree();
    tree.add("bin/cat", { kind: "file", content: CAT });
    tree.add("bin/dog", { kind: "link", to: "cat" });
    const [libc, loader] = ["lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2"];
    expect(missingLibraries(tree)).toEqual([`bin/cat needs ${libc}`, `bin/cat needs ${loader}`]);
    tree.add(loader, { kind: "file", content: readFileSync(LOADER) });
    expect(missingLibraries(tree)).toEqual([`bin/cat needs ${libc}`]);
    tree.add(libc, { kind: "file", content: readFileSync("/lib/x86_64-linux-gnu/libc.so.6") });
    expect(missingLibraries(tree)).toEqual([]);
  });
});
