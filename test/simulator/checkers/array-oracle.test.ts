import { beforeEach, describe, expect, it } from "vitest";
import { BLOCK_BYTES, byteCount, KiB, lba, MiB } from "../../../src/base/units.ts";
import { crc32c } from "../../../src/iscsi/testing/crc32c.ts";
import { MemoryUniverse, type SimulatedDrive } from "../../../src/platform/memory/memory-world.ts";
import { DiskArray } from "../../../src/raid/disk-array.ts";
import { checksumBlock, dataBlock, superblockCopy } from "../../../src/raid/member-layout.ts";
import { stamped } from "../system.ts";
import { ArrayOracle } from "./array-oracle.ts";

const BLOCKS = 300;

describe.each([5, 1] as const)("the oracle of an array of level %i", (level) => {
  let drives: SimulatedDrive[];
  let content: Uint8Array;

  const oracle = (isDamaged = (_: SimulatedDrive) => false) =>
    new ArrayOracle(
      drives.map((drive) => ({ path: drive.path, media: drive.snapshot(), isDamaged: isDamaged(drive) })),
    );

  /** Puts another block on a member, with the checksum that fits it. */
  const forge = (drive: SimulatedDrive, index: number) => {
    const block = stamped(0xbad);
    drive.overwrite(dataBlock(index), block);
    const entries = drive.contents(checksumBlock(0), 1);
    new DataView(entries.buffer).setUint32(4 * index, crc32c(block), true);
    drive.overwrite(checksumBlock(0), entries);
  };

  beforeEach(async () => {
    const universe = new MemoryUniverse(level);
    const paths = ["/a", "/b", "/c"].slice(0, level === 5 ? 3 : 2);
    drives = paths.map((path) => universe.addDrive("denver", path, 16 * MiB));
    const world = universe.world("denver");
    const opened = await universe.result(Promise.all(paths.map((path) => world.drives.open(path, "read-write"))));
    const identity = { name: "main", group: "prod" };
    await universe.result(DiskArray.create(world, opened, { ...identity, level, chunkBytes: byteCount(16 * KiB) }));
    const array = await universe.result(DiskArray.assemble(world, opened, identity));
    const volume = await universe.result(array.createVolume("lun0", BLOCKS));
    content = new Uint8Array(BLOCKS * BLOCK_BYTES);
    for (const [at, blocks] of [
      [0, 3],
      [17, 100],
      [250, 50],
    ]) {
      const data = stamped(at + 1, blocks);
      content.set(data, at * BLOCK_BYTES);
      await universe.result(volume.write(lba(at), data));
    }
    await universe.result(volume.unmap(lba(40), 20));
    content.fill(0, 40 * BLOCK_BYTES, 60 * BLOCK_BYTES);
    await universe.result(array.close());
  });

  it("finds nothing wrong with what the controller wrote, and reads the volume", () => {
    const { faults, rows } = oracle();
    expect(faults).toEqual([]);
    expect(rows).toBeGreaterThan(50);
    expect(Buffer.compare(oracle().volume("lun0") ?? new Uint8Array(0), content)).toBe(0);
    expect(oracle().volume("lun1")).toBeUndefined();
  });

  it("reads the volume without a member that is damaged", () => {
    for (const damaged of drives) {
      const without = oracle((drive) => drive === damaged);
      expect(without.faults).toEqual([]);
      expect(Buffer.compare(without.volume("lun0") ?? new Uint8Array(0), content)).toBe(0);
    }
  });

  it("finds a flipped bit", () => {
    drives[0].flipBit(dataBlock(1));
    expect(oracle().faults[0]).toMatch(/block 1 of \/a is not what its checksum says/);
  });

  it("finds a block that has its checksum, but does not fit its row", () => {
    forge(drives[0], 1);
    expect(oracle().faults).toEqual([
      level === 5 ? "the parity of row 1 is not the sum of its data" : "the mirrors of block 1 differ",
    ]);
  });

  it("finds a lost checksum block", () => {
    drives[0].overwrite(checksumBlock(0), new Uint8Array(BLOCK_BYTES));
    expect(oracle().faults.length).toBeGreaterThan(0);
  });

  it("finds superblock copies that differ, and a member that was left behind", () => {
    const head = drives[0].contents(0, 256);
    for (const generation of [0, 1]) drives[0].flipBit(superblockCopy(drives[0].blockCount, generation, "tail"));
    expect(oracle().faults[0]).toMatch(/the superblock copies of \/a differ/);
    drives[0].overwrite(0, new Uint8Array(head.length));
    expect(oracle().faults[0]).toMatch(/slot 0 is active, but no drive is its member/);
  });

  it("finds blocks that nobody knows", () => {
    const entries = drives[1].contents(checksumBlock(0), 1);
    new DataView(entries.buffer).setUint32(4, 2, true);
    drives[1].overwrite(checksumBlock(0), entries);
    expect(oracle().faults[0]).toMatch(/block 1 of \/b is lost/);
  });
});
