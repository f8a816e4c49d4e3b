/** Loads the product with one deliberate fault in it: one line of one file is replaced while the file is loaded. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Breakage } from "./breakage.ts";
import { BREAKAGES } from "./list.ts";

const root = join(import.meta.dirname, "../../..");

/**
 * To be called before anything imports the file.
 * Throws where there is no such breakage, or the file has changed so that it no longer fits.
 */
export function applyBreakage(name: string): void {
  const breakage = BREAKAGES.find((each) => each.name === name);
  if (breakage === undefined) throw new Error(`there is no breakage ${name}`);
  const path = join(root, breakage.file);
  const contents = brokenSource(breakage, readFileSync(path, "utf8"));
  Bun.plugin({
    name: `breakage ${name}`,
    setup(build) {
      const filter = new RegExp(`^${path.replace(/[^\w/]/g, "\\$&")}$`);
      build.onLoad({ filter }, () => ({ contents, loader: "ts" }));
    },
  });
}

/** @returns the source with the fault in it. Throws unless what it replaces is there once */
export function brokenSource({ name, file, find, replace }: Breakage, source: string): string {
  const parts = source.split(find);
  if (parts.length !== 2)
    throw new Error(`breakage ${name} no longer fits ${file}: it finds its line ${parts.length - 1} times`);
  return parts.join(replace);
}
