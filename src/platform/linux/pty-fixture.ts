/** A pair of pseudo-terminals for tests, ptmx(4): what is done on a terminal is seen here, and the other way round. */

import { closeSync, constants, openSync, writeSync } from "node:fs";
import { assert } from "../../base/assert.ts";
import { ioctl } from "./libc.ts";

const TIOCSPTLCK = 0x40045431;
const TIOCGPTN = 0x80045430;
const TIOCSWINSZ = 0x5414;

export class Pty {
  /** Of the side that a program opens. */
  readonly path: string;
  readonly #fd: number;
  readonly #decoder = new TextDecoder();
  /** All that was written to the terminal. */
  shown = "";
  #closed = false;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor() {
    this.#fd = openSync("/dev/ptmx", constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
    const number = new Uint32Array(1);
    assert(ioctl(this.#fd, TIOCSPTLCK, number) === 0, "the terminal can't be unlocked");
    assert(ioctl(this.#fd, TIOCGPTN, number) === 0, "the terminal has no number");
    this.path = `/dev/pts/${number[0]}`;
  }

  /** Begins to read what is written to it; from then on, somebody has to have it open. */
  watch(): void {
    const reader = Bun.file(this.#fd).stream().getReader() as ReadableStreamDefaultReader<Uint8Array>;
    this.#reader = reader;
    void (async () => {
      for (;;) {
        const { value } = await reader.read();
        if (value === undefined) return;
        this.shown += this.#decoder.decode(value, { stream: true });
      }
    })().catch(() => {});
  }

  type(bytes: Uint8Array | string): void {
    writeSync(this.#fd, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
  }

  resize(columns: number, rows: number): void {
    ioctl(this.#fd, TIOCSWINSZ, new Uint32Array(Uint16Array.of(rows, columns, 0, 0).buffer));
  }

  /** Hangs up. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // The runtime has the descriptor open as long as it reads.
    await this.#reader?.cancel().catch(() => {});
    closeSync(this.#fd);
  }
}
