/**
 * The system of a virtual machine that tests and benchmarks boot, as far as all of them have it: Debian's kernel, and in
 * memory busybox, kernel modules and `/init`. Programs and files come from whoever makes one.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Tree } from "./cpio.ts";
import type { DebianPackage } from "./debian.ts";
import { selectModules } from "./modules.ts";
import { Programs } from "./programs.ts";

export interface GuestParts {
  readonly kernel: DebianPackage;
  readonly busybox: DebianPackage;
  /** As `Programs` takes them. */
  readonly roots: readonly string[];
  /** Of the kernel package's modules: these, and all that they depend on. `/etc/modules` lists them for `/init`. */
  readonly modules: readonly string[];
  /** Content of the script that is the first process. */
  readonly init: string;
}

/** Paths. */
export interface GuestFiles {
  readonly kernel: string;
  readonly initramfs: string;
}

export class GuestSystem {
  readonly programs: Programs;
  /** Of the kernel. */
  readonly release: string;
  readonly #tree = new Tree();
  readonly #folder: string;
  readonly #kernelRoot: string;

  /** @param folder is there, and is the guest's alone */
  constructor(folder: string, { kernel, busybox, roots, modules, init }: GuestParts) {
    this.#folder = folder;
    this.#kernelRoot = kernel.root;
    this.programs = new Programs(this.#tree, roots);
    this.programs.addFrom("bin/busybox", join(busybox.root, "bin/busybox"));
    this.link("bin/sh", "busybox");
    // Where the kernel looks for it.
    this.link("sbin/modprobe", "../bin/busybox");
    this.#tree.add("dev/console", { kind: "device", major: 5, minor: 1 });
    const selected = selectModules(kernel.root, modules, join(folder, "modules"));
    this.release = selected.release;
    for (const file of selected.files) {
      this.#tree.add(file, { kind: "file", content: readFileSync(join(selected.root, file)) });
    }
    this.text("etc/modules", modules.join(" "));
    this.text("init", init, 0o755);
  }

  text(path: string, content: string, mode = 0o644): void {
    this.#tree.add(path, { kind: "file", mode, content: new TextEncoder().encode(content) });
  }

  link(path: string, to: string): void {
    this.#tree.add(path, { kind: "link", to });
  }

  write(): GuestFiles {
    const files = guestFiles(this.#folder);
    writeFileSync(files.kernel, readFileSync(join(this.#kernelRoot, "boot", `vmlinuz-${this.release}`)));
    writeFileSync(files.initramfs, this.#tree.archive());
    return files;
  }
}

/** Where `write` puts them. */
export function guestFiles(folder: string): GuestFiles {
  return { kernel: join(folder, "vmlinuz"), initramfs: join(folder, "initramfs") };
}
