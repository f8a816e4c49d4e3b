/** How long a simulated drive takes for each request. */

import { BLOCK_BYTES } from "../../base/units.ts";
import type { DriveOperation, DriveSettings } from "./drive-settings.ts";
import type { SeededRandom } from "./seeded-random.ts";

export class DriveTiming {
  /** What every latency and transfer is multiplied by. */
  slowness = 1;
  #busyUntil = 0;

  constructor(
    private readonly clock: { readonly now: number },
    private readonly random: SeededRandom,
  ) {}

  /** Milliseconds until a request that is submitted now completes. */
  latency(settings: DriveSettings, operation: DriveOperation, blocks: number, fua: boolean): number {
    const atOnce = settings.cache === "battery";
    if (atOnce && operation === "flush") return 0;
    let delay = this.#within(settings[operation]);
    if (fua && !atOnce) delay += this.#within(settings.flush);
    delay *= this.slowness;
    if (operation === "flush" || operation === "unmap" || settings.bytesPerSecond === Number.POSITIVE_INFINITY) {
      return delay;
    }
    const { now } = this.clock;
    const transfer = (blocks * BLOCK_BYTES * 1000 * this.slowness) / settings.bytesPerSecond;
    this.#busyUntil = Math.max(this.#busyUntil, now) + transfer;
    return this.#busyUntil - now + delay;
  }

  /** Nothing is under way any more. */
  reset(): void {
    this.#busyUntil = 0;
  }

  #within([min, max]: readonly [number, number]): number {
    return this.random.between(min, max);
  }
}
