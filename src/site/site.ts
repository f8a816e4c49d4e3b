/**
 * One site, built from its configuration: storage, pipeline, and the role that feeds the pipeline and decides when to
 * acknowledge. The role is configuration only; every role runs the same pipeline.
 */

import { assert } from "../base/assert.ts";
import type { BlockDevice } from "../base/block-device.ts";
import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, type Instant, type VolumeId } from "../base/units.ts";
import { Downstream } from "../cascade/downstream.ts";
import { durableSource } from "../cascade/durable-source.ts";
import { changesBetween } from "../config/changes.ts";
import type { Config, LinkConfig, PrimaryConfig } from "../config/config.ts";
import type { ReservationStore } from "../iscsi/index.ts";
import type { VolumeIdentity } from "../link/contract.ts";
import { LinkListener } from "../link/link-listener.ts";
import { LinkSender, type LinkSenderOptions } from "../link/link-sender.ts";
import type { Leg } from "../mirror/leg.ts";
import { MirrorController } from "../mirror/mirror-controller.ts";
import { RemoteVolume } from "../mirror/remote-volume.ts";
import { Pipeline } from "../pipeline/pipeline.ts";
import type { Files } from "../platform/files.ts";
import type { World } from "../platform/world.ts";
import { dataPathCanary } from "../watchdog/canary.ts";
import { WatchdogGuard } from "../watchdog/watchdog-guard.ts";
import { Alarms } from "./alarms.ts";
import { BatteryWatch } from "./battery-watch.ts";
import type { SiteEvent } from "./events.ts";
import { HostPort } from "./host-port.ts";
import { openReservations } from "./reservation-files.ts";
import { openStorage, type Storage } from "./storage.ts";

/** What feeds the pipeline: hosts, through the mirror controller, or the site link. */
export type Feed =
  | { readonly kind: "hosts"; readonly controller: MirrorController; readonly port: HostPort }
  | { readonly kind: "link"; readonly downstream: Downstream; readonly listener: LinkListener };

export interface SiteOptions {
  /** Lay out journal and arrays anew, whatever the drives hold. */
  readonly overwrite?: boolean;
  /** Use a level 5 array that lost a member in a crash, although the stripes in flight then may be torn. */
  readonly acceptDirtyDegraded?: boolean;
  /** Wanted where the configuration has files of its own, such as `target.reservations`. */
  readonly files?: Files;
  /** Reads a configuration by its path, to take over what of it can be changed while the site runs. */
  readonly readConfig?: (file: string) => Config;
  readonly onEvent?: (event: SiteEvent) => void;
}

export class Site {
  readonly startedAt: Instant;
  readonly #onEvent: (event: SiteEvent) => void;
  readonly pipeline: Pipeline;
  readonly feed: Feed;
  #config: Config;

  private constructor(
    readonly world: World,
    config: Config,
    readonly readConfig: SiteOptions["readConfig"],
    readonly storage: Storage,
    built: Built,
    readonly alarms: Alarms,
    /** Holds the machine's watchdog, where one is configured. */
    readonly guard: WatchdogGuard | undefined,
    /** Watches the journal's battery, where one is configured. */
    readonly battery: BatteryWatch | undefined,
    onEvent: (event: SiteEvent) => void,
  ) {
    this.#config = config;
    this.#onEvent = onEvent;
    this.startedAt = world.clock.now();
    this.pipeline = built.pipeline;
    this.feed = built.feed;
  }

  /**
   * Brings the site up as far as it comes by itself. A primary serves hosts only once `serving` resolves.
   * Rejects with the `OperatingError` of whatever is wrong; everything is closed again then, and the watchdog disarmed.
   */
  static async open(world: World, config: Config, options: SiteOptions = {}): Promise<Site> {
    const onEvent = options.onEvent ?? (() => {});
    const alarms = new Alarms(onEvent);
    if (config.watchdog === undefined) return Site.#open(world, config, options, alarms, undefined, onEvent);
    const guard = await WatchdogGuard.arm(world, { ...config.watchdog, onAlarm: (error) => alarms.raise(error) });
    onEvent({ kind: "watchdog", guard: guard.view });
    try {
      return await Site.#open(world, config, options, alarms, guard, onEvent);
    } catch (error) {
      // After anything else the process ends as it does when it is killed, and the watchdog stays armed.
      if (isOperatingError(error)) guard.disarm();
      throw error;
    }
  }

  static async #open(
    world: World,
    config: Config,
    options: SiteOptions,
    alarms: Alarms,
    guard: WatchdogGuard | undefined,
    onEvent: (event: SiteEvent) => void,
  ): Promise<Site> {
    const storage = await openStorage(world, config, {
      overwrite: options.overwrite ?? false,
      acceptDirtyDegraded: options.acceptDirtyDegraded ?? false,
      onArrayEvent: (array, event) => onEvent({ kind: "array", array, event }),
    });
    const battery = watchBattery(world, config);
    const parts = { world, storage, battery, alarms, onEvent };
    try {
      const built =
        config.role === "primary"
          ? openPrimary(config, parts, await reservationsOf(config, options.files))
          : await openFed(config, parts);
      for (const error of storage.missing) alarms.raise(error);
      built.pipeline.onJournalMissed = (error) => alarms.raise(journalMissed(config, error));
      redoneWhenReplayed(built.pipeline, storage);
      guard?.watch(dataPathCanary(built.pipeline, storage.journal));
      if (battery !== undefined) {
        battery.onChange = (view) => {
          if (view.standing.kind !== "good") built.pipeline.hurry();
          onEvent({ kind: "battery", battery: view, alarm: battery.alarm });
        };
        battery.start();
      }
      return new Site(world, config, options.readConfig, storage, built, alarms, guard, battery, onEvent);
    } catch (error) {
      await storage.close();
      throw error;
    }
  }

  /** The one that it was started on, with what was changed since. */
  get config(): Config {
    return this.#config;
  }

  /**
   * Takes over who may use the target, and what of it, from a configuration that is the same otherwise. Sessions follow at
   * once; requests in flight of who may not use it any more end by themselves. Throws `site.restart-needed` where more is
   * different; then nothing has changed.
   *
   * @returns whether anything has
   */
  changeHosts(config: Config): boolean {
    const changes = changesBetween(this.#config, config);
    if (changes.site) {
      throw new OperatingError(
        "site.restart-needed",
        `${config.file} differs from what site ${this.#config.site.name} runs on in more than who may use its target.`,
        "Start the site again on it.",
      );
    }
    this.#config = config;
    if (!changes.hosts || this.feed.kind !== "hosts" || config.role !== "primary") return false;
    this.feed.port.changeHosts(config);
    return true;
  }

  /** Resolves when hosts are served, or at once where hosts are not this site's business. */
  async serve(): Promise<void> {
    if (this.feed.kind !== "hosts") return;
    await this.feed.controller.start();
    await this.feed.port.listen();
    this.#onEvent({ kind: "serving", epoch: this.feed.controller.epoch, portals: this.feed.port.portals });
  }

  /** Stops in order: hosts, links, storing, drives, and the watchdog last. What is journalled stays journalled. */
  async close(): Promise<void> {
    if (this.guard === undefined) return this.#close();
    this.guard.stopping();
    try {
      await this.#close();
    } finally {
      this.guard.disarm();
      this.#onEvent({ kind: "watchdog", guard: this.guard.view });
    }
  }

  async #close(): Promise<void> {
    this.battery?.stop();
    if (this.feed.kind === "hosts") {
      const closed = this.feed.port.close();
      this.feed.controller.stop();
      await closed;
      for (const leg of this.feed.controller.legs) leg.sender.stop();
    } else {
      this.feed.listener.close();
      this.feed.downstream.next?.stop();
    }
    await this.pipeline.close();
    await this.storage.close();
  }
}

const NO_VOLUMES: ReadonlyMap<VolumeId, RemoteVolume> = new Map();

/** What every site has, whatever its role. */
interface Parts {
  readonly world: World;
  readonly storage: Storage;
  readonly battery: BatteryWatch | undefined;
  readonly alarms: Alarms;
  readonly onEvent: (event: SiteEvent) => void;
}

interface Built {
  readonly pipeline: Pipeline;
  readonly feed: Feed;
}

async function reservationsOf(
  { group, target, volumes }: PrimaryConfig,
  files: Files | undefined,
): Promise<ReadonlyMap<VolumeId, ReservationStore>> {
  if (target.reservations === undefined) return new Map();
  assert(files !== undefined, "a site that keeps reservations has files");
  const ids = Object.values(volumes).map(({ id }) => id);
  return openReservations(files, target.reservations, group, ids);
}

function openPrimary(
  config: PrimaryConfig,
  parts: Parts,
  reservations: ReadonlyMap<VolumeId, ReservationStore>,
): Built {
  const { world, storage, alarms, onEvent } = parts;
  // A primary without legs has no other site to read from, which a check of its placement warns of.
  const remotes = config.mirror.legs.length > 0 ? remoteVolumes(config) : NO_VOLUMES;
  const pipeline = openPipeline(config, parts, remotes);
  const controller = new MirrorController(world, config.site.name, pipeline);
  controller.onFailed = (error) => alarms.raise(error);
  controller.legs = config.mirror.legs.map((sites) => {
    const leg: Leg = {
      sites,
      sender: new LinkSender(world, {
        ...senderOptions(config, sites[0]),
        source: storage.journal,
        epoch: () => controller.epoch,
        committed: () => controller.committed,
        resume: (position) => controller.resume(position),
        onAck: () => controller.legAcknowledged(),
        onFenced: (by) => controller.fenced(by),
        onState: (state) => {
          controller.legChanged(leg);
          onEvent({ kind: "link", site: sites[0], state });
        },
      }),
    };
    return leg;
  });
  for (const remote of remotes.values()) remote.legs = controller.legs;
  const port = new HostPort(world, config, controller, reservations, onEvent);
  controller.onState = (state) => {
    port.follow(state);
    onEvent({ kind: "controller", state });
  };
  return { pipeline, feed: { kind: "hosts", controller, port } };
}

async function openFed(config: Exclude<Config, PrimaryConfig>, parts: Parts): Promise<Built> {
  const { world, storage, alarms, onEvent } = parts;
  const stores = storage.volumes.size > 0;
  // What has left the journal of a relay point is at the next site.
  const remotes = config.role === "relay" ? remoteVolumes(config) : NO_VOLUMES;
  const pipeline = openPipeline(config, parts, remotes);
  pipeline.onFailed = (error) => alarms.raise(error);
  const downstream = new Downstream(world, {
    site: config.site.name,
    pipeline,
    journal: storage.journal,
    acknowledge: config.role === "relay" && config.relay.acknowledge === "end" ? "end" : "journalled",
    stores,
  });
  downstream.onCut = (first, last) => onEvent({ kind: "cut", first, last });
  const listener = await LinkListener.listen(world, {
    site: config.site.name,
    group: config.group,
    address: config.link.listen,
    upstreams: config.link.from,
    volumes: volumeIdentities(config),
    sink: downstream,
    timings: timings(config.link),
  });
  if (config.role === "relay") {
    const next = config.relay.forward[0];
    const sender = new LinkSender(world, {
      ...senderOptions(config, next),
      source: durableSource(storage.journal),
      epoch: () => pipeline.position.promised,
      committed: () => pipeline.committed,
      resume: (position) => downstream.resumeNext(position),
      onAck: () => downstream.nextAcknowledged(),
      onFenced: (by) =>
        alarms.raise(
          new OperatingError(
            "cascade.fenced",
            `Site ${next} has promised epoch ${by}, this relay point only ${pipeline.position.promised}.`,
            "Check whether another primary feeds that site past this relay point.",
          ),
        ),
      onState: (state) => {
        downstream.nextChanged();
        onEvent({ kind: "link", site: next, state });
      },
    });
    for (const remote of remotes.values()) remote.legs = [{ sites: [next], sender }];
    downstream.forwardTo(sender);
  }
  downstream.listen(listener);
  return { pipeline, feed: { kind: "link", downstream, listener } };
}

/** After an unclean stop the arrays wait to hear that all that they may have half written is written again. */
function redoneWhenReplayed(pipeline: Pipeline, storage: Storage): void {
  const redone = () => {
    for (const array of storage.arrays.values()) array.redone();
  };
  if (pipeline.isReplayed) redone();
  else pipeline.onReplayed = redone;
}

/** The volumes as they are read from the sites that this one sends them to. */
function remoteVolumes(config: Config): ReadonlyMap<VolumeId, RemoteVolume> {
  return new Map(
    Object.values(config.volumes).map(({ id, size }) => [id, new RemoteVolume(id, size / BLOCK_BYTES)] as const),
  );
}

/**
 * @param remotes the volumes as other sites have them: for what a site without storage reads, and for blocks that one
 *                with storage can't read. Empty for a site at the end of its leg
 */
function openPipeline(
  config: Config,
  { world, storage, battery }: Parts,
  remotes: ReadonlyMap<VolumeId, BlockDevice>,
): Pipeline {
  const stores = storage.volumes.size > 0;
  return new Pipeline(world, {
    journal: storage.journal,
    cache: storage.cache,
    volumes: stores ? storage.volumes : remotes,
    elsewhere: stores ? remotes : NO_VOLUMES,
    stores,
    gatherBytes: config.journal.window / 2,
    mayGather: () => battery?.isGood ?? true,
  });
}

function watchBattery(world: World, { journal }: Config): BatteryWatch | undefined {
  const source = journal.battery?.nut ?? journal.battery?.sysfs;
  return source === undefined ? undefined : new BatteryWatch(world, source);
}

function journalMissed({ journal }: Config, cause: OperatingError): OperatingError {
  return new OperatingError(
    "journal.unreadable",
    `The journal on ${journal.device} could not give back what it had taken; another site had it.`,
    "Look at the health of that drive, and replace it if this comes up again.",
    { cause },
  );
}

/** What a link to another site needs whatever the role. */
function senderOptions(
  config: Config,
  remote: string,
): Pick<LinkSenderOptions, "site" | "group" | "remote" | "volumes" | "timings"> {
  return {
    site: config.site.name,
    group: config.group,
    remote: { site: remote, address: config.sites[remote].address },
    volumes: volumeIdentities(config),
    timings: config.link === undefined ? {} : timings(config.link),
  };
}

function timings(link: LinkConfig): { heartbeat: LinkConfig["heartbeat"]; silence: LinkConfig["silence"] } {
  return { heartbeat: link.heartbeat, silence: link.silence };
}

function volumeIdentities(config: Config): readonly VolumeIdentity[] {
  return Object.values(config.volumes).map(({ id, name, size }) => ({ id, name, blocks: size / BLOCK_BYTES }));
}
