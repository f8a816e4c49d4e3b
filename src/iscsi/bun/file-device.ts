/**
 * A file as a device: what the kernel has in memory is read at once, all else is done by the runtime's threads.
 *
 * Without a write cache a write is on its medium when it completes. With one it is in the kernel's page cache then, and on
 * its medium after a flush, or at once if it has FUA: hosts are told so (WCE), and flush as their file systems see fit.
 *
 * No write to a file is atomic by itself. With a log beside the file there are writes that are, each of them written twice.
 */

import { constants, fstatSync, writeSync } from "node:fs";
import type { BlockDevice, Pending, WriteOptions } from "../interfaces.ts";
import { PIECE_BYTES_MAX } from "../limits.ts";
import { AtomicLog } from "./atomic-log.ts";
import { BLOCK_BYTES, blocksOf } from "./blocks.ts";
import { type PageCacheRead, pageCacheRead } from "./page-cache.ts";
import { PlainFile, RefusingFile } from "./plain-file.ts";

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
  /**
   * Where the log is that makes atomic writes possible, 1 MiB that is made unless it is there. It belongs to this file alone, and
   * has to be given whenever the file is opened: it may hold a write that a power cut came into, and puts it in place then.
   * Without it there is no WRITE ATOMIC.
   */
  readonly atomicLog?: string;
}

export class FileDevice implements BlockDevice {
  readonly blockSize: number;
  readonly blockCount: number;
  readonly volatileCache: boolean;
  readonly atomicBlocksMax: number | undefined;
  readonly writeAtomic: ((lba: number, from: Uint8Array) => Promise<void>) | undefined;
  readonly #fd: number;
  readonly #log: AtomicLog | undefined;
  #file: PlainFile;
  readonly #readFromPageCache: PageCacheRead;
  #heldUpUntil = 0;

  /**
   * @param path of a file that is there; its size is that of the device
   * Rejects as the file system does, with a `RangeError` where it is no whole number of blocks, with an `AtomicLogError` where
   * the log is not its own or can't be used, or with an error that says so where this is not Linux with glibc.
   */
  static async open(
    path: string,
    { blockSize = BLOCK_BYTES, writeCache = false, atomicLog }: FileOptions = {},
  ): Promise<FileDevice> {
    const readFromPageCache = pageCacheRead();
    const file = await PlainFile.open(path, constants.O_RDWR | (writeCache ? 0 : constants.O_DSYNC));
    try {
      const blockCount = blocksOf(fstatSync(file.fd).size, blockSize);
      const log = atomicLog === undefined ? undefined : await openLog(atomicLog, path, blockSize, blockCount);
      return new FileDevice(file, blockCount, blockSize, writeCache, readFromPageCache, log);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(
    file: PlainFile,
    blockCount: number,
    blockSize: number,
    writeCache: boolean,
    readFromPageCache: PageCacheRead,
    log: AtomicLog | undefined,
  ) {
    this.#readFromPageCache = readFromPageCache;
    this.#fd = file.fd;
    this.#file = file;
    this.#log = log;
    this.blockCount = blockCount;
    this.blockSize = blockSize;
    this.volatileCache = writeCache;
    this.atomicBlocksMax = log && PIECE_BYTES_MAX / blockSize;
    this.writeAtomic = log && ((lba, from) => this.#writeAtomic(log, lba, from));
  }

  read(lba: number, into: Uint8Array): Pending {
    const offset = lba * this.blockSize;
    return this.#readFromPageCache(this.#fd, into, offset) ? undefined : this.#file.read(offset, into);
  }

  write(lba: number, from: Uint8Array, options?: WriteOptions): Pending {
    const offset = lba * this.blockSize;
    if (!this.volatileCache) return this.#file.write(offset, from);
    if (options?.fua === true) return this.#file.write(offset, from).then(() => this.flush());
    const before = performance.now();
    if (from.length > AT_ONCE_BYTES_MAX || before < this.#heldUpUntil) return this.#file.write(offset, from);
    const written = writeSync(this.#fd, from, 0, from.length, offset);
    const after = performance.now();
    if (after - before > HELD_UP_MS) this.#heldUpUntil = after + (after - before) * PATIENCE_FACTOR;
    return written === from.length ? undefined : this.#file.write(offset + written, from.subarray(written));
  }

  flush(): Promise<void> {
    return this.#file.sync();
  }

  async unmap(lba: number, blocks: number, signal?: AbortSignal): Promise<void> {
    const most = ZEROS.length / this.blockSize;
    for (let done = 0; done < blocks; done += most) {
      // It may be gigabytes, and whoever has aborted it waits for its end.
      signal?.throwIfAborted();
      const count = Math.min(most, blocks - done);
      await this.#file.write((lba + done) * this.blockSize, ZEROS.subarray(0, count * this.blockSize));
    }
  }

  async close(): Promise<void> {
    try {
      await this.#log?.close();
    } finally {
      await this.#file.close();
    }
  }

  async #writeAtomic(log: AtomicLog, lba: number, from: Uint8Array): Promise<void> {
    try {
      await log.write(lba, from);
    } catch (error) {
      if (log.stuck !== undefined) this.#refuseWrites(log.stuck);
      throw error;
    }
  }

  /** Reads go on: what of the failed write is in place is only known to be whole once the file is opened again. */
  #refuseWrites(why: Error): void {
    this.#file = new RefusingFile(this.#file, why);
    // None is done at once any more, past the file that refuses.
    this.#heldUpUntil = Number.POSITIVE_INFINITY;
  }
}

async function openLog(log: string, path: string, blockSize: number, blockCount: number): Promise<AtomicLog> {
  // Opened once more: what the kernel failed to write it tells each opener once, and a flush at the same time is told for itself.
  const file = await PlainFile.open(path, constants.O_RDWR | constants.O_DSYNC);
  try {
    return await AtomicLog.open(log, {
      blockSize,
      blockCount,
      place: (lba, data) => file.write(lba * blockSize, data),
      close: () => file.close(),
    });
  } catch (error) {
    await file.close();
    throw error;
  }
}
