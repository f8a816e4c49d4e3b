/** A volume of an array: a run of its blocks, as a block device. */

import { assert } from "../base/assert.ts";
import type { Allocation, BlockDevice, Pending, WriteOptions } from "../base/block-device.ts";
import { BLOCK_BYTES, type Lba } from "../base/units.ts";
import type { Extent } from "./core.ts";
import type { VolumeEntry } from "./superblock.ts";

export type RequestKind = "read" | "write" | "unmap";

/** One request of a volume, in the array's addresses. `buffer` is there to read and to write. */
export interface ArrayRequest {
  readonly kind: RequestKind;
  readonly extent: Extent;
  readonly first: number;
  readonly count: number;
  readonly buffer: Uint8Array | undefined;
  readonly fua: boolean;
  readonly signal: AbortSignal | undefined;
}

/** What a volume asks of its array. */
export interface VolumeOwner {
  request(request: ArrayRequest): Pending;
  flush(): Pending;
  allocation(first: number, count: number): Promise<Allocation>;
}

export class ArrayVolume implements BlockDevice {
  readonly blockSize = BLOCK_BYTES;
  readonly blockCount: number;
  readonly #array: VolumeOwner;
  readonly #extent: Extent;

  constructor(array: VolumeOwner, volume: VolumeEntry) {
    this.#array = array;
    this.#extent = volume;
    this.blockCount = volume.blocks;
  }

  read(lba: Lba, into: Uint8Array, signal?: AbortSignal): Pending {
    return this.#request("read", lba, into.length / BLOCK_BYTES, into, false, signal);
  }

  write(lba: Lba, from: Uint8Array, options?: WriteOptions): Pending {
    return this.#request("write", lba, from.length / BLOCK_BYTES, from, options?.fua === true, options?.signal);
  }

  flush(): Pending {
    return this.#array.flush();
  }

  unmap(lba: Lba, count: number, signal?: AbortSignal): Pending {
    return this.#request("unmap", lba, count, undefined, false, signal);
  }

  allocation(lba: Lba, count: number): Promise<Allocation> {
    assert(
      count > 0 && lba + count <= this.blockCount,
      `blocks ${lba} to ${lba + count} of volume ${this.#extent.name}`,
    );
    return this.#array.allocation(this.#extent.first + lba, count);
  }

  #request(
    kind: RequestKind,
    lba: Lba,
    count: number,
    buffer: Uint8Array | undefined,
    fua: boolean,
    signal: AbortSignal | undefined,
  ): Pending {
    assert(Number.isInteger(count) && count >= 0, "whole blocks");
    assert(lba + count <= this.blockCount, `blocks ${lba} to ${lba + count} of volume ${this.#extent.name}`);
    if (count === 0) return undefined;
    const first = this.#extent.first + lba;
    return this.#array.request({ kind, extent: this.#extent, first, count, buffer, fua, signal });
  }
}
