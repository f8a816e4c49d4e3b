/** A block device that tells of every write and unmap before it passes it on. */

import type { BlockDevice, Pending, WriteOptions } from "../interfaces.ts";

/** With every member that a device may have, so that none is forgotten here: hosts must not see that it is watched. */
type Whole = { [Member in keyof Required<BlockDevice>]: BlockDevice[Member] };

export class WatchedDevice implements Whole {
  readonly #device: BlockDevice;
  readonly #changes: (lba: number, blocks: number) => void;
  readonly blockSize: number;
  readonly allocation: BlockDevice["allocation"];
  readonly writeAtomic: BlockDevice["writeAtomic"];

  /** @param changes told of blocks that will be something else from now on */
  constructor(device: BlockDevice, changes: (lba: number, blocks: number) => void) {
    this.#device = device;
    this.#changes = changes;
    this.blockSize = device.blockSize;
    this.allocation = device.allocation?.bind(device);
    const writeAtomic = device.writeAtomic?.bind(device);
    this.writeAtomic =
      writeAtomic &&
      ((lba, from, options) => {
        changes(lba, from.length / this.blockSize);
        return writeAtomic(lba, from, options);
      });
  }

  get blockCount(): number {
    return this.#device.blockCount;
  }

  get atomicBlocksMax(): number | undefined {
    return this.#device.atomicBlocksMax;
  }

  get overwritesInPlace(): boolean | undefined {
    return this.#device.overwritesInPlace;
  }

  get volatileCache(): boolean | undefined {
    return this.#device.volatileCache;
  }

  get cacheBytes(): number | undefined {
    return this.#device.cacheBytes;
  }

  read(lba: number, into: Uint8Array, signal?: AbortSignal): Pending {
    return this.#device.read(lba, into, signal);
  }

  write(lba: number, from: Uint8Array, options?: WriteOptions): Pending {
    this.#changes(lba, from.length / this.blockSize);
    return this.#device.write(lba, from, options);
  }

  flush(signal?: AbortSignal): Pending {
    return this.#device.flush(signal);
  }

  unmap(lba: number, blocks: number, signal?: AbortSignal): Pending {
    this.#changes(lba, blocks);
    return this.#device.unmap(lba, blocks, signal);
  }
}
