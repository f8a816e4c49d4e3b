/** The names that a configuration holds: of sites and volumes, of iSCSI nodes, and of network addresses. */

import type { BatterySource } from "../platform/battery.ts";
import type { Address } from "../platform/network.ts";

/** Of sites, groups, arrays and volumes: they stand in file names, on the console and in superblocks. */
export const NAME_LENGTH_MAX = 32;
export const NAME_RULE = `a name of at most ${NAME_LENGTH_MAX} characters: a-z, 0-9 and '-', starting with a letter or digit`;

export function isName(text: string): boolean {
  return text.length <= NAME_LENGTH_MAX && /^[a-z0-9][a-z0-9-]*$/.test(text);
}

/** RFC 7143 section 4.2.7.2: 223 bytes at most. */
const ISCSI_NAME_BYTES_MAX = 223;

/**
 * What is wrong with an iSCSI qualified name, RFC 7143 sections 4.2.7.2 and 4.2.7.3: `iqn.`, the year and month in
 * which the naming authority held its domain, that domain reversed, and optionally ':' and text of its own.
 * Of the characters that the standard's normalisation leaves, only the ASCII ones are taken.
 */
export function iqnFault(text: string): string | undefined {
  if (text.length > ISCSI_NAME_BYTES_MAX)
    return `has ${text.length} bytes, at most ${ISCSI_NAME_BYTES_MAX} are allowed`;
  if (!text.startsWith("iqn.")) return "does not start with 'iqn.'";
  const wrong = /[^a-z0-9.:-]/.exec(text);
  if (wrong !== null) return `has the character '${wrong[0]}'; a-z, 0-9, '.', '-' and ':' are allowed`;
  const date = /^iqn\.(\d{4})-(\d{2})\./.exec(text);
  if (date === null || Number(date[2]) < 1 || Number(date[2]) > 12) {
    return "does not have a year and month after 'iqn.', as in iqn.2026-11.example.storage:lun";
  }
  const domain = text.slice(date[0].length).split(":", 1)[0];
  const label = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;
  if (!domain.split(".").every((part) => label.test(part)))
    return `has '${domain}' where a reversed domain name belongs`;
  return undefined;
}

/** What is wrong with the iSCSI name of an initiator: an iqn, or the eui. and naa. forms of RFC 7143 section 4.2.7.4 on. */
export function iscsiNameFault(text: string): string | undefined {
  if (text.startsWith("eui."))
    return /^eui\.[0-9a-f]{16}$/i.test(text) ? undefined : "needs 16 hexadecimal digits after 'eui.'";
  if (text.startsWith("naa.")) {
    return /^naa\.([0-9a-f]{16}|[0-9a-f]{32})$/i.test(text)
      ? undefined
      : "needs 16 or 32 hexadecimal digits after 'naa.'";
  }
  return text.startsWith("iqn.") ? iqnFault(text) : "does not start with 'iqn.', 'eui.' or 'naa.'";
}

/** A TCP endpoint. `formatAddress` gives the text that `parseHostPort` reads back. */
export type HostPort = Extract<Address, { readonly port: number }>;

/**
 * @param text `host:port`, with an IPv6 host in brackets
 * @returns undefined if it is no such address
 */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]|([A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})?)):(\d{1,5})$/.exec(
    text,
  );
  if (match === null) return undefined;
  const port = Number(match[3]);
  return port > 65535 ? undefined : { host: match[1] ?? match[2], port };
}

/** What IANA gives NUT (RFC 9271). */
const NUT_PORT = 3493;

/**
 * @param text `ups@host` or `ups@host:port`, with an IPv6 host in brackets, as NUT's own programs take it
 * @returns undefined if it is no such name
 */
export function parseNutName(text: string): BatterySource | undefined {
  const [, ups, place] = /^([A-Za-z0-9][A-Za-z0-9._-]{0,63})@(.+)$/.exec(text) ?? [];
  if (ups === undefined) return undefined;
  const server = parseHostPort(place) ?? parseHostPort(`${place}:${NUT_PORT}`);
  return server === undefined || server.port === 0 ? undefined : { kind: "nut", ups, ...server };
}

/** @returns undefined for what can be no name of a power supply of the kernel's */
export function parseSupplyName(text: string): BatterySource | undefined {
  return /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/.test(text) ? { kind: "sysfs", name: text } : undefined;
}
