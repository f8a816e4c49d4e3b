import { describe, expect, it } from "vitest";
import { OperatingError } from "../../src/base/operating-error.ts";
import { Hosts } from "./hosts.ts";
import { FULL, SimulatedSystem, type Topology } from "./system.ts";

const SEEDS = 32;
/** Virtual milliseconds of load under faults, before everything is mended. */
const UNREST = 25_000;

const TOPOLOGIES: readonly Topology[] = [
  FULL,
  { ...FULL, acknowledge: "end" },
  { legs: [["boulder"], ["relay-east*", "boston"]], diskless: true },
];

/** What can happen to a system; all of it ends by itself, or when `mend` is called. */
class Faults {
  readonly failures: string[] = [];
  readonly #system: SimulatedSystem;
  readonly #hosts: Hosts;
  #mending = false;
  count = 0;

  constructor(system: SimulatedSystem, hosts: Hosts) {
    this.#system = system;
    this.#hosts = hosts;
  }

  start(): void {
    const { universe } = this.#system;
    const next = () => {
      if (this.#mending) return;
      this.count++;
      this.#happen();
      universe.after(50 + universe.random.below(2500), next);
    };
    universe.after(universe.random.below(1000), next);
  }

  /** Nothing more happens, and what was down or apart comes back. */
  mend(): void {
    this.#mending = true;
    const { universe, names } = this.#system;
    universe.network.heal();
    for (const name of names) {
      const machine = universe.machine(name);
      if (machine.state === "stopped") machine.resume();
      machine.drive("/journal").onWrite = undefined;
      if (machine.state === "down" || machine.state === "ended") this.#restart(name);
    }
  }

  #happen(): void {
    const { universe, names } = this.#system;
    const { random } = universe;
    const name = names[random.below(names.length)];
    const other = names[random.below(names.length)];
    const machine = universe.machine(name);
    const duration = random.below(6000);
    switch (random.below(8)) {
      case 0:
        this.#end(name, () => machine.crash({ peers: random.below(2) === 0 ? "close" : "half-open" }));
        break;
      case 1:
        this.#end(name, () => machine.kill());
        break;
      case 2:
        // The primary and a leg at once.
        this.#end("denver", () => universe.machine("denver").crash());
        this.#end(name, () => machine.crash());
        break;
      case 3:
        if (machine.state === "running") {
          machine.pause();
          universe.after(duration, () => {
            if (machine.state === "stopped") machine.resume();
          });
        }
        break;
      case 4:
        if (name === other) break;
        universe.network.partition(name, other);
        universe.after(duration, () => universe.network.heal(name, other));
        break;
      case 5:
        universe.network.isolate(name);
        universe.after(duration, () => {
          for (const each of names) if (each !== name) universe.network.heal(name, each);
        });
        break;
      case 6:
        this.#endAtWrite(name, 1 + random.below(30));
        break;
      case 7: {
        const stall = machine.drive("/journal").inject({ on: "write", action: "stall" });
        universe.after(duration, () => stall.remove());
        break;
      }
    }
  }

  #end(name: string, end: () => void): void {
    const state = this.#system.universe.machine(name).state;
    if (state !== "running" && state !== "stopped") return;
    end();
    this.#ended(name);
  }

  #endAtWrite(name: string, writes: number): void {
    const { universe } = this.#system;
    const drive = universe.machine(name).drive("/journal");
    let left = writes;
    const verdicts = ["crash-before", "crash-after", "kill-before", "kill-after"] as const;
    const verdict = verdicts[universe.random.below(verdicts.length)];
    drive.onWrite = () => {
      if (--left > 0) return "continue";
      drive.onWrite = undefined;
      universe.after(0, () => this.#ended(name));
      return verdict;
    };
  }

  #ended(name: string): void {
    const { universe } = this.#system;
    this.#system.sites.delete(name);
    if (name === "denver") this.#hosts.forget();
    universe.after(universe.random.below(4000), () => this.#restart(name));
  }

  #restart(name: string): void {
    const machine = this.#system.universe.machine(name);
    if (machine.state !== "down" && machine.state !== "ended") return;
    const fail = (error: unknown) => {
      // What a process that has ended was told is nobody's failure.
      if (error instanceof OperatingError && error.code === "mirror.stopped") return;
      this.failures.push(`${name}: ${String(error)}`);
    };
    this.#system
      .open(name)
      .then(() => (name === "denver" ? this.#system.controller.start() : undefined))
      .catch(fail);
  }
}

describe("a system whose sites die, stop and lose each other under load", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    it(`keeps what it acknowledged, shows no write that it takes back, and comes to rest identical: seed ${seed}`, async () => {
      const topology = TOPOLOGIES[seed % TOPOLOGIES.length];
      const system = new SimulatedSystem(seed, topology);
      await system.start();
      const { universe } = system;
      const hosts = new Hosts(system, { depth: 1 + universe.random.below(12), pause: 20 });
      const faults = new Faults(system, hosts);
      hosts.start();
      faults.start();
      await universe.advance(UNREST);
      faults.mend();
      await universe.run(() => system.sites.size === system.names.length && system.served() !== undefined, {
        deadline: 120_000,
      });
      const before = hosts.acknowledged;
      await universe.run(() => hosts.acknowledged > before + 5, { deadline: 120_000 });
      hosts.stop();
      expect(faults.failures).toEqual([]);
      await system.settle();
      let first: Uint8Array | undefined;
      for (const [name, site] of system.sites) {
        expect(site.pipeline.failure).toBeUndefined();
        if (site.storage.volumes.size === 0) continue;
        const content = await system.stored(name);
        hosts.check(content, name);
        first ??= content;
        expect(Buffer.compare(content, first), `${name} has what the others have`).toBe(0);
      }
      expect(hosts.wrong).toEqual([]);
      const { sites } = await system.verify();
      for (const { site, verdict } of sites) expect(["identical", "diskless"], `verify of ${site}`).toContain(verdict);
      expect(hosts.reads).toBeGreaterThan(0);
      expect(faults.count).toBeGreaterThan(5);
    });
  }
});
