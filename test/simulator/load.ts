/** The hosts of a run: how many, how busy, and what they have in common to remember. */

import { BLOCK_BYTES, millis } from "../../src/base/units.ts";
import { Host } from "./hosts/host.ts";
import { Registers } from "./hosts/registers.ts";
import { IQN, ISCSI_PORT, type SimulatedSystem } from "./system.ts";

/** Blocks of 4 KiB of the LUN that hosts use at the least: few, so that they meet. */
export const HOST_BLOCKS = 96;
/** More than a site's read cache holds. */
const HOST_BLOCKS_MANY = 600;
/** Virtual milliseconds that hosts have to end their commands, and to read everything. */
const END_DEADLINE = millis(120_000);

export interface LoadOptions {
  readonly hosts: number;
  /** Commands that a host has outstanding at the most. */
  readonly depth: number;
  /** Whether hosts move much data, over more blocks than a site's read cache holds. */
  readonly isBulk?: boolean;
  readonly onViolation: (what: string) => void;
}

/** Share of the commands that are large. */
const LARGE = 0.04;
const LARGE_BULK = 0.4;

export class Load {
  readonly hosts: readonly Host[];
  readonly registers: Registers;
  readonly #system: SimulatedSystem;

  constructor(system: SimulatedSystem, options: LoadOptions) {
    this.#system = system;
    const { universe, topology } = system;
    const random = universe.random.fork("load");
    const blockSize = topology.blockSize ?? 512;
    const blocks =
      ((random.chance(options.isBulk === true ? 1 : 0.2) ? HOST_BLOCKS_MANY : HOST_BLOCKS) * BLOCK_BYTES) / blockSize;
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
        pause: random.pick([20, 50, 200]),
        digests: random.chance(0.6),
        commandTimeout: random.pick([3000, 10_000, 30_000]),
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

  /** Lets every host end what it has begun. */
  async end(): Promise<void> {
    await this.#system.universe.result(Promise.all(this.hosts.map((host) => host.stop())), { deadline: END_DEADLINE });
  }

  /** Every block once more, as a host sees it. */
  async readAll(): Promise<void> {
    await this.#system.universe.result(this.hosts[0].readAll(), { deadline: END_DEADLINE });
  }
}
