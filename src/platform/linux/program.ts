/** Other programs of the machine, each run to its end. */

import { spawn, spawnSync } from "node:child_process";

/** Longer than any program that is run here takes. */
const DEADLINE_MS = 60_000;

/** @returns what went wrong, in the program's own words; undefined where it ended well */
export function runProgram(program: string, args: readonly string[]): string | undefined {
  const { status, signal, error, stdout, stderr } = spawnSync(program, args, {
    encoding: "utf8",
    timeout: DEADLINE_MS,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (status === 0) return undefined;
  const said = `${stdout ?? ""}${stderr ?? ""}`.trim();
  return said || error?.message || (signal === null ? `exit code ${status}` : `ended by ${signal}`);
}

/** Starts a program that goes on by itself, and does not wait for it. */
export function startProgram(program: string, args: readonly string[]): void {
  const child = spawn(program, args, { detached: true, stdio: "ignore" });
  // Whether it runs is seen by what it does; one that is missing must not end this process.
  child.on("error", () => {});
  child.unref();
}

/** Tells the process whose number a file holds to end; there may be neither. */
export function stopByPid(text: string): void {
  const pid = Number(text.trim());
  if (!Number.isInteger(pid) || pid <= 1) return;
  try {
    process.kill(pid, "SIGTERM");
  } catch {} // it has ended already
}
