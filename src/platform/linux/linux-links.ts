/** The network links of this machine, from the kernel's own list of them. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { Link } from "../links.ts";

/** ARPHRD_ETHER: Ethernet, and what is made of it. */
const ETHERNET = "1";

/** @param root where the kernel lists its links; another in tests */
export function networkLinks(root = "/sys/class/net"): readonly Link[] {
  return readdirSync(root)
    .sort()
    .flatMap((name): readonly Link[] => {
      const at = (file: string) => `${root}/${name}/${file}`;
      const read = (file: string) => (existsSync(at(file)) ? readFileSync(at(file), "utf8").trim() : "");
      if (read("type") !== ETHERNET) return [];
      const mac = (read("bonding_slave/perm_hwaddr") || read("address")).toLowerCase();
      if (existsSync(at("bonding"))) return [{ name, kind: "bond", mac }];
      if (/^DEVTYPE=vlan$/m.test(read("uevent"))) return [{ name, kind: "vlan", mac }];
      // Bridges, tunnels and the like have no device behind them, and are not an appliance's.
      return existsSync(at("device")) ? [{ name, kind: "interface", mac }] : [];
    });
}
