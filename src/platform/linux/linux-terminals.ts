/**
 * Terminals of this machine. One is opened twice, once for reading, so that the runtime owns the descriptor that it
 * waits on; modes belong to the device and not to descriptors.
 *
 * Invariant: whatever way the program ends short of SIGKILL, its terminals are in the modes that they were found in.
 */

import { closeSync, constants, openSync, writeSync } from "node:fs";
import { OperatingError } from "../../base/operating-error.ts";
import { millis } from "../../base/units.ts";
import type { Clock, Timer } from "../clock.ts";
import type { Speed, Terminal, TerminalHandlers, TerminalSize, Terminals } from "../terminal.ts";
import { BreakMarks } from "./break-marks.ts";
import { Errno, errnoName, flock, LOCK_EX, LOCK_NB, O_CLOEXEC } from "./libc.ts";
import { type Modes, modesOf, rawModes, setModes, sizeOf, withSpeed } from "./termios.ts";

/** Where the terminal that the program was started from is opened anew. */
const OWN = "/proc/self/fd/0";
/** How long to wait until a full line is tried again: at 9600 baud it takes 20 bytes in that time. */
const FULL_RETRY = millis(20);
/** More than this waiting to be sent means that nobody reads. */
const UNSENT_BYTES_MAX = 1024 * 1024;

export function linuxTerminals(clock: Clock): Terminals {
  return { open: (path, speed, handlers) => new LinuxTerminal(clock, path, speed, handlers) };
}

class LinuxTerminal implements Terminal {
  readonly name: string;
  readonly #clock: Clock;
  readonly #handlers: TerminalHandlers;
  readonly #fd: number;
  readonly #readFd: number;
  readonly #found: Modes;
  #modes: Modes;
  readonly #marks = new BreakMarks();
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #unsent: { readonly bytes: Uint8Array; readonly resolve: () => void }[] = [];
  #unsentBytes = 0;
  #retry: Timer | undefined;
  #closed = false;
  readonly #onExit = () => this.close();
  readonly #onResize = () => this.#handlers.onResize();

  constructor(clock: Clock, path: string | undefined, speed: Speed | undefined, handlers: TerminalHandlers) {
    this.name = path ?? "this terminal";
    this.#clock = clock;
    this.#handlers = handlers;
    this.#fd = openTerminal(path);
    const found = modesOf(this.#fd);
    if (found === undefined) {
      closeSync(this.#fd);
      throw path === undefined ? noTerminal() : unusable(path, "it is no terminal");
    }
    this.#found = found;
    // One console for a line: two would each get some of the keys. Where the program was started from is shared with a shell.
    if (path !== undefined && flock(this.#fd, LOCK_EX | LOCK_NB) < 0) {
      closeSync(this.#fd);
      throw new OperatingError("terminal.busy", `Another console has ${path}.`, "End that one, or name another line.");
    }
    this.#modes = rawModes(found);
    if (speed !== undefined) this.#modes = withSpeed(this.#modes, speed);
    const result = setModes(this.#fd, this.#modes);
    if (result < 0) {
      closeSync(this.#fd);
      throw unusable(this.name, `its modes can't be set (${errnoName(-result)})`);
    }
    process.on("exit", this.#onExit);
    process.on("SIGWINCH", this.#onResize);
    this.#readFd = openTerminal(path);
    this.#reader = Bun.file(this.#readFd).stream().getReader() as ReadableStreamDefaultReader<Uint8Array>;
    void this.#readAll();
  }

  size(): TerminalSize | undefined {
    return sizeOf(this.#fd);
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#unsentBytes += bytes.length;
    const sent = new Promise<void>((resolve) => {
      this.#unsent.push({ bytes, resolve });
    });
    if (this.#retry === undefined) this.#send();
    if (this.#unsentBytes > UNSENT_BYTES_MAX) this.#hangUp();
    return sent;
  }

  setSpeed(speed: Speed): void {
    if (this.#closed) return;
    this.#modes = withSpeed(this.#modes, speed);
    setModes(this.#fd, this.#modes);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#retry?.cancel();
    process.off("exit", this.#onExit);
    process.off("SIGWINCH", this.#onResize);
    // Of a line that is gone there is nothing to be restored, and this fails.
    setModes(this.#fd, this.#found);
    closeSync(this.#fd);
    // The runtime lets go of the descriptor then, but does not close it.
    void this.#reader
      .cancel()
      .catch(() => {})
      .then(() => closeSync(this.#readFd));
    for (const { resolve } of this.#unsent.splice(0)) resolve();
  }

  async #readAll(): Promise<void> {
    for (;;) {
      const value = await this.#readSome();
      if (this.#closed) return;
      if (value === undefined) break;
      const { data, breaks } = this.#marks.take(value);
      if (data.length > 0) this.#handlers.onData(data);
      for (let at = 0; at < breaks && !this.#closed; at++) this.#handlers.onBreak();
    }
    this.#hangUp();
  }

  /** @returns undefined where the line is gone */
  async #readSome(): Promise<Uint8Array | undefined> {
    try {
      return (await this.#reader.read()).value;
    } catch (error) {
      // A line that is gone fails its read, by an error number of the system.
      if (error instanceof Error && "code" in error) return undefined;
      throw error;
    }
  }

  #hangUp(): void {
    if (this.#closed) return;
    this.close();
    this.#handlers.onHangUp();
  }

  #send(): void {
    this.#retry = undefined;
    while (this.#unsent.length > 0) {
      const [{ bytes, resolve }] = this.#unsent;
      const sent = this.#sendSome(bytes);
      if (sent === undefined) {
        this.#hangUp();
        return;
      }
      this.#unsentBytes -= sent;
      if (sent < bytes.length) {
        this.#unsent[0] = { bytes: bytes.subarray(sent), resolve };
        this.#retry = this.#clock.after(FULL_RETRY, () => this.#send());
        return;
      }
      this.#unsent.shift();
      resolve();
    }
  }

  /** @returns the bytes that it took; undefined where it is gone */
  #sendSome(bytes: Uint8Array): number | undefined {
    try {
      return writeSync(this.#fd, bytes);
    } catch (error) {
      if (!(error instanceof Error && "errno" in error && typeof error.errno === "number")) throw error;
      return Math.abs(error.errno) === Errno.EAGAIN ? 0 : undefined;
    }
  }
}

function openTerminal(path: string | undefined): number {
  const { O_RDWR, O_NOCTTY, O_NONBLOCK } = constants;
  try {
    return openSync(path ?? OWN, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  } catch (cause) {
    if (path === undefined) throw noTerminal();
    if (cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ENXIO")) {
      throw new OperatingError("terminal.missing", `There is no terminal ${path}.`, "Plug it in, or name another.");
    }
    throw unusable(path, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function noTerminal(): OperatingError {
  return new OperatingError(
    "terminal.none",
    "The console was not started from a terminal.",
    "Start it from one, or name a serial line by --tty; antipode ctl is for scripts.",
  );
}

function unusable(path: string, reason: string, cause?: unknown): OperatingError {
  return new OperatingError(
    "terminal.unusable",
    `${path} can't be a console: ${reason}.`,
    "Name a serial line or terminal, and check its rights.",
    { cause },
  );
}
