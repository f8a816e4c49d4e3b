/** What happens to sites as a whole: their power, their processes, their clocks, their configuration. */

import type { Machine, Verdict } from "../../../src/platform/memory/memory-world.ts";
import type { Ending } from "../operator.ts";
import { anySite, duration, type Fault, type Scene } from "./fault.ts";

const ENDINGS: readonly Ending[] = ["crash", "half-open", "kill", "close"];
export const VERDICTS: readonly Verdict[] = ["crash-before", "crash-after", "kill-before", "kill-after"];
/** Until a site that has ended starts again. */
const DOWN_MOST = 5000;
/** Longer than every timeout of the product, where the unrest lasts long enough for it. */
const PAUSE_MOST = 60_000;
const PAUSE_LONG = 20_000;

function end(scene: Scene, name: string, ending: Ending): boolean {
  return scene.budget.mayEnd(name) && scene.operator.end(name, ending, duration(scene.random, DOWN_MOST));
}

/** Lets a machine end at a request to its drives, the `after`th from now. */
export function endAtRequest(
  scene: Scene,
  name: string,
  after: number,
  verdict: Verdict,
  options: {
    /** Of the array's drives reads don't count. */
    readonly to?: "any drive" | "the array";
    /** Whether requests count already. */
    readonly counts?: () => boolean;
  } = {},
): void {
  const { to = "any drive", counts = () => true } = options;
  const { system, budget, operator, random } = scene;
  const machine = system.universe.machine(name);
  const paths = [...system.drivesOf(name), ...(to === "any drive" ? ["/journal"] : [])];
  const drives = paths.map((path) => machine.findDrive(path));
  let left = after;
  const disarm = () => {
    budget.disarm(name);
    for (const drive of drives) {
      if (drive === undefined) continue;
      drive.onRead = undefined;
      drive.onWrite = undefined;
      drive.onFlush = undefined;
    }
  };
  const meet = (): Verdict => {
    if (!counts() || --left > 0) return "continue";
    disarm();
    const pause = duration(random, DOWN_MOST);
    system.universe.after(0, () => operator.ended(name, pause));
    return verdict;
  };
  for (const drive of drives) {
    if (drive === undefined) continue;
    if (to === "any drive") drive.onRead = meet;
    drive.onWrite = meet;
    drive.onFlush = meet;
  }
  budget.arm(name);
  scene.lasting(10_000, disarm);
}

function pause(scene: Scene, machine: Machine, length: number): void {
  machine.pause();
  scene.lasting(length, () => {
    if (machine.state === "stopped") machine.resume();
  });
}

export const SITE_FAULTS: readonly Fault[] = [
  {
    name: "a site ends",
    weight: 4,
    strike: (scene) => {
      const name = anySite(scene);
      const ending = scene.random.pick(ENDINGS);
      return end(scene, name, ending) ? `${name}: ${ending}` : undefined;
    },
  },
  {
    name: "several sites end at once",
    weight: 2,
    strike: (scene) => {
      const { system, random } = scene;
      const struck = system.names.filter(
        (name) => random.chance(0.5) && end(scene, name, random.pick(["crash", "kill"])),
      );
      return struck.length > 0 ? struck.join(", ") : undefined;
    },
  },
  {
    name: "all sites lose their power",
    weight: 0.5,
    strike: (scene) => {
      const struck = scene.system.names.filter((name) => end(scene, name, "crash"));
      return struck.length > 0 ? struck.join(", ") : undefined;
    },
  },
  {
    name: "a site ends at a request to its drives",
    weight: 3,
    strike: (scene) => {
      const name = anySite(scene);
      if (!scene.system.sites.has(name) || !scene.budget.mayEnd(name)) return undefined;
      const after = 1 + scene.random.below(60);
      const verdict = scene.random.pick(VERDICTS);
      endAtRequest(scene, name, after, verdict);
      return `${name}: ${verdict} its request ${after} from now`;
    },
  },
  {
    name: "a site ends again while it recovers",
    weight: 3,
    strike: (scene) => {
      const name = anySite(scene);
      if (!scene.budget.mayEnd(name)) return undefined;
      const down = scene.random.below(1000);
      if (!scene.operator.end(name, scene.random.pick(["crash", "kill"]), down)) return undefined;
      const after = 1 + scene.random.below(400);
      const verdict = scene.random.pick(VERDICTS);
      endAtRequest(scene, name, after, verdict);
      return `${name}: at once, and ${verdict} request ${after} of its recovery`;
    },
  },
  {
    name: "a site stands still",
    weight: 2,
    strike: (scene) => {
      const name = anySite(scene);
      const machine = scene.system.universe.machine(name);
      if (machine.state !== "running") return undefined;
      const length = duration(scene.random, scene.random.chance(0.2) ? PAUSE_MOST : 6000);
      pause(scene, machine, length);
      return name;
    },
  },
  {
    name: "a clock drifts",
    weight: 0.5,
    strike: ({ system, random }) => {
      const name = random.pick(system.names);
      const most = random.pick([200, 50_000]);
      const drift = random.below(2 * most) - most;
      system.universe.machine(name).setClockDrift(drift);
      return `${name} by ${drift} in a million`;
    },
  },
  {
    name: "a clock steps",
    weight: 0.5,
    strike: ({ system, random }) => {
      const name = random.pick(system.names);
      const step = random.below(2 * 86_400_000) - 86_400_000;
      system.universe.machine(name).stepWallClock(step);
      return `${name} by ${step} ms`;
    },
  },
  {
    name: "a site is restarted with another configuration",
    weight: 1,
    strike: (scene) => {
      const { system, random, budget } = scene;
      const name = random.pick(system.names);
      if (!budget.mayEnd(name)) return undefined;
      const { role } = system.config(name);
      const changes: (readonly [section: string, keys: Record<string, unknown>])[] = [
        ["journal", { cache: random.pick(["1MiB", "2MiB"]), window: random.pick(["4MiB", "8MiB"]) }],
      ];
      if (role !== "primary") {
        // Silence is always longer than what any other site leaves between two heartbeats.
        changes.push([
          "link",
          { heartbeat: `${100 + random.below(400)}ms`, silence: `${1200 + random.below(3000)}ms` },
        ]);
      }
      if (role === "relay") changes.push(["relay", { acknowledge: random.pick(["hop", "end"]) }]);
      const [section, keys] = random.pick(changes);
      const ending = random.pick(ENDINGS);
      if (!end(scene, name, ending)) return undefined;
      // It counts from the next start on, and none comes before this event is over.
      system.reconfigure(name, section, keys);
      return `${name}: ${ending}, then ${section} ${JSON.stringify(keys)}`;
    },
  },
];

export const HOST_FAULTS: readonly Fault[] = [
  {
    name: "a host ends",
    weight: 1,
    strike: (scene) => {
      const { random, system, hosts } = scene;
      const host = random.pick(hosts);
      const machine = system.universe.machine(host.name);
      if (machine.state !== "running") return undefined;
      const ending = random.pick(["crash", "half-open", "kill"] as const);
      if (ending === "kill") machine.kill();
      else machine.crash({ peers: ending === "crash" ? "close" : "half-open" });
      host.crashed();
      scene.lasting(duration(random, DOWN_MOST), () => {
        machine.restart();
        host.start();
      });
      return `${host.name}: ${ending}`;
    },
  },
  {
    name: "a host stands still",
    weight: 1,
    strike: (scene) => {
      const machine = scene.system.universe.machine(scene.random.pick(scene.hosts).name);
      if (machine.state !== "running") return undefined;
      const length = duration(scene.random, 10_000);
      pause(scene, machine, length);
      return machine.name;
    },
  },
];

/** Longer than every timeout, those of hosts included; the unrest must leave room for it. */
function longPause(name: string, who: (scene: Scene) => string): Fault {
  return {
    name,
    weight: 2,
    strike: (scene) => {
      const machine = scene.system.universe.machine(who(scene));
      if (machine.state !== "running") return undefined;
      pause(scene, machine, PAUSE_LONG + scene.random.below(PAUSE_MOST - PAUSE_LONG));
      return machine.name;
    },
  };
}

export const PAUSES: readonly Fault[] = [
  longPause("a site stands still for long", anySite),
  longPause("a host stands still for long", ({ hosts, random }) => random.pick(hosts).name),
];
