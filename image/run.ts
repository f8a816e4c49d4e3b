/** The programs that build the image, each run to its end in an environment that is the same everywhere. */

import { spawnSync } from "node:child_process";
import { BUILD_ENVIRONMENT } from "./identity.ts";

/** Something about this machine that the builder can set right: told without a stack trace. */
export class BuildError extends Error {}

const OUTPUT_BYTES_MAX = 1 << 30;

export interface RunOptions {
  readonly input?: Uint8Array | string;
  readonly cwd?: string;
}

/** @returns its standard output. Throws `BuildError` where it does not end well. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Buffer {
  const { status, signal, error, stdout, stderr } = spawnSync(program, args, {
    ...options,
    env: BUILD_ENVIRONMENT,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  if (status === 0) return stdout;
  const reason = error?.message ?? (signal === null ? `exit code ${status}` : `ended by ${signal}`);
  throw new BuildError(`${program} ${args.join(" ")}: ${reason}\n${stderr ?? ""}`.trimEnd());
}

export function runText(program: string, args: readonly string[], options: RunOptions = {}): string {
  return run(program, args, options).toString("utf8");
}
