/**
 * What two sites tell each other before the first request: HELLO and REFUSE, whose payloads are JSON.
 */

import { OperatingError } from "../base/operating-error.ts";
import { type VolumeId, volumeId } from "../base/units.ts";
import type { ChannelName } from "./channel.ts";
import type { VolumeIdentity } from "./contract.ts";
import { FrameType, frameError, PROTOCOL_VERSION, payloadMax } from "./frame.ts";

export interface Hello {
  /** Lowest and highest protocol version that the site speaks. */
  readonly versions: readonly [number, number];
  readonly site: string;
  /** The site that the connection is meant for. */
  readonly to: string;
  readonly group: string;
  /** 32 hexadecimal digits that join the two connections; the dialler makes them up. */
  readonly session: string;
  readonly channel: ChannelName;
  /** Milliseconds between two of the site's heartbeats, and after which it takes a link without a byte for lost. */
  readonly heartbeat: number;
  readonly silence: number;
  /** The site's volumes. A relay that only journals has none, and agrees with any. */
  readonly volumes: readonly VolumeIdentity[];
}

/** A refusal, as it travels. */
export interface Refusal {
  readonly error: OperatingError;
  /** Only an operator can cure it: the dialler tries again slowly. */
  readonly slow: boolean;
}

const NAME_LENGTH_MAX = 255;
const SESSION = /^[0-9a-f]{32}$/;
const CODE = /^[a-z]+(\.[a-z-]+)+$/;

/** Throws `link.volumes` if there are more volumes than a HELLO holds. */
export function encodeHello(hello: Hello): Uint8Array {
  const bytes = new TextEncoder().encode(JSON.stringify(hello));
  if (bytes.length > (payloadMax(FrameType.HELLO) ?? 0)) {
    throw new OperatingError(
      "link.volumes",
      `The names of the group's ${hello.volumes.length} volumes are too many for a HELLO.`,
      "Give the group fewer volumes, or shorter names.",
    );
  }
  return bytes;
}

/** @returns the greeting, or what is wrong with it */
export function decodeHello(payload: Uint8Array): Hello | OperatingError {
  const json = parse(payload);
  if (json === undefined) return malformed("is no JSON object");
  const { versions, site, to, group, session, channel, heartbeat, silence, volumes } = json;
  if (!Array.isArray(versions) || versions.length !== 2 || !versions.every(isCount))
    return malformed("has no versions");
  if (!isName(site) || !isName(to) || !isName(group)) return malformed("lacks a site's or the group's name");
  if (typeof session !== "string" || !SESSION.test(session)) return malformed("has no session id");
  if (channel !== "data" && channel !== "control") return malformed("names no connection");
  if (!isCount(heartbeat) || !isCount(silence)) return malformed("does not say how often it is heard");
  if (!Array.isArray(volumes)) return malformed("has no list of volumes");
  const list: VolumeIdentity[] = [];
  for (const volume of volumes as unknown[]) {
    if (!isObject(volume)) return malformed("has a volume that is none");
    const { id, name, blocks } = volume;
    if (!isCount(id) || id > 0xffff || !isName(name) || !isCount(blocks)) return malformed("has a malformed volume");
    list.push({ id: volumeId(id), name, blocks });
  }
  return {
    versions: [versions[0], versions[1]],
    site,
    to,
    group,
    session,
    channel,
    heartbeat,
    silence,
    volumes: list,
  };
}

/**
 * Compares a greeting with this site's own.
 *
 * @param expected the site that should be at the other end; `undefined` if the caller checks that itself
 * @returns why there can be no link, or `undefined`
 */
export function disagreement(ours: Hello, theirs: Hello, expected: string | undefined): OperatingError | undefined {
  const [lowest, highest] = theirs.versions;
  if (lowest > PROTOCOL_VERSION || highest < PROTOCOL_VERSION) {
    return new OperatingError(
      "link.version",
      `Site ${theirs.site} speaks protocol versions ${lowest} to ${highest}, site ${ours.site} speaks ${PROTOCOL_VERSION}.`,
      "Update the older of the two sites.",
    );
  }
  if (theirs.group !== ours.group) {
    return new OperatingError(
      "link.group",
      `Site ${theirs.site} is of group ${theirs.group}, site ${ours.site} is of group ${ours.group}.`,
      "Check the group and the site addresses in both configurations.",
    );
  }
  if (expected !== undefined && theirs.site !== expected) {
    return new OperatingError(
      "link.site",
      `Site ${theirs.site} answered where site ${expected} was expected.`,
      `Check the address of ${expected} in the configuration of ${ours.site}.`,
    );
  }
  if (theirs.to !== ours.site) {
    return new OperatingError(
      "link.site",
      `Site ${theirs.site} wants to reach site ${theirs.to}, but this is site ${ours.site}.`,
      `Check the address of ${theirs.to} in the configuration of ${theirs.site}.`,
    );
  }
  return timingDisagreement(ours, theirs) ?? timingDisagreement(theirs, ours) ?? volumeDisagreement(ours, theirs);
}

/** A site that calls the other lost between two of its heartbeats would lose the link again and again. */
function timingDisagreement(one: Hello, other: Hello): OperatingError | undefined {
  if (one.silence >= 2 * other.heartbeat) return undefined;
  return new OperatingError(
    "link.timings",
    `Site ${one.site} takes a link for lost after ${one.silence} ms, but site ${other.site} is heard every ${other.heartbeat} ms.`,
    `Make link.silence of ${one.site} at least ${2 * other.heartbeat}ms, or link.heartbeat of ${other.site} shorter.`,
  );
}

function volumeDisagreement(ours: Hello, theirs: Hello): OperatingError | undefined {
  if (ours.volumes.length === 0 || theirs.volumes.length === 0) return undefined;
  const here = new Map<VolumeId, VolumeIdentity>(ours.volumes.map((volume) => [volume.id, volume]));
  const there = new Map<VolumeId, VolumeIdentity>(theirs.volumes.map((volume) => [volume.id, volume]));
  const found: string[] = [];
  for (const volume of here.values()) {
    const other = there.get(volume.id);
    if (other === undefined) found.push(`volume ${volume.id} (${volume.name}) is missing at ${theirs.site}`);
    else if (other.name !== volume.name) {
      found.push(`volume ${volume.id} is ${volume.name} at ${ours.site} and ${other.name} at ${theirs.site}`);
    } else if (other.blocks !== volume.blocks) {
      found.push(
        `volume ${volume.id} (${volume.name}) has ${volume.blocks} blocks at ${ours.site} and ${other.blocks} at ${theirs.site}`,
      );
    }
  }
  for (const volume of there.values()) {
    if (!here.has(volume.id)) found.push(`volume ${volume.id} (${volume.name}) is missing at ${ours.site}`);
  }
  if (found.length === 0) return undefined;
  const shown = found.slice(0, 3).join("; ");
  const more = found.length > 3 ? `; and ${found.length - 3} more` : "";
  return new OperatingError(
    "link.volumes",
    `Sites ${ours.site} and ${theirs.site} disagree about the group's volumes: ${shown}${more}.`,
    "Give every site of the group the same volumes, with the same LUN, name and size.",
  );
}

export function encodeRefusal(refusal: Refusal): Uint8Array {
  const { code, what, remedy } = refusal.error;
  const most = 1000;
  return new TextEncoder().encode(
    JSON.stringify({ code, what: what.slice(0, most), remedy: remedy.slice(0, most), slow: refusal.slow }),
  );
}

/** @param from the site that refused, for the message */
export function decodeRefusal(payload: Uint8Array, from: string): Refusal {
  const { code, what, remedy, slow } = parse(payload) ?? {};
  return {
    error: new OperatingError(
      typeof code === "string" && CODE.test(code) ? code : "link.refused",
      `Site ${from} refused: ${typeof what === "string" ? what : "it did not say why."}`,
      typeof remedy === "string" ? remedy : "Look at the state of that site.",
    ),
    slow: slow !== false,
  };
}

/** The error of a failed call, as it travels. */
export function encodeError(error: OperatingError): Uint8Array {
  return encodeRefusal({ error, slow: false });
}

export function decodeError(payload: Uint8Array, from: string): OperatingError {
  const { code, what, remedy } = parse(payload) ?? {};
  return new OperatingError(
    typeof code === "string" && CODE.test(code) ? code : "link.failed",
    typeof what === "string" ? what : `A call to site ${from} failed.`,
    typeof remedy === "string" ? remedy : "Look at the state of that site.",
  );
}

function malformed(what: string): OperatingError {
  return frameError("link.protocol", `A greeting ${what}.`);
}

function parse(payload: Uint8Array): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(payload));
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= NAME_LENGTH_MAX;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
