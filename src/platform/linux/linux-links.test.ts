import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { networkLinks } from "./linux-links.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "antipode-links-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `${text}\n`);
  }
}

it("network links are told apart, with the hardware address that a card has of itself", () => {
  put({
    bonding_masters: "bond0",
    "lo/type": "772",
    "eth1/type": "1",
    "eth1/address": "52:54:00:00:00:01",
    "eth1/bonding_slave/perm_hwaddr": "52:54:00:00:00:0A",
    "eth1/device/vendor": "0x1af4",
    "eth0/type": "1",
    "eth0/address": "52:54:00:00:00:01",
    "eth0/uevent": "INTERFACE=eth0",
    "eth0/device/vendor": "0x1af4",
    "bond0/type": "1",
    "bond0/address": "52:54:00:00:00:01",
    "bond0/bonding/mode": "active-backup 1",
    "san/type": "1",
    "san/address": "52:54:00:00:00:01",
    "san/uevent": "DEVTYPE=vlan\nINTERFACE=san",
    "br0/type": "1",
    "br0/uevent": "DEVTYPE=bridge",
  });
  expect(networkLinks(root)).toEqual([
    { name: "bond0", kind: "bond", mac: "52:54:00:00:00:01" },
    { name: "eth0", kind: "interface", mac: "52:54:00:00:00:01" },
    { name: "eth1", kind: "interface", mac: "52:54:00:00:00:0a" },
    { name: "san", kind: "vlan", mac: "52:54:00:00:00:01" },
  ]);
});
