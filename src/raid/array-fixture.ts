/** For tests: a machine of simulated drives, with arrays made, cut off and assembled again on them. */

import type { BlockDevice } from "../base/block-device.ts";
import { BLOCK_BYTES, byteCount, lba } from "../base/units.ts";
import type { Drive } from "../platform/drive.ts";
import { MemoryUniverse, type SimulatedDrive, type SimulatedWorld } from "../platform/memory/memory-world.ts";
import type { AssembleOptions } from "./assemble.ts";
import { type ArrayEvent, DiskArray } from "./disk-array.ts";
import type { ArrayLevel } from "./geometry.ts";
import { TAIL_BLOCKS, ZONE_BLOCKS, ZONES_FIRST_BLOCK } from "./member-layout.ts";

export const MACHINE = "site";
export const NAME = "main";
export const GROUP = "prod";

export class ArrayBench {
  readonly universe: MemoryUniverse;
  readonly drives: SimulatedDrive[];
  readonly events: ArrayEvent[] = [];
  readonly level: ArrayLevel;
  readonly chunkBlocks: number;
  array: DiskArray;

  private constructor(universe: MemoryUniverse, drives: SimulatedDrive[], level: ArrayLevel, chunkBlocks: number) {
    this.universe = universe;
    this.drives = drives;
    this.level = level;
    this.chunkBlocks = chunkBlocks;
    this.array = undefined as unknown as DiskArray;
  }

  static bare(members: number, level: ArrayLevel, chunkBlocks = 4, zones = 1, seed: number | string = 1): ArrayBench {
    const universe = new MemoryUniverse(seed);
    const blocks = ZONES_FIRST_BLOCK + zones * ZONE_BLOCKS + TAIL_BLOCKS;
    const drives = Array.from({ length: members }, (_, i) =>
      universe.addDrive(MACHINE, `/dev/${String.fromCharCode(97 + i)}`, blocks * BLOCK_BYTES),
    );
    return new ArrayBench(universe, drives, level, chunkBlocks);
  }

  /** A new array, assembled. */
  static async make(
    members: number,
    level: ArrayLevel,
    chunkBlocks = 4,
    zones = 1,
    seed: number | string = 1,
  ): Promise<ArrayBench> {
    const bench = ArrayBench.bare(members, level, chunkBlocks, zones, seed);
    await bench.create();
    await bench.assemble();
    return bench;
  }

  get world(): SimulatedWorld {
    return this.universe.world(MACHINE);
  }

  run<T>(promise: PromiseLike<T> | T): Promise<T> {
    return this.universe.result(promise);
  }

  open(drives: readonly SimulatedDrive[] = this.drives): Promise<Drive[]> {
    return this.run(Promise.all(drives.map((drive) => this.world.drives.open(drive.path, "read-write"))));
  }

  async create(options: { overwrite?: boolean; name?: string; group?: string } = {}): Promise<void> {
    const drives = await this.open();
    try {
      await this.run(
        DiskArray.create(this.world, drives, {
          name: NAME,
          group: GROUP,
          level: this.level,
          chunkBytes: byteCount(this.chunkBlocks * BLOCK_BYTES),
          ...options,
        }),
      );
    } finally {
      await this.closeDrives(drives);
    }
  }

  closeDrives(drives: readonly Drive[]): Promise<unknown> {
    return this.run(Promise.all(drives.map((drive) => drive.close())));
  }

  /** Assembles from these drives, which are not open, in this order. */
  async assemble(
    drives: readonly SimulatedDrive[] = this.drives,
    options: Partial<AssembleOptions> = {},
  ): Promise<DiskArray> {
    const open = await this.open(drives);
    try {
      this.array = await this.run(
        DiskArray.assemble(this.world, open, {
          name: NAME,
          group: GROUP,
          checksumCacheBytes: 64 * BLOCK_BYTES,
          onEvent: (event) => this.events.push(event),
          ...options,
        }),
      );
    } catch (error) {
      await this.closeDrives(open);
      throw error;
    }
    return this.array;
  }

  /** Closes the array, and the process with it. */
  async stop(): Promise<void> {
    await this.run(this.array.close());
    this.machine.kill();
    this.machine.restart();
  }

  /** Cuts the power, if it is not cut yet, and starts again. */
  crash(): void {
    if (this.machine.powered) this.machine.crash();
    this.machine.restart();
  }

  get machine() {
    return this.universe.machine(MACHINE);
  }

  volume(name = "v"): BlockDevice {
    const device = this.array.volume(name);
    if (device === undefined) throw new Error(`no volume ${name}`);
    return device;
  }

  async read(at: number, count: number, volume = this.volume()): Promise<Uint8Array> {
    const into = new Uint8Array(count * BLOCK_BYTES).fill(0xee);
    await this.run(volume.read(lba(at), into));
    return into;
  }

  write(at: number, data: Uint8Array, volume = this.volume()): Promise<void> {
    return this.run(volume.write(lba(at), data) ?? Promise.resolve());
  }

  flush(): Promise<void> {
    return this.run(this.volume().flush() ?? Promise.resolve());
  }

  /** Lets what goes on behind finished requests come to its end. */
  settle(): Promise<void> {
    return this.universe.advance(100);
  }

  /** Requests that the drives carried out since the last call. */
  countsSince(before: readonly { read: number; write: number }[]): { read: number; write: number } {
    let read = 0;
    let write = 0;
    for (const [i, drive] of this.drives.entries()) {
      read += drive.counts.read - before[i].read;
      write += drive.counts.write - before[i].write;
    }
    return { read, write };
  }

  counts(): { read: number; write: number }[] {
    return this.drives.map((drive) => ({ read: drive.counts.read, write: drive.counts.write }));
  }
}

/** Blocks each of whose words says which write it is from and which block it is. */
export function stamped(at: number, count: number, stamp: number): Uint8Array {
  const words = new Uint32Array((count * BLOCK_BYTES) / 4);
  for (let i = 0; i < words.length; i++) {
    const block = at + Math.floor((i * 4) / BLOCK_BYTES);
    words[i] = (Math.imul(stamp, 0x9e3779b1) ^ Math.imul(block + 1, 0x85ebca6b) ^ (i % (BLOCK_BYTES / 4))) >>> 0;
  }
  return new Uint8Array(words.buffer);
}

/** What a volume should hold: the stamp of each block's last write; blocks without one are zeros. */
export class Model {
  readonly stamps = new Map<number, number>();

  write(at: number, count: number, stamp: number): void {
    for (let block = at; block < at + count; block++) this.stamps.set(block, stamp);
  }

  unmap(at: number, count: number): void {
    for (let block = at; block < at + count; block++) this.stamps.delete(block);
  }

  block(at: number): Uint8Array {
    const stamp = this.stamps.get(at);
    return stamp === undefined ? new Uint8Array(BLOCK_BYTES) : stamped(at, 1, stamp);
  }

  /** @returns the first block that is not as it should be, or -1 */
  firstDifference(at: number, data: Uint8Array): number {
    for (let i = 0; i < data.length / BLOCK_BYTES; i++) {
      const is = data.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES);
      if (Buffer.compare(is, this.block(at + i)) !== 0) return at + i;
    }
    return -1;
  }
}
