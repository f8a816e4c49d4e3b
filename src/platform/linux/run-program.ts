/** Runs another program to its end, such as one that the appliance's owner named. */

import { spawn } from "node:child_process";
import type { Millis } from "../../base/units.ts";

/** Of what it says, the end is kept, unless more is wanted. */
const OUTPUT_CHARACTERS_MAX = 4096;

export interface ProgramEnd {
  /** Undefined where a signal ended it, the deadline's own included, or where it could not be started. */
  readonly code: number | undefined;
  /** The end of what it said on both outputs, or why it could not be started. */
  readonly output: string;
}

/** Kills it when it takes longer. Never rejects. */
export function runProgram(
  path: string,
  args: readonly string[],
  timeMax: Millis,
  charactersMax = OUTPUT_CHARACTERS_MAX,
): Promise<ProgramEnd> {
  return new Promise((resolve) => {
    const child = spawn(path, args, { stdio: ["ignore", "pipe", "pipe"], timeout: timeMax, killSignal: "SIGKILL" });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output = (output + text).slice(-charactersMax);
      });
    }
    child.once("error", (error) => resolve({ code: undefined, output: error.message }));
    child.once("close", (code) => resolve({ code: code ?? undefined, output: output.trim() }));
  });
}
