/**
 * The keys of a site's configuration, one schema for each section, and what each value may be.
 * Unknown keys are refused. A section is checked here by itself; what holds between sections is in consistency.ts.
 */

import * as z from "zod";
import { BLOCK_BYTES, type ByteCount, byteCount, GiB, KiB, MiB, type Millis, millis } from "../base/units.ts";
import { parseIp, parseIpPrefix } from "./ip.ts";
import {
  type HostPort,
  iqnFault,
  iscsiNameFault,
  isName,
  NAME_RULE,
  parseHostPort,
  parseNutName,
  parseSupplyName,
} from "./names.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./quantity.ts";

export const CHUNK_DEFAULT = byteCount(64 * KiB);
export const CACHE_DEFAULT = byteCount(128 * MiB);
export const WINDOW_DEFAULT = byteCount(64 * MiB);
export const HEARTBEAT_DEFAULT = millis(500);
export const SILENCE_DEFAULT = millis(3000);
export const WATCHDOG_DEFAULT = "/dev/watchdog";
export const WATCHDOG_TIMEOUT_DEFAULT = millis(30_000);

/** LUNs of the peripheral device addressing method, SAM-5 section 4.7.7.2. */
const LUN_MAX = 255;
const CHUNK_MAX = byteCount(1 * MiB);
/** A cache or window past this is a slip of the pen on any appliance. */
const MEMORY_MAX = byteCount(64 * GiB);
/** A window holds at least a few of the largest data write requests. */
const WINDOW_MIN = byteCount(4 * MiB);
/** A cache smaller than the largest data write request would hold none of it. */
const CACHE_MIN = byteCount(1 * MiB);
const JOURNAL_SIZE_MIN = byteCount(16 * MiB);
const DRIVE_SIZE_MIN = byteCount(16 * MiB);
const HEARTBEAT_MIN = millis(10);
const SILENCE_MAX = millis(10 * 60_000);
/** Watchdogs count whole seconds; one that is shorter would reset a machine that is only busy. */
const WATCHDOG_TIMEOUT_MIN = millis(2000);
const WATCHDOG_TIMEOUT_MAX = millis(10 * 60_000);
/** What IPv6 needs at the least (RFC 8200, section 5); what network cards carry at the most. */
const MTU_MIN = 1280;
const MTU_MAX = 9216;
const MTU_DEFAULT = 1500;

/** RFC 7143 section 12.1: 96 bits at the least. Characters that every initiator can be given. */
const SECRET_RULE =
  "a secret of 12 to 255 printable ASCII characters without spaces, in quotes if it could be a number";
const CHAP_ALGORITHMS = ["md5", "sha1", "sha256", "sha3-256"] as const;

/** How a value appears in a message. */
export function show(value: unknown): string {
  if (typeof value === "string")
    return value.length > 60 ? JSON.stringify(`${value.slice(0, 57)}...`) : JSON.stringify(value);
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a section";
  return String(value);
}

const MISSING = "is missing: give ";

function mismatch(value: unknown, expected: string): string {
  if (value === undefined) return `${MISSING}${expected}`;
  if (value === null) return `has no value: give ${expected}`;
  return `${show(value)} is not ${expected}`;
}

const expecting = (expected: string) => ({
  error: ({ input }: { input?: unknown }) => mismatch(input, expected),
});

/** What is wrong with a value, in words of its parser's own. */
class Fault {
  constructor(readonly message: string) {}
}

/** A value as `parse` reads it; where that returns undefined, the value is "not `expected`". */
function value<T>(expected: string, parse: (input: unknown) => T | Fault | undefined) {
  return z.unknown().transform((input, context): T => {
    const parsed = input === undefined || input === null ? undefined : parse(input);
    if (parsed === undefined) context.addIssue({ code: "custom", message: mismatch(input, expected) });
    else if (parsed instanceof Fault) context.addIssue({ code: "custom", message: parsed.message });
    else return parsed;
    return z.NEVER;
  });
}

function text<T>(expected: string, parse: (input: string) => T | Fault | undefined) {
  return value<T>(expected, (input) => (typeof input === "string" ? parse(input) : undefined));
}

const name = text(NAME_RULE, (input) => (isName(input) ? input : undefined));

const path = text("the path of a device or file", (input) =>
  input === "" || input.includes("\0") ? undefined : input,
);

/** A size from `min` to `max`, in whole blocks of the pipeline. */
function size(example: string, min: ByteCount, max?: ByteCount) {
  return text<ByteCount>(`a size such as ${example}: a whole number and B, KiB, MiB, GiB or TiB`, (input) => {
    const parsed = parseSize(input);
    if (parsed === undefined) return undefined;
    if (parsed < min) return new Fault(`${input} is too small: at least ${formatSize(min)}`);
    if (max !== undefined && parsed > max) return new Fault(`${input} is too large: at most ${formatSize(max)}`);
    if (parsed % BLOCK_BYTES !== 0)
      return new Fault(`${input} is not a multiple of ${formatSize(byteCount(BLOCK_BYTES))}`);
    return parsed;
  });
}

function duration(example: string, min: Millis, max: Millis) {
  return text<Millis>(`a length of time such as ${example}: a whole number and ms, s or min`, (input) => {
    const parsed = parseDuration(input);
    if (parsed === undefined || (parsed >= min && parsed <= max)) return parsed;
    return new Fault(`${input} is out of range: ${formatDuration(min)} to ${formatDuration(max)} are allowed`);
  });
}

function integer(expected: string, min: number, max: number) {
  return value(expected, (input) => {
    return typeof input === "number" && Number.isInteger(input) && input >= min && input <= max ? input : undefined;
  });
}

/** The values of those that are one of a few. */
const ALLOWED = new WeakMap<z.core.$ZodType, readonly (string | number)[]>();

function oneOf<const T extends string | number>(...allowed: readonly T[]) {
  const words = allowed.map(String);
  const last = words.pop();
  const schema = value(words.length === 0 ? `${last}` : `${words.join(", ")} or ${last}`, (input) =>
    allowed.find((one) => one === input),
  );
  ALLOWED.set(schema, allowed);
  return schema;
}

function address(kind: "listen" | "connect") {
  const expected =
    kind === "listen" ? "an address such as 0.0.0.0:3260 or [::]:3260" : "an address such as boulder.example:7400";
  return text<HostPort>(expected, (input) => {
    const parsed = parseHostPort(input);
    if (parsed?.port !== 0 || kind === "listen") return parsed;
    return new Fault(`${show(input)} has port 0, which cannot be connected to`);
  });
}

const coordinate = (expected: string, max: number) =>
  z.number(expecting(expected)).min(-max, expecting(expected)).max(max, expecting(expected));

function section<Shape extends z.core.$ZodLooseShape>(expected: string, shape: Shape) {
  return z.strictObject(shape, expecting(expected));
}

/** A list with at least one item. */
function list<Item extends z.ZodType>(expected: string, item: Item) {
  return z.array(item, expecting(expected)).min(1, { message: `is empty: give ${expected}` });
}

function byName<Item extends z.ZodType>(expected: string, item: Item) {
  return z.record(name, item, expecting(expected));
}

const location = section("a section with latitude and longitude", {
  latitude: coordinate("a number of degrees from -90 to 90, north positive", 90),
  longitude: coordinate("a number of degrees from -180 to 180, east positive", 180),
});

const drive = z.preprocess(
  (input) => (typeof input === "string" ? { path: input } : input),
  section("a path, or a section with path and size", {
    path,
    size: size("4GiB", DRIVE_SIZE_MIN).optional(),
  }),
);

const driveReference = value("a drive's place in 'drives', counted from 0, or its path", (input) => {
  if (typeof input === "number") return Number.isInteger(input) && input >= 0 ? input : undefined;
  return typeof input === "string" && input !== "" ? input : undefined;
});

const array = section("a section with level and drives", {
  level: oneOf(1, 5),
  drives: list("a list of drives, each by its place in 'drives', counted from 0, or by its path", driveReference),
  chunk: size("64KiB", byteCount(BLOCK_BYTES), CHUNK_MAX)
    .refine((chunk) => (chunk & (chunk - 1)) === 0, { message: "is not a power of two, such as 64KiB" })
    .default(CHUNK_DEFAULT),
});

const lun = integer(`a LUN: a whole number from 0 to ${LUN_MAX}`, 0, LUN_MAX);

const volume = section("a section with size and lun", {
  array: name.optional(),
  size: size("100GiB", byteCount(BLOCK_BYTES)),
  lun,
  blockSize: oneOf(512, 4096).default(512),
});

const battery = section("a section with nut or sysfs; leave it out where there is no battery", {
  nut: text("a UPS and its NUT server such as ups@127.0.0.1", parseNutName).optional(),
  sysfs: text("a name that is in /sys/class/power_supply such as BAT0", parseSupplyName).optional(),
});

const journal = section("a section with device", {
  device: path,
  size: size("1GiB", JOURNAL_SIZE_MIN).optional(),
  window: size("64MiB", WINDOW_MIN, MEMORY_MAX).default(WINDOW_DEFAULT),
  cache: size("128MiB", CACHE_MIN, MEMORY_MAX).default(CACHE_DEFAULT),
  acknowledge: oneOf("journalled").default("journalled"),
  battery: battery.optional(),
});

function iscsiName(expected: string, faultOf: (input: string) => string | undefined) {
  return text<string>(expected, (input) => {
    const fault = faultOf(input);
    return fault === undefined ? input : new Fault(`${show(input)} ${fault}`);
  });
}

const initiatorName = iscsiName("an initiator's iSCSI name such as iqn.1993-08.org.debian:01:db1", iscsiNameFault);

/** What is wrong is said without the value, as everything is where secrets stand. */
function unshown(expected: string) {
  return {
    error: ({ input }: { input?: unknown }) =>
      input === undefined || input === null ? mismatch(input, expected) : `is not ${expected}`,
  };
}

const secret = value(SECRET_RULE, (input) =>
  typeof input === "string" && /^[!-~]{12,255}$/.test(input) ? input : new Fault(`is not ${SECRET_RULE}`),
);

const chapUser = value("a user's name", (input) =>
  typeof input === "string" && /^[!-~]{1,255}$/.test(input)
    ? input
    : new Fault("is not a user's name: 1 to 255 printable ASCII characters without spaces"),
);

const chapUsers = z
  .array(
    z.strictObject(
      { user: chapUser, secret, initiators: list("a list of initiators' iSCSI names", initiatorName).optional() },
      unshown("a section with user and secret"),
    ),
    unshown("a list of users, each a section with user and secret"),
  )
  .min(1, { message: "is empty: give a list of users, each a section with user and secret" });

const chap = z.strictObject(
  {
    users: chapUsers,
    mutual: z.strictObject({ user: chapUser, secret }, unshown("a section with user and secret")).optional(),
    discovery: chapUsers.optional(),
    algorithms: list(`a list of ${CHAP_ALGORITHMS.join(", ")}`, oneOf(...CHAP_ALGORITHMS)).default([
      ...CHAP_ALGORITHMS,
    ]),
  },
  unshown("a section with users"),
);

const host = section("a section with initiators", {
  initiators: list("a list of the iSCSI names of the host's initiators", initiatorName),
  volumes: byName("a section of LUNs by the names of volumes, such as { db01: 0 }", lun).optional(),
  portals: list("a list of addresses that are in 'target.listen'", address("connect")).optional(),
});

const target = section("a section with iqn and listen", {
  iqn: iscsiName("an iSCSI qualified name such as iqn.2026-11.example.storage:prod", iqnFault),
  listen: list('a list of addresses such as ["0.0.0.0:3260"]', address("listen")),
  initiators: list("a list of initiators' iSCSI names", initiatorName).optional(),
  hosts: byName("a section of hosts by name", host).optional(),
  chap: chap.optional(),
  errorRecoveryLevel: oneOf(0, 1, 2).default(0),
  reservations: path.optional(),
});

const remoteSite = section("a section with address", {
  address: address("connect"),
  location: location.optional(),
});

const mirror = section("a section with legs", {
  legs: z.array(
    list("a leg: a list of site names", name),
    expecting("a list of legs, each a list of site names such as [relay, boston]"),
  ),
  onLegLoss: oneOf("suspend").default("suspend"),
});

const relay = section("a section with forward", {
  forward: list("a list of the sites that this relay point forwards to", name),
  acknowledge: oneOf("hop", "end").default("hop"),
});

const link = section("a section with listen, and from on all sites but the primary", {
  listen: address("listen"),
  from: list("a list of the sites that may feed this one", name).optional(),
  heartbeat: duration("500ms", HEARTBEAT_MIN, SILENCE_MAX).default(HEARTBEAT_DEFAULT),
  silence: duration("3s", HEARTBEAT_MIN, SILENCE_MAX).default(SILENCE_DEFAULT),
});

const watchdog = section("a section with device and timeout", {
  device: path.default(WATCHDOG_DEFAULT),
  timeout: duration("30s", WATCHDOG_TIMEOUT_MIN, WATCHDOG_TIMEOUT_MAX)
    .refine((timeout) => timeout % 1000 === 0, { message: "is not a whole number of seconds, such as 30s" })
    .default(WATCHDOG_TIMEOUT_DEFAULT),
});

const management = section("a section with listen", {
  listen: address("listen"),
  tls: section("a section with key and certificate", { key: path, certificate: path }).optional(),
});

const control = section("a section with socket", { socket: path.optional() });

const interfaceName = text(
  "an interface's name of at most 15 characters: a-z, 0-9, '.', '_' and '-', starting with a letter",
  (input) => (/^[a-z][a-z0-9._-]{0,14}$/.test(input) && !/^(lo|all|default)$/.test(input) ? input : undefined),
);

const ipAddress = (example: string, family?: 4 | 6) =>
  text(`an ${family === undefined ? "IP" : `IPv${family}`} address such as ${example}`, (input) => {
    const parsed = parseIp(input);
    return parsed === undefined || (family !== undefined && parsed.family !== family) ? undefined : input;
  });

/** What an interface, a bond and a VLAN all have. */
const addressing = {
  addresses: list(
    "a list of addresses with their networks",
    text("an IP address with its network's length, such as 192.0.2.7/24", (input) =>
      parseIpPrefix(input) === undefined ? undefined : input,
    ),
  ).default([]),
  dhcp: z.boolean(expecting("true or false")).default(false),
  mtu: integer(`a whole number from ${MTU_MIN} to ${MTU_MAX}`, MTU_MIN, MTU_MAX).default(MTU_DEFAULT),
};

const networkInterface = section("a section, which may be empty: {}", {
  mac: text("a hardware address such as 52:54:00:12:34:56", (input) =>
    /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(input) ? input.toLowerCase() : undefined,
  ).optional(),
  ...addressing,
});

const bond = section("a section with interfaces", {
  interfaces: list("a list of interfaces' names", interfaceName),
  mode: oneOf("active-backup", "802.3ad", "balance-xor").default("active-backup"),
  ...addressing,
});

const vlan = section("a section with on and id", {
  on: interfaceName,
  id: integer("a VLAN's number: 1 to 4094", 1, 4094),
  ...addressing,
});

const network = section("a section with interfaces", {
  hostname: name.optional(),
  interfaces: z.record(interfaceName, networkInterface, expecting("a section of interfaces by name")),
  bonds: z.record(interfaceName, bond, expecting("a section of bonds by name")).default({}),
  vlans: z.record(interfaceName, vlan, expecting("a section of VLANs by name")).default({}),
  gateway: ipAddress("192.0.2.1", 4).optional(),
  gateway6: ipAddress("2001:db8::1", 6).optional(),
  dns: list("a list of name servers' addresses", ipAddress("192.0.2.53")).default([]),
  ntp: list(
    "a list of time servers",
    text("a time server's name or address", (input) =>
      /^[A-Za-z0-9]([A-Za-z0-9.-]{0,252})$/.test(input) || parseIp(input) !== undefined ? input : undefined,
    ),
  ).default([]),
});

export const sections = {
  site: section("a section with name and location", { name, location: location.optional() }),
  group: name,
  role: oneOf("primary", "backup", "mirror", "relay"),
  drives: list("a list of the drives' paths", drive).default([]),
  arrays: byName("a section of arrays by name", array).default({}),
  volumes: byName("a section of volumes by name", volume),
  journal,
  target: target.optional(),
  sites: byName("a section of sites by name", remoteSite).default({}),
  mirror: mirror.optional(),
  relay: relay.optional(),
  link: link.optional(),
  watchdog: watchdog.optional(),
  management: management.optional(),
  control: control.default({}),
  network: network.optional(),
} as const satisfies Record<string, z.ZodType>;

/** What stands under each name in the sections that are by name. */
export const entries = { arrays: array, volumes: volume, sites: remoteSite } as const;

/** A configuration whose sections are each valid by themselves. */
export type Sections = { readonly [Key in keyof typeof sections]: z.output<(typeof sections)[Key]> };

/** Keys of the design that this version does not have yet, so that nobody looks for a slip of the pen. `*` is any name. */
export const NOT_YET: Readonly<Record<string, string>> = {
  "arrays.*.spares": "hot spares",
  "link.tls": "TLS between sites",
  pair: "a paired backup appliance that takes over",
};

/** Values of the design that this version does not have yet, by the path of their key. */
export const VALUE_NOT_YET: Readonly<
  Record<string, { readonly values: readonly unknown[]; readonly instead: string }>
> = {
  "arrays.*.level": { values: [0, 6, 10], instead: "1 or 5" },
  "mirror.onLegLoss": { values: ["continue"], instead: "suspend" },
  "journal.acknowledge": { values: ["stored"], instead: "journalled" },
};

/** The keys of the section at `path`, or none if there is no section of fixed keys. */
export function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  if (path.length === 0) return Object.keys(sections);
  const found = unwrap(schemaAt(path));
  return found instanceof z.ZodObject ? Object.keys(found.shape) : [];
}

/** What may stand at a key, for those who write it. */
export interface KeyDescription {
  readonly kind: "section" | "entries" | "list" | "value";
  /** In words, such as `a size such as 100GiB`. */
  readonly expected: string;
  /** All the values that there are, where it is one of a few. */
  readonly allowed: readonly (string | number)[];
}

/** @returns undefined where the schema has no such key; any name stands for an entry, any number for an item */
export function describeKey(path: readonly PropertyKey[]): KeyDescription | undefined {
  let schema = schemaAt(path);
  if (schema === undefined) return undefined;
  while (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) schema = schema.unwrap();
  const bare = unwrap(schema);
  const kind =
    bare instanceof z.ZodObject
      ? "section"
      : bare instanceof z.ZodRecord
        ? "entries"
        : bare instanceof z.ZodArray
          ? "list"
          : "value";
  const missing = z.safeParse(schema, undefined).error?.issues[0].message ?? "";
  return { kind, expected: missing.replace(MISSING, ""), allowed: ALLOWED.get(schema) ?? [] };
}

function schemaAt(path: readonly PropertyKey[]): z.core.$ZodType | undefined {
  let at: z.core.$ZodType | undefined = Object.hasOwn(sections, path[0])
    ? (sections as Readonly<Record<string, z.ZodType>>)[String(path[0])]
    : undefined;
  for (const key of path.slice(1)) {
    const inner = unwrap(at);
    if (inner instanceof z.ZodObject) at = Object.hasOwn(inner.shape, key) ? inner.shape[String(key)] : undefined;
    else if (inner instanceof z.ZodArray) at = typeof key === "number" ? inner.element : undefined;
    else if (inner instanceof z.ZodRecord) at = inner.valueType;
    else return undefined;
  }
  return at;
}

function unwrap(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return unwrap(schema.unwrap());
  if (schema instanceof z.ZodPipe) return unwrap(schema.out instanceof z.ZodTransform ? schema.in : schema.out);
  return schema;
}
