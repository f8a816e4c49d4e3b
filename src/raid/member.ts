/**
 * A member: one slot of an array, with the drive that fills it, if any.
 * Every read of data goes through `read`, which checks each block; nothing of a member is believed without that.
 */

import { assert } from "../base/assert.ts";
import { BLOCK_BYTES } from "../base/units.ts";
import type { Arithmetic } from "../platform/arithmetic.ts";
import type { Drive } from "../platform/drive.ts";
import { entriesOf, LOST, NEVER_WRITTEN } from "./checksum.ts";
import type { ChecksumCache, Frame } from "./checksum-cache.ts";
import type { ArrayEvent, MemberState, MemberStatus } from "./events.ts";
import { dataBlock, ZONE_DATA_BLOCKS, zoneOf } from "./member-layout.ts";

/** A block that a read did not give. `offset` counts blocks from the first that was read. */
export interface BadBlock {
  readonly offset: number;
  /** `checksum`: the block was read into the buffer, but is not what its checksum says. */
  readonly cause: "read" | "checksum";
}

export type ReadPurpose = "data" | "again" | "parity";

/** Checksums of the blocks being judged; used between two awaits only, so one serves all members. */
const scratch = new Uint32Array(ZONE_DATA_BLOCKS);

export class Member {
  readonly slot: number;
  readonly uuid: Uint8Array;
  readonly #drive?: Drive;
  readonly #arithmetic: Arithmetic;
  readonly #emit: (event: ArrayEvent) => void;
  state: MemberState;
  readonly errors = { read: 0, write: 0, checksum: 0 };
  /** Data blocks of the array on one member; `rebuilt` counts up to it. */
  readonly #total: number;
  /**
   * While it is being rebuilt, the data blocks (from the first on) that are complete and whose completeness the
   * superblocks know; always a whole number of stripes.
   */
  rebuilt: number;
  /** Data reads on their way, for choosing between mirrors. */
  reading = 0;

  constructor(
    slot: number,
    uuid: Uint8Array,
    drive: Drive | undefined,
    state: MemberState,
    rows: { readonly rebuilt: number; readonly total: number },
    arithmetic: Arithmetic,
    emit: (event: ArrayEvent) => void,
  ) {
    assert(drive !== undefined || (state !== "active" && state !== "rebuilding"), "a member in use has a drive");
    this.slot = slot;
    this.uuid = uuid;
    this.#drive = drive;
    this.state = state;
    this.rebuilt = rows.rebuilt;
    this.#total = rows.total;
    this.#arithmetic = arithmetic;
    this.#emit = emit;
  }

  /** Holds everything: what the array's redundancy counts. */
  get active(): boolean {
    return this.state === "active";
  }

  /** Gets superblocks and flushes: it is active, or on the way to be. */
  get attached(): boolean {
    return this.state === "active" || this.state === "rebuilding";
  }

  /** Of a run of data blocks, how many from its start on the member holds, reads and writes. */
  held(index: number, count: number): number {
    if (this.state === "active") return count;
    return this.state === "rebuilding" ? Math.min(count, Math.max(0, this.rebuilt - index)) : 0;
  }

  /** Whether it holds a data block. All blocks of a stripe are alike in that. */
  holds(index: number): boolean {
    return this.held(index, 1) === 1;
  }

  get drive(): Drive {
    assert(this.#drive !== undefined, "only a member with a drive is used");
    return this.#drive;
  }

  get path(): string {
    return this.#drive?.path ?? "";
  }

  status(): MemberStatus {
    const { slot, state } = this;
    const status = { slot, path: this.#drive?.path, state, errors: { ...this.errors } };
    return state === "rebuilding" ? { ...status, rebuilt: { done: this.rebuilt, total: this.#total } } : status;
  }

  /**
   * Reads data blocks of one zone, each checked; never-written ones become zeros. Never rejects.
   *
   * @param purpose `again`: a second look at a block already counted. `parity`: the blocks go into parity, and lost ones
   *                count as zeros
   * @returns the blocks that are not good, `undefined` where all are
   */
  async read(
    checksums: ChecksumCache,
    index: number,
    into: Uint8Array,
    purpose: ReadPurpose = "data",
  ): Promise<readonly BadBlock[] | undefined> {
    const quiet = purpose === "again";
    const count = into.length / BLOCK_BYTES;
    const zone = zoneOf(index);
    assert(count > 0 && zoneOf(index + count - 1) === zone, "a run lies in one zone");
    const pinned = checksums.pin(this.slot, zone);
    let frame: Frame;
    let unread: readonly number[] | undefined;
    if (pinned instanceof Promise) {
      // Both reads at once: a miss costs no round trip of its own.
      const data = this.#fetch(index, count, into, quiet);
      frame = await pinned;
      unread = await data;
    } else {
      frame = pinned;
      if (neverWritten(frame, index, count)) {
        into.fill(0);
        checksums.unpin(frame);
        return undefined;
      }
      unread = await this.#fetch(index, count, into, quiet);
    }
    const bad = this.#judge(frame, index, count, into, unread, purpose);
    checksums.unpin(frame);
    return bad;
  }

  /** @returns the blocks that the drive could not read, `undefined` where it read all */
  async #fetch(index: number, count: number, into: Uint8Array, quiet: boolean): Promise<readonly number[] | undefined> {
    this.reading++;
    try {
      await this.drive.read(dataBlock(index), into);
      return undefined;
    } catch {
      if (!quiet) this.errors.read++;
    } finally {
      this.reading--;
    }
    if (count === 1) return [0];
    const unread: number[] = [];
    for (let block = 0; block < count; block++) {
      try {
        await this.drive.read(dataBlock(index + block), into.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
      } catch {
        unread.push(block);
      }
    }
    return unread.length === 0 ? undefined : unread;
  }

  #judge(
    frame: Frame,
    index: number,
    count: number,
    into: Uint8Array,
    unread: readonly number[] | undefined,
    purpose: ReadPurpose,
  ): readonly BadBlock[] | undefined {
    let bad: BadBlock[] | undefined;
    const first = index % ZONE_DATA_BLOCKS;
    entriesOf(this.#arithmetic, into, scratch);
    for (let block = 0; block < count; block++) {
      const entry = frame.entries[first + block];
      if (entry === NEVER_WRITTEN || (entry === LOST && purpose === "parity")) {
        into.fill(0, block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
        continue;
      }
      const failed = unread?.includes(block) ?? false;
      if (!failed && entry === scratch[block]) continue;
      bad ??= [];
      bad.push({ offset: block, cause: failed ? "read" : "checksum" });
      if (purpose === "again") continue;
      if (!failed) this.errors.checksum++;
      this.#emit({
        kind: failed ? "read-error" : "checksum-mismatch",
        slot: this.slot,
        path: this.path,
        index: index + block,
      });
    }
    return bad;
  }
}

function neverWritten(frame: Frame, index: number, count: number): boolean {
  const first = index % ZONE_DATA_BLOCKS;
  for (let at = first; at < first + count; at++) if (frame.entries[at] !== NEVER_WRITTEN) return false;
  return true;
}
