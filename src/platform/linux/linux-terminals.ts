/**
 * Terminals of this machine, as streams of `serialport`.
 *
 * Invariant: whatever way the program ends short of SIGKILL, its terminals are in the modes that they were found in.
 */

import { SerialPortStream } from "@serialport/stream";
import type { Clock } from "../clock.ts";
import type { Speed, Terminal, TerminalHandlers, TerminalSize, Terminals } from "../terminal.ts";
import { BreakMarks } from "./break-marks.ts";
import { TerminalPort } from "./terminal-port.ts";

/** More than this waiting to be sent means that nobody reads. */
const UNSENT_BYTES_MAX = 1024 * 1024;
/** Read at once: keys, and what is pasted. */
const READ_BYTES = 4096;

export function linuxTerminals(clock: Clock): Terminals {
  return { open: (path, speed, handlers) => new LinuxTerminal(clock, path, speed, handlers) };
}

class LinuxTerminal implements Terminal {
  readonly name: string;
  readonly #handlers: TerminalHandlers;
  readonly #port: TerminalPort;
  readonly #stream: SerialPortStream;
  readonly #marks = new BreakMarks();
  #closed = false;
  readonly #onExit = () => this.close();
  readonly #onResize = () => this.#handlers.onResize();

  constructor(clock: Clock, path: string | undefined, speed: Speed | undefined, handlers: TerminalHandlers) {
    this.name = path ?? "this terminal";
    this.#handlers = handlers;
    const port = new TerminalPort(clock, path, speed);
    this.#port = port;
    // It is opened by now, so that who opens it hears of trouble at once.
    const binding = { open: () => Promise.resolve(port) };
    this.#stream = new SerialPortStream({ path: this.name, baudRate: speed ?? 0, binding, highWaterMark: READ_BYTES });
    this.#stream.on("data", (bytes: Uint8Array) => this.#take(bytes));
    // Closed by itself: the line is gone. What could not be written then is an error of its own, and says no more.
    this.#stream.on("close", () => this.#hangUp());
    this.#stream.on("error", () => this.#hangUp());
    process.on("exit", this.#onExit);
    process.on("SIGWINCH", this.#onResize);
  }

  size(): TerminalSize | undefined {
    return this.#port.size();
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const sent = new Promise<void>((resolve) => {
      this.#stream.write(bytes, () => resolve());
    });
    if (this.#stream.writableLength > UNSENT_BYTES_MAX) this.#hangUp();
    return sent;
  }

  setSpeed(speed: Speed): void {
    if (!this.#closed) this.#port.setSpeed(speed);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    process.off("exit", this.#onExit);
    process.off("SIGWINCH", this.#onResize);
    void this.#port.close();
    this.#stream.destroy();
  }

  #take(bytes: Uint8Array): void {
    const { data, breaks } = this.#marks.take(bytes);
    if (data.length > 0) this.#handlers.onData(data);
    for (let at = 0; at < breaks && !this.#closed; at++) this.#handlers.onBreak();
  }

  #hangUp(): void {
    if (this.#closed) return;
    this.close();
    this.#handlers.onHangUp();
  }
}
