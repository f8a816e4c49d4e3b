/**
 * What was seen of the group's log: each request by sequence and epoch, which of them were committed, and what
 * the committed ones leave in the volumes.
 *
 * A request is known by (epoch, sequence): one primary gives each sequence of its epoch once. What every site has retired is
 * forgotten, after its effect on the volumes was noted.
 */

import { crc32c } from "../../../src/base/crc32c.ts";
import { BLOCK_BYTES, type Sequence, sequence, type VolumeId } from "../../../src/base/units.ts";
import type { RequestHead } from "../../../src/journal/journal.ts";
import type { EpochStart } from "../../../src/journal/superblock.ts";
import type { WatchedSite } from "./fleet.ts";

interface Seen {
  readonly head: RequestHead;
  /** Where it was seen first. */
  readonly site: string;
}

const ZEROS = new Uint8Array(BLOCK_BYTES);
const ZEROS_CRC = crc32c(ZEROS);

const NONE: ReadonlySet<number> = new Set();

export class LogRecord {
  readonly #seen = new Map<number, Seen[]>();
  readonly #canonical = new Map<number, RequestHead>();
  #committed = 0;
  #floor = 0;
  /** CRC of each block as everything up to the floor leaves it, by volume; blocks that hold zeros are not there. */
  readonly #content = new Map<VolumeId, Map<number, number>>();
  #gaps = 0;

  /** The last request that any site knew to be committed. */
  get committed(): number {
    return this.#committed;
  }

  /** Every site has retired all up to here, and it is forgotten. */
  get floor(): number {
    return this.#floor;
  }

  /** Committed writes that were never seen; while there are none, `contentFault` knows everything. */
  get gaps(): number {
    return this.#gaps;
  }

  /** Takes a site's request down. @returns what is wrong if another site has another one in its place */
  see(site: string, head: RequestHead): string | undefined {
    const variants = this.#seen.get(head.sequence);
    if (variants === undefined) {
      this.#seen.set(head.sequence, [{ head, site }]);
      return undefined;
    }
    const known = variants.find((variant) => variant.head.epoch === head.epoch);
    if (known === undefined) variants.push({ head, site });
    else if (!same(known.head, head)) {
      return `sequence ${head.sequence} of epoch ${head.epoch} is ${show(head)} at ${site}, but ${show(known.head)} at ${known.site}`;
    }
    return undefined;
  }

  /** Takes over what a site knows to be committed; its live requests have been seen. */
  commit({ journal, pipeline }: Pick<WatchedSite, "journal" | "pipeline">): void {
    for (let at = this.#committed + 1; at <= pipeline.committed; at++) {
      const epoch = epochAt(journal.history, at);
      const variants = this.#seen.get(at) ?? [];
      const head = variants.find((variant) => variant.head.epoch === epoch)?.head;
      if (head !== undefined) this.#canonical.set(at, head);
      else if (!journal.history.some(({ start }) => start === at)) this.#gaps++;
    }
    this.#committed = Math.max(this.#committed, pipeline.committed);
  }

  /** Epoch of a committed request; undefined where that is not known. */
  epochOf(committed: number): number | undefined {
    return this.#canonical.get(committed)?.epoch;
  }

  /** Forgets what every site has retired. */
  trim(retired: number): void {
    for (; this.#floor < Math.min(retired, this.#committed); this.#floor++) {
      const at = this.#floor + 1;
      const head = this.#canonical.get(at);
      if (head !== undefined) apply(head, this.#volume(head.volume));
      this.#canonical.delete(at);
      this.#seen.delete(at);
    }
  }

  /**
   * Whether `content` is what the log up to `upTo` leaves in a volume.
   *
   * @param own        the site's live requests: the log beyond what is committed
   * @param unreadable blocks that `content` lacks
   * @returns what is wrong
   */
  contentFault(
    volume: VolumeId,
    content: Uint8Array,
    upTo: number,
    own: (at: Sequence) => RequestHead | undefined,
    unreadable: ReadonlySet<number> = NONE,
  ): string | undefined {
    if (this.#gaps > 0) return undefined;
    const expected = new Map(this.#content.get(volume));
    for (let at = this.#floor + 1; at <= upTo; at++) {
      const head = this.#canonical.get(at) ?? own(sequence(at));
      // What was committed and not seen was the start of an epoch.
      if (head === undefined && at > this.#committed) return `request ${at} is not in its journal`;
      if (head?.volume === volume) apply(head, expected);
    }
    for (let block = 0; block < content.length / BLOCK_BYTES; block++) {
      if (unreadable.has(block)) continue;
      const bytes = content.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
      const crc = expected.get(block);
      const holds = crc === undefined ? Buffer.compare(bytes, ZEROS) === 0 : crc32c(bytes) === crc;
      if (!holds) return `block ${block} of volume ${volume} is not what the log up to ${upTo} leaves there`;
    }
    return undefined;
  }

  /**
   * CRC of a block as the log up to `upTo` leaves it, as far as it is known.
   *
   * @param own as for `contentFault`
   */
  checksumOf(volume: VolumeId, block: number, upTo: number, own: (at: Sequence) => RequestHead | undefined): number {
    const blocks = new Map<number, number>();
    const floor = this.#content.get(volume)?.get(block);
    if (floor !== undefined) blocks.set(block, floor);
    for (let at = this.#floor + 1; at <= upTo; at++) {
      const head = this.#canonical.get(at) ?? own(sequence(at));
      if (head?.volume === volume) apply(head, blocks);
    }
    return blocks.get(block) ?? ZEROS_CRC;
  }

  #volume(id: VolumeId): Map<number, number> {
    let blocks = this.#content.get(id);
    if (blocks === undefined) {
      blocks = new Map();
      this.#content.set(id, blocks);
    }
    return blocks;
  }
}

/** The epoch of the request at `at` by a site's history; 0 where it does not reach back so far. */
export function epochAt(history: readonly EpochStart[], at: number): number {
  return history.findLast(({ start }) => start <= at)?.epoch ?? 0;
}

function apply(head: RequestHead, blocks: Map<number, number>): void {
  if (head.kind === "write") for (let i = 0; i < head.blocks; i++) blocks.set(head.lba + i, head.checksums[i]);
  if (head.kind !== "unmap") return;
  for (const block of [...blocks.keys()]) {
    if (block >= head.lba && block < head.lba + head.blocks) blocks.delete(block);
  }
}

function same(a: RequestHead, b: RequestHead): boolean {
  return (
    a.kind === b.kind &&
    a.volume === b.volume &&
    a.lba === b.lba &&
    a.blocks === b.blocks &&
    a.checksums.length === b.checksums.length &&
    a.checksums.every((checksum, block) => checksum === b.checksums[block])
  );
}

function show({ kind, volume, lba, blocks, checksums }: RequestHead): string {
  if (kind === "epoch-start") return "an epoch's start";
  const content = kind === "write" ? ` with checksums ${[...checksums.subarray(0, 3)].join(", ")}…` : "";
  return `${kind} of ${blocks} blocks at ${lba} of volume ${volume}${content}`;
}
