/** Programs out of unpacked Debian packages, or of this machine's own, each with the libraries that it and they are linked with, found as the loader would. */

import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import type { Tree } from "./cpio.ts";
import { runText } from "./run.ts";

/** Where Debian's loader looks. */
const LIBRARY_FOLDERS = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib", "usr/lib"];
const LOADER = "ld-linux-x86-64.so.2";

export class Programs {
  readonly #tree: Tree;
  readonly #roots: readonly string[];
  readonly #added = new Set<string>();

  /** @param roots folders that packages are unpacked in, or `/`: what is installed here */
  constructor(tree: Tree, roots: readonly string[]) {
    this.#tree = tree;
    this.#roots = roots;
    this.#add(join("lib64", LOADER), this.#library(LOADER).from);
  }

  /** @param path of a file in one of the packages: a program, or a library that programs open by name */
  add(path: string): void {
    this.#addLinked(path, this.#find([path], path).from);
  }

  /** As `add`, of every file of a folder. */
  addAll(folder: string): void {
    for (const root of this.#roots) {
      if (!existsSync(join(root, folder))) continue;
      for (const name of readdirSync(join(root, folder))) {
        const path = join(folder, name);
        if (!lstatSync(join(root, path)).isDirectory()) this.#addLinked(path, join(root, path));
      }
    }
  }

  /** As `add`, of a program that is in none of the packages. */
  addFrom(path: string, from: string): void {
    this.#addLinked(path, from);
  }

  #addLinked(path: string, from: string): void {
    this.#add(path, from);
    const isProgram = readFileSync(from).subarray(1, 4).toString("latin1") === "ELF";
    if (!isProgram) return;
    for (const [, name] of runText("objdump", ["-p", realpathSync(from)]).matchAll(/^ *NEEDED +(\S+)$/gm)) {
      if (name === LOADER) continue;
      const library = this.#library(name);
      if (!this.#added.has(library.path)) this.#addLinked(library.path, library.from);
    }
  }

  #library(name: string): Found {
    return this.#find(
      LIBRARY_FOLDERS.map((folder) => join(folder, name)),
      name,
    );
  }

  #find(paths: readonly string[], what: string): Found {
    for (const root of this.#roots) {
      for (const path of paths) if (existsSync(join(root, path))) return { path, from: join(root, path) };
    }
    throw new Error(`${what} is in none of ${this.#roots.map((root) => basename(root) || root).join(", ")}`);
  }

  #add(path: string, from: string): void {
    if (this.#added.has(path)) return;
    this.#added.add(path);
    this.#tree.add(path, { kind: "file", mode: 0o755, content: readFileSync(from) });
  }
}

interface Found {
  readonly path: string;
  readonly from: string;
}
