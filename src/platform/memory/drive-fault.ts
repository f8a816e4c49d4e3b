/** What a test does to a simulated drive: requests that fail, are lost, or wait. */

import type { DriveOperation } from "./drive-settings.ts";

export interface FaultOptions {
  readonly on: DriveOperation;
  /**
   * `fail`: the request rejects; what a failed write leaves on the media is anybody's guess, and what a failed flush
   * should have covered is not made durable by a later one. `lose`: it succeeds without effect.
   * `stall`: it neither takes place nor completes until the fault is removed.
   */
  readonly action: "fail" | "lose" | "stall";
  /** First block of the range; 0 unless told otherwise. Flushes match whatever the range. */
  readonly lba?: number;
  /** Blocks of the range; to the end of the drive unless told otherwise. */
  readonly blocks?: number;
  /** Requests that meet it; every one unless told otherwise. */
  readonly times?: number;
}

export interface Fault {
  /** Requests that met it so far. */
  readonly met: number;
  /** Takes the fault away; requests that it stalled go on. */
  remove(): void;
}

/** A request as far as faults look at it. */
interface Target {
  readonly operation: DriveOperation;
  readonly lba: number;
  readonly blocks: number;
}

/** A fault in its drive, and the requests of type `R` that it holds back. */
export class InjectedFault<R extends Target> implements Fault {
  #met = 0;
  readonly #stalled: R[] = [];

  /** @param removed takes the fault out of the drive and goes on with what it stalled */
  constructor(
    private readonly options: FaultOptions,
    private readonly removed: (fault: InjectedFault<R>, stalled: readonly R[]) => void,
  ) {}

  get met(): number {
    return this.#met;
  }

  matches(request: R): boolean {
    const { on, lba = 0, blocks = Number.POSITIVE_INFINITY, times = Number.POSITIVE_INFINITY } = this.options;
    if (on !== request.operation || this.#met >= times) return false;
    return on === "flush" || (request.lba < lba + blocks && lba < request.lba + request.blocks);
  }

  /** A request meets the fault. @returns what becomes of it */
  meet(request: R): FaultOptions["action"] {
    this.#met++;
    if (this.options.action === "stall") this.#stalled.push(request);
    return this.options.action;
  }

  remove(): void {
    this.removed(this, this.#stalled.splice(0));
  }
}
