/** A world for tests: hand-driven time, a transport that keeps what was sent, and a device in memory. */

import type { BlockDevice, Connection, Memory, Pending, Random, Timers, WriteOptions } from "../interfaces.ts";

export class ManualTimers implements Timers {
  #now = 0;
  #timers: { at: number; run: () => void }[] = [];
  #turn: (() => void)[] = [];

  now(): number {
    return this.#now;
  }

  after(delay: number, run: () => void) {
    const timer = { at: this.#now + delay, run };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((one) => one !== timer);
      },
    };
  }

  afterTurn(run: () => void): void {
    this.#turn.push(run);
  }

  /** Runs what was put off to the end of the turn, and what that leads to, until nothing is left. */
  async turn(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      for (let tick = 0; tick < 8; tick++) await Promise.resolve();
      for (const run of this.#turn.splice(0)) {
        run();
        quiet = 0;
      }
    }
  }

  advance(delay: number): void {
    this.#now += delay;
    for (const timer of this.#timers.filter((one) => one.at <= this.#now)) {
      this.#timers = this.#timers.filter((one) => one !== timer);
      timer.run();
    }
  }
}

/** Counts what is out, so that tests see leaks. */
export class CountingMemory implements Memory {
  outstanding = 0;
  idles = 0;
  allocate(bytes: number): Uint8Array {
    this.outstanding += bytes;
    return new Uint8Array(bytes).fill(0xee);
  }
  free(buffer: Uint8Array): void {
    this.outstanding -= buffer.length;
    buffer.fill(0xdd);
  }
  idle(): void {
    this.idles++;
  }
}

export const fixedRandom: Random = { below: (bound) => Math.min(41, bound - 1) };

/** The target's end of a connection: keeps what is written, up to `capacity` bytes not yet taken. */
export class FakeTransport implements Connection {
  readonly remote = "192.0.2.1:50000";
  readonly local = "192.0.2.2:3260";
  capacity = Number.POSITIVE_INFINITY;
  writes = 0;
  paused = false;
  closed: "no" | "closed" | "aborted" = "no";
  #sent: Uint8Array[] = [];
  #bytes = 0;

  write(bytes: Uint8Array): number {
    if (this.closed !== "no") throw new Error("write after close");
    this.writes++;
    const taken = Math.max(0, Math.min(bytes.length, this.capacity - this.#bytes));
    if (taken > 0) this.#sent.push(bytes.slice(0, taken));
    this.#bytes += taken;
    return taken;
  }

  take(): Uint8Array {
    const all = new Uint8Array(this.#bytes);
    let at = 0;
    for (const part of this.#sent.splice(0)) {
      all.set(part, at);
      at += part.length;
    }
    this.#bytes = 0;
    return all;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  close(): void {
    this.closed = "closed";
  }

  abort(): void {
    this.closed = "aborted";
  }
}

export type Gate = { readonly kind: "read" | "write"; readonly lba: number; open(): void; fail(error: Error): void };

/** RAM. With `held` set, requests wait as gates until a test opens them. */
export class RamDevice implements BlockDevice {
  readonly bytes: Uint8Array;
  readonly blockSize: number;
  held = false;
  failure: Error | undefined;
  readonly gates: Gate[] = [];
  readonly calls: string[] = [];
  readonly signals: (AbortSignal | undefined)[] = [];
  atomicBlocksMax: number | undefined;
  writeAtomic: BlockDevice["writeAtomic"];
  cacheBytes: number | undefined;
  allocation: BlockDevice["allocation"];
  overwritesInPlace: boolean | undefined;

  constructor(blocks: number, blockSize = 512) {
    this.blockSize = blockSize;
    this.blockCount = blocks;
    this.bytes = new Uint8Array(blocks * blockSize);
  }

  blockCount: number;

  #request(kind: "read" | "write", lba: number, run: () => void, signal?: AbortSignal): Pending {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    this.signals.push(signal);
    if (!this.held) {
      run();
      return undefined;
    }
    return new Promise((resolve, reject) => {
      this.gates.push({
        kind,
        lba,
        open: () => {
          run();
          resolve();
        },
        fail: reject,
      });
      signal?.addEventListener("abort", () => reject(Object.assign(new Error("aborted"), { code: "aborted" })));
    });
  }

  read(lba: number, into: Uint8Array, signal?: AbortSignal): Pending {
    this.calls.push(`read ${lba}+${into.length / this.blockSize}`);
    const from = lba * this.blockSize;
    return this.#request("read", lba, () => into.set(this.bytes.subarray(from, from + into.length)), signal);
  }

  write(lba: number, from: Uint8Array, options?: WriteOptions): Pending {
    this.calls.push(`write ${lba}+${from.length / this.blockSize}${options?.fua ? " fua" : ""}`);
    return this.#request("write", lba, () => this.bytes.set(from, lba * this.blockSize), options?.signal);
  }

  flush(): Pending {
    this.calls.push("flush");
    return undefined;
  }

  unmap(lba: number, blocks: number): Pending {
    this.calls.push(`unmap ${lba}+${blocks}`);
    this.bytes.fill(0, lba * this.blockSize, (lba + blocks) * this.blockSize);
    return undefined;
  }
}
