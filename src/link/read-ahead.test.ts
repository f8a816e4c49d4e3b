import { describe, expect, it } from "vitest";
import type { OperatingError } from "../base/operating-error.ts";
import { BLOCK_BYTES, type Sequence, sequence } from "../base/units.ts";
import { MemoryUniverse } from "../platform/memory/memory-world.ts";
import { ReadAhead } from "./read-ahead.ts";
import { makeRequest, TestSource } from "./test-sites.ts";

function reader(sizes: readonly number[]) {
  const universe = new MemoryUniverse(1);
  const world = universe.world("denver");
  const source = new TestSource(world);
  for (const [index, blocks] of sizes.entries()) source.add(makeRequest(index + 1, blocks));
  source.onDrive = sizes.length;
  const failed: OperatingError[] = [];
  let ready = 0;
  const ahead = new ReadAhead(
    world,
    source,
    () => ready++,
    (error) => failed.push(error),
  );
  const right = (wanted: Sequence) => {
    const data = ahead.data(wanted);
    return data !== undefined && Buffer.from(data).equals(source.requests.get(wanted)?.data ?? new Uint8Array(0));
  };
  return { universe, world, source, ahead, failed, right, ready: () => ready };
}

describe("reading ahead", () => {
  it("reads as many requests at once as the buffer holds, and more as they are released", async () => {
    const { universe, world, source, ahead, right } = reader([256, 200, 56, 256, 100]);
    ahead.fill(sequence(1));
    expect(source.reads).toBe(3);
    await universe.run(() => right(sequence(1)) && right(sequence(2)) && right(sequence(3)));
    ahead.release(sequence(1));
    ahead.fill(sequence(2));
    expect(source.reads).toBe(4);
    await universe.run(() => right(sequence(4)));
    expect(right(sequence(2))).toBe(true);
    for (const done of [2, 3]) ahead.release(sequence(done));
    ahead.fill(sequence(4));
    await universe.run(() => right(sequence(5)));
    for (const done of [4, 5]) ahead.release(sequence(done));
    expect(world.memory.outstanding).toBe(0);
  });

  it("makes room for the request that is wanted, when later ones have taken it", async () => {
    const { universe, source, ahead, right } = reader([256, 256, 256]);
    ahead.fill(sequence(2));
    await universe.run(() => right(sequence(2)) && right(sequence(3)));
    ahead.fill(sequence(1));
    await universe.run(() => right(sequence(1)));
    expect(source.reads).toBe(4);
  });

  it("never uses a place again, or frees it, before its read has ended", async () => {
    const { universe, world, source, ahead, right, ready } = reader([256, 256, 256]);
    ahead.fill(sequence(2));
    ahead.discard();
    ahead.fill(sequence(1));
    expect(source.reads).toBe(2);
    expect(world.memory.outstanding).toBe(1);
    await universe.run(() => ready() === 2);
    ahead.fill(sequence(1));
    await universe.run(() => right(sequence(1)));
    ahead.discard();
    await universe.advance(100);
    expect(world.memory.outstanding).toBe(0);
    expect(source.requests.get(1)?.data.length).toBe(256 * BLOCK_BYTES);
  });
});
