import { describe, expect, it } from "vitest";
import { lba } from "../base/units.ts";
import { plainArithmetic } from "../platform/plain-arithmetic.ts";
import { ArrayBench, stamped } from "./array-fixture.ts";
import { decodePart, encodePart, type LogPart, PART_BYTES } from "./log-part.ts";
import { dataBlock, LOG_FIRST_BLOCK } from "./member-layout.ts";
import type { Superblock } from "./superblock.ts";

/**
 * 2+1 without slot 1, chunks of 2 blocks: stripe 0 holds blocks 0 and 1 on slot 0, misses 2 and 3, and has its parity on
 * slot 2; stripe 2 misses blocks 8 and 9 and holds 10 and 11 on slot 2.
 */
async function degraded(seed: number): Promise<ArrayBench> {
  const bench = await ArrayBench.make(3, 5, 2, 1, seed);
  await bench.run(bench.array.createVolume("v", 40));
  await bench.write(0, stamped(0, 40, 1));
  bench.drives[1].vanish();
  await bench.write(0, stamped(0, 4, 1));
  await bench.settle();
  await bench.flush();
  return bench;
}

const survivors = (bench: ArrayBench) => [bench.drives[0], bench.drives[2]];

describe("the stripe log", () => {
  it("completes an update that a crash cut short between its blocks", async () => {
    for (const slot of [0, 2]) {
      const bench = await degraded(slot);
      const stuck = bench.drives[slot].inject({ on: "write", action: "stall", lba: dataBlock(0), blocks: 2 });
      const pending = bench.volume().write(lba(0), stamped(0, 1, 2));
      expect(pending).toBeInstanceOf(Promise);
      await bench.universe.run(() => stuck.met > 0);
      await bench.settle();
      bench.crash();
      stuck.remove();
      await expect(bench.assemble(survivors(bench), { readOnly: true })).rejects.toMatchObject({
        code: "raid.log-pending",
      });
      await bench.assemble(survivors(bench));
      expect(bench.events.at(-1)).toEqual({ kind: "log-replayed", blocks: 2 });
      expect(Buffer.compare(await bench.read(0, 1), stamped(0, 1, 2))).toBe(0);
      expect(Buffer.compare(await bench.read(1, 39), stamped(1, 39, 1))).toBe(0);
    }
  });

  it("ignores an update of which a part is not there", async () => {
    const bench = await degraded(5);
    const stuck = bench.drives[2].inject({ on: "write", action: "stall", lba: LOG_FIRST_BLOCK, blocks: 1 });
    bench.volume().write(lba(0), stamped(0, 1, 2));
    await bench.universe.run(() => stuck.met > 0);
    await bench.settle();
    bench.drives[2].overwrite(LOG_FIRST_BLOCK, new Uint8Array(4096));
    const before = bench.drives[2].contents(LOG_FIRST_BLOCK, 2);
    bench.machine.kill();
    bench.drives[2].overwrite(LOG_FIRST_BLOCK, before);
    stuck.remove();
    bench.machine.restart();
    await bench.assemble(survivors(bench));
    expect(bench.events.some((event) => event.kind === "log-replayed")).toBe(false);
    expect(Buffer.compare(await bench.read(0, 40), stamped(0, 40, 1))).toBe(0);
  });

  it("never replays an update over a later write that did not go through it", async () => {
    for (let seed = 0; seed < 3; seed++) {
      const bench = await degraded(seed);
      await bench.write(0, stamped(0, 1, 2));
      await bench.flush();
      const logs = survivors(bench).map((drive) => drive.contents(LOG_FIRST_BLOCK, 3));
      // The next update hangs before it has overwritten the log; the one after it needs no log.
      const stuck = survivors(bench).map((drive) =>
        drive.inject({ on: "write", action: "stall", lba: LOG_FIRST_BLOCK, blocks: 1 }),
      );
      bench.volume().write(lba(10), stamped(10, 1, 3));
      await bench.settle();
      let flushed = false;
      Promise.resolve(bench.volume().write(lba(2), stamped(2, 1, 4)))
        .then(() => bench.volume().flush())
        .then(() => {
          flushed = true;
        });
      await bench.settle();
      bench.crash();
      for (const fault of stuck) fault.remove();
      // Of what was on its way to the log, nothing arrived.
      for (const [i, drive] of survivors(bench).entries()) drive.overwrite(LOG_FIRST_BLOCK, logs[i]);
      await bench.assemble(survivors(bench));
      expect(Buffer.compare(await bench.read(0, 1), stamped(0, 1, 2))).toBe(0);
      if (flushed) expect(Buffer.compare(await bench.read(2, 1), stamped(2, 1, 4))).toBe(0);
    }
  });

  it("takes several waiting updates at once", async () => {
    const bench = await degraded(6);
    await bench.run(bench.array.createVolume("w", 400));
    const volume = bench.volume("w");
    const writes = Array.from({ length: 60 }, (_, i) => volume.write(lba(i * 6), stamped(i * 6, 1, 7)));
    const flushes = bench.drives[0].counts.flush;
    await bench.run(Promise.all(writes));
    expect(bench.drives[0].counts.flush - flushes).toBeLessThan(10);
    for (let i = 0; i < 60; i++) {
      expect(Buffer.compare(await bench.read(i * 6, 1, volume), stamped(i * 6, 1, 7))).toBe(0);
    }
  });
});

describe("a log part", () => {
  const superblock = {
    arrayUuid: Uint8Array.from({ length: 16 }, (_, i) => i),
    session: Uint8Array.from({ length: 16 }, (_, i) => 0x80 + i),
  } as Superblock;
  const entry = plainArithmetic.crc32c(stamped(9, 1, 1));
  const part: LogPart = {
    slot: 2,
    participants: 0b101,
    update: 77,
    pieces: [
      { slot: 2, index: 1000, bytes: stamped(9, 1, 1), entries: Uint32Array.of(entry) },
      { slot: 2, index: 2000, bytes: undefined, entries: Uint32Array.of(0, 1) },
    ],
  };
  const encode = (): Uint8Array => {
    const buffer = new Uint8Array(PART_BYTES);
    return encodePart(part, superblock, buffer, plainArithmetic);
  };

  it("keeps its format: golden bytes", () => {
    const bytes = encode();
    expect(bytes.length).toBe(8192);
    expect(Buffer.from(bytes.subarray(0, 112)).toString("hex")).toMatchInlineSnapshot(
      `"414e5449534c4f470100020005000000000102030405060708090a0b0c0d0e0f808182838485868788898a8b8c8d8e8f4d0000000000000003000000bd88f5a9e8030000000000004bf4207d00000000d0070000000000000000000000000000d1070000000000000100000000000000"`,
    );
  });

  it("comes back as it was written, one piece for each entry", () => {
    const found = decodePart(encode(), 2, superblock, plainArithmetic);
    expect(found).toMatchObject({ slot: 2, participants: 0b101, update: 77 });
    expect(found?.pieces.map((piece) => [piece.index, ...piece.entries])).toEqual([
      [1000, entry],
      [2000, 0],
      [2001, 1],
    ]);
  });

  it("is refused for another slot, array or session, and when any of it is damaged", () => {
    const bytes = encode();
    expect(decodePart(bytes, 0, superblock, plainArithmetic)).toBeUndefined();
    const other = Uint8Array.from({ length: 16 }, () => 9);
    expect(decodePart(bytes, 2, { ...superblock, session: other }, plainArithmetic)).toBeUndefined();
    expect(decodePart(bytes, 2, { ...superblock, arrayUuid: other }, plainArithmetic)).toBeUndefined();
    for (let at = 0; at < bytes.length; at += at < 128 ? 1 : 61) {
      bytes[at] ^= 4;
      expect(decodePart(bytes, 2, superblock, plainArithmetic)).toBeUndefined();
      bytes[at] ^= 4;
    }
  });
});
