/** What a machine that runs on one configuration has to do anew for another. */

import type { Config } from "./config.ts";

export interface Changes {
  /** Its network is set up otherwise. */
  readonly network: boolean;
  /** The site's process is started again: something differs that it reads as it starts. */
  readonly site: boolean;
  /** It is told anew who may use the target, and what of it: see `Site.changeHosts`. */
  readonly hosts: boolean;
}

export function changesBetween(before: Config, after: Config): Changes {
  return {
    network: differ(networkOf(before), networkOf(after)),
    site: differ(readAtStart(before), readAtStart(after)),
    hosts: differ(readWhileRunning(before), readWhileRunning(after)),
  };
}

function readWhileRunning(config: Config): unknown {
  if (config.role !== "primary") return undefined;
  const { hosts, initiators, chap } = config.target;
  return [hosts, initiators, chap];
}

/** The host is named after the site unless the section says otherwise. */
function networkOf({ network, site }: Config): unknown {
  return [network, network?.hostname ?? site.name];
}

/**
 * All but what only the machine or a person reads, and what a site can be told while it runs: whatever is new in the schema
 * is read at its start until it is named here.
 */
function readAtStart(config: Config): unknown {
  const { file: _file, network: _network, management: _management, site, sites, ...rest } = config;
  const { location: _location, ...named } = site;
  const reached = Object.entries(sites).map(([name, { location: _where, ...remote }]) => [name, remote]);
  if (config.role !== "primary") return [named, Object.fromEntries(reached), rest];
  const { hosts: _hosts, initiators: _initiators, chap: _chap, ...target } = config.target;
  return [named, Object.fromEntries(reached), { ...rest, target }];
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
