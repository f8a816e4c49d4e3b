/**
 * A stamped load on a block device, as a program of the SAN host's: every write is on stable storage before it counts as
 * acknowledged, and no cache of the host's kernel is between. It runs until SIGTERM, then reads all of it once more, and
 * says each second how far it is.
 *
 *   san-load DEVICE SEED MIB DEPTH
 */

import { ptr } from "bun:ffi";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type LoadTarget, StampedLoad } from "../system/stamped-load.ts";

const MiB = 2 ** 20;
/** What O_DIRECT may ask of a buffer's address. */
const ALIGNMENT = 4096;
const CHUNK_BYTES = MiB;
const REPORT_MS = 1000;

function aligned(bytes: number): Uint8Array {
  const buffer = new Uint8Array(bytes + ALIGNMENT);
  const at = (ALIGNMENT - (ptr(buffer) % ALIGNMENT)) % ALIGNMENT;
  return buffer.subarray(at, at + bytes);
}

class DirectDevice implements LoadTarget {
  readonly #file: FileHandle;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async read(offset: number, bytes: number): Promise<Uint8Array> {
    const buffer = aligned(bytes);
    const { bytesRead } = await this.#file.read(buffer, 0, bytes, offset);
    if (bytesRead !== bytes) throw new Error(`a read of ${bytes} bytes at ${offset} ended after ${bytesRead}`);
    return buffer;
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    const buffer = aligned(data.length);
    buffer.set(data);
    const { bytesWritten } = await this.#file.write(buffer, 0, buffer.length, offset);
    if (bytesWritten !== data.length) throw new Error(`a write at ${offset} ended after ${bytesWritten} bytes`);
  }
}

const [path, seed, mib, depth] = process.argv.slice(2);
const bytes = Number(mib) * MiB;
const target = new DirectDevice(await open(path, constants.O_RDWR | constants.O_DIRECT | constants.O_DSYNC));
const load = new StampedLoad(target, { bytes, depth: Number(depth), seed: Number(seed) });
const report = () => console.log(`acknowledged ${load.acknowledgedWrites} read ${load.completedReads}`);
load.start();
const timer = setInterval(() => {
  report();
  try {
    load.assertSound();
  } catch (error) {
    console.log(`UNSOUND ${error}`);
    process.exit(1);
  }
}, REPORT_MS);
process.once("SIGTERM", async () => {
  try {
    await load.stop();
    const copy = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += CHUNK_BYTES) copy.set(await target.read(at, CHUNK_BYTES), at);
    load.assertHolds(copy, path);
    report();
    console.log("SOUND");
    process.exit(0);
  } catch (error) {
    console.log(`UNSOUND ${error}`);
    process.exit(1);
  } finally {
    clearInterval(timer);
  }
});
