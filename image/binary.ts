/**
 * The `antipode` command as one program: runtime and sources together.
 *
 * It is bundled and compiled in two steps, since the bundler writes folders' paths into some libraries; between the
 * steps they are replaced, so that every clone makes the same bytes.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.ts";

const STANDS_FOR_ROOT = "/antipode";

/**
 * @param root of the clone
 * @param work a folder for this alone, made anew
 * @returns the program's path
 */
export function compileBinary(root: string, work: string): string {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const bundle = join(work, "antipode.js");
  const form = ["--target=bun", "--format=esm"];
  run(process.execPath, ["build", ...form, "--minify", join(root, "src/main.ts"), "--outfile", bundle], { cwd: root });
  writeFileSync(bundle, readFileSync(bundle, "utf8").replaceAll(root, STANDS_FOR_ROOT));
  const compile = ["build", ...form, "--compile", "--bytecode", "antipode.js", "--outfile", "antipode"];
  run(process.execPath, compile, { cwd: work });
  return join(work, "antipode");
}
