import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import type { BlockDevice } from "../interfaces.ts";
import { BufferDevice, FileDevice, type FileOptions } from "./index.ts";
import { find } from "./page-cache.ts";

const BLOCKS = 1024;
const folder = mkdtempSync(join(tmpdir(), "devices-"));
afterAll(() => rmSync(folder, { recursive: true }));

function makeFile(bytes: number): string {
  const path = join(folder, `${bytes}.img`);
  writeFileSync(path, new Uint8Array(bytes).fill(7));
  return path;
}

const close: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const each of close.splice(0)) await each();
});

async function openFile(path: string, options?: FileOptions): Promise<FileDevice> {
  const device = await FileDevice.open(path, options);
  close.push(() => device.close());
  return device;
}

const makers: readonly (readonly [string, (blockSize: number) => Promise<BlockDevice>])[] = [
  ["a buffer", async (blockSize) => new BufferDevice(new Uint8Array(BLOCKS * blockSize).fill(7), blockSize)],
  ["a file", (blockSize) => openFile(makeFile(BLOCKS * blockSize), { blockSize })],
  [
    "a file with a log of atomic writes",
    (blockSize) => openFile(makeFile(BLOCKS * blockSize), { blockSize, atomicLog: join(folder, `${blockSize}.log`) }),
  ],
  ["a file with a write cache", (blockSize) => openFile(makeFile(BLOCKS * blockSize), { blockSize, writeCache: true })],
];

describe.each(makers)("%s", (_, make) => {
  it.each([512, 4096])("holds what is written, in blocks of %d bytes", async (blockSize) => {
    const device = await make(blockSize);
    const read = async (lba: number, blocks: number) => {
      const into = new Uint8Array(blocks * blockSize);
      await device.read(lba, into);
      return into;
    };
    expect([device.blockSize, device.blockCount]).toEqual([blockSize, BLOCKS]);
    expect((await read(0, BLOCKS)).every((byte) => byte === 7)).toBe(true);
    await device.write(3, new Uint8Array(2 * blockSize).fill(9));
    await device.flush();
    await device.unmap(4, BLOCKS - 5);
    const bytes = await read(0, BLOCKS);
    const firsts = [0, 2, 3, 4, 5, BLOCKS - 2, BLOCKS - 1].map((lba) => bytes[lba * blockSize]);
    expect(firsts).toEqual([7, 7, 9, 0, 0, 0, 7]);
  });
});

it("refuses what is no whole number of blocks", async () => {
  expect(() => new BufferDevice(new Uint8Array(1000), 512)).toThrow(RangeError);
  expect(() => new BufferDevice(new Uint8Array(0))).toThrow("0 bytes");
  await expect(FileDevice.open(makeFile(5000))).rejects.toThrow("5000 bytes");
  await expect(FileDevice.open(join(folder, "none"))).rejects.toMatchObject({ code: "ENOENT" });
});

it("writes to the file, and fails where it was cut shorter", async () => {
  const path = makeFile(16 * 4096);
  const device = await openFile(path);
  await device.write(15, new Uint8Array(4096).fill(5));
  expect(readFileSync(path)[15 * 4096]).toBe(5);
  truncateSync(path, 8 * 4096);
  await expect(device.read(8, new Uint8Array(4096))).rejects.toMatchObject({ code: "file.shorter" });
});

it.each([4096, 1024 * 1024])("reads %d bytes at once where the kernel has them", async (bytes) => {
  const path = makeFile(bytes);
  readFileSync(path);
  const device = await openFile(path);
  const into = new Uint8Array(bytes);
  expect(device.read(0, into)).toBeUndefined();
  expect(into.every((byte) => byte === 7)).toBe(true);
});

it("gives no more blocks back once nobody waits for it", async () => {
  const path = makeFile(4 * 1024 * 1024);
  const device = await openFile(path);
  const gone = new AbortController();
  const unmapping = device.unmap(0, 1024, gone.signal);
  gone.abort();
  await expect(unmapping).rejects.toMatchObject({ name: "AbortError" });
  expect(readFileSync(path).at(-1)).toBe(7);
});

it("with a write cache writes at once, but for what has FUA", async () => {
  const path = makeFile(16 * 4096);
  const device = await openFile(path, { writeCache: true });
  expect(device.write(1, new Uint8Array(4096).fill(5))).toBeUndefined();
  const forced = device.write(2, new Uint8Array(4096).fill(6), { fua: true });
  expect(forced).toBeInstanceOf(Promise);
  await forced;
  const content = readFileSync(path);
  expect([0, 1, 2, 3].map((block) => content[block * 4096])).toEqual([7, 5, 6, 7]);
});

it("says what a file needs where it is not there", () => {
  expect(() => find("libc.so.none")).toThrow(
    "a FileDevice needs Linux with glibc: there is no preadv2 in libc.so.none",
  );
});
