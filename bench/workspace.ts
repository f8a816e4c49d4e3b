/**
 * All that a run leaves on the machine while it runs: one new folder, and the processes that it started. `close` ends
 * the processes and removes the folder; so do Ctrl-C and SIGTERM. Nothing that was not started here is ever signalled.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { constants } from "node:os";
import { join, resolve } from "node:path";
import { BenchFailure } from "./failure.ts";

const STOP_DEADLINE_MS = 20_000;
const LOG_LINES_SHOWN = 12;

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** A process that runs until it is told to stop. */
export class Daemon {
  readonly pid: number;
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #log: string;
  readonly #exited: Promise<void>;
  #running = true;

  constructor(name: string, process: ChildProcess, log: string) {
    if (process.pid === undefined) throw new BenchFailure(`${name} can't be started.`);
    this.pid = process.pid;
    this.#name = name;
    this.#process = process;
    this.#log = log;
    this.#exited = new Promise((exited) => {
      process.once("exit", () => {
        this.#running = false;
        exited();
      });
    });
  }

  get running(): boolean {
    return this.#running;
  }

  /** @throws BenchFailure with the end of its log where it is not running any more */
  assertRunning(): void {
    if (!this.#running) throw new BenchFailure(`${this.#name} ended. The end of its log:\n${this.logEnd()}`);
  }

  logEnd(): string {
    return readFileSync(this.#log, "utf8").trimEnd().split("\n").slice(-LOG_LINES_SHOWN).join("\n");
  }

  /** Sends SIGTERM, and SIGKILL after `graceMs`. */
  async stop(graceMs = STOP_DEADLINE_MS): Promise<void> {
    if (!this.#running) return;
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), graceMs);
    await this.#exited;
    clearTimeout(timer);
  }

  kill(): void {
    if (this.#running) this.#process.kill("SIGKILL");
  }
}

export class Workspace {
  readonly dir: string;
  readonly #daemons = new Set<Daemon>();
  readonly #commands = new Set<ChildProcess>();
  #closed = false;

  /** @param parent the folder that the new one is made in: on the disk that is measured */
  constructor(parent: string) {
    mkdirSync(parent, { recursive: true });
    this.dir = mkdtempSync(join(resolve(parent), "antipode-bench-"));
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => {
        // No goodbyes: what these processes hold is removed with them.
        this.#abandon();
        process.exit(128 + constants.signals[signal]);
      });
    }
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  /** A new folder for one site or target. */
  folder(name: string): string {
    const path = this.path(name);
    mkdirSync(path);
    return path;
  }

  remove(path: string): void {
    rmSync(path, { recursive: true, force: true });
  }

  start(
    name: string,
    program: string,
    args: readonly string[],
    log: string,
    env: Readonly<Record<string, string>> = {},
  ): Daemon {
    const file = openSync(log, "a");
    const child = spawn(program, args, { stdio: ["ignore", file, file], env: { ...process.env, ...env } });
    closeSync(file);
    child.once("error", () => {});
    const daemon = new Daemon(name, child, log);
    this.#daemons.add(daemon);
    child.once("exit", () => this.#daemons.delete(daemon));
    return daemon;
  }

  /** Runs a program to its end. @throws BenchFailure where it fails, or has not ended after `deadlineMs` and is killed */
  async run(
    program: string,
    args: readonly string[],
    deadlineMs: number,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Output> {
    if (this.#closed) throw new BenchFailure("stopped.");
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    this.#commands.add(child);
    let expired = false;
    const timer = setTimeout(() => {
      expired = true;
      child.kill("SIGKILL");
    }, deadlineMs);
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text;
    });
    const ended = await new Promise<string | undefined>((done) => {
      child.once("error", (error) => done(error.message));
      child.once("close", (code, signal) => done(code === 0 ? undefined : `exit code ${code ?? signal}`));
    });
    clearTimeout(timer);
    this.#commands.delete(child);
    if (ended === undefined) return output;
    const how = expired ? `not ended after ${deadlineMs / 1000} s` : ended;
    const said = (output.stderr || output.stdout).trim();
    throw new BenchFailure(`${program} ${args.join(" ")}: ${how}${said === "" ? "" : `\n${said}`}`);
  }

  /** Ends what still runs and removes the folder. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#daemons].map((daemon) => daemon.stop()));
    this.#abandon();
  }

  #abandon(): void {
    this.#closed = true;
    for (const command of this.#commands) command.kill("SIGKILL");
    for (const daemon of this.#daemons) daemon.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** TCP ports of this machine that are free now; all different. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((listening, failed) => {
        server.once("error", failed);
        server.listen(0, "127.0.0.1", () => listening());
      });
      return server;
    }),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new BenchFailure("no TCP port can be found.");
    return address.port;
  });
  for (const server of servers) server.close();
  return ports;
}
