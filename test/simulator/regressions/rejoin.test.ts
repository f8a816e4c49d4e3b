import { describe, expect, it } from "vitest";
import { crc32c } from "../../../src/base/crc32c.ts";
import type { DataWriteRequest } from "../../../src/base/data-write-request.ts";
import { epoch, lba, MiB, sequence, volumeId } from "../../../src/base/units.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { DEADLINE, SimulatedSystem, stamped, stampOf, type Topology } from "../system.ts";

/** Puts requests at the end of the journal of a site that is down, as if it had received them before it stopped. */
async function receive(system: SimulatedSystem, name: string, requests: (at: number) => DataWriteRequest[]) {
  const { universe } = system;
  const world = universe.machine(name).restart();
  const drive = await universe.result(world.drives.open("/journal", "read-write"));
  const journal = await universe.result(
    Journal.open(world, drive, { group: "prod", site: name, windowBytes: 4 * MiB }),
  );
  for (const request of requests(journal.appended + 1)) {
    await universe.result(journal.promise(request.epoch));
    journal.append(request);
  }
  await universe.run(() => journal.durable === journal.appended, { deadline: DEADLINE });
  await universe.result(journal.close());
  await universe.result(drive.close());
  universe.machine(name).kill();
}

function write(of: number, at: number, block: number, stamp: number): DataWriteRequest {
  const data = stamped(stamp);
  return {
    kind: "write",
    epoch: epoch(of),
    sequence: sequence(at),
    volume: volumeId(0),
    lba: lba(block),
    blocks: 1,
    checksums: Uint32Array.of(crc32c(data)),
    data,
  };
}

function epochStart(of: number, at: number): DataWriteRequest {
  return {
    ...write(of, at, 0, 0),
    kind: "epoch-start",
    blocks: 0,
    checksums: new Uint32Array(0),
    data: new Uint8Array(0),
  };
}

/** A system that has served epoch 1 with one acknowledged write on block 5, all of it down. */
async function stoppedSystem(seed: number, topology: Topology) {
  const system = new SimulatedSystem(seed, topology);
  await system.start();
  await system.universe.result(Promise.all([system.volume().write(lba(5), stamped(50))]), { deadline: DEADLINE });
  await system.settle();
  for (const name of system.names) system.crash(name);
  return system;
}

async function restart(system: SimulatedSystem) {
  for (const name of system.names) await system.boot(name);
  await system.serving();
  await system.settle();
}

describe("a start as primary", () => {
  it("rolls forward what only one site has", async () => {
    const system = await stoppedSystem(1, { legs: [["boulder"], ["pueblo"]] });
    await receive(system, "pueblo", (at) => [write(1, at, 7, 70), write(1, at + 1, 8, 80)]);
    await restart(system);
    for (const name of ["denver", "boulder", "pueblo"]) {
      const content = await system.stored(name);
      expect([5, 7, 8].map((block) => stampOf(content, block))).toEqual([50, 70, 80]);
    }
  });

  it("cuts a tail of an older epoch beside the furthest log, at whichever site it is", async () => {
    for (const [straggler, seed] of [
      ["denver", 2],
      ["pueblo", 3],
      ["boulder", 4],
    ] as const) {
      const system = await stoppedSystem(seed, { legs: [["boulder"], ["pueblo"]] });
      const furthest = straggler === "boulder" ? "pueblo" : "boulder";
      // Epoch 2 began, reached one site only, and was overtaken; the straggler had a write of epoch 1 in doubt.
      await receive(system, furthest, (at) => [epochStart(2, at), write(2, at + 1, 9, 90)]);
      await receive(system, straggler, (at) => [write(1, at, 7, 70), write(1, at + 1, 7, 71), write(1, at + 2, 8, 72)]);
      await restart(system);
      for (const name of system.names) {
        const content = await system.stored(name);
        expect(
          [5, 7, 8, 9].map((block) => stampOf(content, block)),
          `${name}, straggler ${straggler}`,
        ).toEqual([50, 0, 0, 90]);
      }
      const late = Promise.all([system.volume().write(lba(7), stamped(77))]);
      await system.universe.result(late, { deadline: DEADLINE });
      expect((await system.verify()).sites.map(({ verdict }) => verdict)).toEqual([
        "identical",
        "identical",
        "identical",
      ]);
    }
  });

  it("cuts it at a relay point and behind it", async () => {
    const system = await stoppedSystem(5, { legs: [["boulder"], ["relay-east*", "boston"]] });
    const tail = (at: number) => [write(1, at, 7, 70), write(1, at + 1, 8, 80)];
    await receive(system, "boulder", (at) => [epochStart(2, at)]);
    await receive(system, "relay-east", tail);
    await receive(system, "boston", tail);
    await restart(system);
    const writes = [7, 8, 9, 10].map((block) => system.volume().write(lba(block), stamped(block * 11)));
    await system.universe.result(Promise.all(writes), { deadline: DEADLINE });
    await system.settle();
    for (const name of ["denver", "boulder", "boston"]) {
      const content = await system.stored(name);
      expect(
        [5, 7, 8, 9, 10].map((block) => stampOf(content, block)),
        name,
      ).toEqual([50, 77, 88, 99, 110]);
    }
  });

  it("never cuts what is committed: a site that is asked to refuses, and the primary says so", async () => {
    const system = await stoppedSystem(6, { legs: [["boulder"], ["pueblo"]] });
    // The primary and one site lose their journals; what is left can not be called the same log.
    for (const name of ["denver", "boulder"]) {
      system.universe
        .machine(name)
        .drive("/journal")
        .overwrite(0, new Uint8Array(16 * MiB));
      for (let slot = 0; slot < 3; slot++) {
        system.universe
          .machine(name)
          .drive(`/drive-${slot}`)
          .overwrite(0, new Uint8Array(16 * MiB));
      }
    }
    for (const name of system.names) await system.boot(name);
    await system.universe.run(() => system.controller.state.kind !== "starting", { deadline: DEADLINE });
    expect(system.controller.state).toMatchObject({ kind: "failed", error: { code: "takeover.source-out-of-reach" } });
    const content = await system.stored("pueblo");
    expect(stampOf(content, 5)).toBe(50);
  });
});
