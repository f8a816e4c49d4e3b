/**
 * A shell in a virtual machine for a test, on a port of virtio's: it runs each line that comes as a command, and answers
 * with its exit code and what it said. The guest's part is `SHELL_SCRIPT`; no image that is shipped has it.
 */

import { connect, type Socket } from "node:net";
import { until } from "../conformance/workbench.ts";

/** Of a command, on a machine that is busy with much else. */
const COMMAND_DEADLINE_MS = 60_000;
const START_DEADLINE_MS = 240_000;
/** A machine that was reset has forgotten the line. */
const ASK_AGAIN_MS = 2000;
const SHOWN_BYTES = 4000;

/**
 * Answers `done ID CODE BYTES`, and then the bytes. The port is the first behind virtio's console, which is port 0. While
 * nobody listens at it, every read ends at once.
 */
export const SHELL_SCRIPT = `#!/bin/sh
until set -- /dev/vport*p1 && [ -e "$1" ]; do sleep 0.2; done
while :; do
  while IFS=' ' read -r id command; do
    (eval "$command") >/run/said 2>&1 </dev/null
    echo "done $id $? $(stat -c %s /run/said)"
    cat /run/said
  done
  sleep 0.2
done <>"$1" >&0
`;

export interface Answer {
  readonly code: number;
  readonly text: string;
}

export class ShellPort {
  readonly #socket: Socket;
  #received = "";
  #commands = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    // What is said is compared with lengths in bytes.
    socket.setEncoding("latin1").on("data", (text: string) => {
      this.#received += text;
    });
    socket.on("error", () => socket.destroy());
  }

  /** QEMU's arguments. @param path of the Unix socket that QEMU makes */
  static device(path: string): readonly string[] {
    return [
      ...["-device", "virtio-serial-pci", "-chardev", `socket,id=shell,path=${path},server=on,wait=off`],
      ...["-device", "virtserialport,chardev=shell,name=shell"],
    ];
  }

  /** Connects as soon as QEMU has made the socket. */
  static async open(path: string): Promise<ShellPort> {
    let socket: Socket | undefined;
    await until(
      async () => {
        socket = await tryConnect(path);
        return socket !== undefined;
      },
      () => `QEMU listens at ${path}`,
    );
    if (socket === undefined) throw new Error(`${path} is gone`);
    return new ShellPort(socket);
  }

  /** Waits until the shell answers, also of a machine that has only been started, or reset. */
  async answers(deadlineMs = START_DEADLINE_MS): Promise<void> {
    const end = performance.now() + deadlineMs;
    for (;;) {
      try {
        await this.run("true", ASK_AGAIN_MS);
        return;
      } catch (error) {
        if (performance.now() > end) throw error;
      }
    }
  }

  /** Runs one line of shell. @returns how it ended and what it said */
  async run(command: string, deadlineMs = COMMAND_DEADLINE_MS): Promise<Answer> {
    if (command.includes("\n")) throw new Error(`more than one line: ${command}`);
    const id = ++this.#commands;
    this.#socket.write(`${id} ${command}\n`);
    const done = new RegExp(`done ${id} (\\d+) (\\d+)\\n`);
    let answer: Answer | undefined;
    await until(
      () => {
        const head = done.exec(this.#received);
        if (head === null) return false;
        const start = head.index + head[0].length;
        const end = start + Number(head[2]);
        if (this.#received.length < end) return false;
        const text = Buffer.from(this.#received.slice(start, end), "latin1").toString("utf8");
        answer = { code: Number(head[1]), text };
        this.#received = this.#received.slice(end);
        return true;
      },
      () => `the guest's answer to '${command}'; at last it said:\n${this.#received.slice(-SHOWN_BYTES)}`,
      deadlineMs,
    );
    if (answer === undefined) throw new Error(`'${command}' has no answer`);
    return answer;
  }

  /** As `run`, of a command that has to succeed. @returns what it said */
  async must(command: string, deadlineMs?: number): Promise<string> {
    const { code, text } = await this.run(command, deadlineMs);
    if (code !== 0) throw new Error(`'${command}' ended with code ${code}:\n${text}`);
    return text;
  }
}

function tryConnect(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", () => {
      socket.destroy();
      resolve(undefined);
    });
  });
}
