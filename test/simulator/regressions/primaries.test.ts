import { expect, it } from "vitest";
import { BLOCK_BYTES, lba, MiB, volumeId } from "../../../src/base/units.ts";
import { parseConfig } from "../../../src/config/config.ts";
import { MirroredVolume } from "../../../src/mirror/mirrored-volume.ts";
import { MemoryUniverse } from "../../../src/platform/memory/memory-world.ts";
import { Site } from "../../../src/site/site.ts";
import { DEADLINE, stamped, stampOf } from "../system.ts";

const PRIMARIES = ["denver", "denver-2"] as const;
const LEGS = ["boulder", "pueblo"] as const;

function config(name: string) {
  const isPrimary = PRIMARIES.some((primary) => primary === name);
  const others = isPrimary ? LEGS : PRIMARIES;
  const role = isPrimary
    ? {
        role: "primary",
        target: { iqn: "iqn.2026-11.dev.antipode:prod", listen: [`${name}:3260`] },
        mirror: { legs: LEGS.map((leg) => [leg]) },
      }
    : { role: "mirror", link: { listen: `${name}:7400`, from: PRIMARIES } };
  const sections = {
    site: { name },
    group: "prod",
    journal: { device: "/journal", window: "4MiB", cache: "1MiB" },
    drives: ["/drive-0", "/drive-1", "/drive-2"],
    arrays: { main: { level: 5, drives: [0, 1, 2], chunk: "16KiB" } },
    volumes: { lun0: { size: "4MiB", lun: 0, array: "main" } },
    sites: Object.fromEntries(others.map((other) => [other, { address: `${other}:7400` }])),
    ...role,
  };
  return parseConfig(JSON.stringify(sections), `/${name}.yaml`);
}

it("two primaries that start at once never both acknowledge, and no leg lacks what one of them did", async () => {
  let served = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const universe = new MemoryUniverse(seed);
    const sites = new Map<string, Site>();
    for (const name of [...PRIMARIES, ...LEGS]) {
      universe.addDrive(name, "/journal", 16 * MiB);
      for (let slot = 0; slot < 3; slot++) universe.addDrive(name, `/drive-${slot}`, 16 * MiB);
      const opened = Site.open(universe.machine(name).world, config(name));
      sites.set(name, await universe.result(opened, { deadline: DEADLINE }));
    }
    const controllers = PRIMARIES.map((name) => {
      const feed = sites.get(name)?.feed;
      if (feed?.kind !== "hosts") throw new Error(`${name} is fed by hosts`);
      return feed.controller;
    });
    for (const controller of controllers) {
      controller.start().catch(() => {});
      await universe.advance(universe.random.below(4));
    }
    const acknowledged: { primary: number; block: number }[] = [];
    const volumes = controllers.map((each) => new MirroredVolume(each, volumeId(0), 4 * MiB, 4096));
    for (let block = 0; block < 40; block++) {
      for (const [primary, volume] of volumes.entries()) {
        const done = () => acknowledged.push({ primary, block });
        volume.write(lba(block), stamped(1000 * (primary + 1) + block))?.then(done, () => {});
      }
      await universe.advance(50);
    }
    await universe.advance(20_000);
    if (acknowledged.length > 0) served++;
    for (const leg of LEGS) {
      const into = new Uint8Array(40 * BLOCK_BYTES);
      await universe.result(sites.get(leg)?.pipeline.readStored(volumeId(0), lba(0), into), { deadline: DEADLINE });
      for (const { primary, block } of acknowledged) {
        const found = stampOf(into, block);
        const later = acknowledged.some((other) => other.block === block && other.primary !== primary);
        if (!later) expect(found, `block ${block} at ${leg}, seed ${seed}`).toBe(1000 * (primary + 1) + block);
      }
    }
    const serving = controllers.filter(({ state }) => state.kind === "serving");
    expect(serving.length, `primaries that serve, seed ${seed}`).toBeLessThan(2);
  }
  expect(served).toBeGreaterThan(0);
});
