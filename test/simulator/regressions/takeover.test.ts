import { describe, expect, it } from "vitest";
import { OperatingError } from "../../../src/base/operating-error.ts";
import { BLOCK_BYTES, lba } from "../../../src/base/units.ts";
import type { SimulatedDrive } from "../../../src/platform/memory/memory-world.ts";
import { DEADLINE, SimulatedSystem, stamped } from "../system.ts";
import { appendTo } from "./stopped-site.ts";

/** Of a journal that has not come round yet. */
function damageLastBlock(drive: SimulatedDrive): void {
  const zeros = new Uint8Array(BLOCK_BYTES);
  let last = drive.blockCount - 1;
  while (Buffer.compare(drive.contents(last, 1), zeros) === 0) last--;
  drive.overwrite(last, zeros);
}

const LEGS = { legs: [["boulder"], ["pueblo"]] };

describe("taking an epoch", () => {
  it("goes on when a leg drops and comes back while another leg is still asked", async () => {
    for (const delay of [1, 5, 20, 100, 500]) {
      const system = new SimulatedSystem(delay, LEGS);
      for (const name of system.names) await system.boot(name);
      const { universe } = system;
      // The answers of pueblo take their time, so that boulder can drop and come back before the last one is here.
      universe.network.linkOneWay("pueblo", "denver", { delay: [400, 400] });
      const [boulder, pueblo] = system.controller.legs;
      await universe.run(() => boulder.sender.state.kind === "streaming" || pueblo.sender.state.kind === "holding");
      await universe.advance(delay);
      if (system.controller.state.kind === "serving") continue;
      const session = boulder.sender.counters.sessions;
      boulder.sender.cut(system.primary.pipeline.appended);
      await universe.run(() => boulder.sender.counters.sessions > session);
      await system.serving();
    }
  });

  it("serves nobody before every leg has the start of the epoch", async () => {
    const system = new SimulatedSystem(5, LEGS);
    await system.start();
    const { universe } = system;
    await system.settle();
    system.kill("denver");
    await system.boot("denver");
    const { pipeline } = system.site("pueblo");
    await universe.run(() => pipeline.position.promised === 2, { deadline: DEADLINE });
    const stall = universe.machine("pueblo").drive("/journal").inject({ on: "write", action: "stall" });
    await universe.advance(2000);
    expect(pipeline.appended).toBe(system.primary.pipeline.appended);
    expect(system.controller.state.kind).toBe("starting");
    stall.remove();
    await system.serving();
  });

  it("ends without a crash when the primary is closed in the pause between two attempts", async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const system = new SimulatedSystem(seed, LEGS);
      const { universe } = system;
      for (const name of system.names) await universe.result(system.open(name), { deadline: DEADLINE });
      const outcome: { error: unknown } = { error: undefined };
      system.controller.start().catch((error) => {
        outcome.error = error;
      });
      universe.network.linkOneWay("pueblo", "denver", { delay: [50, 50] });
      await universe.run(() => system.controller.legs[1].sender.state.kind === "holding");
      await universe.advance(10);
      // Its question is lost with the link: another attempt follows after a pause.
      system.crash("pueblo");
      universe.network.linkOneWay("pueblo", "denver", { delay: [0.1, 0.5] });
      await universe.run(() => system.controller.legs[1].sender.state.kind === "waiting");
      await universe.advance(seed * 10);
      await universe.result(system.primary.close(), { deadline: DEADLINE });
      await universe.advance(5000);
      expect(outcome.error).toBeInstanceOf(OperatingError);
    }
  });
});

describe("a leg that lost the end of its journal", () => {
  it("gets again what it had acknowledged, which nobody has dropped meanwhile", async () => {
    const system = new SimulatedSystem(3, LEGS);
    await system.start();
    const { universe } = system;
    const volume = system.volume();
    // Nothing is committed, and so nothing stored, while the other leg is away.
    system.crash("pueblo");
    const writes = [volume.write(lba(0), stamped(1, 4)), volume.write(lba(8), stamped(2, 4))];
    const boulder = system.controller.legs[0].sender;
    const last = system.primary.pipeline.appended;
    await universe.run(() => boulder.hop === last, { deadline: DEADLINE });
    // The last batch of its journal is damaged in a way that can't be told from a torn one.
    const before = system.site("boulder").storage.journal.usedBytes;
    expect(before).toBeGreaterThan(0);
    system.crash("boulder");
    damageLastBlock(universe.machine("boulder").drive("/journal"));
    const site = await system.boot("boulder");
    expect(site.storage.journal.recovery.tornTail).toBeDefined();
    await universe.run(() => boulder.counters.sessions === 2 && boulder.state.kind === "streaming", {
      deadline: DEADLINE,
    });
    expect(boulder.hop).toBeLessThan(last);
    await universe.run(() => boulder.hop === last, { deadline: DEADLINE });
    await system.boot("pueblo");
    await universe.result(Promise.all(writes), { deadline: DEADLINE });
    await system.settle();
    expect(Buffer.compare(await system.stored("boulder"), await system.stored("denver"))).toBe(0);
  });
});

describe("a leg that comes back with a tail that has to be cut", () => {
  it("is cut once and streamed to, also where its journal stalls for longer than anybody waits", async () => {
    for (const stalled of [0, 15_000, 40_000]) {
      const system = new SimulatedSystem(4, LEGS);
      await system.start();
      const { universe } = system;
      await system.settle();
      system.crash("pueblo");
      for (let count = 0; count < 2; count++) await appendTo(system, "pueblo", 1, stamped(70), 7);
      const site = await system.boot("pueblo");
      const stall = universe.machine("pueblo").drive("/journal").inject({ on: "write", action: "stall" });
      await universe.advance(stalled);
      expect(site.pipeline.appended).toBe(system.primary.pipeline.appended + 2);
      stall.remove();
      await universe.run(() => site.pipeline.appended === system.primary.pipeline.appended, { deadline: DEADLINE });
      const late = system.volume().write(lba(8), stamped(8));
      await universe.result(late, { deadline: DEADLINE });
      await system.settle();
      expect(Buffer.compare(await system.stored("pueblo"), await system.stored("denver"))).toBe(0);
    }
  });
});
