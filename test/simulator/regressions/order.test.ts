import { describe, expect, it } from "vitest";
import { BLOCK_BYTES, lba } from "../../../src/base/units.ts";
import { DEADLINE, FULL, SimulatedSystem, stamped, stampOf, type Topology } from "../system.ts";

describe("a system of sites", () => {
  const topologies: Record<string, Topology> = {
    "without legs": { legs: [] },
    "with two mirror sites": { legs: [["boulder"], ["pueblo"]] },
    "with a chain of two relays": { legs: [["relay-east*", "relay-far", "boston"]] },
    "with plain and cascading legs": FULL,
    "with an end-to-end relay leg": { legs: [["boulder"], ["relay-east*", "boston"]], acknowledge: "end" },
    "with a primary that stores nothing": { legs: [["boulder"], ["pueblo"]], diskless: true },
  };
  for (const [name, topology] of Object.entries(topologies)) {
    it(`${name} brings a write to every site and reads it back`, async () => {
      const system = new SimulatedSystem(1, topology);
      await system.start();
      const volume = system.volume();
      const writes = Array.from({ length: 20 }, (_, at) => volume.write(lba(at * 3), stamped(at + 1, 2)));
      await system.universe.result(Promise.all(writes), { deadline: DEADLINE });
      const read = new Uint8Array(64 * BLOCK_BYTES);
      await system.universe.result(volume.read(lba(0), read), { deadline: DEADLINE });
      for (let at = 0; at < 20; at++) expect(stampOf(read, at * 3)).toBe(at + 1);
      await system.settle();
      for (const site of system.sites.values()) {
        if (site.storage.volumes.size === 0) continue;
        const content = await system.stored(site.config.site.name);
        for (let at = 0; at < 20; at++) expect(stampOf(content, at * 3 + 1)).toBe(at + 1);
      }
      const { sites } = await system.verify();
      expect(sites.map(({ verdict }) => verdict)).not.toContain("different");
      expect(sites.map(({ verdict }) => verdict)).not.toContain("unknown");
    });
  }

  it("takes writes of 512-byte blocks in order, beside whole ones", async () => {
    const system = new SimulatedSystem(2, { legs: [["boulder"], ["pueblo"]] });
    await system.start();
    const volume = system.volume(512);
    const model = new Uint8Array(8 * BLOCK_BYTES);
    const writes: (Promise<void> | undefined)[] = [];
    for (let at = 0; at < 60; at++) {
      const sectors = 1 + system.universe.random.below(20);
      const start = system.universe.random.below(64 - sectors);
      const data = new Uint8Array(sectors * 512).fill(at + 1);
      model.set(data, start * 512);
      writes.push(volume.write(lba(start), data));
    }
    await system.universe.result(Promise.all(writes), { deadline: DEADLINE });
    const read = new Uint8Array(8 * BLOCK_BYTES);
    await system.universe.result(volume.read(lba(0), read), { deadline: DEADLINE });
    expect(read).toEqual(model);
    await system.settle();
    expect((await system.stored("pueblo")).subarray(0, read.length)).toEqual(model);
  });
});

describe("a primary that dies between journal and sends", () => {
  /** Lets hosts write, ends the primary where `arm` says, starts it again, and compares what every site then has. */
  const surviveDeath = async (seed: number, arm: (system: SimulatedSystem, die: () => void) => () => void) => {
    const system = new SimulatedSystem(seed);
    await system.start();
    const { universe } = system;
    const acknowledged = new Map<number, number>();
    const attempted = new Map<number, number[]>();
    const volume = system.volume();
    let died = false;
    let stamp = 0;
    const write = () => {
      if (died) return;
      const mine = ++stamp;
      const block = universe.random.below(64);
      attempted.set(block, [...(attempted.get(block) ?? []), mine]);
      volume
        .write(lba(block), stamped(mine))
        ?.then(() => acknowledged.set(block, Math.max(mine, acknowledged.get(block) ?? 0)))
        .catch(() => {});
    };
    for (let count = 0; count < 100; count++) universe.after(universe.random.below(40), write);
    const disarm = arm(system, () => {
      died = true;
    });
    await universe.run(() => died || stamp === 100, { deadline: DEADLINE });
    disarm();
    if (!died) system.crash("denver");
    system.sites.delete("denver");
    await system.boot("denver");
    await system.serving();
    await system.settle();
    const own = await system.stored("denver");
    for (const name of ["boulder", "pueblo", "relay-far", "boston"]) {
      expect(Buffer.compare(await system.stored(name), own), `${name} has what denver has, seed ${seed}`).toBe(0);
    }
    for (const [block, least] of acknowledged) {
      const found = stampOf(own, block);
      expect(found, `block ${block} has its last acknowledged write, seed ${seed}`).toBeGreaterThanOrEqual(least);
      expect(attempted.get(block)).toContain(found);
    }
    return died;
  };

  it("agrees with every site after the power was cut at any of its journal's writes", async () => {
    let deaths = 0;
    for (let seed = 1; seed <= 24; seed++) {
      const verdict = seed % 2 === 0 ? "crash-before" : "crash-after";
      const died = await surviveDeath(seed, (system, die) => {
        const journal = system.universe.machine("denver").drive("/journal");
        let left = Math.ceil(seed / 2);
        journal.onWrite = () => {
          if (--left > 0) return "continue";
          die();
          return verdict;
        };
        return () => {
          journal.onWrite = undefined;
        };
      });
      if (died) deaths++;
    }
    expect(deaths).toBe(24);
  });

  it("agrees with every site after it died between any two of its sends", async () => {
    let deaths = 0;
    for (let seed = 1; seed <= 24; seed++) {
      const died = await surviveDeath(100 + seed, (system, die) => {
        const { network } = system.universe;
        let left = seed;
        network.onSend = (from) => {
          if (from !== "denver" || --left > 0) return "continue";
          die();
          return "crash-before";
        };
        return () => {
          network.onSend = () => "continue";
        };
      });
      if (died) deaths++;
    }
    expect(deaths).toBe(24);
  });
});
