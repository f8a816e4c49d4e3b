/** The package by itself, in a process of its own, over a file that is there. */

import { connect } from "node:net";
import { join } from "node:path";
import { until } from "./failure.ts";
import { lunUrl, type Target } from "./target.ts";
import { writeBack } from "./volume-file.ts";
import { type Daemon, freePorts, type Workspace } from "./workspace.ts";

const SERVER = join(import.meta.dirname, "package-server.ts");
/** Of an emulated machine as well. */
const UP_DEADLINE_MS = 60_000;

export class PackageTarget implements Target {
  readonly readUrl: string;
  readonly writeUrl: string;
  readonly pids: readonly number[];

  private constructor(
    readonly name: string,
    port: number,
    readonly daemon: Daemon,
    readonly file: string,
  ) {
    this.readUrl = lunUrl(port, 0);
    this.writeUrl = this.readUrl;
    this.pids = [daemon.pid];
  }

  static async start(workspace: Workspace, name: string, file: string, blockBytes: number): Promise<PackageTarget> {
    const [port] = await freePorts(1);
    const args = [SERVER, file, `${port}`, `${blockBytes}`];
    const daemon = workspace.start(name, process.execPath, args, workspace.path(`${name}.log`));
    await until(`${name} answered`, UP_DEADLINE_MS, () => {
      daemon.assertRunning();
      return answers(port);
    });
    return new PackageTarget(name, port, daemon, file);
  }

  async settle(): Promise<void> {
    this.daemon.assertRunning();
    writeBack(this.file);
  }

  async stop(): Promise<void> {
    await this.daemon.stop();
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}
