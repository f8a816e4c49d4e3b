/**
 * Level 1: every member holds every block. Reads go to the member with the fewest on its way, straight into the
 * caller's buffer; writes go to all, straight from it. A block that is bad on one member is taken from another, whole
 * only if its checksum says so, and written again where it was bad.
 */

import { allSettled } from "../base/all-settled.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import { entriesOf, NEVER_WRITTEN } from "./checksum.ts";
import { type ArrayCore, blocks, type Extent, equal, type Level, PART_BYTES, Pins } from "./core.ts";
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

  async check(stripe: number): Promise<{ rows: number; mismatches: number }> {
    const core = this.#core;
    const rows = core.geometry.chunkBlocks;
    if (await core.neverWritten(stripe)) return { rows, mismatches: 0 };
    const usable = core.members.filter((member) => member.usable);
    const buffer = core.world.memory.allocate(usable.length * rows * BLOCK_BYTES);
    try {
      const copies = usable.map((_, i) => blocks(buffer, i * rows, rows));
      const bad = await Promise.all(usable.map((member, i) => member.read(core.checksums, stripe * rows, copies[i])));
      let mismatches = 0;
      for (let row = 0; row < rows; row++) {
        const wrong =
          bad.some((list) => list?.some((block) => block.offset === row)) ||
          copies.some((copy) => !equal(blocks(copy, row, 1), blocks(copies[0], row, 1)));
        if (wrong) mismatches++;
      }
      return { rows, mismatches };
    } finally {
      core.world.memory.free(buffer);
    }
  }

  async settle(): Promise<void> {}

  close(): void {
    this.#core.world.memory.free(this.#repairBuffer);
  }

  async #readRun(index: number, into: Uint8Array, extent: Extent): Promise<void> {
    const member = this.#choose();
    if (member === undefined) throw this.#core.unreadable(extent, index);
    const bad = await member.read(this.#core.checksums, index, into);
    if (bad === undefined) return;
    for (const { offset } of bad) {
      if (!(await this.#repair(index + offset, member, blocks(into, offset, 1)))) {
        throw this.#core.unreadable(extent, index + offset);
      }
    }
  }

  /** The usable member with the fewest reads on their way; of equal ones, each in turn. */
  #choose(): Member | undefined {
    const { members } = this.#core;
    let best: Member | undefined;
    this.#turn = (this.#turn + 1) % members.length;
    for (let i = 0; i < members.length; i++) {
      const member = members[(this.#turn + i) % members.length];
      if (member.usable && (best === undefined || member.reading < best.reading)) best = member;
    }
    return best;
  }

  /** @returns whether `into` holds the block, from the member itself at a second look or from another */
  async #repair(index: number, member: Member, into: Uint8Array): Promise<boolean> {
    const core = this.#core;
    await core.repairing.enter();
    try {
      const good = blocks(this.#repairBuffer, 0, 1);
      if (member.usable && (await member.read(core.checksums, index, good, "again")) === undefined) {
        into.set(good);
        return true;
      }
      for (const other of core.members) {
        if (other === member || !other.usable) continue;
        if ((await other.read(core.checksums, index, good)) !== undefined) continue;
        into.set(good);
        if (member.usable && !core.readOnly) await this.#rewrite(index, member, other, good);
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
    if (member.usable) core.emit({ kind: "block-repaired", slot: member.slot, path: member.path, index });
  }
}
