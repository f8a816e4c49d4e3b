/**
 * Hosts that write, unmap and read LUN 0 of a simulated system, and check all that they are told.
 *
 * The order in which writes are submitted is the order of the group, so the content of each block is one step of a
 * known history. A read may return any step from the newest that was known when it began (acknowledged, or read by
 * somebody before) to the newest that was submitted before it ended, and no other: what is older is a lost write or a
 * stale read, what a later read no longer finds was never to be shown.
 */

import { BLOCK_BYTES, lba } from "../../src/base/units.ts";
import type { MirroredVolume } from "../../src/mirror/mirrored-volume.ts";
import type { SimulatedSystem } from "./system.ts";
import { stamped, stampOf } from "./system.ts";

/** Blocks of the LUN that hosts use: few, so that they meet. */
export const HOST_BLOCKS = 96;
const BLOCKS_MAX = 6;

export interface HostOptions {
  /** Commands that all hosts have outstanding at the most. */
  readonly depth: number;
  /** Virtual milliseconds between two looks at whether there is something to do. */
  readonly pause: number;
}

export class Hosts {
  /** What hosts were told that can't be, in words. */
  readonly wrong: string[] = [];
  acknowledged = 0;
  reads = 0;
  readonly #system: SimulatedSystem;
  readonly #options: HostOptions;
  /** For each block its steps, oldest first: the stamp that each left there, 0 for an unmap. */
  readonly #steps: number[][] = Array.from({ length: HOST_BLOCKS }, () => [0]);
  /** For each block the newest step that somebody was told of. */
  readonly #known: number[] = new Array<number>(HOST_BLOCKS).fill(0);
  #stamp = 0;
  #outstanding = 0;
  #stopped = false;

  constructor(system: SimulatedSystem, options: HostOptions) {
    this.#system = system;
    this.#options = options;
  }

  start(): void {
    this.#act();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** The primary has died: nothing that was outstanding is answered any more. */
  forget(): void {
    this.#outstanding = 0;
  }

  /** Checks what a site has stored, after everything has come to rest. */
  check(content: Uint8Array, where: string): void {
    this.#compare(content, 0, this.#known.slice(), where);
  }

  #act(): void {
    if (this.#stopped) return;
    const { universe } = this.#system;
    const volume = this.#system.served();
    while (volume !== undefined && this.#outstanding < this.#options.depth) this.#command(volume);
    universe.after(universe.random.below(2 * this.#options.pause), () => this.#act());
  }

  #command(volume: MirroredVolume): void {
    const { random } = this.#system.universe;
    const blocks = 1 + random.below(BLOCKS_MAX);
    const at = random.below(HOST_BLOCKS - blocks);
    const dice = random.below(10);
    this.#outstanding++;
    const process = this.#system.primary;
    // What comes from a primary that has died meanwhile was told to nobody.
    const done = () => {
      if (this.#system.sites.get(process.config.site.name) === process) this.#outstanding--;
    };
    if (dice < 4) this.#read(volume, at, blocks).then(done, done);
    else this.#write(volume, at, blocks, dice === 9).then(done, done);
  }

  async #write(volume: MirroredVolume, at: number, blocks: number, unmap: boolean): Promise<void> {
    const stamp = unmap ? 0 : ++this.#stamp;
    const steps: number[] = [];
    for (let block = 0; block < blocks; block++) steps.push(this.#steps[at + block].push(stamp) - 1);
    await (unmap ? volume.unmap(lba(at), blocks) : volume.write(lba(at), stamped(stamp, blocks)));
    this.acknowledged++;
    for (const [block, step] of steps.entries()) this.#learn(at + block, step);
  }

  async #read(volume: MirroredVolume, at: number, blocks: number): Promise<void> {
    const known = this.#known.slice(at, at + blocks);
    const into = new Uint8Array(blocks * BLOCK_BYTES);
    await volume.read(lba(at), into);
    this.reads++;
    this.#compare(into, at, known, "a host");
  }

  #compare(content: Uint8Array, at: number, known: readonly number[], who: string): void {
    for (const [block, least] of known.entries()) {
      const found = stampOf(content, block);
      const step = this.#steps[at + block].indexOf(found, least);
      if (step >= 0) this.#learn(at + block, step);
      else {
        const steps = this.#steps[at + block];
        this.wrong.push(
          `${who} found ${found} in block ${at + block} at ${this.#system.universe.now} ms, ` +
            `known was ${steps[least]}, step ${least} of ${steps.length}`,
        );
      }
    }
  }

  #learn(block: number, step: number): void {
    if (step > this.#known[block]) this.#known[block] = step;
  }
}
