/** Blocks that a site's array can't read, nor rebuild, and that other sites have. */

import { describe, expect, it } from "vitest";
import { BLOCK_BYTES, lba, MiB, volumeId } from "../../../src/base/units.ts";
import { isUp } from "../../../src/mirror/leg.ts";
import { MirroredVolume } from "../../../src/mirror/mirrored-volume.ts";
import { dataBlock } from "../../../src/raid/member-layout.ts";
import { DEADLINE, SimulatedSystem, stamped, stampOf, type Topology } from "../system.ts";

const BLOCKS = 64;

/** A system at rest whose first blocks were all written. */
async function systemWith(topology: Topology): Promise<SimulatedSystem> {
  const system = new SimulatedSystem(1, topology);
  await system.start();
  await system.universe.result(system.volume().write(lba(0), stamped(1, BLOCKS)));
  await system.settle();
  // What was written is in its read cache.
  await restart(system, "denver");
  return system;
}

async function restart(system: SimulatedSystem, name: string): Promise<void> {
  system.crash(name);
  await system.boot(name);
  // Until its neighbours have noticed, and have come back.
  await system.universe.advance(1000);
  await system.serving();
  await system.universe.run(() => system.controller.legs.every(isUp), { deadline: DEADLINE });
  // What its journal still had is written once more.
  await system.settle();
}

/** More of the first row goes bad than parity makes up for. */
function spoil(system: SimulatedSystem, name: string): void {
  for (const path of system.drivesOf(name)) system.universe.machine(name).drive(path).flipBit(dataBlock(0));
}

/** Another content gets into block 0 of a site, behind the back of its journal. @returns the volume as it has it now */
async function differently(system: SimulatedSystem, name: string): Promise<Uint8Array> {
  const volume = system.site(name).storage.volumes.get(volumeId(0));
  await system.universe.result(Promise.resolve(volume?.write(lba(0), stamped(9))));
  await system.universe.result(Promise.resolve(volume?.flush()));
  await restart(system, name);
  return system.stored(name);
}

async function read(system: SimulatedSystem, blocks: number): Promise<Uint8Array> {
  const into = new Uint8Array(blocks * BLOCK_BYTES);
  await system.universe.result(system.volume().read(lba(0), into), { deadline: DEADLINE });
  return into;
}

async function verdictOf(system: SimulatedSystem, name: string): Promise<string | undefined> {
  return (await system.verify()).sites.find(({ site }) => site === name)?.verdict;
}

const LEGS: Topology = { legs: [["boulder"], ["pueblo"]] };

describe("a block that the primary can't read", () => {
  it("is read from a leg, and written again at the primary", async () => {
    const system = await systemWith(LEGS);
    spoil(system, "denver");
    expect(await verdictOf(system, "denver")).toBe("unknown");
    const content = await read(system, BLOCKS);
    for (let block = 0; block < BLOCKS; block++) expect(stampOf(content, block)).toBe(1);
    await system.settle();
    // Parity follows from the data again, and the data is all there.
    expect(await verdictOf(system, "denver")).toBe("identical");
    expect(await system.universe.result(system.primary.storage.arrays.get("main")?.check())).toMatchObject({
      mismatches: 0,
    });
  });

  it("is completed by a write of a part of it", async () => {
    const system = await systemWith(LEGS);
    spoil(system, "denver");
    const { id, size } = system.primary.config.volumes.lun0;
    const part = new MirroredVolume(system.controller, id, size, 512);
    await system.universe.result(part.write(lba(0), new Uint8Array(512).fill(7)), { deadline: DEADLINE });
    const content = await read(system, 1);
    expect(content.subarray(0, 512).every((byte) => byte === 7)).toBe(true);
    expect(content.subarray(512)).toEqual(stamped(1).subarray(512));
  });

  it("is not read from a leg whose log nobody has compared yet, such as one on blank drives", async () => {
    const system = await systemWith({ legs: [["boulder"]] });
    const { universe } = system;
    spoil(system, "denver");
    system.crash("boulder");
    const machine = universe.machine("boulder");
    for (const path of ["/journal", ...system.drivesOf("boulder")]) {
      machine.replaceDrive(path, machine.drive(path).blockCount * BLOCK_BYTES);
    }
    universe.network.link("denver", "boulder", { delay: [5, 6] });
    await system.boot("boulder");
    await universe.run(() => system.controller.legs[0].sender.state.kind === "holding", { deadline: DEADLINE });
    await expect(read(system, 1)).rejects.toMatchObject({ code: "mirror.no-source" });
  });

  it("is a medium error where there is no leg at all", async () => {
    const system = await systemWith({ legs: [] });
    spoil(system, "denver");
    await expect(read(system, 1)).rejects.toMatchObject({ code: "raid.unreadable" });
    expect(await system.repair()).toMatchObject({ exitCode: 4, text: expect.stringContaining("no site can read") });
  });

  it("makes a host wait, and gives it no medium error, while no leg is up", async () => {
    const system = await systemWith(LEGS);
    spoil(system, "denver");
    for (const leg of ["boulder", "pueblo"]) system.crash(leg);
    await system.universe.advance(10_000);
    await expect(read(system, 1)).rejects.toMatchObject({ code: "mirror.no-source" });
  });
});

describe("a block that a relay point can't read", () => {
  it("is read from behind it", async () => {
    const system = await systemWith({ legs: [["relay-east", "boston"]], diskless: true });
    await restart(system, "relay-east");
    spoil(system, "relay-east");
    const content = await read(system, BLOCKS);
    for (let block = 0; block < BLOCKS; block++) expect(stampOf(content, block)).toBe(1);
  });
});

describe("repair", () => {
  it("writes again what a site at the end of a leg can't read", async () => {
    const system = await systemWith({ legs: [["boulder"], ["relay-east", "boston"]] });
    for (const name of ["boulder", "boston"]) spoil(system, name);
    expect(await system.repair()).toMatchObject({ exitCode: 0, text: expect.stringContaining("written again") });
    await system.settle();
    for (const name of ["denver", "boulder", "relay-east", "boston"]) {
      if (name !== "denver") expect([name, await verdictOf(system, name)]).toEqual([name, "identical"]);
      const array = system.site(name).storage.arrays.get("main");
      expect(await system.universe.result(array?.check())).toMatchObject({ mismatches: 0 });
    }
  });

  it("rewrites nothing where every site can read everything", async () => {
    const system = await systemWith(LEGS);
    const { appended } = system.primary.pipeline;
    expect(await system.repair()).toMatchObject({ exitCode: 0, text: "lun0: 0 blocks of 4 KiB written again\n" });
    expect(system.primary.pipeline.appended).toBe(appended);
  });

  it("leaves a block alone that one site can't read and others have differently", async () => {
    const system = await systemWith(LEGS);
    spoil(system, "boulder");
    const own = await differently(system, "pueblo");
    const { exitCode, text } = await system.repair();
    expect(exitCode).toBe(4);
    expect(text).toContain("DIFFERENT: 1 blocks of 4 KiB (0) that others have differently");
    expect(await system.stored("pueblo")).toEqual(own);
  });

  it("says which blocks no site can read, and leaves them as they are", async () => {
    const system = await systemWith(LEGS);
    // Nothing is left in their read caches.
    for (const name of ["boulder", "pueblo"]) await restart(system, name);
    for (const name of ["denver", "boulder", "pueblo"]) spoil(system, name);
    const { exitCode, text } = await system.repair();
    expect(exitCode).toBe(4);
    expect(text).toContain("LOST: 2 blocks of 4 KiB (0, 4) that no site can read");
  });
});

it("a site that can't read what it is asked the checksums of says so, and keeps no memory for it", async () => {
  const system = await systemWith(LEGS);
  const { memory } = system.site("boulder").world;
  const bytes: number[] = [];
  for (let time = 0; time < 4; time++) {
    // Each time anew: what can be repaired is, when it is read.
    spoil(system, "boulder");
    expect(await verdictOf(system, "boulder")).toBe("unknown");
    bytes.push("bytes" in memory ? Number(memory.bytes) : Number.NaN);
  }
  // Each question takes megabytes; what pools keep is less.
  expect(Math.max(...bytes) - Math.min(...bytes)).toBeLessThan(MiB);
});
