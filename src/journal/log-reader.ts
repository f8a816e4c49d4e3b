/**
 * Reads live requests' data from the drive and verifies it. While a read is under way, its place in the ring is not to be
 * written again, even if the request is retired meanwhile: `oldest` says from where on the log is needed.
 */

import type { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, lba, type Sequence } from "../base/units.ts";
import type { Drive } from "../platform/drive.ts";
import type { World } from "../platform/world.ts";
import type { LiveRequests } from "./live-requests.ts";
import { corrupt } from "./recovery.ts";
import { driveByte } from "./superblock.ts";

export class LogReader {
  readonly #world: Pick<World, "arithmetic">;
  readonly #drive: Drive;
  readonly #live: LiveRequests;
  readonly #ringBytes: number;
  readonly #onDone: () => void;
  readonly #reads = new Set<{ readonly position: number }>();

  /** @param onDone told when a read is over, so that its place may be written again */
  constructor(
    world: Pick<World, "arithmetic">,
    drive: Drive,
    live: LiveRequests,
    ringBytes: number,
    onDone: () => void,
  ) {
    this.#world = world;
    this.#drive = drive;
    this.#live = live;
    this.#ringBytes = ringBytes;
    this.#onDone = onDone;
  }

  /** The lowest position that is being read; infinity where nothing is. */
  get oldest(): number {
    let position = Number.POSITIVE_INFINITY;
    for (const read of this.#reads) position = Math.min(position, read.position);
    return position;
  }

  /** Reads a live request's blocks from this position of the log. Rejects with `journal.corrupt`, or as the drive does. */
  async read(of: Sequence, position: number, into: Uint8Array): Promise<void> {
    const checksums = this.#checksums(position, into.length / BLOCK_BYTES);
    const read = { position };
    this.#reads.add(read);
    try {
      await this.#drive.read(lba(driveByte(position, this.#ringBytes) / BLOCK_BYTES), into);
    } finally {
      this.#reads.delete(read);
      this.#onDone();
    }
    const error = this.#compare(of, position, into, checksums);
    if (error !== undefined) throw error;
  }

  /** @returns what is wrong with a live request's blocks that were copied from memory */
  verify(of: Sequence, position: number, data: Uint8Array): OperatingError | undefined {
    return this.#compare(of, position, data, this.#checksums(position, data.length / BLOCK_BYTES));
  }

  /** A copy, since the request may be retired before its data is there. */
  #checksums(position: number, blocks: number): Uint32Array {
    const checksums = new Uint32Array(blocks);
    for (let block = 0; block < blocks; block++) {
      checksums[block] = this.#live.checksumAt(position + block * BLOCK_BYTES);
    }
    return checksums;
  }

  #compare(of: Sequence, position: number, data: Uint8Array, checksums: Uint32Array): OperatingError | undefined {
    const computed = new Uint32Array(checksums.length);
    this.#world.arithmetic.crc32cBlocks(data, computed);
    const bad = computed.findIndex((checksum, block) => checksum !== checksums[block]);
    if (bad < 0) return undefined;
    const at = driveByte(position + bad * BLOCK_BYTES, this.#ringBytes);
    return corrupt(this.#drive.path, at, "a block of data fails its checksum", `request ${of}`);
  }
}
