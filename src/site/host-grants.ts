/** What each host is given of the target, as the configuration has it: volumes under its own LUNs, at some portals or all. */

import type { PrimaryConfig } from "../config/config.ts";
import type { Grant, TargetAccess } from "../iscsi/index.ts";
import { formatAddress } from "../platform/network.ts";

interface HostGrant {
  readonly grant: Grant;
  /** Absent where all will do. */
  readonly portals: ReadonlySet<string> | undefined;
}

const EVERYTHING: Grant = {};

/** Whether an initiator may use a volume at any portal. */
export function isGiven({ target: { initiators, hosts } }: PrimaryConfig, initiator: string, volume: string): boolean {
  if (hosts === undefined) return initiators?.includes(initiator) ?? true;
  return Object.values(hosts).some(
    (host) =>
      host.initiators.includes(initiator) && (host.volumes === undefined || Object.hasOwn(host.volumes, volume)),
  );
}

export function grantOf({ target, volumes }: PrimaryConfig): TargetAccess["grant"] {
  const { initiators, hosts } = target;
  if (hosts === undefined) return initiators && ((name) => (initiators.includes(name) ? EVERYTHING : undefined));
  const grants = new Map<string, HostGrant>();
  for (const host of Object.values(hosts)) {
    const luns =
      host.volumes && new Map(Object.entries(host.volumes).map(([name, lun]) => [lun, volumes[name].lun] as const));
    const portals = host.portals && new Set(host.portals.map(formatAddress));
    for (const initiator of host.initiators) grants.set(initiator, { grant: { luns }, portals });
  }
  return (initiator, { address }) => {
    const found = grants.get(initiator);
    const isHere = found?.portals === undefined || (address !== undefined && found.portals.has(formatAddress(address)));
    return isHere ? found?.grant : undefined;
  };
}
