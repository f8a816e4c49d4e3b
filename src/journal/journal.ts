/**
 * The cache journal of a site: an append-only log of data write requests in a ring on one drive.
 *
 * Invariants:
 * - `retired <= durable <= appended`, and the live requests between the outer two have no gaps.
 * - One drive write of the log is in flight at a time; everything appended meanwhile goes in the next one.
 * - The ring's space is reused only after a superblock that no longer needs it is durable.
 * - No batch is written before a superblock that names this opening is durable, so that nothing that an earlier one
 *   left behind can ever be taken for a part of the log.
 * - A write of the journal that failed fences it: nothing is written any more, and nothing is tried again.
 *
 * Formats and recovery: docs/journal.md.
 */

import { assert } from "../base/assert.ts";
import type { Pending } from "../base/block-device.ts";
import { Condition } from "../base/condition.ts";
import { type DataWriteRequest, REQUEST_BLOCKS_MAX } from "../base/data-write-request.ts";
import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import {
  BLOCK_BYTES,
  type Epoch,
  epoch,
  type Lba,
  lba,
  type Millis,
  millis,
  type Sequence,
  sequence,
  type VolumeId,
} from "../base/units.ts";
import { elapsed } from "../platform/clock.ts";
import type { Drive } from "../platform/drive.ts";
import { isSameUuid } from "../platform/random.ts";
import type { World } from "../platform/world.ts";
import { type FormatOptions, formatJournal } from "./format.ts";
import { type LiveRequests, type RequestHead, UNMAPS_MAX } from "./live-requests.ts";
import { LogReader } from "./log-reader.ts";
import { LOG_BYTES_MIN, LogWindow, type Run } from "./log-window.ts";
import { makeDurable, type Recovered, type Recovery, recover } from "./recovery.ts";
import {
  ARRAYS_MAX,
  driveByte,
  type EpochStart,
  HISTORY_MAX,
  type JournalOwner,
  type KeptGeneration,
  type Opening,
  type Superblock,
  SuperblockWriter,
} from "./superblock.ts";

export type { FormatOptions } from "./format.ts";
export type { RequestHead } from "./live-requests.ts";
export type { Recovery, TornTail } from "./recovery.ts";
export type { EpochStart } from "./superblock.ts";

/** A checkpoint is written by itself once this part of the ring could be reused after it. */
const CHECKPOINT_FRACTION = 4;

/** Whose the journal has to be. */
export interface JournalOptions extends JournalOwner {
  /** Memory that mirrors the newest part of the log: at least WINDOW_BYTES_MIN. */
  readonly windowBytes: number;
}

export const WINDOW_BYTES_MIN = LOG_BYTES_MIN;

/** What can be seen of a stopped site's journal. */
export type JournalView = Pick<
  Journal,
  | "appended"
  | "retired"
  | "lastEpoch"
  | "promised"
  | "history"
  | "recovery"
  | "capacityBytes"
  | "usedBytes"
  | "head"
  | "readData"
  | "newest"
  | "close"
>;

export class Journal {
  /** What opening found. */
  readonly recovery: Recovery;
  readonly capacityBytes: number;
  onDurable: () => void = () => {};
  onRoom: () => void = () => {};
  onFailed: (error: OperatingError) => void = () => {};

  readonly #world: World;
  readonly #drive: Drive;
  readonly #live: LiveRequests;
  /** None where the journal is only looked at. */
  readonly #window: LogWindow | undefined;
  readonly #reader: LogReader;
  readonly #superblocks: SuperblockWriter;
  /** The durable superblock. */
  #superblock: Superblock;
  #history: readonly EpochStart[];
  #wantedPromise: Epoch;
  #wantedArrays: readonly KeptGeneration[];
  #opening: Opening;
  #durable: Sequence;
  #durablePosition: number;
  #durableHash: number;

  #writing = false;
  #turnPending = false;
  #claiming = false;
  #checkpointing = false;
  #roomWanted = false;
  #cutting: Sequence | undefined;
  #closing: "no" | "draining" | "recording" | "closed" = "no";
  #failed: OperatingError | undefined;
  /** Where those wait who want a request durable. */
  readonly #durability = new Condition();
  /** Resolves those who wait in `#whenIdle`. */
  readonly #idle: (() => void)[] = [];

  /**
   * Makes a journal on a drive.
   *
   * Rejects with `journal.exists` where the drive holds anything and `overwrite` is not set, and with `journal.size` where
   * it is too small.
   */
  static format(world: World, drive: Drive, options: FormatOptions): Promise<void> {
    return formatJournal(world, drive, options);
  }

  /**
   * Opens a journal and recovers it; writes nothing new. The drive stays the caller's to close, after the journal.
   *
   * Rejects with `journal.blank`, `journal.foreign`, `journal.version`, `journal.group`, `journal.site`,
   * `journal.size` or `journal.corrupt`, or as the drive does.
   */
  static async open(world: World, drive: Drive, options: JournalOptions): Promise<Journal> {
    assert(options.windowBytes >= WINDOW_BYTES_MIN, `journal window of ${options.windowBytes} bytes`);
    const recovered = await recover(world, drive, options);
    await makeDurable(world, drive, recovered);
    return new Journal(world, drive, recovered, options.windowBytes);
  }

  /** Opens a stopped site's journal to look at it: it can be on a read-only drive, and nothing can be appended. */
  static async inspect(world: World, drive: Drive, owner: JournalOwner): Promise<JournalView> {
    return new Journal(world, drive, await recover(world, drive, owner), 0);
  }

  private constructor(world: World, drive: Drive, recovered: Recovered, windowBytes: number) {
    const { state } = recovered.superblock;
    this.#world = world;
    this.#drive = drive;
    this.#live = recovered.live;
    this.recovery = recovered.recovery;
    this.capacityBytes = state.ringBytes;
    this.#superblock = state;
    this.#history = recovered.history;
    this.#wantedPromise = state.promised;
    this.#wantedArrays = state.arrays;
    this.#durable = this.#live.appended;
    this.#durablePosition = recovered.end;
    this.#durableHash = recovered.hash;
    this.#opening = { number: state.opening.number + 1, position: recovered.end, sequence: this.#live.appended };
    const windowed = windowBytes - (windowBytes % BLOCK_BYTES);
    if (windowBytes > 0) {
      const { end, hash } = recovered;
      this.#window = new LogWindow(world, windowed, state.ringBytes, state.uuid, end, hash);
    }
    this.#reader = new LogReader(world, drive, this.#live, state.ringBytes, () => this.#offerRoom());
    this.#superblocks = new SuperblockWriter(
      world,
      drive,
      recovered.superblock,
      () => this.#snapshot(),
      (written) => {
        this.#superblock = written;
      },
      (error) => this.#fail(error),
    );
  }

  /** The last request that was appended, in memory at least. */
  get appended(): Sequence {
    return this.#live.appended;
  }

  /** All requests up to this one are on non-volatile media. */
  get durable(): Sequence {
    return this.#durable;
  }

  /** All requests up to this one are gone from the journal. */
  get retired(): Sequence {
    return this.#live.retired;
  }

  /** Epoch of request `appended`; 0 if there never was one. */
  get lastEpoch(): Epoch {
    return this.#live.lastEpoch;
  }

  /** Bytes of the ring that live requests take. */
  get usedBytes(): number {
    return (this.#window?.end ?? this.#durablePosition) - this.#tail().position;
  }

  /** Since the oldest live request was appended, or found on opening. */
  get oldestAge(): Millis {
    if (this.retired === this.appended) return millis(0);
    return elapsed(this.#world.clock, this.#live.since(sequence(this.retired + 1)));
  }

  /** The epoch that was promised last, durably. */
  get promised(): Epoch {
    return this.#superblock.promised;
  }

  /** Where the newest epochs began, oldest first; it survives retirement. */
  get history(): readonly EpochStart[] {
    return this.#history;
  }

  /** The error that fenced the journal, if it is fenced. */
  get failure(): OperatingError | undefined {
    return this.#failed;
  }

  /** Durable when it resolves; never goes down. Rejects with `journal.failed`. */
  async promise(of: Epoch): Promise<void> {
    if (of <= this.promised) return;
    this.#wantedPromise = epoch(Math.max(of, this.#wantedPromise));
    await this.#update();
  }

  /** The generation of an array that was kept last, durably; 0 where none was. */
  arrayGeneration(arrayUuid: Uint8Array): number {
    return generationOf(this.#superblock.arrays, arrayUuid);
  }

  /** Keeps a generation of an array, see `GenerationMemory`. Durable when it resolves. Rejects with `journal.failed`. */
  async keepArrayGeneration(arrayUuid: Uint8Array, generation: number): Promise<void> {
    if (generation > generationOf(this.#wantedArrays, arrayUuid)) {
      const others = this.#wantedArrays.filter((entry) => !isSameUuid(entry.arrayUuid, arrayUuid));
      this.#wantedArrays = [...others, { arrayUuid, generation }].slice(-ARRAYS_MAX);
    }
    await this.#update();
  }

  /** Whether a request with this many blocks of data can be appended now; `onRoom` follows where it can't. */
  hasRoom(dataBlocks: number): boolean {
    if (this.#window === undefined) return false;
    if (this.#takes(this.#window, dataBlocks)) return true;
    this.#roomWanted = true;
    const ringIsShort = !this.#window.fits(dataBlocks, this.#superblock.tailPosition);
    if (this.#tableIsFull() || (ringIsShort && this.#window.fits(dataBlocks, this.#tail().position))) {
      this.#startCheckpoint();
    }
    return false;
  }

  /** Takes the next request in and copies its data; it is durable once `durable` has reached it. There has to be room. */
  append(request: DataWriteRequest): void {
    const window = this.#window;
    assert(
      window !== undefined && this.#takes(window, request.checksums.length),
      "a request is appended where there is room",
    );
    assert(request.sequence === this.appended + 1, `request ${request.sequence} appended after ${this.appended}`);
    assert(request.epoch >= this.lastEpoch, `request of epoch ${request.epoch} appended after epoch ${this.lastEpoch}`);
    const place = window.append(request);
    this.#live.add(request, place, this.#world.clock.now(), true);
    if (request.kind === "epoch-start") {
      this.#history = [...this.#history, { epoch: request.epoch, start: request.sequence }].slice(-HISTORY_MAX);
    }
    this.#commitAfterTurn();
  }

  /** A live request without its data; undefined when it is not live. */
  head(of: Sequence): RequestHead | undefined {
    return this.#live.head(of);
  }

  /** A live write's data if it is still in memory; valid until control returns to the event loop. */
  windowData(of: Sequence): Uint8Array | undefined {
    if (!this.#live.isLive(of) || this.#live.dataBlocks(of) === 0) return undefined;
    return this.#window?.at(this.#live.windowPosition(of), this.#live.dataBlocks(of) * BLOCK_BYTES);
  }

  /**
   * Reads blocks of a live write's data, from memory or from the drive, and verifies them against their checksums.
   *
   * @param firstBlock counted from the request's first block
   * @param into       a buffer of `Memory`, `blocks` blocks long
   * Rejects with `journal.corrupt`, or as the drive does.
   */
  readData(of: Sequence, firstBlock: number, blocks: number, into: Uint8Array): Pending {
    assert(this.#live.isLive(of), `request ${of} is not live`);
    assert(firstBlock + blocks <= this.#live.dataBlocks(of), `request ${of} has no blocks ${firstBlock} to ${blocks}`);
    assert(into.length === blocks * BLOCK_BYTES, `buffer of ${into.length} bytes for ${blocks} blocks`);
    const position = this.#live.dataPosition(of) + firstBlock * BLOCK_BYTES;
    const inWindow = this.windowData(of);
    if (inWindow === undefined) return this.#reader.read(of, position, into);
    const from = firstBlock * BLOCK_BYTES;
    into.set(inWindow.subarray(from, from + into.length));
    const error = this.#reader.verify(of, position, into);
    return error === undefined ? undefined : Promise.reject(error);
  }

  /** The newest live request that touches the block; 0 where there is none. */
  newest(volume: VolumeId, block: Lba): Sequence {
    return this.#live.newest(volume, block);
  }

  /** Drops the requests up to this one, which must be durable. Their space is reused after the next durable checkpoint. */
  retire(upTo: Sequence): void {
    assert(upTo <= this.#durable, `retiring up to ${upTo}, durable are ${this.#durable}`);
    assert(this.#cutting === undefined || upTo <= this.#cutting, `retiring up to ${upTo} during a cut`);
    if (upTo <= this.retired) return;
    this.#live.retire(upTo);
    const space = this.#tail().position - this.#superblock.tailPosition;
    const places = this.retired - this.#superblock.retired;
    const worthIt =
      space * CHECKPOINT_FRACTION >= this.capacityBytes || places * CHECKPOINT_FRACTION >= this.#live.capacity;
    if (worthIt) this.#startCheckpoint();
    // Whoever wants room asks again, and that starts a checkpoint if one helps.
    if (this.#roomWanted) this.#world.clock.afterTurn(() => this.#offerRoom());
  }

  /** Makes retirement durable. Rejects with `journal.failed`. */
  async checkpoint(): Promise<void> {
    if (this.#checkpointIsDue()) await this.#update();
  }

  /**
   * Proves that the journal takes writes: resolves when a durable write that began after this call has come through, and
   * all that was appended before it is durable. The write is an update of the superblock, two blocks.
   *
   * Rejects with `journal.failed`.
   */
  async prove(): Promise<void> {
    const { appended } = this;
    await this.#update();
    // A cut may have dropped what was not acknowledged.
    await this.#durability.until(() => this.#durable >= Math.min(appended, this.appended));
  }

  /**
   * Drops all requests after `to`, none of which is retired, durably. Nothing can be appended until it is done.
   *
   * @returns what was dropped
   * Rejects with `journal.failed`.
   */
  async cut(to: Sequence): Promise<readonly RequestHead[]> {
    assert(this.#cutting === undefined && this.#closing === "no", "one cut at a time, before closing");
    assert(to >= this.retired && to <= this.appended, `cut to ${to}, live are ${this.retired + 1} to ${this.appended}`);
    this.#cutting = to;
    try {
      await this.#whenIdle();
      if (this.#failed !== undefined) throw this.#failed;
      this.#opening = { number: this.#opening.number + 1, position: this.#durablePosition, sequence: to };
      await this.#update();
      const dropped: RequestHead[] = [];
      for (let of = to + 1; of <= this.appended; of++) {
        const head = this.#live.head(sequence(of));
        if (head !== undefined) dropped.push(head);
      }
      this.#live.drop(to);
      this.#live.reindex();
      this.#history = this.#history.filter((entry) => entry.start <= to);
      this.#durable = to;
      return dropped;
    } finally {
      this.#cutting = undefined;
      this.#offerRoom();
    }
  }

  /** Waits for what was appended to be durable, then releases the journal's memory. */
  async close(): Promise<void> {
    assert(this.#closing === "no" && this.#cutting === undefined, "a journal is closed once, and not during a cut");
    this.#closing = "draining";
    await this.#whenIdle();
    this.#closing = "recording";
    const worthRecording = this.#ownsLog() || this.#checkpointIsDue();
    if (this.#window !== undefined && this.#failed === undefined && worthRecording) {
      await this.#update().catch(unlessFailed);
    }
    await this.#superblocks.close();
    this.#closing = "closed";
    this.#window?.close();
  }

  #takes(window: LogWindow, dataBlocks: number): boolean {
    assert(dataBlocks <= REQUEST_BLOCKS_MAX, `room for ${dataBlocks} blocks`);
    return (
      this.#failed === undefined &&
      this.#closing === "no" &&
      this.#cutting === undefined &&
      !this.#tableIsFull() &&
      (dataBlocks > 0 || this.#live.unmaps < UNMAPS_MAX) &&
      window.fits(dataBlocks, this.#reusable())
    );
  }

  /** Requests keep their place until a checkpoint is durable, since replay would find them all. */
  #tableIsFull(): boolean {
    return this.appended - this.#superblock.retired >= this.#live.capacity;
  }

  /** The log below this position is needed neither for replay nor by a read. */
  #reusable(): number {
    return Math.min(this.#superblock.tailPosition, this.#reader.oldest);
  }

  /** Where replay has to start, and the hash of the batch before. */
  #tail(): { readonly position: number; readonly hash: number } {
    const oldest = sequence(this.retired + 1);
    if (oldest > this.#durable) return { position: this.#durablePosition, hash: this.#durableHash };
    return { position: this.#live.batchPosition(oldest), hash: this.#live.batchHash(oldest) };
  }

  #snapshot(): Superblock {
    const tail = this.#tail();
    return {
      ...this.#superblock,
      closed: this.#closing === "recording",
      promised: this.#wantedPromise,
      arrays: this.#wantedArrays,
      tailPosition: tail.position,
      tailHash: tail.hash,
      retired: this.retired,
      retiredEpoch: this.#live.retiredEpoch,
      durablePosition: this.#durablePosition,
      opening: this.#opening,
      history: this.#history.filter((entry) => entry.start <= this.retired),
    };
  }

  /** Whether the durable superblock names the present opening, so that batches may be written. */
  #ownsLog(): boolean {
    return this.#superblock.opening.number === this.#opening.number;
  }

  async #update(): Promise<void> {
    assert(this.#closing !== "closed", "the journal is closed");
    if (this.#failed !== undefined) throw this.#failed;
    try {
      await this.#superblocks.update();
    } catch (cause) {
      throw this.#failed ?? cause;
    }
    this.#offerRoom();
  }

  /** Whether replay would begin further on than the durable superblock says; after a cut, without any retirement. */
  #checkpointIsDue(): boolean {
    return this.#superblock.retired < this.retired || this.#superblock.tailPosition < this.#tail().position;
  }

  #startCheckpoint(): void {
    if (this.#checkpointing || this.#failed !== undefined || this.#closing !== "no") return;
    if (!this.#checkpointIsDue()) return;
    this.#checkpointing = true;
    this.#update()
      .finally(() => {
        this.#checkpointing = false;
      })
      .catch(unlessFailed);
  }

  #commitAfterTurn(): void {
    if (this.#turnPending || this.#writing) return;
    this.#turnPending = true;
    this.#world.clock.afterTurn(() => {
      this.#turnPending = false;
      this.#commit();
    });
  }

  #commit(): void {
    if (this.#writing || this.#failed !== undefined || this.#window === undefined) return;
    if (!this.#window.hasUnwritten) return;
    if (!this.#ownsLog()) {
      if (!this.#claiming) this.#claimLog();
      return;
    }
    const run = this.#window.takeRun(this.#opening.number);
    if (run === undefined) return;
    for (const batch of run.batches) this.#live.setBatchHash(batch.firstSequence, batch.count, batch.previousHash);
    this.#writing = true;
    const pending = this.#drive.write(lba(driveByte(run.position, this.capacityBytes) / BLOCK_BYTES), run.bytes, {
      fua: true,
    });
    if (pending === undefined) this.#committed(run);
    else {
      pending.then(
        () => this.#committed(run),
        (cause) => {
          this.#writing = false;
          this.#fail(cause);
          this.#resolveIdle();
        },
      );
    }
  }

  #claimLog(): void {
    this.#claiming = true;
    this.#update()
      .then(() => {
        this.#claiming = false;
        this.#commit();
      })
      .catch(unlessFailed);
  }

  #committed(run: Run): void {
    this.#writing = false;
    if (this.#failed !== undefined) {
      this.#resolveIdle();
      return;
    }
    this.#window?.release(run);
    this.#durable = run.lastSequence;
    this.#durablePosition = run.endPosition;
    this.#durableHash = run.hash;
    this.#durability.poke();
    this.#resolveIdle();
    if (this.#window?.hasUnwritten) this.#commitAfterTurn();
    this.onDurable();
    this.#offerRoom();
  }

  /** Resolves when nothing is being written, and everything that was appended is durable or the journal is fenced. */
  async #whenIdle(): Promise<void> {
    while (this.#busy()) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #busy(): boolean {
    return this.#writing || (this.#failed === undefined && this.#window?.hasUnwritten === true);
  }

  #resolveIdle(): void {
    if (!this.#busy()) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #offerRoom(): void {
    if (!this.#roomWanted || this.#closing !== "no") return;
    this.#roomWanted = false;
    this.onRoom();
  }

  #fail(cause: unknown): void {
    if (this.#failed !== undefined) return;
    const why = isOperatingError(cause) ? cause.what : String(cause);
    this.#failed = new OperatingError(
      "journal.failed",
      `A write of the journal on ${this.#drive.path} failed, and nothing more is written to it: ${why}`,
      "Replace or repair the journal's drive, then start the site again; it resyncs what the journal lost.",
      { cause },
    );
    this.#durability.fail(this.#failed);
    this.#resolveIdle();
    this.onFailed(this.#failed);
  }
}

function generationOf(arrays: readonly KeptGeneration[], arrayUuid: Uint8Array): number {
  return arrays.find((entry) => isSameUuid(entry.arrayUuid, arrayUuid))?.generation ?? 0;
}

/** Whoever started something by itself need not hear of a failure that `onFailed` has told. */
function unlessFailed(error: unknown): void {
  if (!isOperatingError(error, "journal.failed")) throw error;
}
