/**
 * Where the sites of a configuration stand, and what `antipode check` advises about it.
 * Everything here is advice: a configuration that is valid runs, whatever stands below.
 */

import { formatAddress } from "../platform/network.ts";
import type { Config, Location } from "./config.ts";

/**
 * Sites closer than this can be lost in one disaster: a flood, an earthquake, a blackout of one grid.
 * It is the distance that practice commonly asks for between a data centre and its recovery site at the least.
 */
export const DISASTER_RADIUS_KM = 50;

/** Remote sites that hold every write, so that one more can be lost after the local one. */
const REMOTE_SITES_MIN = 2;

/** Mean radius of the earth, IUGG. */
const EARTH_RADIUS_KM = 6371.0088;

export interface Distance {
  readonly from: string;
  readonly to: string;
  readonly kilometres: number;
}

export interface Advice {
  /** Stable identifier, `area.reason`. */
  readonly code: string;
  /** What is amiss, and what would be better. */
  readonly text: string;
}

export interface Placement {
  /** Between each two sites of known location, this one first, in the order of the file. */
  readonly distances: readonly Distance[];
  readonly warnings: readonly Advice[];
}

/** Great-circle distance by the haversine formula; within 0.6 % of the true one, since the earth is no sphere. */
export function distanceKm(a: Location, b: Location): number {
  const radians = Math.PI / 180;
  const havLatitude = Math.sin(((b.latitude - a.latitude) * radians) / 2) ** 2;
  const havLongitude = Math.sin(((b.longitude - a.longitude) * radians) / 2) ** 2;
  const hav = havLatitude + Math.cos(a.latitude * radians) * Math.cos(b.latitude * radians) * havLongitude;
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(hav)));
}

export function describePlacement(config: Config): Placement {
  const places = [{ name: config.site.name, location: config.site.location }];
  for (const [name, { location }] of Object.entries(config.sites)) places.push({ name, location });
  const warnings = [...adviseOnLegs(config), ...adviseOnUse(config)];
  const distances: Distance[] = [];
  for (const [at, from] of places.entries()) {
    if (from.location === undefined) {
      const key = at === 0 ? "site.location" : `sites.${from.name}.location`;
      warnings.push({
        code: "placement.unknown",
        text: `The location of ${from.name} is not known, so its distance from the other sites is not checked; give ${key}.`,
      });
      continue;
    }
    for (const to of places.slice(at + 1)) {
      if (to.location === undefined) continue;
      const kilometres = distanceKm(from.location, to.location);
      distances.push({ from: from.name, to: to.name, kilometres });
      if (kilometres < DISASTER_RADIUS_KM) {
        warnings.push({
          code: "placement.close",
          text:
            `${from.name} and ${to.name} are ${kilometres.toFixed(1)} km apart, so one disaster can take both; ` +
            `put them at least ${DISASTER_RADIUS_KM} km apart.`,
        });
      }
    }
  }
  return { distances, warnings };
}

function adviseOnLegs(config: Config): Advice[] {
  if (config.role !== "primary") return [];
  const legs = config.mirror.legs.length;
  if (legs === 0) {
    return [
      { code: "legs.none", text: "There are no legs: when this site is lost, all its data is lost. Give mirror.legs." },
    ];
  }
  if (legs < REMOTE_SITES_MIN) {
    return [
      {
        code: "legs.few",
        text: `Only one leg carries the writes away from here; with ${REMOTE_SITES_MIN} or more, one of them can be lost as well.`,
      },
    ];
  }
  return [];
}

function adviseOnUse(config: Config): Advice[] {
  const advice: Advice[] = [];
  const inArrays = new Set(Object.values(config.arrays).flatMap(({ drives }) => drives));
  for (const [at, { path }] of config.drives.entries()) {
    if (!inArrays.has(at))
      advice.push({ code: "drive.unused", text: `Drive ${path} is in no array; it stays unused.` });
  }
  for (const [name, { level, drives }] of Object.entries(config.arrays)) {
    if (level === 1 && drives.length === 1) {
      advice.push({
        code: "array.single",
        text: `Array ${name} has one drive: when it fails, this site has lost its copy. Give it a second one.`,
      });
    }
  }
  const inVolumes = new Set(Object.values(config.volumes).map(({ array }) => array));
  for (const name of Object.keys(config.arrays)) {
    if (!inVolumes.has(name))
      advice.push({ code: "array.unused", text: `Array ${name} holds no volume; it stays unused.` });
  }
  if (config.role !== "primary") return advice;
  const inLegs = new Set(config.mirror.legs.flat());
  for (const name of Object.keys(config.sites)) {
    if (!inLegs.has(name))
      advice.push({ code: "site.unused", text: `Site ${name} is in no leg; no write goes there.` });
  }
  const { hosts, initiators, chap } = config.target;
  const unbound = (chap?.users ?? []).filter((user) => user.initiators === undefined).map(({ user }) => user);
  if (hosts !== undefined && unbound.length > 0) {
    advice.push({
      code: "target.unbound",
      text: `Whoever logs in as ${unbound.join(", ")} may do so in the name of any host of target.hosts; name its initiators in target.chap.users.`,
    });
  }
  const open = config.target.listen.filter(({ host }) => !isLoopback(host)).map(formatAddress);
  if (hosts === undefined && initiators === undefined && chap === undefined && open.length > 0) {
    advice.push({
      code: "target.open",
      text: `Any initiator that reaches ${open.join(", ")} may log in; name those that may in target.initiators or target.hosts, or give target.chap.`,
    });
  }
  return advice;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
