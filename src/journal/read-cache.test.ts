import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BLOCK_BYTES, lba, type VolumeId, volumeId } from "../base/units.ts";
import { SimulatedMemory } from "../platform/memory/simulated-memory.ts";
import { type Fill, ReadCache } from "./read-cache.ts";

const volume = volumeId(1);

/** Blocks with one stamp each. */
function stamped(...stamps: number[]): Uint8Array {
  const data = new Uint8Array(stamps.length * BLOCK_BYTES);
  stamps.forEach((stamp, block) => {
    new DataView(data.buffer).setUint32(block * BLOCK_BYTES, stamp);
    new DataView(data.buffer).setUint32((block + 1) * BLOCK_BYTES - 4, stamp);
  });
  return data;
}

/** The stamps of what is cached from a block on, up to the first that is not. */
function cached(cache: ReadCache, first: number, blocks: number, of: VolumeId = volume): number[] {
  const into = new Uint8Array(blocks * BLOCK_BYTES);
  const run = cache.readRun(of, lba(first), blocks, into);
  return Array.from({ length: run }, (_, block) => {
    const stamp = new DataView(into.buffer).getUint32(block * BLOCK_BYTES);
    expect(new DataView(into.buffer).getUint32((block + 1) * BLOCK_BYTES - 4)).toBe(stamp);
    return stamp;
  });
}

function make(slots: number): ReadCache {
  return new ReadCache({ memory: new SimulatedMemory() }, slots * BLOCK_BYTES);
}

describe("read cache", () => {
  test("serves the leading run and tells the gap behind it", () => {
    const cache = make(16);
    cache.update(volume, lba(10), stamped(1, 2));
    cache.update(volume, lba(14), stamped(5));
    expect(cached(cache, 10, 6)).toEqual([1, 2]);
    expect(cache.missRun(volume, lba(12), 4)).toBe(2);
    expect(cache.missRun(volume, lba(10), 4)).toBe(0);
    expect(cached(cache, 10, 2, volumeId(2))).toEqual([]);
    expect([cache.hits, cache.misses]).toEqual([2, 0]);
  });

  test("a read that was overtaken by a write or an invalidation does not put the old content back", () => {
    const cache = make(16);
    const fill = cache.beginFill(volume, lba(0), 5);
    cache.update(volume, lba(1), stamped(91));
    cache.update(volume, lba(3), stamped(93));
    cache.invalidate(volume, lba(3), 2);
    cache.endFill(fill, stamped(1, 2, 3, 4, 5));
    expect(cached(cache, 0, 5)).toEqual([1, 91, 3]);
    expect(cache.missRun(volume, lba(3), 2)).toBe(2);
    expect(cache.misses).toBe(5);
  });

  test("not even where what was written has been evicted meanwhile", () => {
    const cache = make(2);
    const fill = cache.beginFill(volume, lba(0), 1);
    cache.update(volume, lba(0), stamped(91));
    cache.update(volume, lba(10), stamped(10, 11));
    expect(cache.missRun(volume, lba(0), 1)).toBe(1);
    cache.endFill(fill, stamped(1));
    expect(cached(cache, 0, 1)).toEqual([]);
  });

  test("clear empties it and overtakes what is being read", () => {
    const cache = make(16);
    cache.update(volume, lba(7), stamped(7));
    const fill = cache.beginFill(volume, lba(0), 2);
    cache.clear();
    cache.endFill(fill, stamped(1, 2));
    expect(cache.blocks).toBe(0);
    expect(cached(cache, 7, 1)).toEqual([]);
    cache.update(volume, lba(7), stamped(8));
    expect(cached(cache, 7, 1)).toEqual([8]);
  });

  test("gives blocks that were read a second chance", () => {
    const cache = make(4);
    cache.update(volume, lba(0), stamped(0, 1, 2, 3));
    cached(cache, 1, 1);
    cache.update(volume, lba(10), stamped(10, 11, 12));
    expect(cached(cache, 1, 1)).toEqual([1]);
    expect(cached(cache, 10, 3)).toEqual([10, 11, 12]);
    expect(cache.blocks).toBe(4);
  });

  test("an invalidation far longer than the cache is quick and exact", () => {
    const cache = make(4);
    cache.update(volume, lba(99), stamped(99, 100));
    cache.update(volumeId(2), lba(100), stamped(5));
    cache.invalidate(volume, lba(100), 0xffffffff);
    expect(cached(cache, 99, 2)).toEqual([99]);
    expect(cached(cache, 100, 1, volumeId(2))).toEqual([5]);
  });

  test("a fill ends once", () => {
    const cache = make(4);
    const fill = cache.beginFill(volume, lba(0), 1);
    const other = cache.beginFill(volume, lba(1), 1);
    cache.abandonFill(fill);
    cache.endFill(other, stamped(2));
    cache.endFill(other, stamped(3));
    expect(cached(cache, 1, 1)).toEqual([2]);
  });

  test("gives its memory back", () => {
    const memory = new SimulatedMemory();
    const cache = new ReadCache({ memory }, 10 * BLOCK_BYTES);
    expect([memory.outstanding, cache.capacityBlocks]).toEqual([1, 10]);
    cache.close();
    expect(memory.outstanding).toBe(0);
  });
});

/** A device below the cache, whose reads take their content when they begin or when they end. */
test("never serves anything but the newest content, whatever is evicted", () => {
  const at = fc.integer({ min: 0, max: 23 });
  const blocks = fc.integer({ min: 1, max: 6 });
  const step = fc.record({
    op: fc.constantFrom("read", "update", "begin", "begin", "end", "abandon", "invalidate", "change", "clear"),
    volume: fc.constantFrom(1, 2),
    at,
    blocks,
    late: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 200, size: "max" }), (slots, steps) => {
      const cache = make(slots);
      const below = new Map<string, number>();
      const fills: { fill: Fill; early: number[]; late: boolean }[] = [];
      let stamp = 1;
      const content = (of: number, first: number, count: number) =>
        Array.from({ length: count }, (_, block) => below.get(`${of} ${first + block}`) ?? 0);
      for (const { op, volume, at, blocks, late } of steps) {
        const of = volumeId(volume);
        switch (op) {
          case "read": {
            const run = cached(cache, at, blocks, of);
            expect(run).toEqual(content(volume, at, run.length));
            if (run.length < blocks) expect(cache.missRun(of, lba(at + run.length), 1)).toBe(1);
            break;
          }
          case "update": {
            const stamps = Array.from({ length: blocks }, () => stamp++);
            stamps.forEach((value, block) => {
              below.set(`${volume} ${at + block}`, value);
            });
            cache.update(of, lba(at), stamped(...stamps));
            break;
          }
          case "begin":
            fills.push({ fill: cache.beginFill(of, lba(at), blocks), early: content(volume, at, blocks), late });
            break;
          case "end": {
            const [ended] = fills.splice(at % Math.max(1, fills.length), 1);
            if (ended === undefined) break;
            const { fill, early } = ended;
            cache.endFill(fill, stamped(...(ended.late ? content(fill.volume, fill.lba, fill.blocks) : early)));
            break;
          }
          case "abandon": {
            const [ended] = fills.splice(at % Math.max(1, fills.length), 1);
            if (ended !== undefined) cache.abandonFill(ended.fill);
            break;
          }
          case "change":
          case "invalidate":
            for (let block = 0; block < blocks; block++) below.set(`${volume} ${at + block}`, stamp++);
            cache.invalidate(of, lba(at), blocks);
            expect(cache.missRun(of, lba(at), blocks)).toBe(blocks);
            break;
          case "clear":
            if (at === 0) cache.clear();
            break;
        }
        expect(cache.blocks).toBeLessThanOrEqual(slots);
      }
    }),
    { numRuns: 150 },
  );
});
