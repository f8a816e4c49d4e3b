/**
 * From the `network` section to the steps that make an appliance's network so, whatever it was before: links are taken
 * back to bare interfaces first. Pure; who carries the steps out goes on past one that fails, since half a network can
 * still be reached and repaired.
 */

import { assert, unreachable } from "../base/assert.ts";
import type { NetworkConfig } from "../config/config.ts";
import { parseIp } from "../config/ip.ts";
import type { Link } from "../platform/links.ts";

export type Step =
  | { readonly kind: "run"; readonly program: string; readonly args: readonly string[] }
  /** As `run`, of a program that goes on by itself and may take long to begin. */
  | { readonly kind: "start"; readonly program: string; readonly args: readonly string[] }
  | { readonly kind: "write"; readonly path: string; readonly text: string }
  /** Ends the process whose number the file holds; there may be none. */
  | { readonly kind: "stop"; readonly pidFile: string };

export interface NetworkPlan {
  readonly steps: readonly Step[];
  /** Interfaces that are configured and that the machine does not have, each with what it was looked for by. */
  readonly missing: readonly string[];
}

/** Files of the appliance that the plan writes or relies on. */
const PATHS = {
  run: "/run/appliance",
  /** Its first line tells the script of the DHCP client that name servers are configured, and DHCP's are to be left alone. */
  resolvers: "/etc/resolv.conf",
  timeServers: "/etc/openntpd/ntpd.conf",
  timePid: "/run/appliance/ntpd.pid",
} as const;

const CONFIGURED_RESOLVERS = "# configured";
/** How often a bond looks whether its interfaces have carrier. */
const BOND_CHECK_MS = 100;

export function planNetwork(network: NetworkConfig, hostname: string, links: readonly Link[]): NetworkPlan {
  const { found, missing } = matchInterfaces(network, links);
  return {
    missing,
    steps: [
      ...takeDown(links),
      ...rename(found, links),
      run("hostname", network.hostname ?? hostname),
      ...bringUp(network, new Set(found.keys())),
      ...routes(network),
      ...resolvers(network),
      ...leases(network, network.hostname ?? hostname, new Set(found.keys())),
      ...time(network),
    ],
  };
}

function run(program: string, ...args: readonly string[]): Step {
  return { kind: "run", program, args };
}

const pidFile = (name: string) => `${PATHS.run}/udhcpc.${name}.pid`;

/** Which of the machine's interfaces each configured name means: by hardware address where one is given. */
function matchInterfaces(network: NetworkConfig, links: readonly Link[]) {
  const cards = links.filter(({ kind }) => kind === "interface");
  const found = new Map<string, Link>();
  const missing: string[] = [];
  const claimed = new Set(Object.values(network.interfaces).flatMap(({ mac }) => mac ?? []));
  for (const [name, { mac }] of Object.entries(network.interfaces)) {
    // A card that is claimed by its address is not also taken for its name.
    const card = cards.find((card) =>
      mac === undefined ? card.name === name && !claimed.has(card.mac) : card.mac === mac,
    );
    if (card === undefined) missing.push(mac === undefined ? name : `${name} (${mac})`);
    else found.set(name, card);
  }
  return { found, missing };
}

function takeDown(links: readonly Link[]): readonly Step[] {
  const layers = (["vlan", "bond"] as const).flatMap((kind) => links.filter((link) => link.kind === kind));
  return [
    { kind: "stop", pidFile: PATHS.timePid },
    ...links.map(({ name }): Step => ({ kind: "stop", pidFile: pidFile(name) })),
    ...layers.map(({ name }) => run("ip", "link", "del", name)),
    ...links
      .filter(({ kind }) => kind === "interface")
      .flatMap(({ name }) => [run("ip", "addr", "flush", "dev", name), run("ip", "link", "set", name, "down")]),
  ];
}

/** In two goes, so that two interfaces can change names with each other, and one in the way is put aside. */
function rename(found: ReadonlyMap<string, Link>, links: readonly Link[]): readonly Step[] {
  const used = new Set([...found.values()].map(({ name }) => name));
  const inTheWay = links.filter(({ name, kind }) => kind === "interface" && found.has(name) && !used.has(name));
  const moves = [...found].filter(([name, card]) => card.name !== name);
  return [
    ...inTheWay.map(({ name }, at) => run("ip", "link", "set", name, "name", `spare${at}`)),
    ...moves.map(([, card], at) => run("ip", "link", "set", card.name, "name", `moving${at}`)),
    ...moves.map(([name], at) => run("ip", "link", "set", `moving${at}`, "name", name)),
  ];
}

function bringUp(network: NetworkConfig, found: ReadonlySet<string>): readonly Step[] {
  const bonds = Object.entries(network.bonds);
  const vlans = Object.entries(network.vlans);
  const members = new Set(bonds.flatMap(([, { interfaces }]) => interfaces));
  const up = (name: string, { mtu, addresses }: { readonly mtu: number; readonly addresses: readonly string[] }) => [
    run("ip", "link", "set", name, "mtu", String(mtu)),
    run("ip", "link", "set", name, "up"),
    ...addresses.map((address) => run("ip", "addr", "add", address, ...broadcast(address), "dev", name)),
  ];
  return [
    ...(bonds.length > 0 ? [run("modprobe", "bonding", "max_bonds=0")] : []),
    ...(vlans.length > 0 ? [run("modprobe", "8021q")] : []),
    ...bonds.flatMap(([name, bond]) => [
      ...makeBond(name, bond, found),
      // The MTU of a bond is that of its interfaces, and their carrier is up with it.
      ...up(name, bond),
    ]),
    ...Object.entries(network.interfaces).flatMap(([name, link]) =>
      found.has(name) && !members.has(name) ? up(name, link) : [],
    ),
    ...vlans.flatMap(([name, vlan]) => [
      run("ip", "link", "add", "link", vlan.on, "name", name, "type", "vlan", "id", String(vlan.id)),
      ...up(name, vlan),
    ]),
  ];
}

/** By the kernel's files: busybox's `ip` makes no bonds. */
function makeBond(name: string, bond: NetworkConfig["bonds"][string], found: ReadonlySet<string>): readonly Step[] {
  const set = (file: string, text: string): Step => ({
    kind: "write",
    path: `/sys/class/net/${name}/bonding/${file}`,
    text,
  });
  return [
    { kind: "write", path: "/sys/class/net/bonding_masters", text: `+${name}` },
    set("mode", bond.mode),
    set("miimon", String(BOND_CHECK_MS)),
    ...spread(bond.mode).map((policy) => set("xmit_hash_policy", policy)),
    ...bond.interfaces.filter((member) => found.has(member)).map((member) => set("slaves", `+${member}`)),
  ];
}

/** By address and port, so that the sessions of one host use several interfaces. */
function spread(mode: NetworkConfig["bonds"][string]["mode"]): readonly string[] {
  switch (mode) {
    case "active-backup":
      return [];
    case "802.3ad":
    case "balance-xor":
      return ["layer3+4"];
    default:
      return unreachable(mode);
  }
}

function broadcast(address: string): readonly string[] {
  return address.includes(":") ? [] : ["broadcast", "+"];
}

function routes({ gateway, gateway6 }: NetworkConfig): readonly Step[] {
  return [
    ...(gateway === undefined ? [] : [run("ip", "route", "replace", "default", "via", gateway)]),
    ...(gateway6 === undefined ? [] : [run("ip", "-6", "route", "replace", "default", "via", gateway6)]),
  ];
}

function resolvers({ dns }: NetworkConfig): readonly Step[] {
  assert(
    dns.every((server) => parseIp(server) !== undefined),
    "name servers are addresses",
  );
  const text = dns.length === 0 ? "" : `${[CONFIGURED_RESOLVERS, ...dns.map((at) => `nameserver ${at}`)].join("\n")}\n`;
  return [{ kind: "write", path: PATHS.resolvers, text }];
}

/** Stays in the background, also where no server answers yet. */
function leases(network: NetworkConfig, hostname: string, found: ReadonlySet<string>): readonly Step[] {
  const links = [
    ...Object.entries(network.interfaces).filter(([name]) => found.has(name)),
    ...Object.entries(network.bonds),
    ...Object.entries(network.vlans),
  ];
  return links
    .filter(([, { dhcp }]) => dhcp)
    .map(([name]) =>
      run("udhcpc", "-i", name, "-p", pidFile(name), "-x", `hostname:${hostname}`, ..."-b -t 3 -T 2 -A 10".split(" ")),
    );
}

function time({ ntp }: NetworkConfig): readonly Step[] {
  if (ntp.length === 0) return [];
  const text = ntp.map((server) => `server ${server}\n`).join("");
  // The clock may be set at once, forward or back, since nothing of a site counts on it.
  const args = ["-s", "-p", PATHS.timePid, "-f", PATHS.timeServers];
  return [
    { kind: "write", path: PATHS.timeServers, text },
    { kind: "start", program: "ntpd", args },
  ];
}
