/**
 * Keeps the event loop looking at its sockets for a moment after data has come, rather than sleep until more does: to wake a
 * processor that sleeps takes longer than a small request, and an initiator with one request at a time sends the next as soon as
 * it has the answer.
 *
 * Where nothing came, looking is left off for twice as many data events each time, and for half as many where something did:
 * whoever is to send may be waiting for this very processor.
 */

const LEFT_OFF_MAX = 1024;

/** Time in milliseconds, and what calls back once the event loop has looked at its sockets without sleeping. */
export interface Loop {
  readonly now: () => number;
  readonly soon: (run: () => void) => unknown;
}

export class BusyPoll {
  readonly #loop: Loop;
  readonly #millis: number;
  #until = 0;
  #looking = false;
  /** Data events to come after which nobody looks. */
  #leftOff = 0;
  /** As many the next time that nothing comes. */
  #toLeaveOff = 1;
  readonly #look = () => {
    if (this.#loop.now() < this.#until) {
      this.#loop.soon(this.#look);
      return;
    }
    this.#looking = false;
    this.#leftOff = this.#toLeaveOff;
    this.#toLeaveOff = Math.min(2 * this.#toLeaveOff, LEFT_OFF_MAX);
  };

  /** @param millis how long to look after each data event; 0 for never */
  constructor(millis: number, loop: Loop) {
    this.#millis = millis;
    this.#loop = loop;
  }

  /** Data came, and was taken. */
  heard(): void {
    if (this.#looking) this.#toLeaveOff = Math.max(1, this.#toLeaveOff / 2);
    else if (this.#leftOff > 0) {
      this.#leftOff--;
      return;
    }
    this.#until = this.#loop.now() + this.#millis;
    if (this.#looking || this.#millis === 0) return;
    this.#looking = true;
    this.#loop.soon(this.#look);
  }
}
