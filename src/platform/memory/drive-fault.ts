/** What a test does to a simulated drive: requests that fail, wait, or do something else than they say. */

import type { DriveMedia } from "./drive-media.ts";
import type { DriveOperation } from "./drive-settings.ts";

/**
 * `fail`: the request rejects; what a failed write leaves on the media is anybody's guess, and what a failed flush
 * should have covered is not made durable by a later one. `lose`: it succeeds without effect; what a lost flush should
 * have covered a later one covers. `stall`: it neither takes place nor completes until the fault is removed.
 */
type CommonAction = "fail" | "lose" | "stall";

/**
 * All of these succeed. `misdirect`: another place is read. `stale`: blocks that were written since the fault was
 * injected are read as they were before their last write; reads that would not show it do not meet the fault.
 * `corrupt`: one bit of what is read is wrong, on the media it is right.
 */
type ReadAction = CommonAction | "misdirect" | "stale" | "corrupt";

/**
 * Both of these succeed. `misdirect`: another place is written, and the right one is not; where the drive has no other
 * place of that size, nothing is written. `forget`: reads return the new content until the next power cut, which
 * brings back the old, however often it was flushed.
 */
type WriteAction = CommonAction | "misdirect" | "forget";

export type FaultOptions = {
  /** First block of the range; 0 unless told otherwise. Flushes match whatever the range. */
  readonly lba?: number;
  /** Blocks of the range; to the end of the drive unless told otherwise. */
  readonly blocks?: number;
  /** Only requests that lie wholly within the range meet it, so that it reaches nothing beside. */
  readonly within?: true;
  /** Requests that meet it; every one unless told otherwise. */
  readonly times?: number;
} & (
  | {
      readonly on: "read";
      readonly action: ReadAction;
      /** Where a misdirected request goes, as far as the drive reaches; anywhere unless told otherwise. */
      readonly to?: number;
    }
  | { readonly on: "write"; readonly action: WriteAction; readonly to?: number }
  | { readonly on: "flush" | "unmap"; readonly action: CommonAction; readonly to?: undefined }
);

/** A request that met a fault. */
export interface FaultHit {
  readonly lba: number;
  readonly blocks: number;
  /** Where it took place: its `lba`, unless it was misdirected. */
  readonly place: number;
}

export interface Fault {
  /** Requests that met it so far. */
  readonly met: number;
  readonly hits: readonly FaultHit[];
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
  readonly hits: FaultHit[] = [];
  readonly #stalled: R[] = [];

  /** @param removed takes the fault out of the drive and goes on with what it stalled */
  constructor(
    readonly options: FaultOptions,
    private readonly removed: (fault: InjectedFault<R>, stalled: readonly R[]) => void,
  ) {}

  get met(): number {
    return this.hits.length;
  }

  matches(request: R): boolean {
    const { on, lba = 0, blocks = Number.POSITIVE_INFINITY, times = Number.POSITIVE_INFINITY } = this.options;
    if (on !== request.operation || this.met >= times) return false;
    if (on === "flush") return true;
    if (this.options.within) return request.lba >= lba && request.lba + request.blocks <= lba + blocks;
    return request.lba < lba + blocks && lba < request.lba + request.blocks;
  }

  /** A request meets the fault, at `place`. @returns what becomes of it */
  meet(request: R, place: number): FaultOptions["action"] {
    this.hits.push({ lba: request.lba, blocks: request.blocks, place });
    if (this.options.action === "stall") this.#stalled.push(request);
    return this.options.action;
  }

  remove(): void {
    this.removed(this, this.#stalled.splice(0));
  }
}

/** All faults of a drive. */
export class DriveFaults<R extends Target> {
  #faults: InjectedFault<R>[] = [];

  /** @param goOn takes a request up again that a fault had stalled */
  constructor(
    private readonly media: DriveMedia,
    private readonly goOn: (request: R) => void,
  ) {}

  inject(options: FaultOptions): Fault {
    const fault = new InjectedFault<R>(options, (removed, stalled) => {
      this.#change(this.#faults.filter((other) => other !== removed));
      for (const request of stalled) this.goOn(request);
    });
    this.#change([...this.#faults, fault]);
    return fault;
  }

  /** The oldest fault that a request meets. */
  find(request: R): InjectedFault<R> | undefined {
    return this.#faults.find((fault) => {
      if (!fault.matches(request)) return false;
      return fault.options.action !== "stale" || this.media.hasPrevious(request.lba, request.blocks);
    });
  }

  #change(faults: InjectedFault<R>[]): void {
    this.#faults = faults;
    this.media.rememberPrevious(faults.some((fault) => fault.options.action === "stale"));
  }
}
