import { expect, test } from "vitest";
import { targetAddresses } from "./portal.ts";

const at = (host: string, port = 3260, groupTag = 1) => ({ address: { host, port }, groupTag });
const elsewhere = { groupTag: 1 };

test.each([
  ["the address connected to, of a portal at every address", "192.0.2.7:3260", [at("0.0.0.0")], ["192.0.2.7:3260,1"]],
  ["in brackets for IPv6", "[2001:db8::7]:3260", [at("::")], ["[2001:db8::7]:3260,1"]],
  ["IPv4 at a socket of both families", "[::ffff:192.0.2.7]:3260", [at("::")], ["192.0.2.7:3260,1"]],
  [
    "every address that portals are bound to, the one connected to first",
    "198.51.100.1:3260",
    [at("192.0.2.1"), at("198.51.100.1"), at("2001:db8::1", 860, 2)],
    ["198.51.100.1:3260,1", "192.0.2.1:3260,1", "[2001:db8::1]:860,2"],
  ],
  [
    "ports of a machine's portals at every address, where the family is the same",
    "192.0.2.7:3260",
    [at("0.0.0.0", 3261), at("::", 3262)],
    ["192.0.2.7:3260,1", "192.0.2.7:3261,1", "192.0.2.7:3262,1"],
  ],
  ["not every IPv4 address to IPv6", "[2001:db8::7]:3260", [at("0.0.0.0", 3261)], ["[2001:db8::7]:3260,1"]],
  ["no loopback address to another machine", "192.0.2.7:3260", [at("127.0.0.1")], ["192.0.2.7:3260,1"]],
  ["a loopback address to this one", "127.0.0.1:3260", [at("127.0.0.2")], ["127.0.0.1:3260,1", "127.0.0.2:3260,1"]],
  ["no socket's path", "192.0.2.7:3260", [{ address: { path: "/run/x" }, groupTag: 1 }], ["192.0.2.7:3260,1"]],
  ["a path to whoever came by it", "/run/x", [at("0.0.0.0"), at("192.0.2.1")], ["/run/x,1", "192.0.2.1:3260,1"]],
])("%s", (_, local, portals, addresses) => {
  expect(targetAddresses(local, elsewhere, portals)).toEqual(addresses);
});
