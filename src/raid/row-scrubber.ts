/**
 * Looks at the rows of a level-5 array, and repairs what can be proven. The caller holds the stripe's lock, exclusively
 * where it repairs.
 */

import { BLOCK_BYTES } from "../base/units.ts";
import { entriesOf, NEVER_WRITTEN } from "./checksum.ts";
import { type ArrayCore, allZero, blocks, equal, Pins } from "./core.ts";
import type { ScrubReport } from "./events.ts";
import type { Geometry } from "./geometry.ts";
import type { Member } from "./member.ts";
import { dataBlock, ZONE_DATA_BLOCKS, zoneOf } from "./member-layout.ts";
import type { RowReader } from "./row-reader.ts";
import type { StripeLog } from "./stripe-log.ts";

export class RowScrubber {
  readonly #core: ArrayCore;
  readonly #geometry: Geometry;
  readonly #rows: RowReader;
  readonly #log: StripeLog;

  constructor(core: ArrayCore, rows: RowReader, log: StripeLog) {
    this.#core = core;
    this.#geometry = core.geometry;
    this.#rows = rows;
    this.#log = log;
  }

  async scrub(stripe: number, repair: boolean): Promise<ScrubReport> {
    const core = this.#core;
    const { chunkBlocks } = this.#geometry;
    const report = { rows: chunkBlocks, mismatches: 0, repaired: 0, unrepairable: 0 };
    if (await core.neverWritten(stripe * chunkBlocks, chunkBlocks)) return report;
    const there = core.members.filter((member) => member.holds(stripe * chunkBlocks));
    const whole = there.length === core.members.length;
    const most = Math.floor(core.stagingBytes / ((core.members.length + 1) * BLOCK_BYTES));
    for (let first = 0; first < chunkBlocks; first += most) {
      const count = Math.min(most, chunkBlocks - first);
      const staging = await core.stage((core.members.length + 1) * count * BLOCK_BYTES);
      try {
        const areas = there.map((_, i) => blocks(staging, i * count, count));
        const sum = blocks(staging, core.members.length * count, count);
        const lists = await Promise.all(
          there.map((member, i) => this.#rows.readInput(member, stripe * chunkBlocks + first, areas[i], "data")),
        );
        if (whole) core.world.arithmetic.xor(areas, sum);
        for (let row = 0; row < count; row++) {
          const bad = there.filter((_, i) => lists[i]?.some((block) => block.offset === row));
          if (bad.length === 0 && (!whole || allZero(blocks(sum, row, 1)))) continue;
          report.mismatches++;
          if (!repair) continue;
          const contents = new Map(there.map((member, i) => [member, blocks(areas[i], row, 1)]));
          if (await this.#repairRow(stripe, first + row, bad, contents)) report.repaired++;
          else report.unrepairable++;
        }
      } finally {
        core.unstage(staging);
      }
    }
    return report;
  }

  /**
   * @param bad      members whose block of the row is not good; where there is none, the row does not add up
   * @param contents the row's blocks of the members that are there
   */
  async #repairRow(
    stripe: number,
    row: number,
    bad: readonly Member[],
    contents: ReadonlyMap<Member, Uint8Array>,
  ): Promise<boolean> {
    const core = this.#core;
    const parity = core.members[this.#geometry.parityMember(stripe, 0)];
    const [first, second] = bad;
    if (second !== undefined) return false;
    if (first !== undefined && first !== parity) {
      const block = contents.get(first);
      return block !== undefined && (await this.#rows.repair(stripe, row, first, block));
    }
    // All data that is there is good: the parity follows from it, unless a write that is to be done again left the row
    // torn, or a member is missing, whose data only the parity knew.
    if (core.membership.recovering || contents.size < core.members.length) return false;
    const index = stripe * this.#geometry.chunkBlocks + row;
    const pins = new Pins(core.checksums);
    try {
      await this.#log.forget(stripe, stripe);
      await pins.addAll(core.members, index, 1);
      // Of a member that was lost meanwhile nothing is known.
      if (!core.members.every((member) => member.holds(index))) return false;
      const unwritten = core.members.filter(
        (member) => pins.frame(member.slot, zoneOf(index)).entries[index % ZONE_DATA_BLOCKS] === NEVER_WRITTEN,
      );
      let wrong: Member | undefined = parity;
      if (first === undefined && unwritten.length > 0) {
        wrong = await this.#writtenAfterAll(index, unwritten, contents);
        // A block without a checksum proves nothing against its parity.
        if (wrong === undefined && unwritten.some((member) => member !== parity)) return false;
        wrong ??= parity;
      }
      const bytes = contents.get(wrong);
      if (bytes === undefined) return false;
      core.world.arithmetic.xor(othersOf(contents, wrong), bytes);
      const entries = new Uint32Array(1);
      entriesOf(core.world.arithmetic, bytes, entries);
      const waits: Promise<void>[] = [];
      core.put(pins, wrong, index, 1, bytes, entries, true, waits);
      await Promise.all(waits);
      if (wrong.holds(index)) core.emit({ kind: "block-repaired", slot: wrong.slot, path: wrong.path, index });
      return true;
    } finally {
      pins.release();
    }
  }

  /**
   * The member whose drive holds just what the row wants of it, though its checksum block says that nothing was ever
   * written there: the first write of that was lost.
   */
  async #writtenAfterAll(
    index: number,
    unwritten: readonly Member[],
    contents: ReadonlyMap<Member, Uint8Array>,
  ): Promise<Member | undefined> {
    const core = this.#core;
    const buffer = core.world.memory.allocate(2 * BLOCK_BYTES);
    try {
      const held = blocks(buffer, 0, 1);
      const wanted = blocks(buffer, 1, 1);
      for (const member of unwritten) {
        core.world.arithmetic.xor(othersOf(contents, member), wanted);
        try {
          await member.drive.read(dataBlock(index), held);
        } catch {
          continue;
        }
        if (equal(held, wanted)) return member;
      }
      return undefined;
    } finally {
      core.world.memory.free(buffer);
    }
  }
}

function othersOf(contents: ReadonlyMap<Member, Uint8Array>, member: Member): Uint8Array[] {
  return [...contents].filter(([other]) => other !== member).map(([, block]) => block);
}
