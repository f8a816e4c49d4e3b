/** The hosts of a run: how many, how busy, and what they have in common to remember. */

import { BLOCK_BYTES } from "../../src/base/units.ts";
import { Host } from "./hosts/host.ts";
import { Registers } from "./hosts/registers.ts";
import { IQN, ISCSI_PORT, type SimulatedSystem } from "./system.ts";

/** Blocks of 4 KiB of the LUN that hosts use at the least: few, so that they meet. */
const HOST_BLOCKS = 96;
/** More than a site's read cache holds. */
const HOST_BLOCKS_MANY = 600;
export interface LoadOptions {
  readonly hosts: number;
  /** Commands that a host has outstanding at the most. */
  readonly depth: number;
  /** Whether hosts move much data, over more blocks than a site's read cache holds. */
  readonly isBulk?: boolean;
  /** Whether hosts do little, so that much time costs little. */
  readonly isLight?: boolean;
  /** Whether hosts may be told that data or hardware is lost. */
  readonly mayLose?: boolean;
  readonly onViolation: (what: string) => void;
}

/** Share of the commands that are large. */
const LARGE = 0.04;
const LARGE_BULK = 0.4;

export class Load {
  readonly hosts: readonly Host[];
  readonly registers: Registers;
  /** Bytes of a logical block, and how many blocks of 4 KiB hosts use. */
  readonly blockSize: number;
  readonly blocks: number;
  /** Rows of a site's array that hold the blocks which hosts use. */
  readonly rows: number;

  constructor(system: SimulatedSystem, options: LoadOptions) {
    const { universe, topology } = system;
    const random = universe.random.fork("load");
    const blockSize = topology.blockSize ?? 512;
    this.blockSize = blockSize;
    const many = options.isBulk === true ? 1 : options.isLight === true ? 0 : 0.2;
    this.blocks = random.chance(many) ? HOST_BLOCKS_MANY : HOST_BLOCKS;
    const blocks = (this.blocks * BLOCK_BYTES) / blockSize;
    const { stripeBlocks, chunkBlocks } = system.geometry;
    this.rows = Math.ceil(this.blocks / stripeBlocks) * chunkBlocks;
    this.registers = new Registers({ blockSize, first: 0, blocks, onWrong: options.onViolation });
    this.hosts = Array.from({ length: options.hosts }, (_, at) => {
      return new Host(universe, {
        name: `host-${at + 1}`,
        portals: system.primaries.map((host) => ({ host, port: ISCSI_PORT })),
        target: IQN,
        lun: 0,
        blockSize,
        first: 0,
        blocks,
        large: options.isBulk === true ? LARGE_BULK : LARGE,
        depth: 1 + random.below(options.depth),
        pause: random.pick(options.isLight === true ? [1000, 2000] : [20, 50, 200]),
        digests: random.chance(0.6),
        commandTimeout: random.pick([3000, 10_000, 30_000]),
        mayLose: options.mayLose ?? false,
        registers: this.registers,
        onViolation: options.onViolation,
      });
    });
  }

  get writes(): number {
    return this.hosts.reduce((sum, { counters }) => sum + counters.acknowledged, 0);
  }

  get reads(): number {
    return this.hosts.reduce((sum, { counters }) => sum + counters.reads, 0);
  }

  begin(): void {
    for (const host of this.hosts) host.start();
  }

  // Both last as long as the universe runs.

  /** Every host ends what it has begun. */
  async end(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.stop()));
  }

  /** Every block once more, as a host sees it. */
  readAll(until?: "read" | "answered"): Promise<void> {
    return this.hosts[0].readAll(until);
  }
}
