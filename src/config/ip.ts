/** IP addresses as text: read into bytes, compared by the network that they are in. Nothing here asks a name server. */

export interface IpAddress {
  readonly family: 4 | 6;
  /** 4 or 16. */
  readonly bytes: readonly number[];
}

/** An address and the length of its network's prefix: `192.0.2.7/24`. */
export interface IpPrefix extends IpAddress {
  readonly length: number;
}

/** @returns undefined if it is no IPv4 address of four decimal numbers, nor an IPv6 address (RFC 4291, section 2.2) */
export function parseIp(text: string): IpAddress | undefined {
  const bytes = text.includes(":") ? parseSix(text) : parseFour(text);
  return bytes && { family: bytes.length === 4 ? 4 : 6, bytes };
}

export function parseIpPrefix(text: string): IpPrefix | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = match === null ? undefined : parseIp(match[1]);
  if (match === null || address === undefined) return undefined;
  const length = Number(match[2]);
  return length > address.bytes.length * 8 ? undefined : { ...address, length };
}

/** Whether the network of `prefix` has this address. */
export function isIn(address: IpAddress, prefix: IpPrefix): boolean {
  if (address.family !== prefix.family) return false;
  return address.bytes.every((byte, at) => {
    const bits = Math.min(8, Math.max(0, prefix.length - at * 8));
    return byte >> (8 - bits) === prefix.bytes[at] >> (8 - bits);
  });
}

function parseFour(text: string): readonly number[] | undefined {
  const parts = text.split(".");
  // A zero in front would be octal to some programs and decimal to others.
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) return undefined;
  const bytes = parts.map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : undefined;
}

function parseSix(text: string): readonly number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === "" ? [] : half.split(":")));
  const given = groups.flat();
  if (!given.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  const left = 8 - given.length;
  if (halves.length === 2 ? left < 1 : left !== 0) return undefined;
  const [before, after = []] = groups;
  const words = [...before, ...Array.from({ length: left }, () => "0"), ...after].map((group) =>
    Number.parseInt(group, 16),
  );
  return words.flatMap((word) => [word >> 8, word & 0xff]);
}
