/**
 * The sites of a system as checkers see them: those whose process runs now, what is remembered of the others, and who
 * sends to whom, all from the sites' own configurations.
 */

import { crc32c } from "../../../src/base/crc32c.ts";
import { BLOCK_BYTES, sequence, type VolumeId } from "../../../src/base/units.ts";
import type { Config } from "../../../src/config/config.ts";
import type { Journal, RequestHead } from "../../../src/journal/journal.ts";
import type { LinkSender } from "../../../src/link/link-sender.ts";
import type { MirrorController } from "../../../src/mirror/mirror-controller.ts";
import type { Pipeline } from "../../../src/pipeline/pipeline.ts";
import { SimulatedBatteries } from "../../../src/platform/memory/battery.ts";
import type { Machine, MemoryUniverse, SimulatedDrive } from "../../../src/platform/memory/memory-world.ts";
import { SimulatedMemory } from "../../../src/platform/memory/simulated-memory.ts";
import type { Site } from "../../../src/site/site.ts";
import { snapshot } from "../../../src/site/snapshot.ts";

/** What checkers need of a simulated system. */
export interface WatchedSystem {
  readonly universe: MemoryUniverse;
  /** Those that are up; one whose process has ended may still be among them. */
  readonly sites: ReadonlyMap<string, Site>;
}

export interface Forwarding {
  readonly to: string;
  readonly sender: Pick<LinkSender, "state" | "hop" | "unackedBytes" | "fencedBy" | "lastError">;
}

export interface AnsweredRead {
  readonly volume: VolumeId;
  readonly lba: number;
  readonly content: Uint8Array;
  /** Up to where requests were committed when it began. */
  readonly committed: number;
}

/** The battery of a site that watches one. Virtual milliseconds. */
export interface WatchedBattery {
  /** Since when whoever asks learns that it is good; undefined while nobody does. */
  readonly goodSince: number | undefined;
  /** When the newest good reading was measured that this process was given, and whether its last answer was one. */
  readonly goodAt: number | undefined;
  readonly isLastGood: boolean | undefined;
  /** Whether the site's status has the alarm. */
  readonly isAlarmShown: boolean;
}

/** One process of a site. */
export interface WatchedSite {
  readonly name: string;
  readonly config: Config;
  readonly journal: Pick<
    Journal,
    | "appended"
    | "durable"
    | "retired"
    | "promised"
    | "lastEpoch"
    | "history"
    | "usedBytes"
    | "capacityBytes"
    | "head"
    | "newest"
    | "failure"
  >;
  readonly pipeline: Pick<Pipeline, "committed" | "stored" | "isGathering">;
  readonly battery?: WatchedBattery;
  /** Whether the process is stopped, and does nothing until it goes on. */
  readonly isStopped: boolean;
  /** Of a primary. */
  readonly controller?: Pick<MirrorController, "state" | "epoch" | "unacknowledged" | "waiting">;
  readonly forwards: readonly Forwarding[];
  readonly journalDrive?: SimulatedDrive;
  readonly cachedBytes: number;
  /** Of the World's memory. */
  readonly memoryBytes: number;
  /** Tells of each host write as it enters the order, from now on. Of a primary. */
  readonly watchAdmitted?: (take: (head: RequestHead) => void) => void;
  /** Tells of each read of hosts as it is answered, from now on. Of a primary. */
  readonly watchReads?: (take: (read: AnsweredRead) => void) => void;
  /** iSCSI sessions, with those whose connection is gone and whose I/O is not; undefined where no portal is open. */
  readonly sessions: number | undefined;
}

/** What is remembered of a site, whether it runs or not. */
export interface Member {
  readonly name: string;
  /** As the last process had it. */
  readonly config: Config;
  /** Where the journal stood when the site was last seen; a restart may begin a little before `retired`. */
  readonly retired: number;
  readonly capacityBytes: number;
  /** Whether every process of it was a relay point that acknowledges when the end of the leg has a request. */
  readonly acknowledgesAtEnd: boolean;
  /** The drive with the journal when the site was first seen, wherever it may be now. */
  readonly journalDrive: SimulatedDrive | undefined;
}

export class Fleet {
  /** All sites that ever ran. */
  readonly members = new Map<string, Member>();
  #running: readonly WatchedSite[] = [];
  readonly #source: () => Iterable<WatchedSite>;

  constructor(source: () => Iterable<WatchedSite>) {
    this.#source = source;
  }

  static of(system: WatchedSystem): Fleet {
    const known = new WeakMap<Site, WatchedSite>();
    return new Fleet(() => watch(system, known));
  }

  /** Looks who runs now. */
  refresh(): void {
    this.#running = [...this.#source()];
    for (const { name, config, journal, journalDrive } of this.#running) {
      const { retired, capacityBytes } = journal;
      const before = this.members.get(name);
      const first = before?.journalDrive ?? journalDrive;
      const isEnd = config.role === "relay" && config.relay.acknowledge === "end";
      const acknowledgesAtEnd = isEnd && before?.acknowledgesAtEnd !== false;
      this.members.set(name, { name, config, retired, capacityBytes, acknowledgesAtEnd, journalDrive: first });
    }
  }

  get running(): readonly WatchedSite[] {
    return this.#running;
  }

  site(name: string): WatchedSite | undefined {
    return this.#running.find((site) => site.name === name);
  }

  /** The primaries that ever ran, and their legs' sites. */
  get primaries(): readonly { readonly name: string; readonly legs: readonly (readonly string[])[] }[] {
    return [...this.members.values()].flatMap(({ name, config }) =>
      config.role === "primary" ? [{ name, legs: config.mirror.legs }] : [],
    );
  }

  /** The sites of a leg whose journals hold a request before the primary may count it as committed. */
  acknowledging(leg: readonly string[]): readonly string[] {
    return this.members.get(leg[0])?.acknowledgesAtEnd ? leg : leg.slice(0, 1);
  }
}

/** The sites that a site sends its requests to. */
export function nextSites(config: Config): readonly string[] {
  if (config.role === "primary") return config.mirror.legs.map((leg) => leg[0]);
  return config.role === "relay" ? config.relay.forward.slice(0, 1) : [];
}

function* watch({ universe, sites }: WatchedSystem, known: WeakMap<Site, WatchedSite>): Iterable<WatchedSite> {
  for (const [name, site] of sites) {
    const machine = universe.machine(name);
    const hasProcess = machine.state === "running" || machine.state === "stopped";
    if (!hasProcess || machine.world !== site.world) continue;
    let watched = known.get(site);
    if (watched === undefined) {
      watched = watchedSite(name, site, machine);
      known.set(site, watched);
    }
    yield watched;
  }
}

function watchedSite(name: string, site: Site, machine: Machine): WatchedSite {
  const { config, storage, pipeline, feed, world } = site;
  return {
    name,
    config,
    journal: storage.journal,
    pipeline,
    controller: feed.kind === "hosts" ? feed.controller : undefined,
    forwards: forwardsOf(site),
    watchAdmitted: feed.kind === "hosts" ? (take) => watchAdmitted(feed.controller, take) : undefined,
    watchReads: feed.kind === "hosts" ? (take) => watchReads(feed.controller, take) : undefined,
    journalDrive: machine.findDrive(config.journal.device),
    battery: batteryOf(site, machine),
    get isStopped() {
      return machine.state === "stopped";
    },
    get cachedBytes() {
      return storage.cache.blocks * BLOCK_BYTES;
    },
    get memoryBytes() {
      return world.memory instanceof SimulatedMemory ? world.memory.bytes : 0;
    },
    get sessions() {
      if (feed.kind !== "hosts" || feed.port.portals.length === 0) return undefined;
      return feed.port.heldSessions;
    },
  };
}

function batteryOf(site: Site, { battery }: Machine): WatchedBattery | undefined {
  const { batteries } = site.world;
  if (site.battery === undefined || !(batteries instanceof SimulatedBatteries)) return undefined;
  return {
    get goodSince() {
      return battery.goodSince;
    },
    get goodAt() {
      return batteries.goodAt;
    },
    get isLastGood() {
      return batteries.isLastGood;
    },
    get isAlarmShown() {
      return snapshot(site).alarms.some(({ code }) => code === "journal.battery");
    },
  };
}

function watchAdmitted(controller: MirrorController, take: (head: RequestHead) => void): void {
  controller.watch(({ kind, volume, lba, blocks, data }) => {
    const checksums = new Uint32Array(kind === "write" ? blocks : 0);
    for (let at = 0; at < checksums.length; at++) {
      checksums[at] = crc32c(data.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES));
    }
    const at = sequence(controller.pipeline.appended + 1);
    take({ kind, epoch: controller.epoch, sequence: at, volume, lba, blocks, checksums });
  });
}

function watchReads(controller: MirrorController, take: (read: AnsweredRead) => void): void {
  const read = controller.read.bind(controller);
  controller.read = (volume, first, content) => {
    const { committed } = controller;
    const pending = read(volume, first, content);
    const answered = () => take({ volume, lba: first, content, committed });
    if (pending === undefined) answered();
    else pending.then(answered, () => {});
    return pending;
  };
}

function forwardsOf({ feed }: Site): readonly Forwarding[] {
  if (feed.kind === "hosts") return feed.controller.legs.map(({ sites, sender }) => ({ to: sites[0], sender }));
  const { next } = feed.downstream;
  return next === undefined ? [] : [{ to: next.remote, sender: next }];
}
