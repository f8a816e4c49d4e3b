/**
 * The configuration of one site: read from YAML as a whole or refused as a whole, with every problem in it named.
 * It only describes; nothing here looks at drives, the network or the machine.
 */

import { assert } from "../base/assert.ts";
import { type VolumeId, volumeId } from "../base/units.ts";
import { checkConsistency, driveIndex } from "./consistency.ts";
import { ConfigDocument } from "./document.ts";
import { nearest } from "./nearest.ts";
import { resolvePath } from "./paths.ts";
import { ConfigError, type KeyPath, type Problem } from "./problem.ts";
import { entries, knownKeys, NOT_YET, type Sections, sections, show, VALUE_NOT_YET } from "./schema.ts";

type DeepReadonly<T> = T extends string | number | boolean | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? readonly DeepReadonly<Item>[]
    : { readonly [Key in keyof T]: DeepReadonly<T[Key]> };

type Section<Key extends keyof Sections> = DeepReadonly<NonNullable<Sections[Key]>>;
type ByName<T> = Readonly<Record<string, T>>;

export type Role = Sections["role"];
export type Location = NonNullable<SiteConfig["location"]>;
export type SiteConfig = Section<"site">;
/** `size` is there when a missing file may be made, of that size. Paths are resolved. */
export type DriveConfig = Section<"drives">[number];
export type RemoteSiteConfig = Section<"sites">[string];
export type JournalConfig = Section<"journal">;
/** `reservations` is a folder's path, resolved; without it no reservation of hosts outlives the site. */
export type TargetConfig = Section<"target">;
export type ChapConfig = NonNullable<TargetConfig["chap"]>;
export type MirrorConfig = Section<"mirror">;
export type RelayConfig = Section<"relay">;
export type WatchdogConfig = Section<"watchdog">;
/** `tls` are paths of files in PEM, resolved. */
export type ManagementConfig = Section<"management">;
/** Of an appliance: a site that is a plain process leaves its machine's network alone. */
export type NetworkConfig = Section<"network">;
/** `from` is empty on a primary that nothing feeds. */
export type LinkConfig = Omit<Section<"link">, "from"> & { readonly from: readonly string[] };

export type ArrayConfig = Omit<Section<"arrays">[string], "drives"> & {
  readonly name: string;
  /** Places in `Config.drives`, in the order of the array's slots. */
  readonly drives: readonly number[];
};

export type VolumeConfig = Section<"volumes">[string] & {
  readonly name: string;
  /** The LUN, the same at every site of the group. */
  readonly id: VolumeId;
};

interface Common {
  /** The file it was read from, as given. */
  readonly file: string;
  readonly site: SiteConfig;
  readonly group: string;
  readonly drives: readonly DriveConfig[];
  /** Empty at a site without storage of its own. */
  readonly arrays: ByName<ArrayConfig>;
  /** At least one. All of them name their array, or, where `arrays` is empty, none does. */
  readonly volumes: ByName<VolumeConfig>;
  readonly journal: JournalConfig;
  /** The other sites. */
  readonly sites: ByName<RemoteSiteConfig>;
  /** Without it nothing is armed. */
  readonly watchdog?: WatchdogConfig;
  /** Without it nothing is answered over HTTP. */
  readonly management?: ManagementConfig;
  readonly control: { readonly socket: string };
  readonly network?: NetworkConfig;
}

export interface PrimaryConfig extends Common {
  readonly role: "primary";
  readonly target: TargetConfig;
  /** `legs` is empty for a single site; then there are arrays. */
  readonly mirror: MirrorConfig;
  readonly link?: LinkConfig;
}

export interface BackupConfig extends Common {
  readonly role: "backup";
  readonly link: LinkConfig;
}

/** A remote mirror site; has at least one array. */
export interface MirrorSiteConfig extends Common {
  readonly role: "mirror";
  readonly link: LinkConfig;
}

export interface RelayPointConfig extends Common {
  readonly role: "relay";
  readonly link: LinkConfig;
  readonly relay: RelayConfig;
}

export type Config = PrimaryConfig | BackupConfig | MirrorSiteConfig | RelayPointConfig;

export interface ParseOptions {
  /** The path without symbolic links, or undefined where it leads nowhere; finds a drive that is listed under two names. */
  readonly realPath?: (path: string) => string | undefined;
}

/**
 * @param text the file's content
 * @param file its path: for messages, and its folder is where relative paths in it start
 * @throws ConfigError (`config.invalid`) with every problem found
 */
export function parseConfig(text: string, file: string, options: ParseOptions = {}): Config {
  const document = new ConfigDocument(text);
  const problems: Problem[] = [...document.problems];
  const { value } = document;
  if (value === undefined) throw new ConfigError(file, inOrder(problems));
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const found = value === null ? "the file is empty" : `the file holds ${show(value)}`;
    problems.push(document.problem([], `${found}; a configuration is a section with site, group, role and more`));
    throw new ConfigError(file, inOrder(problems));
  }

  const given = value as Readonly<Record<string, unknown>>;
  const known = checkSections(given, document, problems);
  const folder = file.includes("/") ? file.slice(0, file.lastIndexOf("/") + 1) : "";
  const resolve = (path: string) => resolvePath(folder, path);
  const samePath = (path: string) => options.realPath?.(resolve(path)) ?? resolve(path);
  const socket = resolve(known.control?.socket ?? `/run/antipode/${known.site?.name ?? "site"}.sock`);

  checkConsistency(known, new Set(Object.keys(given)), {
    add: (path, message) => problems.push(document.problem(path, message)),
    addKey: (path, message) => problems.push(document.keyProblem(path, message)),
    namesIn: (section) => Object.keys(asObject(given[section])),
    samePath,
  });
  if (new TextEncoder().encode(socket).length > SOCKET_PATH_BYTES_MAX) {
    problems.push(
      document.problem(["control", "socket"], `${socket} is too long: at most ${SOCKET_PATH_BYTES_MAX} bytes`),
    );
  }
  if (problems.length > 0) throw new ConfigError(file, inOrder(problems));
  return compose(file, known as Sections, resolve, samePath, socket);
}

/** What fits in a `sockaddr_un` with the zero byte at its end, unix(7). */
const SOCKET_PATH_BYTES_MAX = 107;

function checkSections(
  given: Readonly<Record<string, unknown>>,
  document: ConfigDocument,
  problems: Problem[],
): Partial<Sections> {
  const known: Partial<Record<keyof Sections, unknown>> = {};
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(sections, key)) problems.push(document.keyProblem([key], unknownKey([key])));
  }
  for (const key of Object.keys(sections) as (keyof Sections)[]) {
    const parsed = sections[key].safeParse(given[key]);
    if (parsed.success) {
      known[key] = parsed.data;
      continue;
    }
    if (isByName(key)) known[key] = validEntries(key, given[key]);
    for (const issue of parsed.error.issues) {
      const path = [key, ...issue.path.map((part) => (typeof part === "number" ? part : String(part)))];
      if (issue.code === "unrecognized_keys" && knownKeys(path).includes("secret")) {
        // What stands there as a key may be the rest of a secret with a comma.
        const allowed = knownKeys(path).join(", ");
        const hint = "a value with a comma needs quotes";
        problems.push(document.problem(path, `has an unknown key: allowed are ${allowed}; ${hint}`));
      } else if (issue.code === "unrecognized_keys") {
        for (const name of issue.keys) problems.push(document.keyProblem([...path, name], unknownKey([...path, name])));
      } else if (issue.code === "invalid_key") {
        for (const { message } of issue.issues) problems.push(document.keyProblem(path, message));
      } else {
        problems.push(document.problem(path, valueNotYet(path, given) ?? issue.message));
      }
    }
  }
  return known as Partial<Sections>;
}

function isByName(key: string): key is keyof typeof entries {
  return Object.hasOwn(entries, key);
}

/** So that one faulty entry leaves the others checked against each other. */
function validEntries(section: keyof typeof entries, given: unknown): Readonly<Record<string, unknown>> {
  const parsed = Object.entries(asObject(given)).map(
    ([name, entry]) => [name, entries[section].safeParse(entry)] as const,
  );
  return Object.fromEntries(parsed.flatMap(([name, { success, data }]) => (success ? [[name, data]] : [])));
}

/** The entry of a table keyed by paths, in which `*` stands for any one key. */
function lookUp<T>(table: Readonly<Record<string, T>>, path: KeyPath): T | undefined {
  const entry = Object.entries(table).find(([pattern]) => {
    const parts = pattern.split(".");
    return parts.length === path.length && parts.every((part, at) => part === "*" || part === path[at]);
  });
  return entry?.[1];
}

/** What is wrong with a key that the schema does not have, and which are right in its place. */
export function unknownKey(path: KeyPath): string {
  const feature = lookUp(NOT_YET, path);
  if (feature !== undefined) return `this version does not have ${feature} yet; leave the key out`;
  const allowed = knownKeys(path.slice(0, -1));
  const guess = nearest(String(path[path.length - 1]), allowed);
  return `unknown key${guess === undefined ? "" : `: did you mean ${guess}?`}${guess === undefined ? ":" : ""} allowed are ${allowed.join(", ")}`;
}

function valueNotYet(path: KeyPath, given: unknown): string | undefined {
  let found = given;
  for (const key of path) found = asObject(found)[key];
  const known = lookUp(VALUE_NOT_YET, path);
  if (!known?.values.includes(found)) return undefined;
  return `this version does not have ${show(found)} yet; use ${known.instead}`;
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function inOrder(problems: readonly Problem[]): readonly Problem[] {
  return problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

function compose(
  file: string,
  known: Sections,
  resolve: (path: string) => string,
  samePath: (path: string) => string,
  socket: string,
): Config {
  const { site, group, role, sites, network } = known;
  const drives = known.drives.map((drive) => ({ ...drive, path: resolve(drive.path) }));
  const arrays = mapValues(known.arrays, (array, name) => ({
    ...array,
    name,
    drives: array.drives.map((member) => {
      const index = driveIndex(known.drives, member, samePath);
      assert(index !== undefined, "a consistent array's drives are listed");
      return index;
    }),
  }));
  const volumes = mapValues(known.volumes, (volume, name) => ({ ...volume, name, id: volumeId(volume.lun) }));
  const journal = { ...known.journal, device: resolve(known.journal.device) };
  const watchdog = known.watchdog && { ...known.watchdog, device: resolve(known.watchdog.device) };
  const tls = known.management?.tls;
  const management = known.management && {
    ...known.management,
    tls: tls && { key: resolve(tls.key), certificate: resolve(tls.certificate) },
  };
  const storage = { drives, arrays, volumes, journal };
  const common = { file, site, group, ...storage, sites, watchdog, management, control: { socket }, network };
  const link = known.link && { ...known.link, from: known.link.from ?? [] };
  const { relay, mirror = { legs: [], onLegLoss: "suspend" } } = known;
  const reservations = known.target?.reservations && resolve(known.target.reservations);
  const target = known.target && { ...known.target, reservations };
  switch (role) {
    case "primary":
      assert(target !== undefined, "a consistent primary has a target");
      return { ...common, role, target, mirror, link };
    case "relay":
      assert(link !== undefined && relay !== undefined, "a consistent relay point has a link and its next sites");
      return { ...common, role, link, relay };
    case "mirror":
    case "backup":
      assert(link !== undefined, "a consistent mirror site or backup has a link");
      return { ...common, role, link };
  }
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, map: (value: T, key: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]));
}
