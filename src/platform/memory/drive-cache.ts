/** A simulated drive's media behind its write cache, and what requests do to the two, rightly or wrongly. */

import type { Battery } from "./battery.ts";
import type { FaultOptions } from "./drive-fault.ts";
import { type CutShape, DriveMedia, type DriveSnapshot, type Keep } from "./drive-media.ts";
import type { DriveOperation, DriveSettings } from "./drive-settings.ts";
import { type Page, pagesOf } from "./page.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** A request as far as it concerns the media. */
export interface MediaRequest {
  readonly operation: DriveOperation;
  readonly lba: number;
  readonly blocks: number;
  /** The caller's buffer, for a read or a write. */
  readonly buffer: Uint8Array | undefined;
  /** What a write's buffer held when it was submitted. */
  readonly pages: readonly Page[] | undefined;
  readonly fua: boolean;
  /** The media's serial when it was submitted. */
  readonly serial: number;
  /** Its caller has given up on it; the drive has not. */
  readonly aborted: boolean;
}

/** From so many blocks on it is worth looking for those that a battery-backed cache has long written by itself. */
const BLOCKS_TO_FORGET_MIN = 256;

export class DriveCache {
  readonly media: DriveMedia;
  #blocksToForget = BLOCKS_TO_FORGET_MIN;

  constructor(
    blockCount: number,
    clock: { readonly now: number },
    private readonly random: SeededRandom,
    public settings: DriveSettings,
  ) {
    this.media = new DriveMedia(blockCount, clock);
  }

  /** Does what was asked. */
  carryOut({ operation, lba, blocks, buffer, pages, fua, serial }: MediaRequest): void {
    switch (operation) {
      case "read":
        if (buffer !== undefined) this.media.read(lba, buffer);
        break;
      case "write":
        if (pages !== undefined) this.media.write(lba, pages, this.#keep(fua));
        this.#forgetDrained();
        break;
      case "unmap":
        this.media.unmap(lba, blocks, this.#keep(fua));
        break;
      case "flush":
        if (this.settings.cache !== "battery") this.media.flushed(serial);
        break;
    }
  }

  /** Does something else than was asked: what a fault has made of the request. */
  carryOutWrongly(request: MediaRequest, action: FaultOptions["action"], place: number): void {
    const { operation, lba, buffer, pages } = request;
    if (action === "misdirect" && (place !== lba || operation === "read")) this.carryOut({ ...request, lba: place });
    if (action === "forget" && pages !== undefined) this.media.write(lba, pages, "forgotten");
    if (action === "stale" && buffer !== undefined) this.media.readPrevious(lba, buffer);
    if (action === "corrupt" && buffer !== undefined) {
      this.media.read(lba, buffer);
      buffer[this.random.below(buffer.length)] ^= 1 << this.random.below(8);
    }
  }

  /** What a write or an unmap that did not complete leaves: anything between all and nothing. */
  leavePart({ operation, lba, blocks, buffer, pages, aborted }: MediaRequest, forGood: boolean): void {
    const keep = forGood ? "durable" : this.#keep(false);
    if (operation === "unmap") this.media.writePartly(lba, blocks, keep, this.random);
    if (pages === undefined || buffer === undefined) return;
    // after an abort the caller may have changed the buffer, and the drive may read it before or after that
    const written = aborted && this.random.chance(0.5) ? pagesOf(buffer) : pages;
    this.media.writePartly(lba, written, keep, this.random);
  }

  losePower(battery: Battery): void {
    this.#drainAtCut(this.media, battery, this.random);
    this.media.powerCut(this.random);
  }

  /** What the media would hold after a power cut now, in which the requests are under way. */
  cutSnapshot(
    underWay: Iterable<MediaRequest>,
    battery: Battery,
    random: SeededRandom,
    shape: CutShape,
  ): DriveSnapshot {
    const media = this.media.copy();
    this.#drainAtCut(media, battery, random);
    media.powerCut(random, shape);
    for (const { operation, lba, blocks, pages } of underWay) {
      if (shape === "drop all" || operation === "read" || operation === "flush") continue;
      if (shape !== "keep all") media.writePartly(lba, pages ?? blocks, "durable", random);
      else if (pages !== undefined) media.write(lba, pages, "durable");
      else media.unmap(lba, blocks, "durable");
    }
    return media.snapshot();
  }

  /** Where a misdirected request goes: to `to`, or to any place that is not its own, or to its own if none is left. */
  elsewhere({ lba, blocks }: MediaRequest, to: number | undefined): number {
    const { blockCount } = this.media;
    if (to !== undefined) return Math.min(to, blockCount - blocks);
    const before = Math.max(0, lba - blocks + 1);
    const after = Math.max(0, blockCount - lba - 2 * blocks + 1);
    if (before + after === 0) return lba;
    const place = this.random.below(before + after);
    return place < before ? place : lba + blocks + place - before;
  }

  #keep(fua: boolean): Keep {
    const { cache } = this.settings;
    return cache === "none" || (fua && cache === "volatile") ? "durable" : "cached";
  }

  /** What is certain to have been drained needs no memory; looked for so seldom that it costs nothing. */
  #forgetDrained(): void {
    const { media, settings } = this;
    if (settings.cache !== "battery" || media.unflushedBlocks < this.#blocksToForget) return;
    media.drain(() => settings.drain[1]);
    this.#blocksToForget = Math.max(BLOCKS_TO_FORGET_MIN, 2 * media.unflushedBlocks);
  }

  #drainAtCut(media: DriveMedia, battery: Battery, random: SeededRandom): void {
    const { cache, drain } = this.settings;
    if (cache === "battery") media.drain(() => (battery.holds ? 0 : random.between(drain[0], drain[1])));
  }
}
