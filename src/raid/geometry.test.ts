import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ArrayLevel,
  chunkOf,
  coveredFrom,
  coveredTo,
  type Geometry,
  geometryOf,
  touchedRows,
} from "./geometry.ts";
import { dataBlock, runInZone, superblockCopy, ZONE_BLOCKS, ZONES_FIRST_BLOCK, zonesOf } from "./member-layout.ts";

const shapes = fc
  .record({
    level: fc.constantFrom<ArrayLevel>(1, 5),
    members: fc.integer({ min: 3, max: 32 }),
    chunk: fc.constantFrom(1, 2, 4, 16, 256),
  })
  .map(({ level, members, chunk }) => geometryOf(level, members, chunk));

/** Which member and row hold a block of the array, by the definition. */
function place(geometry: Geometry, address: number) {
  const stripe = Math.floor(address / geometry.stripeBlocks);
  const within = address % geometry.stripeBlocks;
  const chunk = Math.floor(within / geometry.chunkBlocks);
  return { stripe, row: within % geometry.chunkBlocks, member: geometry.dataMember(stripe, chunk, 0) };
}

describe("geometry", () => {
  it("gives every member one chunk of each stripe", () => {
    fc.assert(
      fc.property(shapes, fc.nat(100_000), (geometry, stripe) => {
        const members: number[] = [];
        for (let chunk = 0; chunk < geometry.width; chunk++) {
          for (let copy = 0; copy < geometry.copies; copy++) members.push(geometry.dataMember(stripe, chunk, copy));
        }
        for (let p = 0; p < geometry.parities; p++) members.push(geometry.parityMember(stripe, p));
        expect(members.sort((a, b) => a - b)).toEqual(Array.from({ length: geometry.members }, (_, i) => i));
        for (let member = 0; member < geometry.members; member++) {
          const chunk = chunkOf(geometry, stripe, member);
          if (chunk < 0) expect(geometry.parityMember(stripe, 0)).toBe(member);
          else if (geometry.level === 5) expect(geometry.dataMember(stripe, chunk, 0)).toBe(member);
        }
      }),
    );
  });

  it("is left-symmetric at level 5, as md's default is", () => {
    const geometry = geometryOf(5, 4, 16);
    const rows = [0, 1, 2, 3, 4].map((stripe) => {
      const row = ["P", "P", "P", "P"];
      for (let chunk = 0; chunk < 3; chunk++) row[geometry.dataMember(stripe, chunk, 0)] = String(stripe * 3 + chunk);
      return row.join(" ");
    });
    expect(rows).toEqual(["0 1 2 P", "4 5 P 3", "8 P 6 7", "P 9 10 11", "12 13 14 P"]);
  });

  it("spreads consecutive chunks over all members", () => {
    const geometry = geometryOf(5, 5, 1);
    for (let start = 0; start < 40; start++) {
      const members = new Set([0, 1, 2, 3, 4].map((i) => place(geometry, start + i).member));
      expect(members.size).toBe(5);
    }
  });

  it("finds exactly the touched rows", () => {
    const writes = shapes.chain((geometry) =>
      fc.record({
        geometry: fc.constant(geometry),
        bounds: fc.tuple(fc.nat(geometry.stripeBlocks - 1), fc.nat(geometry.stripeBlocks - 1)),
      }),
    );
    fc.assert(
      fc.property(writes, ({ geometry, bounds }) => {
        const from = Math.min(...bounds);
        const to = Math.max(...bounds) + 1;
        const ranges = touchedRows(geometry, from, to);
        for (let row = 0; row < geometry.chunkBlocks; row++) {
          let touched = false;
          for (let chunk = 0; chunk < geometry.width; chunk++) {
            const block = chunk * geometry.chunkBlocks + row;
            const covered = block >= from && block < to;
            if (covered) touched = true;
            for (const rows of ranges) {
              if (row < rows.first || row >= rows.last) continue;
              const inside =
                row >= coveredFrom(geometry, chunk, from, rows) && row < coveredTo(geometry, chunk, to, rows);
              expect(inside).toBe(covered);
            }
          }
          expect(ranges.filter((rows) => row >= rows.first && row < rows.last).length).toBe(touched ? 1 : 0);
        }
      }),
    );
  });
});

describe("member layout", () => {
  it("places data blocks without overlap, clear of checksum blocks", () => {
    expect(dataBlock(0)).toBe(ZONES_FIRST_BLOCK + 1);
    expect(dataBlock(1023)).toBe(ZONES_FIRST_BLOCK + 1024);
    expect(dataBlock(1024)).toBe(ZONES_FIRST_BLOCK + ZONE_BLOCKS + 1);
    expect(runInZone(1000, 100)).toBe(24);
    expect(runInZone(1024, 100)).toBe(100);
  });

  it("keeps a generation's superblocks apart from those of the one before, and both from the zones", () => {
    const blocks = ZONES_FIRST_BLOCK + 3 * ZONE_BLOCKS + 256 + 7;
    expect(zonesOf(blocks)).toBe(3);
    expect(zonesOf(100)).toBe(0);
    const places = [1, 2].flatMap((g) => [superblockCopy(blocks, g, "head"), superblockCopy(blocks, g, "tail")]);
    expect(places).toEqual([32, blocks - 256 + 32, 16, blocks - 256 + 16]);
    expect(superblockCopy(blocks, 3, "head")).toBe(32);
    expect(ZONES_FIRST_BLOCK + 3 * ZONE_BLOCKS).toBeLessThanOrEqual(blocks - 256);
  });
});
