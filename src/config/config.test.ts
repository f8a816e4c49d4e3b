import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { isOperatingError } from "../base/operating-error.ts";
import { byteCount } from "../base/units.ts";
import { type Config, type ParseOptions, type PrimaryConfig, parseConfig } from "./config.ts";
import { ConfigError } from "./problem.ts";
import { formatSize } from "./quantity.ts";

const PRIMARY = `site: { name: denver, location: { latitude: 39.74, longitude: -104.99 } }
group: prod
role: primary
drives: [/dev/a, disks/b, /dev/c]
arrays: { main: { level: 5, drives: [0, disks/b, 2], chunk: 128KiB } }
volumes: { db01: { array: main, size: 100GiB, lun: 0 } }
journal: { device: /dev/pmem0 }
target: { iqn: "iqn.2026-11.dev.antipode:prod", listen: ["0.0.0.0:3260"] }
sites:
  boulder: { address: "boulder.example:7400" }
  relay-east: { address: "relay-east.example:7400" }
  boston: { address: "boston.example:7400" }
mirror: { legs: [[boulder], [relay-east, boston]], onLegLoss: suspend }
`;

const RELAY = `site: { name: relay-east }
group: prod
role: relay
volumes: { db01: { size: 100GiB, lun: 0 } }
journal: { device: journal.img, size: 1GiB }
link: { listen: "0.0.0.0:7400", from: [denver] }
relay: { forward: [boston], acknowledge: end }
sites: { boston: { address: "boston.example:7400" } }
control: { socket: run/ctl.sock }
`;

const MIRROR = `site: { name: boston }
group: prod
role: mirror
drives: [{ path: a.img, size: 1GiB }, { path: b.img, size: 1GiB }]
arrays: { main: { level: 1, drives: [0, 1] } }
volumes: { db01: { array: main, size: 512MiB, lun: 7, blockSize: 4096 } }
journal: { device: journal.img, size: 64MiB, window: 8MiB, cache: 4MiB, acknowledge: journalled }
link: { listen: "[::]:7400", from: [relay-east], heartbeat: 100ms, silence: 1s }
`;

const APPLIANCE = `${PRIMARY}network:
  interfaces:
    eth0: { addresses: ["192.0.2.7/24", "2001:db8::7/64"] }
    eth1: { mtu: 9000 }
    eth2: { mac: "52:54:00:00:00:0A", mtu: 9000 }
  bonds: { bond0: { interfaces: [eth1, eth2], mtu: 9000 } }
  vlans: { san: { on: bond0, id: 100, mtu: 9000, addresses: ["198.51.100.7/24"] } }
  gateway: 192.0.2.1
`;

const DISKLESS = PRIMARY.replace(/drives: .*\narrays: .*\n/, "")
  .replace("array: main, ", "")
  .replace(/mirror: .*/, "mirror: { legs: [[boulder]] }");

function problemsOf(text: string, options?: ParseOptions): string[] {
  try {
    parseConfig(text, "c.yaml", options);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ line, column, path, message }) => `${line}:${column} ${path}: ${message}`);
  }
  return [];
}

/** Replaces what must be there, so that no test passes on a change that was not made. */
function change(text: string, from: string, to: string): string {
  expect(text).toContain(from);
  return text.replace(from, to);
}

describe("a valid configuration", () => {
  it("of a primary is read as a whole", () => {
    expect(parseConfig(PRIMARY, "etc/c.yaml")).toEqual({
      file: "etc/c.yaml",
      site: { name: "denver", location: { latitude: 39.74, longitude: -104.99 } },
      group: "prod",
      role: "primary",
      drives: [{ path: "/dev/a" }, { path: "etc/disks/b" }, { path: "/dev/c" }],
      arrays: { main: { name: "main", level: 5, drives: [0, 1, 2], chunk: 131072 } },
      volumes: { db01: { name: "db01", id: 0, array: "main", size: 107374182400, lun: 0, blockSize: 512 } },
      journal: { device: "/dev/pmem0", window: 67108864, cache: 134217728, acknowledge: "journalled" },
      target: {
        iqn: "iqn.2026-11.dev.antipode:prod",
        listen: [{ host: "0.0.0.0", port: 3260 }],
        errorRecoveryLevel: 0,
      },
      sites: {
        boulder: { address: { host: "boulder.example", port: 7400 } },
        "relay-east": { address: { host: "relay-east.example", port: 7400 } },
        boston: { address: { host: "boston.example", port: 7400 } },
      },
      mirror: { legs: [["boulder"], ["relay-east", "boston"]], onLegLoss: "suspend" },
      link: undefined,
      control: { socket: "/run/antipode/denver.sock" },
    });
  });

  it("of a diskless relay point needs no array", () => {
    const config = parseConfig(RELAY, "/etc/antipode/c.yaml");
    expect(config).toMatchObject({
      role: "relay",
      drives: [],
      arrays: {},
      volumes: { db01: { id: 0 } },
      journal: { device: "/etc/antipode/journal.img", size: 2 ** 30 },
      relay: { forward: ["boston"], acknowledge: "end" },
      link: { from: ["denver"], heartbeat: 500, silence: 3000 },
      control: { socket: "/etc/antipode/run/ctl.sock" },
    });
  });

  it("of a remote mirror site may have its drives made", () => {
    expect(parseConfig(MIRROR, "c.yaml")).toMatchObject({
      role: "mirror",
      drives: [
        { path: "a.img", size: 2 ** 30 },
        { path: "b.img", size: 2 ** 30 },
      ],
      volumes: { db01: { id: 7, blockSize: 4096 } },
      journal: { window: 8 * 2 ** 20, cache: 4 * 2 ** 20, acknowledge: "journalled" },
      link: { listen: { host: "::", port: 7400 }, heartbeat: 100, silence: 1000 },
    });
  });

  it("of a backup is fed by its link and has no target", () => {
    const backup = change(RELAY, "role: relay", "role: backup").replace(/relay: .*\n/, "");
    expect(parseConfig(backup, "c.yaml")).toMatchObject({ role: "backup", arrays: {} });
  });

  it("of a primary may have users that hosts log in as", () => {
    const target = (section: string) =>
      (parseConfig(change(PRIMARY, ...chap(section)), "c.yaml") as PrimaryConfig).target;
    expect(target("users: [{ user: a, secret: correct-horse }]").chap).toEqual({
      users: [{ user: "a", secret: "correct-horse" }],
      algorithms: ["md5", "sha1", "sha256", "sha3-256"],
    });
    const all = target(
      `users: [{ user: iqn.2001-04.a, secret: "123456789012", initiators: [iqn.2001-04.a] }], mutual: { user: t, secret: staple-battery },
       discovery: [{ user: f, secret: correct-horse }], algorithms: [sha256]`,
    ).chap;
    expect(all?.users[0]).toEqual({ user: "iqn.2001-04.a", secret: "123456789012", initiators: ["iqn.2001-04.a"] });
    expect(all).toMatchObject({ mutual: { user: "t" }, discovery: [{ user: "f" }], algorithms: ["sha256"] });
  });

  it("of a primary may give hosts volumes under LUNs of their own, at some of its portals", () => {
    const section = 'a: { initiators: [iqn.2001-04.a], volumes: { db01: 7 }, portals: ["[2001:db8::1]:860"] }';
    const { target } = parseConfig(change(PRIMARY, ...hosts(section)), "c.yaml") as PrimaryConfig;
    expect(target.hosts).toEqual({
      a: { initiators: ["iqn.2001-04.a"], volumes: { db01: 7 }, portals: [{ host: "2001:db8::1", port: 860 }] },
    });
  });

  it("of a site may have management, whose files start where the configuration is", () => {
    const managed = (section: string) => parseConfig(`management: ${section}\n${RELAY}`, "etc/c.yaml").management;
    expect(managed('{ listen: "127.0.0.1:8080" }')).toEqual({ listen: { host: "127.0.0.1", port: 8080 } });
    expect(managed('{ listen: "[::]:443", tls: { key: m.key, certificate: /m.pem } }')?.tls).toEqual({
      key: "etc/m.key",
      certificate: "/m.pem",
    });
    expect(parseConfig(RELAY, "c.yaml").management).toBeUndefined();
  });

  it("of a site may have a watchdog", () => {
    const watched = (section: string) => parseConfig(`watchdog: ${section}\n${RELAY}`, "etc/c.yaml").watchdog;
    expect(watched("{}")).toEqual({ device: "/dev/watchdog", timeout: 30_000 });
    expect(watched("{ device: ./watchdog1, timeout: 10min }")).toEqual({ device: "etc/watchdog1", timeout: 600_000 });
    expect(parseConfig(RELAY, "c.yaml").watchdog).toBeUndefined();
  });

  it("of an appliance has its network", () => {
    const link = { addresses: [], dhcp: false, mtu: 1500 };
    expect(parseConfig(APPLIANCE, "c.yaml").network).toEqual({
      interfaces: {
        eth0: { ...link, addresses: ["192.0.2.7/24", "2001:db8::7/64"] },
        eth1: { ...link, mtu: 9000 },
        eth2: { ...link, mtu: 9000, mac: "52:54:00:00:00:0a" },
      },
      bonds: { bond0: { ...link, interfaces: ["eth1", "eth2"], mode: "active-backup", mtu: 9000 } },
      vlans: { san: { ...link, on: "bond0", id: 100, mtu: 9000, addresses: ["198.51.100.7/24"] } },
      gateway: "192.0.2.1",
      dns: [],
      ntp: [],
    });
  });

  it("of a primary may stand alone, or have no storage but legs", () => {
    expect(parseConfig(PRIMARY.replace(/mirror: .*\n/, ""), "c.yaml")).toMatchObject({ mirror: { legs: [] } });
    expect(parseConfig(DISKLESS, "c.yaml")).toMatchObject({ arrays: {}, mirror: { legs: [["boulder"]] } });
  });
});

/** From a target without CHAP to one with it. */
const chap = (section: string): [from: string, to: string] => [
  '["0.0.0.0:3260"]',
  `["0.0.0.0:3260"], chap: { ${section} }`,
];

/** From a target that is open to all to one with hosts. */
const hosts = (section: string): [from: string, to: string] => [
  '["0.0.0.0:3260"]',
  `["192.0.2.1:3260", "[2001:db8::1]:860"], hosts: { ${section} }`,
];

/** Each makes a valid configuration wrong in one way. After a change of words: `vitest -u`, and read what changed. */
const slips: readonly (readonly [slip: string, base: string, from: string, to: string])[] = [
  ["an empty file", PRIMARY, PRIMARY, ""],
  ["a list", PRIMARY, PRIMARY, "[1]"],
  ["YAML that does not end", PRIMARY, "[/dev/a, disks/b, /dev/c]", "[/dev/a"],
  ["a key that stands twice", PRIMARY, "role: primary", "role: primary\ngroup: prod"],
  ["a second document", PRIMARY, "group:", "---\ngroup:"],
  ["a missing section", PRIMARY, "group: prod\n", ""],
  ["a key without value", PRIMARY, "group: prod", "group:"],
  ["an unknown key", PRIMARY, "size: 100GiB", "size: 100GiB, sise: 1GiB"],
  ["an unknown key that resembles none", PRIMARY, "size: 100GiB", "size: 100GiB, colour: red"],
  ["an unknown section", PRIMARY, "mirror:", "miror:"],
  ["a section that this version does not have", PRIMARY, "group: prod", "group: prod\npair: { peer: springs }"],
  ["spares", PRIMARY, "chunk: 128KiB", "spares: [3]"],
  ["a battery that is none", PRIMARY, "/dev/pmem0", "/dev/pmem0, battery: none"],
  ["a battery that nothing reads", PRIMARY, "/dev/pmem0", "/dev/pmem0, battery: {}"],
  ["a battery that is read in two ways", PRIMARY, "/dev/pmem0", "/dev/pmem0, battery: { sysfs: BAT0, nut: ups@a }"],
  ["a battery outside its folder", PRIMARY, "/dev/pmem0", "/dev/pmem0, battery: { sysfs: ../net }"],
  ["a UPS without its server", PRIMARY, "/dev/pmem0", "/dev/pmem0, battery: { nut: ups }"],
  ["a UPS whose name ends a line", PRIMARY, "/dev/pmem0", '/dev/pmem0, battery: { nut: "ups\\nFSD@a" }'],
  ["a level that this version does not have", PRIMARY, "level: 5", "level: 10"],
  ["a level that no version has", PRIMARY, "level: 5", "level: 3"],
  ["a level as text", PRIMARY, "level: 5", 'level: "5"'],
  ["going on without a leg", PRIMARY, "onLegLoss: suspend", "onLegLoss: continue"],
  ["a name in capitals", PRIMARY, "name: denver", "name: Denver"],
  ["a key that is no name", PRIMARY, "db01:", "db_01:"],
  ["a size in powers of ten", PRIMARY, "100GiB", "100GB"],
  ["a size that is no whole number of blocks", PRIMARY, "100GiB", "5000B"],
  ["a chunk that is no power of two", PRIMARY, "128KiB", "96KiB"],
  ["a chunk that is too large", PRIMARY, "128KiB", "2MiB"],
  ["a block size", PRIMARY, "lun: 0", "lun: 0, blockSize: 1024"],
  ["a LUN past the last", PRIMARY, "lun: 0", "lun: 256"],
  ["a LUN that is taken", PRIMARY, "lun: 0 }", "lun: 0 }, db02: { array: main, size: 1GiB, lun: 0 }"],
  ["no volumes", PRIMARY, "{ db01: { array: main, size: 100GiB, lun: 0 } }", "{}"],
  ["a volume of an unknown array", PRIMARY, "array: main", "array: mian"],
  ["a volume without array at a site that stores", PRIMARY, "array: main, ", ""],
  ["a volume with an array at a site that has none", RELAY, "{ size", "{ array: main, size"],
  ["too few drives", PRIMARY, "[0, disks/b, 2]", "[0, 1]"],
  ["a drive that is not there", PRIMARY, "[0, disks/b, 2]", "[0, 1, 3]"],
  ["a drive's path that is not listed", PRIMARY, "[0, disks/b, 2]", "[0, 1, /dev/d]"],
  ["a drive twice in an array", PRIMARY, "[0, disks/b, 2]", "[0, 1, ./disks/b]"],
  ["a drive in two arrays", PRIMARY, "arrays: { main:", "arrays: { b: { level: 1, drives: [1, 2] }, main:"],
  ["a drive listed twice", PRIMARY, "/dev/c]", "/dev/c, /dev/../dev/a]"],
  ["the journal on a drive", PRIMARY, "/dev/pmem0", "/dev/c"],
  ["a cache without unit", PRIMARY, "/dev/pmem0", "/dev/pmem0, cache: 4096"],
  ["a journal that is too small", PRIMARY, "/dev/pmem0", "/dev/pmem0, size: 1MiB"],
  ["write-through", RELAY, "size: 1GiB", "size: 1GiB, acknowledge: stored"],
  ["an iqn in capitals", PRIMARY, "dev.antipode", "dev.Antipode"],
  ["an address without port", PRIMARY, "0.0.0.0:3260", "0.0.0.0"],
  ["no addresses", PRIMARY, '["0.0.0.0:3260"]', "[]"],
  ["an address listed twice", PRIMARY, '["0.0.0.0:3260"]', '["0.0.0.0:3260", "0.0.0.0:3260"]'],
  ["one address for hosts and sites", PRIMARY, "group: prod", 'group: prod\nlink: { listen: "0.0.0.0:3260" }'],
  ["an initiator's name", PRIMARY, '["0.0.0.0:3260"]', '["0.0.0.0:3260"], initiators: [db1]'],
  ["no hosts", PRIMARY, ...hosts("")],
  ["a host without initiators", PRIMARY, ...hosts("a: { volumes: { db01: 0 } }")],
  [
    "hosts beside initiators",
    PRIMARY,
    '["0.0.0.0:3260"]',
    '["0.0.0.0:3260"], initiators: [iqn.2001-04.b], hosts: { a: { initiators: [iqn.2001-04.a] } }',
  ],
  [
    "an initiator of two hosts, and twice of one",
    PRIMARY,
    ...hosts("a: { initiators: [iqn.2001-04.a, iqn.2001-04.a] }, b: { initiators: [iqn.2001-04.a] }"),
  ],
  ["a host's volume that is not there", PRIMARY, ...hosts("a: { initiators: [iqn.2001-04.a], volumes: { db1: 0 } }")],
  ["a host that is given nothing", PRIMARY, ...hosts("a: { initiators: [iqn.2001-04.a], volumes: {} }")],
  ["a LUN of a host past the last", PRIMARY, ...hosts("a: { initiators: [iqn.2001-04.a], volumes: { db01: 256 } }")],
  [
    "a portal of a host that is none",
    PRIMARY,
    ...hosts('a: { initiators: [iqn.2001-04.a], portals: ["[2001:db8::1]:860", "192.0.2.2:3260"] }'),
  ],
  [
    "a user of an initiator that is no host's",
    PRIMARY,
    ...hosts(
      "a: { initiators: [iqn.2001-04.a] } }, chap: { users: [{ user: a, secret: correct-horse, initiators: [iqn.2001-04.b] }]",
    ),
  ],
  [
    "two volumes under one LUN of a host",
    PRIMARY,
    '100GiB, lun: 0 } }\njournal: { device: /dev/pmem0 }\ntarget: { iqn: "iqn.2026-11.dev.antipode:prod",',
    '100GiB, lun: 0 }, db02: { array: main, size: 1GiB, lun: 1 } }\njournal: { device: /dev/pmem0 }\ntarget: { iqn: "iqn.2026-11.dev.antipode:prod", hosts: { a: { initiators: [iqn.2001-04.a], volumes: { db01: 3, db02: 3 } } },',
  ],
  ["CHAP without users", PRIMARY, ...chap("user: a, secret: correct-horse")],
  ["a user without a secret", PRIMARY, ...chap("users: [{ user: a }]")],
  ["a secret that is too short", PRIMARY, ...chap("users: [{ user: a, secret: correct-hor }]")],
  ["a secret of words", PRIMARY, ...chap("users: [{ user: a, secret: correct horse battery }]")],
  ["a secret that is a number", PRIMARY, ...chap("users: [{ user: a, secret: 1234567890123456 }]")],
  ["a secret in the place of a user", PRIMARY, ...chap("users: [correct-horse]")],
  ["a secret in the place of the section", PRIMARY, '["0.0.0.0:3260"]', '["0.0.0.0:3260"], chap: a%correct-horse'],
  ["a user with a space", PRIMARY, ...chap("users: [{ user: a b, secret: correct-horse }]")],
  ["a secret with a comma", PRIMARY, ...chap("users: [{ user: a, secret: correct, horse }]")],
  ["a secret that YAML takes for an alias", PRIMARY, ...chap("users: [{ user: a, secret: *horse }]")],
  ["a secret that YAML takes for a tag", PRIMARY, ...chap("users: [{ user: a, secret: !horse }]")],
  ["no users", PRIMARY, ...chap("users: []")],
  [
    "a user twice, and the target's secret a user's",
    PRIMARY,
    ...chap(
      "users: [{ user: a, secret: correct-horse }, { user: a, secret: battery-staple }], mutual: { user: t, secret: battery-staple }",
    ),
  ],
  [
    "the target's secret in discovery",
    PRIMARY,
    ...chap(
      "users: [{ user: a, secret: correct-horse }], discovery: [{ user: a, secret: battery-staple }], mutual: { user: t, secret: battery-staple }",
    ),
  ],
  [
    "a user of an initiator that may not log in",
    PRIMARY,
    '["0.0.0.0:3260"]',
    '["0.0.0.0:3260"], initiators: [iqn.2001-04.a], chap: { users: [{ user: a, secret: correct-horse, initiators: [iqn.2001-04.b] }] }',
  ],
  ["an algorithm", PRIMARY, ...chap("users: [{ user: a, secret: correct-horse }], algorithms: [sha512]")],
  ["a port 0 to connect to", PRIMARY, "boulder.example:7400", "boulder.example:0"],
  ["one address for two sites", PRIMARY, "boston.example", "boulder.example"],
  ["this site among the others", PRIMARY, "boulder: {", "denver: {"],
  ["an unknown site in a leg", PRIMARY, "[[boulder]", "[[bolder]"],
  ["an object's built-in property for a site", PRIMARY, "[[boulder]", "[[constructor]"],
  ["this site in a leg", PRIMARY, "[[boulder]", "[[denver]"],
  ["a site in two legs", PRIMARY, "[[boulder]", "[[boston]"],
  ["an empty leg", PRIMARY, "[[boulder]", "[[]"],
  ["a leg that is no list", PRIMARY, "[[boulder],", "[boulder,"],
  ["a latitude past the pole", PRIMARY, "39.74", "93.74"],
  ["half a location", PRIMARY, ", longitude: -104.99", ""],
  ["a primary with neither legs nor arrays", DISKLESS, "mirror: { legs: [[boulder]] }", "mirror: { legs: [] }"],
  ["a primary with a relay section", PRIMARY, "group:", "relay: { forward: [boston] }\ngroup:"],
  ["a relay point that forwards nowhere", RELAY, "relay: { forward: [boston], acknowledge: end }\n", ""],
  ["a relay point with a target", RELAY, "group:", `target: { iqn: "iqn.2001-04.a", listen: ["a:1"] }\ngroup:`],
  ["a relay point that forwards to its feed", RELAY, "from: [denver]", "from: [boston]"],
  ["a relay point that forwards to itself", RELAY, "forward: [boston]", "forward: [relay-east]"],
  ["a relay point that forwards to two", RELAY, "forward: [boston]", "forward: [boston, boston]"],
  ["an acknowledgement that is none", RELAY, "acknowledge: end", "acknowledge: never"],
  ["a link that names no feed", RELAY, ", from: [denver]", ""],
  ["a site that feeds itself", RELAY, "from: [denver]", "from: [relay-east]"],
  ["a silence as short as the heartbeat", MIRROR, "silence: 1s", "silence: 150ms"],
  ["a heartbeat that floods", MIRROR, "heartbeat: 100ms", "heartbeat: 1ms"],
  ["a length of time without unit", MIRROR, "heartbeat: 100ms", "heartbeat: 100"],
  ["a mirror site without storage", MIRROR, MIRROR.slice(MIRROR.indexOf("drives:"), MIRROR.indexOf("volumes:")), ""],
  ["a mirror site without a link", MIRROR, MIRROR.slice(MIRROR.indexOf("link:")), ""],
  ["a mirror site with legs", MIRROR, "group:", "mirror: { legs: [] }\ngroup:"],
  ["a watchdog that resets a busy machine", PRIMARY, "group:", "watchdog: { timeout: 1s }\ngroup:"],
  ["a watchdog that hardly ever resets", PRIMARY, "group:", "watchdog: { timeout: 11min }\ngroup:"],
  ["a watchdog's half second", PRIMARY, "group:", "watchdog: { timeout: 2500ms }\ngroup:"],
  ["a watchdog's timeout without unit", PRIMARY, "group:", "watchdog: { timeout: 30 }\ngroup:"],
  ["a watchdog without keys", PRIMARY, "group:", "watchdog:\ngroup:"],
  ["the journal for a watchdog", PRIMARY, "group:", "watchdog: { device: /dev/pmem0 }\ngroup:"],
  ["a drive for a watchdog", PRIMARY, "group:", "watchdog: { device: disks/b }\ngroup:"],
  ["a path that is no text", MIRROR, "device: journal.img", "device: 7"],
  ["an interface's name", APPLIANCE, "eth0: {", "Ethernet0: {"],
  ["an address without its network", APPLIANCE, "192.0.2.7/24", "192.0.2.7"],
  ["an address that stands twice", APPLIANCE, "198.51.100.7/24", "192.0.2.7/25"],
  ["a hardware address", APPLIANCE, "52:54:00:00:00:0A", "52-54-00-00-00-0A"],
  ["an MTU in words", APPLIANCE, "eth1: { mtu: 9000", "eth1: { mtu: jumbo"],
  ["DHCP in words", APPLIANCE, "eth1: { mtu: 9000", 'eth1: { dhcp: "yes", mtu: 9000'],
  ["a bond of an interface that is not listed", APPLIANCE, "[eth1, eth2]", "[eth1, eth3]"],
  ["a bond of an interface twice", APPLIANCE, "[eth1, eth2]", "[eth1, eth2, eth1]"],
  ["a bond of an interface with addresses", APPLIANCE, "[eth1, eth2]", "[eth1, eth0]"],
  ["a bond's mode", APPLIANCE, "[eth1, eth2]", "[eth1, eth2], mode: lacp"],
  ["management at the address of the hosts", PRIMARY, "group:", 'management: { listen: "0.0.0.0:3260" }\ngroup:'],
  ["management at the link's address", RELAY, "group:", 'management: { listen: "0.0.0.0:7400" }\ngroup:'],
  ["management nowhere", PRIMARY, "group:", "management: {}\ngroup:"],
  ["a key without its certificate", PRIMARY, "group:", 'management: { listen: "a:1", tls: { key: k } }\ngroup:'],
  ["a VLAN on nothing", APPLIANCE, "on: bond0", "on: bond1"],
  ["a VLAN on a part of a bond", APPLIANCE, "on: bond0", "on: eth1"],
  ["a VLAN's number", APPLIANCE, "id: 100", "id: 4095"],
  ["a VLAN larger than what carries it", APPLIANCE, "on: bond0", "on: eth0"],
  ["a VLAN that is there twice", APPLIANCE, "vlans: {", "vlans: { lan: { on: bond0, id: 100 }, "],
  ["one name for an interface and a VLAN", APPLIANCE, "san: {", "eth0: {"],
  ["a gateway on no network", APPLIANCE, "gateway: 192.0.2.1", "gateway: 192.0.3.1"],
  ["a gateway of the other family", APPLIANCE, "gateway: 192.0.2.1", "gateway6: 192.0.2.1"],
  ["a name server by name", APPLIANCE, "gateway:", "dns: [ns.example]\n  gateway:"],
  ["a time server", APPLIANCE, "gateway:", "ntp: [-x]\n  gateway:"],
  ["a socket path that no socket can have", RELAY, "run/ctl.sock", `/${"x".repeat(107)}`],
];

describe("problems", () => {
  it("are all told at once, in the order of the file, as one operating error", () => {
    const text = `site: { nam: denver }
group: Prod
role: prmary
drives: [/dev/a, /dev/a]
arrays: { main: { level: 5, drives: [0, 7] } }
volumes:
  db01: { size: 100GB, lun: 300 }
  db02: { array: mian, size: 1GiB, lun: 1 }
journal: { device: /dev/pmem0, cache: 1 }
tarjet: {}
`;
    let error: unknown;
    try {
      parseConfig(text, "/etc/c.yaml");
    } catch (thrown) {
      error = thrown;
    }
    expect(isOperatingError(error, "config.invalid")).toBe(true);
    expect((error as ConfigError).message).toBe(`The configuration /etc/c.yaml has 12 problems:
  /etc/c.yaml:1:1: site.name: is missing: give a name of at most 32 characters: a-z, 0-9 and '-', starting with a letter or digit
  /etc/c.yaml:1:9: site.nam: unknown key: did you mean name? allowed are name, location
  /etc/c.yaml:2:8: group: "Prod" is not a name of at most 32 characters: a-z, 0-9 and '-', starting with a letter or digit
  /etc/c.yaml:3:7: role: "prmary" is not primary, backup, mirror or relay
  /etc/c.yaml:4:18: drives[1]: /dev/a is the same drive as drives[0]; list each drive once
  /etc/c.yaml:5:37: arrays.main.drives: has 2 of the 3 drives that level 5 needs at the least
  /etc/c.yaml:5:41: arrays.main.drives[1]: there is no drive 7: 'drives' has 0 to 1
  /etc/c.yaml:7:17: volumes.db01.size: "100GB" is not a size such as 100GiB: a whole number and B, KiB, MiB, GiB or TiB
  /etc/c.yaml:7:29: volumes.db01.lun: 300 is not a LUN: a whole number from 0 to 255
  /etc/c.yaml:8:18: volumes.db02.array: there is no array mian: did you mean main?
  /etc/c.yaml:9:39: journal.cache: 1 is not a size such as 128MiB: a whole number and B, KiB, MiB, GiB or TiB
  /etc/c.yaml:10:1: tarjet: unknown key: did you mean target? allowed are site, group, role, drives, arrays, volumes, journal, target, sites, mirror, relay, link, watchdog, management, control, network
 Correct the file; docs/configuration.md describes every key.`);
  });

  it("never have a secret in them", () => {
    const told = slips.flatMap(([, base, from, to]) => problemsOf(change(base, from, to)));
    expect(told.filter((text) => text.includes("chap")).length).toBeGreaterThan(10);
    expect(told.join()).not.toMatch(/horse|staple|correct|1234567890/);
  });

  it("of one slip each are told in the words of problems.golden.txt", async () => {
    const told = slips.map(([slip, base, from, to]) =>
      [`# ${slip}`, ...problemsOf(change(base, from, to)), ""].join("\n"),
    );
    await expect(told.join("\n")).toMatchFileSnapshot("problems.golden.txt");
  });

  it("name a drive that is listed under two names", () => {
    const links: Record<string, string> = { "/dev/disk/by-id/x": "/dev/a" };
    const realPath = (path: string) => links[path];
    const text = change(PRIMARY, "/dev/c]", "/dev/disk/by-id/x]");
    expect(problemsOf(text)).toEqual([]);
    expect(problemsOf(text, { realPath })).toEqual([
      "4:27 drives[2]: /dev/disk/by-id/x is the same drive as drives[0]; list each drive once",
    ]);
  });
});

describe("any configuration", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/);
  const size = fc.integer({ min: 1, max: 2 ** 28 }).map((blocks) => byteCount(blocks * 4096));
  const source = fc
    .record({
      names: fc.uniqueArray(name, { minLength: 2, maxLength: 6 }),
      drives: fc.integer({ min: 3, max: 9 }),
      level: fc.constantFrom(1, 5),
      volumes: fc.uniqueArray(
        fc.record({ name, size, lun: fc.nat({ max: 255 }), blockSize: fc.constantFrom(512, 4096) }),
        {
          minLength: 1,
          maxLength: 5,
          selector: ({ name }) => name,
        },
      ),
      acknowledge: fc.constant("journalled"),
    })
    .filter(({ volumes }) => new Set(volumes.map(({ lun }) => lun)).size === volumes.length);

  it("comes back from YAML as it was meant, in any order and style", () => {
    fc.assert(
      fc.property(
        source,
        fc.boolean(),
        fc.boolean(),
        ({ names, drives, level, volumes, acknowledge }, flow, reversed) => {
          const [self, ...others] = names;
          const sections: [string, unknown][] = [
            ["site", { name: self }],
            ["group", "g"],
            ["role", "primary"],
            ["drives", Array.from({ length: drives }, (_, at) => `/dev/d${at}`)],
            ["arrays", { a: { level, drives: Array.from({ length: drives }, (_, at) => at) } }],
            [
              "volumes",
              Object.fromEntries(
                volumes.map(({ name, size, ...rest }) => [name, { array: "a", size: formatSize(size), ...rest }]),
              ),
            ],
            ["journal", { device: "/dev/j", acknowledge }],
            ["target", { iqn: "iqn.2001-04.com.example", listen: ["[::]:3260"] }],
            ["sites", Object.fromEntries(others.map((name, at) => [name, { address: `h${at}:1` }]))],
            ["mirror", { legs: others.map((name) => [name]) }],
          ];
          const given = Object.fromEntries(reversed ? sections.toReversed() : sections);
          const text = flow ? JSON.stringify(given) : stringify(given);
          const config: Config = parseConfig(text, "/c.yaml");
          expect(config.site.name).toBe(self);
          expect(config.role === "primary" && config.mirror.legs).toEqual(others.map((name) => [name]));
          expect(config.arrays.a).toMatchObject({ level, drives: config.drives.map((_, at) => at) });
          expect(config.journal.acknowledge).toBe(acknowledge);
          for (const { name, ...rest } of volumes)
            expect(config.volumes[name]).toMatchObject({ name, ...rest, id: rest.lun });
        },
      ),
    );
  });

  it("is refused with problems in the file, or taken, but never ends in another error", () => {
    const lines = PRIMARY.split("\n");
    const scrap = fc.constantFrom(
      "",
      "{}",
      "[]",
      "null",
      "~",
      "*a",
      "&a x",
      "<<: *a",
      "!!binary x",
      "? {a: 1}",
      "- ",
      "\t",
      "__proto__: {}",
      "1: 2",
      "\u0000",
    );
    fc.assert(
      fc.property(
        fc.nat({ max: lines.length }),
        fc.nat({ max: 60 }),
        fc.nat({ max: 12 }),
        scrap,
        (line, column, cut, piece) => {
          const torn = lines.map((text, at) =>
            at === line ? text.slice(0, column) + piece + text.slice(column + cut) : text,
          );
          for (const problem of problemsOf(torn.join("\n"))) {
            const place = Number(problem.split(":")[0]);
            expect(place).toBeGreaterThanOrEqual(1);
            expect(place).toBeLessThanOrEqual(lines.length);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});
