/** A file that is open: reads and writes of all that is asked for, by the runtime's threads. */

import { close, fdatasync, open, read, write } from "node:fs";
import { promisify } from "node:util";

const openFile = promisify(open);
const closeFile = promisify(close);
const readFile = promisify(read);
const writeFile = promisify(write);
const syncFile = promisify(fdatasync);

/** What it may be to who made it alone: it holds what a volume holds. */
const PRIVATE = 0o600;

export class PlainFile {
  readonly fd: number;

  /** @param flags of open(2). Rejects as the file system does. */
  static async open(path: string, flags: number): Promise<PlainFile> {
    return new PlainFile(await openFile(path, flags, PRIVATE));
  }

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Rejects with a `ShorterFile` where the file ends before all of it. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await readFile(this.fd, into, done, into.length - done, offset + done);
      if (bytesRead === 0) throw new ShorterFile();
      done += bytesRead;
    }
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    for (let done = 0; done < from.length; ) {
      const { bytesWritten } = await writeFile(this.fd, from, done, from.length - done, offset + done);
      done += bytesWritten;
    }
  }

  /** What was written before is durable. */
  sync(): Promise<void> {
    return syncFile(this.fd);
  }

  close(): Promise<void> {
    return closeFile(this.fd);
  }
}

/** A file that is only read any more. */
export class RefusingFile extends PlainFile {
  readonly #why: Error;

  /** @param why all else rejects with */
  constructor({ fd }: PlainFile, why: Error) {
    super(fd);
    this.#why = why;
  }

  override write(): Promise<void> {
    return Promise.reject(this.#why);
  }

  override sync(): Promise<void> {
    return Promise.reject(this.#why);
  }
}

/** The file was cut shorter while it was open. */
export class ShorterFile extends Error {
  readonly code = "file.shorter";
  constructor() {
    super("the file ends before the block");
  }
}
