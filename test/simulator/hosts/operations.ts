/**
 * What a host does to registers: a write or an unmap, or a read, from the moment when it is sent to the moment when its
 * host knows how it ended. An operation ends once; a write that never ends may land at any time, or never.
 */

import type { Registers } from "./registers.ts";

/** A write, or an unmap, which writes zeros. */
export class Write {
  /** Its place in the order of all beginnings and ends; infinite until it has ended or is settled. */
  end = Number.POSITIVE_INFINITY;
  isAcknowledged = false;
  #endedAt: number | undefined;

  /**
   * @param stamp what its blocks hold, see `stamps.ts`; 0 for an unmap
   * @param begin its place in the order of all beginnings and ends
   * @param now   virtual milliseconds, for people
   */
  constructor(
    private readonly registers: Registers,
    readonly stamp: number,
    readonly lba: number,
    readonly blocks: number,
    readonly begin: number,
    private readonly now: number,
    private readonly who: string,
  ) {}

  get isUnmap(): boolean {
    return this.stamp === 0;
  }

  /** An operation ends once; what comes after is ignored. */
  get hasEnded(): boolean {
    return this.end !== Number.POSITIVE_INFINITY;
  }

  /** It was acknowledged: it has landed. */
  finish(now: number): void {
    if (this.hasEnded) return;
    this.isAcknowledged = true;
    this.#endedAt = now;
    this.registers.acknowledge(this);
  }

  /** It was given up, and does not land from now on: either it has or it never will. */
  settle(now: number): void {
    if (this.hasEnded) return;
    this.#endedAt = now;
    this.registers.settle(this);
  }

  /** For people. */
  get text(): string {
    const what = this.isUnmap ? "an unmap" : `stamp ${this.stamp}`;
    const fate = this.isAcknowledged ? "acknowledged" : "settled";
    const until = this.#endedAt === undefined ? "open" : `${fate} at ${formatTime(this.#endedAt)}`;
    return `${what} (${this.who}, begun at ${formatTime(this.now)}, ${until})`;
  }
}

export class Read {
  /** For each block, what had landed last when the read began. */
  readonly landed: readonly (Write | undefined)[];

  constructor(
    private readonly registers: Registers,
    readonly lba: number,
    readonly blocks: number,
    readonly begin: number,
    readonly now: number,
    readonly who: string,
  ) {
    this.landed = registers.newestOf(lba, blocks);
  }

  /** @param content all blocks; not kept */
  finish(content: Uint8Array, now: number): void {
    this.registers.judge(this, content, now);
  }
}

export function formatTime(now: number): string {
  return `${now.toFixed(3)} ms`;
}
