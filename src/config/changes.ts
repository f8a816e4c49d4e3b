/** What a machine that runs on one configuration has to do anew for another. */

import type { Config } from "./config.ts";

export interface Changes {
  /** Its network is set up otherwise. */
  readonly network: boolean;
  /** The site's process is started again: something differs that it reads. */
  readonly site: boolean;
}

export function changesBetween(before: Config, after: Config): Changes {
  return {
    network: differ(networkOf(before), networkOf(after)),
    site: differ(readBySite(before), readBySite(after)),
  };
}

/** The host is named after the site unless the section says otherwise. */
function networkOf({ network, site }: Config): unknown {
  return [network, network?.hostname ?? site.name];
}

/** All but what only the machine or a person reads: whatever is new in the schema is the site's until it is named here. */
function readBySite({
  file: _file,
  network: _network,
  management: _management,
  site,
  sites,
  ...rest
}: Config): unknown {
  const { location: _location, ...named } = site;
  const reached = Object.entries(sites).map(([name, { location: _where, ...remote }]) => [name, remote]);
  return [named, Object.fromEntries(reached), rest];
}

function differ(one: unknown, other: unknown): boolean {
  return JSON.stringify(inOrder(one)) !== JSON.stringify(inOrder(other));
}

/** With the keys of every section in one order, since theirs means nothing. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, each]) => [key, inOrder(each)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
