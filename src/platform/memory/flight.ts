/** What one end of a connection has put on the wire and the other has not received: in order, whatever each takes. */

import type { Scheduler } from "./scheduler.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { Wire } from "./wire.ts";

/** What travels to the peer. */
export type Item =
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  | { readonly kind: "established" }
  | { readonly kind: "fin" }
  | { readonly kind: "reset" };

interface Flying {
  readonly item: Item;
  readonly arrival: number;
}

export class Flight {
  #flying: Flying[] = [];
  #carrying = false;
  #lastArrival = 0;

  /** @param arrived is given what comes together */
  constructor(
    private readonly scheduler: Scheduler,
    private readonly wire: Wire,
    private readonly arrived: (items: readonly Item[]) => void,
  ) {}

  /** @param transit milliseconds from now until it is there, unless what was put before takes longer */
  put(item: Item, transit: number): void {
    const arrival = Math.max(this.#lastArrival, this.scheduler.now + transit);
    this.#lastArrival = arrival;
    this.#flying.push({ item, arrival });
    this.#carry();
  }

  /** Loses a part of it, from the end. */
  loseSome(random: SeededRandom): void {
    this.#flying.splice(random.below(this.#flying.length + 1));
  }

  loseAll(): void {
    this.#flying = [];
  }

  /** One event brings the first item to the peer, and with it all that has caught up with it. */
  #carry(): void {
    if (this.#carrying || this.#flying.length === 0) return;
    this.#carrying = true;
    const [{ item, arrival }] = this.#flying;
    this.wire.carry(arrival - this.scheduler.now, item.kind, () => {
      this.#carrying = false;
      const items = this.#takeDue();
      if (items.length > 0) this.arrived(items);
      this.#carry();
    });
  }

  #takeDue(): Item[] {
    const flying = this.#flying;
    if (flying.length === 0) return [];
    const due = Math.max(this.scheduler.now, flying[0].arrival);
    let count = 1;
    // a reset comes alone, after the process has seen the data before it
    while (count < flying.length && flying[count].arrival <= due && flying[count].item.kind !== "reset") count++;
    return flying.splice(0, count).map(({ item }) => item);
  }
}
