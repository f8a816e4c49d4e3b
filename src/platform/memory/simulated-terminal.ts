/** Terminals in memory: a test types on them, sees what they show, and pulls them out. */

import { OperatingError } from "../../base/operating-error.ts";
import type { Speed, Terminal, TerminalHandlers, TerminalSize, Terminals } from "../terminal.ts";

export class SimulatedTerminals implements Terminals {
  readonly #lines = new Map<string, SimulatedLine>();

  /** Plugs a device in. */
  add(path: string, size?: TerminalSize): SimulatedLine {
    const line = new SimulatedLine(path, size);
    this.#lines.set(path, line);
    return line;
  }

  /** Pulls it out. */
  remove(path: string): void {
    this.#lines.get(path)?.hangUp();
    this.#lines.delete(path);
  }

  open(path: string | undefined, speed: Speed | undefined, handlers: TerminalHandlers): Terminal {
    const line = this.#lines.get(path ?? "own");
    if (line === undefined) {
      throw new OperatingError("terminal.missing", `There is no terminal ${path}.`, "Plug it in, or name another.");
    }
    if (line.isOpen) {
      throw new OperatingError("terminal.busy", `Another console has ${path}.`, "End that one, or name another.");
    }
    line.opened(speed, handlers);
    return line;
  }
}

export class SimulatedLine implements Terminal {
  #handlers: TerminalHandlers | undefined;
  speed: Speed | undefined;
  /** Everything that it was sent. */
  written = "";
  /** It takes nothing until this is false again. */
  isStuck = false;
  #waiting: (() => void)[] = [];

  constructor(
    readonly name: string,
    private readonly fixedSize: TerminalSize | undefined,
  ) {}

  get isOpen(): boolean {
    return this.#handlers !== undefined;
  }

  opened(speed: Speed | undefined, handlers: TerminalHandlers): void {
    this.#handlers = handlers;
    this.speed = speed;
  }

  size(): TerminalSize | undefined {
    return this.fixedSize;
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#handlers === undefined) return Promise.resolve();
    this.written += new TextDecoder().decode(bytes);
    return this.isStuck ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve();
  }

  setSpeed(speed: Speed): void {
    this.speed = speed;
  }

  close(): void {
    this.#handlers = undefined;
    this.unstick();
  }

  unstick(): void {
    this.isStuck = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Somebody types. */
  type(text: string): void {
    this.#handlers?.onData(new TextEncoder().encode(text));
  }

  sendBreak(): void {
    this.#handlers?.onBreak();
  }

  hangUp(): void {
    const handlers = this.#handlers;
    this.#handlers = undefined;
    this.unstick();
    handlers?.onHangUp();
  }
}
