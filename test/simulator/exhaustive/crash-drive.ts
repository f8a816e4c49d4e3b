/**
 * Drives that hold pages and record every request that changes them, and the machine that they are in: it carries
 * requests out one at a time, in the order they were given or the other way round, and lets the array run in between.
 *
 * Everything happens inside the call of `run`; nothing waits for the event loop.
 */

import type { Pending, WriteOptions } from "../../../src/base/block-device.ts";
import { OperatingError } from "../../../src/base/operating-error.ts";
import { BLOCK_BYTES, instant, type Lba } from "../../../src/base/units.ts";
import type { Arithmetic } from "../../../src/platform/arithmetic.ts";
import type { Drive } from "../../../src/platform/drive.ts";
import { drainMicrotasks } from "../../../src/platform/memory/real-turn.ts";
import { SeededRandom } from "../../../src/platform/memory/seeded-random.ts";
import type { Memory } from "../../../src/platform/memory.ts";
import { plainArithmetic } from "../../../src/platform/plain-arithmetic.ts";
import type { World } from "../../../src/platform/world.ts";
import { type Page, pageOf, ZERO } from "./page.ts";

/** Content of each drive of a machine, one page for each block. Never changed once it is a machine's start. */
export type Image = readonly (readonly Page[])[];

/** A request that changes what a drive holds, or makes it durable. */
export interface Request {
  readonly kind: "write" | "flush";
  readonly drive: number;
  readonly block: number;
  /** An unmap is a write of zeros. */
  readonly pages: readonly Page[];
  readonly fua: boolean;
}

/** What happened on the drives, in order. */
export type TraceEvent =
  | { readonly kind: "submitted" | "completed"; readonly request: Request }
  | { readonly kind: "died"; readonly drive: number };

export type Order = "first" | "last";

interface Waiting {
  readonly request: Request | undefined;
  readonly settle: (error?: Error) => void;
}

/** The checksum only has to tell blocks apart, and this one is ten times as fast as CRC32C in TypeScript. */
const arithmetic: Arithmetic = {
  crc32c: (bytes, seed, start, end) => Bun.hash.crc32(bytes.subarray(start, end), seed),
  crc32cBlocks(data, into) {
    for (let at = 0; at < data.length; at += BLOCK_BYTES) {
      into[at / BLOCK_BYTES] = Bun.hash.crc32(data.subarray(at, at + BLOCK_BYTES));
    }
  },
  xor: plainArithmetic.xor,
};

/** Keeps freed buffers for the next machine: recoveries are many, and all of them need the same ones. */
class ReusedMemory implements Memory {
  readonly #free = new Map<number, Uint8Array[]>();

  allocate(bytes: number): Uint8Array {
    return this.#free.get(bytes)?.pop()?.fill(0) ?? new Uint8Array(bytes);
  }

  free(buffer: Uint8Array): void {
    const list = this.#free.get(buffer.length);
    if (list === undefined) this.#free.set(buffer.length, [buffer]);
    else list.push(buffer);
  }
}

const memory = new ReusedMemory();

export class CrashMachine {
  readonly drives: readonly CrashDrive[];
  readonly world: World;
  readonly trace: TraceEvent[] = [];
  /** Called before a request that changes a drive is carried out. */
  onRequest: ((drive: CrashDrive) => void) | undefined;
  readonly #order: Order;
  readonly #waiting: Waiting[] = [];

  /** @param seed different for each life of an array, or its sessions would be the same */
  constructor(image: Image, order: Order, seed: string) {
    this.#order = order;
    this.drives = image.map((pages, index) => new CrashDrive(this, index, pages.slice()));
    const absent = () => {
      throw new Error("an array uses no such thing");
    };
    this.world = {
      clock: { now: () => instant(0), wallClock: () => 0, after: absent, afterTurn: absent },
      random: new SeededRandom(seed),
      drives: { open: absent, create: absent },
      network: { listen: absent, connect: absent },
      memory,
      arithmetic,
      hashes: { md5: absent, sha1: absent, sha256: absent, "sha3-256": absent },
      watchdogs: { open: absent },
      batteries: { read: absent },
    };
  }

  get image(): Image {
    return this.drives.map((drive) => drive.pages);
  }

  /** Runs until nothing is under way any more. Throws what the promise rejects with. */
  run<T>(promise: Promise<T>): T {
    let result: { value: T } | { error: unknown } | undefined;
    promise.then(
      (value) => {
        result = { value };
      },
      (error: unknown) => {
        result = { error };
      },
    );
    drainMicrotasks();
    while (this.#waiting.length > 0) {
      const next = this.#order === "first" ? this.#waiting.shift() : this.#waiting.pop();
      if (next !== undefined) this.#carryOut(next);
      drainMicrotasks();
    }
    if (result === undefined) throw new Error("waits for ever");
    if ("error" in result) throw result.error;
    return result.value;
  }

  submit(drive: CrashDrive, request: Request | undefined, effect: () => void): Promise<void> {
    if (request !== undefined) {
      this.onRequest?.(drive);
      if (!drive.dead) this.trace.push({ kind: "submitted", request });
    }
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        if (drive.dead) {
          reject(new OperatingError("drive.io", `${drive.path} is gone.`, "Put it back."));
        } else {
          effect();
          resolve();
        }
      };
      this.#waiting.push({ request, settle });
    });
  }

  #carryOut({ request, settle }: Waiting): void {
    if (request !== undefined && !this.drives[request.drive].dead) this.trace.push({ kind: "completed", request });
    settle();
  }
}

export class CrashDrive implements Drive {
  readonly blockSize = BLOCK_BYTES;
  readonly blockCount: number;
  readonly path: string;
  /** Fails everything from then on. */
  dead = false;

  constructor(
    private readonly machine: CrashMachine,
    private readonly index: number,
    readonly pages: Page[],
  ) {
    this.blockCount = pages.length;
    this.path = `/dev/${String.fromCharCode(97 + index)}`;
  }

  die(): void {
    if (this.dead) return;
    this.dead = true;
    this.machine.trace.push({ kind: "died", drive: this.index });
  }

  revive(): void {
    this.dead = false;
  }

  read(lba: Lba, into: Uint8Array): Pending {
    return this.machine.submit(this, undefined, () => {
      for (let at = 0; at < into.length; at += BLOCK_BYTES) into.set(this.pages[lba + at / BLOCK_BYTES].bytes, at);
    });
  }

  write(lba: Lba, from: Uint8Array, options?: WriteOptions): Pending {
    const pages: Page[] = [];
    for (let at = 0; at < from.length; at += BLOCK_BYTES) pages.push(pageOf(from.subarray(at, at + BLOCK_BYTES)));
    return this.#change(lba, pages, options?.fua === true);
  }

  unmap(lba: Lba, blocks: number): Pending {
    return this.#change(lba, new Array<Page>(blocks).fill(ZERO), false);
  }

  flush(): Pending {
    const request: Request = { kind: "flush", drive: this.index, block: 0, pages: [], fua: false };
    return this.machine.submit(this, request, () => {});
  }

  async close(): Promise<void> {}

  #change(lba: Lba, pages: readonly Page[], fua: boolean): Pending {
    const request: Request = { kind: "write", drive: this.index, block: lba, pages, fua };
    return this.machine.submit(this, request, () => {
      for (const [i, page] of pages.entries()) this.pages[lba + i] = page;
    });
  }
}
