/** A file with a log of atomic writes, as the file system has it. What a power cut leaves is in atomic-log.test.ts. */

import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PIECE_BYTES_MAX } from "../limits.ts";
import { pattern, same } from "../testing/initiator.ts";
import { FileDevice, type FileOptions } from "./index.ts";
import { PlainFile } from "./plain-file.ts";

const BLOCK = 512;
const BYTES = 4096 * BLOCK;
const LOG_BYTES = 4096 + PIECE_BYTES_MAX;
const failure = Object.assign(new Error("gone"), { code: "EIO" });

let folder: string;
let path: string;
let log: string;
const open: FileDevice[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "file-device-"));
  path = join(folder, "disk.img");
  log = join(folder, "disk.log");
  writeFileSync(path, pattern(BYTES));
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const device of open.splice(0)) await device.close();
  expect(openFiles()).toEqual([]);
  rmSync(folder, { recursive: true });
});

async function openDevice(options: FileOptions = {}): Promise<FileDevice> {
  const device = await FileDevice.open(path, { blockSize: BLOCK, atomicLog: log, ...options });
  open.push(device);
  return device;
}

/** Closes them all, and opens one again. */
async function reopen(options?: FileOptions): Promise<FileDevice> {
  for (const device of open.splice(0)) await device.close();
  return openDevice(options);
}

async function writeAtomic(device: FileDevice, lba: number, data: Uint8Array): Promise<void> {
  if (device.writeAtomic === undefined) throw new Error("it has no atomic writes");
  await device.writeAtomic(lba, data);
}

function fileHolds(lba: number, data: Uint8Array): boolean {
  return same(readFileSync(path).subarray(lba * BLOCK, lba * BLOCK + data.length), data);
}

/** Files of the folder that this process has open. */
function openFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(folder) ? [target] : [];
    } catch {
      return [];
    }
  });
}

/** Of the writes that follow, by all files, has the one fail that comes after so many. */
function failWrite(after: number): void {
  const original = PlainFile.prototype.write;
  let writes = 0;
  vi.spyOn(PlainFile.prototype, "write").mockImplementation(function (this: PlainFile, offset, from) {
    return writes++ === after ? Promise.reject(failure) : original.call(this, offset, from);
  });
}

describe.each([false, true])("a file with a log (write cache: %s)", (writeCache) => {
  it.each([512, 4096])("has atomic writes of up to 1 MiB in blocks of %d bytes", async (blockSize) => {
    const device = await openDevice({ writeCache, blockSize });
    expect(device.atomicBlocksMax).toBe(PIECE_BYTES_MAX / blockSize);
    const data = pattern(PIECE_BYTES_MAX, 5);
    await writeAtomic(device, 1, data);
    const into = new Uint8Array(data.length);
    await device.read(1, into);
    expect(same(into, data)).toBe(true);
    expect(same(readFileSync(path).subarray(blockSize, blockSize + data.length), data)).toBe(true);
  });

  it("makes a log that is private, whole, and of the same size ever after", async () => {
    const device = await openDevice({ writeCache });
    expect(readdirSync(folder).sort()).toEqual(["disk.img", "disk.log"]);
    const empty = readFileSync(log);
    expect([empty.length, statSync(log).mode & 0o777]).toEqual([LOG_BYTES, 0o600]);
    await writeAtomic(device, 4096 - 2048, pattern(PIECE_BYTES_MAX, 5));
    expect(statSync(log).size).toBe(LOG_BYTES);
    expect(same(readFileSync(log).subarray(0, 4096), empty.subarray(0, 4096))).toBe(true);
    await reopen({ writeCache });
  });

  it("keeps other writes as they are, before and after it is opened again", async () => {
    const device = await openDevice({ writeCache });
    await writeAtomic(device, 10, pattern(8 * BLOCK, 2));
    await device.write(12, pattern(BLOCK, 3));
    await device.write(13, pattern(BLOCK, 4), { fua: true });
    await device.unmap(14, 1);
    await device.flush();
    const content = readFileSync(path);
    for (let times = 0; times < 2; times++) await reopen({ writeCache });
    expect(same(readFileSync(path), content)).toBe(true);
    expect(fileHolds(12, pattern(BLOCK, 3)) && fileHolds(13, pattern(BLOCK, 4))).toBe(true);
    expect(fileHolds(14, new Uint8Array(BLOCK))).toBe(true);
  });

  it("that fails in place writes nothing more until it is opened again, and then has it whole", async () => {
    const device = await openDevice({ writeCache });
    const data = pattern(8 * BLOCK, 2);
    // After the log's header and its data.
    failWrite(2);
    await expect(writeAtomic(device, 10, data)).rejects.toMatchObject({ code: "atomic-log.stuck", cause: failure });
    vi.restoreAllMocks();
    const stuck = { code: "atomic-log.stuck" };
    for (const bytes of [BLOCK, PIECE_BYTES_MAX]) {
      await expect(device.write(10, new Uint8Array(bytes))).rejects.toMatchObject(stuck);
    }
    await expect(device.write(10, new Uint8Array(BLOCK), { fua: true })).rejects.toMatchObject(stuck);
    await expect(device.unmap(10, 1)).rejects.toMatchObject(stuck);
    await expect(device.flush()).rejects.toMatchObject(stuck);
    await expect(writeAtomic(device, 0, data)).rejects.toMatchObject(stuck);
    await device.read(10, new Uint8Array(BLOCK));
    expect(same(readFileSync(path), pattern(BYTES))).toBe(true);

    const again = await reopen({ writeCache });
    expect(fileHolds(10, data)).toBe(true);
    await again.write(10, new Uint8Array(BLOCK));
    await writeAtomic(again, 11, data);
    expect(fileHolds(10, new Uint8Array(BLOCK)) && fileHolds(11, data)).toBe(true);
  });

  it.each([0, 1])("goes on where its log failed (write %d)", async (after) => {
    const device = await openDevice({ writeCache });
    failWrite(after);
    await expect(writeAtomic(device, 10, new Uint8Array(BLOCK))).rejects.toMatchObject({
      code: "atomic-log.unwritten",
    });
    expect(same(readFileSync(path), pattern(BYTES))).toBe(true);
    await device.write(10, pattern(BLOCK, 3));
    await writeAtomic(device, 11, pattern(BLOCK, 4));
    await reopen({ writeCache });
    expect(fileHolds(10, pattern(BLOCK, 3)) && fileHolds(11, pattern(BLOCK, 4))).toBe(true);
  });
});

it("a file without a log has no atomic writes, and makes none", async () => {
  const device = await openDevice({ atomicLog: undefined });
  expect([device.atomicBlocksMax, device.writeAtomic]).toEqual([undefined, undefined]);
  expect(readdirSync(folder)).toEqual(["disk.img"]);
});

describe("a log that can't be used", () => {
  it("because it is of a file of another size, is left as it is", async () => {
    await openDevice();
    await reopen({ atomicLog: undefined });
    truncateSync(path, BYTES / 2);
    const content = readFileSync(log);
    await expect(reopen()).rejects.toMatchObject({
      code: "atomic-log.foreign",
      message: `${log} is the log of 4096 blocks of 512 bytes, and here are 2048 of 512; it holds no write, and is left as it is`,
    });
    await expect(reopen({ blockSize: 4096 })).rejects.toMatchObject({ code: "atomic-log.foreign" });
    expect(same(readFileSync(log), content)).toBe(true);
  });

  it("because it is the file itself, leaves it as it is", async () => {
    await expect(openDevice({ atomicLog: path })).rejects.toMatchObject({ code: "atomic-log.unknown" });
    expect(same(readFileSync(path), pattern(BYTES))).toBe(true);
  });

  it("because there is no place for it, leaves nothing behind", async () => {
    const nowhere = join(folder, "none", "log");
    await expect(openDevice({ atomicLog: nowhere })).rejects.toMatchObject({
      code: "atomic-log.unmade",
      message: `the log of atomic writes ${nowhere} could not be made`,
      cause: { code: "ENOENT" },
    });
    failWrite(0);
    await expect(openDevice()).rejects.toMatchObject({ code: "atomic-log.unmade", cause: failure });
    expect(readdirSync(folder)).toEqual(["disk.img"]);
    expect(openFiles()).toEqual([]);
  });

  it("because it can't be cleared, is not handed out", async () => {
    await openDevice();
    for (const device of open.splice(0)) await device.close();
    failWrite(0);
    await expect(openDevice()).rejects.toMatchObject({ code: "atomic-log.unwritten", cause: failure });
  });

  it("because it was not made whole, is made anew", async () => {
    writeFileSync(`${log}.part`, pattern(100));
    await openDevice();
    expect(existsSync(`${log}.part`)).toBe(false);
    expect(statSync(log).size).toBe(LOG_BYTES);
  });
});
