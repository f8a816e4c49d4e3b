import { describe, expect, it } from "vitest";
import { lba } from "../../../src/base/units.ts";
import { DEADLINE, SimulatedSystem, stamped } from "../system.ts";

const LEGS = [["boulder"], ["relay-east*", "relay-far", "boston"]];

/** Submits a write while a site's journal takes no writes. @returns whether it is acknowledged, and the end of it */
async function writeWhileStalled(acknowledge: "hop" | "end", name: string) {
  const system = new SimulatedSystem(1, { legs: LEGS, acknowledge });
  await system.start();
  await system.settle();
  const stall = system.universe.machine(name).drive("/journal").inject({ on: "write", action: "stall" });
  const host = { acknowledged: false };
  system
    .volume()
    .write(lba(1), stamped(1))
    ?.then(() => {
      host.acknowledged = true;
    });
  // Shorter than what a site waits before it gives a silent link up.
  await system.universe.advance(2000);
  return { system, host, stall };
}

describe("a relay point", () => {
  it("forwards nothing that its own journal does not have yet", async () => {
    const { system, host, stall } = await writeWhileStalled("hop", "relay-east");
    const last = system.primary.pipeline.appended;
    expect(system.site("relay-east").pipeline.appended).toBe(last);
    expect(system.site("relay-far").pipeline.appended).toBeLessThan(last);
    expect(host.acknowledged).toBe(false);
    stall.remove();
    await system.universe.run(() => host.acknowledged, { deadline: DEADLINE });
    await system.settle();
  });

  it("acknowledges by hop once its journal has it, and end to end only once the last site's has", async () => {
    for (const acknowledge of ["hop", "end"] as const) {
      for (const name of ["relay-far", "boston"]) {
        const { system, host, stall } = await writeWhileStalled(acknowledge, name);
        expect(host.acknowledged, `${acknowledge}, while the journal of ${name} stalls`).toBe(acknowledge === "hop");
        stall.remove();
        await system.universe.run(() => host.acknowledged, { deadline: DEADLINE });
        await system.settle();
      }
    }
  });

  it("keeps what the next site does not have, also over its own restart", async () => {
    const system = new SimulatedSystem(2, { legs: LEGS });
    await system.start();
    const { universe } = system;
    system.crash("boston");
    await universe.result(system.volume().write(lba(1), stamped(1)), { deadline: DEADLINE });
    await universe.advance(10_000);
    system.crash("relay-far");
    await system.boot("relay-far");
    await universe.advance(10_000);
    const { journal } = system.site("relay-far").storage;
    expect(journal.retired).toBeLessThan(system.primary.pipeline.appended);
    await system.boot("boston");
    await system.settle();
    expect(Buffer.compare(await system.stored("boston"), await system.stored("denver"))).toBe(0);
  });
});
