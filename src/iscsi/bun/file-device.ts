/**
 * A file as a device: what the kernel has in memory is read at once, all else is done by the runtime's threads.
 *
 * Without a write cache a write is on its medium when it completes. With one it is in the kernel's page cache then, and on
 * its medium after a flush, or at once if it has FUA: hosts are told so (WCE), and flush as their file systems see fit.
 */

import { close, constants, fdatasync, fstatSync, open, read, write, writeSync } from "node:fs";
import { promisify } from "node:util";
import type { BlockDevice, Pending, WriteOptions } from "../interfaces.ts";
import { BLOCK_BYTES, blocksOf } from "./blocks.ts";
import { type PageCacheRead, pageCacheRead } from "./page-cache.ts";

const openFile = promisify(open);
const closeFile = promisify(close);
const readFile = promisify(read);
const writeFile = promisify(write);
const syncFile = promisify(fdatasync);

/** Zeros that take the place of blocks that are given back, written so much at a time. */
const ZEROS = new Uint8Array(1024 * 1024);
/** Larger writes would keep everybody else waiting while they are copied. */
const AT_ONCE_BYTES_MAX = 128 * 1024;
/** The kernel makes who writes wait while too much is unwritten. A write that took longer was held up... */
const HELD_UP_MS = 5;
/** ...and for so many times as long others are left to a thread, which may wait: everybody waits for a tenth of the time at most. */
const PATIENCE_FACTOR = 10;

export interface FileOptions {
  /** 512 or 4096 bytes, which is the default. */
  readonly blockSize?: number;
  /** Whether a write completes before it is on its medium. False unless given. */
  readonly writeCache?: boolean;
}

export class FileDevice implements BlockDevice {
  readonly blockSize: number;
  readonly blockCount: number;
  readonly volatileCache: boolean;
  readonly #fd: number;
  readonly #readFromPageCache: PageCacheRead;
  #heldUpUntil = 0;

  /**
   * @param path of a file that is there; its size is that of the device
   * Rejects as the file system does, with a `RangeError` where it is no whole number of blocks, or with an error that says so
   * where this is not Linux with glibc.
   */
  static async open(
    path: string,
    { blockSize = BLOCK_BYTES, writeCache = false }: FileOptions = {},
  ): Promise<FileDevice> {
    const readFromPageCache = pageCacheRead();
    const fd = await openFile(path, constants.O_RDWR | (writeCache ? 0 : constants.O_DSYNC));
    try {
      return new FileDevice(fd, blocksOf(fstatSync(fd).size, blockSize), blockSize, writeCache, readFromPageCache);
    } catch (error) {
      await closeFile(fd);
      throw error;
    }
  }

  private constructor(
    fd: number,
    blockCount: number,
    blockSize: number,
    writeCache: boolean,
    readFromPageCache: PageCacheRead,
  ) {
    this.#readFromPageCache = readFromPageCache;
    this.#fd = fd;
    this.blockCount = blockCount;
    this.blockSize = blockSize;
    this.volatileCache = writeCache;
  }

  read(lba: number, into: Uint8Array): Pending {
    const offset = lba * this.blockSize;
    return this.#readFromPageCache(this.#fd, into, offset) ? undefined : this.#read(offset, into);
  }

  write(lba: number, from: Uint8Array, options?: WriteOptions): Pending {
    const offset = lba * this.blockSize;
    if (!this.volatileCache) return this.#write(offset, from);
    if (options?.fua === true) return this.#write(offset, from).then(() => this.flush());
    const before = performance.now();
    if (from.length > AT_ONCE_BYTES_MAX || before < this.#heldUpUntil) return this.#write(offset, from);
    const written = writeSync(this.#fd, from, 0, from.length, offset);
    const after = performance.now();
    if (after - before > HELD_UP_MS) this.#heldUpUntil = after + (after - before) * PATIENCE_FACTOR;
    return written === from.length ? undefined : this.#write(offset + written, from.subarray(written));
  }

  flush(): Promise<void> {
    return syncFile(this.#fd);
  }

  async unmap(lba: number, blocks: number, signal?: AbortSignal): Promise<void> {
    const most = ZEROS.length / this.blockSize;
    for (let done = 0; done < blocks; done += most) {
      // It may be gigabytes, and whoever has aborted it waits for its end.
      signal?.throwIfAborted();
      const count = Math.min(most, blocks - done);
      await this.#write((lba + done) * this.blockSize, ZEROS.subarray(0, count * this.blockSize));
    }
  }

  close(): Promise<void> {
    return closeFile(this.#fd);
  }

  async #read(offset: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await readFile(this.#fd, into, done, into.length - done, offset + done);
      if (bytesRead === 0) throw new ShorterFile();
      done += bytesRead;
    }
  }

  async #write(offset: number, from: Uint8Array): Promise<void> {
    for (let done = 0; done < from.length; ) {
      const { bytesWritten } = await writeFile(this.#fd, from, done, from.length - done, offset + done);
      done += bytesWritten;
    }
  }
}

/** The file was cut shorter while it was exported. */
class ShorterFile extends Error {
  readonly code = "file.shorter";
  constructor() {
    super("the file ends before the block");
  }
}
