/**
 * The order in which host writes enter the consistency group: strictly first come, first served.
 *
 * A write that covers 4 KiB blocks only in part is completed from their newest content when its turn comes, so no
 * write that came before can be missing from it, and none that came after can slip in between.
 */

import { assert } from "../base/assert.ts";
import type { Pending } from "../base/block-device.ts";
import { BLOCK_BYTES, type Lba, lba, type Sequence, type VolumeId } from "../base/units.ts";

/**
 * A host's write or unmap, in bytes of its volume. An unmap covers whole 4 KiB blocks.
 * A rewrite gives one block its newest content again, for a site that can't read it.
 */
export interface HostWrite {
  readonly kind: "write" | "unmap" | "rewrite";
  readonly volume: VolumeId;
  readonly offset: number;
  readonly length: number;
  /** The content of a write; else empty. */
  readonly data: Uint8Array;
}

/** Whole blocks, as the pipeline takes them. */
export interface AdmittedWrite {
  readonly kind: "write" | "unmap";
  readonly volume: VolumeId;
  readonly lba: Lba;
  readonly blocks: number;
  readonly data: Uint8Array;
}

export interface AdmissionGate {
  /** Whether this many blocks of data can be taken now. */
  hasRoom(dataBlocks: number): boolean;
  /** Gives the write its place in the order. @returns its sequence */
  admit(write: AdmittedWrite): Sequence;
  /** The newest content of whole blocks, admitted writes included. */
  readNewest(volume: VolumeId, lba: Lba, into: Uint8Array): Pending;
  /** Resolves once the write with this sequence may be acknowledged to the host. */
  acknowledged(at: Sequence): Promise<void>;
}

interface Waiting {
  readonly write: HostWrite;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (acknowledged: Promise<void>) => void;
  readonly reject: (error: unknown) => void;
}

/** The queue's front moves; the array behind it is cut when this many entries before it are spent. */
const SPENT_MAX = 1024;

export class Admission {
  readonly #gate: AdmissionGate;
  readonly #queue: Waiting[] = [];
  #front = 0;
  /** The write that is being completed, until it has entered the order. */
  #merging: Promise<void> | undefined;
  /** Tells it that there may be room. */
  #onRoom: () => void = () => {};
  #pauses = 0;
  #stopped: Error | undefined;

  constructor(gate: AdmissionGate) {
    this.#gate = gate;
  }

  /** Host writes that have not entered the order yet. Bounded by the commands that the target lets hosts have. */
  get waiting(): number {
    return this.#queue.length - this.#front;
  }

  /** Resolves when the write is acknowledged; rejects if it is aborted or admission stops before it entered the order. */
  submit(write: HostWrite, signal?: AbortSignal): Promise<void> {
    if (this.waiting === 0 && this.#isOpen() && isWhole(write) && this.#gate.hasRoom(dataBlocksOf(write))) {
      return this.#gate.acknowledged(this.#admit(write));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ write, signal, resolve, reject });
      this.resume();
    });
  }

  /** Lets nothing enter until `unpause`, once for each time. Resolves when a write that was on its way has entered. */
  async pause(): Promise<void> {
    this.#pauses++;
    await this.#merging;
  }

  unpause(): void {
    this.#pauses--;
    this.resume();
  }

  /** Tries again: there may be room now. */
  resume(): void {
    this.#onRoom();
    if (this.#stopped !== undefined) {
      this.stop(this.#stopped);
      return;
    }
    while (this.waiting > 0 && this.#isOpen()) {
      const { write, signal, resolve, reject } = this.#queue[this.#front];
      if (signal?.aborted) {
        this.#shift();
        reject(signal.reason);
      } else if (!this.#gate.hasRoom(dataBlocksOf(write))) {
        return;
      } else if (isWhole(write)) {
        this.#shift();
        resolve(this.#gate.acknowledged(this.#admit(write)));
      } else {
        const waiting = this.#shift();
        this.#merging = this.#merge(waiting).finally(() => {
          this.#merging = undefined;
          this.resume();
        });
      }
    }
  }

  /** Rejects all that wait and all that come: none of them enters the order. */
  stop(error: Error): void {
    this.#stopped = error;
    this.#onRoom();
    while (this.waiting > 0) this.#shift().reject(error);
  }

  #isOpen(): boolean {
    return this.#merging === undefined && this.#pauses === 0 && this.#stopped === undefined;
  }

  #shift(): Waiting {
    const waiting = this.#queue[this.#front++];
    if (this.#front === this.#queue.length || this.#front === SPENT_MAX) {
      this.#queue.splice(0, this.#front);
      this.#front = 0;
    }
    return waiting;
  }

  #admit(write: WholeWrite): Sequence {
    return this.#gate.admit({
      kind: write.kind,
      volume: write.volume,
      lba: lba(write.offset / BLOCK_BYTES),
      blocks: write.length / BLOCK_BYTES,
      data: write.data,
    });
  }

  /** Completes the write's first and last block from their newest content, then admits it. Nothing overtakes it. */
  async #merge({ write, resolve, reject }: Waiting): Promise<void> {
    assert(write.kind !== "unmap", "an unmap covers whole blocks");
    try {
      const first = Math.floor(write.offset / BLOCK_BYTES);
      const blocks = dataBlocksOf(write);
      const data = new Uint8Array(blocks * BLOCK_BYTES);
      await this.#gate.readNewest(write.volume, lba(first), data.subarray(0, BLOCK_BYTES));
      if (blocks > 1) {
        const last = blocks - 1;
        await this.#gate.readNewest(write.volume, lba(first + last), data.subarray(last * BLOCK_BYTES));
      }
      data.set(write.data, write.offset - first * BLOCK_BYTES);
      // The batch that had room for it may be closed by now, and the next one needs a header.
      while (this.#stopped === undefined && !this.#gate.hasRoom(blocks)) await this.#roomOffered();
      if (this.#stopped !== undefined) return reject(this.#stopped);
      const sequence = this.#gate.admit({ kind: "write", volume: write.volume, lba: lba(first), blocks, data });
      resolve(this.#gate.acknowledged(sequence));
    } catch (error) {
      reject(error);
    }
  }

  #roomOffered(): Promise<void> {
    return new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }
}

type WholeWrite = HostWrite & { readonly kind: "write" | "unmap" };

/** Whether the write brings all of its blocks with it. */
function isWhole(write: HostWrite): write is WholeWrite {
  return write.kind !== "rewrite" && write.offset % BLOCK_BYTES === 0 && write.length % BLOCK_BYTES === 0;
}

/** Blocks of data that the write brings into the journal. */
function dataBlocksOf(write: HostWrite): number {
  if (write.kind === "unmap") return 0;
  return Math.ceil((write.offset + write.length) / BLOCK_BYTES) - Math.floor(write.offset / BLOCK_BYTES);
}
