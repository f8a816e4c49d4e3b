/** A real NUT server with a UPS that a file makes up: Debian's `upsd` and `dummy-ups`, each a process that a test may end. */

import type { ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { bound, until } from "./harness.ts";

const PROGRAMS = "/lib/nut";
const END_DEADLINE_MS = 20_000;
/** Seconds after which `upsd` takes what a driver told it for out of date. */
const MAX_AGE_S = 4;

type Program = "upsd" | "dummy-ups";

export class NutServer {
  readonly #dir: string;
  readonly #running = new Map<Program, ChildProcess>();

  /** @param dir a new folder for it is made in */
  constructor(
    dir: string,
    readonly port: number,
  ) {
    this.#dir = `${dir}/nut`;
    mkdirSync(`${this.#dir}/state`, { recursive: true });
    const put = (file: string, ...lines: readonly string[]) =>
      writeFileSync(`${this.#dir}/${file}`, lines.map((line) => `${line}\n`).join(""), { mode: 0o640 });
    put("nut.conf", "MODE=netserver");
    put("ups.conf", "pollinterval = 1", "[ups]", "driver = dummy-ups", `port = ${this.#dir}/ups.dev`);
    put("upsd.conf", `LISTEN 127.0.0.1 ${port}`, `MAXAGE ${MAX_AGE_S}`);
    put("upsd.users");
    this.show("OL", 100);
  }

  /** From now on the UPS says so of itself. */
  show(status: string, charge: number): void {
    writeFileSync(`${this.#dir}/ups.dev`, `ups.status: ${status}\nbattery.charge: ${charge}\n`);
  }

  start(program: Program): void {
    const places = ["NUT_CONFPATH=", "NUT_STATEPATH=", "NUT_ALTPIDPATH="].map(
      (name, at) => `${name}${this.#dir}${at === 0 ? "" : "/state"}`,
    );
    const args = program === "upsd" ? [] : ["-a", "ups"];
    // With -D they stay in the foreground; as themselves they are not allowed into a test's folder.
    const command = [...places, `${PROGRAMS}/${program}`, ...args, "-u", "root", "-D"];
    this.#running.set(program, bound("env", command, ["ignore", "ignore", "ignore"]));
  }

  signal(program: Program, signal: "SIGSTOP" | "SIGCONT"): void {
    this.#running.get(program)?.kill(signal);
  }

  async end(program: Program): Promise<void> {
    const child = this.#running.get(program);
    this.#running.delete(program);
    child?.kill("SIGKILL");
    await until(`${program} ends`, END_DEADLINE_MS, () => child === undefined || child.signalCode !== null);
  }

  async close(): Promise<void> {
    for (const program of [...this.#running.keys()]) await this.end(program);
  }
}
