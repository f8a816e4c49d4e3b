/**
 * A volume of a site without storage, read from the first of its next sites that answers. Every one of them has all
 * that has left the journal here; a controller holds back what is not committed.
 */

import { assert } from "../base/assert.ts";
import type { BlockDevice, Pending } from "../base/block-device.ts";
import { OperatingError } from "../base/operating-error.ts";
import { lba as asLba, BLOCK_BYTES, type Lba, type VolumeId } from "../base/units.ts";
import { askRead, READ_BLOCKS_MAX } from "../pipeline/calls.ts";
import { isUp, type Leg } from "./leg.ts";

export class RemoteVolume implements BlockDevice {
  readonly blockSize = BLOCK_BYTES;
  /** Set once the links are made; they are made after what reads from them. */
  legs: readonly Leg[] = [];
  readonly #volume: VolumeId;

  constructor(
    volume: VolumeId,
    readonly blockCount: number,
  ) {
    this.#volume = volume;
  }

  async read(lba: Lba, into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.length; at += READ_BLOCKS_MAX * BLOCK_BYTES) {
      const part = into.subarray(at, at + READ_BLOCKS_MAX * BLOCK_BYTES);
      await this.#readFromAny(asLba(lba + at / BLOCK_BYTES), part);
    }
  }

  write(): Pending {
    assert(false, "a site without storage stores nothing");
  }

  flush(): Pending {
    return undefined;
  }

  unmap(): Pending {
    assert(false, "a site without storage stores nothing");
  }

  async #readFromAny(lba: Lba, into: Uint8Array): Promise<void> {
    let last: OperatingError | undefined;
    for (const leg of this.legs.filter(isUp)) {
      try {
        await askRead((method, body, deadline) => leg.sender.call(method, body, deadline), this.#volume, lba, into);
        return;
      } catch (error) {
        if (!(error instanceof OperatingError)) throw error;
        last = error;
      }
    }
    throw (
      last ??
      new OperatingError(
        "mirror.no-source",
        "This site stores nothing itself, and no link is up to a site to read from.",
        "Bring up the link to the next site, of one leg at least (show mirror).",
      )
    );
  }
}
