/**
 * A whole system of sites, each its own process over drives in a new folder, and what the tests do to them: kill,
 * freeze, thaw, start again, ask over the control socket, and reach with real initiators.
 *
 * Everything that is started ends with `close`, and with this process, however it ends. Every wait has a deadline.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, connect as openSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { DEMO_IQN, demoSites } from "../../src/cli/demo-plan.ts";
import type { VolumeVerdict } from "../../src/mirror/verify.ts";
import type { ControlAnswer } from "../../src/site/control-socket.ts";
import type { ForwardStatus, SiteStatus } from "../../src/site/status.ts";

export const MiB = 1024 * 1024;
export const GiB = 1024 * MiB;

export const COMMAND = join(import.meta.dirname, "../../bin/antipode");
const UP_DEADLINE_MS = 90_000;
const STOP_DEADLINE_MS = 45_000;
const ASK_DEADLINE_MS = 10_000;
const POLL_MS = 50;
const LOG_LINES_SHOWN = 15;

/** Every site of the demo, in the order of its plan: the primary first. */
export const SITES = ["denver", "springs", "boulder", "pueblo", "relay-east", "boston"] as const;
export type SiteName = (typeof SITES)[number];
export const PRIMARY = "denver" satisfies SiteName;
/** The sites that keep the volume. */
export const STORING = ["denver", "springs", "boulder", "pueblo", "boston"] as const satisfies readonly SiteName[];
export const VOLUME = "lun0";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Resolves when the condition holds; what it throws or gives at last is told when it does not within the deadline. */
export async function until(
  what: string,
  deadlineMs: number,
  condition: () => boolean | string | Promise<boolean | string>,
): Promise<void> {
  const start = performance.now();
  for (;;) {
    const held = await condition();
    if (held === true) return;
    if (performance.now() - start > deadlineMs) {
      throw new Error(`not within ${deadlineMs / 1000} s: ${what}${held === false ? "" : `; at last: ${held}`}`);
    }
    await pause(POLL_MS);
  }
}

export interface Ended {
  /** `null` where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end. It is ended with this process, and killed at the deadline, which is an error.
 * @param input what it reads on its standard input
 */
export async function run(program: string, args: readonly string[], deadlineMs: number, input = ""): Promise<Ended> {
  const child = bound(program, args, ["pipe", "pipe", "pipe"]);
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdin?.end(input);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, deadlineMs);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  clearTimeout(timer);
  if (late) throw new Error(`${program} ${args.join(" ")} did not end within ${deadlineMs / 1000} s\n${stderr}`);
  return { code, stdout, stderr };
}

/** As `run`, for a program that has to succeed. @returns its standard output */
export async function succeed(program: string, args: readonly string[], deadlineMs: number): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, deadlineMs);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: exit code ${code}\n${stdout}${stderr}`);
  return stdout;
}

/** Starts a program that the kernel ends when this process ends. */
export function bound(
  program: string,
  args: readonly string[],
  stdio: readonly ("pipe" | "ignore" | number)[],
): ChildProcess {
  return spawn("setpriv", ["--pdeathsig", "KILL", "--", program, ...args], { stdio: [...stdio] });
}

/** One site's process, and those that ran for the site before. */
export class SiteProcess {
  readonly name: SiteName;
  readonly file: string;
  readonly log: string;
  readonly socket: string;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #exit: string | undefined;
  #expected = false;

  constructor(dir: string, name: SiteName, file: string) {
    this.name = name;
    this.file = file;
    this.log = `${dir}/${name}.log`;
    this.socket = `${dir}/${name}.sock`;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#exit === undefined;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined || !this.running) throw new Error(`${this.name} does not run`);
    return pid;
  }

  start(): void {
    if (this.running) throw new Error(`${this.name} runs already`);
    const log = openSync(this.log, "a");
    const child = bound(COMMAND, ["serve", this.file], ["ignore", log, log]);
    closeSync(log);
    this.#child = child;
    this.#exit = undefined;
    this.#expected = false;
    this.#exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#exit = signal ?? `exit code ${code}`;
        resolve();
      });
    });
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    process.kill(this.pid, signal);
  }

  /** Ends it at once, whatever it does. */
  async kill(): Promise<void> {
    if (!this.running) return;
    this.#expected = true;
    process.kill(this.pid, "SIGKILL");
    await this.#exited;
  }

  /** Tells it to stop, and throws where it does not in time, or not with exit code 0. */
  async stop(): Promise<void> {
    if (!this.running) return;
    this.#expected = true;
    process.kill(this.pid, "SIGTERM");
    await until(`${this.name} stops`, STOP_DEADLINE_MS, () => !this.running);
    if (this.#exit !== "exit code 0") throw new Error(`${this.name} ended by ${this.#exit}\n${this.logEnd()}`);
  }

  /** Throws where it ended and nobody here told it to. */
  assertSound(): void {
    if (this.#exit === undefined || this.#expected) return;
    throw new Error(`${this.name} ended by itself, ${this.#exit}. The end of its log:\n${this.logEnd()}`);
  }

  logEnd(): string {
    return readFileSync(this.log, "utf8").trimEnd().split("\n").slice(-LOG_LINES_SHOWN).join("\n");
  }

  /** Asks over its control socket. Rejects where it does not answer within the deadline. */
  ask(words: readonly string[], deadlineMs: number): Promise<ControlAnswer> {
    return new Promise((resolve, reject) => {
      const socket = openSocket(this.socket);
      const timer = setTimeout(() => fail(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
      const fail = (error: Error) => {
        clearTimeout(timer);
        socket.destroy();
        reject(error);
      };
      let received = "";
      socket.setEncoding("utf8");
      socket.once("connect", () => socket.write(`${JSON.stringify({ words })}\n`));
      socket.once("error", fail);
      socket.once("close", () => fail(new Error("the connection was closed without an answer")));
      socket.on("data", (text: string) => {
        const lines = (received + text).split("\n");
        received = lines.pop() ?? "";
        for (const line of lines) {
          const answer: ControlAnswer = JSON.parse(line);
          if (answer.kind === "progress") continue;
          clearTimeout(timer);
          socket.destroy();
          resolve(answer);
        }
      });
    });
  }

  async status(): Promise<SiteStatus> {
    const answer = await this.ask(["show", "status"], ASK_DEADLINE_MS);
    if (answer.kind !== "result") throw new Error(`${this.name} answers show status with ${JSON.stringify(answer)}`);
    return answer.value as SiteStatus;
  }

  /** Resolves when its status is as `condition` wants it; a site that is starting and does not answer yet is asked again. */
  async untilStatus(what: string, deadlineMs: number, condition: (status: SiteStatus) => boolean): Promise<void> {
    await until(`${this.name}: ${what}`, deadlineMs, async () => {
      this.assertSound();
      let status: SiteStatus;
      try {
        status = await this.status();
      } catch (error) {
        return String(error);
      }
      return condition(status) || JSON.stringify(status);
    });
  }
}

export interface SystemOptions {
  readonly sizeBytes: number;
  readonly journalBytes: number;
}

/** As much of a site's YAML as tests look at or change. */
interface SiteYaml {
  readonly sites: Record<string, { address: string }>;
}

export class System {
  readonly dir: string;
  readonly port: number;
  readonly sites: ReadonlyMap<SiteName, SiteProcess>;

  private constructor(dir: string, port: number, sites: readonly SiteProcess[]) {
    this.dir = dir;
    this.port = port;
    this.sites = new Map(sites.map((site) => [site.name, site]));
  }

  /** Lays out the folder and the configurations; starts nothing. */
  static async create(options: SystemOptions): Promise<System> {
    const dir = mkdtempSync(join(tmpdir(), "antipode-system-"));
    const port = await freeDemoPort();
    const { sizeBytes, journalBytes } = options;
    const sites = demoSites({ dir, port, sizeBytes, journalBytes }).map(({ name, file, yaml }) => {
      const site = SITES.find((known) => known === name);
      if (site === undefined) throw new Error(`the demo has a site ${name} that these tests do not know`);
      mkdirSync(`${dir}/${name}`);
      writeFileSync(file, yaml);
      return new SiteProcess(dir, site, file);
    });
    if (sites.length !== SITES.length) throw new Error("the demo lacks a site that these tests count on");
    return new System(dir, port, sites);
  }

  /** The LUN, as initiators name it. */
  get url(): string {
    return `iscsi://127.0.0.1:${this.port}/${DEMO_IQN}/0`;
  }

  site(name: SiteName): SiteProcess {
    const site = this.sites.get(name);
    if (site === undefined) throw new Error(`no site ${name}`);
    return site;
  }

  /** Where `from` looks for `site`, as HOST:PORT. */
  addressOf(site: SiteName, from: SiteName): string {
    const { sites }: SiteYaml = parse(readFileSync(this.site(from).file, "utf8"));
    return sites[site].address;
  }

  /** Lets `from` look for `site` elsewhere, from its next start on. */
  redirect(from: SiteName, site: SiteName, address: string): void {
    const { file } = this.site(from);
    const config: SiteYaml = parse(readFileSync(file, "utf8"));
    config.sites[site].address = address;
    writeFileSync(file, stringify(config));
  }

  /** Starts every site, in this order, and waits until hosts are served and all legs are up to their ends. */
  async start(order: readonly SiteName[] = SITES): Promise<void> {
    for (const name of order) this.site(name).start();
    await this.untilWhole();
  }

  /** As `untilServing`, and the relay point is connected to the end of its leg. */
  async untilWhole(): Promise<void> {
    await this.untilServing();
    const isStreaming = (status: SiteStatus) => forwardTo(status, "boston").state === "streaming";
    await this.site("relay-east").untilStatus("streams to the end of its leg", UP_DEADLINE_MS, isStreaming);
  }

  async untilServing(deadlineMs = UP_DEADLINE_MS): Promise<void> {
    await until("every site runs and the primary serves with every leg up", deadlineMs, async () => {
      for (const site of this.sites.values()) site.assertSound();
      try {
        const { state, reason } = await this.site(PRIMARY).status();
        return state === "serving" || `${state}: ${reason}`;
      } catch (error) {
        return String(error);
      }
    });
  }

  /** Waits until every site has stored or passed on all that it journalled, and every site has heard of the same end. */
  async settle(deadlineMs = UP_DEADLINE_MS): Promise<void> {
    const { journal } = await this.site(PRIMARY).status();
    for (const site of this.sites.values()) {
      await site.untilStatus(
        `has retired all up to ${journal.appended}`,
        deadlineMs,
        (status) => status.journal.appended >= journal.appended && status.journal.retired === status.journal.appended,
      );
    }
  }

  /** Stops every site in order, the primary first, and demands a clean end of each. */
  async stop(): Promise<void> {
    for (const name of SITES) await this.site(name).stop();
  }

  /** Ends all, removes the folder. To be called however the test went. */
  async close(): Promise<void> {
    await Promise.all([...this.sites.values()].map((site) => site.kill()));
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** The end of every site's log, for the message of a test that failed. */
  logs(): string {
    return [...this.sites.values()].map((site) => `── ${site.name}\n${site.logEnd()}`).join("\n");
  }

  /** `antipode ctl` with these words, as people run it. */
  ctl(words: readonly string[], deadlineMs = ASK_DEADLINE_MS): Promise<Ended> {
    return run(COMMAND, ["ctl", "--dir", this.dir, ...words], deadlineMs);
  }

  /** `antipode ctl verify`: its exit code, and what it says of each site's copy of the volume. */
  async verify(deadlineMs = 120_000): Promise<{ exitCode: number | null; verdicts: Map<string, string> }> {
    const { code, stdout, stderr } = await this.ctl(["--json", "verify"], deadlineMs);
    if (code !== 0 && code !== 4) throw new Error(`verify: exit code ${code}\n${stdout}${stderr}`);
    const volumes: VolumeVerdict[] = JSON.parse(stdout);
    if (volumes.length !== 1) throw new Error(`verify speaks of ${volumes.length} volumes`);
    return { exitCode: code, verdicts: new Map(volumes[0].sites.map(({ site, verdict }) => [site, verdict])) };
  }

  /** `antipode inspect` of a stopped site. */
  inspect(name: SiteName, args: readonly string[] = [], deadlineMs = 60_000): Promise<Ended> {
    return run(COMMAND, ["inspect", this.site(name).file, ...args], deadlineMs);
  }

  /** Exports a stopped site's copy of the volume. @returns the file's path */
  async exportVolume(name: SiteName, deadlineMs = 60_000): Promise<string> {
    const file = join(this.dir, `${name}.export`);
    rmSync(file, { force: true });
    await succeed(COMMAND, ["inspect", this.site(name).file, "--volume", VOLUME, "--export", file], deadlineMs);
    return file;
  }
}

/** What every copy must be said to be when all is well. */
export const ALL_IDENTICAL: ReadonlyMap<string, string> = new Map(
  SITES.map((name) => [name, STORING.some((storing) => storing === name) ? "identical" : "diskless"]),
);

export function forwardTo(status: SiteStatus, name: SiteName): ForwardStatus {
  const found = status.forwards.find(({ sites }) => sites[0] === name);
  if (found === undefined) throw new Error(`${status.site} forwards nothing to ${name}`);
  return found;
}

/** A port for the portal such that the ports which the demo derives from it are free as well. */
export async function freeDemoPort(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const port = await listenOnce(0);
    if (port === undefined || port >= 61_000) continue;
    const [{ yaml }] = demoSites({ dir: "", port, sizeBytes: 64 * MiB, journalBytes: 64 * MiB });
    const { sites }: SiteYaml = parse(yaml);
    const links = Object.values(sites).map(({ address }) => Number(address.slice(address.lastIndexOf(":") + 1)));
    const found = await Promise.all(links.map(listenOnce));
    if (found.every((link) => link !== undefined)) return port;
  }
  throw new Error("no row of free TCP ports can be found");
}

/** Listens on a port for a moment. @returns the port, undefined where it is taken */
function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(address === null || typeof address === "string" ? undefined : address.port));
    });
  });
}
