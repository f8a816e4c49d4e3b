import { describe, expect, it } from "vitest";
import { lba } from "../../../src/base/units.ts";
import { DEADLINE, SimulatedSystem, stamped, stampOf } from "../system.ts";

const LEGS = { legs: [["boulder"], ["pueblo"]] };

/** Two of the three drives fail, so that the array does. */
function breakArray(system: SimulatedSystem, name: string): void {
  for (const path of ["/drive-0", "/drive-1"]) {
    system.universe.machine(name).drive(path).inject({ on: "write", action: "fail" });
  }
}

describe("a site whose array fails", () => {
  it("stops storing and says so, also while it stores from its journal's drive; nothing it lacks is acknowledged", async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const system = new SimulatedSystem(seed, LEGS);
      await system.start();
      const { universe } = system;
      const volume = system.volume();
      const writes = Array.from({ length: 100 }, (_, at) => volume.write(lba(at * 7), stamped(at + 1)));
      await universe.result(Promise.all(writes), { deadline: DEADLINE });
      // What it stores now is neither in its memory nor in its read cache.
      system.crash("boulder");
      const site = await system.boot("boulder");
      breakArray(system, "boulder");
      await universe.run(() => site.pipeline.failure !== undefined, { deadline: DEADLINE });
      let acknowledged = false;
      volume.write(lba(1), stamped(1000))?.then(() => {
        acknowledged = true;
      });
      await universe.advance(10_000);
      expect(acknowledged).toBe(false);
      expect(site.pipeline.stored).toBeLessThan(system.primary.pipeline.committed);
      expect(site.feed.kind === "link" && site.feed.listener.peers[0].state).toBe("up");
    }
  });

  it("refuses its hosts, if it is the primary", async () => {
    const system = new SimulatedSystem(6, LEGS);
    await system.start();
    breakArray(system, "denver");
    const volume = system.volume();
    await system.universe.result(volume.write(lba(1), stamped(1)), { deadline: DEADLINE });
    await system.universe.run(() => system.controller.state.kind === "failed", { deadline: DEADLINE });
    await expect(volume.write(lba(2), stamped(2))).rejects.toMatchObject({ name: "OperatingError" });
    await expect(volume.read(lba(1), stamped(0))).rejects.toMatchObject({ name: "OperatingError" });
  });
});

describe("a site whose mirrored pair went on with one of its drives", () => {
  it("does not start from the other one alone", async () => {
    const system = new SimulatedSystem(8, { ...LEGS, array: { level: 1, drives: 2, chunk: "16KiB" } });
    await system.start();
    const { universe } = system;
    const volume = system.volume();
    await universe.result(volume.write(lba(1), stamped(1)), { deadline: DEADLINE });
    await system.settle();
    const [left, went] = system.drivesOf("boulder").map((path) => universe.machine("boulder").drive(path));
    left.vanish();
    await universe.result(volume.write(lba(1), stamped(2)), { deadline: DEADLINE });
    await system.settle();
    system.crash("boulder");
    left.reappear();
    went.vanish();
    await expect(system.boot("boulder")).rejects.toMatchObject({ code: "raid.left-behind" });
    universe.machine("boulder").kill();
    went.reappear();
    await system.boot("boulder");
    expect(stampOf(await system.stored("boulder"), 1)).toBe(2);
  });
});

describe("a site whose journal fails", () => {
  it("acknowledges nothing more, and is refused or suspended, never guessed at", async () => {
    for (const name of ["denver", "boulder"]) {
      const system = new SimulatedSystem(7, LEGS);
      await system.start();
      const { universe } = system;
      const volume = system.volume();
      await universe.result(volume.write(lba(1), stamped(1)), { deadline: DEADLINE });
      universe.machine(name).drive("/journal").inject({ on: "write", action: "fail" });
      let outcome = "open";
      volume.write(lba(1), stamped(2))?.then(
        () => {
          outcome = "acknowledged";
        },
        () => {
          outcome = "refused";
        },
      );
      await universe.run(() => system.site(name).pipeline.failure !== undefined, { deadline: DEADLINE });
      await universe.advance(5000);
      expect(outcome).toBe(name === "denver" ? "refused" : "open");
    }
  });
});
