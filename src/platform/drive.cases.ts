/**
 * What every implementation of `Drives` does, as cases that each of them runs in its own test.
 * Nothing here knows where the blocks are; what only one implementation can do is tested beside it.
 */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AssertionError } from "../base/assert.ts";
import { BLOCK_BYTES, byteCount, type Lba, lba } from "../base/units.ts";
import type { Drive } from "./drive.ts";
import type { World } from "./world.ts";

export interface DriveFixture {
  readonly world: Pick<World, "drives" | "memory">;
  /** The path of a drive of `blocks` blocks that nobody has open; its content is arbitrary. */
  drive(blocks: number): Promise<string>;
  /** Runs a case; an implementation in simulated time lets that pass here. Default: just runs it. */
  run?(work: () => Promise<void>): Promise<void>;
  dispose?(): Promise<void>;
}

/** Fixtures of implementations that can make files, too. */
export interface DriveFileFixture extends DriveFixture {
  /** A path at which nothing is, in a place where a drive can be made. */
  vacantPath(): string;
}

const DRIVE_BLOCKS = 512;
/** More requests than any implementation keeps in flight for a drive. */
const MANY = 400;

/** Cases of reading and writing drives, and of opening those that exist. */
export function driveCases(name: string, makeFixture: () => Promise<DriveFixture>): void {
  describe(`drive: ${name}`, () => {
    const { caseOf, fixture } = casesOf(makeFixture);
    let path = "";
    const memory = (blocks: number): Uint8Array => fixture().world.memory.allocate(blocks * BLOCK_BYTES);
    const open = (access: "read-write" | "read-only" = "read-write") => fixture().world.drives.open(path, access);

    const withDrive = (title: string, work: (drive: Drive) => Promise<void>): void =>
      caseOf(title, async () => {
        path = await fixture().drive(DRIVE_BLOCKS);
        const drive = await open();
        try {
          await work(drive);
        } finally {
          await drive.close();
        }
      });

    withDrive("says its size and path", async (drive) => {
      expect(drive.blockSize).toBe(BLOCK_BYTES);
      expect(drive.blockCount).toBe(DRIVE_BLOCKS);
      expect(drive.path).toBe(path);
    });

    withDrive("reads what was written, in the first, the last and all blocks", async (drive) => {
      for (const [at, blocks] of [
        [0, 1],
        [DRIVE_BLOCKS - 1, 1],
        [3, 17],
        [0, DRIVE_BLOCKS],
      ]) {
        const written = pattern(memory(blocks), at + blocks);
        await drive.write(lba(at), written);
        const read = memory(blocks).fill(0xee);
        await drive.read(lba(at), read);
        expectSame(read, written);
      }
    });

    withDrive("keeps to the blocks that a request names", async (drive) => {
      const before = pattern(memory(8), 1);
      await drive.write(lba(16), before);
      const written = pattern(memory(2), 2);
      await drive.write(lba(19), written);
      const read = memory(8);
      await drive.read(lba(16), read);
      const expected = Uint8Array.from(before);
      expected.set(written, 3 * BLOCK_BYTES);
      expectSame(read, expected);
    });

    withDrive("takes more requests at once than it keeps in flight", async (drive) => {
      const written = pattern(memory(MANY), 3);
      await drive.write(lba(0), memory(MANY));
      await all(MANY, (block) => drive.write(lba(block), blockOf(written, block)));
      const read = memory(MANY);
      await all(MANY, (block) => drive.read(lba(block), blockOf(read, block)));
      expectSame(read, written);
    });

    withDrive("takes buffers from anywhere, at any alignment", async (drive) => {
      const anywhere = [memory(3).subarray(512), memory(3).subarray(1), new Uint8Array(3 * BLOCK_BYTES).subarray(7)];
      for (const [index, room] of anywhere.entries()) {
        const from = pattern(room.subarray(0, 2 * BLOCK_BYTES), index);
        await drive.write(lba(5), from);
        const aligned = memory(2);
        await drive.read(lba(5), aligned);
        expectSame(aligned, from);
        room.fill(0x5a);
        await drive.read(lba(5), room.subarray(0, 2 * BLOCK_BYTES));
        expectSame(room.subarray(0, 2 * BLOCK_BYTES), aligned);
        expect(room.subarray(2 * BLOCK_BYTES).every((byte) => byte === 0x5a)).toBe(true);
      }
    });

    withDrive("writes with force unit access, and flushes", async (drive) => {
      const written = pattern(memory(4), 4);
      await all(4, (block) => drive.write(lba(block), blockOf(written, block), { fua: true }));
      await drive.flush();
      const read = memory(4);
      await drive.read(lba(0), read);
      expectSame(read, written);
    });

    withDrive("reads unmapped blocks as zeros, and others as before", async (drive) => {
      const written = pattern(memory(DRIVE_BLOCKS), 5);
      await drive.write(lba(0), written);
      await drive.unmap(lba(7), 9);
      await drive.unmap(lba(DRIVE_BLOCKS - 1), 1);
      const expected = Uint8Array.from(written);
      expected.fill(0, 7 * BLOCK_BYTES, 16 * BLOCK_BYTES);
      expected.fill(0, (DRIVE_BLOCKS - 1) * BLOCK_BYTES);
      const read = memory(DRIVE_BLOCKS).fill(0xee);
      await drive.read(lba(0), read);
      expectSame(read, expected);
      await drive.write(lba(8), blockOf(written, 8));
      expected.set(blockOf(written, 8), 8 * BLOCK_BYTES);
      await drive.read(lba(0), read);
      expectSame(read, expected);
    });

    withDrive("agrees with a model over a long run of requests", async (drive) => {
      const model = pattern(memory(DRIVE_BLOCKS), 6);
      await drive.write(lba(0), model);
      const buffer = memory(32);
      const next = sequenceOf(7);
      for (let step = 0; step < 300; step++) {
        const blocks = 1 + next(32);
        const at = next(DRIVE_BLOCKS - blocks + 1);
        const part = buffer.subarray(0, blocks * BLOCK_BYTES);
        const modelled = model.subarray(at * BLOCK_BYTES, (at + blocks) * BLOCK_BYTES);
        const kind = next(10);
        if (kind < 4) {
          await drive.read(lba(at), part);
          expectSame(part, modelled);
        } else if (kind < 9) {
          modelled.set(pattern(part, step));
          await drive.write(lba(at), part, { fua: kind === 8 });
        } else {
          modelled.fill(0);
          await drive.unmap(lba(at), blocks);
        }
      }
      const read = memory(DRIVE_BLOCKS);
      await drive.read(lba(0), read);
      expectSame(read, model);
    });

    withDrive("does nothing for requests of no blocks", async (drive) => {
      const nothing = new Uint8Array(0);
      await drive.read(lba(DRIVE_BLOCKS), nothing);
      await drive.write(lba(0), nothing);
      await drive.unmap(lba(0), 0);
    });

    withDrive("asserts that requests are whole blocks of the drive", async (drive) => {
      expect(() => drive.read(lba(DRIVE_BLOCKS), memory(1))).toThrow(AssertionError);
      expect(() => drive.read(lba(DRIVE_BLOCKS - 1), memory(2))).toThrow(AssertionError);
      expect(() => drive.write(lba(DRIVE_BLOCKS), memory(1))).toThrow(AssertionError);
      expect(() => drive.unmap(lba(1), DRIVE_BLOCKS)).toThrow(AssertionError);
      expect(() => drive.read(lba(0), memory(1).subarray(1))).toThrow(AssertionError);
      expect(() => drive.read(0.5 as Lba, memory(1))).toThrow(AssertionError);
    });

    withDrive("rejects with the reason of a signal that is aborted already", async (drive) => {
      const reason = new Error("no longer wanted");
      const signal = AbortSignal.abort(reason);
      const written = pattern(memory(1), 8);
      await drive.write(lba(0), written);
      await expect(drive.read(lba(0), memory(1), signal)).rejects.toBe(reason);
      await expect(drive.write(lba(0), memory(1), { signal })).rejects.toBe(reason);
      await expect(drive.flush(signal)).rejects.toBe(reason);
      await expect(drive.unmap(lba(0), 1, signal)).rejects.toBe(reason);
      const read = memory(1);
      await drive.read(lba(0), read);
      expectSame(read, written);
    });

    withDrive("rejects with the reason of a signal that is aborted meanwhile, and goes on", async (drive) => {
      const reason = new Error("no longer wanted");
      const abort = new AbortController();
      // Long enough a queue that some requests have started and some have not.
      const asked = Array.from({ length: MANY }, (_, block) => drive.read(lba(block), memory(1), abort.signal));
      const outcomes = Promise.allSettled(asked);
      abort.abort(reason);
      for (const outcome of await outcomes) expect(outcome).toEqual({ status: "rejected", reason });
      const written = pattern(memory(MANY), 9);
      await all(MANY, (block) => drive.write(lba(block), blockOf(written, block)));
      const read = memory(MANY);
      await drive.read(lba(0), read);
      expectSame(read, written);
    });

    withDrive("ignores a signal that is aborted afterwards", async (drive) => {
      const abort = new AbortController();
      const written = pattern(memory(1), 10);
      await drive.write(lba(0), written, { signal: abort.signal });
      abort.abort();
      const read = memory(1);
      await drive.read(lba(0), read);
      expectSame(read, written);
    });

    caseOf("waits for what is in flight before it closes, and keeps what was flushed", async () => {
      path = await fixture().drive(DRIVE_BLOCKS);
      const written = pattern(memory(MANY), 11);
      const drive = await open();
      let done = 0;
      for (let block = 0; block < MANY; block++) {
        void drive.write(lba(block), blockOf(written, block))?.then(() => done++);
      }
      const flushed = drive.flush();
      await Promise.all([flushed, drive.close()]);
      expect(done).toBe(MANY);
      const again = await open("read-only");
      const read = memory(MANY);
      await again.read(lba(0), read);
      await again.close();
      expectSame(read, written);
    });

    caseOf("opens a drive for one writer alone, or for several readers", async () => {
      path = await fixture().drive(DRIVE_BLOCKS);
      const writer = await open();
      await expect(open()).rejects.toMatchObject({ code: "drive.busy" });
      await expect(open("read-only")).rejects.toMatchObject({ code: "drive.busy" });
      await writer.close();
      const readers = [await open("read-only"), await open("read-only")];
      await expect(open()).rejects.toMatchObject({ code: "drive.busy" });
      for (const reader of readers) await reader.close();
      await (await open()).close();
    });

    caseOf("asserts that a read-only drive is not written", async () => {
      path = await fixture().drive(DRIVE_BLOCKS);
      const drive = await open("read-only");
      expect(() => drive.write(lba(0), memory(1))).toThrow(AssertionError);
      expect(() => drive.unmap(lba(0), 1)).toThrow(AssertionError);
      await drive.close();
    });

    caseOf("closes once, however often it is asked to", async () => {
      path = await fixture().drive(DRIVE_BLOCKS);
      const drive = await open();
      await Promise.all([drive.close(), drive.close()]);
      await drive.close();
      const again = await open();
      await again.read(lba(0), memory(1));
      await again.close();
    });
  });
}

/** Cases of making drives, and of paths at which there is none. */
export function driveFileCases(name: string, makeFixture: () => Promise<DriveFileFixture>): void {
  describe(`drive files: ${name}`, () => {
    const { caseOf, fixture } = casesOf(makeFixture);

    caseOf("makes a drive of zeros", async () => {
      const { drives, memory } = fixture().world;
      const path = fixture().vacantPath();
      await drives.create(path, byteCount(33 * BLOCK_BYTES));
      const drive = await drives.open(path, "read-write");
      expect(drive.blockCount).toBe(33);
      const read = memory.allocate(33 * BLOCK_BYTES).fill(0xee);
      await drive.read(lba(0), read);
      expect(read.every((byte) => byte === 0)).toBe(true);
      await drive.close();
    });

    caseOf("makes no drive where one is, and leaves that as it is", async () => {
      const { drives, memory } = fixture().world;
      const path = fixture().vacantPath();
      await drives.create(path, byteCount(2 * BLOCK_BYTES));
      const written = pattern(memory.allocate(BLOCK_BYTES), 1);
      const drive = await drives.open(path, "read-write");
      await drive.write(lba(1), written, { fua: true });
      await drive.close();
      await expect(drives.create(path, byteCount(BLOCK_BYTES))).rejects.toMatchObject({ code: "drive.exists" });
      const again = await drives.open(path, "read-only");
      expect(again.blockCount).toBe(2);
      const read = memory.allocate(BLOCK_BYTES);
      await again.read(lba(1), read);
      await again.close();
      expectSame(read, written);
    });

    caseOf("says that a drive is missing, with its path and a remedy", async () => {
      const path = fixture().vacantPath();
      for (const access of ["read-write", "read-only"] as const) {
        const error = await fixture()
          .world.drives.open(path, access)
          .catch((reason: unknown) => reason);
        expect(error).toMatchObject({ code: "drive.missing", what: expect.stringContaining(path) });
        expect(error).toHaveProperty("remedy", expect.stringMatching(/\w/));
      }
    });
  });
}

/** Declares cases that each have a fixture of their own. */
function casesOf<F extends DriveFixture>(makeFixture: () => Promise<F>) {
  let current: F | undefined;
  const fixture = (): F => {
    if (current === undefined) throw new Error("a fixture was used outside a case");
    return current;
  };
  beforeEach(async () => {
    current = await makeFixture();
  });
  afterEach(async () => {
    await current?.dispose?.();
    current = undefined;
  });
  const caseOf = (title: string, work: () => Promise<void>): void => {
    it(title, async () => {
      const run = fixture().run?.bind(fixture());
      await (run === undefined ? work() : run(work));
    });
  };
  return { caseOf, fixture };
}

function blockOf(buffer: Uint8Array, block: number): Uint8Array {
  return buffer.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
}

async function all(count: number, ask: (index: number) => Promise<void> | undefined): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, index) => ask(index)));
}

/** Fills a buffer so that no two of its blocks, and no two seeds, look alike. */
function pattern(buffer: Uint8Array, seed: number): Uint8Array {
  const next = sequenceOf(seed);
  for (let at = 0; at < buffer.length; at++) buffer[at] = next(256);
  return buffer;
}

function sequenceOf(seed: number): (bound: number) => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

/** As `toEqual`, without a report of a million bytes. */
function expectSame(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length);
  const differs = actual.findIndex((byte, at) => byte !== expected[at]);
  expect(differs, "first byte that differs").toBe(-1);
}
