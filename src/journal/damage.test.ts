/** What opening makes of a journal that is not as it was left: torn, damaged, foreign, or of another time. */

import { describe, expect, test } from "vitest";
import { BLOCK_BYTES, epoch, MiB, sequence } from "../base/units.ts";
import { plainArithmetic } from "../platform/plain-arithmetic.ts";
import { BatchHeaderLayout, decodeHeader, sealHeader } from "./batch-header.ts";
import { Journal } from "./journal.ts";
import { Bench, content, OWNER, same, writeRequest } from "./journal-testing.ts";
import { type JournalOwner, RING_START_BYTES, SUPERBLOCK_COPIES, SuperblockLayout } from "./superblock.ts";

const RING = RING_START_BYTES / BLOCK_BYTES;

/** Five batches of one request of two blocks: headers at ring blocks 0, 3, 6, 9, 12. */
async function five(seed: string, close = false): Promise<Bench> {
  const bench = new Bench(seed);
  const journal = await bench.formatted();
  for (let of = 1; of <= 5; of++) {
    journal.append(writeRequest(of, { blocks: 2, lba: 10 * of }));
    await bench.durable(journal);
  }
  if (close) await bench.universe.result(journal.close());
  bench.restart();
  return bench;
}

/** Opening is refused, and changes nothing. */
async function refusedUntouched(bench: Bench, owner?: JournalOwner) {
  const before = Bun.hash(bench.drive.contents());
  const error = await bench.refused(owner);
  expect(Bun.hash(bench.drive.contents())).toBe(before);
  expect(bench.world.memory.outstanding).toBe(0);
  return error;
}

describe("damage in the log is told from a torn tail", () => {
  test.each([
    ["first header", 0, 1],
    ["a header in the middle", 6, 3],
    ["the last header but one", 9, 4],
  ])("a flipped bit in %s", async (_, block, first) => {
    const bench = await five(`header ${block}`);
    bench.drive.flipBit(RING + block, 700);
    const error = await refusedUntouched(bench);
    expect(error.code).toBe("journal.corrupt");
    expect(error.what).toContain("/dev/journal");
    expect(error.what).toContain(`byte ${RING_START_BYTES + block * BLOCK_BYTES}:`);
    expect(error.what).toContain(`requests ${first} to ${first} and all that follow`);
    expect(error.remedy).toMatch(/another site/);
  });

  test("every bit of the used part of a header counts", async () => {
    const bench = await five("every bit");
    const clean = bench.drive.snapshot();
    for (let bit = 0; bit < (BatchHeaderLayout.size + 48) * 8; bit += 5) {
      bench.drive.restore(clean);
      bench.drive.flipBit(RING + 6, bit);
      expect((await bench.refused()).code).toBe("journal.corrupt");
    }
  });

  test("a flipped bit in the data in the middle", async () => {
    const bench = await five("payload");
    bench.drive.flipBit(RING + 8, 9);
    const error = await refusedUntouched(bench);
    expect(error.code).toBe("journal.corrupt");
    expect(error.what).toContain("data fails its checksums");
    expect(error.what).toContain("requests 3 to 3");
  });

  test("a header that was lost as if never written", async () => {
    const bench = await five("lost");
    bench.drive.overwrite(RING + 6, new Uint8Array(3 * BLOCK_BYTES));
    expect((await refusedUntouched(bench)).code).toBe("journal.corrupt");
  });

  test("two batches that are missing in a row", async () => {
    const bench = await five("two lost");
    bench.drive.overwrite(RING + 3, new Uint8Array(6 * BLOCK_BYTES));
    expect((await refusedUntouched(bench)).what).toContain("requests 2 to 3");
  });

  test("a batch in the place of another", async () => {
    const bench = await five("misdirected");
    bench.drive.overwrite(RING + 6, bench.drive.contents(RING + 3, 3));
    expect((await refusedUntouched(bench)).code).toBe("journal.corrupt");
  });

  test("the last batch, after an orderly close or a checkpoint", async () => {
    const closed = await five("last closed", true);
    closed.drive.flipBit(RING + 12, 3);
    expect((await refusedUntouched(closed)).what).toContain("requests from 5 on");

    const checkpointed = new Bench("last checkpointed");
    const journal = await checkpointed.formatted();
    for (let of = 1; of <= 5; of++) journal.append(writeRequest(of, { blocks: 2 }));
    await checkpointed.durable(journal);
    journal.retire(sequence(1));
    await checkpointed.universe.result(journal.checkpoint());
    checkpointed.restart();
    checkpointed.drive.flipBit(RING + 10, 3);
    const error = await refusedUntouched(checkpointed);
    expect([error.code, error.what.includes("requests 5")]).toEqual(["journal.corrupt", true]);
  });

  test.each([
    ["does not follow the one before it", { previousHash: 1 }],
    ["is of a later opening than the superblock knows", { opening: 9 }],
    ["claims to be durable before", { durablePosition: 12 * BLOCK_BYTES + 1 }],
    ["requests 5 to 6 are missing", { firstSequence: sequence(7) }],
    ["request 4 is there twice", { firstSequence: sequence(4) }],
  ])("a last batch that is whole but does not fit: it %s", async (what, change) => {
    const bench = await five(what);
    const block = bench.drive.contents(RING + 12, 1);
    const uuid = block.slice(16, 32);
    const header = decodeHeader(plainArithmetic, block, uuid, 12 * BLOCK_BYTES, 4 * MiB);
    if (typeof header === "string") throw new Error(header);
    sealHeader(plainArithmetic, block, uuid, { ...header, ...change });
    bench.drive.overwrite(RING + 12, block);
    const error = await refusedUntouched(bench);
    expect([error.code, error.what]).toEqual(["journal.corrupt", expect.stringContaining(what)]);
  });

  test("the data of a request that is retired does not matter", async () => {
    const bench = new Bench("retired data");
    const journal = await bench.formatted();
    for (let of = 1; of <= 5; of++) journal.append(writeRequest(of, { blocks: 2 }));
    await bench.durable(journal);
    journal.retire(sequence(1));
    await bench.universe.result(journal.checkpoint());
    bench.restart();
    bench.drive.flipBit(RING + 1, 3);
    const again = await bench.open();
    expect([again.retired, again.appended]).toEqual([1, 5]);
  });

  test("nor does that of a request that was cut", async () => {
    const bench = new Bench("cut data");
    const journal = await bench.formatted();
    for (let of = 1; of <= 5; of++) journal.append(writeRequest(of, { blocks: 2 }));
    await bench.universe.result(journal.cut(sequence(3)));
    bench.restart();
    bench.drive.flipBit(RING + 9, 3);
    expect((await bench.open()).appended).toBe(3);
    bench.restart();
    bench.drive.flipBit(RING + 2, 3);
    expect((await refusedUntouched(bench)).what).toMatch(/affected: requests 1\./);
  });
});

describe("a torn tail", () => {
  test("is truncated and reported", async () => {
    const bench = await five("torn data");
    bench.drive.flipBit(RING + 14, 3);
    const journal = await bench.open();
    expect([journal.appended, journal.durable]).toEqual([4, 4]);
    expect(journal.recovery).toEqual({
      requests: 4,
      tornTail: { position: 12 * BLOCK_BYTES, bytes: 3 * BLOCK_BYTES, firstSequence: 5 },
    });
    expect(journal.head(sequence(5))).toBeUndefined();
  });

  test("with a bad header as well", async () => {
    const bench = await five("torn header");
    bench.drive.flipBit(RING + 12, 8 * 60);
    const journal = await bench.open();
    expect(journal.recovery.tornTail).toEqual({ position: 12 * BLOCK_BYTES, bytes: BLOCK_BYTES, firstSequence: 5 });
  });

  test("of several batches in one drive write may have holes", async () => {
    const bench = new Bench("torn run");
    const journal = await bench.formatted();
    journal.append(writeRequest(1));
    await bench.durable(journal);
    for (let of = 2; of <= 300; of++) journal.append(writeRequest(of));
    await bench.durable(journal);
    bench.restart();
    // batches of one drive write: the second of them is bad, those behind it are whole
    const second = RING + 2 + 1 + 91;
    bench.drive.flipBit(second, 5);
    const again = await bench.open();
    expect(again.appended).toBe(1 + 91);
    expect(again.recovery.tornTail?.firstSequence).toBe(again.appended + 1);
    expect(again.recovery.tornTail?.bytes).toBeGreaterThan(100 * BLOCK_BYTES);
  });

  test("can't come back, even where its very bytes are written again", async () => {
    const bench = new Bench("resurrection");
    const journal = await bench.formatted();
    journal.append(writeRequest(1));
    await bench.durable(journal);
    for (let of = 2; of <= 300; of++) journal.append(writeRequest(of));
    await bench.durable(journal);
    bench.restart();
    const first = bench.drive.contents(RING + 2, 1 + 91);
    bench.drive.flipBit(RING + 2, 5);
    const again = await bench.open();
    expect(again.appended).toBe(1);
    // the same requests are sent again, fewer of them: the first batch has the same length and the same data
    for (let of = 2; of <= 92; of++) again.append(writeRequest(of));
    await bench.durable(again);
    bench.restart();
    const third = await bench.open();
    expect([third.appended, third.recovery.tornTail]).toEqual([again.appended, undefined]);

    // the old batch itself in its old place, whole, with the old chain behind it
    bench.restart();
    bench.drive.overwrite(RING + 2, first);
    expect((await bench.open()).appended).toBe(1);
  });

  test("stays dropped once the next opening has written anything", async () => {
    const bench = await five("dropped for good");
    const clean = bench.drive.contents(RING + 12, 3);
    bench.drive.flipBit(RING + 14, 3);
    const journal = await bench.open();
    await bench.universe.result(journal.promise(epoch(4)));
    bench.restart();
    bench.drive.overwrite(RING + 12, clean);
    const again = await bench.open();
    expect([again.appended, again.recovery.tornTail]).toEqual([4, undefined]);
    again.append(writeRequest(5, { stamp: 55 }));
    await bench.durable(again);
    expect(same(await bench.data(again, 5), content(55, 1))).toBe(true);
  });
});

describe("a drive that is not this journal's", () => {
  test("blank", async () => {
    expect((await refusedUntouched(new Bench("blank"))).code).toBe("journal.blank");
  });

  test("foreign", async () => {
    const bench = new Bench("foreign");
    bench.drive.overwrite(0, content(1, 3));
    expect((await refusedUntouched(bench)).code).toBe("journal.foreign");
  });

  test("of another group", async () => {
    const error = await refusedUntouched(await five("group"), { ...OWNER, group: "test" });
    expect([error.code, error.what.includes("'prod'"), error.what.includes("'test'")]).toEqual([
      "journal.group",
      true,
      true,
    ]);
  });

  test("of another site", async () => {
    const error = await refusedUntouched(await five("site"), { ...OWNER, site: "boston" });
    expect([error.code, error.what]).toEqual(["journal.site", expect.stringMatching(/'denver', not to 'boston'/)]);
  });

  test.each([5 * MiB, 3 * MiB])("of another size: %d bytes", async (size) => {
    const small = await five("size");
    const other = new Bench("other size", size);
    other.drive.overwrite(0, small.drive.contents(0, 100));
    expect((await refusedUntouched(other)).code).toBe("journal.size");
  });

  test("of a newer format", async () => {
    const bench = await five("version");
    for (let copy = 0; copy < SUPERBLOCK_COPIES; copy++) {
      const block = bench.drive.contents(copy, 1);
      const view = new DataView(block.buffer);
      SuperblockLayout.version.set(view, 0, 2);
      SuperblockLayout.crc.set(view, 0, 0);
      SuperblockLayout.crc.set(view, 0, plainArithmetic.crc32c(block));
      bench.drive.overwrite(copy, block);
    }
    const error = await refusedUntouched(bench);
    expect([error.code, error.what.includes("version 2")]).toEqual(["journal.version", true]);
  });

  test("formatted, then emptied behind the superblock", async () => {
    const bench = await five("emptied");
    bench.drive.overwrite(RING, new Uint8Array(20 * BLOCK_BYTES));
    // nothing is left that could tell: nobody was told that more was durable than the superblock says
    expect((await bench.open()).appended).toBe(0);
    const closed = await five("emptied after close", true);
    closed.drive.overwrite(RING, new Uint8Array(20 * BLOCK_BYTES));
    expect((await refusedUntouched(closed)).code).toBe("journal.corrupt");
  });
});

describe("superblocks", () => {
  async function promised(seed: string): Promise<Bench> {
    const bench = new Bench(seed);
    const journal = await bench.formatted();
    for (let of = 1; of <= 6; of++) await bench.universe.result(journal.promise(epoch(of)));
    bench.restart();
    return bench;
  }

  test("any one damaged copy costs nothing", async () => {
    const bench = await promised("one copy");
    const clean = bench.drive.snapshot();
    for (let copy = 0; copy < SUPERBLOCK_COPIES; copy++) {
      bench.drive.restore(clean);
      bench.drive.flipBit(copy);
      const journal = await bench.open();
      expect(journal.promised).toBe(6);
      bench.restart();
    }
  });

  test("any two damaged copies never bring an older promise back", async () => {
    const bench = await promised("two copies");
    const clean = bench.drive.snapshot();
    const outcomes: string[] = [];
    for (let one = 0; one < SUPERBLOCK_COPIES; one++) {
      for (let other = one + 1; other < SUPERBLOCK_COPIES; other++) {
        bench.drive.restore(clean);
        bench.drive.flipBit(one);
        bench.drive.flipBit(other);
        const drive = await bench.handle();
        const opened = Journal.open(bench.world, drive, { ...OWNER, windowBytes: 4 * MiB });
        const outcome = await bench.universe.result(
          opened.then(
            (journal) => String(journal.promised),
            (error) => error.code as string,
          ),
        );
        outcomes.push(outcome);
        bench.restart();
      }
    }
    expect(outcomes.filter((outcome) => outcome === "6").length).toBeGreaterThan(20);
    expect(outcomes.filter((outcome) => outcome !== "6" && outcome !== "journal.corrupt")).toEqual([]);
    expect(outcomes).toContain("journal.corrupt");
  });

  test("all bad", async () => {
    const bench = await promised("all bad");
    for (let copy = 0; copy < SUPERBLOCK_COPIES; copy++) bench.drive.flipBit(copy, 4000);
    const error = await refusedUntouched(bench);
    expect([error.code, error.what.includes("no superblock copy")]).toEqual(["journal.corrupt", true]);
  });

  test("a promise that was cut off by a crash is there or not, an older one is", async () => {
    for (let seed = 0; seed < 30; seed++) {
      const bench = new Bench(`promise ${seed}`);
      const journal = await bench.formatted();
      for (let of = 1; of <= 1 + (seed % 5); of++) await bench.universe.result(journal.promise(epoch(of)));
      const before = journal.promised;
      bench.universe.after(0.1 * (seed % 20), () => bench.machine.crash());
      journal.promise(epoch(100));
      await bench.universe.run(() => !bench.machine.powered);
      bench.machine.restart();
      const again = await bench.open();
      expect([before, 100]).toContain(again.promised);
    }
  });
});
