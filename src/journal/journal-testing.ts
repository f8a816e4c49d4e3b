/** What the journal's tests share: requests with recognisable data, and a journal on a simulated drive. */

import type { DataWriteRequest } from "../base/data-write-request.ts";
import { isOperatingError, type OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, epoch, lba, MiB, sequence, volumeId } from "../base/units.ts";
import type { Drive } from "../platform/drive.ts";
import { MemoryUniverse, type SimulatedDrive, type SimulatedWorld } from "../platform/memory/memory-world.ts";
import { plainArithmetic } from "../platform/plain-arithmetic.ts";
import { Journal, WINDOW_BYTES_MIN } from "./journal.ts";
import { type JournalOwner, RING_START_BYTES } from "./superblock.ts";

export const GROUP = "prod";
/** Whose the journals of tests are. */
export const OWNER = { group: GROUP, site: "denver" } as const;
const PATH = "/dev/journal";
const SITE = "denver";

/** Content that only this block of this request has. */
export function content(stamp: number, blocks: number): Uint8Array {
  const words = new Uint32Array((blocks * BLOCK_BYTES) / 4);
  const blockWords = BLOCK_BYTES / 4;
  for (let block = 0; block < blocks; block++) {
    words.fill(Math.imul(stamp, 0x01000193) ^ block, block * blockWords, (block + 1) * blockWords);
    words[block * blockWords] = stamp;
    words[block * blockWords + 1] = block;
  }
  return new Uint8Array(words.buffer);
}

/** Whether two buffers hold the same; a matcher that compares byte by byte takes seconds for a megabyte. */
export function same(one: Uint8Array | undefined, other: Uint8Array): boolean {
  return one !== undefined && Buffer.compare(one, other) === 0;
}

export interface RequestShape {
  readonly epoch?: number;
  readonly volume?: number;
  readonly lba?: number;
  readonly blocks?: number;
  /** What its content is made from; the sequence unless told otherwise. */
  readonly stamp?: number;
}

export function writeRequest(of: number, shape: RequestShape = {}): DataWriteRequest {
  const blocks = shape.blocks ?? 1;
  const data = content(shape.stamp ?? of, blocks);
  const checksums = new Uint32Array(blocks);
  plainArithmetic.crc32cBlocks(data, checksums);
  return {
    kind: "write",
    epoch: epoch(shape.epoch ?? 1),
    sequence: sequence(of),
    volume: volumeId(shape.volume ?? 0),
    lba: lba(shape.lba ?? of),
    blocks,
    checksums,
    data,
  };
}

export function bareRequest(kind: "unmap" | "epoch-start", of: number, shape: RequestShape = {}): DataWriteRequest {
  return {
    kind,
    epoch: epoch(shape.epoch ?? 1),
    sequence: sequence(of),
    volume: volumeId(shape.volume ?? 0),
    lba: lba(shape.lba ?? 0),
    blocks: kind === "unmap" ? (shape.blocks ?? 1) : 0,
    checksums: new Uint32Array(0),
    data: new Uint8Array(0),
  };
}

/** One site with one journal drive in a universe of its own. */
export class Bench {
  readonly universe: MemoryUniverse;
  readonly drive: SimulatedDrive;

  constructor(seed: number | string, ringBytes = 4 * MiB) {
    this.universe = new MemoryUniverse(seed);
    this.drive = this.universe.addDrive(SITE, PATH, ringBytes + RING_START_BYTES);
  }

  get world(): SimulatedWorld {
    return this.universe.world(SITE);
  }

  get machine() {
    return this.universe.machine(SITE);
  }

  handle(access: "read-write" | "read-only" = "read-write"): Promise<Drive> {
    return this.universe.result(this.world.drives.open(PATH, access));
  }

  async format(options: { overwrite?: boolean } = {}): Promise<void> {
    const drive = await this.handle();
    try {
      await this.universe.result(Journal.format(this.world, drive, { ...OWNER, ...options }));
    } finally {
      await this.universe.result(drive.close());
    }
  }

  /** Opens the journal in the process that runs. */
  async open(windowBytes = WINDOW_BYTES_MIN): Promise<Journal> {
    return this.universe.result(Journal.open(this.world, await this.handle(), { ...OWNER, windowBytes }));
  }

  /** Opens it and expects that it is refused. */
  async refused(owner: JournalOwner = OWNER): Promise<OperatingError> {
    const drive = await this.handle();
    try {
      await this.universe.result(Journal.open(this.world, drive, { ...owner, windowBytes: WINDOW_BYTES_MIN }));
    } catch (error) {
      if (isOperatingError(error)) return error;
      throw error;
    } finally {
      await this.universe.result(drive.close());
    }
    throw new Error("the journal was opened");
  }

  async formatted(windowBytes?: number): Promise<Journal> {
    await this.format();
    return this.open(windowBytes);
  }

  /** Cuts the power and starts again. */
  restart(): void {
    this.machine.crash();
    this.machine.restart();
  }

  /** Waits until all that was appended is durable. */
  durable(journal: Journal): Promise<void> {
    return this.universe.run(() => journal.durable === journal.appended || journal.failure !== undefined);
  }

  /** The data of a live write, as the journal reads it. */
  async data(journal: Pick<Journal, "readData" | "head">, of: number): Promise<Uint8Array> {
    const blocks = journal.head(sequence(of))?.blocks ?? 0;
    const into = new Uint8Array(blocks * BLOCK_BYTES);
    await this.universe.result(journal.readData(sequence(of), 0, blocks, into));
    return into;
  }
}
