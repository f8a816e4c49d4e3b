/**
 * Debian's tgtd over one file, as two LUNs: one through the page cache, which is read, and written where writes need not be
 * durable, and one with O_SYNC (`--bsoflags sync`). Has its own control socket, so that it meddles with no other tgtd of
 * the machine.
 */

import { existsSync } from "node:fs";
import { BenchFailure, until } from "./failure.ts";
import { lunUrl, TARGET_IQN, type Target } from "./target.ts";
import { writeBack } from "./volume-file.ts";
import { type Daemon, freePorts, type Workspace } from "./workspace.ts";

/** Of this run's own socket, so any number does. */
const CONTROL_PORT = 1;
/** LUN 0 of tgtd is its controller. */
const CACHED_LUN = 1;
const DURABLE_LUN = 2;
const COMMAND_DEADLINE_MS = 10_000;
const START_DEADLINE_MS = 10_000;
const STOP_GRACE_MS = 3000;

/** Whether a write is acknowledged once it is on the disk, or once it is in the page cache. */
export type Writes = "durable" | "cached";

export const TGTD = "tgtd";

export class Tgtd implements Target {
  readonly name = TGTD;
  readonly readUrl: string;
  readonly writeUrl: string;
  readonly pids: readonly number[];
  readonly #workspace: Workspace;
  readonly #dir: string;
  readonly #daemon: Daemon;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #file: string;

  private constructor(
    workspace: Workspace,
    dir: string,
    daemon: Daemon,
    environment: Readonly<Record<string, string>>,
    file: string,
    port: number,
    writes: Writes,
  ) {
    this.#workspace = workspace;
    this.#dir = dir;
    this.#daemon = daemon;
    this.#environment = environment;
    this.#file = file;
    this.pids = [daemon.pid];
    this.readUrl = lunUrl(port, CACHED_LUN);
    this.writeUrl = lunUrl(port, writes === "durable" ? DURABLE_LUN : CACHED_LUN);
  }

  /** @param file of the volume's size */
  static async start(workspace: Workspace, file: string, blockBytes: number, writes: Writes): Promise<Tgtd> {
    const dir = workspace.folder("tgtd");
    const [port] = await freePorts(1);
    const socket = `${dir}/control`;
    const environment = { TGT_IPC_SOCKET: socket };
    const args = ["-f", "-C", `${CONTROL_PORT}`, "--iscsi", `portal=127.0.0.1:${port}`];
    const daemon = workspace.start("tgtd", "tgtd", args, `${dir}/log`, environment);
    const target = new Tgtd(workspace, dir, daemon, environment, file, port, writes);
    await until("tgtd answered", START_DEADLINE_MS, () => {
      daemon.assertRunning();
      return existsSync(`${socket}.${CONTROL_PORT}`);
    });
    await target.#admin("--lld", "iscsi", "--mode", "target", "--op", "new", "--tid", "1", "-T", TARGET_IQN);
    await target.#logicalUnit(CACHED_LUN, file, blockBytes);
    await target.#logicalUnit(DURABLE_LUN, file, blockBytes, "--bsoflags", "sync");
    await target.#admin("--lld", "iscsi", "--mode", "target", "--op", "bind", "--tid", "1", "-I", "ALL");
    return target;
  }

  async settle(): Promise<void> {
    this.#daemon.assertRunning();
    writeBack(this.#file);
  }

  async stop(): Promise<void> {
    try {
      await this.#admin("--lld", "iscsi", "--mode", "target", "--op", "delete", "--force", "--tid", "1");
      await this.#admin("--mode", "system", "--op", "delete");
    } catch (error) {
      if (!(error instanceof BenchFailure)) throw error;
    }
    // It ends by itself after that. With a target left, it would ignore SIGTERM.
    await this.#daemon.stop(STOP_GRACE_MS);
    this.#workspace.remove(this.#dir);
  }

  #logicalUnit(lun: number, file: string, blockBytes: number, ...more: readonly string[]): Promise<void> {
    const unit = ["--lld", "iscsi", "--mode", "logicalunit", "--op", "new", "--tid", "1", "--lun", `${lun}`];
    return this.#admin(...unit, "--backing-store", file, "--blocksize", `${blockBytes}`, ...more);
  }

  async #admin(...args: readonly string[]): Promise<void> {
    await this.#workspace.run("tgtadm", ["-C", `${CONTROL_PORT}`, ...args], COMMAND_DEADLINE_MS, this.#environment);
  }
}
