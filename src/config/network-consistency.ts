/** What has to hold within the `network` section: that names mean something, and that nothing is used twice. */

import type { Findings } from "./consistency.ts";
import { type IpPrefix, isIn, parseIp, parseIpPrefix } from "./ip.ts";
import type { Sections } from "./schema.ts";

type Network = NonNullable<Sections["network"]>;
type Kind = "interfaces" | "bonds" | "vlans";

const KINDS = ["interfaces", "bonds", "vlans"] as const satisfies readonly Kind[];

export function checkNetwork(network: Network, findings: Findings): void {
  checkNames(network, findings);
  checkAddresses(network, findings);
  checkBonds(network, findings);
  checkVlans(network, findings);
  checkGateways(network, findings);
}

/** Every link with where it stands. */
function links(network: Network) {
  return KINDS.flatMap((kind) =>
    Object.entries(network[kind]).map(([name, link]) => ({ name, link, path: ["network", kind, name] })),
  );
}

function checkNames(network: Network, { add, addKey }: Findings): void {
  const users = new Map<string, string>();
  for (const { name, path } of links(network)) {
    const other = users.get(name);
    if (other === undefined) users.set(name, path[1]);
    else addKey(path, `${name} is also in 'network.${other}'; each needs a name of its own`);
  }
  const cards = new Map<string, string>();
  for (const [name, { mac }] of Object.entries(network.interfaces)) {
    if (mac === undefined) continue;
    const other = cards.get(mac);
    if (other === undefined) cards.set(mac, name);
    else add(["network", "interfaces", name, "mac"], `${mac} is also that of ${other}`);
  }
}

function checkAddresses(network: Network, { add }: Findings): void {
  const users = new Map<string, string>();
  for (const { name, link, path } of links(network)) {
    for (const [at, text] of link.addresses.entries()) {
      const address = parseIpPrefix(text)?.bytes.join(".") ?? text;
      const other = users.get(address);
      if (other === undefined) users.set(address, name);
      else add([...path, "addresses", at], `${text} is also an address of ${other}`);
    }
  }
}

function checkBonds(network: Network, { add }: Findings): void {
  const users = new Map<string, string>();
  for (const [name, { interfaces }] of Object.entries(network.bonds)) {
    for (const [at, member] of interfaces.entries()) {
      const path = ["network", "bonds", name, "interfaces", at];
      const other = users.get(member);
      const link = Object.hasOwn(network.interfaces, member) ? network.interfaces[member] : undefined;
      if (other === undefined) users.set(member, name);
      else add(path, `${member} is in ${other === name ? "this bond" : `bond ${other}`} already`);
      if (link === undefined) add(path, `${member} is not in 'network.interfaces'; list it there first`);
      else if (link.addresses.length > 0 || link.dhcp)
        add(path, `${member} has addresses of its own; give them to the bond instead`);
    }
  }
}

function checkVlans(network: Network, { add }: Findings): void {
  const members = new Set(Object.values(network.bonds).flatMap(({ interfaces }) => interfaces));
  const carriers: Network["bonds" | "interfaces"] = { ...network.interfaces, ...network.bonds };
  const users = new Map<string, string>();
  for (const [name, { on, id, mtu }] of Object.entries(network.vlans)) {
    const path = ["network", "vlans", name];
    const carrier = Object.hasOwn(carriers, on) ? carriers[on] : undefined;
    if (carrier === undefined) add([...path, "on"], `${on} is neither in 'network.interfaces' nor in 'network.bonds'`);
    else if (members.has(on)) add([...path, "on"], `${on} is a part of a bond; name the bond`);
    else if (mtu > carrier.mtu)
      add([...path, "mtu"], `${mtu} is more than the ${carrier.mtu} of ${on}, which carries it`);
    const other = users.get(`${on} ${id}`);
    if (other === undefined) users.set(`${on} ${id}`, name);
    else add([...path, "id"], `VLAN ${id} on ${on} is ${other} already`);
  }
}

function checkGateways(network: Network, { add }: Findings): void {
  const networks = links(network)
    .flatMap(({ link }) => link.addresses)
    .map(parseIpPrefix)
    .filter((prefix): prefix is IpPrefix => prefix !== undefined);
  for (const key of ["gateway", "gateway6"] as const) {
    const text = network[key];
    const address = text === undefined ? undefined : parseIp(text);
    if (address !== undefined && !networks.some((prefix) => isIn(address, prefix)))
      add(["network", key], `${text} is in no network of the 'addresses' that are given`);
  }
}
