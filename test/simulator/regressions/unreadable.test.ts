import { expect, it } from "vitest";
import { lba } from "../../../src/base/units.ts";
import { dataBlock } from "../../../src/raid/member-layout.ts";
import { SimulatedSystem, stamped } from "../system.ts";

it("a site that can't read what it is asked the checksums of says so, and keeps no memory for it", async () => {
  const system = new SimulatedSystem(1, { legs: [["boulder"], ["pueblo"]] });
  await system.start();
  const { universe } = system;
  await universe.result(system.volume().write(lba(0), stamped(1, 64)));
  await system.settle();
  const { memory } = system.site("boulder").world;
  const bytes: number[] = [];
  for (let time = 0; time < 4; time++) {
    // More of a row than parity makes up for, each time anew: what can be repaired is, when it is read.
    for (const path of ["/drive-0", "/drive-1", "/drive-2"])
      universe.machine("boulder").drive(path).flipBit(dataBlock(0));
    const { sites } = await system.verify();
    expect(sites.find(({ site }) => site === "boulder")?.verdict).toBe("unknown");
    bytes.push("bytes" in memory ? Number(memory.bytes) : Number.NaN);
  }
  expect(new Set(bytes.slice(1)).size).toBe(1);
});
