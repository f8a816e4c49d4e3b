/** Devices to export: memory, and a file. */

import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { BlockDevice, Pending } from "../interfaces.ts";

const BLOCK_BYTES = 4096;
/** Zeros that take the place of blocks that are given back, written so much at a time. */
const ZEROS = new Uint8Array(1024 * 1024);

/** Memory as a device: what is in it lives as long as the process. */
export class BufferDevice implements BlockDevice {
  readonly blockSize: number;
  readonly blockCount: number;
  readonly overwritesInPlace = true;
  readonly #content: Uint8Array;

  /** @param content a whole number of blocks; what is written is written there */
  constructor(content: Uint8Array, blockSize = BLOCK_BYTES) {
    this.#content = content;
    this.blockSize = blockSize;
    this.blockCount = blocksOf(content.length, blockSize);
  }

  read(lba: number, into: Uint8Array): Pending {
    into.set(this.#content.subarray(lba * this.blockSize, lba * this.blockSize + into.length));
    return undefined;
  }

  write(lba: number, from: Uint8Array): Pending {
    this.#content.set(from, lba * this.blockSize);
    return undefined;
  }

  flush(): Pending {
    return undefined;
  }

  unmap(lba: number, blocks: number): Pending {
    this.#content.fill(0, lba * this.blockSize, (lba + blocks) * this.blockSize);
    return undefined;
  }
}

/** A file as a device. A write is on its medium when it completes. */
export class FileDevice implements BlockDevice {
  readonly blockSize: number;
  readonly blockCount: number;
  readonly #file: FileHandle;

  /**
   * @param path of a file that is there; its size is that of the device
   * Rejects as the file system does, or with a `RangeError` where it is no whole number of blocks.
   */
  static async open(path: string, blockSize = BLOCK_BYTES): Promise<FileDevice> {
    const file = await open(path, constants.O_RDWR | constants.O_DSYNC);
    try {
      const { size } = await file.stat();
      return new FileDevice(file, blocksOf(size, blockSize), blockSize);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(file: FileHandle, blockCount: number, blockSize: number) {
    this.#file = file;
    this.blockCount = blockCount;
    this.blockSize = blockSize;
  }

  async read(lba: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await this.#file.read(into, done, into.length - done, lba * this.blockSize + done);
      if (bytesRead === 0) throw new ShorterFile();
      done += bytesRead;
    }
  }

  async write(lba: number, from: Uint8Array): Promise<void> {
    for (let done = 0; done < from.length; ) {
      const { bytesWritten } = await this.#file.write(from, done, from.length - done, lba * this.blockSize + done);
      done += bytesWritten;
    }
  }

  async flush(): Promise<void> {
    await this.#file.datasync();
  }

  async unmap(lba: number, blocks: number): Promise<void> {
    const most = ZEROS.length / this.blockSize;
    for (let done = 0; done < blocks; done += most) {
      const count = Math.min(most, blocks - done);
      await this.write(lba + done, ZEROS.subarray(0, count * this.blockSize));
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** The file was cut shorter while it was exported. */
class ShorterFile extends Error {
  readonly code = "file.shorter";
  constructor() {
    super("the file ends before the block");
  }
}

function blocksOf(bytes: number, blockSize: number): number {
  const blocks = bytes / blockSize;
  if (!Number.isInteger(blocks) || blocks === 0) {
    throw new RangeError(`${bytes} bytes are no whole number of blocks of ${blockSize}, or none`);
  }
  return blocks;
}
