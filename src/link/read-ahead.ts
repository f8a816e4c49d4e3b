/**
 * Data of requests that have left the journal's memory, read from its drive some requests ahead of the link, so that a
 * link that catches up waits for the drive once and not once a request.
 *
 * Invariants: places in the buffer are handed out and taken back in one order, as in a ring; a place is not used again
 * before its read has ended; the buffer is freed only when no read is under way.
 */

import { assert } from "../base/assert.ts";
import { isOperatingError, type OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, MiB, type Sequence, sequence } from "../base/units.ts";
import type { World } from "../platform/world.ts";
import type { RequestSource } from "./contract.ts";

/** Two of the largest requests, so that one is read while the other is sent. */
export const READ_AHEAD_BYTES = 2 * MiB;
/** Reads under way or waiting to be sent. */
export const READ_AHEAD_REQUESTS = 128;

interface Place {
  readonly sequence: Sequence;
  readonly start: number;
  readonly bytes: number;
  /** The read has ended. */
  settled: boolean;
  /** Sent, or no longer wanted. */
  done: boolean;
}

export class ReadAhead {
  readonly #world: World;
  readonly #source: RequestSource;
  readonly #onReady: () => void;
  readonly #onFailed: (error: OperatingError) => void;
  #buffer: Uint8Array | undefined;
  readonly #places: Place[] = [];
  #reading = 0;

  constructor(world: World, source: RequestSource, onReady: () => void, onFailed: (error: OperatingError) => void) {
    this.#world = world;
    this.#source = source;
    this.#onReady = onReady;
    this.#onFailed = onFailed;
  }

  /** @returns the request's data if it has been read; stays valid until `release` */
  data(wanted: Sequence): Uint8Array | undefined {
    const place = this.#find(wanted);
    if (place === undefined || !place.settled || this.#buffer === undefined) return undefined;
    return this.#buffer.subarray(place.start, place.start + place.bytes);
  }

  /** The request has been sent. */
  release(sent: Sequence): void {
    const place = this.#find(sent);
    if (place !== undefined) place.done = true;
    this.#reclaim();
  }

  /** Starts to read `first`, which must have data, and the requests after it as far as there is room. */
  fill(first: Sequence): void {
    if (this.#find(first) === undefined && !this.#read(first)) {
      // Its room is taken by later requests, which were asked for while this one was still in memory.
      this.discard();
      if (!this.#read(first)) return;
    }
    const last = Math.min(this.#source.appended, first + READ_AHEAD_REQUESTS);
    for (let next = first + 1; next <= last; next++) {
      const ahead = sequence(next);
      if (this.#source.head(ahead)?.kind !== "write" || this.#find(ahead) !== undefined) continue;
      if (this.#source.windowData(ahead) !== undefined) return;
      if (!this.#read(ahead)) return;
    }
  }

  /** Nothing that was read so far is wanted any more. */
  discard(): void {
    for (const place of this.#places) place.done = true;
    this.#reclaim();
  }

  /** @returns false if there is no room for it now */
  #read(wanted: Sequence): boolean {
    const head = this.#source.head(wanted);
    if (head === undefined || this.#places.length >= READ_AHEAD_REQUESTS) return false;
    assert(head.kind === "write", "only a write has data to read");
    const bytes = head.blocks * BLOCK_BYTES;
    const start = this.#room(bytes);
    if (start < 0) return false;
    this.#buffer ??= this.#world.memory.allocate(READ_AHEAD_BYTES);
    const place: Place = { sequence: wanted, start, bytes, settled: false, done: false };
    this.#places.push(place);
    this.#reading++;
    const reading = this.#source.readData(wanted, 0, head.blocks, this.#buffer.subarray(start, start + bytes));
    if (reading === undefined) this.#settle(place);
    else reading.then(() => this.#settle(place, true), this.#fail.bind(this, place));
    return true;
  }

  #settle(place: Place, tell = false): void {
    place.settled = true;
    this.#reading--;
    this.#reclaim();
    if (tell) this.#onReady();
  }

  #fail(place: Place, error: unknown): void {
    const wanted = !place.done;
    place.done = true;
    this.#settle(place);
    if (!isOperatingError(error)) throw error;
    if (wanted) this.#onFailed(error);
    else this.#onReady();
  }

  #find(wanted: Sequence): Place | undefined {
    for (const place of this.#places) if (place.sequence === wanted && !place.done) return place;
    return undefined;
  }

  /** @returns where so many bytes are free, or -1 */
  #room(bytes: number): number {
    const first = this.#places[0];
    const last = this.#places[this.#places.length - 1];
    if (first === undefined || last === undefined) return 0;
    const end = last.start + last.bytes;
    if (last.start >= first.start) {
      if (end + bytes <= READ_AHEAD_BYTES) return end;
      return bytes <= first.start ? 0 : -1;
    }
    return end + bytes <= first.start ? end : -1;
  }

  #reclaim(): void {
    while (this.#places.length > 0 && this.#places[0].done && this.#places[0].settled) this.#places.shift();
    if (this.#places.length === 0 && this.#reading === 0 && this.#buffer !== undefined) {
      this.#world.memory.free(this.#buffer);
      this.#buffer = undefined;
    }
  }
}
