/**
 * What the levels of an array share: its members, its checksums, its buffers, and how a block reaches a member.
 * Bounds of the array's memory and concurrency stand here.
 */

import { AssertionError, assert } from "../base/assert.ts";
import type { Allocation, Pending } from "../base/block-device.ts";
import { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, KiB, MiB } from "../base/units.ts";
import type { World } from "../platform/world.ts";
import { BufferPool } from "./buffer-pool.ts";
import { entriesOf, NEVER_WRITTEN, UNKNOWN } from "./checksum.ts";
import { ChecksumCache, type Frame } from "./checksum-cache.ts";
import type { ArrayEvent, ScrubReport } from "./events.ts";
import { Gate } from "./gate.ts";
import type { Geometry } from "./geometry.ts";
import type { Member } from "./member.ts";
import { checksumBlock, dataBlock, runInZone, ZONE_DATA_BLOCKS, zoneOf } from "./member-layout.ts";
import type { Membership } from "./membership.ts";

/** Memory for checksum blocks unless told otherwise: those of 16 GiB of data. */
export const CHECKSUM_CACHE_BYTES = 16 * MiB;
/** Requests (or parts of large ones) under way in an array at once; fewer where the checksum cache is small. */
export const OPERATIONS_MAX = 256;
/** Data that one part of a large request covers, at the most, unless a stripe is larger. */
export const PART_BYTES = MiB;
/** Parts of one request under way at once. */
export const PARTS_MAX = 4;
/** Buffers for parity and for rows being put together: small ones for small writes, large ones for the rest. */
const SMALL_STAGING_BYTES = 64 * KiB;
const SMALL_STAGING_MAX = 64;
const LARGE_STAGING_BYTES = 2 * MiB;
const LARGE_STAGING_MAX = 8;

/** The volume a request is for, to name its blocks in errors. `first` is its first block in the array. */
export interface Extent {
  readonly name: string;
  readonly first: number;
}

/**
 * What a level does with one part of a request. The caller holds the stripes' lock: shared to read, exclusive to write.
 * Addresses are the array's. Each resolves when the data and its checksums are on every member that holds them.
 */
export interface Level {
  read(lba: number, into: Uint8Array, extent: Extent): Promise<void>;
  write(lba: number, from: Uint8Array, fua: boolean, extent: Extent): Promise<void>;
  unmap(lba: number, blocks: number, extent: Extent): Promise<void>;
  /** Looks at every block of a stripe, whose lock is held exclusively where it repairs. */
  scrub(stripe: number, repair: boolean): Promise<ScrubReport>;
  /** Puts blocks of one zone on a member that is being rebuilt and does not hold them yet, from the others. */
  rebuild(member: Member, index: number, count: number): Promise<Rebuilt>;
  /** No member lacks these blocks of one zone any more: makes of their rows what rows that lack nothing are. */
  complete(index: number, count: number): Promise<void>;
  /** Waits for what goes on behind finished requests. */
  settle(): Promise<void>;
  /** Frees its memory; nothing is under way by then. */
  close(): void;
}

export interface Rebuilt {
  /** Whether nothing was ever written there, on any member, and so nothing was to be done. */
  readonly empty: boolean;
  /** Blocks that could not be had; they are marked unknown. */
  readonly unreadable: number;
}

/** Blocks that one question about allocation looks at. */
const ALLOCATION_BLOCKS_MAX = 4096;

/** Checksum frames that an operation holds, until `release`. */
export class Pins {
  readonly #cache: ChecksumCache;
  readonly #frames: Frame[] = [];

  constructor(cache: ChecksumCache) {
    this.#cache = cache;
  }

  /** Pins the frames of a run of data blocks, on every member as far as it holds them. */
  async addAll(members: readonly Member[], index: number, count: number): Promise<void> {
    for (const member of members) {
      const held = member.held(index, count);
      if (held === 0) continue;
      const added = this.add(member.slot, index, held);
      if (added !== undefined) await added;
    }
  }

  /** Pins the frames of a member's run of data blocks. */
  add(slot: number, index: number, count: number): Pending {
    const last = zoneOf(index + count - 1);
    for (let zone = zoneOf(index); zone <= last; zone++) {
      const pinned = this.#cache.pin(slot, zone);
      if (pinned instanceof Promise) return this.#addLater(pinned, slot, zone + 1, last);
      this.#frames.push(pinned);
    }
    return undefined;
  }

  async #addLater(first: Promise<Frame>, slot: number, zone: number, last: number): Promise<void> {
    this.#frames.push(await first);
    for (let next = zone; next <= last; next++) this.#frames.push(await this.#cache.pin(slot, next));
  }

  frame(slot: number, zone: number): Frame {
    for (const frame of this.#frames) if (frame.slot === slot && frame.zone === zone) return frame;
    throw new AssertionError(`zone ${zone} of slot ${slot} is not pinned`);
  }

  /** Whether nothing was ever written in a run of data blocks of one zone, on any member pinned. */
  neverWritten(index: number, count: number): boolean {
    const first = index % ZONE_DATA_BLOCKS;
    for (const { zone, entries } of this.#frames) {
      if (zone !== zoneOf(index)) continue;
      for (let at = first; at < first + count; at++) if (entries[at] !== NEVER_WRITTEN) return false;
    }
    return true;
  }

  release(): void {
    for (const frame of this.#frames) this.#cache.unpin(frame);
    this.#frames.length = 0;
  }
}

export class ArrayCore {
  readonly world: World;
  readonly name: string;
  readonly geometry: Geometry;
  readonly members: readonly Member[];
  readonly membership: Membership;
  readonly checksums: ChecksumCache;
  readonly readOnly: boolean;
  readonly emit: (event: ArrayEvent) => void;
  /** Operations that may be under way at once. */
  readonly operations: number;
  /** One repair at a time: it looks again, and only then rewrites. */
  readonly repairing = new Gate(1);
  readonly #small: BufferPool;
  readonly #large: BufferPool;

  constructor(parts: {
    world: World;
    name: string;
    geometry: Geometry;
    membership: Membership;
    zones: number;
    readOnly: boolean;
    checksumCacheBytes: number;
    emit: (event: ArrayEvent) => void;
  }) {
    this.world = parts.world;
    this.name = parts.name;
    this.geometry = parts.geometry;
    this.membership = parts.membership;
    this.members = parts.membership.members;
    this.readOnly = parts.readOnly;
    this.emit = parts.emit;
    // An operation pins at most two zones of each member: enough frames for all of them, or fewer operations.
    const pinned = 2 * parts.geometry.members;
    const frames = Math.max(2 * pinned, Math.floor(parts.checksumCacheBytes / BLOCK_BYTES));
    this.operations = Math.min(OPERATIONS_MAX, Math.floor(frames / pinned));
    const { members } = this;
    this.checksums = new ChecksumCache(
      parts.world.memory,
      {
        read: (slot, zone, into) => members[slot].drive.read(checksumBlock(zone), into),
        write: (slot, zone, from, fua) => members[slot].drive.write(checksumBlock(zone), from, { fua }),
        onUnreadable: (slot, zone) => {
          members[slot].errors.read++;
          parts.emit({ kind: "checksums-unreadable", slot, path: members[slot].path, zone });
        },
      },
      parts.zones,
      frames,
    );
    this.#small = new BufferPool(parts.world.memory, SMALL_STAGING_BYTES, SMALL_STAGING_MAX);
    this.#large = new BufferPool(parts.world.memory, LARGE_STAGING_BYTES, LARGE_STAGING_MAX);
  }

  /** The largest buffer that `stage` gives. */
  get stagingBytes(): number {
    return LARGE_STAGING_BYTES;
  }

  /** A buffer of at least `bytes`. See BufferPool for what its holder must not do. `unstage` follows. */
  stage(bytes: number): Uint8Array | Promise<Uint8Array> {
    assert(bytes <= LARGE_STAGING_BYTES, `staging of ${bytes} bytes`);
    return bytes <= SMALL_STAGING_BYTES ? this.#small.take() : this.#large.take();
  }

  unstage(buffer: Uint8Array): void {
    if (buffer.length === SMALL_STAGING_BYTES) this.#small.give(buffer);
    else this.#large.give(buffer);
  }

  /**
   * Puts blocks and their entries on a member, as far as it holds them: pushes what is to be waited for. Those never
   * reject; a failure loses the member. Nothing is awaited before the entries are set and the drive has its requests.
   *
   * @param bytes   the blocks; `undefined` where only entries change
   * @param entries one for each of the `count` blocks
   */
  put(
    pins: Pins,
    member: Member,
    index: number,
    count: number,
    bytes: Uint8Array | undefined,
    entries: Uint32Array,
    fua: boolean,
    waits: Promise<void>[],
  ): void {
    this.#put(pins, member, index, member.held(index, count), bytes, entries, fua, waits);
  }

  /**
   * Puts blocks of one zone on a member that is being rebuilt and does not hold them yet.
   *
   * @param unknown offsets of those that nobody knows
   */
  async fill(
    pins: Pins,
    member: Member,
    index: number,
    bytes: Uint8Array,
    unknown: ReadonlySet<number>,
  ): Promise<void> {
    const entries = new Uint32Array(bytes.length / BLOCK_BYTES);
    entriesOf(this.world.arithmetic, bytes, entries);
    for (let offset = 0; offset < entries.length; offset++) {
      if (unknown.has(offset)) entries[offset] = UNKNOWN;
      else if (allZero(blocks(bytes, offset, 1))) entries[offset] = NEVER_WRITTEN;
    }
    const waits: Promise<void>[] = [];
    this.#put(pins, member, index, entries.length, bytes, entries, false, waits);
    await Promise.all(waits);
  }

  #put(
    pins: Pins,
    member: Member,
    index: number,
    count: number,
    bytes: Uint8Array | undefined,
    entries: Uint32Array,
    fua: boolean,
    waits: Promise<void>[],
  ): void {
    for (let done = 0; done < count; ) {
      if (!member.attached) return;
      const run = runInZone(index + done, count - done);
      const frame = pins.frame(member.slot, zoneOf(index + done));
      frame.entries.set(entries.subarray(done, done + run), (index + done) % ZONE_DATA_BLOCKS);
      if (bytes !== undefined) {
        waits.push(this.store(member, index + done, blocks(bytes, done, run), fua));
      }
      waits.push(this.commit(member, frame, fua));
      done += run;
    }
  }

  /** Writes data blocks of one zone. Never rejects; a failure loses the member. */
  async store(member: Member, index: number, bytes: Uint8Array, fua: boolean): Promise<void> {
    try {
      await member.drive.write(dataBlock(index), bytes, { fua });
    } catch (cause) {
      member.errors.write++;
      await this.membership.fail(member, cause);
    }
  }

  /** Writes a checksum block. Never rejects; a failure loses the member. */
  async commit(member: Member, frame: Frame, fua: boolean): Promise<void> {
    try {
      await this.checksums.commit(frame, fua);
    } catch (cause) {
      member.errors.write++;
      await this.membership.fail(member, cause);
    }
  }

  /** Tells a member's drive that blocks hold nothing any more. A drive that cannot do that is none the worse for it. */
  async discard(member: Member, index: number, count: number): Promise<void> {
    const held = member.held(index, count);
    for (let done = 0; done < held && member.attached; ) {
      const run = runInZone(index + done, held - done);
      try {
        await member.drive.unmap(dataBlock(index + done), run);
      } catch {
        return;
      }
      done += run;
    }
  }

  /** Whether a run of data blocks of one zone was never written, on any member that holds it. */
  async neverWritten(index: number, count: number): Promise<boolean> {
    const pins = new Pins(this.checksums);
    try {
      await pins.addAll(this.members, index, count);
      return pins.neverWritten(index, count);
    } finally {
      pins.release();
    }
  }

  /** What the block at an array's address is, and how many from it on, at most `count`, are alike. */
  async allocation(first: number, count: number): Promise<Allocation> {
    const { stripeBlocks, chunkBlocks } = this.geometry;
    const limit = Math.min(count, ALLOCATION_BLOCKS_MAX);
    let mapped = false;
    let done = 0;
    while (done < limit) {
      const stripe = Math.floor((first + done) / stripeBlocks);
      const within = (first + done) % stripeBlocks;
      const row = within % chunkBlocks;
      const run = Math.min(limit - done, chunkBlocks - row);
      const alike = await this.#runInChunk(stripe, Math.floor(within / chunkBlocks), row, run);
      if (done === 0) mapped = alike.mapped;
      else if (alike.mapped !== mapped) break;
      done += alike.blocks;
      if (alike.blocks < run) break;
    }
    return { mapped, blocks: done };
  }

  /** The same of blocks of one chunk, from `row` on. A chunk that no member holds counts as mapped. */
  async #runInChunk(stripe: number, chunk: number, row: number, count: number): Promise<Allocation> {
    const index = stripe * this.geometry.chunkBlocks + row;
    for (let copy = 0; copy < this.geometry.copies; copy++) {
      const slot = this.geometry.dataMember(stripe, chunk, copy);
      if (!this.members[slot].holds(index)) continue;
      const run = runInZone(index, count);
      const pins = new Pins(this.checksums);
      try {
        await pins.add(slot, index, run);
        const { entries } = pins.frame(slot, zoneOf(index));
        const at = index % ZONE_DATA_BLOCKS;
        const mapped = entries[at] !== NEVER_WRITTEN;
        let blocks = 1;
        while (blocks < run && (entries[at + blocks] !== NEVER_WRITTEN) === mapped) blocks++;
        return { mapped, blocks };
      } finally {
        pins.release();
      }
    }
    return { mapped: true, blocks: count };
  }

  unreadable(extent: Extent, lba: number): OperatingError {
    const block = lba - extent.first;
    this.emit({ kind: "block-unreadable", volume: extent.name, block });
    return new OperatingError(
      "raid.unreadable",
      `Array ${this.name}: block ${block} of volume ${extent.name} cannot be read, nor rebuilt from the other members.`,
      "Run `repair` at the primary: it writes the block again from a site that can read it.",
    );
  }

  close(): void {
    this.checksums.close();
    this.#small.close();
    this.#large.close();
  }
}

/** Stripes that one part of a large read or write covers: about 1 MiB of data, so that its runs fit a staging buffer. */
export function partStripes(geometry: Geometry): number {
  return Math.max(1, Math.floor(PART_BYTES / BLOCK_BYTES / geometry.stripeBlocks));
}

/** Stripes that one part of a large unmap covers: what one checksum block of each member does. */
export function unmapStripes(geometry: Geometry): number {
  return ZONE_DATA_BLOCKS / geometry.chunkBlocks;
}

/** Blocks `first` to `first + count` of a buffer. */
export function blocks(buffer: Uint8Array, first: number, count: number): Uint8Array {
  return buffer.subarray(first * BLOCK_BYTES, (first + count) * BLOCK_BYTES);
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

export function allZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}
