/**
 * Level 1: every member holds every block. Reads go to the member with the fewest on its way, straight into the
 * caller's buffer; writes go to all, straight from it. A block that is bad on one member is taken from another, whole
 * only if its checksum says so, and written again where it was bad.
 */

import { allSettled } from "../base/all-settled.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import { entriesOf, NEVER_WRITTEN } from "./checksum.ts";
import { type ArrayCore, blocks, type Extent, equal, type Level, PART_BYTES, Pins, type Rebuilt } from "./core.ts";
import type { ScrubReport } from "./events.ts";
import type { Member } from "./member.ts";
import { runInZone, ZONE_DATA_BLOCKS, zoneOf } from "./member-layout.ts";

/** Shorter runs are not worth a request to the drive when they are unmapped. */
const DISCARD_BLOCKS_MIN = 16;

/** Entries of a part; used between two awaits only. */
const scratch = new Uint32Array(PART_BYTES / BLOCK_BYTES);
const zeros = new Uint32Array(ZONE_DATA_BLOCKS);

export class LevelOne implements Level {
  readonly #core: ArrayCore;
  readonly #repairBuffer: Uint8Array;
  #turn = 0;

  constructor(core: ArrayCore) {
    this.#core = core;
    this.#repairBuffer = core.world.memory.allocate(2 * BLOCK_BYTES);
  }

  async read(lba: number, into: Uint8Array, extent: Extent): Promise<void> {
    const count = into.length / BLOCK_BYTES;
    const first = runInZone(lba, count);
    if (first === count) return this.#readRun(lba, into, extent);
    await allSettled([
      this.#readRun(lba, blocks(into, 0, first), extent),
      this.#readRun(lba + first, blocks(into, first, count - first), extent),
    ]);
  }

  async write(lba: number, from: Uint8Array, fua: boolean): Promise<void> {
    const core = this.#core;
    const count = from.length / BLOCK_BYTES;
    const pins = new Pins(core.checksums);
    try {
      await pins.addAll(core.members, lba, count);
      core.membership.assertServing();
      const waits: Promise<void>[] = [];
      entriesOf(core.world.arithmetic, from, scratch);
      for (const member of core.members) core.put(pins, member, lba, count, from, scratch, fua, waits);
      await Promise.all(waits);
    } finally {
      pins.release();
    }
  }

  async unmap(lba: number, count: number): Promise<void> {
    const core = this.#core;
    const pins = new Pins(core.checksums);
    try {
      await pins.addAll(core.members, lba, count);
      core.membership.assertServing();
      const waits: Promise<void>[] = [];
      for (const member of core.members) core.put(pins, member, lba, count, undefined, zeros, false, waits);
      await Promise.all(waits);
    } finally {
      pins.release();
    }
    if (count < DISCARD_BLOCKS_MIN) return;
    await Promise.all(core.members.map((member) => core.discard(member, lba, count)));
  }

  async rebuild(member: Member, index: number, count: number): Promise<Rebuilt> {
    const core = this.#core;
    const pins = new Pins(core.checksums);
    const staging = await core.stage(count * BLOCK_BYTES);
    try {
      await pins.addAll(core.members, index, count);
      await pins.add(member.slot, index, count);
      if (pins.neverWritten(index, count)) return { empty: true, unreadable: 0 };
      const bytes = blocks(staging, 0, count);
      const unknown = new Set(await this.#readGood(index, bytes));
      core.membership.assertServing();
      await core.fill(pins, member, index, bytes, unknown);
      return { empty: false, unreadable: unknown.size };
    } finally {
      pins.release();
      core.unstage(staging);
    }
  }

  async complete(): Promise<void> {}

  async scrub(stripe: number, repair: boolean): Promise<ScrubReport> {
    const core = this.#core;
    const rows = core.geometry.chunkBlocks;
    const index = stripe * rows;
    const report = { rows, mismatches: 0, repaired: 0, unrepairable: 0 };
    if (await core.neverWritten(index, rows)) return report;
    const there = core.members.filter((member) => member.holds(index));
    const buffer = core.world.memory.allocate(there.length * rows * BLOCK_BYTES);
    try {
      const copies = there.map((_, i) => blocks(buffer, i * rows, rows));
      const lists = await Promise.all(there.map((member, i) => member.read(core.checksums, index, copies[i])));
      for (let row = 0; row < rows; row++) {
        const bad = there.filter((_, i) => lists[i]?.some((block) => block.offset === row));
        const good = copies.filter((_, i) => !bad.includes(there[i])).map((copy) => blocks(copy, row, 1));
        const alike = good.every((block) => equal(block, good[0]));
        if (bad.length === 0 && alike) continue;
        report.mismatches++;
        if (!repair) continue;
        let repaired = alike;
        // Where good copies differ nobody knows which is right, and none is copied.
        for (const member of alike ? bad : []) {
          const block = blocks(copies[there.indexOf(member)], row, 1);
          if (!(await this.#repair(index + row, member, block))) repaired = false;
        }
        if (repaired) report.repaired++;
        else report.unrepairable++;
      }
      return report;
    } finally {
      core.world.memory.free(buffer);
    }
  }

  async settle(): Promise<void> {}

  close(): void {
    this.#core.world.memory.free(this.#repairBuffer);
  }

  async #readRun(index: number, into: Uint8Array, extent: Extent): Promise<void> {
    const [bad] = await this.#readGood(index, into);
    if (bad !== undefined) throw this.#core.unreadable(extent, index + bad);
  }

  /** Reads blocks of one zone from whoever has them. @returns the offsets of those that nobody has */
  async #readGood(index: number, into: Uint8Array): Promise<readonly number[]> {
    const count = into.length / BLOCK_BYTES;
    const member = this.#choose(index, count);
    if (member === undefined) return Array.from({ length: count }, (_, offset) => offset);
    const unreadable: number[] = [];
    for (const { offset } of (await member.read(this.#core.checksums, index, into)) ?? []) {
      if (!(await this.#repair(index + offset, member, blocks(into, offset, 1)))) unreadable.push(offset);
    }
    return unreadable;
  }

  /** The member that holds all the blocks and has the fewest reads on their way; of equal ones, each in turn. */
  #choose(index: number, count: number): Member | undefined {
    const { members } = this.#core;
    let best: Member | undefined;
    this.#turn = (this.#turn + 1) % members.length;
    for (let i = 0; i < members.length; i++) {
      const member = members[(this.#turn + i) % members.length];
      if (member.held(index, count) === count && (best === undefined || member.reading < best.reading)) best = member;
    }
    return best;
  }

  /** @returns whether `into` holds the block, from the member itself at a second look or from another */
  async #repair(index: number, member: Member, into: Uint8Array): Promise<boolean> {
    const core = this.#core;
    await core.repairing.enter();
    try {
      const good = blocks(this.#repairBuffer, 0, 1);
      if (member.holds(index) && (await member.read(core.checksums, index, good, "again")) === undefined) {
        into.set(good);
        return true;
      }
      for (const other of core.members) {
        if (other === member || !other.holds(index)) continue;
        if ((await other.read(core.checksums, index, good)) !== undefined) continue;
        into.set(good);
        if (member.holds(index) && !core.readOnly) await this.#rewrite(index, member, other, good);
        return true;
      }
      return false;
    } finally {
      core.repairing.leave();
    }
  }

  async #rewrite(index: number, member: Member, source: Member, good: Uint8Array): Promise<void> {
    const core = this.#core;
    const pins = new Pins(core.checksums);
    try {
      await pins.add(source.slot, index, 1);
      await pins.add(member.slot, index, 1);
      const entry = pins.frame(source.slot, zoneOf(index)).entries[index % ZONE_DATA_BLOCKS];
      const waits: Promise<void>[] = [];
      const data = entry === NEVER_WRITTEN ? undefined : good;
      core.put(pins, member, index, 1, data, Uint32Array.of(entry), false, waits);
      await Promise.all(waits);
    } finally {
      pins.release();
    }
    if (member.holds(index)) core.emit({ kind: "block-repaired", slot: member.slot, path: member.path, index });
  }
}
