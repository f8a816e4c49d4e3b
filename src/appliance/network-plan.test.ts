import { describe, expect, it } from "vitest";
import { parseConfig } from "../config/config.ts";
import type { Link } from "../platform/links.ts";
import { planNetwork, type Step } from "./network-plan.ts";

const SITE = `site: { name: denver }
group: prod
role: primary
drives: [/dev/a]
arrays: { main: { level: 1, drives: [0] } }
volumes: { db01: { array: main, size: 100GiB, lun: 0 } }
journal: { device: /dev/pmem0 }
target: { iqn: "iqn.2026-11.dev.antipode:prod", listen: ["0.0.0.0:3260"] }
`;

function card(name: string, last: string): Link {
  return { name, kind: "interface", mac: `52:54:00:00:00:${last}` };
}

/** The plan as a shell would take it, but for the steps that only take down. */
function plan(network: string, links: readonly Link[]): { steps: readonly string[]; missing: readonly string[] } {
  const config = parseConfig(`${SITE}network: ${network}`, "c.yaml");
  if (config.network === undefined) throw new Error("no network");
  const { steps, missing } = planNetwork(config.network, config.site.name, links);
  return { steps: steps.map(text), missing };
}

function text(step: Step): string {
  if (step.kind === "write") return `${step.path} <- ${step.text}`;
  if (step.kind === "stop") return `stop ${step.pidFile}`;
  return [step.kind === "start" ? "start" : "", step.program, ...step.args].join(" ").trim();
}

/** Those of the steps that come after all was taken down and the host has its name. */
function settingUp(steps: readonly string[]): readonly string[] {
  return steps.slice(steps.findIndex((step) => step.startsWith("hostname ")) + 1);
}

describe("a network's plan", () => {
  it("gives a static address, a gateway and name servers", () => {
    const { steps, missing } = plan(
      `{ hostname: san1, interfaces: { eth0: { addresses: ["192.0.2.7/24", "2001:db8::7/64"], mtu: 9000 } },
         gateway: 192.0.2.1, gateway6: "2001:db8::1", dns: [192.0.2.53] }`,
      [card("eth0", "01")],
    );
    expect(missing).toEqual([]);
    expect(steps).toEqual([
      "stop /run/appliance/ntpd.pid",
      "stop /run/appliance/udhcpc.eth0.pid",
      "ip addr flush dev eth0",
      "ip link set eth0 down",
      "hostname san1",
      "ip link set eth0 mtu 9000",
      "ip link set eth0 up",
      "ip addr add 192.0.2.7/24 broadcast + dev eth0",
      "ip addr add 2001:db8::7/64 dev eth0",
      "ip route replace default via 192.0.2.1",
      "ip -6 route replace default via 2001:db8::1",
      "/etc/resolv.conf <- # configured\nnameserver 192.0.2.53\n",
    ]);
  });

  it("asks for an address by DHCP, in the site's name, and leaves name servers to it", () => {
    const { steps } = plan("{ interfaces: { eth0: { dhcp: true } } }", [card("eth0", "01")]);
    expect(settingUp(steps)).toEqual([
      "ip link set eth0 mtu 1500",
      "ip link set eth0 up",
      "/etc/resolv.conf <- ",
      "udhcpc -i eth0 -p /run/appliance/udhcpc.eth0.pid -x hostname:denver -b -t 3 -T 2 -A 10",
    ]);
  });

  it("makes a bond of interfaces that are down, and VLANs on it", () => {
    const { steps } = plan(
      `{ interfaces: { eth0: {}, eth1: {} }, bonds: { bond0: { interfaces: [eth0, eth1], mode: 802.3ad, mtu: 9000 } },
         vlans: { san: { on: bond0, id: 100, addresses: ["198.51.100.7/24"] } } }`,
      [card("eth0", "01"), card("eth1", "02")],
    );
    expect(settingUp(steps)).toEqual([
      "modprobe bonding max_bonds=0",
      "modprobe 8021q",
      "/sys/class/net/bonding_masters <- +bond0",
      "/sys/class/net/bond0/bonding/mode <- 802.3ad",
      "/sys/class/net/bond0/bonding/miimon <- 100",
      "/sys/class/net/bond0/bonding/xmit_hash_policy <- layer3+4",
      "/sys/class/net/bond0/bonding/slaves <- +eth0",
      "/sys/class/net/bond0/bonding/slaves <- +eth1",
      "ip link set bond0 mtu 9000",
      "ip link set bond0 up",
      "ip link add link bond0 name san type vlan id 100",
      "ip link set san mtu 1500",
      "ip link set san up",
      "ip addr add 198.51.100.7/24 broadcast + dev san",
      "/etc/resolv.conf <- ",
    ]);
  });

  it("first takes down what an earlier one made, VLANs before what carries them", () => {
    const { steps } = plan("{ interfaces: { eth0: {} } }", [
      { name: "bond0", kind: "bond", mac: "52:54:00:00:00:01" },
      card("eth0", "01"),
      card("eth9", "09"),
      { name: "san", kind: "vlan", mac: "52:54:00:00:00:01" },
    ]);
    expect(steps.filter((step) => /del|flush|down/.test(step))).toEqual([
      "ip link del san",
      "ip link del bond0",
      "ip addr flush dev eth0",
      "ip link set eth0 down",
      "ip addr flush dev eth9",
      "ip link set eth9 down",
    ]);
  });

  it("gives cards their names by hardware address, also where they change names or one is in the way", () => {
    const { steps, missing } = plan(
      `{ interfaces: { eth0: { mac: "52:54:00:00:00:02" }, eth1: { mac: "52:54:00:00:00:01" }, san: { mac: "52:54:00:00:00:03" } } }`,
      [card("eth0", "01"), card("eth1", "02"), card("eth2", "03"), card("san", "04")],
    );
    expect(missing).toEqual([]);
    expect(steps.filter((step) => / name /.test(step))).toEqual([
      "ip link set san name spare0",
      "ip link set eth1 name moving0",
      "ip link set eth0 name moving1",
      "ip link set eth2 name moving2",
      "ip link set moving0 name eth0",
      "ip link set moving1 name eth1",
      "ip link set moving2 name san",
    ]);
  });

  it("names the interfaces that are not there, and sets up the others", () => {
    const { steps, missing } = plan(
      `{ interfaces: { eth0: {}, eth1: { dhcp: true }, san: { mac: "52:54:00:00:00:0a" }, eth2: {} }, bonds: { bond0: { interfaces: [eth0, eth2] } } }`,
      [card("eth0", "01")],
    );
    expect(missing).toEqual(["eth1", "san (52:54:00:00:00:0a)", "eth2"]);
    expect(steps.join("\n")).not.toMatch(/eth1|eth2|san/);
    expect(steps).toContain("/sys/class/net/bond0/bonding/slaves <- +eth0");
  });

  it("keeps time by the servers that are named", () => {
    const { steps } = plan("{ interfaces: { eth0: {} }, ntp: [ntp.example, 192.0.2.9] }", [card("eth0", "01")]);
    expect(steps.slice(-2)).toEqual([
      "/etc/openntpd/ntpd.conf <- server ntp.example\nserver 192.0.2.9\n",
      "start ntpd -s -p /run/appliance/ntpd.pid -f /etc/openntpd/ntpd.conf",
    ]);
  });
});
