/**
 * Portals: where initiators come in, and what SendTargets says of them (RFC 7143 section 4.1.1, appendix C).
 *
 * A portal that takes connections at every address of its machine is told to an initiator by the address that this one has
 * connected to: no other is known to reach it.
 */

import type { Address } from "./interfaces.ts";

export interface Portal {
  /** As bound. Absent of connections that were accepted elsewhere. */
  readonly address?: Address;
  /** TargetPortalGroupTag: 1 to 65535. */
  readonly groupTag: number;
}

interface Endpoint {
  readonly host: string;
  readonly port: string;
}

const LOOPBACK = /^(127\.|::1$|localhost$)/;

/**
 * The values of TargetAddress for an initiator.
 *
 * @param local what it connected to, at the portal `own`: comes first
 * @param others what else there is; what this initiator can't reach by an address that is known is left out
 */
export function targetAddresses(local: string, own: Portal, others: Iterable<Portal>): readonly string[] {
  const reached = parse(local);
  const found = new Set([`${reached === undefined ? local : format(reached)},${own.groupTag}`]);
  for (const portal of others) {
    const seen = portal === own ? undefined : seenFrom(portal, reached);
    if (seen !== undefined) found.add(`${format(seen)},${portal.groupTag}`);
  }
  return [...found];
}

/** How an initiator that has reached one address reaches a portal. */
function seenFrom({ address }: Portal, reached: Endpoint | undefined): Endpoint | undefined {
  if (address === undefined || "path" in address) return undefined;
  const port = String(address.port);
  if (address.host === "::" || address.host === "0.0.0.0") {
    const isReachable = reached !== undefined && (address.host === "::" || !reached.host.includes(":"));
    return isReachable ? { host: reached.host, port } : undefined;
  }
  if (LOOPBACK.test(address.host) && (reached === undefined || !LOOPBACK.test(reached.host))) return undefined;
  return { host: address.host, port };
}

function parse(local: string): Endpoint | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:/]*)):(\d+)$/.exec(local);
  if (match === null) return undefined;
  // An IPv4 connection to a socket of both families.
  return { host: (match[1] ?? match[2]).replace(/^::ffff:(?=\d+\.)/i, ""), port: match[3] };
}

function format({ host, port }: Endpoint): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
