/** What a host reads is committed: no restart can take it back. */

import { crc32c } from "../../../src/base/crc32c.ts";
import { BLOCK_BYTES, lba } from "../../../src/base/units.ts";
import type { Checker } from "./checker.ts";
import type { AnsweredRead, Fleet, WatchedSite } from "./fleet.ts";
import type { LogRecord } from "./log-record.ts";

export class Reads implements Checker {
  readonly name = "reads";
  readonly #fleet: Fleet;
  readonly #record: LogRecord;
  readonly #watched = new WeakSet<WatchedSite>();
  /** What was wrong with an answer, between two looks. */
  #fault: string | undefined;

  constructor(fleet: Fleet, record: LogRecord) {
    this.#fleet = fleet;
    this.#record = record;
  }

  look(): string | undefined {
    for (const site of this.#fleet.running) {
      if (this.#watched.has(site)) continue;
      this.#watched.add(site);
      site.watchReads?.((read) => {
        this.#fault ??= inDoubt(site, this.#record, read);
      });
    }
    return this.#fault;
  }
}

/** @returns which write in doubt was read; an unmap is taken for the zeros that were there */
function inDoubt({ name, journal, pipeline }: WatchedSite, record: LogRecord, read: AnsweredRead): string | undefined {
  const { committed } = pipeline;
  if (committed === journal.appended) return undefined;
  for (let at = 0; at < read.content.length; at += BLOCK_BYTES) {
    const block = lba(read.lba + at / BLOCK_BYTES);
    const newest = journal.newest(read.volume, block);
    const head = newest > committed ? journal.head(newest) : undefined;
    if (head?.kind !== "write") continue;
    const checksum = crc32c(read.content.subarray(at, at + BLOCK_BYTES));
    if (checksum !== head.checksums[block - head.lba]) continue;
    // What is in doubt may be the same as what was there at some time since the read began.
    const was = (upTo: number) => record.checksumOf(read.volume, block, upTo, (of) => journal.head(of));
    let same = false;
    for (let upTo = committed; upTo >= read.committed && !same; upTo--) same = was(upTo) === checksum;
    if (same) continue;
    return `a host of ${name} has read request ${newest}, and only ${committed} are committed`;
  }
  return undefined;
}
