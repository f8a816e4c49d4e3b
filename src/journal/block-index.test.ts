import fc from "fast-check";
import { expect, test } from "vitest";
import { type Lba, lba, type VolumeId, volumeId } from "../base/units.ts";
import { BlockIndex, INDEXED_LBA_END } from "./block-index.ts";

/** Addresses that collide: few groups of neighbours, at both ends of what an address can be. */
const address = fc.tuple(
  fc.constantFrom(0, 1, 0xffff),
  fc.integer({ min: 0, max: 40 }),
  fc.constantFrom(0, 2 ** 32 - 20, 2 ** 40, INDEXED_LBA_END - 41),
);

const step = fc.oneof(
  fc.record({ op: fc.constant("set" as const), address, blocks: fc.integer({ min: 1, max: 12 }), value: fc.nat() }),
  fc.record({
    op: fc.constant("deleteRun" as const),
    address,
    blocks: fc.integer({ min: 1, max: 12 }),
    value: fc.nat(3),
  }),
  fc.record({ op: fc.constant("delete" as const), address, blocks: fc.constant(1), value: fc.constant(0) }),
  fc.record({ op: fc.constant("clear" as const), address, blocks: fc.constant(0), value: fc.constant(0) }),
);

test("behaves as a Map of blocks", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: "max" }), (steps) => {
      const index = new BlockIndex(1000);
      const model = new Map<string, number>();
      for (const { op, address, blocks, value } of steps) {
        const [volume, offset, base] = address;
        const first = Math.min(base + offset, INDEXED_LBA_END - blocks);
        const keys = Array.from({ length: blocks }, (_, block) => `${volume} ${first + block}`);
        switch (op) {
          case "set":
            index.setRun(volumeId(volume), lba(first), blocks, value % 4);
            for (const key of keys) model.set(key, value % 4);
            break;
          case "deleteRun":
            index.deleteRun(volumeId(volume), lba(first), blocks, value);
            for (const key of keys) if (model.get(key) === value) model.delete(key);
            break;
          case "delete":
            index.delete(volumeId(volume), lba(first));
            model.delete(keys[0]);
            break;
          case "clear":
            // seldom, or nothing else is tried
            if (offset === 0) index.clear();
            if (offset === 0) model.clear();
            break;
        }
        for (const key of keys) {
          const [of, at] = key.split(" ").map(Number);
          expect(index.get(volumeId(of), lba(at))).toBe(model.get(key) ?? -1);
        }
      }
      index.check();
      expect(index.size).toBe(model.size);
      for (const [key, value] of model) {
        const [volume, at] = key.split(" ").map(Number);
        expect(index.get(volumeId(volume), lba(at))).toBe(value);
      }
    }),
    { numRuns: 100 },
  );
});

test("grows, is emptied and filled again for ever without slowing down or losing anything", () => {
  const index = new BlockIndex(20_000);
  const volume: VolumeId = volumeId(3);
  for (let round = 0; round < 5; round++) {
    for (let at = 0; at < 20_000; at++) index.set(volume, ((at * 7919) % 1_000_003) as Lba, at);
    index.check();
    for (let at = 0; at < 20_000; at += 2) index.delete(volume, ((at * 7919) % 1_000_003) as Lba);
    index.check();
    for (let at = 1; at < 20_000; at += 2) expect(index.get(volume, ((at * 7919) % 1_000_003) as Lba)).toBe(at);
    for (let at = 1; at < 20_000; at += 2) index.delete(volume, ((at * 7919) % 1_000_003) as Lba);
    expect(index.size).toBe(0);
  }
});

test("keeps 32 bits of a value, and refuses more blocks than it is for", () => {
  const index = new BlockIndex(2);
  index.set(volumeId(0), lba(0), 2 ** 40 + 5);
  expect(index.get(volumeId(0), lba(0))).toBe(5);
  index.set(volumeId(0), lba(1), 1);
  index.set(volumeId(0), lba(1), 2);
  expect(() => index.set(volumeId(0), lba(2), 1)).toThrow(/at most 2/);
});
