/**
 * The mirror controller: gives host writes their order, sends each to every leg, and acknowledges the host when the
 * local journal and every leg have it.
 *
 * Invariants:
 * - It serves only after it has taken a new epoch (see `Takeover`), and stops at once when told of a higher one.
 * - Committed is the least of what the local journal and each leg hold durably. A host write completes when its
 *   request is committed, never before, and a read returns only what is committed.
 * - The in-sync set is fixed: a leg that is lost suspends acknowledgements until it is back.
 */

import { assert } from "../base/assert.ts";
import type { Allocation, Pending } from "../base/block-device.ts";
import { Condition } from "../base/condition.ts";
import { type DataWriteRequest, REQUEST_BLOCKS_MAX } from "../base/data-write-request.ts";
import { OperatingError } from "../base/operating-error.ts";
import {
  lba as asLba,
  BLOCK_BYTES,
  type Epoch,
  epoch,
  type Instant,
  type Lba,
  type Millis,
  millis,
  type Sequence,
  sequence,
  type VolumeId,
} from "../base/units.ts";
import { align, resumeFrom } from "../pipeline/align.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { elapsed } from "../platform/clock.ts";
import type { World } from "../platform/world.ts";
import { Admission, type AdmittedWrite, type HostWrite } from "./admission.ts";
import { CommitQueue } from "./commit-queue.ts";
import type { Leg } from "./leg.ts";
import type { VolumeService } from "./mirrored-volume.ts";
import { takeEpoch } from "./takeover.ts";

export type ControllerState =
  | { readonly kind: "idle" }
  | { readonly kind: "starting"; readonly phase: string; readonly lastError?: OperatingError }
  | { readonly kind: "serving"; readonly epoch: Epoch; readonly since: Instant }
  /** Another primary took a higher epoch; this one may not serve again before it is started anew. */
  | { readonly kind: "fenced"; readonly by: Epoch }
  | { readonly kind: "failed"; readonly error: OperatingError };

/** Blocks that are written again at the same time, since they could not be read here. */
const HEALING_MAX = 16;

const NO_CHECKSUMS = new Uint32Array(0);
const NO_DATA = new Uint8Array(0);

export class MirrorController implements VolumeService {
  onState: (state: ControllerState) => void = () => {};
  /** Journal or array can't go on; the controller has stopped serving. */
  onFailed: (error: OperatingError) => void = () => {};

  readonly #world: World;
  readonly #pipeline: Pipeline;
  readonly #site: string;
  #legs: readonly Leg[] = [];
  readonly #admission: Admission;
  readonly #commits = new CommitQueue();
  readonly #progress = new Condition();
  readonly #checksums = new Uint32Array(REQUEST_BLOCKS_MAX);
  #state: ControllerState = { kind: "idle" };
  #epoch: Epoch = epoch(0);
  /** Whether legs that come back may go on by themselves: from the end of the takeover on. */
  #resuming = false;
  readonly #observers = new Set<(write: AdmittedWrite) => void>();
  readonly #healing = new Set<string>();

  constructor(world: World, site: string, pipeline: Pipeline) {
    this.#world = world;
    this.#site = site;
    this.#pipeline = pipeline;
    this.#admission = new Admission({
      hasRoom: (blocks) => pipeline.hasRoom(blocks),
      admit: (write) => this.#admit(write),
      readNewest: (volume, lba, into) => pipeline.read(volume, lba, into),
      acknowledged: (at) => this.#acknowledged(at),
    });
    pipeline.onRoom = () => {
      this.#admission.resume();
      this.#progress.poke();
    };
    pipeline.onProgress = () => this.#advance();
    pipeline.onRescued = (volume, lba) => this.#heal(volume, lba);
    pipeline.onFailed = (error) => {
      this.#stop({ kind: "failed", error }, this.#cannotGoOn(error));
      this.onFailed(error);
    };
  }

  /** The links are told of this controller's epoch, and it of their states, so they are made after it. */
  set legs(legs: readonly Leg[]) {
    assert(this.#state.kind === "idle", "legs are set before the start");
    this.#legs = legs;
    this.#pipeline.forwards = legs.map((leg) => leg.sender);
  }
  get legs(): readonly Leg[] {
    return this.#legs;
  }

  get state(): ControllerState {
    return this.#state;
  }
  /** The epoch that this controller's messages carry. */
  get epoch(): Epoch {
    return this.#epoch;
  }
  get committed(): Sequence {
    return this.#pipeline.committed;
  }
  get pipeline(): Pipeline {
    return this.#pipeline;
  }
  /** Host writes whose order is given and whose acknowledgement waits. */
  get unacknowledged(): number {
    return this.#commits.length;
  }
  /** How long the oldest unacknowledged host write waits. */
  get oldestWait(): Millis {
    return this.#commits.oldest === undefined ? millis(0) : elapsed(this.#world.clock, this.#commits.oldest);
  }
  /** Host writes that wait for room, or for the writes before them. */
  get waiting(): number {
    return this.#admission.waiting;
  }

  /**
   * Takes a new epoch and serves. Keeps trying while legs are away; resolves when it serves, rejects when it is
   * fenced or can't go on without an operator.
   */
  async start(): Promise<void> {
    assert(this.#state.kind === "idle", "a controller starts once");
    try {
      await this.#takeEpoch();
    } catch (error) {
      if (error instanceof OperatingError && this.state.kind === "starting")
        this.#stop({ kind: "failed", error }, this.#cannotGoOn(error));
      throw error;
    }
    // Journal or array may have failed in the turn in which the last ACK came.
    if (this.state.kind !== "starting") throw this.#unavailable();
    this.#setState({ kind: "serving", epoch: this.#epoch, since: this.#world.clock.now() });
  }

  #takeEpoch(): Promise<void> {
    return takeEpoch({
      world: this.#world,
      site: this.#site,
      pipeline: this.#pipeline,
      legs: this.#legs,
      progress: this.#progress,
      setEpoch: (taken) => {
        this.#epoch = taken;
        this.#resuming = false;
      },
      setPhase: (phase, lastError) => this.#setState({ kind: "starting", phase, lastError }),
      letResume: () => {
        this.#resuming = true;
      },
    });
  }

  /** Stops serving; host writes that are not acknowledged are rejected. */
  stop(): void {
    const error = new OperatingError("mirror.stopped", `Site ${this.#site} is stopping.`, "Wait until it is up again.");
    this.#stop({ kind: "idle" }, error);
  }

  submit(write: HostWrite, signal?: AbortSignal): Promise<void> {
    if (this.#state.kind !== "serving") return Promise.reject(this.#unavailable());
    return this.#admission.submit(write, signal);
  }

  /**
   * Gives a block its newest content again at every site, in order with the hosts' writes. Rejects as a read does
   * where no site can read it.
   */
  rewrite(volume: VolumeId, lba: Lba): Promise<void> {
    const write = { volume, offset: lba * BLOCK_BYTES, length: BLOCK_BYTES, data: NO_DATA };
    return this.submit({ kind: "rewrite", ...write });
  }

  read(volume: VolumeId, lba: number, into: Uint8Array): Pending {
    if (this.#state.kind !== "serving") return Promise.reject(this.#unavailable());
    const first = asLba(lba);
    if (this.#inDoubt(volume, first, into) !== undefined) return this.#readInDoubt(volume, first, into);
    const pending = this.#pipeline.read(volume, first, into);
    return pending === undefined ? undefined : this.#settle(pending, volume, first, into);
  }

  async allocation(volume: VolumeId, lba: number, blocks: number): Promise<Allocation> {
    if (this.#state.kind !== "serving") throw this.#unavailable();
    return await this.#pipeline.allocation(volume, asLba(lba), blocks);
  }

  /** Lets host writes wait while `body` runs: for comparing an extent that never comes to rest. */
  async quiesce<T>(body: () => Promise<T>): Promise<T> {
    try {
      await this.#admission.pause();
      await this.#committedUpTo(this.#pipeline.appended);
      return await body();
    } finally {
      this.#admission.unpause();
    }
  }

  /** Tells `observer` of each write as it enters the order, until `unwatch`. */
  watch(observer: (write: AdmittedWrite) => void): void {
    this.#observers.add(observer);
  }

  unwatch(observer: (write: AdmittedWrite) => void): void {
    this.#observers.delete(observer);
  }

  /** For a leg's link: a better ACK has come. */
  legAcknowledged(): void {
    this.#pipeline.acknowledged();
    this.#advance();
  }

  /** For a leg's link: the leg's site has promised a higher epoch than this controller's. */
  fenced(by: Epoch): void {
    if (this.#state.kind === "serving") {
      const error = new OperatingError(
        "mirror.fenced",
        `Site ${this.#site} served epoch ${this.#epoch}, but epoch ${by} has been taken by another primary.`,
        "Hosts reach their LUNs through the new primary; restart this site only if it is to take over again.",
      );
      this.#stop({ kind: "fenced", by }, error);
    } else {
      this.#progress.poke();
    }
  }

  /** For a leg's link: where to go on streaming after it has connected. */
  resume(position: { lastEpoch: Epoch; appended: Sequence }): Sequence | "hold" {
    if (!this.#resuming) return "hold";
    return resumeFrom(this.#pipeline.position, position) ?? "hold";
  }

  /** For a leg's link: its state changed. */
  legChanged(leg: Leg): void {
    // What is held now the takeover did not hold: its log has to be compared with this one first.
    if (this.#resuming && leg.sender.state.kind === "holding") void this.#alignLeg(leg);
    this.#progress.poke();
  }

  async #alignLeg(leg: Leg): Promise<void> {
    try {
      await align(leg.sender, () => this.#pipeline.position);
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      // A link that was lost meanwhile is aligned when it is back; one that is still up would hold for ever.
      if (error.code !== "link.lost") leg.sender.refuse(error);
    }
  }

  #admit(write: AdmittedWrite): Sequence {
    const checksums = this.#checksums.subarray(0, write.kind === "write" ? write.blocks : 0);
    if (write.kind === "write") this.#world.arithmetic.crc32cBlocks(write.data, checksums);
    const request: DataWriteRequest = {
      kind: write.kind,
      epoch: this.#epoch,
      sequence: sequence(this.#pipeline.appended + 1),
      volume: write.volume,
      lba: write.lba,
      blocks: write.blocks,
      checksums: write.kind === "write" ? checksums : NO_CHECKSUMS,
      data: write.kind === "write" ? write.data : NO_DATA,
    };
    for (const observer of this.#observers) observer(write);
    this.#pipeline.accept(request);
    return request.sequence;
  }

  #acknowledged(at: Sequence): Promise<void> {
    return this.#commits.wait(at, this.#world.clock.now());
  }

  #advance(): void {
    let committed = this.#pipeline.durable;
    for (const leg of this.#legs) if (leg.sender.hop < committed) committed = leg.sender.hop;
    this.#pipeline.commit(committed);
    this.#commits.release(this.#pipeline.committed);
    this.#progress.poke();
  }

  /** The newest request that touches the blocks, if it is not committed yet. */
  #inDoubt(volume: VolumeId, lba: Lba, into: Uint8Array): Sequence | undefined {
    if (this.#pipeline.committed === this.#pipeline.appended) return undefined;
    const newest = this.#pipeline.newest(volume, lba, into.length / BLOCK_BYTES);
    return newest > this.#pipeline.committed ? newest : undefined;
  }

  async #readInDoubt(volume: VolumeId, lba: Lba, into: Uint8Array): Promise<void> {
    const doubt = this.#inDoubt(volume, lba, into);
    if (doubt !== undefined) await this.#committedUpTo(doubt);
    await this.#settle(this.#pipeline.read(volume, lba, into), volume, lba, into);
  }

  /** What was read may be of a write that came meanwhile: it is returned when that write is committed. */
  async #settle(pending: Pending, volume: VolumeId, lba: Lba, into: Uint8Array): Promise<void> {
    await pending;
    const doubt = this.#inDoubt(volume, lba, into);
    if (doubt !== undefined) await this.#committedUpTo(doubt);
    if (this.#state.kind !== "serving") throw this.#unavailable();
  }

  /** What fails, or is one too many, is tried again when the block is read again. */
  #heal(volume: VolumeId, lba: Lba): void {
    const block = `${volume} ${lba}`;
    if (this.#healing.size === HEALING_MAX || this.#healing.has(block)) return;
    this.#healing.add(block);
    const over = () => this.#healing.delete(block);
    this.rewrite(volume, lba).then(over, over);
  }

  async #committedUpTo(at: Sequence): Promise<void> {
    await this.#progress.until(() => this.#pipeline.committed >= at);
  }

  /** What hosts and callers are told: whatever broke, nothing that was acknowledged is lost by it. */
  #cannotGoOn(cause: OperatingError): OperatingError {
    return new OperatingError("mirror.failed", `Site ${this.#site} can't go on: ${cause.what}`, cause.remedy, {
      cause,
    });
  }

  #unavailable(): OperatingError {
    switch (this.#state.kind) {
      case "failed":
        return this.#cannotGoOn(this.#state.error);
      case "fenced":
        return new OperatingError(
          "mirror.fenced",
          `Epoch ${this.#state.by} is served by another primary.`,
          "Use that.",
        );
      default:
        return new OperatingError("mirror.starting", `Site ${this.#site} does not serve yet.`, "Try again.");
    }
  }

  #stop(state: ControllerState, error: OperatingError): void {
    this.#setState(state);
    this.#admission.stop(error);
    this.#commits.rejectAll(error);
    this.#progress.fail(error);
  }

  #setState(state: ControllerState): void {
    this.#state = state;
    this.onState(state);
  }
}
