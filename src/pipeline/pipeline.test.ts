import { expect, it } from "vitest";
import type { BlockDevice } from "../base/block-device.ts";
import { crc32c } from "../base/crc32c.ts";
import type { DataWriteRequest } from "../base/data-write-request.ts";
import { isOperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, epoch, type Lba, lba, MiB, sequence, volumeId } from "../base/units.ts";
import { Journal } from "../journal/journal.ts";
import { ReadCache } from "../journal/read-cache.ts";
import { MemoryUniverse } from "../platform/memory/memory-world.ts";
import { Pipeline } from "./pipeline.ts";

const VOLUME = volumeId(0);

/** A volume that keeps its blocks in memory. */
class Blocks implements BlockDevice {
  readonly blockSize = BLOCK_BYTES;
  readonly blockCount = 64;
  readonly content = new Uint8Array(64 * BLOCK_BYTES);
  allocation: BlockDevice["allocation"];

  read(at: Lba, into: Uint8Array): undefined {
    into.set(this.content.subarray(at * BLOCK_BYTES, at * BLOCK_BYTES + into.length));
  }
  write(at: Lba, from: Uint8Array): undefined {
    this.content.set(from, at * BLOCK_BYTES);
  }
  flush(): undefined {}
  unmap(at: Lba, blocks: number): undefined {
    this.content.fill(0, at * BLOCK_BYTES, (at + blocks) * BLOCK_BYTES);
  }
}

function write(at: number, block: number, value: number): DataWriteRequest {
  const data = new Uint8Array(BLOCK_BYTES).fill(value);
  const common = { kind: "write", epoch: epoch(1), volume: VOLUME, lba: lba(block), blocks: 1 } as const;
  return { ...common, sequence: sequence(at), checksums: Uint32Array.of(crc32c(data)), data };
}

async function openPipeline(before: readonly DataWriteRequest[] = [], mayGather?: () => boolean) {
  const universe = new MemoryUniverse(1);
  const journalDrive = universe.addDrive("denver", "/journal", 16 * MiB);
  const world = universe.world("denver");
  const drive = await universe.result(world.drives.open("/journal", "read-write"));
  const owner = { group: "prod", site: "denver" };
  await universe.result(Journal.format(world, drive, { ...owner, overwrite: false }));
  const open = () => universe.result(Journal.open(world, drive, { ...owner, windowBytes: 4 * MiB }));
  let journal = await open();
  for (const request of before) journal.append(request);
  await universe.run(() => journal.durable === before.length);
  await universe.result(journal.close());
  journal = await open();
  const device = new Blocks();
  const other = new Blocks();
  const pipeline = new Pipeline(world, {
    journal,
    cache: new ReadCache(world, MiB),
    volumes: new Map([[VOLUME, device]]),
    elsewhere: new Map([[VOLUME, other]]),
    stores: true,
    gatherBytes: MiB,
    mayGather,
  });
  const read = async (block: number) => {
    const into = new Uint8Array(BLOCK_BYTES);
    await universe.result(pipeline.read(VOLUME, lba(block), into));
    return into[0];
  };
  return { universe, pipeline, journalDrive, device, other, read };
}

/** Appends requests from `from` on until what was appended before is only on the journal's drive. */
async function pushOut({ universe, pipeline }: Awaited<ReturnType<typeof openPipeline>>, from: number): Promise<void> {
  const filler = new Uint8Array(MiB);
  const checksums = new Uint32Array(256).fill(crc32c(filler.subarray(0, BLOCK_BYTES)));
  for (let at = from; at < from + 5; at++) {
    pipeline.accept({ ...write(at, 1000 * at, 0), blocks: 256, checksums, data: filler });
    await universe.run(() => pipeline.durable === at);
  }
}

it("reads a block as it was, once the newer write is cut", async () => {
  const { universe, pipeline, read } = await openPipeline();
  pipeline.accept(write(1, 5, 1));
  pipeline.accept(write(2, 5, 2));
  pipeline.accept(write(3, 6, 3));
  await universe.run(() => pipeline.durable === 3);
  expect([await read(5), await read(6)]).toEqual([2, 3]);
  await universe.result(pipeline.cut(sequence(1)));
  expect([await read(5), await read(6)]).toEqual([1, 0]);
});

it("stores a block as it was committed, while a newer write of it is in doubt", async () => {
  const { universe, pipeline, device, read } = await openPipeline();
  pipeline.accept(write(1, 5, 1));
  await universe.run(() => pipeline.durable === 1);
  pipeline.accept(write(2, 5, 2));
  pipeline.commit(sequence(1));
  await universe.run(() => pipeline.stored === 1);
  expect(device.content[5 * BLOCK_BYTES]).toBe(1);
  expect(await read(5)).toBe(2);
});

it("stores it so also when it has to take it from elsewhere than the journal's memory", async () => {
  const opened = await openPipeline();
  const { universe, pipeline, device, read } = opened;
  pipeline.accept(write(1, 5, 1));
  await pushOut(opened, 2);
  pipeline.accept(write(7, 5, 2));
  pipeline.commit(sequence(1));
  await universe.run(() => pipeline.stored === 1);
  expect(device.content[5 * BLOCK_BYTES]).toBe(1);
  expect(await read(5)).toBe(2);
});

it("reads and stores what the journal can't give back as another site has it", async () => {
  const opened = await openPipeline();
  const { universe, pipeline, journalDrive, device, other, read } = opened;
  const missed: string[] = [];
  pipeline.onJournalMissed = ({ code }) => missed.push(code);
  pipeline.accept(write(1, 5, 1));
  pipeline.accept(write(2, 6, 2));
  await pushOut(opened, 3);
  journalDrive.inject({ on: "read", action: "fail" });
  await expect(read(6)).rejects.toSatisfy((error) => isOperatingError(error, "mirror.no-source"));
  other.content[6 * BLOCK_BYTES] = 2;
  await expect(read(6)).rejects.toSatisfy((error) => isOperatingError(error, "mirror.no-source"));
  other.content.fill(1, 5 * BLOCK_BYTES, 6 * BLOCK_BYTES).fill(2, 6 * BLOCK_BYTES, 7 * BLOCK_BYTES);
  expect(await read(6)).toBe(2);
  pipeline.commit(sequence(1));
  await universe.run(() => pipeline.stored === 1);
  expect(device.content.subarray(5 * BLOCK_BYTES, 6 * BLOCK_BYTES)).toEqual(new Uint8Array(BLOCK_BYTES).fill(1));
  expect(missed).toEqual(["drive.io", "drive.io"]);
});

it("fails where neither the journal nor another site gives what is to be stored", async () => {
  const opened = await openPipeline();
  const { universe, pipeline, journalDrive } = opened;
  pipeline.accept(write(1, 5, 1));
  await pushOut(opened, 2);
  journalDrive.inject({ on: "read", action: "fail" });
  pipeline.commit(sequence(1));
  await universe.run(() => pipeline.failure !== undefined);
  expect([pipeline.failure?.code, pipeline.stored]).toEqual(["drive.io", 0]);
});

it("stores each block once, as its last write or unmap of the batch left it", async () => {
  const { universe, pipeline, device } = await openPipeline();
  device.content.fill(9);
  pipeline.accept(write(1, 5, 1));
  pipeline.accept(write(2, 6, 2));
  pipeline.accept(write(3, 7, 3));
  const none = { checksums: new Uint32Array(0), data: new Uint8Array(0) };
  pipeline.accept({ ...write(4, 5, 0), ...none, kind: "unmap", blocks: 2 });
  pipeline.accept(write(5, 6, 4));
  pipeline.accept(write(6, 7, 5));
  await universe.run(() => pipeline.durable === 6);
  pipeline.commit(sequence(6));
  await universe.run(() => pipeline.stored === 6);
  expect([4, 5, 6, 7, 8].map((block) => device.content[block * BLOCK_BYTES])).toEqual([9, 0, 4, 5, 9]);
});

it("lets requests gather only while they may, and stores what has gathered when it is told to hurry", async () => {
  let mayGather = true;
  const { universe, pipeline } = await openPipeline([], () => mayGather);
  let at = 0;
  const storedAfter = async (meanwhile: () => void) => {
    const start = universe.now;
    pipeline.accept(write(++at, 5, at));
    await universe.run(() => pipeline.durable === at);
    pipeline.commit(sequence(at));
    const { isGathering } = pipeline;
    meanwhile();
    await universe.run(() => pipeline.stored === at);
    expect(pipeline.isGathering).toBe(false);
    return { isGathering, time: universe.now - start };
  };
  const gathered = await storedAfter(() => {});
  expect(gathered.isGathering).toBe(true);
  expect(gathered.time).toBeGreaterThanOrEqual(1000);
  const hurried = await storedAfter(() => pipeline.hurry());
  expect(hurried.isGathering).toBe(true);
  expect(hurried.time).toBeLessThan(100);
  mayGather = false;
  const atOnce = await storedAfter(() => {});
  expect(atOnce.isGathering).toBe(false);
  expect(atOnce.time).toBeLessThan(100);
});

it("says that all is replayed when everything that opening found is stored, and not before", async () => {
  const { universe, pipeline, device } = await openPipeline([write(1, 5, 1), write(2, 6, 2), write(3, 7, 3)]);
  let told = 0;
  pipeline.onReplayed = () => {
    told++;
    expect(device.content[7 * BLOCK_BYTES]).toBe(3);
  };
  pipeline.accept(write(4, 8, 4));
  await universe.run(() => pipeline.durable === 4);
  pipeline.commit(sequence(2));
  await universe.run(() => pipeline.stored === 2);
  expect([pipeline.isReplayed, told]).toEqual([false, 0]);
  pipeline.commit(sequence(4));
  await universe.run(() => pipeline.stored === 4);
  expect([pipeline.isReplayed, told]).toEqual([true, 1]);
});

it("knows of blocks what the newest requests have made of them, and asks the array for the rest", async () => {
  const { universe, pipeline, device } = await openPipeline();
  const asked = (block: number, blocks: number) => universe.result(pipeline.allocation(VOLUME, lba(block), blocks));
  // An array that can't tell has everything mapped.
  expect(await asked(0, 8)).toEqual({ mapped: true, blocks: 8 });
  device.allocation = async (at: Lba, blocks: number) => ({ mapped: at < 4, blocks: Math.min(blocks, 3) });
  pipeline.accept(write(1, 5, 7));
  const gone = { kind: "unmap", epoch: epoch(1), volume: VOLUME, lba: lba(6), blocks: 4 } as const;
  pipeline.accept({ ...gone, sequence: sequence(2), checksums: new Uint32Array(0), data: new Uint8Array(0) });
  pipeline.accept(write(3, 8, 7));
  expect(await asked(0, 64)).toEqual({ mapped: true, blocks: 3 });
  expect(await asked(4, 60)).toEqual({ mapped: false, blocks: 1 });
  expect(await asked(5, 59)).toEqual({ mapped: true, blocks: 1 });
  expect(await asked(6, 58)).toEqual({ mapped: false, blocks: 2 });
  expect(await asked(8, 56)).toEqual({ mapped: true, blocks: 1 });
  expect(await asked(9, 55)).toEqual({ mapped: false, blocks: 1 });
  expect(await asked(10, 54)).toEqual({ mapped: false, blocks: 3 });
});
