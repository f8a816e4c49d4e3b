import { expect, it } from "vitest";
import { BLOCK_BYTES, byteCount } from "../base/units.ts";
import { ArrayBench } from "./array-fixture.ts";
import { arrayCapacity } from "./capacity.ts";

it.each([
  [1, 1],
  [2, 1],
  [3, 5],
  [5, 5],
] as const)("what %i drives of level %i will hold is what an array of them has", async (members, level) => {
  const bench = await ArrayBench.make(members, level, 4, 3);
  const sizes = bench.drives.map(({ blockCount }) => byteCount(blockCount * BLOCK_BYTES));
  expect(arrayCapacity(level, sizes)).toBe(bench.array.status.capacityBlocks * BLOCK_BYTES);
});

it("drives that are too small hold nothing", () => {
  expect(arrayCapacity(1, [byteCount(BLOCK_BYTES)])).toBe(0);
});
