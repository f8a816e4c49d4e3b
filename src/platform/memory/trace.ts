/**
 * The running record of a simulated run: a hash over all that happened, to tell two runs apart, and the last events
 * in words, for the message of a run that went wrong.
 */

import { hashText } from "./seeded-random.ts";

/** Events that a failed run shows. */
const LAST_EVENTS = 40;
/** Bytes of a content that go into the hash: enough to notice a different header, cheap for a megabyte. */
const SAMPLED_BYTES = 64;

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);

export class Trace {
  #low = 0x811c9dc5;
  #high = 0x9747b28c;
  #events = 0;
  readonly #last: { readonly time: number; readonly where: string | undefined; readonly what: string }[] = [];

  /** 16 hexadecimal digits over every event and note so far. */
  get hash(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /** Events so far. */
  get events(): number {
    return this.#events;
  }

  event(time: number, where: string | undefined, what: string): void {
    this.#events++;
    this.number(time);
    this.#mix(hashText(what, where === undefined ? undefined : hashText(where)));
    this.#last[this.#events % LAST_EVENTS] = { time, where, what };
  }

  /** Adds a number to the hash. */
  number(value: number): void {
    float[0] = value;
    this.#mix(words[0]);
    this.#mix(words[1]);
  }

  /** Adds the length and a sample of the content to the hash. */
  content(bytes: Uint8Array): void {
    this.#mix(bytes.length);
    if (bytes.length <= SAMPLED_BYTES) {
      for (const byte of bytes) this.#mix(byte);
      return;
    }
    for (let at = 0; at < SAMPLED_BYTES / 2; at++) this.#mix(bytes[at]);
    const step = bytes.length / (SAMPLED_BYTES / 2);
    for (let at = 0; at < SAMPLED_BYTES / 2; at++) this.#mix(bytes[Math.floor(at * step)]);
  }

  /** The last events, oldest first. */
  lastEvents(): string[] {
    const from = (this.#events + 1) % LAST_EVENTS;
    return [...this.#last.slice(from), ...this.#last.slice(0, from)]
      .filter((event) => event !== undefined)
      .map(({ time, where, what }) => `${time.toFixed(3)} ms  ${where === undefined ? "" : `${where}: `}${what}`);
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193);
    this.#low ^= this.#low >>> 15;
    this.#high = Math.imul(this.#high ^ word ^ this.#low, 0x85ebca6b);
    this.#high ^= this.#high >>> 13;
  }
}
