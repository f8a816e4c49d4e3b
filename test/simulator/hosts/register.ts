/**
 * One logical block as a register: what was written to it, what was read from it, and whether both can be.
 *
 * Times here are places in the one order of all beginnings and ends that the checker was told of, so that no two are
 * alike. A write has landed when it was acknowledged or when somebody has read it; of any other nobody knows.
 *
 * Writes carry unique stamps, so the exact test is that of Gibbons and Korach ("Testing Shared Memories", 1997): a write
 * and its reads form a cluster, which reaches from its first end to its last beginning (forward: all that time
 * the block held its value) or, if they all overlap, from its last beginning to its first end (backward: at some
 * moment in it). Two forward zones may not overlap, and no backward zone may lie within a forward one. Zeros are not
 * unique: for them it is tested that no read of zeros and no acknowledged unmap lies within a forward zone, and that
 * each read of zeros has an unmap, or the beginning of all, that nothing surely overwrote before it.
 */

import type { Write } from "./operations.ts";

/** A write and all reads that returned it. */
interface Cluster {
  readonly write: Write;
  /** Least end of the reads. */
  readEnd: number;
  /** Greatest beginning of the reads. */
  readBegin: number;
}

interface Zone {
  readonly cluster: Cluster;
  readonly from: number;
  readonly to: number;
}

export class Register {
  readonly #clusters = new Map<number, Cluster>();
  readonly #unmaps: Write[] = [];
  /** Beginnings and ends of reads that returned zeros, in turn. */
  readonly #zeroReads: number[] = [];
  /** Unmaps that may still land. */
  #openUnmaps = 0;
  #unmappedUntil = 0;
  /** Of what has landed, the write or unmap that began last. */
  newest: Write | undefined;

  began(write: Write): void {
    if (write.isUnmap) {
      this.#unmaps.push(write);
      this.#openUnmaps++;
    } else {
      this.#clusters.set(write.stamp, { write, readEnd: Number.POSITIVE_INFINITY, readBegin: 0 });
    }
  }

  /** The write was acknowledged. */
  acknowledged(write: Write): void {
    this.#landed(write);
    if (write.isUnmap) this.#closeUnmap(write);
  }

  /** The write has landed by now or never will. */
  settled(write: Write): void {
    if (write.isUnmap) this.#closeUnmap(write);
  }

  #closeUnmap(unmap: Write): void {
    this.#openUnmaps--;
    if (unmap.end > this.#unmappedUntil) this.#unmappedUntil = unmap.end;
  }

  #landed(write: Write): void {
    if (this.newest === undefined || write.begin > this.newest.begin) this.newest = write;
  }

  /**
   * The quick test of a read, which finds most of what is wrong at once.
   *
   * @param landed what `newest` was when the read began
   * @returns what is wrong, in words
   */
  read(stamp: number, begin: number, end: number, landed: Write | undefined): string | undefined {
    if (stamp === 0) {
      if (landed !== undefined && landed.begin > this.#lastUnmap) return this.#isOver("zeros", landed);
      this.#zeroReads.push(begin, end);
      return undefined;
    }
    const cluster = this.#clusters.get(stamp);
    if (cluster === undefined) return `stamp ${stamp}, which was never written there`;
    const { write } = cluster;
    if (landed !== undefined && landed.begin > firstEnd(cluster)) return this.#isOver(write.text, landed);
    if (begin > cluster.readBegin) cluster.readBegin = begin;
    if (end < cluster.readEnd) cluster.readEnd = end;
    this.#landed(write);
    return undefined;
  }

  /** Whether a read of one moment, `now`, might return this; nothing is learned from it. @returns what is wrong */
  wouldBeWrong(stamp: number, now: number): string | undefined {
    const cluster = this.#clusters.get(stamp);
    if (stamp !== 0 && cluster === undefined) return `stamp ${stamp}, which was never written there`;
    const since = cluster === undefined ? this.#lastUnmap : firstEnd(cluster);
    if (since > now) return undefined;
    const over = this.#landedAfter(since, cluster);
    return over === undefined ? undefined : this.#isOver(cluster?.write.text ?? "zeros", over);
  }

  #isOver(what: string, by: Write): string {
    return `${what}, but ${by.text} has replaced it since`;
  }

  /** The latest end of an unmap that may explain zeros; 0 is the beginning of all. */
  get #lastUnmap(): number {
    return this.#openUnmaps > 0 ? Number.POSITIVE_INFINITY : this.#unmappedUntil;
  }

  /** A write that has landed and is surely younger than what was there at `since`. */
  #landedAfter(since: number, except: Cluster | undefined): Write | undefined {
    for (const unmap of this.#unmaps) if (unmap.isAcknowledged && unmap.begin > since) return unmap;
    for (const cluster of this.#clusters.values()) {
      if (cluster !== except && hasLanded(cluster) && lastBegin(cluster) > since) return cluster.write;
    }
    return undefined;
  }

  /** The exact test of all that is known. @returns the first thing that is wrong, in words */
  check(): string | undefined {
    const forward: Zone[] = [];
    const backward: Zone[] = [];
    for (const cluster of this.#clusters.values()) {
      if (!hasLanded(cluster)) continue;
      const end = firstEnd(cluster);
      const begin = lastBegin(cluster);
      if (end < begin) forward.push({ cluster, from: end, to: begin });
      else backward.push({ cluster, from: begin, to: end });
    }
    forward.sort((a, b) => a.from - b.from);
    for (let at = 1; at < forward.length; at++) {
      const [one, other] = [forward[at - 1], forward[at]];
      if (one.to > other.from) return `${textOf(one)} came back after ${textOf(other)}`;
    }
    for (const zone of backward) {
      const around = zoneAround(forward, zone.from, zone.to);
      if (around !== undefined) return `${textOf(around)} came back after ${textOf(zone)}`;
    }
    for (const unmap of this.#unmaps) {
      const around = unmap.isAcknowledged ? zoneAround(forward, unmap.begin, unmap.end) : undefined;
      if (around !== undefined) return `${textOf(around)} came back after ${unmap.text}`;
    }
    return this.#checkZeros(forward);
  }

  #checkZeros(forward: readonly Zone[]): string | undefined {
    const unmaps = Steps.of(this.#unmaps.map((one) => [one.begin, one.end] as const));
    const landed = [...this.#clusters.values()].filter(hasLanded);
    const begins = Steps.of(landed.map((one) => [firstEnd(one), lastBegin(one)] as const));
    for (let at = 0; at < this.#zeroReads.length; at += 2) {
      const begin = this.#zeroReads[at];
      const end = this.#zeroReads[at + 1];
      const around = zoneAround(forward, begin, end);
      if (around !== undefined) return `${textOf(around)} came back after a read of zeros`;
      if (begins.greatest(begin) > unmaps.greatest(end)) return "zeros came back after a write, without an unmap";
    }
    return undefined;
  }
}

/** The greatest value of all steps that begin before a time, by binary search. */
class Steps {
  private constructor(
    private readonly begins: readonly number[],
    private readonly values: readonly number[],
  ) {}

  static of(steps: (readonly [begin: number, value: number])[]): Steps {
    steps.sort((a, b) => a[0] - b[0]);
    let greatest = 0;
    const values = steps.map(([, value]) => {
      greatest = Math.max(greatest, value);
      return greatest;
    });
    return new Steps(
      steps.map(([begin]) => begin),
      values,
    );
  }

  greatest(before: number): number {
    const count = countBelow(this.begins.length, (at) => this.begins[at] < before);
    return count === 0 ? 0 : this.values[count - 1];
  }
}

/** The forward zone within which from..to lies. The zones are sorted and do not overlap. */
function zoneAround(forward: readonly Zone[], from: number, to: number): Zone | undefined {
  const count = countBelow(forward.length, (at) => forward[at].from < from);
  if (count === 0) return undefined;
  const zone = forward[count - 1];
  return to < zone.to ? zone : undefined;
}

/** How many of 0..length-1 hold, where none holds after one that does not. */
function countBelow(length: number, holds: (at: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function hasLanded(cluster: Cluster): boolean {
  return cluster.write.isAcknowledged || cluster.readBegin > 0;
}

/** The first end in the cluster, if the write has landed: by then the block has had its value. */
function firstEnd(cluster: Cluster): number {
  return Math.min(cluster.write.end, cluster.readEnd);
}

function lastBegin(cluster: Cluster): number {
  return Math.max(cluster.write.begin, cluster.readBegin);
}

function textOf(zone: Zone): string {
  const { write, readBegin } = zone.cluster;
  return readBegin > 0 ? `${write.text}, which was read,` : write.text;
}
