/**
 * A whole system of real sites in one simulated world: a primary with its legs, each site a machine of its own.
 * Tests cut power, kill, and look at what every site has stored.
 */

import { BLOCK_BYTES, lba, MiB, millis } from "../../src/base/units.ts";
import { type Config, parseConfig } from "../../src/config/config.ts";
import { MirroredVolume } from "../../src/mirror/mirrored-volume.ts";
import { Survey } from "../../src/mirror/survey.ts";
import { type VolumeVerdict, verifyVolume } from "../../src/mirror/verify.ts";
import { type DriveSettings, MemoryUniverse } from "../../src/platform/memory/memory-world.ts";
import { type ArrayLevel, type Geometry, geometryOf } from "../../src/raid/geometry.ts";
import { type CommandResult, runCommand } from "../../src/site/commands.ts";
import { Site } from "../../src/site/site.ts";

export const VOLUME_BYTES = 4 * MiB;
const DRIVE_BYTES = 16 * MiB;
const JOURNAL_BYTES = 16 * MiB;
/** Virtual time in which a system must come up, settle, or say why not. */
export const DEADLINE = millis(120_000);

export const IQN = "iqn.2026-11.dev.antipode:prod";
export const ISCSI_PORT = 3260;
const LINK_PORT = 7400;

/** How a system is laid out, and how its sites are configured. */
export interface Topology {
  /** Each leg by its sites; a site named `…*` stores nothing. */
  readonly legs: readonly (readonly string[])[];
  readonly acknowledge?: "hop" | "end";
  /** The primary stores nothing. */
  readonly diskless?: boolean;
  /** The array of every site that stores; level 5 on three drives unless told otherwise. */
  readonly array?: { readonly level: ArrayLevel; readonly drives: number; readonly chunk: `${number}KiB` };
  /** Bytes of a logical block of the LUN; 512 unless told otherwise. */
  readonly blockSize?: 512 | 4096;
  /** How large the journal's drives are, 16 MiB unless told otherwise, and how they are. */
  readonly journalBytes?: number;
  readonly journalDrive?: Partial<DriveSettings>;
  /** Of every link; as the product has it unless told otherwise. */
  readonly timings?: { readonly heartbeat: string; readonly silence: string };
  /** The timeout of every site's watchdog, such as `10s`; without it none has one. */
  readonly watchdog?: string;
  /** Another site with the role of the primary, which feeds the same legs. It is not booted by `start`. */
  readonly rival?: string;
}

export const FULL: Topology = { legs: [["boulder"], ["pueblo"], ["relay-east*", "relay-far", "boston"]] };

const ARRAY: NonNullable<Topology["array"]> = { level: 5, drives: 3, chunk: "16KiB" };

export const PRIMARY = "denver";
/** Where every machine has its watchdog. */
export const WATCHDOG = "/dev/watchdog";
/** What a mirror site is called that has the role of the backup. */
const BACKUP = "springs";

export class SimulatedSystem {
  readonly universe: MemoryUniverse;
  /** The sites that are up. */
  readonly sites = new Map<string, Site>();
  readonly topology: Topology;
  /** Called when a watchdog has reset the machine of a site, which is down then. */
  onReset: (name: string) => void = () => {};
  readonly #legs: readonly (readonly string[])[];
  /** What a restart with another configuration changes, by site and section. */
  readonly #changes = new Map<string, Record<string, Record<string, unknown>>>();
  /** Sites that have come up before. */
  readonly #setUp = new Set<string>();

  constructor(seed: number | string | MemoryUniverse, topology: Topology = FULL) {
    this.universe = seed instanceof MemoryUniverse ? seed : new MemoryUniverse(seed);
    this.topology = topology;
    this.#legs = topology.legs.map((leg) => leg.map(nameOf));
    for (const name of this.names) {
      this.universe.addDrive(name, "/journal", topology.journalBytes ?? JOURNAL_BYTES, topology.journalDrive);
      for (const path of this.drivesOf(name)) this.universe.addDrive(name, path, DRIVE_BYTES);
      if (topology.watchdog !== undefined) this.#addWatchdog(name);
    }
  }

  #addWatchdog(name: string): void {
    const machine = this.universe.machine(name);
    machine.addWatchdog(WATCHDOG);
    machine.onReset = () => {
      this.sites.delete(name);
      this.onReset(name);
    };
  }

  get names(): readonly string[] {
    return [...this.primaries, ...this.#legs.flat()];
  }

  get primaries(): readonly string[] {
    return this.topology.rival === undefined ? [PRIMARY] : [PRIMARY, this.topology.rival];
  }

  get primary(): Site {
    return this.site(PRIMARY);
  }

  site(name: string): Site {
    const site = this.sites.get(name);
    if (site === undefined) throw new Error(`site ${name} is not up`);
    return site;
  }

  /** The paths of a site's array drives; none where it stores nothing. */
  drivesOf(name: string): readonly string[] {
    if (!this.#stores(name)) return [];
    return Array.from({ length: (this.topology.array ?? ARRAY).drives }, (_, slot) => `/drive-${slot}`);
  }

  /** Of every site's array. */
  get geometry(): Geometry {
    const { level, drives, chunk } = this.topology.array ?? ARRAY;
    return geometryOf(level, drives, (Number.parseInt(chunk, 10) * 1024) / BLOCK_BYTES);
  }

  /** The sites further along the leg of a relay point. */
  behind(name: string): readonly string[] {
    const leg = this.#legs.find((sites) => sites.includes(name)) ?? [];
    return leg.slice(leg.indexOf(name) + 1);
  }

  /** The controller of the primary. */
  get controller() {
    return controllerOf(this.primary);
  }

  /** LUN 0 as a host sees it. */
  volume(blockSize: 512 | 4096 = 4096): MirroredVolume {
    const config = this.primary.config.volumes.lun0;
    return new MirroredVolume(this.controller, config.id, config.size, blockSize);
  }

  /** The site that serves hosts now, if one does. */
  get server(): Site | undefined {
    for (const name of this.primaries) {
      const site = this.sites.get(name);
      if (site !== undefined && controllerOf(site).state.kind === "serving") return site;
    }
    return undefined;
  }

  /** Starts every site and waits until the primary serves. */
  async start(): Promise<void> {
    for (const name of this.names) if (name !== this.topology.rival) await this.boot(name);
    await this.serving();
  }

  /** Starts one site, on a machine that runs or is down. The primary begins to take its epoch, and then serves. */
  async boot(name: string): Promise<Site> {
    const site = await this.universe.result(this.open(name), { deadline: DEADLINE });
    if (name === PRIMARY) site.serve().catch(() => {});
    return site;
  }

  /** As `boot`, for use while the universe runs: opens the site, and starts nothing more. */
  async open(name: string): Promise<Site> {
    const machine = this.universe.machine(name);
    const world = machine.state === "running" ? machine.world : machine.restart();
    // Only an operator can tell that a site without drives is new.
    const overwrite = !this.#stores(name) && !this.#setUp.has(name);
    const site = await Site.open(world, this.config(name), { overwrite });
    this.#setUp.add(name);
    this.sites.set(name, site);
    return site;
  }

  /** Waits until the primary serves. */
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

  /** Whether every site has stored and retired everything, to the end of every leg. */
  get isSettled(): boolean {
    const last = this.server?.pipeline.appended;
    return Array.from(this.sites.values()).every(
      ({ pipeline, storage }) => pipeline.appended === last && storage.journal.retired === last,
    );
  }

  async settle(): Promise<void> {
    await this.universe.run(() => this.isSettled, { deadline: DEADLINE });
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
    const site = this.server ?? this.primary;
    const { id, name, size } = site.config.volumes.lun0;
    const volume = { id, name, blocks: size / BLOCK_BYTES };
    const survey = new Survey(site.world, site.config.site.name, site.storage.volumes.size > 0, controllerOf(site));
    const verdict = verifyVolume(survey, volume, () => {}).finally(() => survey.close());
    return this.universe.result(verdict, { deadline: DEADLINE });
  }

  /** Writes again what a site can't read, as an operator has it done. */
  repair(): Promise<CommandResult> {
    return this.universe.result(
      runCommand(this.server ?? this.primary, ["repair"], () => {}),
      { deadline: DEADLINE },
    );
  }

  /** From its next start on the site has these keys of a section in place of what it had. */
  reconfigure(name: string, section: string, keys: Record<string, unknown>): void {
    const changes = this.#changes.get(name) ?? {};
    this.#changes.set(name, { ...changes, [section]: { ...changes[section], ...keys } });
  }

  config(name: string): Config {
    return parseConfig(JSON.stringify(this.sections(name)), `/${name}.yaml`);
  }

  /** The configuration of a site as its file has it. */
  sections(name: string): Record<string, unknown> {
    const sections: Record<string, unknown> = { ...this.#common(name), ...this.#role(name) };
    for (const [section, keys] of Object.entries(this.#changes.get(name) ?? {})) {
      sections[section] = { ...Object(sections[section]), ...keys };
    }
    return sections;
  }

  #common(name: string): Record<string, unknown> {
    return {
      site: { name },
      group: "prod",
      journal: { device: "/journal", window: "4MiB", cache: "1MiB", ...this.#battery },
      control: { socket: `/run/${name}.sock` },
      ...(this.topology.watchdog === undefined
        ? {}
        : { watchdog: { device: WATCHDOG, timeout: this.topology.watchdog } }),
      ...this.#storage(name),
    };
  }

  /** What the journals' drives lose without their battery is watched. */
  get #battery(): Record<string, unknown> {
    return this.topology.journalDrive?.cache === "battery" ? { battery: { sysfs: "BAT0" } } : {};
  }

  #role(name: string): Record<string, unknown> {
    const link = { listen: `${name}:${LINK_PORT}`, ...this.topology.timings };
    if (this.primaries.includes(name)) {
      return {
        role: "primary",
        target: { iqn: IQN, listen: [`${name}:${ISCSI_PORT}`] },
        sites: addresses(this.#legs.flat()),
        mirror: { legs: this.#legs },
        ...(this.topology.timings === undefined ? {} : { link }),
      };
    }
    const leg = this.#legs.find((sites) => sites.includes(name)) ?? [];
    const place = leg.indexOf(name);
    const from = place === 0 ? this.primaries : [leg[place - 1]];
    const fed = { link: { ...link, from } };
    if (place === leg.length - 1) {
      return { ...fed, role: name === BACKUP ? "backup" : "mirror", sites: addresses(from) };
    }
    const next = leg[place + 1];
    const relay = { forward: [next], acknowledge: this.topology.acknowledge ?? "hop" };
    return { ...fed, role: "relay", sites: addresses([...from, next]), relay };
  }

  #storage(name: string): Record<string, unknown> {
    const volume = { size: `${VOLUME_BYTES / MiB}MiB`, lun: 0, blockSize: this.topology.blockSize ?? 512 };
    const drives = this.drivesOf(name);
    if (drives.length === 0) return { volumes: { lun0: volume } };
    const { level, chunk } = this.topology.array ?? ARRAY;
    return {
      drives,
      arrays: { main: { level, drives: [...drives.keys()], chunk } },
      volumes: { lun0: { ...volume, array: "main" } },
    };
  }

  #stores(name: string): boolean {
    if (this.primaries.includes(name)) return this.topology.diskless !== true;
    return !this.topology.legs.flat().includes(`${name}*`);
  }
}

/** The mirror controller of a site that is fed by hosts. */
export function controllerOf(site: Site) {
  const { feed } = site;
  if (feed.kind !== "hosts") throw new Error("the primary is fed by hosts");
  return feed.controller;
}

function nameOf(site: string): string {
  return site.replace("*", "");
}

function addresses(names: readonly string[]): Record<string, { address: string }> {
  return Object.fromEntries(names.map((name) => [name, { address: `${name}:${LINK_PORT}` }]));
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
