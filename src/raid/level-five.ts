/**
 * Level 5: rotating parity, one block of it for each row.
 *
 * Parity is never computed from old parity. A full stripe is written from its new data alone; a part of one reads the
 * rest of its rows, verified, and writes data and parity. So a write that a crash cut short is made good by doing it
 * again, whatever the crash left.
 *
 * A block is rebuilt from its row only if every other block of the row is good, and the result is believed only if
 * it has the block's own checksum, or is what the drive holds, or the drive gives neither block nor checksum. A row that fails that was torn by a crash, or has two bad
 * blocks: its block stays unreadable until it is written. Where a write finds such a row, its data is stored and
 * its parity marked unknown; or, where the parity has to stand for a missing member, the bad block is marked lost.
 *
 * Degraded, a row whose missing block is kept goes through the stripe log.
 */

import { allSettled } from "../base/all-settled.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import { entriesOf, LOST, UNKNOWN } from "./checksum.ts";
import { type ArrayCore, blocks, type Extent, type Level, Pins, type Rebuilt } from "./core.ts";
import type { ScrubReport } from "./events.ts";
import { chunkOf, coveredFrom, coveredTo, type Geometry, type Rows, touchedRows } from "./geometry.ts";
import { LOG_BLOCKS_MAX, type LogPiece } from "./log-part.ts";
import type { Member } from "./member.ts";
import { ZONE_DATA_BLOCKS, zoneOf } from "./member-layout.ts";
import { RowReader } from "./row-reader.ts";
import { RowScrubber } from "./row-scrubber.ts";
import { StripeLog } from "./stripe-log.ts";

const zeros = new Uint32Array(ZONE_DATA_BLOCKS);

/** One write or unmap of the blocks `[from, to)` of a stripe. `source` holds them; `undefined` unmaps them. */
interface StripeWrite {
  readonly stripe: number;
  readonly from: number;
  readonly to: number;
  readonly source: Uint8Array | undefined;
  readonly fua: boolean;
  readonly extent: Extent;
}

/** What a write found of its rows that it could not use. */
interface BadInputs {
  /** Rows whose parity cannot be known, since a block of theirs cannot. */
  readonly unknown: Set<number>;
  /** Blocks given up, to be marked lost. */
  readonly lost: LogPiece[];
}

export class LevelFive implements Level {
  readonly #core: ArrayCore;
  readonly #geometry: Geometry;
  readonly #log: StripeLog;
  readonly #rows: RowReader;
  readonly #scrubber: RowScrubber;

  constructor(core: ArrayCore) {
    this.#core = core;
    this.#geometry = core.geometry;
    this.#log = new StripeLog(core);
    this.#rows = new RowReader(core);
    this.#scrubber = new RowScrubber(core, this.#rows, this.#log);
  }

  settle(): Promise<void> {
    return this.#log.settle();
  }

  close(): void {
    this.#log.close();
    this.#rows.close();
  }

  // Reads.

  async read(lba: number, into: Uint8Array, extent: Extent): Promise<void> {
    const { chunkBlocks, width } = this.#geometry;
    const count = into.length / BLOCK_BYTES;
    const waits: Promise<void>[] = [];
    for (let done = 0; done < count; ) {
      const chunk = Math.floor((lba + done) / chunkBlocks);
      const row = (lba + done) % chunkBlocks;
      const run = Math.min(chunkBlocks - row, count - done);
      const stripe = Math.floor(chunk / width);
      waits.push(this.#rows.readRun(stripe, chunk % width, row, blocks(into, done, run), extent));
      done += run;
    }
    return waits.length === 1 ? waits[0] : allSettled(waits);
  }

  // Writes.

  write(lba: number, from: Uint8Array, fua: boolean, extent: Extent): Promise<void> {
    return this.#update(lba, from.length / BLOCK_BYTES, from, fua, extent);
  }

  unmap(lba: number, count: number, extent: Extent): Promise<void> {
    return this.#update(lba, count, undefined, false, extent);
  }

  async #update(lba: number, count: number, data: Uint8Array | undefined, fua: boolean, extent: Extent): Promise<void> {
    const { stripeBlocks } = this.#geometry;
    const waits: Promise<void>[] = [];
    for (let done = 0; done < count; ) {
      const stripe = Math.floor((lba + done) / stripeBlocks);
      const from = (lba + done) % stripeBlocks;
      const stripes = from === 0 ? Math.floor((count - done) / stripeBlocks) : 0;
      const size = stripes > 0 ? stripes * stripeBlocks : Math.min(stripeBlocks - from, count - done);
      const source = data === undefined ? undefined : blocks(data, done, size);
      if (stripes === 0) {
        waits.push(this.#writePart({ stripe, from, to: from + size, source, fua, extent }));
      } else if (source === undefined) {
        waits.push(this.#unmapStripes(stripe, stripes));
      } else {
        waits.push(this.#writeStripes(stripe, stripes, source, fua));
      }
      done += size;
    }
    return waits.length === 1 ? waits[0] : allSettled(waits);
  }

  /** Writes full stripes: one run on each member, nothing read. */
  async #writeStripes(first: number, stripes: number, source: Uint8Array, fua: boolean): Promise<void> {
    const core = this.#core;
    const { members, width, chunkBlocks } = this.#geometry;
    const { arithmetic } = core.world;
    const count = stripes * chunkBlocks;
    const index = first * chunkBlocks;
    const pins = new Pins(core.checksums);
    // One stripe's chunks are written from where they are; more are gathered, so that each member gets one run.
    const gather = stripes > 1;
    const staging = await core.stage((gather ? members * count : count) * BLOCK_BYTES);
    try {
      await this.#log.forget(first, first + stripes - 1);
      await pins.addAll(core.members, index, count);
      const runs: Uint8Array[] = new Array(members);
      const chunks: Uint8Array[] = new Array(width);
      if (gather) for (let slot = 0; slot < members; slot++) runs[slot] = blocks(staging, slot * count, count);
      for (let s = 0; s < stripes; s++) {
        const stripe = first + s;
        for (let chunk = 0; chunk < width; chunk++) {
          const slot = this.#geometry.dataMember(stripe, chunk, 0);
          chunks[chunk] = blocks(source, (s * width + chunk) * chunkBlocks, chunkBlocks);
          if (gather) blocks(runs[slot], s * chunkBlocks, chunkBlocks).set(chunks[chunk]);
          else runs[slot] = chunks[chunk];
        }
        const slot = this.#geometry.parityMember(stripe, 0);
        if (!gather) runs[slot] = blocks(staging, 0, count);
        if (core.members[slot].holds(stripe * chunkBlocks)) {
          arithmetic.xor(chunks, gather ? blocks(runs[slot], s * chunkBlocks, chunkBlocks) : runs[slot]);
        }
      }
      core.membership.assertServing();
      const entries = new Uint32Array(count);
      const waits: Promise<void>[] = [];
      for (const member of core.members) {
        if (member.held(index, count) === 0) continue;
        entriesOf(arithmetic, runs[member.slot], entries);
        core.put(pins, member, index, count, runs[member.slot], entries, fua, waits);
      }
      await Promise.all(waits);
    } finally {
      pins.release();
      core.unstage(staging);
    }
  }

  async #unmapStripes(first: number, stripes: number): Promise<void> {
    const core = this.#core;
    const count = stripes * this.#geometry.chunkBlocks;
    const index = first * this.#geometry.chunkBlocks;
    const pins = new Pins(core.checksums);
    try {
      await this.#log.forget(first, first + stripes - 1);
      await pins.addAll(core.members, index, count);
      core.membership.assertServing();
      const waits: Promise<void>[] = [];
      for (const member of core.members) core.put(pins, member, index, count, undefined, zeros, false, waits);
      await Promise.all(waits);
    } finally {
      pins.release();
    }
    await Promise.all(core.members.map((member) => core.discard(member, index, count)));
  }

  async #writePart(write: StripeWrite): Promise<void> {
    const core = this.#core;
    const most = Math.min(LOG_BLOCKS_MAX, Math.floor(core.stagingBytes / ((core.members.length + 1) * BLOCK_BYTES)));
    for (const rows of touchedRows(this.#geometry, write.from, write.to)) {
      for (let first = rows.first; first < rows.last; first += most) {
        await this.#writeRows(write, { first, last: Math.min(first + most, rows.last) });
      }
    }
  }

  /** Writes what falls into some rows of a stripe, with their parity. */
  async #writeRows(write: StripeWrite, rows: Rows): Promise<void> {
    const core = this.#core;
    const { members } = core;
    const { stripe, fua } = write;
    const count = rows.last - rows.first;
    const index = stripe * this.#geometry.chunkBlocks + rows.first;
    const missingSlot = core.membership.missingSlot(index);
    const pins = new Pins(core.checksums);
    const staging = await core.stage((members.length + 1) * count * BLOCK_BYTES);
    try {
      await pins.addAll(members, index, count);
      const paritySlot = this.#geometry.parityMember(stripe, 0);
      if (missingSlot === paritySlot) {
        await this.#log.forget(stripe, stripe);
        return await this.#place(pins, this.#dataPieces(write, rows), fua);
      }
      const missing = missingSlot < 0 ? -1 : chunkOf(this.#geometry, stripe, missingSlot);
      const exposed = missing >= 0 && !this.#covers(write, missing, rows);
      const { unknown, lost } = exposed
        ? await this.#readExposed(write, rows, missingSlot, staging)
        : await this.#readRest(write, rows, missing, staging);
      const parity = this.#computeParity(write, rows, staging);
      const parityEntries = new Uint32Array(count);
      entriesOf(core.world.arithmetic, parity, parityEntries);
      for (const row of unknown) parityEntries[row - rows.first] = UNKNOWN;
      const pieces = this.#dataPieces(write, rows).filter((piece) => piece.slot !== missingSlot);
      pieces.push(...lost, { slot: paritySlot, index, bytes: parity, entries: parityEntries });
      if (!exposed) {
        await this.#log.forget(stripe, stripe);
        await this.#place(pins, pieces, fua);
        // A member lost just now had its new blocks in such rows: nothing holds them.
        const gone = core.membership.missingSlot(index);
        if (unknown.size > 0 && gone >= 0) {
          throw this.#unreadable(write, Math.max(0, chunkOf(this.#geometry, stripe, gone)), [...unknown][0]);
        }
        return;
      }
      const logged = await this.#log.append(stripe, pieces);
      try {
        await this.#place(pins, pieces, fua);
      } finally {
        this.#log.finish(logged);
      }
    } finally {
      pins.release();
      core.unstage(staging);
    }
  }

  async #place(pins: Pins, pieces: readonly LogPiece[], fua: boolean): Promise<void> {
    const core = this.#core;
    core.membership.assertServing();
    const waits: Promise<void>[] = [];
    for (const { slot, index, bytes, entries } of pieces) {
      core.put(pins, core.members[slot], index, entries.length, bytes, entries, fua, waits);
    }
    await Promise.all(waits);
  }

  #covers(write: StripeWrite, chunk: number, rows: Rows): boolean {
    return (
      coveredFrom(this.#geometry, chunk, write.from, rows) === rows.first &&
      coveredTo(this.#geometry, chunk, write.to, rows) === rows.last
    );
  }

  #coversRow(write: StripeWrite, chunk: number, row: number): boolean {
    const block = chunk * this.#geometry.chunkBlocks + row;
    return block >= write.from && block < write.to;
  }

  /** The new data blocks of each chunk, where the caller has them. */
  #dataPieces(write: StripeWrite, rows: Rows): LogPiece[] {
    const { width, chunkBlocks } = this.#geometry;
    const pieces: LogPiece[] = [];
    for (let chunk = 0; chunk < width; chunk++) {
      const from = coveredFrom(this.#geometry, chunk, write.from, rows);
      const to = coveredTo(this.#geometry, chunk, write.to, rows);
      if (from >= to) continue;
      const slot = this.#geometry.dataMember(write.stripe, chunk, 0);
      const index = write.stripe * chunkBlocks + from;
      const entries = new Uint32Array(to - from);
      const bytes = this.#covered(write, chunk, from, to);
      if (bytes !== undefined) entriesOf(this.#core.world.arithmetic, bytes, entries);
      pieces.push({ slot, index, bytes, entries });
    }
    return pieces;
  }

  #covered(write: StripeWrite, chunk: number, from: number, to: number): Uint8Array | undefined {
    if (write.source === undefined) return undefined;
    return blocks(write.source, chunk * this.#geometry.chunkBlocks + from - write.from, to - from);
  }

  /**
   * Reads what the write leaves of the rows' data, into each member's area of `staging`. At most one data chunk's member
   * is missing, and then the write covers that chunk.
   */
  async #readRest(write: StripeWrite, rows: Rows, missing: number, staging: Uint8Array): Promise<BadInputs> {
    const bad: BadInputs = { unknown: new Set(), lost: [] };
    const waits: Promise<void>[] = [];
    const count = rows.last - rows.first;
    for (let chunk = 0; chunk < this.#geometry.width; chunk++) {
      if (chunk === missing) continue;
      const from = coveredFrom(this.#geometry, chunk, write.from, rows);
      const to = coveredTo(this.#geometry, chunk, write.to, rows);
      const area = blocks(staging, this.#geometry.dataMember(write.stripe, chunk, 0) * count, count);
      const keep = (first: number, last: number): void => {
        if (first >= last) return;
        const into = blocks(area, first - rows.first, last - first);
        waits.push(this.#readOld(write.stripe, chunk, first, into, missing, bad));
      };
      if (from < to) {
        keep(rows.first, from);
        keep(to, rows.last);
      } else {
        keep(rows.first, rows.last);
      }
    }
    await allSettled(waits);
    return bad;
  }

  async #readOld(
    stripe: number,
    chunk: number,
    first: number,
    into: Uint8Array,
    missing: number,
    bad: BadInputs,
  ): Promise<void> {
    const member = this.#core.members[this.#geometry.dataMember(stripe, chunk, 0)];
    const index = stripe * this.#geometry.chunkBlocks + first;
    const list = await this.#rows.readInput(member, index, into, "data");
    if (list === undefined) return;
    for (const { offset } of list) {
      const block = blocks(into, offset, 1);
      if (await this.#rows.repair(stripe, first + offset, member, block)) continue;
      if (missing >= 0) this.#giveUp(member.slot, index + offset, block, bad);
      else bad.unknown.add(first + offset);
    }
  }

  /**
   * Reads all that is left of the rows, old data and old parity, into each member's area, and rebuilds the missing
   * member's old blocks into its own.
   */
  async #readExposed(write: StripeWrite, rows: Rows, missingSlot: number, staging: Uint8Array): Promise<BadInputs> {
    const core = this.#core;
    const count = rows.last - rows.first;
    const index = write.stripe * this.#geometry.chunkBlocks + rows.first;
    const missing = chunkOf(this.#geometry, write.stripe, missingSlot);
    const others = core.members.filter((member) => member.slot !== missingSlot);
    const sources = others.map((member) => blocks(staging, member.slot * count, count));
    const lists = await Promise.all(
      others.map((member, i) => this.#rows.readInput(member, index, sources[i], "parity")),
    );
    const bad: BadInputs = { unknown: new Set(), lost: [] };
    for (const [i, list] of lists.entries()) {
      if (list === undefined) continue;
      const { slot } = others[i];
      const chunk = chunkOf(this.#geometry, write.stripe, slot);
      for (const { offset } of list) {
        const row = rows.first + offset;
        if (!this.#coversRow(write, missing, row)) bad.unknown.add(row);
        else if (chunk >= 0 && !this.#coversRow(write, chunk, row)) {
          this.#giveUp(slot, index + offset, blocks(sources[i], offset, 1), bad);
        }
      }
    }
    core.world.arithmetic.xor(sources, blocks(staging, missingSlot * count, count));
    return bad;
  }

  /** The missing member's new block will live in this row's parity alone, so that must not depend on a bad block. */
  #giveUp(slot: number, index: number, block: Uint8Array, bad: BadInputs): void {
    block.fill(0);
    bad.lost.push({ slot, index, bytes: undefined, entries: Uint32Array.of(LOST) });
  }

  /** Lays the new blocks over the old ones; @returns the rows' parity, in the area after the members' */
  #computeParity(write: StripeWrite, rows: Rows, staging: Uint8Array): Uint8Array {
    const { members, width } = this.#geometry;
    const count = rows.last - rows.first;
    const sources: Uint8Array[] = [];
    for (let chunk = 0; chunk < width; chunk++) {
      const from = coveredFrom(this.#geometry, chunk, write.from, rows);
      const to = coveredTo(this.#geometry, chunk, write.to, rows);
      const area = blocks(staging, this.#geometry.dataMember(write.stripe, chunk, 0) * count, count);
      const bytes = from < to ? this.#covered(write, chunk, from, to) : undefined;
      if (bytes !== undefined && to - from === count) {
        sources.push(bytes);
        continue;
      }
      if (from < to) {
        const over = blocks(area, from - rows.first, to - from);
        if (bytes === undefined) over.fill(0);
        else over.set(bytes);
      }
      sources.push(area);
    }
    const parity = blocks(staging, members * count, count);
    this.#core.world.arithmetic.xor(sources, parity);
    return parity;
  }

  #unreadable(write: StripeWrite, chunk: number, row: number): Error {
    const { stripeBlocks, chunkBlocks } = this.#geometry;
    return this.#core.unreadable(write.extent, write.stripe * stripeBlocks + chunk * chunkBlocks + row);
  }

  scrub(stripe: number, repair: boolean): Promise<ScrubReport> {
    return this.#scrubber.scrub(stripe, repair);
  }

  // Rebuilding.

  async rebuild(member: Member, index: number, count: number): Promise<Rebuilt> {
    const most = Math.floor(this.#core.stagingBytes / (this.#core.members.length * BLOCK_BYTES));
    let empty = true;
    let unreadable = 0;
    for (let done = 0; done < count; done += most) {
      const rebuilt = await this.#rebuildRun(member, index + done, Math.min(most, count - done));
      empty &&= rebuilt.empty;
      unreadable += rebuilt.unreadable;
    }
    return { empty, unreadable };
  }

  /** Whatever a member holds of a row, data or parity, is the sum of what the others hold. */
  async #rebuildRun(member: Member, index: number, count: number): Promise<Rebuilt> {
    const core = this.#core;
    const others = core.members.filter((other) => other !== member);
    const pins = new Pins(core.checksums);
    const staging = await core.stage(core.members.length * count * BLOCK_BYTES);
    try {
      await pins.addAll(others, index, count);
      await pins.add(member.slot, index, count);
      if (pins.neverWritten(index, count)) return { empty: true, unreadable: 0 };
      const sources = others.map((_, i) => blocks(staging, i * count, count));
      const bad = await Promise.all(others.map((other, i) => this.#rows.readInput(other, index, sources[i], "parity")));
      // A member that was lost meanwhile gave nothing, and that says nothing of the blocks.
      core.membership.assertServing();
      const unknown = new Set<number>();
      for (const list of bad) for (const { offset } of list ?? []) unknown.add(offset);
      const unreadable = unknown.size;
      for (let offset = 0; offset < count; offset++) {
        if (this.#paritySlotAt(index + offset) === member.slot && isLost(pins, others, index + offset)) {
          unknown.add(offset);
        }
      }
      const sum = blocks(staging, others.length * count, count);
      core.world.arithmetic.xor(sources, sum);
      await core.fill(pins, member, index, sum, unknown);
      return { empty: false, unreadable };
    } finally {
      pins.release();
      core.unstage(staging);
    }
  }

  /**
   * A lost block counts as zeros in its row's parity for the sake of the missing member's. Once that is there again, the
   * parity must not stand for the lost block.
   */
  async complete(index: number, count: number): Promise<void> {
    const core = this.#core;
    const pins = new Pins(core.checksums);
    try {
      await pins.addAll(core.members, index, count);
      const waits: Promise<void>[] = [];
      for (let at = index; at < index + count; at++) {
        if (!isLost(pins, core.members, at)) continue;
        const parity = core.members[this.#paritySlotAt(at)];
        core.put(pins, parity, at, 1, undefined, Uint32Array.of(UNKNOWN), false, waits);
      }
      await Promise.all(waits);
    } finally {
      pins.release();
    }
  }

  #paritySlotAt(index: number): number {
    return this.#geometry.parityMember(Math.floor(index / this.#geometry.chunkBlocks), 0);
  }
}

/** Whether one of the members has a lost block there. Their frames are pinned. */
function isLost(pins: Pins, members: readonly Member[], index: number): boolean {
  return members.some(
    (member) =>
      member.holds(index) && pins.frame(member.slot, zoneOf(index)).entries[index % ZONE_DATA_BLOCKS] === LOST,
  );
}
