import { describe, expect, it } from "vitest";
import { BLOCK_BYTES, lba } from "../../../src/base/units.ts";
import { MirroredVolume } from "../../../src/mirror/mirrored-volume.ts";
import { DEADLINE, SimulatedSystem, stamped, stampOf } from "../system.ts";

describe("a primary without storage", () => {
  it("reads what has left its journal from behind a relay point that stores nothing either", async () => {
    const system = new SimulatedSystem(1, { legs: [["relay-east*", "relay-far*", "boston"]], diskless: true });
    await system.start();
    await system.universe.result(system.volume().write(lba(3), stamped(7, 4)), { deadline: DEADLINE });
    await system.settle();
    system.crash("denver");
    system.crash("relay-east");
    await system.boot("denver");
    await system.boot("relay-east");
    await system.serving();
    const read = new Uint8Array(8 * BLOCK_BYTES);
    await system.universe.result(system.volume().read(lba(0), read), { deadline: DEADLINE });
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((block) => stampOf(read, block))).toEqual([0, 0, 0, 7, 7, 7, 7, 0]);
  });
});

describe("writes of 512-byte blocks", () => {
  it("are completed when the journal is full, and none is lost or told to have failed", async () => {
    const system = new SimulatedSystem(2, { legs: [["boulder"], ["pueblo"]] });
    await system.start();
    const { universe } = system;
    const { id, size } = system.primary.config.volumes.lun0;
    const volume = new MirroredVolume(system.controller, id, size, 512);
    const model = new Uint8Array(256 * BLOCK_BYTES);
    const writes: (Promise<void> | undefined)[] = [];
    const write = (at: number, data: Uint8Array) => {
      model.set(data, at * 512);
      writes.push(volume.write(lba(at), data));
    };
    // Far more than the journal and its memory hold at once, so that most of them wait for room.
    for (let count = 1; count <= 400; count++) {
      const sectors = 300 + universe.random.below(700);
      write(universe.random.below(2048 - sectors), new Uint8Array(sectors * 512).fill(count));
    }
    await universe.result(Promise.all(writes), { deadline: DEADLINE });
    const read = new Uint8Array(model.length);
    await universe.result(volume.read(lba(0), read), { deadline: DEADLINE });
    expect(Buffer.compare(read, model)).toBe(0);
    await system.settle();
    expect(Buffer.compare((await system.stored("boulder")).subarray(0, model.length), model)).toBe(0);
  });

  it("do not make a comparison of the sites see a difference that is none, however many there are", async () => {
    const system = new SimulatedSystem(3, { legs: [["boulder"]] });
    await system.start();
    const { universe } = system;
    const { id, size } = system.primary.config.volumes.lun0;
    const volume = new MirroredVolume(system.controller, id, size, 512);
    let over = false;
    let count = 0;
    // Never at rest: the comparison has to make them wait.
    const write = () => {
      if (over) return;
      const data = new Uint8Array(512).fill(++count);
      volume.write(lba(universe.random.below(8192)), data)?.then(write, write);
    };
    for (let host = 0; host < 8; host++) write();
    for (let round = 0; round < 20; round++) {
      for (const { site, verdict } of (await system.verify()).sites) expect(verdict, site).toBe("identical");
      await universe.advance(universe.random.below(20));
    }
    over = true;
    expect(count).toBeGreaterThan(100);
  });
});
