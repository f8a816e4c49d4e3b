import { expect, it } from "vitest";
import { changesBetween } from "./changes.ts";
import { parseConfig } from "./config.ts";

const YAML = `site: { name: denver, location: { latitude: 39.74, longitude: -104.99 } }
group: prod
role: primary
drives: [ /dev/a, /dev/b ]
arrays: { main: { level: 1, drives: [ 0, 1 ] } }
volumes: { db01: { array: main, size: 100GiB, lun: 0 }, db02: { array: main, size: 1GiB, lun: 1 } }
journal: { device: /dev/pmem0 }
target: { iqn: "iqn.2026-11.dev.antipode:prod", listen: ["0.0.0.0:3260"] }
sites: { boulder: { address: "boulder:7400" } }
mirror: { legs: [ [ boulder ] ] }
network: { interfaces: { eth0: { addresses: [ 192.0.2.7/24 ] } } }
`;

it.each([
  ["a comment", "group: prod", "group: prod # ours", ""],
  ["what is the default", "/dev/pmem0 }", "/dev/pmem0, cache: 128MiB }", ""],
  ["a way to name a drive", "[ 0, 1 ]", "[ /dev/a, 1 ]", ""],
  ["where a site is", "39.74", "39.75", ""],
  ["where another site is", '"boulder:7400"', '"boulder:7400", location: { latitude: 40, longitude: 1 }', ""],
  [
    "the order of names",
    "db01: { array: main, size: 100GiB, lun: 0 }, db02: { array: main, size: 1GiB, lun: 1 }",
    "db02: { lun: 1, array: main, size: 1GiB }, db01: { array: main, size: 100GiB, lun: 0 }",
    "",
  ],
  ["an address", "192.0.2.7/24", "192.0.2.8/24", "network"],
  ["the host's name", "network: {", "network: { hostname: d,", "network"],
  ["the site's name", "name: denver", "name: aurora", "network site"],
  ["a size", "100GiB", "200GiB", "site"],
  ["who may log in", "listen:", "initiators: [iqn.2001-04.a], listen:", "hosts"],
  [
    "what a host is given",
    "listen:",
    "hosts: { a: { initiators: [iqn.2001-04.a], volumes: { db02: 0 } } }, listen:",
    "hosts",
  ],
  ["users", "listen:", "chap: { users: [{ user: a, secret: correct-horse }] }, listen:", "hosts"],
  ["a portal", '["0.0.0.0:3260"]', '["0.0.0.0:3261"]', "site"],
  ["the order of drives", "[ 0, 1 ]", "[ 1, 0 ]", "site"],
  ["the address of another site", "boulder:7400", "boulder:7401", "site"],
  ["a new section", "group: prod", "group: prod\nwatchdog: {}", "site"],
])("%s", (_, from, to, expected) => {
  const changed = YAML.replace(from, to);
  expect(changed).not.toBe(YAML);
  const { network, site, hosts } = changesBetween(parseConfig(YAML, "/r/1.yaml"), parseConfig(changed, "/r/2.yaml"));
  expect([network ? "network" : "", site ? "site" : "", hosts ? "hosts" : ""].join(" ").trim()).toBe(expected);
});
