/**
 * A terminal of this machine as the port below a `SerialPortStream`: in place of the library's native one, which this
 * runtime can't load, and of its interface what a console needs, which looks at no lines of a modem. The terminal is
 * opened twice, once for reading, so that the runtime owns the descriptor that it waits on; modes belong to the device
 * and not to descriptors.
 */

import { closeSync, constants, openSync, writeSync } from "node:fs";
import { OperatingError } from "../../base/operating-error.ts";
import { millis } from "../../base/units.ts";
import { type Clock, sleep } from "../clock.ts";
import type { Speed, TerminalSize } from "../terminal.ts";
import { Errno, errnoName, flock, LOCK_EX, LOCK_NB, O_CLOEXEC } from "./libc.ts";
import { type Modes, modesOf, rawModes, setModes, sizeOf, withSpeed } from "./termios.ts";

/** Where the terminal that the program was started from is opened anew. */
const OWN = "/proc/self/fd/0";
/** How long to wait until a full line is tried again: at 9600 baud it takes 20 bytes in that time. */
const FULL_RETRY = millis(20);
const EMPTY = new Uint8Array(0);

export class TerminalPort {
  isOpen = true;
  readonly #clock: Clock;
  readonly #fd: number;
  readonly #readFd: number;
  readonly #found: Modes;
  #modes: Modes;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  /** Came, and was not asked for yet. */
  #received: Uint8Array = EMPTY;
  readonly #closing = new AbortController();

  /**
   * @param path undefined is the terminal that the program was started from
   * @param speed undefined leaves it as it is
   * Throws as `Terminals.open` does.
   */
  constructor(clock: Clock, path: string | undefined, speed: Speed | undefined) {
    this.#clock = clock;
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
      throw unusable(path ?? "this terminal", `its modes can't be set (${errnoName(-result)})`);
    }
    this.#readFd = openTerminal(path);
    this.#reader = Bun.file(this.#readFd).stream().getReader() as ReadableStreamDefaultReader<Uint8Array>;
  }

  size(): TerminalSize | undefined {
    return sizeOf(this.#fd);
  }

  setSpeed(speed: Speed): void {
    this.#modes = withSpeed(this.#modes, speed);
    setModes(this.#fd, this.#modes);
  }

  async read(buffer: Buffer, offset: number, length: number): Promise<{ buffer: Buffer; bytesRead: number }> {
    if (this.#received.length === 0) this.#received = await this.#receive();
    const bytesRead = Math.min(length, this.#received.length);
    buffer.set(this.#received.subarray(0, bytesRead), offset);
    this.#received = this.#received.subarray(bytesRead);
    return { buffer, bytesRead };
  }

  async write(buffer: Uint8Array): Promise<void> {
    for (let at = 0; at < buffer.length; ) {
      if (!this.isOpen) throw new PortClosed();
      at += this.#sendSome(buffer.subarray(at));
      if (at < buffer.length) await sleep(this.#clock, FULL_RETRY, this.#closing.signal);
    }
  }

  /** Leaves it as it was found, before this returns; what was asked for and is not done is rejected as canceled. */
  async close(): Promise<void> {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#closing.abort(new PortClosed());
    // Of a line that is gone there is nothing to be restored, and this fails.
    setModes(this.#fd, this.#found);
    closeSync(this.#fd);
    // The runtime lets go of the descriptor then, but does not close it.
    await this.#reader.cancel().catch(() => {});
    closeSync(this.#readFd);
  }

  async #receive(): Promise<Uint8Array> {
    try {
      const { value } = await this.#reader.read();
      if (value !== undefined) return value;
    } catch (error) {
      // A line that is gone fails its read, by an error number of the system.
      if (!(error instanceof Error && "code" in error)) throw error;
    }
    throw this.isOpen ? new Error("the terminal is gone") : new PortClosed();
  }

  /** @returns the bytes that it took; throws where it is gone */
  #sendSome(bytes: Uint8Array): number {
    try {
      return writeSync(this.#fd, bytes);
    } catch (error) {
      if (error instanceof Error && "errno" in error && Math.abs(Number(error.errno)) === Errno.EAGAIN) return 0;
      throw error;
    }
  }
}

/** What the stream expects of requests that are under way when the port is closed. */
class PortClosed extends Error {
  readonly canceled = true;
  constructor() {
    super("the terminal was closed");
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
