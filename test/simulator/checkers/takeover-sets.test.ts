import { beforeEach, describe, expect, it } from "vitest";
import { Load } from "../load.ts";
import { SimulatedSystem, type Topology } from "../system.ts";
import { Checkers } from "./index.ts";

const TOPOLOGY: Topology = { legs: [["boulder"], ["relay-east*", "boston"]] };
const NO_PROBLEM = () => [];

describe("the invariant takeover-sets", () => {
  let system: SimulatedSystem;
  let checkers: Checkers;

  beforeEach(async () => {
    system = new SimulatedSystem(11, TOPOLOGY);
    checkers = new Checkers(system);
    await system.start();
    new Load(system, { hosts: 3, depth: 4, onViolation: expect.fail }).begin();
  });

  /** Lets time pass while the checkers look on. */
  const pass = async (duration: number) => {
    for (let at = 0; at < duration; at += 10) {
      await system.universe.advance(10);
      expect(checkers.look()).toBeUndefined();
    }
  };

  it("holds under load, at any moment, and the universe does not notice", async () => {
    const seen = new Set<string>();
    for (let moment = 0; moment < 6; moment++) {
      await pass(400);
      const { traceHash, now } = system.universe;
      const found = checkers.takeover((where) => {
        seen.add(where);
        return [];
      });
      expect(found).toBeUndefined();
      expect(system.universe).toMatchObject({ traceHash, now });
    }
    expect([...seen]).toEqual(["denver", "boulder", "relay-east with boston"]);
    expect(checkers.counts).toMatchObject({ copies: 24, gaps: 0, refusals: 0 });
  });

  it("holds for sites that are down", async () => {
    await pass(500);
    system.crash("denver");
    system.kill("boulder");
    await pass(50);
    expect(checkers.takeover(NO_PROBLEM)).toBeUndefined();
    expect(checkers.counts.copies).toBe(4);
  });

  it("is broken by content that hosts would not accept", async () => {
    await pass(300);
    const found = checkers.takeover((where) => (where === "boulder" ? ["block 3 is old"] : []));
    expect(found).toMatchObject({
      invariant: "takeover-sets",
      what: expect.stringMatching(/boulder alone .* block 3/),
    });
  });

  it("is broken by a journal that says durable of what is not", async () => {
    const { universe } = system;
    universe.machine("boulder").drive("/journal").inject({ on: "write", action: "lose" });
    await pass(300);
    expect(checkers.takeover(NO_PROBLEM)?.what).toMatch(/boulder would /);
  });

  it("is broken by an array that says flushed of what is not", async () => {
    const drives = system.drivesOf("boulder").map((path) => system.universe.machine("boulder").drive(path));
    for (const drive of drives) drive.inject({ on: "flush", action: "lose" });
    let what: string | undefined;
    for (let moment = 0; moment < 20 && what === undefined; moment++) {
      await pass(300);
      what = checkers.takeover(NO_PROBLEM)?.what;
    }
    expect(what).toMatch(/boulder (after a power cut: block|can't be read|would refuse)/);
  });

  it("lets a site refuse whose drives are not its own, and asks nothing of one that was released", async () => {
    await pass(300);
    system.crash("boulder");
    system.universe
      .machine("boulder")
      .drive("/journal")
      .overwrite(0, new Uint8Array(1 << 20).fill(0xa5));
    checkers.release("boulder");
    expect(checkers.takeover(NO_PROBLEM)).toBeUndefined();
    system.universe.machine("relay-east").drive("/journal").vanish();
    expect(checkers.takeover(NO_PROBLEM)).toBeUndefined();
    const { drive } = system.universe.machine("boston");
    for (const path of system.drivesOf("boston")) drive.call(system.universe.machine("boston"), path).vanish();
    expect(checkers.takeover(NO_PROBLEM)?.what).toMatch(/boston would refuse to start .* raid/);
  });
});
