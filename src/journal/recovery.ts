/**
 * Reads a journal from its drive: chooses the superblock, follows the chain of batches from the checkpoint, verifies every
 * live block. Writes nothing, so that doing it again gives the same, and a stopped site can be inspected.
 *
 * Where the chain ends, three things may have happened, and only the last may be taken as an end: damage; a write that
 * was cut off by a crash; nothing was ever written. What tells damage is that the place is known to have been durable:
 * by the superblock, or by a valid batch anywhere behind it whose writer says so. One drive write is in flight at a
 * time, so a write that was cut off has nothing behind it but batches of the same write.
 */

import type { DecodedDescriptor } from "../base/data-write-request.ts";
import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, lba, MiB, type Sequence, sequence } from "../base/units.ts";
import type { Drive } from "../platform/drive.ts";
import type { World } from "../platform/world.ts";
import { claimsBatch, type DecodedHeader, decodeDescriptors, decodeHeader } from "./batch-header.ts";
import { LiveRequests } from "./live-requests.ts";
import {
  type Chosen,
  chooseSuperblock,
  driveByte,
  type EpochStart,
  HISTORY_MAX,
  type JournalOwner,
  RING_START_BYTES,
  type Superblock,
} from "./superblock.ts";

/** What is read, or written again, at once. */
export const RECOVERY_CHUNK_BYTES = MiB;

export interface TornTail {
  /** Position in the log. */
  readonly position: number;
  /** Length as far as it can be told from what is there. */
  readonly bytes: number;
  /** The first request that was in it. */
  readonly firstSequence: Sequence;
}

/** What opening found, for reports. */
export interface Recovery {
  /** Live requests that were found. */
  readonly requests: number;
  /** A write that was cut off by a crash; nobody was told that it is durable, and it is dropped. */
  readonly tornTail?: TornTail;
}

export interface Recovered {
  readonly superblock: Chosen;
  readonly live: LiveRequests;
  readonly history: readonly EpochStart[];
  /** Where the log's last drive write begins; `end` where nothing is left of any. */
  readonly lastWrite: number;
  /** Where the next batch goes, and the hash of the one before it. */
  readonly end: number;
  readonly hash: number;
  readonly recovery: Recovery;
}

type Reading = Pick<World, "arithmetic" | "clock" | "memory">;

export async function recover(world: Reading, drive: Drive, owner: JournalOwner): Promise<Recovered> {
  const buffer = world.memory.allocate(RECOVERY_CHUNK_BYTES);
  try {
    const head = buffer.subarray(0, RING_START_BYTES);
    await drive.read(lba(0), head);
    const chosen = chooseSuperblock(world.arithmetic, drive, head, owner);
    const replay = new Replay(world, chosen.state, new RingReader(drive, chosen.state.ringBytes, buffer), drive.path);
    const recovery = await replay.run();
    const { live, history, position, lastWrite, hash } = replay;
    return { superblock: chosen, live, history, lastWrite, end: position, hash, recovery };
  } finally {
    world.memory.free(buffer);
  }
}

/**
 * Writes again what the process before may have left in the drive's cache and was found whole: the newest superblock and
 * the log's last drive write. A flush would not do: one before it may have failed, and what that should have covered
 * no later one makes durable.
 */
export async function makeDurable(world: Reading, drive: Drive, recovered: Recovered): Promise<void> {
  const { superblock, lastWrite, end } = recovered;
  const { ringBytes } = superblock.state;
  const buffer = world.memory.allocate(RECOVERY_CHUNK_BYTES);
  try {
    const block = buffer.subarray(0, BLOCK_BYTES);
    await drive.read(lba(superblock.copy), block);
    for (const copy of superblock.pair) await drive.write(lba(copy), block, { fua: true });
    for (let position = lastWrite; position < end; ) {
      const bytes = Math.min(buffer.length, end - position, ringBytes - (position % ringBytes));
      const part = buffer.subarray(0, bytes);
      const at = lba(driveByte(position, ringBytes) / BLOCK_BYTES);
      await drive.read(at, part);
      await drive.write(at, part, { fua: true });
      position += bytes;
    }
  } finally {
    world.memory.free(buffer);
  }
}

/** Reads the ring in chunks, through one buffer. */
class RingReader {
  readonly #drive: Drive;
  readonly #ringBytes: number;
  readonly #buffer: Uint8Array;
  #from = -1;
  #end = -1;

  constructor(drive: Drive, ringBytes: number, buffer: Uint8Array) {
    this.#drive = drive;
    this.#ringBytes = ringBytes;
    this.#buffer = buffer;
  }

  /** @returns what is at the position: a block at least, the more the better, untouched until the next call */
  async at(position: number): Promise<Uint8Array> {
    if (position < this.#from || position >= this.#end) {
      const offset = position % this.#ringBytes;
      const bytes = Math.min(this.#buffer.length, this.#ringBytes - offset);
      await this.#drive.read(lba(driveByte(position, this.#ringBytes) / BLOCK_BYTES), this.#buffer.subarray(0, bytes));
      this.#from = position;
      this.#end = position + bytes;
    }
    return this.#buffer.subarray(position - this.#from, this.#end - this.#from);
  }
}

/** Why the chain ends at a position. */
interface End {
  readonly reason: string;
  /** Bytes of the batch that is there, as far as it says so; 0 where nothing claims to be one. */
  readonly bytes: number;
}

class Replay {
  readonly live: LiveRequests;
  position: number;
  lastWrite: number;
  hash: number;
  history: EpochStart[];
  readonly #world: Reading;
  readonly #superblock: Superblock;
  readonly #reader: RingReader;
  readonly #path: string;
  /** No batch that is still there ends behind this. */
  readonly #lapEnd: number;
  /** Opening of the batch before. */
  #opening = 0;
  /** Blocks in the part of the log that is known to be durable whose content fails its checksum. */
  readonly #damaged: { readonly sequence: Sequence; readonly position: number }[] = [];

  constructor(world: Reading, superblock: Superblock, reader: RingReader, path: string) {
    this.#world = world;
    this.#superblock = superblock;
    this.#reader = reader;
    this.#path = path;
    this.#lapEnd = superblock.tailPosition + superblock.ringBytes;
    this.live = new LiveRequests(superblock.ringBytes, superblock.retired, superblock.retiredEpoch);
    this.history = [...superblock.history];
    this.position = superblock.tailPosition;
    this.lastWrite = superblock.tailPosition;
    this.hash = superblock.tailHash;
  }

  async run(): Promise<Recovery> {
    const { opening, durablePosition, closed } = this.#superblock;
    let end: End = { reason: "the ring is full", bytes: 0 };
    while (this.position < this.#lapEnd) {
      if (this.position === opening.position) this.#dropAfter(opening.sequence);
      const next = await this.#next();
      if (next !== undefined) {
        end = next;
        break;
      }
    }
    if (this.position === opening.position) this.#dropAfter(opening.sequence);

    const proven = Math.max(durablePosition, opening.position);
    if (this.position < proven) throw await this.#corruptLog(end.reason);
    const orderly = closed && this.position === durablePosition;
    const tornBytes = orderly ? 0 : await this.#judge(end);

    const damaged = this.#damaged.filter((block) => this.live.isLive(block.sequence));
    if (damaged.length > 0) throw this.#corruptData(damaged);
    this.live.reindex();
    const requests = this.live.appended - this.live.retired;
    const firstSequence = sequence(this.live.appended + 1);
    return tornBytes === 0
      ? { requests }
      : { requests, tornTail: { position: this.position, bytes: tornBytes, firstSequence } };
  }

  /** Takes the batch at `position` in. @returns undefined, or why there is none that follows the chain */
  async #next(): Promise<End | undefined> {
    const { uuid, ringBytes, opening } = this.#superblock;
    const block = (await this.#reader.at(this.position)).slice(0, BLOCK_BYTES);
    const view = new DataView(block.buffer);
    const header = decodeHeader(this.#world.arithmetic, block, uuid, this.position, ringBytes);
    if (typeof header === "string") {
      return { reason: header, bytes: claimsBatch(view, 0, uuid, this.position) ? BLOCK_BYTES : 0 };
    }
    if (this.position >= opening.position && header.opening < opening.number) {
      return { reason: "the batch is of an opening that has ended", bytes: 0 };
    }
    // Within an opening a position is written once, so tearing can't leave a header that is valid and does not fit.
    const misfit = this.#misfit(header);
    if (misfit !== undefined) throw await this.#corruptLog(misfit);
    const requests = decodeDescriptors(block, header);
    if (typeof requests === "string") throw await this.#corruptLog(requests);

    const proven = this.position < Math.max(this.#superblock.durablePosition, opening.position);
    const sound = await this.#verify(header, requests, proven);
    if (!sound) return { reason: "the batch's data fails its checksums", bytes: header.bytes };
    this.#dropAfter(sequence(header.firstSequence - 1));
    this.#take(header, requests);
    return undefined;
  }

  /** What keeps a header that is valid by itself from following the chain. */
  #misfit(header: DecodedHeader): string | undefined {
    const { opening, retired, tailPosition } = this.#superblock;
    const first = header.position === tailPosition;
    const expected = this.live.appended + 1;
    if (header.opening > opening.number) return "the batch is of a later opening than the superblock knows";
    if (header.position + header.bytes > this.#lapEnd) return "the batch reaches into the oldest one";
    if (header.previousHash !== this.hash) return "the batch does not follow the one before it";
    if (header.position < opening.position && header.opening >= opening.number)
      return "the batch is of a later opening";
    if (header.opening < this.#opening) return "the batch is of an earlier opening than the one before it";
    if (header.durablePosition > header.position) return "the batch claims to be durable before it was written";
    if (first ? header.firstSequence > retired + 1 : header.firstSequence > expected) {
      return `requests ${expected} to ${header.firstSequence - 1} are missing`;
    }
    if (!first && header.firstSequence < expected && header.opening === this.#opening) {
      return `request ${header.firstSequence} is there twice`;
    }
    if (!first && header.firstSequence <= retired) return "a retired request was cut";
    return undefined;
  }

  /**
   * Verifies the data of the batch's requests.
   *
   * @param proven whether the batch is known to have been durable: then bad blocks are damage, noted and told at the end,
   *   unless their requests turn out to be dropped; otherwise the batch may be torn, and one bad block is enough
   */
  async #verify(header: DecodedHeader, requests: readonly DecodedDescriptor[], proven: boolean): Promise<boolean> {
    const computed = new Uint32Array(RECOVERY_CHUNK_BYTES / BLOCK_BYTES);
    let position = header.position + BLOCK_BYTES;
    for (const request of requests) {
      const blocks = request.checksums.length;
      const needed = request.sequence > this.#superblock.retired;
      for (let block = 0; needed && block < blocks; ) {
        const at = position + block * BLOCK_BYTES;
        const bytes = await this.#reader.at(at);
        const count = Math.min(bytes.length / BLOCK_BYTES, blocks - block);
        this.#world.arithmetic.crc32cBlocks(bytes.subarray(0, count * BLOCK_BYTES), computed);
        for (let one = 0; one < count; one++) {
          if (computed[one] === request.checksums[block + one]) continue;
          if (!proven) return false;
          this.#damaged.push({ sequence: request.sequence, position: at + one * BLOCK_BYTES });
        }
        block += count;
      }
      position += blocks * BLOCK_BYTES;
    }
    return true;
  }

  #take(header: DecodedHeader, requests: readonly DecodedDescriptor[]): void {
    const now = this.#world.clock.now();
    let data = header.position + BLOCK_BYTES;
    for (const request of requests) {
      if (request.sequence > this.live.retired) {
        this.live.add(request, { data, window: -1, batch: header.position }, now, false);
        this.live.setBatchHash(request.sequence, 1, header.previousHash);
        if (request.kind === "epoch-start") this.history.push({ epoch: request.epoch, start: request.sequence });
      }
      data += request.checksums.length * BLOCK_BYTES;
    }
    this.history = this.history.slice(-HISTORY_MAX);
    this.#opening = header.opening;
    this.hash = header.hash;
    this.lastWrite = Math.max(header.durablePosition, this.#superblock.tailPosition);
    this.position = header.position + header.bytes;
  }

  #dropAfter(to: Sequence): void {
    // Where replay begins there is nothing to drop, and the opening may be older than what was retired since.
    if (to >= this.live.appended || this.position === this.#superblock.tailPosition) return;
    this.live.drop(to);
    this.history = this.history.filter((entry) => entry.start <= to);
  }

  /**
   * Looks at all that the ring could hold behind the end of the chain, for a batch that proves that the end is damage.
   *
   * @returns bytes of the torn tail; 0 where nothing was written
   */
  async #judge(end: End): Promise<number> {
    let tornEnd = this.position + end.bytes;
    for await (const batch of this.#batchesBehind(this.position)) {
      if (batch.durablePosition > this.position || batch.opening > this.#superblock.opening.number)
        throw await this.#corruptLog(end.reason);
      tornEnd = Math.max(tornEnd, batch.position + batch.bytes);
    }
    return tornEnd - this.position;
  }

  /** Valid headers behind `position` that the newest opening wrote, or one that the superblock does not know. */
  async *#batchesBehind(position: number): AsyncGenerator<DecodedHeader> {
    const { uuid, ringBytes, opening } = this.#superblock;
    for (let at = position + BLOCK_BYTES; at < this.#lapEnd; ) {
      const bytes = await this.#reader.at(at);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const count = Math.min(bytes.length, this.#lapEnd - at) / BLOCK_BYTES;
      for (let block = 0; block < count; block++, at += BLOCK_BYTES) {
        if (!claimsBatch(view, block * BLOCK_BYTES, uuid, at)) continue;
        const from = block * BLOCK_BYTES;
        const copy = bytes.slice(from, from + BLOCK_BYTES);
        const header = decodeHeader(this.#world.arithmetic, copy, uuid, at, ringBytes);
        if (typeof header !== "string" && header.opening >= opening.number) yield header;
      }
    }
  }

  /** @returns the error that says which requests damage in the chain takes away */
  async #corruptLog(reason: string): Promise<OperatingError> {
    const from = this.live.appended + 1;
    let affected = `requests from ${from} on`;
    for await (const batch of this.#batchesBehind(this.position)) {
      if (batch.durablePosition <= this.position) continue;
      affected = `requests ${from} to ${batch.firstSequence - 1} and all that follow them`;
      break;
    }
    return corrupt(this.#path, driveByte(this.position, this.#superblock.ringBytes), reason, affected);
  }

  #corruptData(damaged: readonly { readonly sequence: Sequence; readonly position: number }[]): OperatingError {
    const sequences = [...new Set(damaged.map((block) => block.sequence))];
    const listed =
      sequences.slice(0, 10).join(", ") + (sequences.length > 10 ? ` and ${sequences.length - 10} more` : "");
    const reason = `${damaged.length} blocks of data fail their checksums`;
    return corrupt(
      this.#path,
      driveByte(damaged[0].position, this.#superblock.ringBytes),
      reason,
      `requests ${listed}`,
    );
  }
}

export function corrupt(path: string, driveByte: number, reason: string, affected: string): OperatingError {
  return new OperatingError(
    "journal.corrupt",
    `The journal on ${path} is damaged at byte ${driveByte}: ${reason}; affected: ${affected}.`,
    "Nothing was changed. Fetch these requests from another site, or format the journal and resync this site.",
  );
}
