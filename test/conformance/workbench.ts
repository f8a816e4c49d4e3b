/**
 * A new folder and the processes that are started in it, for tests with real processes. `close` ends what still runs,
 * each by its own id, and removes the folder. Nothing that was not started here is ever signalled.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const ANTIPODE = join(import.meta.dirname, "../../bin/antipode");

/** How long a command may take; the machine may be busy with much else. */
const COMMAND_DEADLINE_MS = 30_000;
const START_DEADLINE_MS = 30_000;
const POLL_MS = 10;

export interface Result {
  /** -1 where a signal ended it, or the deadline. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Both, as they came. */
  readonly text: string;
}

export interface RunOptions {
  readonly deadlineMs?: number;
  readonly cwd?: string;
}

/** Resolves when `condition` holds. Rejects after the deadline with what `describe` says then. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  describe: () => string,
  deadlineMs = START_DEADLINE_MS,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${describe()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** A process that runs until it is told to stop, with all that it has said so far. */
export class Running {
  readonly pid: number;
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;
  #text = "";
  #exit: { code: number | null; signal: NodeJS.Signals | null } | undefined;

  constructor(child: ChildProcess) {
    if (child.pid === undefined) throw new Error(`${child.spawnfile} can't be started`);
    this.pid = child.pid;
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#text += text;
      });
    }
    this.exited = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        this.#exit = { code, signal };
        resolve();
      });
    });
  }

  get text(): string {
    return this.#text;
  }

  get running(): boolean {
    return this.#exit === undefined;
  }

  /** Waits until it has said `text`. Rejects where it ends first. */
  async says(text: string | RegExp, deadlineMs?: number): Promise<void> {
    const said = () => (typeof text === "string" ? this.#text.includes(text) : text.test(this.#text));
    await until(
      () => said() || !this.running,
      () => `${text} in:\n${this.#text}`,
      deadlineMs,
    );
    if (!said()) throw new Error(`it ended before it said ${text}:\n${this.#text}`);
  }

  tell(line: string): void {
    this.#child.stdin?.write(line);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#child.kill(signal);
  }

  /** Waits until it ends. @returns its exit code; -1 where a signal ended it */
  async ends(): Promise<number> {
    await until(
      () => !this.running,
      () => `process ${this.pid} to end:\n${this.#text}`,
    );
    return this.#exit?.code ?? -1;
  }

  /** Tells it to end. @returns as `ends` */
  stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.signal(signal);
    return this.ends();
  }
}

export class Workbench {
  readonly dir = mkdtempSync(join(tmpdir(), "antipode-test-"));
  readonly #started = new Set<Running>();

  path(name: string): string {
    return join(this.dir, name);
  }

  /** @returns the path */
  write(name: string, content: string | Uint8Array): string {
    writeFileSync(this.path(name), content);
    return this.path(name);
  }

  start(program: string, args: readonly string[], { cwd = this.dir }: RunOptions = {}): Running {
    const running = new Running(spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], cwd }));
    this.#started.add(running);
    running.exited.then(() => this.#started.delete(running));
    return running;
  }

  /** Runs a program to its end; one that has not ended at the deadline is killed, and that is an error. */
  run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const { deadlineMs = COMMAND_DEADLINE_MS, cwd = this.dir } = options;
    return new Promise((resolve, reject) => {
      const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], cwd });
      const running = new Running(child);
      this.#started.add(running);
      let [stdout, stderr] = ["", ""];
      child.stdout?.on("data", (text: string) => {
        stdout += text;
      });
      child.stderr?.on("data", (text: string) => {
        stderr += text;
      });
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        reject(new Error(`${program} ${args.join(" ")} has not ended after ${deadlineMs} ms:\n${running.text}`));
      }, deadlineMs);
      child.once("error", reject);
      child.once("close", (code) => {
        clearTimeout(timer);
        this.#started.delete(running);
        resolve({ code: code ?? -1, stdout, stderr, text: running.text });
      });
    });
  }

  antipode(...args: readonly string[]): Promise<Result> {
    return this.run(ANTIPODE, args);
  }

  /** Starts a site and waits until it is up; of a primary, until hosts are served. */
  async serve(file: string, ...options: readonly string[]): Promise<Running> {
    const site = this.start(ANTIPODE, ["serve", file, ...options]);
    await site.says('"msg":"up"');
    if (site.text.includes('"role":"primary"')) await site.says('"msg":"serving hosts"');
    return site;
  }

  async close(): Promise<void> {
    const left = [...this.#started];
    for (const running of left) running.signal("SIGKILL");
    await Promise.all(left.map(({ exited }) => exited));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Below those that the kernel gives to outgoing connections, which would take a port before it is used. */
const PORTS: readonly [first: number, end: number] = [10_240, 32_000];

/** TCP ports of this machine that nobody listens on, and that no connection gets by itself. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers: Server[] = [];
  while (servers.length < count) {
    const port = PORTS[0] + Math.floor(Math.random() * (PORTS[1] - PORTS[0]));
    const server = await listening(port);
    if (server !== undefined) servers.push(server);
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** @returns a server on the port; undefined where the port is taken */
function listening(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error) => {
      if ("code" in error && error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
