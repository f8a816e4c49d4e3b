/**
 * What a journal calls durable is there after a power cut, and:
 * every set of sites that may take over has all acknowledged writes, at this very moment, whatever a power cut would
 * leave of its drives. In this version every member of the in-sync set must do alone: the primary; each leg, where what has
 * left the journal of a relay point without storage is behind it.
 *
 * A site in whose array other drives were put may refuse; one that refuses for any other reason is found. A site may be
 * unable to read a block of a row in which its array was damaged, where a power cut left that row torn: another site must
 * have it then, and what that site has must be what was committed.
 */

import { isOperatingError, type OperatingError } from "../../../src/base/operating-error.ts";
import { BLOCK_BYTES, lba, type Sequence, sequence } from "../../../src/base/units.ts";
import type { VolumeConfig } from "../../../src/config/config.ts";
import type { JournalView } from "../../../src/journal/journal.ts";
import type { SeededRandom } from "../../../src/platform/memory/memory-world.ts";
import { type Geometry, geometryOf } from "../../../src/raid/geometry.ts";
import { CutCopy } from "./cut-copy.ts";
import type { Damage } from "./damage.ts";
import type { Fleet, WatchedSystem } from "./fleet.ts";
import { epochAt, type LogRecord } from "./log-record.ts";
import type { Obligations } from "./obligations.ts";

/** Says what is wrong with the content of LUN 0 at the sites named: nothing where it is empty. */
export type CheckContent = (where: string, content: Uint8Array) => readonly string[];

/** LUN 0 as a site stores it, and the blocks of it that its array can't read. */
interface Stored {
  readonly bytes: Uint8Array;
  readonly unreadable: ReadonlySet<number>;
  /** Whether what can be read is what the committed log leaves there; else nothing is known of it. */
  readonly isCompared: boolean;
}

/** What a site says in whose array wrong drives were put; putting the right ones back cures it. */
const DRIVES_ARE_WRONG = new Set([
  "raid.foreign",
  "raid.other-group",
  "raid.other-array",
  "raid.duplicate-drive",
  "raid.duplicate-slot",
]);

export class TakeoverSets {
  readonly name = "takeover-sets";
  /** Sites that could not be looked at, since their drives were elsewhere. */
  refusals = 0;
  /** Copies that were looked at. */
  copies = 0;
  readonly #system: WatchedSystem;
  readonly #fleet: Fleet;
  readonly #record: LogRecord;
  readonly #obligations: Obligations;
  readonly #isRowDamaged: (site: string, row: number) => boolean;
  /** Contents of LUN 0 by site, kept from look to look for their memory alone. */
  readonly #buffers = new Map<string, Uint8Array>();
  #looks = 0;

  constructor(
    system: WatchedSystem,
    fleet: Fleet,
    record: LogRecord,
    obligations: Obligations,
    damage: Pick<Damage, "isRowDamaged">,
  ) {
    this.#system = system;
    this.#fleet = fleet;
    this.#record = record;
    this.#obligations = obligations;
    this.#isRowDamaged = (site, row) => damage.isRowDamaged(site, row);
  }

  /** @param primary the site that served last; undefined before any did */
  look(primary: string | undefined, check: CheckContent): string | undefined {
    const legs = this.#fleet.primaries.find(({ name }) => name === primary)?.legs;
    if (primary === undefined || legs === undefined) return undefined;
    const random = this.#system.universe.random.fork(`takeover ${++this.#looks}`);
    const copies = new Map<string, CutCopy>();
    for (const name of [primary, ...legs.flat()]) {
      const copy = this.#copy(name, random.fork(name));
      if (typeof copy === "string") return copy;
      if (copy !== undefined) copies.set(name, copy);
    }
    return this.#check([[primary], ...legs], copies, check);
  }

  #check(
    sets: readonly (readonly string[])[],
    copies: ReadonlyMap<string, CutCopy>,
    check: CheckContent,
  ): string | undefined {
    for (const copy of copies.values()) {
      const fault = this.#logFault(copy);
      if (fault !== undefined) return fault;
    }
    const contents = new Map<string, Stored>();
    for (const copy of copies.values()) {
      try {
        const fault = this.#contentFault(copy, contents);
        if (fault !== undefined) return fault;
      } catch (error) {
        if (!isOperatingError(error)) throw error;
        return `${copy.name} can't be read: ${error.what}`;
      }
    }
    const isComplete = sets.flat().every((name) => contents.has(name) || copies.get(name)?.stores === false);
    const nowhere = fillFromOthers(contents, isComplete);
    if (nowhere !== undefined) return nowhere;
    for (const set of sets) {
      const content = this.#contentOf(set, copies, contents);
      const problems = content === undefined ? [] : check(content.where, content.bytes);
      if (problems.length > 0) return `${content?.where} alone lacks what hosts were told is written: ${problems[0]}`;
    }
    return undefined;
  }

  /** @returns what is wrong, or nothing where the site can't be looked at for good reason */
  #copy(name: string, random: SeededRandom): CutCopy | string | undefined {
    const member = this.#fleet.members.get(name);
    if (member === undefined || this.#obligations.isReleased(name)) return undefined;
    if (this.#obligations.upTo(name) === 0 && this.#fleet.site(name) === undefined) return undefined;
    try {
      const { universe } = this.#system;
      const copy = new CutCopy(universe.machine(name), member.config, member.journalDrive, random, universe.arithmetic);
      this.copies++;
      return copy;
    } catch (error) {
      if (!isOperatingError(error)) throw error;
      if (!DRIVES_ARE_WRONG.has(error.code)) return `${name} would refuse to start after a power cut: ${show(error)}`;
      this.refusals++;
      return undefined;
    }
  }

  /** The log of a copy reaches as far as was counted on, and is the one that was committed. */
  #logFault({ name, journal }: CutCopy): string | undefined {
    const owed = this.#obligations.upTo(name);
    if (journal.appended < owed) {
      return `${name} would have requests up to ${journal.appended} only after a power cut, of ${owed} that it must have`;
    }
    const live = this.#fleet.site(name)?.journal;
    // A site that is about to get a new epoch may be in the middle of a cut.
    if (live !== undefined && live.promised === live.lastEpoch && journal.appended < live.durable) {
      return `${name} would have requests up to ${journal.appended} only after a power cut, of ${live.durable} that its journal calls durable`;
    }
    for (let at = Math.max(journal.retired, this.#record.floor) + 1; at <= journal.appended; at++) {
      const head = journal.head(sequence(at));
      if (head === undefined) return `${name} would lack request ${at} after a power cut`;
      const fault = this.#record.see(`${name} after a power cut`, head);
      if (fault !== undefined) return fault;
      const committed = at <= owed ? this.#record.epochOf(at) : undefined;
      if (committed !== undefined && committed !== head.epoch) {
        return `${name} would have a request of epoch ${head.epoch} at sequence ${at} after a power cut, but the one of epoch ${committed} was committed`;
      }
    }
    return undefined;
  }

  /** Reads LUN 0 of a site that stores, and compares it with what the site's own log leaves there. */
  #contentFault(copy: CutCopy, contents: Map<string, Stored>): string | undefined {
    const volume = this.#volumeOf(copy.name);
    if (!copy.stores || volume === undefined) return undefined;
    const content = this.#buffers.get(copy.name) ?? new Uint8Array(volume.size);
    this.#buffers.set(copy.name, content);
    const unreadable = copy.readStored(volume, content);
    for (const block of unreadable) {
      if (this.#isBeyondArray(copy, volume, block)) continue;
      return `${copy.name} can't read block ${block} of volume ${volume.name} after a power cut`;
    }
    const isCompared = this.#isComparable(copy.journal);
    contents.set(copy.name, { bytes: content, unreadable, isCompared });
    if (!isCompared) return undefined;
    const own = (at: Sequence) => copy.journal.head(at);
    const fault = this.#record.contentFault(volume.id, content, copy.journal.appended, own, unreadable);
    return fault === undefined ? undefined : `${copy.name} after a power cut: ${fault}`;
  }

  #isComparable({ appended, retired, history }: JournalView): boolean {
    // Nobody has seen what it retired between the last look and its end.
    if (retired > this.#record.committed) return false;
    const last = Math.min(appended, this.#record.committed);
    const committed = this.#record.epochOf(last);
    // What a site behind a relay point still has to cut differs from the group's log, and nobody counts on it.
    return committed === undefined || epochAt(history, last) === committed;
  }

  /** Whether damage and a power cut may both have struck the block's row, which is more than its array can bear. */
  #isBeyondArray(copy: CutCopy, volume: VolumeConfig, block: number): boolean {
    const { array } = copy;
    if (array === undefined) return false;
    const geometry = geometryOf(array.level, array.drives.length, array.chunk / BLOCK_BYTES);
    const { stripeBlocks, chunkBlocks } = geometry;
    // The only volume begins where its array does.
    const row = Math.floor(block / stripeBlocks) * chunkBlocks + (block % chunkBlocks);
    if (!this.#isRowDamaged(copy.name, row)) return false;
    return isRowInFlight(copy.journal, volume, block, geometry) || copy.hasUnknown(row);
  }

  /** LUN 0 as the first sites of a set have it together, down to the first that stores. */
  #contentOf(
    set: readonly string[],
    copies: ReadonlyMap<string, CutCopy>,
    contents: ReadonlyMap<string, Stored>,
  ): { readonly where: string; readonly bytes: Uint8Array } | undefined {
    const used: CutCopy[] = [];
    for (const name of set) {
      const copy = copies.get(name);
      const volume = this.#volumeOf(name);
      if (copy === undefined || volume === undefined) return undefined;
      used.push(copy);
      const stored = contents.get(name)?.bytes;
      if (stored === undefined && copy.stores) return undefined;
      if (stored === undefined) continue;
      const bytes = used.length === 1 ? stored : stored.slice();
      for (const relay of used.slice(0, -1).reverse()) relay.overlay(volume, bytes);
      return { where: used.map((each) => each.name).join(" with "), bytes };
    }
    return undefined;
  }

  #volumeOf(name: string): VolumeConfig | undefined {
    const volumes = this.#fleet.members.get(name)?.config.volumes ?? {};
    return Object.values(volumes).find(({ lun }) => lun === 0);
  }
}

/** Whether a write to another block of the row is in the journal, so that the power cut may have left the row torn. */
function isRowInFlight(
  journal: JournalView,
  volume: VolumeConfig,
  block: number,
  { stripeBlocks, chunkBlocks, parities }: Geometry,
): boolean {
  if (parities === 0) return false;
  const first = block - (block % stripeBlocks) + (block % chunkBlocks);
  for (let other = first; other < first + stripeBlocks; other += chunkBlocks) {
    if (other !== block && journal.newest(volume.id, lba(other)) > 0) return true;
  }
  return false;
}

/**
 * Gives each site the blocks that it can't read, from a site of which it is known that it has them right. Where there is
 * none that is known, nothing is said of the site, and it is left out.
 *
 * @param isComplete whether every site that stores could be looked at
 * @returns          what is wrong where no other site can read a block
 */
function fillFromOthers(contents: Map<string, Stored>, isComplete: boolean): string | undefined {
  const known = [...contents.values()];
  for (const [name, { bytes, unreadable }] of [...contents]) {
    for (const block of unreadable) {
      const others = known.filter((each) => !each.unreadable.has(block));
      if (others.length === 0 && isComplete)
        return `${name} can't read block ${block} of LUN 0 after a power cut, nor can any other site`;
      const other = others.find(({ isCompared }) => isCompared);
      if (other === undefined) {
        contents.delete(name);
        break;
      }
      const at = block * BLOCK_BYTES;
      bytes.set(other.bytes.subarray(at, at + BLOCK_BYTES), at);
    }
  }
  return undefined;
}

function show({ code, what }: OperatingError): string {
  return `${code}: ${what}`;
}
