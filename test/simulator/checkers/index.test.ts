import { describe, expect, it } from "vitest";
import { dataBlock } from "../../../src/raid/member-layout.ts";
import { Load } from "../load.ts";
import { FULL, SimulatedSystem } from "../system.ts";
import { Checkers } from "./index.ts";

describe("all checkers together", () => {
  let system: SimulatedSystem;
  let checkers: Checkers;

  const load = async (options?: { readonly unwatched: boolean }) => {
    system = new SimulatedSystem(6, FULL);
    checkers = new Checkers(system);
    const { universe } = system;
    const look = () => {
      if (options?.unwatched !== true) expect(checkers.look()).toBeUndefined();
      universe.after(10, look);
    };
    look();
    await system.start();
    const hosts = new Load(system, { hosts: 2, depth: 4, onViolation: expect.fail });
    hosts.begin();
    await universe.advance(1000);
    system.crash("pueblo");
    await universe.advance(500);
    const restarted = system.open("pueblo");
    await universe.advance(2000);
    await restarted;
    await universe.result(hosts.end());
    await system.settle();
  };

  it("find nothing in a system that lost a site for a while, and change nothing in it", async () => {
    await load();
    const watched = system.universe.traceHash;
    expect(await checkers.atRest()).toBeUndefined();
    expect(checkers.counts.committed).toBeGreaterThan(50);
    expect(checkers.counts).toMatchObject({ gaps: 0, refusals: 0 });
    expect(checkers.counts.rows).toBeGreaterThan(100);
    await load({ unwatched: true });
    expect(system.universe.traceHash).toBe(watched);
  });

  it("find damage on media at rest, and keep what they found first", async () => {
    await load();
    const drive = system.universe.machine("relay-far").drive("/drive-1");
    const { pages } = drive.snapshot();
    for (let index = 0; index < 40; index++) if (pages.has(dataBlock(index))) drive.flipBit(dataBlock(index));
    const found = await checkers.atRest();
    expect(found).toMatchObject({ invariant: "at-rest", what: expect.stringMatching(/relay-far: array main: block/) });
    expect(checkers.look()).toBe(found);
  });

  it("are told which drives were damaged", async () => {
    await load();
    const damaged = system.universe.machine("relay-far").drive("/drive-1");
    const { pages } = damaged.snapshot();
    for (let index = 0; index < 40; index++) if (pages.has(dataBlock(index))) damaged.flipBit(dataBlock(index));
    const lenient = new Checkers(system, { isDamaged: (drive) => drive === damaged, isRowDamaged: () => true });
    expect(await lenient.atRest()).toBeUndefined();
  });
});
