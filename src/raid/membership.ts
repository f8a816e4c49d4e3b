/**
 * Who belongs to the array, and the superblocks that say so.
 *
 * Invariants:
 * - Superblocks change one generation at a time, and the next begins only when every attached member has both copies of
 *   the one before. So an active member is never more than one generation behind, and one further behind is stale.
 * - A member whose write or flush failed is used no more, and the others' superblocks say so before anything that it
 *   missed is reported done (`fenced`). It is not tried again.
 * - Level 5: stripes that were being written when a member was lost may be torn, and its part of them could not be
 *   rebuilt after a crash. The superblock calls the array unsettled until they are complete and flushed; no new write
 *   begins before that.
 */

import { assert } from "../base/assert.ts";
import type { Pending } from "../base/block-device.ts";
import { OperatingError } from "../base/operating-error.ts";
import type { Drive } from "../platform/drive.ts";
import type { World } from "../platform/world.ts";
import type { ArrayEvent, ArrayState } from "./events.ts";
import type { Geometry } from "./geometry.ts";
import type { Member } from "./member.ts";
import { superblockCopy } from "./member-layout.ts";
import {
  encodeSuperblock,
  type MemberEntry,
  SUPERBLOCK_BYTES,
  type Superblock,
  type VolumeEntry,
} from "./superblock.ts";

/** What a change of the superblock may change; the rest follows from the members. */
type Change = Partial<Pick<Superblock, "clean" | "unsettled" | "session" | "volumes">>;

/**
 * Where a generation of an array is kept outside of its drives, from the loss of a member on. A member that was left behind
 * does not know that others went on without it: only this tells, where it comes back alone.
 */
export interface GenerationMemory {
  /** The generation that was kept of the array last; 0 where none was. */
  known(arrayUuid: Uint8Array): number;
  /** Durable when it resolves. Rejects with an `OperatingError`. */
  keep(arrayUuid: Uint8Array, generation: number): Promise<void>;
}

/** How far the member is that is being rebuilt; there is one at a time. */
type Progress = { readonly rebuilt: number } | "complete";

export class Membership {
  readonly members: Member[];
  readonly #world: World;
  readonly #geometry: Geometry;
  readonly #memory: GenerationMemory | undefined;
  readonly #emit: (event: ArrayEvent) => void;
  #superblock: Superblock;
  #recovering: boolean;
  #failure: OperatingError | undefined;
  /** Changes of the superblock, one after the other. */
  #changes: Promise<void> = Promise.resolve();
  /** Set while a lost member is not yet marked lost on the others. */
  #fencing: Promise<void> | undefined;
  #settling: Promise<void> | undefined;
  /** The first write after assembly marks the array in use, once. */
  #opening: Promise<void> | undefined;
  #opened = false;
  #writers = 0;
  #onQuiet: (() => void) | undefined;

  constructor(
    world: World,
    geometry: Geometry,
    members: Member[],
    superblock: Superblock,
    recovering: boolean,
    memory: GenerationMemory | undefined,
    emit: (event: ArrayEvent) => void,
  ) {
    this.#world = world;
    this.#geometry = geometry;
    this.members = members;
    this.#superblock = superblock;
    this.#recovering = recovering;
    this.#memory = memory;
    this.#emit = emit;
  }

  get superblock(): Superblock {
    return this.#superblock;
  }

  get recovering(): boolean {
    return this.#recovering;
  }

  /** A member was lost, and what was being written then is not yet complete on the others and marked so. */
  get settling(): boolean {
    return this.#fencing !== undefined || this.#settling !== undefined || this.#superblock.unsettled;
  }

  get state(): ArrayState {
    if (this.#failure !== undefined) return "failed";
    return this.members.every((member) => member.active) ? "optimal" : "degraded";
  }

  /** Throws `raid.failed` or `raid.dirty-degraded` where the array serves no more. */
  assertServing(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** The first slot without a member that holds this data block, or -1: the one that a level-5 row can lack. */
  missingSlot(index: number): number {
    for (const member of this.members) if (!member.holds(index)) return member.slot;
    return -1;
  }

  /** The member that is being rebuilt. */
  get rebuilding(): Member | undefined {
    return this.members.find((member) => member.state === "rebuilding");
  }

  /** A member with another drive takes its slot's place, to be rebuilt. Nobody uses the slot meanwhile. */
  async join(member: Member): Promise<void> {
    this.members[member.slot] = member;
    await this.change({});
  }

  /**
   * All data blocks of the member that is being rebuilt are durable up to there: says so, and lets it be used so far.
   * Nothing is being written to those that it comes to hold.
   */
  async advance(rebuilt: number): Promise<void> {
    await this.change({}, { rebuilt });
  }

  /** The member that is being rebuilt holds everything: it is active when this resolves. */
  async complete(): Promise<void> {
    await this.change({}, "complete");
  }

  /** The journal has done again whatever was in flight before the last unclean stop. */
  redone(): void {
    this.#recovering = false;
  }

  /** A write begins; `finish` follows. Throws or rejects where the array serves no more. */
  begin(): Pending {
    this.assertServing();
    if (!this.#opened || this.#settling !== undefined) return this.#beginLater();
    this.#writers++;
    return undefined;
  }

  finish(): void {
    assert(this.#writers > 0, "finish follows begin");
    this.#writers--;
    if (this.#writers === 0) this.#onQuiet?.();
  }

  /** Before anything is reported done: a member that missed it is marked lost. Rejects where the array failed. */
  async fenced(): Promise<void> {
    while (this.#fencing !== undefined) await this.#fencing;
    this.assertServing();
  }

  /** Waits, before a write is reported done, only where there is something to wait for. */
  get fencing(): boolean {
    return this.#fencing !== undefined || this.#failure !== undefined;
  }

  /** A write or a flush of the member failed. Resolves once the others' superblocks say so; never rejects. */
  async fail(member: Member, cause: unknown): Promise<void> {
    if (member.attached) {
      this.#lose(member, cause);
      if (this.#failure === undefined) this.#fence();
    }
    try {
      await this.fenced();
    } catch {
      // The array failed; its own writers learn that from `fenced`.
    }
  }

  /** Changes the superblock on every attached member. Rejects where the array serves no more. */
  change(change: Change, progress?: Progress): Promise<void> {
    const done = this.#changes.then(() => this.#write(change, progress));
    this.#changes = done.catch(() => {});
    return done;
  }

  /**
   * Gives the superblock at hand to every attached member, durably: before the next change, or a member could come to be two
   * generations behind. That all of them were read with it says nothing, since a process that was killed leaves in the
   * drives' caches what it did not flush. Members of the slots `ahead` lose what they alone have of a later one,
   * or that would be another superblock of the next one's generation. Rejects where the array serves no more.
   */
  spread(ahead: ReadonlySet<number>): Promise<void> {
    const done = this.#changes.then(async () => {
      const buffer = this.#world.memory.allocate(SUPERBLOCK_BYTES * this.members.length);
      try {
        await this.#writeGeneration(this.#superblock, buffer);
        const next = this.#superblock.generation + 1;
        for (const end of ["head", "tail"] as const) await this.#writeCopies(buffer, next, end, ahead);
      } finally {
        this.#world.memory.free(buffer);
      }
    });
    this.#changes = done.catch(() => {});
    return done;
  }

  setVolumes(volumes: readonly VolumeEntry[]): Promise<void> {
    return this.change({ volumes });
  }

  /** Flushes every attached member; one whose flush fails is lost. Rejects where the array serves no more. */
  async flush(): Promise<void> {
    this.assertServing();
    await Promise.all(this.members.map((member) => (member.attached ? this.#flushMember(member) : undefined)));
    await this.fenced();
  }

  /** Nothing is in flight and nothing comes any more: says so in the superblocks, where that is true. */
  async close(): Promise<void> {
    assert(this.#writers === 0, "closed after its writers");
    await this.#settling;
    await this.#opening;
    if (this.#superblock.clean || this.#failure !== undefined) return;
    // A member that was away all the time has missed nothing, and is not left behind by this.
    if (!this.#opened && this.members.some((member) => !member.attached && this.#holds(member.slot))) return;
    await this.flush();
    if (!this.#recovering) await this.change({ clean: true, unsettled: false });
  }

  async #beginLater(): Promise<void> {
    while (!this.#opened || this.#settling !== undefined) {
      this.#opening ??= this.#open();
      await (this.#settling ?? this.#opening);
      this.assertServing();
    }
    this.#writers++;
  }

  async #open(): Promise<void> {
    const session = new Uint8Array(16);
    this.#world.random.fill(session);
    // What was unsettled was judged at assembly; the members left out then are known missing from here on.
    await this.change({ clean: false, unsettled: false, session });
    this.#opened = true;
  }

  #lose(member: Member, cause: unknown): void {
    const { rebuilding } = this;
    member.state = "failed";
    this.#emit({ kind: "member-failed", slot: member.slot, path: member.path, cause });
    const missing = this.members.filter((other) => !other.active).map((other) => other.slot);
    const name = `Array ${this.#superblock.name} of group ${this.#superblock.group}`;
    if (missing.length > this.#geometry.tolerates) {
      this.#failure = new OperatingError(
        "raid.failed",
        `${name} has lost the members of slots ${missing.join(", ")}, the last one at ${member.path}.`,
        "Bring the drives back and assemble the array again, or resync it from another site.",
        { cause },
      );
    } else if (this.#recovering && (rebuilding !== member || member.rebuilt > 0)) {
      this.#failure = new OperatingError(
        "raid.dirty-degraded",
        `${name} lost its member at ${member.path} before the writes in flight at its last unclean stop were redone.`,
        "Bring the drive back, resync the array from another site, or accept what may be torn: antipode serve --accept-dirty-degraded.",
        { cause },
      );
    }
    if (this.#failure !== undefined) this.#emit({ kind: "failed", reason: this.#failure.what });
    else this.#emit({ kind: "degraded", missing });
  }

  /** Marks a lost member on the others, and settles what was being written. */
  #fence(): void {
    // A failure of this change is a failure of the array, which `fenced` reports.
    const done = this.change({})
      .catch(() => {})
      .then(() => {
        if (this.#fencing === done) this.#fencing = undefined;
      });
    this.#fencing = done;
    if (!this.#mayTear() || this.#settling !== undefined) return;
    this.#settling = this.#settle().finally(() => {
      this.#settling = undefined;
    });
  }

  /** Never rejects: what fails here fails the array. */
  async #settle(): Promise<void> {
    try {
      await this.fenced();
      if (this.#writers > 0) {
        await new Promise<void>((resolve) => {
          this.#onQuiet = resolve;
        });
        this.#onQuiet = undefined;
      }
      await this.flush();
      await this.change({ unsettled: false });
    } catch (error) {
      assert(this.#failure !== undefined, `only the loss of the array stops it from settling: ${error}`);
    }
  }

  async #flushMember(member: Member): Promise<void> {
    try {
      await member.drive.flush();
    } catch (cause) {
      member.errors.write++;
      await this.fail(member, cause);
    }
  }

  async #write(change: Change, progress: Progress | undefined): Promise<void> {
    const buffer = this.#world.memory.allocate(SUPERBLOCK_BYTES * this.members.length);
    try {
      let attached: number;
      do {
        this.assertServing();
        attached = this.#attached();
        const generation = this.#superblock.generation + 1;
        const before = this.#superblock.members;
        const lost = this.members.some((member) => !member.attached && this.#holds(member.slot));
        const next: Superblock = {
          ...this.#superblock,
          ...change,
          ...(lost && this.#mayTear() ? { unsettled: true } : {}),
          generation,
          previous: this.#superblock.lineage,
          members: this.members.map((member) => entryOf(member, before[member.slot], generation, progress)),
        };
        this.#superblock = { ...next, lineage: await this.#writeGeneration(next, buffer) };
        await this.#remember();
        for (const member of this.members) if (progress !== undefined) advance(member, progress);
        // A member lost meanwhile is to be marked so as well.
      } while (this.#attached() !== attached);
    } finally {
      this.#world.memory.free(buffer);
    }
  }

  /**
   * Keeps the generation in which a member was lost, before anything that it missed is reported done. Not before the
   * superblocks say so: a crash in between must not leave a generation that no drive has.
   */
  async #remember(): Promise<void> {
    const { arrayUuid, members } = this.#superblock;
    const generation = Math.max(...members.map(({ since }) => since));
    if (this.#memory === undefined || generation <= this.#memory.known(arrayUuid)) return;
    try {
      await this.#memory.keep(arrayUuid, generation);
    } catch (error) {
      if (error instanceof OperatingError && this.#failure === undefined) {
        this.#failure = error;
        this.#emit({ kind: "failed", reason: error.what });
      }
      throw error;
    }
  }

  /** Whether stripes may be in flight whose parity would not fit their data after a crash. */
  #mayTear(): boolean {
    return this.#geometry.parities > 0 && this.#opened;
  }

  /** Whether stripes may rely on the member of a slot, by the superblock. */
  #holds(slot: number): boolean {
    return heldBlocks(this.#superblock.members[slot]);
  }

  #attached(): number {
    let attached = 0;
    for (const member of this.members) if (member.attached) attached++;
    return attached;
  }

  /** @returns its lineage */
  async #writeGeneration(superblock: Superblock, buffer: Uint8Array): Promise<number> {
    let lineage = 0;
    for (const { slot } of this.members) {
      lineage = encodeSuperblock({ ...superblock, slot }, part(buffer, slot), this.#world.arithmetic);
    }
    await this.#writeCopies(buffer, superblock.generation, "head");
    await this.#writeCopies(buffer, superblock.generation, "tail");
    return lineage;
  }

  /** Writes what is in the buffer to where a generation has its copies. @param slots all unless given */
  async #writeCopies(
    buffer: Uint8Array,
    generation: number,
    end: "head" | "tail",
    slots?: ReadonlySet<number>,
  ): Promise<void> {
    await Promise.all(
      this.members.map(async (member) => {
        if (!member.attached || slots?.has(member.slot) === false) return;
        try {
          await writeCopy(member.drive, part(buffer, member.slot), generation, end);
        } catch (cause) {
          member.errors.write++;
          // Not `fail`: that waits for this very change, which goes on without the member.
          if (!member.attached) return;
          this.#lose(member, cause);
          if (this.#failure === undefined) this.#fence();
        }
      }),
    );
    this.assertServing();
  }
}

/** Whether stripes may have relied on the member. */
export function heldBlocks(entry: MemberEntry): boolean {
  return entry.state === "active" || entry.rebuilt > 0;
}

function entryOf(member: Member, before: MemberEntry, generation: number, progress: Progress | undefined): MemberEntry {
  const { uuid, state } = member;
  if (state === "active" || (state === "rebuilding" && progress === "complete")) {
    return { uuid, state: "active", since: 0, rebuilt: 0 };
  }
  if (state === "rebuilding") {
    const rebuilt = typeof progress === "object" ? progress.rebuilt : member.rebuilt;
    return { uuid, state, since: before.since, rebuilt };
  }
  return { uuid, state: "missing", since: before.state === "missing" ? before.since : generation, rebuilt: 0 };
}

function advance(member: Member, progress: Progress): void {
  if (member.state !== "rebuilding") return;
  if (progress === "complete") member.state = "active";
  else member.rebuilt = progress.rebuilt;
}

function part(buffer: Uint8Array, slot: number): Uint8Array {
  return buffer.subarray(slot * SUPERBLOCK_BYTES, (slot + 1) * SUPERBLOCK_BYTES);
}

/** Writes one superblock copy and flushes it. Rejects as the drive does. */
export async function writeCopy(
  drive: Drive,
  bytes: Uint8Array,
  generation: number,
  end: "head" | "tail",
): Promise<void> {
  await drive.write(superblockCopy(drive.blockCount, generation, end), bytes);
  await drive.flush();
}
