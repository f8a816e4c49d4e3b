/**
 * What `setup` asks, in its order: from the name of the site to the LUN that hosts see. Pure: from a machine and answers to
 * sections of a configuration.
 *
 * A section is put whole, with what is not asked yet at a value that can stand; so what the schema finds wrong with it is
 * the answer just given.
 */

import { type ByteCount, byteCount, GiB, MiB } from "../base/units.ts";
import { parseIpPrefix } from "../config/ip.ts";
import { formatSize, parseSize } from "../config/quantity.ts";
import { describeKey } from "../config/schema.ts";
import { arrayCapacity } from "../raid/capacity.ts";
import { size } from "../site/render.ts";
import { columns } from "./command.ts";
import type { Machine, MachineDrive } from "./machine.ts";
import type { Sections } from "./setup-draft.ts";

export interface Question {
  /** Shown once before it is asked. */
  readonly intro?: string;
  readonly ask: string;
  /** Taken for an answer that is empty; without it there has to be one. */
  readonly byDefault?: string;
  readonly help: string;
  /** Answers that Tab completes. */
  readonly words?: readonly string[];
  /** What the answer is about, as keys of the configuration. */
  readonly keys: readonly string[];
  /** @returns what it means for the configuration, or what is wrong with it where the schema has no word for that */
  put(answer: string): Sections | string;
}

/** What is to be done beside committing the configuration. */
export interface Outcome {
  /** The drives are to be laid out anew, whatever they hold. */
  readonly overwrite: boolean;
  /** They hold something that is lost then. */
  readonly loses: boolean;
}

type Asking<T> = Generator<Question, T, string>;

const NONE = "none";
const YES_NO = ["yes", "no"];
/** What the standard and docs/configuration.md have. */
const ISCSI_PORT = 3260;
const LINK_PORT = 7400;
const ARRAY = "main";
const PMEM = /\/pmem\d/;
/** A reset by the watchdog takes less time than a site that hangs. */
const WATCHDOG_TIMEOUT = "30s";

/** Each answer that was taken is handed back to it. */
export function* setupQuestions(machine: Machine): Asking<Outcome> {
  const name = yield {
    ask: "Name of this site",
    help: "By this name the other sites know it. Small letters, digits and '-', at most 32.",
    keys: ["site"],
    put: (answer) => ({ site: { name: answer } }),
  };
  yield* location("Its location", ["site"], (place) => ({ site: { name, ...place } }));
  const role = yield {
    ask: "Role",
    byDefault: "primary",
    help:
      "primary: serves hosts, and sends each of their writes to its mirrors.\n" +
      "mirror: stores what the primary sends.\n" +
      "relay: passes what it is sent on to the next site of a leg; it may store it as well.\n" +
      "backup: as a mirror, and meant to take the primary's place; this version can't promote it yet.",
    words: (describeKey(["role"])?.allowed ?? []).map(String),
    keys: ["role"],
    put: (answer) => ({ role: answer }),
  };
  const group = yield {
    ask: "Consistency group",
    byDefault: "prod",
    help: "The volumes that share one order of writes, and the sites that have them: the same name at all of these.",
    keys: ["group"],
    put: (answer) => ({ group: answer }),
  };
  const address = yield* network(machine);
  const storage = yield* drives(machine, role);
  yield* volume(role, storage);
  if (role === "primary") {
    yield* target(group, address);
    yield* legs(storage.array.length > 0);
  } else {
    yield* link(address);
    if (role === "relay") yield* nextSite();
  }
  if (machine.watchdog !== undefined) yield* watchdog(machine.watchdog);
  return yield* overwriting(storage);
}

/** @returns the place, or nothing where it is not told */
function* location(ask: string, keys: readonly string[], put: (place: Sections) => Sections): Asking<Sections> {
  const placeOf = (answer: string): Sections | undefined => {
    const [latitude, longitude, ...more] = list(answer).map(number);
    if (answer === NONE) return {};
    return longitude === undefined || more.length > 0 ? undefined : { location: { latitude, longitude } };
  };
  const answer = yield {
    ask: `${ask}: latitude longitude`,
    byDefault: NONE,
    help: "Degrees, north and east positive, such as 39.74 -104.99: for warnings of sites that one disaster can take.",
    keys,
    put: (text) => {
      const place = placeOf(text);
      return place === undefined ? "Give two numbers, such as 39.74 -104.99, or none." : put(place);
    },
  };
  return placeOf(answer) ?? {};
}

/** @returns the address at which others reach this site, where it is known */
function* network({ cards }: Machine): Asking<string | undefined> {
  if (cards.length === 0) return undefined;
  const cardOf = (answer: string) => cards[Number(answer) - 1] ?? cards.find(({ name }) => name === answer);
  const rows = cards.map(({ name, mac }, at): [string, string] => [`${at + 1}  ${name}`, mac]);
  const chosen = yield {
    intro: `Network cards:\n${columns(rows)}`,
    ask: "Network card, by its number, or none",
    byDefault: "1",
    help: "The one by which hosts or sites reach this one. Further cards, bonds and VLANs are added later, by configure.",
    words: [...cards.map((_, at) => String(at + 1)), NONE],
    keys: ["network"],
    put: (answer) => (answer === NONE || cardOf(answer) !== undefined ? {} : `There is no card ${answer}.`),
  };
  const card = cardOf(chosen);
  if (card === undefined) return undefined;
  // With a single card there is nothing that the kernel could number otherwise.
  const mac = cards.length > 1 ? { mac: card.mac } : {};
  const sections = (settings: Sections, rest: Sections = {}) => ({
    network: { interfaces: { [card.name]: { ...mac, ...settings } }, ...rest },
  });
  const given = yield {
    ask: "Its address/network length, or dhcp",
    byDefault: "dhcp",
    help: "An address such as 192.0.2.7/24. Other sites and hosts have to know it, so one by DHCP should always be the same.",
    words: ["dhcp"],
    keys: ["network"],
    put: (answer) => sections(answer === "dhcp" ? { dhcp: true } : { addresses: [answer] }),
  };
  const isFixed = given !== "dhcp";
  const settings = isFixed ? { addresses: [given] } : { dhcp: true };
  let rest: Sections = {};
  const prefix = parseIpPrefix(given);
  if (isFixed) {
    const key = prefix?.family === 6 ? "gateway6" : "gateway";
    const gateway = yield {
      ask: "Gateway",
      byDefault: NONE,
      help: "The router to all other networks: an address in the network of this one.",
      keys: ["network"],
      put: (answer) => sections(settings, answer === NONE ? {} : { [key]: answer }),
    };
    if (gateway !== NONE) rest = { [key]: gateway };
    const dns = yield {
      ask: "Name servers",
      byDefault: NONE,
      help: "Their addresses, with spaces between. Needed where sites are given by name and not by address.",
      keys: ["network"],
      put: (answer) => sections(settings, { ...rest, ...listed("dns", answer) }),
    };
    rest = { ...rest, ...listed("dns", dns) };
  }
  yield {
    ask: "Time servers",
    byDefault: NONE,
    help: "Their names or addresses, with spaces between. Without them the clock is left alone; no data depends on it.",
    keys: ["network"],
    put: (answer) => sections(settings, { ...rest, ...listed("ntp", answer) }),
  };
  if (prefix === undefined) return undefined;
  const host = given.slice(0, given.lastIndexOf("/"));
  return prefix.family === 6 ? `[${host}]` : host;
}

interface Storage {
  readonly journal: MachineDrive;
  readonly array: readonly MachineDrive[];
  /** Of the array; 0 without one. */
  readonly capacity: ByteCount;
}

function* drives({ drives: all }: Machine, role: string): Asking<Storage> {
  const isFree = ({ usedBy, holds }: MachineDrive) => usedBy === undefined && holds === undefined;
  const numbers = (some: readonly MachineDrive[]) => some.map((drive) => String(all.indexOf(drive) + 1));
  const free = all.filter(isFree);
  const smallest = free.toSorted((a, b) => a.size - b.size)[0];
  const [suited = smallest] = free.filter(({ path }) => PMEM.test(path));
  const chosen = yield {
    intro: all.length === 0 ? "No drive was found.\n" : `Drives:\n${columns(all.map(driveRow))}`,
    ask: "Drive of the journal, by its number",
    byDefault: suited && numbers([suited]).join(),
    help:
      "Each write is held there before it is acknowledged: the fastest drive that keeps what it has when the power fails, " +
      "best persistent memory (pmem). Some gigabytes are enough.",
    words: numbers(free),
    keys: ["journal"],
    put: (answer) => {
      const { found, fault } = drivesOf(answer, all);
      if (fault !== undefined) return fault;
      return found.length === 1 ? { journal: { device: found[0].path } } : "Give one drive.";
    },
  };
  const [journal] = drivesOf(chosen, all).found;
  const others = free.filter((drive) => drive !== journal && !PMEM.test(drive.path));
  const needs = role === "mirror";
  const usual = role === "relay" || (others.length === 0 && !needs) ? NONE : numbers(others).join(" ") || undefined;
  const members = yield {
    ask: `Drives of the array${needs ? "" : ", or none"}`,
    byDefault: usual,
    help:
      "Their numbers, with spaces between. Three or more make an array that survives the loss of one drive and keeps most of " +
      "their room (level 5); two hold a copy each (level 1)." +
      (needs ? "" : " Without any this site stores nothing, and reads from others."),
    words: numbers(others),
    keys: ["drives", "journal"],
    put: (answer) => {
      if (answer === NONE) return { drives: undefined, arrays: undefined };
      const { found, fault } = drivesOf(answer, all);
      return fault ?? { drives: found.map(({ path }) => path) };
    },
  };
  if (members === NONE) return { journal, array: [], capacity: byteCount(0) };
  const array = drivesOf(members, all).found;
  const levels = (describeKey(["arrays", ARRAY, "level"])?.allowed ?? []).map(String);
  const level = yield {
    ask: `RAID level: ${levels.join(" or ")}`,
    byDefault: array.length < 3 ? "1" : "5",
    help: "1: each drive holds a copy of everything. 5: the room of all drives but one, and one of them may fail.",
    words: levels,
    keys: ["arrays"],
    put: (answer) => ({ arrays: { [ARRAY]: { level: number(answer), drives: array.map((_, at) => at) } } }),
  };
  const capacity = arrayCapacity(
    level === "1" ? 1 : 5,
    array.map((drive) => drive.size),
  );
  return { journal, array, capacity };
}

function* volume(role: string, { array, capacity }: Storage): Asking<void> {
  const stored = array.length > 0;
  const there = stored ? { array: ARRAY } : {};
  const same = "The same at all sites of the group.";
  const name = yield {
    ask: "Name of the volume",
    byDefault: "vol0",
    help: `${same} Further volumes are added later, by configure.`,
    keys: ["volumes"],
    put: (answer) => ({ volumes: { [answer]: { ...there, size: "4KiB", lun: 0 } } }),
  };
  const bytes = yield {
    ask: "Its size",
    // Where it has to be as at the primary, all that fits is only a guess.
    byDefault: stored && role === "primary" ? roundDown(capacity) : undefined,
    help: `A whole number and MiB, GiB or TiB. ${same}${stored ? ` The array holds ${size(capacity)}.` : ""}`,
    keys: [`volumes.${name}`],
    put: (answer) => {
      if (stored && (parseSize(answer) ?? 0) > capacity) return `The array holds ${size(capacity)}, less than that.`;
      return { volumes: { [name]: { ...there, size: answer, lun: 0 } } };
    },
  };
  yield {
    ask: "Its LUN",
    byDefault: "0",
    help: `The number by which hosts know it. ${same}`,
    keys: [`volumes.${name}`],
    put: (answer) => ({ volumes: { [name]: { ...there, size: bytes, lun: number(answer) } } }),
  };
}

function* target(group: string, address: string | undefined): Asking<void> {
  const anywhere = [`0.0.0.0:${ISCSI_PORT}`];
  const iqn = yield {
    ask: "Name of the iSCSI target",
    byDefault: `iqn.2026-11.dev.antipode:${group}`,
    help: "Hosts log in to this name. It goes with the data: keep it when the group gets another primary.",
    keys: ["target"],
    put: (answer) => ({ target: { iqn: answer, listen: anywhere } }),
  };
  const portals = yield {
    ask: "Addresses for hosts",
    byDefault: `${address ?? "0.0.0.0"}:${ISCSI_PORT}`,
    help: "Where hosts log in: address:port, several with spaces between. 0.0.0.0 is every address of this site.",
    keys: ["target"],
    put: (answer) => ({ target: { iqn, listen: list(answer) } }),
  };
  yield {
    ask: "Initiators that may log in, or any",
    byDefault: "any",
    help: "Names such as iqn.1993-08.org.debian:01:db1, with spaces between: each host has one, and shows it.",
    words: ["any"],
    keys: ["target"],
    put: (answer) => ({
      target: { iqn, listen: list(portals), ...(answer === "any" ? {} : { initiators: list(answer) }) },
    }),
  };
}

function* legs(isStored: boolean): Asking<void> {
  const travelled: (readonly string[])[] = [];
  let sites: Sections = {};
  for (;;) {
    const count = travelled.length;
    const answer = yield {
      intro:
        count === 0
          ? "Each leg takes a copy of every write to another site.\nWith two or more, one of them can be lost as well.\n"
          : undefined,
      ask: `Sites of leg ${count + 1}, or none`,
      byDefault: NONE,
      help:
        "The name of the remote site; where the copy travels over relay points, their names before it, in their order and " +
        "with spaces between.",
      // That nothing is stored anywhere is only wrong once there are no more legs.
      keys: ["mirror", "sites", "arrays"],
      put: (text) => {
        if (text !== NONE) return { mirror: { legs: [...travelled, list(text)] }, sites: withSites(sites, list(text)) };
        return count === 0 && isStored ? {} : { mirror: { legs: travelled }, sites };
      },
    };
    if (answer === NONE) return;
    travelled.push(list(answer));
    sites = withSites(sites, list(answer));
    for (const site of list(answer)) sites = yield* remoteSite(site, sites);
  }
}

/** @returns `sites` with where that one is */
function* remoteSite(site: string, sites: Sections): Asking<Sections> {
  const keys = [`sites.${site}`];
  const withAddress = (address: string) => ({ ...sites, [site]: { address } });
  const address = yield {
    ask: `Address of ${site}`,
    byDefault: `${site}:${LINK_PORT}`,
    help: "Where its site link is reached, host:port: what it has in link.listen.",
    keys,
    put: (answer) => ({ sites: withAddress(answer) }),
  };
  const withPlace = (place: Sections) => ({ ...sites, [site]: { address, ...place } });
  return withPlace(yield* location(`Location of ${site}`, keys, (place) => ({ sites: withPlace(place) })));
}

/** Those that are new at an address that can stand until it is asked for. */
function withSites(sites: Sections, names: readonly string[]): Sections {
  const added = names.filter((name) => !Object.hasOwn(sites, name));
  return { ...sites, ...Object.fromEntries(added.map((name) => [name, { address: `${name}:${LINK_PORT}` }])) };
}

function* link(address: string | undefined): Asking<void> {
  const from = yield {
    ask: "Sites that may feed this one",
    help: "The names of those that send to it, the primary or the relay point before it, with spaces between.",
    keys: ["link"],
    put: (answer) => ({ link: { listen: `0.0.0.0:${LINK_PORT}`, from: list(answer) } }),
  };
  yield {
    ask: "Address of its site link",
    byDefault: `${address ?? "0.0.0.0"}:${LINK_PORT}`,
    help: "Where those sites connect: address:port. 0.0.0.0 is every address of this site.",
    keys: ["link"],
    put: (answer) => ({ link: { listen: answer, from: list(from) } }),
  };
}

function* nextSite(): Asking<void> {
  const next = yield {
    ask: "Site that it forwards to",
    help: "The name of the next site of the leg.",
    keys: ["relay", "sites"],
    put: (answer) => ({ relay: { forward: [answer] }, sites: withSites({}, [answer]) }),
  };
  yield* remoteSite(next, {});
  yield {
    ask: "Acknowledge: hop or end",
    byDefault: "hop",
    help: "hop: when a request is in this site's journal. end: when the last site of the leg has it, too.",
    words: (describeKey(["relay", "acknowledge"])?.allowed ?? []).map(String),
    keys: ["relay"],
    put: (answer) => ({ relay: { forward: [next], acknowledge: answer } }),
  };
}

function* watchdog(identity: string): Asking<void> {
  yield {
    ask: `Watchdog (${identity}), yes or no`,
    byDefault: "yes",
    help: `The watchdog resets a machine whose site does not answer for ${WATCHDOG_TIMEOUT}: yes or no.`,
    words: YES_NO,
    keys: ["watchdog"],
    put: (answer) => ifYes(answer, { watchdog: { timeout: WATCHDOG_TIMEOUT } }),
  };
}

function* overwriting({ journal, array }: Storage): Asking<Outcome> {
  const held = [journal, ...array].filter(({ holds }) => holds !== undefined);
  if (held.length === 0) {
    // Of a journal alone nothing tells a new site from one whose journal was exchanged; here somebody said so.
    return { overwrite: array.length === 0, loses: false };
  }
  const answer = yield {
    intro: `These drives are not blank:\n${columns(held.map(({ path, holds = "" }): [string, string] => [path, holds]))}`,
    ask: "Lay out ALL of this site's drives anew",
    byDefault: "no",
    help:
      "yes: everything on the drives that were chosen is lost. no: a site whose own drives these are goes on with what they " +
      "hold; any other refuses them, and nothing is lost.",
    words: YES_NO,
    keys: [],
    put: (text) => ifYes(text, {}),
  };
  return { overwrite: answer === "yes", loses: answer === "yes" };
}

function ifYes(answer: string, sections: Sections): Sections | string {
  if (!YES_NO.includes(answer)) return "Answer yes or no.";
  return answer === "yes" ? sections : {};
}

/** Drives by their numbers in the list, or by their paths. */
function drivesOf(answer: string, all: readonly MachineDrive[]): { found: readonly MachineDrive[]; fault?: string } {
  const found: MachineDrive[] = [];
  for (const each of list(answer)) {
    const drive = /^\d+$/.test(each) ? all[Number(each) - 1] : all.find(({ path }) => path === each);
    if (drive === undefined) return { found, fault: `There is no drive ${each}.` };
    if (drive.usedBy !== undefined) return { found, fault: `Drive ${each} is not to be had: ${drive.usedBy}.` };
    found.push(drive);
  }
  return { found };
}

function driveRow({ path, size: bytes, model, usedBy, holds }: MachineDrive, at: number): [string, string] {
  const about = [size(bytes), model, usedBy ?? (holds === undefined ? "blank" : `holds ${holds}`)];
  return [`${at + 1}  ${path}`, about.filter((text) => text !== "").join(", ")];
}

/** Words with spaces or commas between. */
function list(answer: string): readonly string[] {
  return answer.split(/[\s,]+/).filter((word) => word !== "");
}

function listed(key: string, answer: string): Sections {
  return answer === NONE ? {} : { [key]: list(answer) };
}

/** What is no number stays text, for the schema to refuse. */
function number(text: string): number | string {
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

/** All that fits, as people write it. */
function roundDown(bytes: ByteCount): string {
  const unit = bytes >= 16 * GiB ? GiB : MiB;
  return formatSize(byteCount(Math.floor(bytes / unit) * unit));
}
