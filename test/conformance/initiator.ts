/** QEMU's own initiator, as one-off commands and as a session that stays open. */

import { expect } from "vitest";
import type { Result, Running, Workbench } from "./workbench.ts";

/** Runs qemu-io commands in one session, and expects all of them to succeed. */
export async function qemuIo(bench: Workbench, url: string, ...commands: readonly string[]): Promise<Result> {
  const result = await tryQemuIo(bench, url, ...commands);
  expect(result.code, result.text).toBe(0);
  return result;
}

export function tryQemuIo(bench: Workbench, url: string, ...commands: readonly string[]): Promise<Result> {
  return bench.run("qemu-io", ["-f", "raw", ...commands.flatMap((command) => ["-c", command]), url]);
}

/** Runs a program, and expects it to succeed. @returns what it said */
export async function tool(bench: Workbench, program: string, ...args: readonly string[]): Promise<string> {
  const { code, text } = await bench.run(program, args);
  expect(code, `${program} ${args.join(" ")}\n${text}`).toBe(0);
  return text;
}

const PROMPT = "qemu-io> ";
const FAILURE = /fail|error|invalid/i;

/** A session that stays logged in while something else goes on. */
export class OpenSession {
  readonly #process: Running;
  #failed = false;

  private constructor(process: Running) {
    this.#process = process;
  }

  static async open(bench: Workbench, url: string): Promise<OpenSession> {
    const session = new OpenSession(bench.start("qemu-io", ["-f", "raw", url]));
    await session.#process.says(PROMPT);
    return session;
  }

  /** Runs one command. @returns what was said to it */
  async attempt(line: string): Promise<string> {
    const before = this.#process.text.length;
    this.#process.tell(`${line}\n`);
    await this.#process.says(new RegExp(`^[^]{${before}}[^]*${PROMPT}$`));
    const answer = this.#process.text.slice(before);
    if (FAILURE.test(answer)) this.#failed = true;
    return answer;
  }

  /** Runs one command and expects it to succeed. */
  async command(line: string): Promise<void> {
    const answer = await this.attempt(line);
    expect(answer, line).not.toMatch(FAILURE);
    expect(answer, line).toMatch(/bytes at offset/);
  }

  /** Logs out. QEMU then says by its exit code whether one of the commands failed. */
  async close(): Promise<void> {
    this.#process.tell("quit\n");
    expect(await this.#process.ends(), this.#process.text).toBe(this.#failed ? 1 : 0);
  }
}
