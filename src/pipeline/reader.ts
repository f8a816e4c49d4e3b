/**
 * Reads a volume as its accepted requests have made it: the read cache over the journal over the array, and what
 * journal or array can't read from another site that has it.
 *
 * The cache never holds anything older than the newest accepted request: a write updates it at once, and a fill
 * from below is dropped for blocks that were written while it was under way.
 */

import { assert } from "../base/assert.ts";
import type { Allocation, BlockDevice, Pending } from "../base/block-device.ts";
import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { lba as asLba, BLOCK_BYTES, type Lba, type Sequence, sequence, type VolumeId } from "../base/units.ts";
import type { Journal } from "../journal/journal.ts";
import type { ReadCache } from "../journal/read-cache.ts";
import type { Arithmetic } from "../platform/arithmetic.ts";
import { readOtherCopy } from "./other-copy.ts";

const UNREADABLE = "raid.unreadable";
/** Blocks that one question about allocation looks at. */
const ALLOCATION_BLOCKS_MAX = 4096;
const NOWHERE: ReadonlyMap<VolumeId, BlockDevice> = new Map();

export class Reader {
  /** Told of a block that the array could not read, and that was read elsewhere. */
  onRescued: (volume: VolumeId, lba: Lba) => void = () => {};
  /** Told of what the journal could not give back, and was read elsewhere. */
  onJournalMissed: (error: OperatingError) => void = () => {};
  readonly #arithmetic: Arithmetic;
  readonly #journal: Pick<Journal, "newest" | "head" | "readData">;
  readonly #cache: ReadCache;
  readonly #volumes: ReadonlyMap<VolumeId, BlockDevice>;
  readonly #elsewhere: ReadonlyMap<VolumeId, BlockDevice>;

  /** @param elsewhere has every block of the volumes that has left the journal; empty where there is no such place */
  constructor(
    arithmetic: Arithmetic,
    journal: Pick<Journal, "newest" | "head" | "readData">,
    cache: ReadCache,
    volumes: ReadonlyMap<VolumeId, BlockDevice>,
    elsewhere = NOWHERE,
  ) {
    this.#arithmetic = arithmetic;
    this.#journal = journal;
    this.#cache = cache;
    this.#volumes = volumes;
    this.#elsewhere = elsewhere;
  }

  read(volume: VolumeId, lba: Lba, into: Uint8Array): Pending {
    const blocks = into.length / BLOCK_BYTES;
    const cached = this.#cache.readRun(volume, lba, blocks, into);
    return cached === blocks ? undefined : this.#fill(volume, lba, cached, into);
  }

  async readStored(volume: VolumeId, lba: Lba, into: Uint8Array): Promise<void> {
    await this.#readBelow(volume, lba, into, NOWHERE);
  }

  /** What the journal says of blocks, and the array of those that it has no request for. */
  async allocation(volume: VolumeId, lba: Lba, blocks: number): Promise<Allocation> {
    const limit = Math.min(blocks, ALLOCATION_BLOCKS_MAX);
    const from = this.#journal.newest(volume, lba);
    let alike = 1;
    while (alike < limit && this.#journal.newest(volume, asLba(lba + alike)) === from) alike++;
    if (from !== 0) return { mapped: this.#journal.head(from)?.kind === "write", blocks: alike };
    const device = this.#volumes.get(volume);
    assert(device !== undefined, `volume ${volume} has a device to ask`);
    // A site without storage does not know.
    return (await device.allocation?.(lba, alike)) ?? { mapped: true, blocks: alike };
  }

  newest(volume: VolumeId, lba: Lba, blocks: number): Sequence {
    let newest = 0;
    for (let block = 0; block < blocks; block++) {
      newest = Math.max(newest, this.#journal.newest(volume, asLba(lba + block)));
    }
    return sequence(newest);
  }

  /** Reads what the cache lacks of `into`, from block `from` on, run by run. */
  async #fill(volume: VolumeId, lba: Lba, from: number, into: Uint8Array): Promise<void> {
    const blocks = into.length / BLOCK_BYTES;
    for (let at = from; at < blocks; ) {
      const missing = this.#cache.missRun(volume, asLba(lba + at), blocks - at);
      if (missing > 0) {
        const start = asLba(lba + at);
        const part = into.subarray(at * BLOCK_BYTES, (at + missing) * BLOCK_BYTES);
        const fill = this.#cache.beginFill(volume, start, missing);
        try {
          await this.#readBelow(volume, start, part, this.#elsewhere);
        } catch (error) {
          this.#cache.abandonFill(fill);
          throw error;
        }
        this.#cache.endFill(fill, part);
        at += missing;
      }
      if (at < blocks) {
        at += this.#cache.readRun(volume, asLba(lba + at), blocks - at, into.subarray(at * BLOCK_BYTES));
      }
    }
  }

  async #readBelow(
    volume: VolumeId,
    lba: Lba,
    into: Uint8Array,
    elsewhere: ReadonlyMap<VolumeId, BlockDevice>,
  ): Promise<void> {
    const device = this.#volumes.get(volume);
    assert(device !== undefined, `volume ${volume} has a device to read from`);
    const blocks = into.length / BLOCK_BYTES;
    for (let at = 0; at < blocks; ) {
      const start = at;
      const from = this.#journal.newest(volume, asLba(lba + at));
      do at++;
      while (at < blocks && this.#journal.newest(volume, asLba(lba + at)) === from);
      const part = into.subarray(start * BLOCK_BYTES, at * BLOCK_BYTES);
      const run = asLba(lba + start);
      if (from === 0) await this.#readDevice(device, volume, run, part, elsewhere.get(volume));
      // The request may have been stored and retired, and its place reused, while the run was read: read it again.
      else if (!(await this.#readRequest(from, volume, run, part, elsewhere.get(volume)))) at = start;
    }
  }

  async #readDevice(
    device: BlockDevice,
    volume: VolumeId,
    lba: Lba,
    into: Uint8Array,
    elsewhere: BlockDevice | undefined,
  ): Promise<void> {
    try {
      await device.read(lba, into);
    } catch (error) {
      if (elsewhere === undefined || !isOperatingError(error, UNREADABLE)) throw error;
      for (let at = 0; at < into.length; at += BLOCK_BYTES) {
        const block = asLba(lba + at / BLOCK_BYTES);
        await this.#rescue(device, volume, block, into.subarray(at, at + BLOCK_BYTES), elsewhere);
      }
    }
  }

  async #rescue(
    device: BlockDevice,
    volume: VolumeId,
    lba: Lba,
    into: Uint8Array,
    elsewhere: BlockDevice,
  ): Promise<void> {
    try {
      await device.read(lba, into);
    } catch (error) {
      if (!isOperatingError(error, UNREADABLE)) throw error;
      await elsewhere.read(lba, into);
      this.onRescued(volume, lba);
    }
  }

  /** @returns false when the request left the journal before it was read, or is no longer the newest */
  async #readRequest(
    from: Sequence,
    volume: VolumeId,
    lba: Lba,
    into: Uint8Array,
    elsewhere: BlockDevice | undefined,
  ): Promise<boolean> {
    const head = this.#journal.head(from);
    assert(head !== undefined, `request ${from} is in the journal's index, so it is live`);
    if (head.kind === "unmap") {
      into.fill(0);
      return true;
    }
    const firstBlock = lba - head.lba;
    try {
      await this.#journal.readData(from, firstBlock, into.length / BLOCK_BYTES, into);
      return true;
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      if (this.#journal.head(from) === undefined) return false;
      if (elsewhere === undefined) throw error;
      const isRead = await readOtherCopy(this.#arithmetic, elsewhere, head, firstBlock, into);
      if (!isRead && this.#isNewest(from, volume, lba, into.length / BLOCK_BYTES)) throw onlyHere(error);
      if (isRead) this.onJournalMissed(error);
      return isRead;
    }
  }

  #isNewest(request: Sequence, volume: VolumeId, lba: Lba, blocks: number): boolean {
    for (let block = 0; block < blocks; block++) {
      if (this.#journal.newest(volume, asLba(lba + block)) !== request) return false;
    }
    return true;
  }
}

function onlyHere(cause: OperatingError): OperatingError {
  return new OperatingError(
    "mirror.no-source",
    `The journal can't give back a request that no other site has yet: ${cause.what}`,
    "Bring up the links to all next sites (show mirror).",
    { cause },
  );
}
