/**
 * The write pipeline that every site runs, whatever its role: journal, forward, store, retire.
 *
 * Invariants:
 * - Requests are accepted in sequence, without a gap.
 * - Nothing is stored before it is committed, that is, known to be in the journal of every in-sync site. So what
 *   may still have to be cut is always in the journal and never in the array.
 * - A request leaves the journal when it is committed, durable, stored here (if this site stores) and ACKed by
 *   every site that it was forwarded to.
 *
 * What feeds the pipeline, when it acknowledges and what commits a request is the role's business.
 */

import { assert } from "../base/assert.ts";
import type { Allocation, BlockDevice, Pending } from "../base/block-device.ts";
import type { DataWriteRequest } from "../base/data-write-request.ts";
import type { OperatingError } from "../base/operating-error.ts";
import { type Lba, millis, type Sequence, sequence, type VolumeId } from "../base/units.ts";
import type { Journal } from "../journal/journal.ts";
import type { ReadCache } from "../journal/read-cache.ts";
import type { Timer } from "../platform/clock.ts";
import type { World } from "../platform/world.ts";
import { Destager } from "./destager.ts";
import type { LogPosition } from "./history.ts";
import { Reader } from "./reader.ts";

/** A site that this one sends its requests to, as far as the pipeline needs to know it. */
export interface Forward {
  /** The site has everything up to here in its journal. */
  readonly hop: Sequence;
  /** There is something new to send. */
  notify(): void;
}

export interface PipelineOptions {
  readonly journal: Journal;
  readonly cache: ReadCache;
  /** Where each volume is read from, and stored unless `stores` is false. */
  readonly volumes: ReadonlyMap<VolumeId, BlockDevice>;
  /** Where a block that can't be read there, or in the journal, is read instead; it has all that has left the journal. */
  readonly elsewhere?: ReadonlyMap<VolumeId, BlockDevice>;
  /** False for a site without storage of its own. */
  readonly stores: boolean;
  /** Requests gather for storing until the journal holds this much: what is stored then is still in memory. */
  readonly gatherBytes: number;
  /** Whether they may gather at all, asked each time. They may unless told otherwise. */
  readonly mayGather?: () => boolean;
}

/** Retirement is made durable at least this often, so that a restart replays little. */
const CHECKPOINT_DELAY = millis(1000);
const NOWHERE: ReadonlyMap<VolumeId, BlockDevice> = new Map();

export class Pipeline {
  /** Called when a watermark moved (durable, committed, stored) or room in the journal was freed. */
  onProgress: () => void = () => {};
  /** Called when there may be room again after `hasRoom` returned false. */
  onRoom: () => void = () => {};
  /** Called once, when all that opening found in the journal is stored; not if `isReplayed` was so from the start. */
  onReplayed: () => void = () => {};
  /** Called when a block can't be read here, and was read elsewhere. */
  onRescued: (volume: VolumeId, lba: Lba) => void = () => {};
  /** Called when the journal can't give back a request, and its data was read elsewhere. */
  onJournalMissed: (error: OperatingError) => void = () => {};
  /** Called once, when the journal or the array can't go on. */
  onFailed: (error: OperatingError) => void = () => {};

  readonly #world: World;
  readonly #journal: Journal;
  readonly #cache: ReadCache;
  readonly #reader: Reader;
  readonly #destager: Destager | undefined;
  #forwards: readonly Forward[] = [];
  #committed: Sequence;
  #checkpointTimer: Timer | undefined;
  #failure: OperatingError | undefined;
  /** The last request that opening found in the journal. */
  #replayEnd: Sequence;
  #replayed = false;
  #closed = false;

  constructor(world: World, options: PipelineOptions) {
    this.#world = world;
    this.#journal = options.journal;
    this.#cache = options.cache;
    this.#committed = options.journal.retired;
    this.#replayEnd = options.journal.appended;
    this.#replayed = this.#replayEnd === options.journal.retired;
    const { journal, cache, volumes, elsewhere = NOWHERE, gatherBytes, mayGather = () => true } = options;
    this.#reader = new Reader(world.arithmetic, journal, cache, volumes, elsewhere);
    this.#reader.onRescued = (volume, lba) => this.onRescued(volume, lba);
    this.#reader.onJournalMissed = (error) => this.onJournalMissed(error);
    if (options.stores) {
      this.#destager = new Destager(world, journal, cache, volumes, elsewhere, gatherBytes, mayGather);
      this.#destager.onJournalMissed = (error) => this.onJournalMissed(error);
      this.#destager.onStored = () => {
        this.#progress();
        this.#checkpoint();
      };
      this.#destager.onFailed = (error) => this.#fail(error);
    }
    options.journal.onDurable = () => this.#progress();
    options.journal.onRoom = () => this.onRoom();
    options.journal.onFailed = (error) => this.#fail(error);
  }

  /** Set once, before the first request is accepted. */
  set forwards(forwards: readonly Forward[]) {
    this.#forwards = forwards;
  }

  get appended(): Sequence {
    return this.#journal.appended;
  }
  get durable(): Sequence {
    return this.#journal.durable;
  }
  get committed(): Sequence {
    return this.#committed;
  }
  /** Everything up to here is in the array, flushed; for a site without storage, what is committed. */
  get stored(): Sequence {
    return this.#destager?.stored ?? this.#committed;
  }
  /** Whether there is something to be stored that waits for more, and nothing is being stored. */
  get isGathering(): boolean {
    return this.#destager?.isGathering ?? false;
  }
  /** Room for data write requests in the journal. */
  get freeBytes(): number {
    return Math.max(0, this.#journal.capacityBytes - this.#journal.usedBytes);
  }
  get failure(): OperatingError | undefined {
    return this.#failure;
  }

  /** Whether all that opening found in the journal is stored. */
  get isReplayed(): boolean {
    return this.#replayed;
  }

  get position(): LogPosition {
    const { promised, lastEpoch, appended, retired, history } = this.#journal;
    return { promised, lastEpoch, appended, retired, committed: this.#committed, history };
  }

  hasRoom(dataBlocks: number): boolean {
    if (this.#failure !== undefined) return false;
    const hasRoom = this.#journal.hasRoom(dataBlocks);
    // What could be stored must not gather while somebody waits for its room.
    if (!hasRoom) this.#destager?.hurry();
    return hasRoom;
  }

  /** What may be stored waits for no more. */
  hurry(): void {
    this.#destager?.hurry();
  }

  /** Takes the next request in sequence; its data is copied. `hasRoom` must have said yes. */
  accept(request: DataWriteRequest): void {
    assert(!this.#closed, "pipeline is open");
    this.#journal.append(request);
    if (request.kind === "write") this.#cache.update(request.volume, request.lba, request.data);
    else if (request.kind === "unmap") this.#cache.invalidate(request.volume, request.lba, request.blocks);
    for (const forward of this.#forwards) forward.notify();
  }

  /** Every in-sync site has everything up to `upTo`. Sequences that are not here yet count once they are. */
  commit(upTo: Sequence): void {
    const known = sequence(Math.min(upTo, this.#journal.appended));
    if (known <= this.#committed) return;
    this.#committed = known;
    for (const forward of this.#forwards) forward.notify();
    this.#progress();
  }

  /** A forward's ACK moved. */
  acknowledged(): void {
    this.#retire();
  }

  /** Reads the latest accepted content, committed or not. */
  read(volume: VolumeId, lba: Lba, into: Uint8Array): Pending {
    return this.#reader.read(volume, lba, into);
  }

  /** As `read`, but from journal and array, never from the read cache: for those who verify what is stored. */
  readStored(volume: VolumeId, lba: Lba, into: Uint8Array): Promise<void> {
    return this.#reader.readStored(volume, lba, into);
  }

  /** Whether blocks hold something of their own, as the latest accepted requests have it. */
  allocation(volume: VolumeId, lba: Lba, blocks: number): Promise<Allocation> {
    return this.#reader.allocation(volume, lba, blocks);
  }

  /** The newest request in the journal that touches any of the blocks; 0 where there is none. */
  newest(volume: VolumeId, lba: Lba, blocks: number): Sequence {
    return this.#reader.newest(volume, lba, blocks);
  }

  promise(epoch: LogPosition["promised"]): Promise<void> {
    return this.#journal.promise(epoch);
  }

  /** Drops what is not committed after `to`, durably. */
  async cut(to: Sequence): Promise<void> {
    assert(to >= this.#committed, "what is committed is never cut");
    await this.#journal.cut(to);
    this.#replayEnd = sequence(Math.min(this.#replayEnd, to));
    this.#cache.clear();
  }

  /** Stops storing. What is not stored stays in the journal, which is the caller's to close. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#checkpointTimer?.cancel();
    await this.#destager?.close();
    if (this.#failure === undefined) await this.#journal.checkpoint();
  }

  #progress(): void {
    this.#destager?.storeUpTo(sequence(Math.min(this.#committed, this.#journal.durable)));
    if (!this.#replayed && this.stored >= this.#replayEnd) {
      this.#replayed = true;
      this.onReplayed();
    }
    this.#retire();
    this.onProgress();
  }

  #retire(): void {
    if (this.#closed || this.#failure !== undefined) return;
    let upTo = Math.min(this.#committed, this.#journal.durable, this.stored);
    for (const forward of this.#forwards) upTo = Math.min(upTo, forward.hop);
    if (upTo <= this.#journal.retired) return;
    this.#journal.retire(sequence(upTo));
    this.#checkpointTimer ??= this.#world.clock.after(CHECKPOINT_DELAY, () => this.#checkpoint());
  }

  /** Makes retirement durable, which frees the journal's room. */
  #checkpoint(): void {
    this.#checkpointTimer?.cancel();
    this.#checkpointTimer = undefined;
    if (this.#closed) return;
    this.#journal.checkpoint().then(
      () => this.onProgress(),
      (error) => this.#fail(error),
    );
  }

  #fail(error: OperatingError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.onFailed(error);
  }
}
