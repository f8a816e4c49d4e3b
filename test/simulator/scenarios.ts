/** The kinds of runs that there are: what a seed draws its system, its load and its faults from. */

import { MiB } from "../../src/base/units.ts";
import type { SeededRandom } from "../../src/platform/memory/memory-world.ts";
import { BATTERY_FAULTS } from "./faults/battery-faults.ts";
import { ARRAY_FAULTS, JOURNAL_DAMAGE, JOURNAL_FAULTS, MEMBER_LOSSES } from "./faults/drive-faults.ts";
import type { Fault } from "./faults/fault.ts";
import { NETWORK_FAULTS, WIRE_FAULTS } from "./faults/network-faults.ts";
import { LOSS_FAULTS, ROW_FAULTS } from "./faults/row-faults.ts";
import { HOST_FAULTS, PAUSES, SITE_FAULTS } from "./faults/site-faults.ts";
import type { Topology } from "./system.ts";

export interface Scenario {
  readonly name: string;
  /** One sentence. */
  readonly what: string;
  readonly draw: (random: SeededRandom) => Topology;
  readonly faults: readonly Fault[];
  /** Virtual milliseconds between two faults, at the most. */
  readonly pause: number;
  /** Virtual milliseconds of load and faults, before everything is mended. */
  readonly unrest: number;
  /** Whether faults may go beyond what redundancy covers; see `Budget`. */
  readonly isBeyond: boolean;
  /** Whether there has to be service again once all is mended. Nobody is ever given wrong data. */
  readonly comesBack: boolean;
  /** Hosts at the most, and commands that each has outstanding at the most. */
  readonly hosts: number;
  readonly depth: number;
  /** Whether hosts move much data, over more blocks than a site's read cache holds. */
  readonly isBulk: boolean;
  /** Whether hosts do little, so that much time costs little. */
  readonly isLight: boolean;
}

/** Five sites: the primary, the backup, a mirror site, and a mirror site behind a relay point. */
const FIVE_SITES: Topology["legs"] = [["springs"], ["pueblo"], ["relay-east", "boston"]];

const MORE_LEGS: readonly Topology["legs"][] = [
  [["springs"], ["pueblo"]],
  [["boulder"], ["pueblo"], ["relay-east*", "relay-far", "boston"]],
  [["springs"], ["relay-east*", "boston"]],
  [
    ["relay-east", "boston"],
    ["relay-west*", "seattle"],
  ],
  [["springs"], ["boulder"], ["pueblo"], ["aspen"]],
  [["relay-east*", "relay-mid*", "relay-far*", "boston"]],
];

function variant(random: SeededRandom, legs: Topology["legs"]): Topology {
  const level = random.pick([1, 5] as const);
  return {
    legs,
    acknowledge: random.pick(["hop", "end"]),
    array: {
      level,
      drives: level === 1 ? random.pick([2, 3]) : random.pick([3, 4]),
      chunk: random.pick(["4KiB", "16KiB", "64KiB"] as const),
    },
    blockSize: random.pick([512, 4096]),
    timings: random.pick([undefined, { heartbeat: "200ms", silence: "1200ms" }]),
    // The smallest ones go round many times in a run.
    journalBytes: random.pick([5, 8, 16]) * MiB,
    journalDrive: { cache: random.pick(["none", "volatile", "battery"]) },
  };
}

const fiveSites = (random: SeededRandom): Topology => variant(random, FIVE_SITES);
const anySystem = (random: SeededRandom): Topology => ({
  ...variant(random, random.pick(MORE_LEGS)),
  diskless: random.chance(0.3),
});

/** Two sites, so that there is time for many rows, and blocks of 512 bytes, so that writes are of parts of rows. */
const fewRows = (random: SeededRandom): Topology => ({
  legs: [["boulder"]],
  array: { level: 5, drives: random.pick([3, 4]), chunk: random.pick(["16KiB", "64KiB"] as const) },
  blockSize: random.pick([512, 4096]),
  journalDrive: { cache: random.pick(["none", "volatile"]) },
});

const COMMON = {
  pause: 3000,
  unrest: 15_000,
  isBeyond: false,
  comesBack: true,
  hosts: 3,
  depth: 6,
  isBulk: false,
  isLight: false,
} as const;

export const SCENARIOS: readonly Scenario[] = [
  {
    ...COMMON,
    name: "standard",
    what: "Five sites under load, with every kind of fault inside the budget.",
    draw: fiveSites,
    faults: [...SITE_FAULTS, ...HOST_FAULTS, ...NETWORK_FAULTS, ...ARRAY_FAULTS, ...JOURNAL_FAULTS],
  },
  {
    ...COMMON,
    name: "systems",
    what: "Systems of every shape, diskless sites and long chains among them, with every fault inside the budget.",
    draw: anySystem,
    faults: [...SITE_FAULTS, ...HOST_FAULTS, ...NETWORK_FAULTS, ...ARRAY_FAULTS, ...JOURNAL_FAULTS],
  },
  {
    ...COMMON,
    name: "network",
    what: "Nothing but a network that does what it likes, one fault upon the other.",
    draw: anySystem,
    faults: NETWORK_FAULTS,
    pause: 400,
  },
  {
    ...COMMON,
    name: "wire",
    what: "Hosts whose connections damage what they carry, and are lost.",
    draw: fiveSites,
    faults: [...HOST_FAULTS, ...WIRE_FAULTS],
    pause: 300,
  },
  {
    ...COMMON,
    name: "power",
    what: "Sites that end and come back without pause, most of them in the middle of recovering.",
    draw: fiveSites,
    faults: SITE_FAULTS,
    pause: 2000,
  },
  {
    ...COMMON,
    name: "drives",
    what: "Drives that fail, lie and move, and sites that end, inside the budget.",
    draw: fiveSites,
    faults: [...SITE_FAULTS, ...ARRAY_FAULTS, ...JOURNAL_FAULTS],
    pause: 1500,
  },
  {
    ...COMMON,
    name: "members",
    what: "Arrays that lose a member, come back with an old one, and lose their power while they are degraded.",
    draw: fiveSites,
    faults: [...SITE_FAULTS, ...MEMBER_LOSSES, ...MEMBER_LOSSES],
    pause: 800,
  },
  {
    ...COMMON,
    name: "rows",
    what: "Arrays of few stripes under small writes: power that goes between two writes of a row, beside blocks that went bad, and while a member is missing or being rebuilt.",
    draw: fewRows,
    faults: [...ROW_FAULTS, ...MEMBER_LOSSES],
    pause: 700,
  },
  {
    ...COMMON,
    name: "losses",
    what: "Power that goes at the moment when a member is lost: a site may refuse then, but tells nothing wrong.",
    draw: fewRows,
    faults: LOSS_FAULTS,
    pause: 500,
    isBeyond: true,
    comesBack: false,
    depth: 12,
  },
  {
    ...COMMON,
    name: "pauses",
    what: "Sites and hosts that stand still for longer than every timeout, under little load.",
    draw: fiveSites,
    faults: PAUSES,
    pause: 15_000,
    unrest: 90_000,
    hosts: 2,
    depth: 2,
    isLight: true,
  },
  {
    ...COMMON,
    name: "batteries",
    what: "Journals whose drives have batteries, which fail and flap, and gauges that fail as well, at sites that end and come back.",
    draw: (random) => ({ ...fiveSites(random), journalDrive: { cache: "battery" } }),
    faults: [...SITE_FAULTS, ...BATTERY_FAULTS, ...BATTERY_FAULTS],
    pause: 5000,
    unrest: 40_000,
    hosts: 2,
    depth: 2,
    isLight: true,
  },
  {
    ...COMMON,
    name: "room",
    what: "Large writes into small journals, so that room is short everywhere, with every kind of fault inside the budget.",
    draw: (random) => ({ ...fiveSites(random), journalBytes: 4 * MiB }),
    faults: [...SITE_FAULTS, ...HOST_FAULTS, ...NETWORK_FAULTS, ...ARRAY_FAULTS, ...JOURNAL_FAULTS],
    pause: 2000,
    hosts: 4,
    depth: 12,
    isBulk: true,
  },
  {
    ...COMMON,
    name: "beyond",
    what: "More damage than redundancy covers, journals included: errors are allowed, wrong data never.",
    draw: anySystem,
    faults: [...SITE_FAULTS, ...HOST_FAULTS, ...NETWORK_FAULTS, ...ARRAY_FAULTS, ...JOURNAL_FAULTS, ...JOURNAL_DAMAGE],
    pause: 1000,
    isBeyond: true,
    comesBack: false,
  },
  {
    ...COMMON,
    name: "rivals",
    what: "Two primaries that both want to serve the same legs.",
    draw: (random) => ({ ...fiveSites(random), rival: "cheyenne" }),
    faults: [...SITE_FAULTS, ...HOST_FAULTS, ...NETWORK_FAULTS],
    comesBack: false,
  },
  {
    ...COMMON,
    name: "load",
    what: "Five sites, many hosts and no fault, for the speed of the simulator.",
    draw: fiveSites,
    faults: [],
    hosts: 4,
    depth: 6,
  },
];
