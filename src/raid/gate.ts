/** A counting gate: at most `limit` holders at once, the others wait in order of arrival. */

import { assert } from "../base/assert.ts";
import type { Pending } from "../base/block-device.ts";

export class Gate {
  readonly #limit: number;
  #held = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    assert(limit >= 1, `gate of ${limit}`);
    this.#limit = limit;
  }

  get held(): number {
    return this.#held;
  }

  enter(): Pending {
    if (this.#held < this.#limit) {
      this.#held++;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  leave(): void {
    assert(this.#held > 0, "leave without enter");
    const next = this.#waiting.shift();
    if (next === undefined) this.#held--;
    else next();
  }
}
