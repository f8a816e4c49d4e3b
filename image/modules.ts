/**
 * The kernel modules of the image: those that are listed, and all that they depend on.
 *
 * Modules go in byte for byte, since their signatures are what lets a locked-down kernel load them.
 */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { BuildError, run } from "./run.ts";

/** What modprobe and hot-plug read; of all that depmod makes. */
const INDEXES = ["modules.dep", "modules.alias", "modules.softdep", "modules.builtin"];

/** The lines of a list that mean something: no comments, no dividing lines. */
export function listed(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#") && !line.endsWith(":"));
}

/** As the kernel compares names: '-' and '_' are one. */
function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1, path.indexOf(".ko")).replaceAll("-", "_");
}

/**
 * @param index content of modules.dep: `path: path path …`, the module and all that it needs
 * @returns paths, sorted
 */
export function closure(wanted: readonly string[], index: string, builtin: ReadonlySet<string>): readonly string[] {
  const needs = new Map(
    index
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const [path, ...rest] = line.split(/:? +|:$/).filter((part) => part !== "");
        return [nameOf(path), [path, ...rest]] as const;
      }),
  );
  const missing = wanted.filter((name) => !needs.has(name) && !builtin.has(name));
  if (missing.length > 0) throw new BuildError(`this kernel has no module ${missing.join(", ")}: correct modules.txt`);
  return [...new Set(wanted.flatMap((name) => needs.get(name) ?? []))].sort();
}

export interface ModuleTree {
  /** The kernel's release, by which it looks for its modules. */
  readonly release: string;
  /** Where `lib/modules/RELEASE` is. */
  readonly root: string;
  /** Files below `root`. */
  readonly files: readonly string[];
}

/** @param work a folder for this alone, made anew */
export function selectModules(kernelRoot: string, wanted: readonly string[], work: string): ModuleTree {
  const [release] = readdirSync(join(kernelRoot, "lib/modules"));
  const from = join(kernelRoot, "lib/modules", release);
  const map = join(kernelRoot, "boot", `System.map-${release}`);
  if (!existsSync(join(from, "modules.dep"))) run("depmod", ["-b", kernelRoot, "-F", map, release]);
  const builtin = readFileSync(join(from, "modules.builtin"), "utf8").split("\n").filter(Boolean).map(nameOf);
  const paths = closure(wanted, readFileSync(join(from, "modules.dep"), "utf8"), new Set(builtin));

  rmSync(work, { recursive: true, force: true });
  const to = join(work, "lib/modules", release);
  for (const path of [...paths, "modules.order", "modules.builtin", "modules.builtin.modinfo"]) {
    mkdirSync(dirname(join(to, path)), { recursive: true });
    cpSync(join(from, path), join(to, path));
  }
  run("depmod", ["-b", work, "-F", map, release]);
  const files = [...paths, ...INDEXES].map((path) => join("lib/modules", release, path));
  return { release, root: work, files };
}
