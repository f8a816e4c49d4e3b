/** How a command's data looks to people: plain text of at most 100 columns, fit for a serial line. */

import { GiB, KiB, MiB, TiB } from "../base/units.ts";
import { type LatencyHistogram, latencyOf } from "../iscsi/index.ts";
import type { BlockList, VolumeRepair } from "../mirror/repair.ts";
import type { SiteVerdict, VolumeVerdict } from "../mirror/verify.ts";
import type { ScrubReport } from "../raid/disk-array.ts";
import type { ReservationStatus } from "./host-reservations.ts";
import type { ArrayStatus, BatteryStatus, ForwardStatus, JournalStatus, SiteStatus, WatchdogStatus } from "./status.ts";

/** A reservation key in hexadecimal. */
const KEY_COLUMNS = 16;

export function renderStatus(status: SiteStatus): string {
  const lines = [
    `site      ${status.site} (${status.role} of group ${status.group}), antipode ${status.version}`,
    `state     ${status.state.toUpperCase()}: ${status.reason}`,
    `epoch     ${status.epoch}, up ${duration(status.uptimeMs)}`,
    `journal   ${usage(status.journal.usedBytes, status.journal.capacityBytes)}`,
  ];
  if (status.journal.battery !== undefined) lines.push(`battery   ${batteryLine(status.journal.battery)}`);
  if (status.watchdog !== undefined) lines.push(...watchdogLines(status.watchdog));
  for (const array of status.arrays) {
    const used = usage(array.allocatedBytes, array.capacityBytes);
    lines.push(`array     ${array.name}: ${array.state}, RAID ${array.level}, ${used} given to volumes`);
  }
  for (const { name, lun, bytes, blockSize } of status.volumes) {
    lines.push(`volume    ${name}: LUN ${lun}, ${size(bytes)} in blocks of ${blockSize}`);
  }
  if (status.target !== undefined) {
    lines.push(`target    ${status.target.iqn} at ${status.target.portals.join(", ") || "no portal yet"}`);
    lines.push(`sessions  ${status.target.sessions.length}`);
  }
  if (status.hostWrites !== undefined) {
    const { unacknowledged, waiting } = status.hostWrites;
    lines.push(`writes    ${unacknowledged} unacknowledged, ${waiting} waiting for room`);
  }
  for (const forward of status.forwards) lines.push(`leg       ${forwardLine(forward)}`);
  for (const upstream of status.upstreams) lines.push(`upstream  ${upstream.site}: ${upstream.state}`);
  for (const alarm of status.alarms) lines.push(`ALARM     ${alarm.what} ${alarm.remedy}`);
  if (status.alarms.length === 0) lines.push("alarms    none");
  return text(lines);
}

function batteryLine({ source, state, reason, chargePercent, readingAgeMs }: BatteryStatus): string {
  if (state === "unknown") return `${source}: not known yet`;
  const read = readingAgeMs === undefined ? "" : `, read ${duration(readingAgeMs)} ago`;
  return state === "good" ? `${source}: good, ${chargePercent} % charged${read}` : `${source}: BAD, ${reason}`;
}

function watchdogLines(watchdog: WatchdogStatus): readonly string[] {
  const { identity, device, state, timeoutMs, sinceFedMs, causedLastBoot } = watchdog;
  const fed = `timeout ${duration(timeoutMs)}, fed ${duration(sinceFedMs)} ago`;
  return [
    `watchdog  ${identity} (${device}): ${state}, ${fed}`,
    `boot      ${causedLastBoot ? "CAUSED by a reset of the watchdog" : "no reset by the watchdog is known"}`,
  ];
}

export function renderJournal(journal: JournalStatus): string {
  const lines = [
    `device     ${journal.device}`,
    `used       ${usage(journal.usedBytes, journal.capacityBytes)}`,
    `oldest     ${duration(journal.oldestMs)}`,
    `epoch      ${journal.lastEpoch}, promised ${journal.promisedEpoch}`,
    `appended   ${journal.appended}`,
    `durable    ${journal.durable}`,
    `committed  ${journal.committed}`,
    `stored     ${journal.stored}`,
    `retired    ${journal.retired}`,
  ];
  if (journal.battery !== undefined) lines.push(`battery    ${batteryLine(journal.battery)}`);
  if (journal.tornTail !== undefined) {
    const { bytes, position, firstSequence } = journal.tornTail;
    lines.push(
      `torn tail  ${bytes} bytes at position ${position} were cut at the start, from sequence ${firstSequence} on`,
    );
  }
  return text(lines);
}

export function renderMirror(status: SiteStatus): string {
  const lines: string[] = [];
  for (const forward of status.forwards) {
    lines.push(forwardLine(forward));
    const last = forward.sites[forward.sites.length - 1];
    lines.push(`  ${forward.sites[0]} has ${forward.hop} (${forward.behindHop} behind)`);
    if (forward.sites.length > 1) lines.push(`  ${last} has ${forward.end} (${forward.behindEnd} behind)`);
    const roundTrip = forward.roundTripMs === undefined ? "not measured" : `${forward.roundTripMs.toFixed(1)} ms`;
    lines.push(`  in flight ${size(forward.unackedBytes)}, round trip ${roundTrip}`);
  }
  for (const upstream of status.upstreams) {
    const error = upstream.lastError === undefined ? "" : `, last error: ${upstream.lastError}`;
    lines.push(
      `upstream ${upstream.site}: ${upstream.state}, epoch ${upstream.epoch}, ${upstream.requests} requests${error}`,
    );
  }
  if (lines.length === 0) lines.push("This site has no leg and no upstream site.");
  return text(lines);
}

export function renderArrays(arrays: readonly ArrayStatus[]): string {
  if (arrays.length === 0) return "This site has no array.\n";
  const lines: string[] = [];
  for (const array of arrays) {
    lines.push(
      `${array.name}: ${array.state}, RAID ${array.level}, chunk ${size(array.chunkBytes)}, ${usage(array.allocatedBytes, array.capacityBytes)} given to volumes`,
    );
    for (const { slot, path, state, errors, rebuilt } of array.members) {
      const counts = `errors: ${errors.read} read, ${errors.write} write, ${errors.checksum} checksum`;
      const progress = rebuilt === undefined ? "" : `, ${Math.floor((100 * rebuilt.done) / rebuilt.total)} % rebuilt`;
      lines.push(`  slot ${slot}  ${state.padEnd(10)} ${path ?? "(no drive)"}  ${counts}${progress}`);
    }
  }
  return text(lines);
}

export function renderScrub(array: string, { rows, mismatches, repaired, unrepairable }: ScrubReport): string {
  if (mismatches === 0) return `${array}: ${rows} rows read, all of them right\n`;
  return `${array}: ${rows} rows read, ${mismatches} of them wrong: ${repaired} repaired, ${unrepairable} could not be\n`;
}

export function renderSessions(target: SiteStatus["target"]): string {
  if (target === undefined) return "This site has no iSCSI target.\n";
  if (target.sessions.length === 0) return `No initiator is logged in to ${target.iqn}.\n`;
  return text(
    target.sessions.flatMap(({ initiator, kind, user, remote, portal, tasks, commands, bytesRead, bytesWritten }) => [
      `${initiator} (${kind}${user === undefined ? "" : `, user ${user}`}) from ${remote} at ${portal}`,
      `  ${commands} commands, ${tasks} at work, ${size(bytesRead)} read, ${size(bytesWritten)} written`,
    ]),
  );
}

export function renderTarget(target: SiteStatus["target"]): string {
  if (target === undefined) return "This site has no iSCSI target.\n";
  const lines = [
    `${target.iqn} at ${target.portals.join(", ") || "no portal yet"}, ${target.sessions.length} sessions`,
  ];
  for (const load of target.volumes) {
    const { depth, deepest, failed, refused, aborted, deviceErrors } = load;
    lines.push(`${load.volume} (LUN ${load.lun}): ${depth} at work, ${deepest} at the most`);
    lines.push(`  reads   ${latencies(load.reads, `, ${size(load.bytesRead)}`)}`);
    lines.push(`  writes  ${latencies(load.writes, `, ${size(load.bytesWritten)}`)}`);
    lines.push(`  others  ${latencies(load.others, "")}`);
    lines.push(`  ended   ${failed} failed, ${refused} refused, ${aborted} aborted, ${deviceErrors} errors of storage`);
  }
  return text(lines);
}

function latencies(histogram: LatencyHistogram, bytes: string): string {
  const { commands, totalMs, longestMs } = histogram;
  if (commands === 0) return "none";
  const shares = [0.5, 0.99].map((share) => `${100 * share} % in ${ms(latencyOf(histogram, share) ?? 0)}`);
  return `${commands}${bytes}: ${ms(totalMs / commands)} on average, ${shares.join(", ")}, ${ms(longestMs)} at the most`;
}

function ms(value: number): string {
  return `${Number(value.toPrecision(2))} ms`;
}

export function renderReservations(reservations: readonly ReservationStatus[] | undefined): string {
  if (reservations === undefined) return "This site has no iSCSI target.\n";
  const lines: string[] = [];
  for (const { volume, lun, reservation = "not reserved", persists, initiators } of reservations) {
    const what = reservation === "reserve" ? "reserved by RESERVE" : reservation;
    const kept = reservation === "not reserved" ? ", registrations kept over a restart" : ", kept over a restart";
    lines.push(`${volume} (LUN ${lun}): ${what}${persists ? kept : ""}`);
    for (const { port, key = "", holds, given } of initiators) {
      const notes = `${holds ? ", holds it" : ""}${given ? "" : ", IS NOT GIVEN THE VOLUME"}`;
      lines.push(`  ${key.padEnd(KEY_COLUMNS)}  ${port}${notes}`);
    }
  }
  return text(lines);
}

export function renderVerify(verdicts: readonly VolumeVerdict[]): string {
  const lines: string[] = [];
  for (const { volume, blocks, reference, sites } of verdicts) {
    lines.push(`${volume}: ${blocks} blocks of 4 KiB, compared with ${reference ?? "nothing: no site could be read"}`);
    for (const site of sites) lines.push(`  ${site.site.padEnd(16)} ${verdict(site)}`);
  }
  return text(lines);
}

export function renderRepair(repairs: readonly VolumeRepair[]): string {
  const lines: string[] = [];
  for (const { volume, rewritten, lost, different, unknown } of repairs) {
    lines.push(`${volume}: ${blockList(rewritten)} written again`);
    if (lost.blocks > 0) lines.push(`  LOST: ${blockList(lost)} that no site can read`);
    if (different.blocks > 0)
      lines.push(`  DIFFERENT: ${blockList(different)} that others have differently, left alone`);
    for (const { site, reason } of unknown) lines.push(`  ${site.padEnd(16)} UNKNOWN: ${reason}`);
  }
  return text(lines);
}

export function renderHelp(
  commands: readonly { readonly words: readonly string[]; readonly parameters: string; readonly summary: string }[],
): string {
  return text(
    commands.map(({ words, parameters, summary }) => `${`${words.join(" ")} ${parameters}`.padEnd(20)} ${summary}`),
  );
}

function blockList({ blocks, first }: BlockList): string {
  const addresses = blocks === 0 ? "" : ` (${first.join(", ")}${blocks > first.length ? ", …" : ""})`;
  return `${blocks} blocks of 4 KiB${addresses}`;
}

function verdict(site: SiteVerdict): string {
  switch (site.verdict) {
    case "identical":
      return "identical";
    case "different":
      return `DIFFERENT in ${site.blocks} blocks, first at ${site.first.join(", ")}`;
    case "diskless":
      return "stores nothing";
    case "unknown":
      return `UNKNOWN: ${site.reason}`;
  }
}

function forwardLine({ sites, state, reason }: ForwardStatus): string {
  return `${sites.join(" > ")}: ${state}${reason === undefined ? "" : ` (${reason})`}`;
}

function usage(used: number, capacity: number): string {
  const share = capacity === 0 ? 0 : (used / capacity) * 100;
  return `${size(used)} of ${size(capacity)} (${share.toFixed(share < 10 ? 1 : 0)} %)`;
}

export function size(bytes: number): string {
  for (const [unit, name] of [
    [TiB, "TiB"],
    [GiB, "GiB"],
    [MiB, "MiB"],
    [KiB, "KiB"],
  ] as const) {
    if (bytes >= unit) return `${Number((bytes / unit).toFixed(bytes >= 100 * unit ? 0 : 1))} ${name}`;
  }
  return `${bytes} B`;
}

function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function text(lines: readonly string[]): string {
  return `${lines.join("\n")}\n`;
}
