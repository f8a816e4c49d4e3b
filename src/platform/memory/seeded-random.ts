/**
 * The generator of the simulated world: xoshiro128** in 32-bit arithmetic, the same on every machine.
 * A fork's numbers depend only on the seed and the names on the way to it, never on how many were drawn
 * elsewhere, so that one part's use of randomness does not shift another's.
 */

import { assert } from "../../base/assert.ts";
import type { Random } from "../random.ts";

/** FNV-1a over the characters of `text`, from `hash` on. */
export function hashText(text: string, hash = 0x811c9dc5): number {
  let mixed = hash;
  for (let at = 0; at < text.length; at++) mixed = Math.imul(mixed ^ text.charCodeAt(at), 0x01000193);
  return mixed >>> 0;
}

export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(readonly seed: string) {
    // splitmix32 spreads the seed's hash over the state and never leaves all of it zero
    let state = hashText(seed);
    const next = () => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = state ^ (state >>> 16);
      mixed = Math.imul(mixed, 0x21f0aaad);
      mixed ^= mixed >>> 15;
      mixed = Math.imul(mixed, 0x735a2d97);
      return (mixed ^ (mixed >>> 15)) >>> 0;
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1;
  }

  /** A generator of its own; the same name gives the same numbers. */
  fork(name: string): SeededRandom {
    return new SeededRandom(`${this.seed}/${name}`);
  }

  /** A whole number, 0 <= n < 2^32. */
  next(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }

  below(bound: number): number {
    assert(Number.isInteger(bound) && bound >= 1 && bound <= 0x100000000, `bound out of range: ${bound}`);
    // the part of the range that bound does not divide is drawn again, so that all results are as likely
    const limit = 0x100000000 - (0x100000000 % bound);
    let drawn = this.next();
    while (drawn >= limit) drawn = this.next();
    return drawn % bound;
  }

  fill(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 4) {
      let drawn = this.next();
      for (let byte = at; byte < at + 4 && byte < bytes.length; byte++) {
        bytes[byte] = drawn;
        drawn >>>= 8;
      }
    }
  }

  /** True with the probability given, 0 to 1. */
  chance(probability: number): boolean {
    return this.next() < probability * 0x100000000;
  }

  /** A number, min <= n < max (or min where both are one). */
  between(min: number, max: number): number {
    return min + (this.next() / 0x100000000) * (max - min);
  }

  pick<T>(from: readonly T[]): T {
    assert(from.length > 0, "nothing to pick from");
    return from[this.below(from.length)];
  }
}
