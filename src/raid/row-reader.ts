/**
 * Reads the rows of a level-5 array: blocks as they are, or rebuilt from the rest of their row.
 * The caller holds the stripe's lock, shared or exclusive.
 */

import { BLOCK_BYTES } from "../base/units.ts";
import { entryOf, LOST, NEVER_WRITTEN, UNKNOWN } from "./checksum.ts";
import { type ArrayCore, allZero, blocks, type Extent, equal, Pins } from "./core.ts";
import type { Geometry } from "./geometry.ts";
import type { BadBlock, Member, ReadPurpose } from "./member.ts";
import { ZONE_DATA_BLOCKS, zoneOf } from "./member-layout.ts";

export class RowReader {
  readonly #core: ArrayCore;
  readonly #geometry: Geometry;
  /** One block for each member, and two to compare; used under the core's repair gate. */
  readonly #repairBuffer: Uint8Array;

  constructor(core: ArrayCore) {
    this.#core = core;
    this.#geometry = core.geometry;
    this.#repairBuffer = core.world.memory.allocate((core.members.length + 2) * BLOCK_BYTES);
  }

  close(): void {
    this.#core.world.memory.free(this.#repairBuffer);
  }

  /** Reads a run of a stripe's data chunk, rebuilding what is bad or missing. `row` is its first. */
  async readRun(stripe: number, chunk: number, row: number, into: Uint8Array, extent: Extent): Promise<void> {
    const { chunkBlocks, stripeBlocks } = this.#geometry;
    const member = this.#core.members[this.#geometry.dataMember(stripe, chunk, 0)];
    const address = stripe * stripeBlocks + chunk * chunkBlocks + row;
    if (!member.holds(stripe * chunkBlocks + row)) return this.#reconstruct(stripe, row, member, into, extent, address);
    const bad = await member.read(this.#core.checksums, stripe * chunkBlocks + row, into);
    if (bad === undefined) return;
    for (const { offset } of bad) {
      if (!(await this.repair(stripe, row + offset, member, blocks(into, offset, 1)))) {
        throw this.#core.unreadable(extent, address + offset);
      }
    }
  }

  /** Rebuilds a run of a member that is not there from the others, each block of which must be good. */
  async #reconstruct(
    stripe: number,
    row: number,
    missing: Member,
    into: Uint8Array,
    extent: Extent,
    address: number,
  ): Promise<void> {
    const core = this.#core;
    const count = into.length / BLOCK_BYTES;
    const others = core.members.filter((member) => member !== missing);
    const most = Math.floor(core.stagingBytes / (others.length * BLOCK_BYTES));
    for (let done = 0; done < count; ) {
      const run = Math.min(most, count - done);
      const staging = await core.stage(others.length * run * BLOCK_BYTES);
      try {
        const index = stripe * this.#geometry.chunkBlocks + row + done;
        const sources = others.map((_, i) => blocks(staging, i * run, run));
        const bad = await Promise.all(others.map((member, i) => this.readInput(member, index, sources[i], "parity")));
        for (const list of bad) {
          if (list !== undefined) throw core.unreadable(extent, address + done + list[0].offset);
        }
        core.world.arithmetic.xor(sources, blocks(into, done, run));
      } finally {
        core.unstage(staging);
      }
      done += run;
    }
  }

  /** Verified blocks of a member; all bad where it does not hold them. */
  async readInput(
    member: Member,
    index: number,
    into: Uint8Array,
    purpose: ReadPurpose,
  ): Promise<readonly BadBlock[] | undefined> {
    if (member.holds(index)) return member.read(this.#core.checksums, index, into, purpose);
    return Array.from({ length: into.length / BLOCK_BYTES }, (_, offset) => ({ offset, cause: "read" as const }));
  }

  /**
   * Looks again at a bad block, rebuilds it from its row and writes it again, durably.
   *
   * @returns whether `into` holds the block
   */
  async repair(stripe: number, row: number, member: Member, into: Uint8Array): Promise<boolean> {
    const core = this.#core;
    const index = stripe * this.#geometry.chunkBlocks + row;
    await core.repairing.enter();
    const pins = new Pins(core.checksums);
    try {
      const held = blocks(this.#repairBuffer, core.members.length, 1);
      const rebuilt = blocks(this.#repairBuffer, core.members.length + 1, 1);
      let readable = false;
      if (member.holds(index)) {
        const bad = await member.read(core.checksums, index, held, "again");
        if (bad === undefined) {
          into.set(held);
          return true;
        }
        readable = bad[0].cause === "checksum";
      }
      const others = core.members.filter((other) => other !== member);
      const sources = others.map((other) => blocks(this.#repairBuffer, other.slot, 1));
      const bad = await Promise.all(others.map((other, i) => this.readInput(other, index, sources[i], "parity")));
      if (bad.some((list) => list !== undefined)) return false;
      core.world.arithmetic.xor(sources, rebuilt);
      if (member.holds(index)) {
        await pins.add(member.slot, index, 1);
        const entry = pins.frame(member.slot, zoneOf(index)).entries[index % ZONE_DATA_BLOCKS];
        const crc = entryOf(core.world.arithmetic.crc32c(rebuilt));
        const same = readable && equal(rebuilt, held);
        const empty = entry === UNKNOWN && allZero(rebuilt);
        // A drive that gives neither the block nor its checksum says nothing against its row, unless that may be torn.
        const silent = entry === UNKNOWN && !readable && !core.membership.recovering;
        if (entry === LOST) return false;
        if (entry !== crc && !same && !empty && !silent) return false;
        if (!core.readOnly) {
          const waits: Promise<void>[] = [];
          const right = Uint32Array.of(empty ? NEVER_WRITTEN : crc);
          // A write may follow that puts the rest of the row at risk: the block must not go back to what it was then.
          core.put(pins, member, index, 1, same || empty ? undefined : rebuilt, right, true, waits);
          await Promise.all(waits);
          if (member.holds(index)) core.emit({ kind: "block-repaired", slot: member.slot, path: member.path, index });
        }
      }
      into.set(rebuilt);
      return true;
    } finally {
      pins.release();
      core.repairing.leave();
    }
  }
}
