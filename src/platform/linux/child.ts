/** Another process of this program, such as one site of several on this machine. */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";

export interface ChildExit {
  readonly code: number | null;
  readonly signal: string | null;
}

export class Child {
  readonly #process: ChildProcess;
  readonly exited: Promise<ChildExit>;
  /** How it ended, once it has. */
  exit: ChildExit | undefined;

  /** Runs this same program with other arguments; what it says goes to the end of a log file. */
  constructor(args: readonly string[], logPath: string) {
    const log = openSync(logPath, "a");
    // A compiled binary is its own program; from source, the runtime is given the script.
    const script = process.argv[1]?.endsWith(".ts") ? [process.argv[1]] : [];
    this.#process = spawn(process.execPath, [...script, ...args], { stdio: ["ignore", log, log] });
    closeSync(log);
    this.exited = new Promise((resolve) => {
      this.#process.once("exit", (code, signal) => {
        this.exit = { code, signal };
        resolve(this.exit);
      });
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  signal(name: "SIGTERM" | "SIGKILL"): void {
    if (this.exit === undefined) this.#process.kill(name);
  }
}
