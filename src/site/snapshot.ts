/** The status snapshot of a site, taken from its parts. Takes no time to speak of and changes nothing. */

import { BLOCK_BYTES, millis } from "../base/units.ts";
import type { PeerStatus } from "../link/contract.ts";
import type { LinkSender } from "../link/link-sender.ts";
import { isUp, type Leg } from "../mirror/leg.ts";
import type { MirrorController } from "../mirror/mirror-controller.ts";
import { elapsed } from "../platform/clock.ts";
import type { Site } from "./site.ts";
import type {
  Alarm,
  ArrayStatus,
  BatteryStatus,
  ForwardStatus,
  JournalStatus,
  SiteStatus,
  UpstreamStatus,
  WatchdogStatus,
} from "./status.ts";
import { VERSION } from "./version.ts";

export function snapshot(site: Site): SiteStatus {
  const { config, storage, pipeline, world, feed } = site;
  const { state, reason } = siteState(site);
  const arrays = arrayStatuses(site);
  return {
    version: VERSION,
    site: config.site.name,
    group: config.group,
    role: config.role,
    state,
    reason,
    epoch: storage.journal.lastEpoch,
    uptimeMs: Math.round(elapsed(world.clock, site.startedAt)),
    journal: journalStatus(site),
    watchdog: watchdogStatus(site),
    cache: { capacityBytes: config.journal.cache, hits: storage.cache.hits, misses: storage.cache.misses },
    arrays,
    volumes: Object.values(config.volumes).map(({ name, lun, size, blockSize, array }) => ({
      name,
      lun,
      bytes: size,
      blockSize,
      array,
    })),
    target: feed.kind === "hosts" ? feed.port.status : undefined,
    hostWrites:
      feed.kind === "hosts"
        ? { unacknowledged: feed.controller.unacknowledged, waiting: feed.controller.waiting }
        : undefined,
    forwards: forwards(site).map(({ sites, sender }) => forwardStatus(sites, sender, pipeline.appended)),
    upstreams: feed.kind === "link" ? feed.listener.peers.map(upstreamStatus) : [],
    alarms: [
      ...site.alarms.list,
      ...arrays.filter((array) => array.state !== "optimal").map(arrayAlarm),
      ...batteryAlarms(site),
    ],
  };
}

function arrayStatuses(site: Site): readonly ArrayStatus[] {
  return Array.from(site.storage.arrays.values(), (array) => {
    const { capacityBlocks, allocatedBlocks, ...rest } = array.status;
    return { ...rest, capacityBytes: capacityBlocks * BLOCK_BYTES, allocatedBytes: allocatedBlocks * BLOCK_BYTES };
  });
}

function arrayAlarm({ name, state, members }: ArrayStatus): Alarm {
  const lost = members
    .filter((member) => member.state !== "active")
    .map((member) => `slot ${member.slot} is ${member.state}`);
  return {
    code: `raid.${state}`,
    what: `Array ${name} is ${state}: ${lost.join(", ")}.`,
    remedy:
      state === "failed"
        ? "Bring its drives back and restart the site; until then the other sites have the data."
        : members.some((member) => member.state === "rebuilding")
          ? "Wait until its new drive is rebuilt (show array); until then one drive more must not fail."
          : "Look at its drives (show array), exchange the one that failed, and rebuild it (array add).",
  };
}

function forwards(site: Site): readonly Leg[] {
  const { config, feed } = site;
  if (feed.kind === "hosts") return feed.controller.legs;
  if (config.role !== "relay" || feed.downstream.next === undefined) return [];
  return [{ sites: config.relay.forward, sender: feed.downstream.next }];
}

function siteState(site: Site): { readonly state: string; readonly reason: string } {
  const { feed, pipeline } = site;
  if (pipeline.failure !== undefined) return { state: "failed", reason: pipeline.failure.what };
  if (feed.kind === "hosts") return controllerState(feed.controller);
  const up = feed.listener.peers.find((peer) => peer.state === "up");
  if (up === undefined) return { state: "waiting", reason: `no upstream site is connected (${fedBy(site)})` };
  return { state: "following", reason: `fed by ${up.site}` };
}

function fedBy(site: Site): string {
  return site.config.link === undefined ? "none is configured" : `expects ${site.config.link.from.join(" or ")}`;
}

function controllerState(controller: MirrorController): { state: string; reason: string } {
  const { state, legs } = controller;
  switch (state.kind) {
    case "idle":
      return { state: "stopped", reason: "not started" };
    case "starting": {
      const lost = legs
        .filter((leg) => !isUp(leg))
        .map((leg) => `${leg.sites[0]}: ${linkReason(leg.sender) ?? "not up"}`);
      const last = state.lastError === undefined ? [] : [`the attempt before failed: ${state.lastError.what}`];
      return { state: "starting", reason: [state.phase, ...lost, ...last].join("; ") };
    }
    case "serving": {
      const lost = legs.filter((leg) => !isUp(leg));
      if (lost.length > 0) {
        const names = lost.map((leg) => leg.sites[0]).join(", ");
        return {
          state: "suspended",
          reason: `host writes wait for ${names}: ${linkReason(lost[0].sender) ?? "not up"}`,
        };
      }
      if (controller.oldestWait > SLOW) return { state: "suspended", reason: slowReason(controller) };
      const ups = legs.length === 0 ? "there is no leg" : "every leg is up";
      return { state: "serving", reason: `hosts are served, ${ups}` };
    }
    case "fenced":
      return { state: "fenced", reason: `epoch ${state.by} was taken by another primary` };
    case "failed":
      return { state: "failed", reason: state.error.what };
  }
}

/** A host write that waits so long is worth a word, although every link is up. */
const SLOW = millis(5000);

function slowReason({ legs, pipeline, oldestWait }: MirrorController): string {
  const behind = legs.filter(({ sender }) => sender.hop <= pipeline.committed).map(({ sites }) => sites[0]);
  if (pipeline.durable <= pipeline.committed) behind.push("the local journal");
  return `a host write waits since ${Math.round(oldestWait / 1000)} s for the ACK of ${behind.join(", ")}; see its status`;
}

function journalStatus(site: Site): JournalStatus {
  const { journal, journalDrive } = site.storage;
  return {
    device: journalDrive.path,
    capacityBytes: journal.capacityBytes,
    usedBytes: journal.usedBytes,
    oldestMs: Math.round(journal.oldestAge),
    promisedEpoch: journal.promised,
    lastEpoch: journal.lastEpoch,
    appended: journal.appended,
    durable: journal.durable,
    committed: site.pipeline.committed,
    stored: site.pipeline.stored,
    retired: journal.retired,
    battery: batteryStatus(site),
    tornTail: journal.recovery.tornTail,
  };
}

function batteryStatus({ battery, world }: Site): BatteryStatus | undefined {
  if (battery === undefined) return undefined;
  const { source, standing, takenAt } = battery.view;
  return {
    source,
    state: standing.kind,
    reason: standing.kind === "bad" ? standing.why : undefined,
    chargePercent: standing.kind === "good" ? standing.charge : undefined,
    readingAgeMs: takenAt === undefined ? undefined : Math.round(elapsed(world.clock, takenAt)),
  };
}

function batteryAlarms({ battery }: Site): readonly Alarm[] {
  const error = battery?.alarm;
  return error === undefined ? [] : [{ code: error.code, what: error.what, remedy: error.remedy }];
}

function watchdogStatus({ guard }: Site): WatchdogStatus | undefined {
  if (guard === undefined) return undefined;
  const { timeout, sinceFed, timeLeft, longestGap, ...rest } = guard.view;
  return {
    ...rest,
    timeoutMs: timeout,
    sinceFedMs: Math.round(sinceFed),
    timeLeftMs: timeLeft === undefined ? undefined : Math.round(timeLeft),
    longestGapMs: Math.round(longestGap),
  };
}

function forwardStatus(sites: readonly string[], sender: LinkSender, appended: number): ForwardStatus {
  return {
    sites,
    state: sender.state.kind,
    reason: linkReason(sender),
    hop: sender.hop,
    end: sender.end,
    behindHop: appended - sender.hop,
    behindEnd: appended - sender.end,
    unackedBytes: sender.unackedBytes,
    roundTripMs: sender.roundTrip,
  };
}

function linkReason(sender: LinkSender): string | undefined {
  const { state } = sender;
  if (state.kind === "waiting" || state.kind === "refused") return state.error.what;
  return state.kind === "connecting" ? `connecting, attempt ${state.attempt}` : undefined;
}

function upstreamStatus(peer: PeerStatus): UpstreamStatus {
  return {
    site: peer.site,
    state: peer.state,
    remote: peer.remote,
    epoch: peer.epoch,
    requests: peer.counters.requests,
    bytes: peer.counters.bytes,
    lastError: peer.lastError?.message,
  };
}
