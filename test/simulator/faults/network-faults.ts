/** What happens to the network, between sites and between hosts and sites. */

import { duration, type Fault, type Scene } from "./fault.ts";

const CUT_MOST = 12_000;

/** Two machines that talk to each other. */
function anyPair({ system, hosts, random }: Scene): readonly [string, string] {
  const pairs: (readonly [string, string])[] = [];
  for (const primary of system.primaries) {
    for (const leg of system.topology.legs) {
      const sites = leg.map((site) => site.replace("*", ""));
      for (const [place, site] of sites.entries()) pairs.push([place === 0 ? primary : sites[place - 1], site]);
    }
    for (const host of hosts) pairs.push([host.name, primary]);
  }
  const [a, b] = random.pick(pairs);
  return random.chance(0.5) ? [a, b] : [b, a];
}

/** What happens to connections while their machines can reach each other. */
export const WIRE_FAULTS: readonly Fault[] = [
  {
    name: "connections are lost",
    weight: 2,
    strike: (scene) => {
      const [a, b] = anyPair(scene);
      const isOneSided = scene.random.chance(0.4);
      scene.system.universe.network.resetConnections(a, b, isOneSided ? "one-sided" : "both");
      return isOneSided ? `${a} and ${b}, and only ${a} is told` : `${a} and ${b}`;
    },
  },
  {
    name: "bits flip on the wire",
    weight: 1,
    strike: (scene) => {
      const [a, b] = anyPair(scene);
      const { random, system, hosts } = scene;
      if (hosts.some((host) => !host.hasDigests && (host.name === a || host.name === b))) return undefined;
      const probability = random.pick([0.001, 0.01, 0.2]);
      system.universe.network.flipBits(a, b, probability);
      const length = duration(random, CUT_MOST);
      scene.lasting(length, () => system.universe.network.flipBits(a, b, 0));
      return `${a} to ${b}, in ${probability} of the segments`;
    },
  },
];

export const NETWORK_FAULTS: readonly Fault[] = [
  {
    name: "two machines are cut off from each other",
    weight: 2,
    strike: (scene) => {
      const [a, b] = anyPair(scene);
      const { network } = scene.system.universe;
      const length = duration(scene.random, CUT_MOST);
      network.partition(a, b);
      scene.lasting(length, () => network.heal(a, b));
      return `${a} and ${b}`;
    },
  },
  {
    name: "one direction is cut",
    weight: 2,
    strike: (scene) => {
      const [a, b] = anyPair(scene);
      const { network } = scene.system.universe;
      const length = duration(scene.random, CUT_MOST);
      network.partitionOneWay(a, b);
      scene.lasting(length, () => network.heal(a, b));
      return `${a} to ${b}`;
    },
  },
  {
    name: "a machine is cut off",
    weight: 1,
    strike: (scene) => {
      const name = anyPair(scene)[0];
      const { network } = scene.system.universe;
      const length = duration(scene.random, CUT_MOST);
      network.isolate(name);
      scene.lasting(length, () => network.heal(name));
      return name;
    },
  },
  {
    name: "one direction is clogged",
    weight: 2,
    strike: (scene) => {
      const [a, b] = anyPair(scene);
      const length = duration(scene.random, 5000);
      scene.system.universe.network.clog(a, b, length);
      scene.lasting(length, () => {});
      return `${a} to ${b}`;
    },
  },
  {
    name: "a link is slow",
    weight: 1,
    strike: (scene) => {
      const [a, b] = anyPair(scene);
      const { random, system } = scene;
      const before = system.universe.network.settingsBetween(a, b);
      if (before.bytesPerSecond !== Number.POSITIVE_INFINITY) return undefined;
      const least = random.below(100);
      const delay = [least, least + 1 + random.below(100)] as const;
      const bytesPerSecond = random.pick([100_000, 1_000_000, 10_000_000]);
      system.universe.network.link(a, b, { delay, bytesPerSecond });
      const length = duration(random, CUT_MOST);
      scene.lasting(length, () => system.universe.network.link(a, b, before));
      return `${a} and ${b}: ${delay[0]} to ${delay[1]} ms, ${bytesPerSecond} bytes a second`;
    },
  },
  ...WIRE_FAULTS,
];
