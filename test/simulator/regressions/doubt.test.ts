import { describe, expect, it } from "vitest";
import { BLOCK_BYTES, lba, volumeId } from "../../../src/base/units.ts";
import { DEADLINE, SimulatedSystem, stamped, stampOf } from "../system.ts";
import { appendTo } from "./stopped-site.ts";

const LEGS = { legs: [["boulder"], ["pueblo"]] };

describe("what is in doubt", () => {
  it("is in no array, however long it is in doubt", async () => {
    const system = new SimulatedSystem(1, LEGS);
    await system.start();
    const { universe } = system;
    const volume = system.volume();
    await universe.result(volume.write(lba(5), stamped(50)), { deadline: DEADLINE });
    await system.settle();
    system.crash("pueblo");
    volume.write(lba(5), stamped(51))?.catch(() => {});
    volume.unmap(lba(6), 4)?.catch(() => {});
    await universe.advance(20_000);
    for (const name of ["denver", "boulder"]) {
      const { pipeline, storage } = system.site(name);
      expect(pipeline.appended).toBeGreaterThan(pipeline.committed);
      const device = storage.volumes.get(volumeId(0));
      const found = new Uint8Array(BLOCK_BYTES);
      await universe.result(device?.read(lba(5), found), { deadline: DEADLINE });
      expect(stampOf(found, 0), name).toBe(50);
    }
  });

  it("is cut from the journal of a site that waited long for its primary, and its array never had it", async () => {
    const system = new SimulatedSystem(2, LEGS);
    await system.start();
    const { universe } = system;
    await universe.result(system.volume().write(lba(5), stamped(50)), { deadline: DEADLINE });
    await system.settle();
    for (const name of system.names) system.crash(name);
    await appendTo(system, "boulder", 2, stamped(90), 9);
    await appendTo(system, "pueblo", 1, stamped(70), 7);
    await system.boot("boulder");
    await system.boot("pueblo");
    await universe.advance(20_000);
    await system.boot("denver");
    await system.serving();
    await system.settle();
    for (const name of system.names) {
      const content = await system.stored(name);
      expect(
        [5, 7, 9].map((block) => stampOf(content, block)),
        name,
      ).toEqual([50, 0, 90]);
    }
  });

  it("is shown to no host before it is decided", async () => {
    const system = new SimulatedSystem(3, LEGS);
    await system.start();
    const { universe } = system;
    const volume = system.volume();
    await universe.result(volume.write(lba(5), stamped(50)), { deadline: DEADLINE });
    system.crash("pueblo");
    const cached = new Uint8Array(BLOCK_BYTES);
    const uncached = new Uint8Array(8 * BLOCK_BYTES);
    let answered = 0;
    const count = () => {
      answered++;
    };
    // This one is under way below when the write comes.
    volume.read(lba(4), uncached)?.then(count);
    volume.write(lba(5), stamped(51))?.catch(() => {});
    volume.read(lba(5), cached)?.then(count);
    await universe.advance(10_000);
    expect(answered).toBe(0);
    await system.boot("pueblo");
    await universe.run(() => answered === 2, { deadline: DEADLINE });
    expect(stampOf(cached, 0)).toBe(51);
  });
});
