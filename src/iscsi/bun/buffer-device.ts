import type { BlockDevice, Pending } from "../interfaces.ts";
import { BLOCK_BYTES, blocksOf } from "./blocks.ts";

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
