/**
 * Challenges of CHAP. No two of a server are the same, whatever its source of randomness gives: each has a number of its
 * own behind what is random. Two that follow each other have other identifiers as well (RFC 1994 section 4.1).
 */

import type { ChapChallenge } from "./chap.ts";
import type { Random } from "./interfaces.ts";

const RANDOM_BYTES = 24;
const NUMBER_BYTES = 8;

export class Challenges {
  readonly #random: Random;
  #number = 0n;

  constructor(random: Random) {
    this.#random = random;
  }

  next(): ChapChallenge {
    const bytes = new Uint8Array(RANDOM_BYTES + NUMBER_BYTES);
    for (let at = 0; at < RANDOM_BYTES; at++) bytes[at] = this.#random.below(256);
    new DataView(bytes.buffer).setBigUint64(RANDOM_BYTES, this.#number);
    const identifier = Number(this.#number & 0xffn);
    this.#number++;
    return { identifier, bytes };
  }
}
