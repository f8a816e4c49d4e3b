import { expect, it } from "vitest";
import { lba } from "../../../src/base/units.ts";
import { SimulatedSystem, stamped } from "../system.ts";

it("a line on which data takes longer than the link's silence does not lose the link again and again", async () => {
  const timings = { heartbeat: "200ms", silence: "1200ms" };
  const system = new SimulatedSystem(1, { legs: [["boulder"], ["pueblo"]], timings });
  await system.start();
  const { universe, controller } = system;
  // 256 KiB, what a connection takes at once, are 2.6 s on this line.
  universe.network.link("denver", "boulder", { delay: [60, 75], bytesPerSecond: 100_000 });
  const writes = Array.from({ length: 12 }, (_, at) => system.volume().write(lba(64 * at), stamped(at + 1, 64)));
  await universe.result(Promise.all(writes), { deadline: 60_000 });
  expect(controller.legs.map(({ sender }) => sender.counters.sessions)).toEqual([1, 1]);
});
