/**
 * What a power cut may leave of the drives, at any moment of a trace.
 *
 * A write is certain once it was completed with FUA, or a flush that was submitted after its completion has completed.
 * Until then each of its blocks is there or not, whatever became of the others; of several writes of one block any
 * may be the last that is there. One that is there may be torn.
 */

import { SeededRandom } from "../../../src/platform/memory/seeded-random.ts";
import type { Image, Request, TraceEvent } from "./crash-drive.ts";
import { type Page, tornPage } from "./page.ts";

/** What a drive may hold at a block. */
interface Doubt {
  readonly drive: number;
  readonly block: number;
  readonly versions: { readonly page: Page; readonly request: Request }[];
}

/** Of an image: equal for equal ones. */
export interface Key {
  readonly low: number;
  readonly high: number;
}

/** One image that a power cut may leave. */
export interface CrashState {
  /** Equal for equal images, as good as never for others. */
  readonly key: number;
  readonly halves: Key;
  readonly kind: "all kept" | "all dropped" | "mixed" | "torn";
  image(): Image;
}

export interface Bounds {
  /** Up to so many subsets of the blocks in doubt all are taken, else a selection. */
  readonly subsets: number;
  /** `blocks`: see `subsets`. `drives`: each set of drives keeps all that was in doubt on them. */
  readonly selection: "blocks" | "drives";
  /** Subsets drawn by lot in addition, where not all are taken. */
  readonly drawn: number;
  /** Whether blocks in doubt are looked at torn, too: each alone, all of each drive, and all. */
  readonly torn: boolean;
}

export class CrashStates {
  readonly #durable: Page[][];
  readonly #doubts = new Map<number, Doubt>();
  readonly #completed = new Set<Request>();
  /** What was completed when a flush was submitted. */
  readonly #covered = new Map<Request, Set<Request>>();
  #low: number;
  #high: number;

  /** @param start durable, all of it; `key` is its key */
  constructor(start: Image, key: Key) {
    this.#durable = start.map((pages) => pages.slice());
    this.#low = key.low;
    this.#high = key.high;
  }

  get inDoubt(): number {
    return this.#doubts.size;
  }

  apply(event: TraceEvent): void {
    if (event.kind === "died") return;
    const { request } = event;
    if (event.kind === "submitted") {
      if (request.kind === "flush") this.#covered.set(request, new Set(this.#completed));
      else this.#submitted(request);
      return;
    }
    if (request.kind === "flush") {
      const covered = this.#covered.get(request);
      this.#settle(request.drive, (other) => covered?.has(other) === true);
      for (const other of covered ?? []) if (other.drive === request.drive) this.#completed.delete(other);
    } else if (request.fua) {
      this.#settle(request.drive, (other) => other === request);
    } else {
      this.#completed.add(request);
    }
  }

  /** The states that a power cut now may leave. @returns whether all subsets are among them */
  enumerate(bounds: Bounds, seed: string, visit: (state: CrashState) => void): boolean {
    const choices: Choice[] = [];
    let product = 1;
    for (const { drive, block, versions } of this.#doubts.values()) {
      const options: Page[] = [this.#durable[drive][block]];
      for (const { page } of versions) if (!options.includes(page)) options.push(page);
      const newest = options.indexOf(versions[versions.length - 1].page);
      if (options.length === 1) continue;
      product *= options.length;
      choices.push({ drive, block, options, newest });
    }
    const take = (picks: readonly number[], kind: CrashState["kind"]): void => visit(this.#state(choices, picks, kind));
    const newest = choices.map((choice) => choice.newest);
    const oldest = choices.map(() => 0);
    take(newest, "all kept");
    if (choices.length === 0) return true;
    take(oldest, "all dropped");
    const complete = product <= bounds.subsets;
    for (const picks of complete ? everySubset(choices) : subsets(choices, bounds, seed)) take(picks, "mixed");
    if (bounds.torn) this.#tear(choices, [newest, oldest], visit);
    return complete;
  }

  #submitted(request: Request): void {
    for (const [i, page] of request.pages.entries()) {
      const block = request.block + i;
      const key = request.drive * 0x100000 + block;
      let doubt = this.#doubts.get(key);
      if (doubt === undefined) {
        if (page === this.#durable[request.drive][block]) continue;
        doubt = { drive: request.drive, block, versions: [] };
        this.#doubts.set(key, doubt);
      }
      doubt.versions.push({ page, request });
    }
  }

  /** Makes writes of a drive durable, and forgets older ones of the same blocks. */
  #settle(drive: number, covers: (request: Request) => boolean): void {
    for (const [key, doubt] of this.#doubts) {
      if (doubt.drive !== drive) continue;
      const last = doubt.versions.findLastIndex((version) => covers(version.request));
      if (last < 0) continue;
      const { page } = doubt.versions[last];
      const before = this.#durable[drive][doubt.block];
      this.#low ^= mix(drive, doubt.block, before, 1) ^ mix(drive, doubt.block, page, 1);
      this.#high ^= mix(drive, doubt.block, before, 2) ^ mix(drive, doubt.block, page, 2);
      this.#durable[drive][doubt.block] = page;
      doubt.versions.splice(0, last + 1);
      if (doubt.versions.length === 0) this.#doubts.delete(key);
    }
  }

  #state(choices: readonly Choice[], picks: readonly number[], kind: CrashState["kind"]): CrashState {
    return this.#stateOf(
      choices.map(({ drive, block, options }, i) => ({ drive, block, page: options[picks[i]] })),
      kind,
    );
  }

  #stateOf(
    changes: readonly { readonly drive: number; readonly block: number; readonly page: Page }[],
    kind: CrashState["kind"],
  ): CrashState {
    let low = this.#low;
    let high = this.#high;
    for (const { drive, block, page } of changes) {
      const before = this.#durable[drive][block];
      if (before === page) continue;
      low ^= mix(drive, block, before, 1) ^ mix(drive, block, page, 1);
      high ^= mix(drive, block, before, 2) ^ mix(drive, block, page, 2);
    }
    return {
      key: (high & 0x1fffff) * 0x100000000 + (low >>> 0),
      halves: { low, high },
      kind,
      image: () => {
        const image = this.#durable.map((pages) => pages.slice());
        for (const { drive, block, page } of changes) image[drive][block] = page;
        return image;
      },
    };
  }

  /** Each block in doubt torn, all of each drive, and all of them; the others there or none of them. */
  #tear(choices: readonly Choice[], others: readonly (readonly number[])[], visit: (state: CrashState) => void): void {
    const torn = choices.map(({ options, newest }) => tornPage(options[0], options[newest === 0 ? 1 : newest]));
    const sets = choices.map((_, alone) => (i: number) => i === alone);
    for (const drive of new Set(choices.map((choice) => choice.drive))) sets.push((i) => choices[i].drive === drive);
    sets.push(() => true);
    for (const isTorn of sets) {
      for (const picks of others) {
        const changes = choices.map(({ drive, block, options }, i) => ({
          drive,
          block,
          page: isTorn(i) ? torn[i] : options[picks[i]],
        }));
        visit(this.#stateOf(changes, "torn"));
      }
    }
  }
}

interface Choice {
  readonly drive: number;
  readonly block: number;
  /** The durable page first, then those in doubt. */
  readonly options: readonly Page[];
  readonly newest: number;
}

function* everySubset(choices: readonly Choice[]): Generator<readonly number[]> {
  const picks = choices.map(() => 0);
  for (;;) {
    yield picks;
    let at = 0;
    while (at < picks.length && picks[at] === choices[at].options.length - 1) picks[at++] = 0;
    if (at === picks.length) return;
    picks[at]++;
  }
}

/**
 * Where there are too many: each block there alone and missing alone, each set of drives, what was submitted up to each
 * block, and some by lot.
 */
function* subsets(choices: readonly Choice[], bounds: Bounds, seed: string): Generator<readonly number[]> {
  for (const alone of bounds.selection === "blocks" ? choices.keys() : []) {
    yield choices.map((choice, i) => (i === alone ? choice.newest : 0));
    yield choices.map((choice, i) => (i === alone ? 0 : choice.newest));
    yield choices.map((choice, i) => (i <= alone ? choice.newest : 0));
  }
  const drives = [...new Set(choices.map(({ drive }) => drive))];
  for (let set = 1; set < (1 << drives.length) - 1; set++) {
    yield choices.map((choice) => ((set >> drives.indexOf(choice.drive)) & 1 ? choice.newest : 0));
  }
  const random = new SeededRandom(seed);
  for (let i = 0; i < bounds.drawn; i++) yield choices.map(({ options }) => random.below(options.length));
}

/** The share that a block has in the key of its image. */
function mix(drive: number, block: number, page: Page, salt: number): number {
  let mixed = Math.imul(drive * 0x10000 + block + 1, 0x9e3779b1) ^ Math.imul(page.id + 1, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15) ^ Math.imul(salt, 0x27d4eb2f), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return mixed ^ (mixed >>> 15);
}

/** The key of an image, or of a part of it, as `CrashStates` counts it. */
export function keyOf(image: Image, first = 0, last = image[0].length): Key {
  let low = 0;
  let high = 0;
  for (const [drive, pages] of image.entries()) {
    for (let block = first; block < last; block++) {
      low ^= mix(drive, block, pages[block], 1);
      high ^= mix(drive, block, pages[block], 2);
    }
  }
  return { low, high };
}
