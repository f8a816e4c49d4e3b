/**
 * A volume as it is read from the first of a site's next sites that is in step: all of it where the site has no storage,
 * else what its own can't read. Every such site has all that has left the journal here; a controller holds back what is
 * not committed.
 */

import { assert } from "../base/assert.ts";
import type { BlockDevice, Pending } from "../base/block-device.ts";
import { OperatingError } from "../base/operating-error.ts";
import { lba as asLba, BLOCK_BYTES, type Lba, type VolumeId } from "../base/units.ts";
import { askRead, READ_BLOCKS_MAX } from "../pipeline/calls.ts";
import { isInStep, type Leg } from "./leg.ts";

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
    assert(false, "other sites get what they store by the link");
  }

  flush(): Pending {
    return undefined;
  }

  unmap(): Pending {
    assert(false, "other sites get what they store by the link");
  }

  async #readFromAny(lba: Lba, into: Uint8Array): Promise<void> {
    let unreadable = 0;
    let last: OperatingError | undefined;
    for (const leg of this.legs.filter(isInStep)) {
      try {
        await askRead((method, body, deadline) => leg.sender.call(method, body, deadline), this.#volume, lba, into);
        return;
      } catch (error) {
        if (!(error instanceof OperatingError)) throw error;
        if (error.code === "raid.unreadable") unreadable++;
        last = error;
      }
    }
    // A site that could not be asked may have it.
    if (last !== undefined && unreadable === this.legs.length) throw last;
    throw new OperatingError(
      "mirror.no-source",
      `This site can't read the block itself, and no site gives it: ${last?.what ?? "no link is up"}`,
      "Bring up the links to all next sites (show mirror).",
      { cause: last },
    );
  }
}
