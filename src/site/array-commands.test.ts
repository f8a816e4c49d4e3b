import { beforeEach, describe, expect, it } from "vitest";
import { BLOCK_BYTES, lba, MiB, volumeId } from "../base/units.ts";
import { parseConfig } from "../config/config.ts";
import { MirroredVolume } from "../mirror/mirrored-volume.ts";
import { MemoryUniverse } from "../platform/memory/memory-world.ts";
import { dataBlock } from "../raid/member-layout.ts";
import { runCommand } from "./commands.ts";
import { Site } from "./site.ts";

const CONFIG = {
  site: { name: "denver" },
  group: "prod",
  role: "primary",
  drives: ["/a", "/b", "/c"],
  arrays: { main: { level: 5, drives: [0, 1, 2], chunk: "16KiB" } },
  volumes: { db: { array: "main", size: "4MiB", lun: 0 } },
  journal: { device: "/journal", window: "4MiB", cache: "1MiB" },
  target: { iqn: "iqn.2026-11.dev.antipode:prod", listen: ["denver:3260"] },
  mirror: { legs: [] },
};

describe("the commands for arrays", () => {
  let universe: MemoryUniverse;
  let site: Site;

  const machine = () => universe.machine("denver");
  const run = (line: string) => universe.result(runCommand(site, line.split(" "), () => {}));
  const arrayStatus = () => site.storage.arrays.get("main")?.status;
  const start = async () => {
    site = await universe.result(Site.open(machine().world, parseConfig(JSON.stringify(CONFIG), "/denver.yaml")));
    await universe.result(site.serve());
  };
  const write = async (block: number, value: number) => {
    if (site.feed.kind !== "hosts") throw new Error("the primary is fed by hosts");
    const volume = new MirroredVolume(site.feed.controller, volumeId(0), 4 * MiB, BLOCK_BYTES);
    await universe.result(volume.write(lba(block), new Uint8Array(BLOCK_BYTES).fill(value)));
    await universe.run(() => site.storage.journal.retired === site.storage.journal.appended);
  };

  beforeEach(async () => {
    universe = new MemoryUniverse(3);
    universe.addDrive("denver", "/journal", 16 * MiB);
    for (const path of CONFIG.drives) universe.addDrive("denver", path, 16 * MiB);
    await start();
    await write(0, 1);
  });

  it("array add rebuilds a missing member on the drive that took its place, and the next start finds it", async () => {
    machine().drive("/b").vanish();
    for (let block = 0; block < 24; block++) await write(block, 2);
    expect(arrayStatus()?.state).toBe("degraded");
    machine().replaceDrive("/b", 16 * MiB);
    expect((await run("array add main /b")).text).toMatch(/rebuilding its missing member on \/b/);
    await universe.run(() => arrayStatus()?.state === "optimal");
    await universe.result(site.close());
    machine().kill();
    machine().restart();
    machine().drive("/a").vanish();
    await start();
    const content = machine().world.memory.allocate(24 * BLOCK_BYTES);
    await universe.result(site.pipeline.readStored(volumeId(0), lba(0), content));
    expect(content.every((byte) => byte === 2)).toBe(true);
  });

  it("array scrub repairs a block that does not have its checksum, and says so", async () => {
    for (let block = 0; block < 24; block++) await write(block, 3);
    machine().drive("/a").flipBit(dataBlock(1));
    expect((await run("array scrub main")).value).toMatchObject({ mismatches: 1, repaired: 1, unrepairable: 0 });
    expect((await run("array scrub main")).text).toMatch(/all of them right/);
  });

  it.each([
    ["array add main", "command.parameters"],
    ["array add main /b over", "command.parameters"],
    ["array add other /b", "site.no-array"],
    ["array add main /d", "site.no-drive"],
    ["array add main /b", "site.drive-in-use"],
    ["array scrub", "command.parameters"],
    ["array scrub other", "command.parameters"],
  ])("%s is refused", async (line, code) => {
    await expect(run(line)).rejects.toMatchObject({ code });
    expect(arrayStatus()?.state).toBe("optimal");
  });
});
