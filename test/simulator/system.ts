/**
 * A whole system of real sites in one simulated world: a primary with its legs, each site a machine of its own.
 * Hosts write through the primary's volumes; tests cut power, kill, and look at what every site has stored.
 */

import { BLOCK_BYTES, lba, MiB, millis } from "../../src/base/units.ts";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { MirroredVolume } from "../../src/mirror/mirrored-volume.ts";
import { type VolumeVerdict, verifyVolume } from "../../src/mirror/verify.ts";
import { MemoryUniverse } from "../../src/platform/memory/memory-world.ts";
import { Site } from "../../src/site/site.ts";

export const VOLUME_BYTES = 4 * MiB;
const DRIVE_BYTES = 16 * MiB;
const JOURNAL_BYTES = 16 * MiB;
/** Virtual time in which a system must come up, settle, or say why not. */
export const DEADLINE = millis(120_000);

export interface Topology {
  /** Each leg by its sites; a site named `…*` stores nothing. */
  readonly legs: readonly (readonly string[])[];
  readonly acknowledge?: "hop" | "end";
  /** The primary stores nothing. */
  readonly diskless?: boolean;
}

export const FULL: Topology = { legs: [["boulder"], ["pueblo"], ["relay-east*", "relay-far", "boston"]] };

const PRIMARY = "denver";

export class SimulatedSystem {
  readonly universe: MemoryUniverse;
  readonly sites = new Map<string, Site>();
  readonly #topology: Topology;
  readonly #legs: readonly (readonly string[])[];

  constructor(seed: number, topology: Topology = FULL) {
    this.universe = new MemoryUniverse(seed);
    this.#topology = topology;
    this.#legs = topology.legs.map((leg) => leg.map(nameOf));
    for (const name of this.names) {
      this.universe.addDrive(name, "/journal", JOURNAL_BYTES);
      for (let slot = 0; slot < 3; slot++) this.universe.addDrive(name, `/drive-${slot}`, DRIVE_BYTES);
    }
  }

  get names(): readonly string[] {
    return [PRIMARY, ...this.#legs.flat()];
  }

  get primary(): Site {
    return this.site(PRIMARY);
  }

  site(name: string): Site {
    const site = this.sites.get(name);
    if (site === undefined) throw new Error(`site ${name} is not up`);
    return site;
  }

  /** The controller of the primary. */
  get controller() {
    const { feed } = this.primary;
    if (feed.kind !== "hosts") throw new Error("the primary is fed by hosts");
    return feed.controller;
  }

  /** LUN 0 as a host sees it. */
  volume(blockSize: 512 | 4096 = 4096): MirroredVolume {
    const config = this.primary.config.volumes.lun0;
    return new MirroredVolume(this.controller, config.id, config.size, blockSize);
  }

  /** LUN 0 as a host sees it, while the primary is up and serves. */
  served(): MirroredVolume | undefined {
    if (!this.sites.has(PRIMARY) || this.controller.state.kind !== "serving") return undefined;
    return this.volume();
  }

  /** Starts every site and waits until the primary serves. */
  async start(): Promise<void> {
    for (const name of this.names) await this.boot(name);
    await this.serving();
  }

  /** Starts one site, on a machine that runs or is down. The primary begins to take its epoch. */
  async boot(name: string): Promise<Site> {
    const site = await this.universe.result(this.open(name), { deadline: DEADLINE });
    if (name === PRIMARY) this.controller.start().catch(() => {});
    return site;
  }

  /** As `boot`, for use while the universe runs: opens the site, and starts nothing more. */
  async open(name: string): Promise<Site> {
    const machine = this.universe.machine(name);
    const world = machine.state === "running" ? machine.world : machine.restart();
    const site = await Site.open(world, this.#config(name));
    this.sites.set(name, site);
    return site;
  }

  async serving(): Promise<void> {
    await this.universe.run(() => this.controller.state.kind === "serving", { deadline: DEADLINE });
  }

  crash(name: string): void {
    this.universe.machine(name).crash();
    this.sites.delete(name);
  }

  kill(name: string): void {
    this.universe.machine(name).kill();
    this.sites.delete(name);
  }

  /** Waits until every site has stored and retired everything, to the end of every leg. */
  async settle(): Promise<void> {
    const isSettled = () => {
      const last = this.primary.pipeline.appended;
      return Array.from(this.sites.values()).every(
        ({ pipeline, storage }) => pipeline.appended === last && storage.journal.retired === last,
      );
    };
    await this.universe.run(isSettled, { deadline: DEADLINE });
  }

  /** What the site has stored of LUN 0: array and journal, past its read cache. */
  async stored(name: string): Promise<Uint8Array> {
    const site = this.site(name);
    const volume = site.config.volumes.lun0;
    const content = site.world.memory.allocate(VOLUME_BYTES);
    await this.universe.result(site.pipeline.readStored(volume.id, lba(0), content), { deadline: DEADLINE });
    return content;
  }

  async verify(): Promise<VolumeVerdict> {
    const { id, name, size } = this.primary.config.volumes.lun0;
    const volume = { id, name, blocks: size / BLOCK_BYTES };
    const stores = this.primary.storage.volumes.size > 0;
    const verdict = verifyVolume(this.primary.world, PRIMARY, stores, this.controller, volume, () => {});
    return this.universe.result(verdict, { deadline: DEADLINE });
  }

  #config(name: string): Config {
    return parseConfig(JSON.stringify(this.#sections(name)), `/${name}.yaml`);
  }

  #sections(name: string): Record<string, unknown> {
    const common = {
      site: { name },
      group: "prod",
      journal: { device: "/journal", window: "4MiB", cache: "1MiB" },
      control: { socket: `/run/${name}.sock` },
      ...this.#storage(name),
    };
    if (name === PRIMARY) {
      return {
        ...common,
        role: "primary",
        target: { iqn: "iqn.2026-11.dev.antipode:prod", listen: ["denver:3260"] },
        sites: addresses(this.#legs.flat()),
        mirror: { legs: this.#legs },
      };
    }
    const leg = this.#legs.find((sites) => sites.includes(name)) ?? [];
    const place = leg.indexOf(name);
    const from = place === 0 ? PRIMARY : leg[place - 1];
    const link = { listen: `${name}:7400`, from: [from] };
    if (place === leg.length - 1) return { ...common, role: "mirror", sites: addresses([from]), link };
    const next = leg[place + 1];
    const relay = { forward: [next], acknowledge: this.#topology.acknowledge ?? "hop" };
    return { ...common, role: "relay", sites: addresses([from, next]), link, relay };
  }

  #storage(name: string): Record<string, unknown> {
    const volume = { size: `${VOLUME_BYTES / MiB}MiB`, lun: 0 };
    const isDiskless =
      name === PRIMARY ? this.#topology.diskless === true : this.#topology.legs.flat().includes(`${name}*`);
    if (isDiskless) return { volumes: { lun0: volume } };
    return {
      drives: ["/drive-0", "/drive-1", "/drive-2"],
      arrays: { main: { level: 5, drives: [0, 1, 2], chunk: "16KiB" } },
      volumes: { lun0: { ...volume, array: "main" } },
    };
  }
}

function nameOf(site: string): string {
  return site.replace("*", "");
}

function addresses(names: readonly string[]): Record<string, { address: string }> {
  return Object.fromEntries(names.map((name) => [name, { address: `${name}:7400` }]));
}

/** A block that says which write it is of: one number, all over it. */
export function stamped(stamp: number, blocks = 1): Uint8Array {
  const bytes = new Uint8Array(blocks * BLOCK_BYTES);
  new Uint32Array(bytes.buffer).fill(stamp);
  return bytes;
}

/** The stamp of a block; throws where the block is a mix of two. */
export function stampOf(content: Uint8Array, block: number): number {
  const words = new Uint32Array(content.buffer, content.byteOffset + block * BLOCK_BYTES, BLOCK_BYTES / 4);
  if (words.some((word) => word !== words[0])) throw new Error(`block ${block} is a mix: ${words[0]} and others`);
  return words[0];
}
