/**
 * The disk array controller: an array of drives that stores volumes, with redundancy and a checksum for every block.
 *
 * A request is cut into parts of about 1 MiB that begin at stripes. Each part passes the gate, which bounds what the
 * array holds in memory, takes its stripes' lock, and goes to the level. A write is done when data and checksums
 * are on every member that holds them, and every member that missed them is marked so on the others. It is durable after
 * a flush, or at once with FUA.
 *
 * What is not flushed when the power goes is to be written again, whole, by whoever holds it (the journal): the array
 * makes that safe whatever the crash left, but does not keep it. After an unclean stop it waits for `redone`.
 */

import { allSettled } from "../base/all-settled.ts";
import { assert } from "../base/assert.ts";
import type { Allocation, BlockDevice, Pending } from "../base/block-device.ts";
import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, byteCount } from "../base/units.ts";
import type { Drive } from "../platform/drive.ts";
import { randomUuid } from "../platform/random.ts";
import type { World } from "../platform/world.ts";
import { checkNewDrive, clear, newSlot, unmark } from "./adding.ts";
import { type AssembleOptions, type Found, findMembers } from "./assemble.ts";
import {
  ArrayCore,
  blocks,
  CHECKSUM_CACHE_BYTES,
  type Level,
  PARTS_MAX,
  Pins,
  partStripes,
  unmapStripes,
} from "./core.ts";
import { type CreateOptions, checkName, createArray } from "./create.ts";
import type { ArrayEvent, ArrayStatus, ScrubReport } from "./events.ts";
import { Gate } from "./gate.ts";
import { LevelFive } from "./level-five.ts";
import { LevelOne } from "./level-one.ts";
import { Member } from "./member.ts";
import { ZONE_DATA_BLOCKS } from "./member-layout.ts";
import { Membership } from "./membership.ts";
import { RangeLock } from "./range-lock.ts";
import { CHECKPOINT_BLOCKS, Rebuild, RUN_BLOCKS } from "./rebuild.ts";
import { readLog } from "./stripe-log.ts";
import { VOLUMES_MAX, type VolumeEntry } from "./superblock.ts";
import { type ArrayRequest, ArrayVolume } from "./volume.ts";

export type { AssembleOptions } from "./assemble.ts";
export type { CreateOptions } from "./create.ts";
export type { ArrayEvent, ArrayState, ArrayStatus, MemberState, MemberStatus, ScrubReport } from "./events.ts";
export type { ArrayLevel } from "./geometry.ts";
export type { GenerationMemory } from "./membership.ts";

export class DiskArray {
  onEvent: (event: ArrayEvent) => void;
  readonly #core: ArrayCore;
  readonly #membership: Membership;
  readonly #level: Level;
  readonly #lock = new RangeLock();
  readonly #gate: Gate;
  readonly #naming = new Gate(1);
  readonly #devices = new Map<string, ArrayVolume>();
  readonly #checkpointBlocks: number;
  #rebuild: Rebuild | undefined;
  #closed = false;

  /**
   * Makes an array on drives that are blank, or on any with `overwrite`. Rejects with `raid.foreign` (what is on which
   * drive), `raid.bad-shape`, `raid.bad-chunk`, `raid.bad-name`, `raid.too-small`, `raid.duplicate-drive`.
   */
  static create(world: World, drives: readonly Drive[], options: CreateOptions): Promise<void> {
    return createArray(world, drives, options);
  }

  /**
   * Assembles an array from its drives, in any order. The drives stay the caller's to close, after the array.
   *
   * Rejects with `raid.foreign`, `raid.other-group`, `raid.other-array`, `raid.duplicate-drive`,
   * `raid.duplicate-slot`, `raid.split`, `raid.blank` (all of them), `raid.left-behind`, `raid.too-few`, `raid.dirty-degraded`, and
   * read-only with `raid.log-pending`. Blank, unreadable and stale drives are left out as long as enough remain.
   */
  static async assemble(world: World, drives: readonly Drive[], options: AssembleOptions): Promise<DiskArray> {
    let array: DiskArray | undefined;
    const emit = (event: ArrayEvent): void => (array === undefined ? options.onEvent?.(event) : array.onEvent(event));
    const found = await findMembers(world, drives, options, emit);
    array = new DiskArray(world, found, options, emit);
    try {
      if (options.readOnly !== true) await array.#membership.spread(found.ahead);
      await array.#replay();
      array.#startRebuild();
    } catch (error) {
      array.#release();
      throw error;
    }
    return array;
  }

  private constructor(world: World, found: Found, options: AssembleOptions, emit: (event: ArrayEvent) => void) {
    const { geometry, superblock, members, recovering } = found;
    this.onEvent = options.onEvent ?? (() => {});
    this.#membership = new Membership(world, geometry, members, superblock, recovering, options.memory, emit);
    this.#core = new ArrayCore({
      world,
      name: superblock.name,
      geometry,
      membership: this.#membership,
      zones: superblock.zones,
      readOnly: options.readOnly === true,
      checksumCacheBytes: options.checksumCacheBytes ?? CHECKSUM_CACHE_BYTES,
      emit,
    });
    this.#level = geometry.level === 1 ? new LevelOne(this.#core) : new LevelFive(this.#core);
    this.#gate = new Gate(this.#core.operations);
    this.#checkpointBlocks = options.checkpointBlocks ?? CHECKPOINT_BLOCKS;
    for (const volume of superblock.volumes) this.#devices.set(volume.name, new ArrayVolume(this, volume));
  }

  get status(): ArrayStatus {
    const { superblock, members, state, recovering, settling } = this.#membership;
    return {
      name: superblock.name,
      level: superblock.level,
      chunkBytes: byteCount(superblock.chunkBlocks * BLOCK_BYTES),
      state,
      members: members.map((member) => member.status()),
      capacityBlocks: this.#capacityBlocks,
      allocatedBlocks: superblock.volumes.reduce((sum, volume) => sum + this.#aligned(volume.blocks), 0),
      recovering,
      settling,
    };
  }

  /** Data blocks of a full stripe; at level 1 those of a chunk. Writes of whole, aligned ones are the cheapest. */
  get stripeBlocks(): number {
    return this.#core.geometry.stripeBlocks;
  }

  get volumes(): readonly { readonly name: string; readonly blocks: number }[] {
    return this.#membership.superblock.volumes.map(({ name, blocks: size }) => ({ name, blocks: size }));
  }

  volume(name: string): BlockDevice | undefined {
    return this.#devices.get(name);
  }

  /**
   * Makes a volume of zeros, in one run that begins at a stripe. Durable when it resolves.
   * Rejects with `raid.full`, `raid.volume-exists`, `raid.bad-name`, `raid.read-only` or `raid.failed`.
   */
  async createVolume(name: string, size: number): Promise<BlockDevice> {
    assert(Number.isInteger(size) && size > 0, `volume of ${size} blocks`);
    checkName("volume", name);
    await this.#naming.enter();
    try {
      this.#assertWritable();
      const { volumes } = this.#membership.superblock;
      if (volumes.some((volume) => volume.name === name)) {
        throw new OperatingError(
          "raid.volume-exists",
          `Array ${this.#core.name} has a volume ${name} already.`,
          "Choose another name.",
        );
      }
      const volume: VolumeEntry = { name, first: this.#findSpace(name, size), blocks: size };
      await this.#membership.setVolumes([...volumes, volume]);
      const device = new ArrayVolume(this, volume);
      this.#devices.set(name, device);
      return device;
    } finally {
      this.#naming.leave();
    }
  }

  /**
   * Everything that was written and not known flushed before the last unclean stop has been written again.
   * To be called once after each assembly, when the journal has been drained; see `ArrayStatus.recovering`.
   */
  redone(): void {
    const { recovering } = this.#membership;
    this.#membership.redone();
    if (recovering) this.#startRebuild();
  }

  /**
   * Reads every row of the array and compares its blocks with their checksums, and with their parity or mirrors where
   * all members are there. Repairs nothing.
   */
  check(signal?: AbortSignal): Promise<ScrubReport> {
    return this.#everyStripe(false, signal);
  }

  /**
   * As `check`, and repairs what is provably wrong: a block that does not have its checksum, from the others of its row;
   * parity that does not fit data that has. What it cannot prove it leaves as it is. Hosts are served meanwhile.
   */
  async scrub(signal?: AbortSignal): Promise<ScrubReport> {
    this.#assertWritable();
    return this.#everyStripe(true, signal);
  }

  /**
   * Takes a drive into the array in the place of a missing member, and begins to rebuild it: `status` and events say how
   * far it is. Resolves when the array knows the drive. All that was on it is lost; it stays the caller's to close, after
   * the array.
   *
   * A drive that was a member before is taken as any other. Rejects with `raid.not-missing` (nobody is), `raid.rebuilding`
   * (one at a time), `raid.duplicate-drive`, `raid.too-small`, `raid.foreign` (what is on it; unless `overwrite`),
   * `raid.read-only`, `raid.failed`, `raid.drive-failed`, and as the drive does.
   */
  async add(drive: Drive, options: { readonly overwrite?: boolean } = {}): Promise<void> {
    this.#assertWritable();
    await this.#naming.enter();
    try {
      this.#assertWritable();
      this.#membership.assertServing();
      const { world, name } = this.#core;
      const slot = newSlot(this.#membership, name, drive);
      const { zones, arrayUuid } = this.#membership.superblock;
      await checkNewDrive(world, name, drive, zones, options.overwrite === true ? undefined : arrayUuid);
      await clear(world, drive, zones, arrayUuid);
      await this.#join(slot, drive);
    } finally {
      this.#naming.leave();
    }
  }

  /** Nothing is under way while a slot changes hands. */
  async #join(slot: number, drive: Drive): Promise<void> {
    const { world, emit } = this.#core;
    const held = await this.#lock.acquire(0, this.#stripes - 1, true);
    try {
      this.#assertOpen();
      this.#membership.assertServing();
      this.#core.checksums.forget(slot);
      const rows = { rebuilt: 0, total: this.#rows };
      const member = new Member(slot, randomUuid(world.random), drive, "rebuilding", rows, world.arithmetic, emit);
      await this.#membership.join(member);
      if (member.attached) await unmark(world, drive).catch((cause) => this.#membership.fail(member, cause));
      if (!member.attached) {
        throw new OperatingError(
          "raid.drive-failed",
          `Drive ${drive.path} failed while it was added to array ${this.#core.name}.`,
          "Add another drive.",
        );
      }
    } finally {
      this.#lock.release(held);
    }
    this.#startRebuild();
  }

  #startRebuild(): void {
    const { recovering, rebuilding } = this.#membership;
    if (rebuilding === undefined || recovering || this.#core.readOnly || this.#closed) return;
    this.#rebuild = new Rebuild({
      core: this.#core,
      level: this.#level,
      lock: this.#lock,
      gate: this.#gate,
      member: rebuilding,
      total: this.#rows,
      checkpointBlocks: this.#checkpointBlocks,
    });
  }

  async #everyStripe(repair: boolean, signal: AbortSignal | undefined): Promise<ScrubReport> {
    const { chunkBlocks } = this.#core.geometry;
    const run = Math.max(1, RUN_BLOCKS / chunkBlocks);
    const sum = { rows: 0, mismatches: 0, repaired: 0, unrepairable: 0 };
    for (let first = 0; first < this.#stripes; first += run) {
      await this.#gate.enter();
      try {
        this.#assertOpen();
        signal?.throwIfAborted();
        this.#membership.assertServing();
        if (await this.#neverWritten(first, run)) {
          sum.rows += run * chunkBlocks;
          continue;
        }
        for (let stripe = first; stripe < first + run; stripe++) {
          const found = await this.#scrubStripe(stripe, repair);
          sum.rows += found.rows;
          sum.mismatches += found.mismatches;
          sum.repaired += found.repaired;
          sum.unrepairable += found.unrepairable;
        }
      } finally {
        this.#gate.leave();
      }
    }
    return sum;
  }

  /** Under the stripes' lock, since slots change hands meanwhile. */
  async #neverWritten(first: number, stripes: number): Promise<boolean> {
    const { chunkBlocks } = this.#core.geometry;
    const held = await this.#lock.acquire(first, first + stripes - 1, false);
    try {
      return await this.#core.neverWritten(first * chunkBlocks, stripes * chunkBlocks);
    } finally {
      this.#lock.release(held);
    }
  }

  async #scrubStripe(stripe: number, repair: boolean): Promise<ScrubReport> {
    if (repair) await this.#membership.begin();
    try {
      const held = await this.#lock.acquire(stripe, stripe, repair);
      try {
        return await this.#level.scrub(stripe, repair);
      } finally {
        this.#lock.release(held);
      }
    } finally {
      if (repair) this.#membership.finish();
    }
  }

  /** Waits for what is in flight, flushes, and marks the array clean. Rejects with `raid.failed` where it cannot. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#rebuild?.stop();
    // A volume or a drive that is just being added.
    await this.#naming.enter();
    // Whoever waits at the gate finds the array closed; with every place held nothing is under way.
    for (let place = 0; place < this.#core.operations; place++) await this.#gate.enter();
    try {
      await this.#level.settle();
      if (!this.#core.readOnly) await this.#membership.close();
    } finally {
      this.#release();
      this.#naming.leave();
    }
  }

  // What volumes call.

  /** Carries out a request; the volume has checked its range. */
  request(request: ArrayRequest): Pending {
    const stripes = request.kind === "unmap" ? unmapStripes(this.#core.geometry) : partStripes(this.#core.geometry);
    if (this.#partEnd(request.first, stripes) >= request.first + request.count) return this.#part(request);
    return this.#parts(request, stripes);
  }

  async flush(): Promise<void> {
    this.#assertOpen();
    if (this.#core.readOnly) return;
    await this.#membership.flush();
  }

  /** What blocks of a volume are, as their checksums have it: a write or unmap under way may change that at once. */
  async allocation(first: number, count: number): Promise<Allocation> {
    this.#assertOpen();
    await this.#gate.enter();
    try {
      this.#assertOpen();
      this.#membership.assertServing();
      return await this.#core.allocation(first, count);
    } finally {
      this.#gate.leave();
    }
  }

  #partEnd(first: number, stripes: number): number {
    return (Math.floor(first / this.stripeBlocks) + stripes) * this.stripeBlocks;
  }

  async #parts(request: ArrayRequest, stripes: number): Promise<void> {
    const end = request.first + request.count;
    let next = request.first;
    const work = async (): Promise<void> => {
      while (next < end) {
        const first = next;
        next = Math.min(end, this.#partEnd(first, stripes));
        const count = next - first;
        const buffer = request.buffer && blocks(request.buffer, first - request.first, count);
        await this.#part({ ...request, first, count, buffer });
      }
    };
    await allSettled(Array.from({ length: PARTS_MAX }, work));
  }

  async #part(request: ArrayRequest): Promise<void> {
    const { kind, first, count, signal } = request;
    const membership = this.#membership;
    this.#assertOpen();
    const entered = this.#gate.enter();
    if (entered !== undefined) await entered;
    try {
      if (kind === "read") this.#assertOpen();
      else this.#assertWritable();
      signal?.throwIfAborted();
      membership.assertServing();
      const begun = kind === "read" ? undefined : membership.begin();
      if (begun !== undefined) await begun;
      try {
        const { stripeBlocks } = this;
        const from = Math.floor(first / stripeBlocks);
        const last = Math.floor((first + count - 1) / stripeBlocks);
        const taken = this.#lock.acquire(from, last, kind !== "read");
        const held = taken instanceof Promise ? await taken : taken;
        try {
          if (kind !== "read") this.#rebuild?.touch(from, last);
          await this.#carryOut(request);
        } finally {
          this.#lock.release(held);
        }
        if (kind !== "read" && membership.fencing) await membership.fenced();
      } finally {
        if (kind !== "read") membership.finish();
      }
    } finally {
      this.#gate.leave();
    }
  }

  #carryOut(request: ArrayRequest): Promise<void> {
    const { kind, first, count, buffer, fua, extent } = request;
    if (kind === "unmap") return this.#level.unmap(first, count, extent);
    assert(buffer !== undefined, "a read or a write has a buffer");
    return kind === "read" ? this.#level.read(first, buffer, extent) : this.#level.write(first, buffer, fua, extent);
  }

  /** Data blocks of a member, each of which is in one row. */
  get #rows(): number {
    return this.#membership.superblock.zones * ZONE_DATA_BLOCKS;
  }

  get #stripes(): number {
    return this.#rows / this.#core.geometry.chunkBlocks;
  }

  get #capacityBlocks(): number {
    return this.#stripes * this.stripeBlocks;
  }

  #aligned(size: number): number {
    return Math.ceil(size / this.stripeBlocks) * this.stripeBlocks;
  }

  /** First fit. */
  #findSpace(name: string, size: number): number {
    const taken = [...this.#membership.superblock.volumes].sort((a, b) => a.first - b.first);
    const wanted = this.#aligned(size);
    let free = 0;
    let largest = 0;
    for (const volume of [...taken, { first: this.#capacityBlocks, blocks: 0 }]) {
      const gap = volume.first - free;
      if (gap >= wanted && taken.length < VOLUMES_MAX) return free;
      largest = Math.max(largest, gap);
      free = volume.first + this.#aligned(volume.blocks);
    }
    if (taken.length >= VOLUMES_MAX) {
      throw new OperatingError(
        "raid.full",
        `Array ${this.#core.name} has ${VOLUMES_MAX} volumes, as many as it can have.`,
        "Use another array.",
      );
    }
    throw new OperatingError(
      "raid.full",
      `Array ${this.#core.name} has ${largest} free blocks of 4 KiB in one run, volume ${name} wants ${size}.`,
      "Make the volume smaller, or use another array.",
    );
  }

  #assertOpen(): void {
    if (!this.#closed) return;
    throw new OperatingError("raid.closed", `Array ${this.#core.name} is closed.`, "Assemble it again.");
  }

  #assertWritable(): void {
    this.#assertOpen();
    if (!this.#core.readOnly) return;
    throw new OperatingError(
      "raid.read-only",
      `Array ${this.#core.name} was assembled read-only.`,
      "Assemble it for writing.",
    );
  }

  #release(): void {
    this.#level.close();
    this.#core.close();
  }

  /** Makes a logged update whose writes in place a crash may have cut short. */
  async #replay(): Promise<void> {
    const core = this.#core;
    if (core.geometry.parities === 0 || this.#membership.superblock.clean) return;
    await readLog(core, async (pieces) => {
      if (pieces.length === 0) return;
      if (core.readOnly) {
        throw new OperatingError(
          "raid.log-pending",
          `Array ${core.name} was cut off in the middle of a logged write.`,
          "Assemble it for writing once, so that the write is completed.",
        );
      }
      for (const { slot, index, bytes, entries } of pieces) {
        const pins = new Pins(core.checksums);
        const waits: Promise<void>[] = [];
        await pins.add(slot, index, 1);
        core.put(pins, core.members[slot], index, 1, bytes, entries, false, waits);
        await Promise.all(waits);
        pins.release();
      }
      await this.#membership.flush();
      core.emit({ kind: "log-replayed", blocks: pieces.length });
    });
  }
}
