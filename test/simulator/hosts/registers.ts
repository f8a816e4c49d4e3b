/**
 * The checker of what hosts are told: the blocks of a LUN as registers that must be linearizable, each by itself.
 * All hosts of the LUN share it. It holds for single blocks only: a write of many may be seen block by block.
 *
 * @example
 * const write = registers.beginWrite(12, 4, now, "oslo");
 * stamp(data, 12, 4096, write.stamp);
 * write.finish(now); // or, where nobody knows whether it has landed, settle(now) once it can't any more
 * const read = registers.beginRead(12, 4, now, "oslo");
 * read.finish(content, now);
 * expect(registers.check()).toEqual([]);
 */

import { assert } from "../../../src/base/assert.ts";
import { formatTime, Read, Write } from "./operations.ts";
import { Register } from "./register.ts";
import { describeMix, MIXED, stampOf, wordsOf } from "./stamps.ts";

/** More than this is not kept: whatever is wrong is wrong everywhere by then. */
const WRONG_MAX = 100;

export interface RegistersOptions {
  /** Bytes of a logical block: 512 or 4096. */
  readonly blockSize: number;
  /** The blocks of the LUN that hosts use; all others hold zeros for ever. */
  readonly first: number;
  readonly blocks: number;
  /** Told of what is wrong as soon as it is known. */
  readonly onWrong?: (text: string) => void;
}

export class Registers {
  /** What can't be, in words; the first of it. */
  readonly wrong: string[] = [];
  readonly #options: RegistersOptions;
  readonly #registers: readonly Register[];
  readonly #untouched = new Register();
  readonly #blockWords: number;
  /** Blocks whose contradiction has been reported. */
  readonly #reported = new Set<number>();
  #order = 0;
  #stamp = 0;

  constructor(options: RegistersOptions) {
    this.#options = options;
    this.#blockWords = options.blockSize / 4;
    this.#registers = Array.from({ length: options.blocks }, () => new Register());
  }

  beginWrite(lba: number, blocks: number, now: number, who = "a host"): Write {
    return this.#begin(++this.#stamp, lba, blocks, now, who);
  }

  beginUnmap(lba: number, blocks: number, now: number, who = "a host"): Write {
    return this.#begin(0, lba, blocks, now, who);
  }

  beginRead(lba: number, blocks: number, now: number, who = "a host"): Read {
    return new Read(this, lba, blocks, ++this.#order, now, who);
  }

  /** The exact test of everything up to now. @returns all that is wrong so far */
  check(): string[] {
    for (const [at, register] of this.#registers.entries()) {
      const lba = this.#options.first + at;
      const wrong = this.#reported.has(lba) ? undefined : register.check();
      if (wrong === undefined) continue;
      this.#reported.add(lba);
      this.#report(`block ${lba}: ${wrong}`);
    }
    return this.wrong;
  }

  /**
   * Judges what a site has stored: each block must be what a read of this moment might return.
   *
   * @param content whole blocks, from block `first` of the LUN on
   * @param where   for the messages
   * @returns what is wrong, which is not added to `wrong`
   */
  checkContent(content: Uint8Array, where: string, now: number, first = 0): string[] {
    const wrong: string[] = [];
    const order = ++this.#order;
    const words = wordsOf(content);
    for (let block = 0; block < words.length / this.#blockWords; block++) {
      const lba = first + block;
      const found = stampOf(words, block * this.#blockWords, this.#blockWords, lba);
      const text = found === MIXED ? this.#mix(words, block, lba) : this.#of(lba).wouldBeWrong(found, order);
      if (text !== undefined) wrong.push(`block ${lba}: ${where} has at ${formatTime(now)} ${text}`);
    }
    return wrong;
  }

  // What operations call.

  acknowledge(write: Write): void {
    write.end = ++this.#order;
    for (let block = 0; block < write.blocks; block++) this.#of(write.lba + block).acknowledged(write);
  }

  settle(write: Write): void {
    write.end = ++this.#order;
    for (let block = 0; block < write.blocks; block++) this.#of(write.lba + block).settled(write);
  }

  newestOf(lba: number, blocks: number): (Write | undefined)[] {
    return Array.from({ length: blocks }, (_, block) => this.#of(lba + block).newest);
  }

  judge(read: Read, content: Uint8Array, now: number): void {
    const end = ++this.#order;
    const words = wordsOf(content);
    for (let block = 0; block < read.blocks; block++) {
      const lba = read.lba + block;
      const found = stampOf(words, block * this.#blockWords, this.#blockWords, lba);
      const text =
        found === MIXED ? this.#mix(words, block, lba) : this.#of(lba).read(found, read.begin, end, read.landed[block]);
      if (text === undefined) continue;
      const times = `from ${formatTime(read.now)} to ${formatTime(now)}`;
      this.#report(`block ${lba}: ${read.who} read ${times} ${text}`);
    }
  }

  #begin(stamp: number, lba: number, blocks: number, now: number, who: string): Write {
    const { first, blocks: most } = this.#options;
    assert(lba >= first && lba + blocks <= first + most, "hosts write where the checker looks");
    const write = new Write(this, stamp, lba, blocks, ++this.#order, now, who);
    for (let block = 0; block < blocks; block++) this.#of(lba + block).began(write);
    return write;
  }

  #mix(words: Uint32Array, block: number, lba: number): string {
    return `a mix: ${describeMix(words, block * this.#blockWords, this.#blockWords, lba)}`;
  }

  #of(lba: number): Register {
    return this.#registers[lba - this.#options.first] ?? this.#untouched;
  }

  #report(text: string): void {
    if (this.wrong.length < WRONG_MAX) this.wrong.push(text);
    this.#options.onWrong?.(text);
  }
}
