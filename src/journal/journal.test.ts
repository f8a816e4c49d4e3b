import { describe, expect, test } from "vitest";
import { epoch, lba, MiB, sequence, volumeId } from "../base/units.ts";
import { Journal, WINDOW_BYTES_MIN } from "./journal.ts";
import { Bench, bareRequest, content, OWNER, same, writeRequest } from "./journal-testing.ts";
import { ARRAYS_MAX, RING_START_BYTES } from "./superblock.ts";

const volume = volumeId(0);

describe("append and group commit", () => {
  test("requests of one turn are one drive write, and start in that turn", async () => {
    const bench = new Bench("group commit");
    const journal = await bench.formatted();
    journal.append(writeRequest(1));
    await bench.durable(journal);
    const before = bench.drive.counts.write;
    for (let of = 2; of <= 40; of++) journal.append(writeRequest(of));
    expect(bench.drive.inFlight).toBe(0);
    await bench.universe.advance(0);
    expect(bench.drive.inFlight).toBe(1);
    await bench.durable(journal);
    expect(bench.drive.counts.write - before).toBe(1);
    expect(journal.durable).toBe(40);
  });

  test("what is appended while a write is in flight goes in the next one, one at a time", async () => {
    const bench = new Bench("one in flight");
    const journal = await bench.formatted();
    journal.append(writeRequest(1));
    await bench.durable(journal);
    const before = bench.drive.counts.write;
    let inFlightMax = 0;
    journal.append(writeRequest(2));
    for (let of = 3; of <= 102; of++) {
      await bench.universe.advance(0);
      inFlightMax = Math.max(inFlightMax, bench.drive.inFlight);
      journal.append(writeRequest(of));
    }
    await bench.durable(journal);
    expect(inFlightMax).toBe(1);
    expect(bench.drive.counts.write - before).toBe(2);
    expect(same(await bench.data(journal, 77), content(77, 1))).toBe(true);
  });

  test("onDurable is told each time", async () => {
    const bench = new Bench("on durable");
    const journal = await bench.formatted();
    const seen: number[] = [];
    journal.onDurable = () => seen.push(journal.durable);
    journal.append(writeRequest(1));
    await bench.durable(journal);
    journal.append(writeRequest(2));
    journal.append(writeRequest(3));
    await bench.durable(journal);
    expect(seen).toEqual([1, 3]);
  });

  test("refuses requests out of order, of an older epoch, and without room", async () => {
    const bench = new Bench("order");
    const journal = await bench.formatted();
    expect(() => journal.append(writeRequest(2))).toThrow(/appended after 0/);
    journal.append(writeRequest(1, { epoch: 5 }));
    expect(() => journal.append(writeRequest(2, { epoch: 4 }))).toThrow(/epoch 4/);
    let of = 2;
    while (journal.hasRoom(256)) journal.append(writeRequest(of++, { epoch: 5, blocks: 256 }));
    expect(() => journal.append(writeRequest(of, { epoch: 5, blocks: 256 }))).toThrow(/room/);
  });
});

describe("reading back", () => {
  test("recent requests come from memory, older ones from the drive", async () => {
    const bench = new Bench("reading");
    const journal = await bench.formatted();
    for (let of = 1; of <= 4; of++) {
      journal.append(writeRequest(of, { blocks: 200 }));
      await bench.durable(journal);
    }
    expect(journal.windowData(sequence(1))).toBeUndefined();
    expect(same(journal.windowData(sequence(4)), content(4, 200))).toBe(true);
    const reads = bench.drive.counts.read;
    expect(same(await bench.data(journal, 4), content(4, 200))).toBe(true);
    expect(bench.drive.counts.read).toBe(reads);
    expect(same(await bench.data(journal, 1), content(1, 200))).toBe(true);
    expect(bench.drive.counts.read).toBe(reads + 1);
    const part = new Uint8Array(3 * 4096);
    await bench.universe.result(journal.readData(sequence(1), 100, 3, part));
    expect(same(part, content(1, 200).subarray(100 * 4096, 103 * 4096))).toBe(true);
  });

  test("a block that changed on the drive is reported with its place", async () => {
    const bench = new Bench("changed block");
    const journal = await bench.formatted();
    for (let of = 1; of <= 4; of++) {
      journal.append(writeRequest(of, { blocks: 200 }));
      await bench.durable(journal);
    }
    bench.drive.flipBit(RING_START_BYTES / 4096 + 1 + 7);
    await expect(bench.data(journal, 1)).rejects.toMatchObject({
      code: "journal.corrupt",
      what: expect.stringMatching(/\/dev\/journal .* byte 65536: .*request 1/),
    });
  });

  test("head gives every field back, and nothing of what is not live", async () => {
    const bench = new Bench("head");
    const journal = await bench.formatted();
    const { data: _, ...head } = writeRequest(1, { volume: 7, lba: 2 ** 40, blocks: 3, epoch: 9 });
    journal.append(writeRequest(1, { volume: 7, lba: 2 ** 40, blocks: 3, epoch: 9 }));
    journal.append(bareRequest("unmap", 2, { epoch: 9, lba: 5, blocks: 0xffffffff }));
    expect(journal.head(sequence(1))).toEqual(head);
    expect(journal.head(sequence(2))).toMatchObject({ kind: "unmap", lba: 5, blocks: 0xffffffff });
    expect(journal.head(sequence(0))).toBeUndefined();
    expect(journal.head(sequence(3))).toBeUndefined();
    await bench.durable(journal);
    journal.retire(sequence(1));
    expect(journal.head(sequence(1))).toBeUndefined();
    expect(journal.windowData(sequence(1))).toBeUndefined();
  });

  test("newest finds writes and unmaps, and forgets what is retired", async () => {
    const bench = new Bench("newest");
    const journal = await bench.formatted();
    journal.append(writeRequest(1, { lba: 10, blocks: 4 }));
    journal.append(bareRequest("unmap", 2, { lba: 12, blocks: 1000 }));
    journal.append(writeRequest(3, { lba: 13 }));
    journal.append(writeRequest(4, { lba: 13, volume: 1 }));
    const newest = (at: number) => journal.newest(volume, lba(at));
    expect([9, 10, 11, 12, 13, 14, 1011, 1012].map(newest)).toEqual([0, 1, 1, 2, 3, 2, 2, 0]);
    await bench.durable(journal);
    journal.retire(sequence(2));
    expect([10, 12, 13, 14].map(newest)).toEqual([0, 0, 3, 0]);
  });
});

describe("room", () => {
  test("the ring is used again and again, with checkpoints by itself, and stays bounded", async () => {
    const bench = new Bench("laps");
    const journal = await bench.formatted();
    let of = 1;
    let told = 0;
    journal.onRoom = () => told++;
    while (of <= 600) {
      if (journal.hasRoom(64)) journal.append(writeRequest(of++, { blocks: 64 }));
      else {
        const before = told;
        await bench.durable(journal);
        if (journal.durable > 3) journal.retire(sequence(journal.durable - 3));
        await bench.universe.run(() => told > before);
      }
      expect(journal.usedBytes).toBeLessThanOrEqual(journal.capacityBytes);
    }
    await bench.durable(journal);
    expect(journal.capacityBytes).toBe(4 * MiB);
    expect(told).toBeGreaterThan(10);
    for (let live = journal.retired + 1; live <= journal.appended; live++) {
      expect(same(await bench.data(journal, live), content(live, 64))).toBe(true);
    }
    bench.restart();
    const again = await bench.open();
    expect([again.retired <= journal.retired, again.appended]).toEqual([true, journal.appended]);
    expect(same(await bench.data(again, 600), content(600, 64))).toBe(true);
  });

  test("without retirement it fills up and says so", async () => {
    const bench = new Bench("full");
    const journal = await bench.formatted();
    let of = 1;
    let told = 0;
    journal.onRoom = () => told++;
    for (;;) {
      while (journal.hasRoom(256)) journal.append(writeRequest(of++, { blocks: 256 }));
      const before = told;
      await bench.durable(journal);
      if (told === before) break;
    }
    expect(of - 1).toBe(3);
    expect(journal.oldestAge).toBeGreaterThan(0);
    journal.retire(sequence(2));
    await bench.universe.run(() => journal.hasRoom(256));
    journal.retire(sequence(3));
    expect(journal.usedBytes).toBe(0);
    expect(journal.oldestAge).toBe(0);
  });

  test("space is not reused before a checkpoint that does not need it is durable", async () => {
    const bench = new Bench("checkpoint first");
    const journal = await bench.formatted();
    for (let of = 1; of <= 3; of++) {
      journal.append(writeRequest(of, { blocks: 256 }));
      await bench.durable(journal);
    }
    const stall = bench.drive.inject({ on: "write", action: "stall", lba: 0, blocks: 8 });
    journal.retire(sequence(3));
    expect(journal.hasRoom(256)).toBe(false);
    await bench.universe.advance(50);
    expect(journal.hasRoom(256)).toBe(false);
    let told = 0;
    journal.onRoom = () => told++;
    stall.remove();
    await bench.universe.run(() => told > 0);
    expect(journal.hasRoom(256)).toBe(true);
  });

  test("space is not reused while a read of it is under way", async () => {
    const bench = new Bench("pinned");
    const journal = await bench.formatted();
    let of = 1;
    for (; of <= 3; of++) {
      journal.append(writeRequest(of, { blocks: 256 }));
      await bench.durable(journal);
    }
    const stall = bench.drive.inject({ on: "read", action: "stall" });
    const into = new Uint8Array(256 * 4096);
    const read = journal.readData(sequence(1), 0, 256, into);
    journal.retire(sequence(3));
    await bench.universe.result(journal.checkpoint());
    for (; of <= 20 && journal.hasRoom(256); of++) {
      journal.append(writeRequest(of, { blocks: 256 }));
      await bench.durable(journal);
      journal.retire(sequence(of));
      await bench.universe.result(journal.checkpoint());
    }
    expect(of).toBeLessThan(20);
    stall.remove();
    await bench.universe.result(read);
    expect(same(into, content(1, 256))).toBe(true);
    expect(journal.hasRoom(256)).toBe(true);
  });

  test("many unmaps stop unmaps, not writes", async () => {
    const bench = new Bench("unmaps");
    const journal = await bench.formatted();
    let of = 1;
    while (journal.hasRoom(0)) journal.append(bareRequest("unmap", of++, { lba: of }));
    expect(of - 1).toBe(256);
    expect(journal.hasRoom(1)).toBe(true);
    await bench.durable(journal);
    journal.retire(sequence(1));
    expect(journal.hasRoom(0)).toBe(true);
  });
});

describe("small durable state", () => {
  test("promises never go down and survive a power cut", async () => {
    const bench = new Bench("promise");
    const journal = await bench.formatted();
    await bench.universe.result(Promise.all([journal.promise(epoch(3)), journal.promise(epoch(8))]));
    await bench.universe.result(journal.promise(epoch(5)));
    expect(journal.promised).toBe(8);
    bench.restart();
    expect((await bench.open()).promised).toBe(8);
  });

  test("generations of arrays never go down and survive a power cut, those that were kept last", async () => {
    const bench = new Bench("generations");
    const journal = await bench.formatted();
    const uuid = (of: number) => new Uint8Array(16).fill(of);
    for (let of = 1; of <= ARRAYS_MAX; of++) await bench.universe.result(journal.keepArrayGeneration(uuid(of), of));
    await bench.universe.result(journal.keepArrayGeneration(uuid(1), 9));
    await bench.universe.result(journal.keepArrayGeneration(uuid(1), 5));
    await bench.universe.result(journal.keepArrayGeneration(uuid(100), 7));
    const expected = [9, 0, 3, ARRAYS_MAX, 7];
    const kept = (from: Pick<typeof journal, "arrayGeneration">) =>
      [1, 2, 3, ARRAYS_MAX, 100].map((of) => from.arrayGeneration(uuid(of)));
    expect(kept(journal)).toEqual(expected);
    bench.restart();
    expect(kept(await bench.open())).toEqual(expected);
  });

  test("history outlives retirement and replay, and keeps the newest 128", async () => {
    const bench = new Bench("history");
    const journal = await bench.formatted();
    for (let of = 1; of <= 200; of++) journal.append(bareRequest("epoch-start", of, { epoch: of }));
    await bench.durable(journal);
    journal.retire(sequence(150));
    await bench.universe.result(journal.checkpoint());
    bench.restart();
    const again = await bench.open();
    expect(again.history).toEqual(journal.history);
    expect(again.history.length).toBe(128);
    expect(again.history[0]).toEqual({ epoch: 73, start: 73 });
    expect([again.retired, again.appended, again.lastEpoch]).toEqual([150, 200, 200]);
  });

  test("checkpoints that are asked for together share writes", async () => {
    const bench = new Bench("coalesce");
    const journal = await bench.formatted();
    for (let of = 1; of <= 10; of++) journal.append(writeRequest(of));
    await bench.durable(journal);
    const before = bench.drive.counts.write;
    const waits: Promise<void>[] = [];
    for (let of = 1; of <= 10; of++) {
      journal.retire(sequence(of));
      waits.push(journal.checkpoint());
    }
    await bench.universe.result(Promise.all(waits));
    expect(bench.drive.counts.write - before).toBe(4);
    await bench.universe.result(journal.checkpoint());
    expect(bench.drive.counts.write - before).toBe(4);
    bench.restart();
    expect((await bench.open()).retired).toBe(10);
  });
});

describe("cut", () => {
  test("rolls blocks back to what was there before, and survives a power cut", async () => {
    const bench = new Bench("cut");
    const journal = await bench.formatted();
    journal.append(bareRequest("epoch-start", 1));
    journal.append(writeRequest(2, { lba: 50 }));
    journal.append(writeRequest(3, { lba: 50, stamp: 33 }));
    journal.append(bareRequest("unmap", 4, { lba: 0, blocks: 100 }));
    journal.append(bareRequest("epoch-start", 5, { epoch: 2 }));
    journal.append(writeRequest(6, { lba: 50, epoch: 2 }));
    const dropped = await bench.universe.result(journal.cut(sequence(2)));
    expect(dropped.map((head) => [head.sequence, head.kind])).toEqual([
      [3, "write"],
      [4, "unmap"],
      [5, "epoch-start"],
      [6, "write"],
    ]);
    const check = (of: Journal) => {
      expect([of.appended, of.durable, of.lastEpoch, of.newest(volume, lba(50))]).toEqual([2, 2, 1, 2]);
      expect(of.history).toEqual([{ epoch: 1, start: 1 }]);
      expect(of.head(sequence(3))).toBeUndefined();
    };
    check(journal);
    bench.restart();
    const again = await bench.open();
    check(again);
    again.append(writeRequest(3, { lba: 51, epoch: 7 }));
    await bench.durable(again);
    bench.restart();
    const third = await bench.open();
    expect([third.appended, third.lastEpoch, third.newest(volume, lba(51))]).toEqual([3, 7, 3]);
    expect(same(await bench.data(third, 3), content(3, 1))).toBe(true);
  });

  test("several cuts, with and without requests between, replay to the same", async () => {
    const bench = new Bench("cuts");
    const journal = await bench.formatted();
    for (let of = 1; of <= 5; of++) journal.append(writeRequest(of));
    await bench.universe.result(journal.cut(sequence(4)));
    for (let of = 5; of <= 9; of++) journal.append(writeRequest(of, { stamp: 100 + of }));
    await bench.durable(journal);
    await bench.universe.result(journal.cut(sequence(7)));
    await bench.universe.result(journal.cut(sequence(6)));
    journal.retire(sequence(2));
    await bench.universe.result(journal.checkpoint());
    for (let of = 7; of <= 8; of++) journal.append(writeRequest(of, { stamp: 200 + of }));
    await bench.durable(journal);
    bench.restart();
    const again = await bench.open();
    expect([again.retired, again.appended]).toEqual([2, 8]);
    const stamps = [3, 4, 105, 106, 207, 208];
    for (const [index, stamp] of stamps.entries()) {
      expect(same(await bench.data(again, 3 + index), content(stamp, 1))).toBe(true);
    }
  });

  test("to the last retired request leaves nothing", async () => {
    const bench = new Bench("cut all");
    const journal = await bench.formatted();
    for (let of = 1; of <= 5; of++) journal.append(writeRequest(of));
    await bench.durable(journal);
    journal.retire(sequence(3));
    expect((await bench.universe.result(journal.cut(sequence(3)))).length).toBe(2);
    expect(journal.usedBytes).toBe(0);
    bench.restart();
    const again = await bench.open();
    expect([again.retired, again.appended, again.recovery.requests]).toEqual([3, 3, 0]);
    again.append(writeRequest(4, { stamp: 44 }));
    await bench.durable(again);
    expect(same(await bench.data(again, 4), content(44, 1))).toBe(true);
  });

  test("gives the space back, even where nothing was ever retired", async () => {
    const bench = new Bench("cut space");
    const journal = await bench.formatted();
    for (let round = 0; round < 4; round++) {
      for (let of = 1; of <= 3; of++) {
        await bench.universe.run(() => journal.hasRoom(256));
        journal.append(writeRequest(of, { blocks: 256, stamp: round * 10 + of }));
        await bench.durable(journal);
      }
      expect(same(await bench.data(journal, 2), content(round * 10 + 2, 256))).toBe(true);
      await bench.universe.result(journal.cut(sequence(0)));
    }
    bench.restart();
    expect((await bench.open()).appended).toBe(0);
  });

  test("nothing can be appended meanwhile", async () => {
    const bench = new Bench("cut meanwhile");
    const journal = await bench.formatted();
    journal.append(writeRequest(1));
    const cut = journal.cut(sequence(0));
    expect(journal.hasRoom(1)).toBe(false);
    let told = 0;
    journal.onRoom = () => told++;
    await bench.universe.result(cut);
    expect(told).toBeGreaterThan(0);
    expect(journal.hasRoom(1)).toBe(true);
  });
});

describe("failure", () => {
  test("a failed write fences the journal for good, told once", async () => {
    const bench = new Bench("failed write");
    const journal = await bench.formatted();
    journal.append(writeRequest(1));
    await bench.durable(journal);
    const failures: string[] = [];
    journal.onFailed = (error) => failures.push(error.code);
    bench.drive.inject({ on: "write", action: "fail", times: 1 });
    journal.append(writeRequest(2));
    await bench.universe.run(() => failures.length > 0);
    const writes = bench.drive.counts.write;
    expect([journal.durable, journal.hasRoom(1), failures]).toEqual([1, false, ["journal.failed"]]);
    expect(journal.failure?.what).toContain("/dev/journal");
    await expect(bench.universe.result(journal.promise(epoch(4)))).rejects.toMatchObject({ code: "journal.failed" });
    await expect(bench.universe.result(journal.cut(sequence(1)))).rejects.toMatchObject({ code: "journal.failed" });
    expect(same(await bench.data(journal, 1), content(1, 1))).toBe(true);
    await bench.universe.result(journal.close());
    expect(bench.drive.counts.write).toBe(writes);
    expect(failures.length).toBe(1);
    expect(bench.world.memory.outstanding).toBe(0);
  });

  test("a failed superblock write fences it as well, while a batch is in flight", async () => {
    const bench = new Bench("failed superblock");
    const journal = await bench.formatted();
    journal.append(writeRequest(1));
    await bench.durable(journal);
    const failures: string[] = [];
    journal.onFailed = (error) => failures.push(error.code);
    const slow = bench.drive.inject({ on: "write", action: "stall", lba: 8 });
    journal.append(writeRequest(2));
    await bench.universe.advance(5);
    bench.drive.inject({ on: "write", action: "fail", lba: 0, blocks: 8 });
    await expect(bench.universe.result(journal.promise(epoch(4)))).rejects.toMatchObject({ code: "journal.failed" });
    expect(failures).toEqual(["journal.failed"]);
    const closed = journal.close();
    await bench.universe.advance(5);
    // its buffers are in use until the drive is done with them
    expect(bench.world.memory.outstanding).toBeGreaterThan(0);
    slow.remove();
    await bench.universe.result(closed);
    expect(journal.durable).toBe(1);
    expect(bench.world.memory.outstanding).toBe(0);
  });
});

describe("a proof that the journal takes writes", () => {
  const proven = (journal: Journal) => {
    const outcome = { now: "open" };
    journal.prove().then(
      () => {
        outcome.now = "proven";
      },
      (error: { code: string }) => {
        outcome.now = error.code;
      },
    );
    return outcome;
  };

  test("is a durable write of its own, also where nothing is appended, and loses nothing", async () => {
    const bench = new Bench("proof");
    const journal = await bench.formatted();
    const before = bench.drive.counts.write;
    await bench.universe.result(journal.prove());
    expect(bench.drive.counts.write - before).toBe(2);
    journal.append(writeRequest(1));
    await bench.universe.result(journal.prove());
    expect(journal.durable).toBe(1);
    bench.restart();
    expect((await bench.open()).appended).toBe(1);
  });

  test("does not come while the drive stalls, or a batch is on its way, and comes after it", async () => {
    const bench = new Bench("proof and stall");
    const journal = await bench.formatted();
    const superblocks = bench.drive.inject({ on: "write", action: "stall", lba: 0, blocks: 8 });
    const first = proven(journal);
    await bench.universe.advance(60_000);
    expect(first.now).toBe("open");
    superblocks.remove();
    await bench.universe.run(() => first.now === "proven");

    const log = bench.drive.inject({ on: "write", action: "stall", lba: 8 });
    journal.append(writeRequest(1));
    const second = proven(journal);
    await bench.universe.advance(60_000);
    expect(second.now).toBe("open");
    log.remove();
    await bench.universe.run(() => second.now === "proven");
  });

  test("is refused by a journal that failed, before it or meanwhile", async () => {
    const bench = new Bench("proof and failure");
    const journal = await bench.formatted();
    journal.append(writeRequest(1));
    await bench.durable(journal);
    bench.drive.inject({ on: "write", action: "fail", lba: 8 });
    journal.append(writeRequest(2));
    const during = proven(journal);
    await bench.universe.run(() => during.now !== "open");
    expect(during.now).toBe("journal.failed");
    const after = proven(journal);
    await bench.universe.run(() => after.now !== "open");
    expect(after.now).toBe("journal.failed");
  });

  test("is not held up by a cut", async () => {
    const bench = new Bench("proof and cut");
    const journal = await bench.formatted();
    for (let of = 1; of <= 5; of++) journal.append(writeRequest(of));
    const proof = proven(journal);
    await bench.universe.result(journal.cut(sequence(2)));
    await bench.universe.run(() => proof.now === "proven");
    expect(journal.durable).toBe(2);
    await bench.universe.result(journal.prove());
    bench.restart();
    expect((await bench.open()).appended).toBe(2);
  });
});

describe("opening and closing", () => {
  test("close waits for what was appended, and the next opening needs no search", async () => {
    const bench = new Bench("close", 16 * MiB);
    const journal = await bench.formatted();
    for (let of = 1; of <= 20; of++) journal.append(writeRequest(of));
    await bench.universe.result(journal.close());
    expect(bench.world.memory.outstanding).toBe(0);
    bench.restart();
    const reads = bench.drive.counts.read;
    const again = await bench.open();
    expect([again.appended, again.recovery]).toEqual([20, { requests: 20 }]);
    // A search would read all of the ring, MiB by MiB.
    expect(bench.drive.counts.read - reads).toBeLessThan(8);
  });

  test("opening changes nothing, and twice gives the same", async () => {
    const bench = new Bench("open twice");
    const journal = await bench.formatted();
    for (let of = 1; of <= 20; of++) journal.append(writeRequest(of, { lba: of % 7 }));
    await bench.durable(journal);
    bench.restart();
    const { pages } = bench.drive.snapshot();
    const one = await bench.open();
    await bench.universe.result(one.close());
    bench.restart();
    const two = await bench.open();
    const now = bench.drive.snapshot().pages;
    expect([...now.keys()]).toEqual([...pages.keys()]);
    for (const [block, page] of pages) expect(same(now.get(block), page)).toBe(true);
    for (let of = 1; of <= 20; of++) expect(two.head(sequence(of))).toEqual(one.head(sequence(of)));
    for (let at = 0; at < 7; at++) expect(two.newest(volume, lba(at))).toBe(one.newest(volume, lba(at)));
  });

  test("what a killed process left in the drive's cache is durable once it was found, whatever flushes do", async () => {
    for (let seed = 0; seed < 40; seed++) {
      const bench = new Bench(`cached ${seed}`);
      const journal = await bench.formatted();
      journal.append(writeRequest(1, { blocks: 8 }));
      await bench.durable(journal);
      journal.promise(epoch(7)).catch(() => {});
      for (let of = 2; of <= 5; of++) journal.append(writeRequest(of, { blocks: 8 }));
      bench.drive.onWrite = () => (bench.universe.random.chance(0.5) ? "kill-after" : "continue");
      await bench.universe.advance(50);
      bench.drive.onWrite = undefined;
      if (bench.machine.state === "running") bench.machine.kill();
      bench.machine.restart();
      // Whoever flushes now is told that it failed; whoever flushes later, that it worked.
      const drive = await bench.handle();
      const fault = bench.drive.inject({ on: "flush", action: "fail", times: 1 });
      await bench.universe.result(Promise.resolve(drive.flush()).catch(() => {}));
      fault.remove();
      await bench.universe.result(drive.close());
      const found = await bench.open();
      const { appended, promised } = found;
      bench.drive.restore(bench.drive.cutSnapshot(bench.universe.random, "drop all"));
      bench.restart();
      const again = await bench.open();
      expect([seed, again.appended, again.promised]).toEqual([seed, appended, promised]);
    }
  });

  test("a journal on a read-only drive can be looked at", async () => {
    const bench = new Bench("inspect");
    const journal = await bench.formatted();
    for (let of = 1; of <= 3; of++) journal.append(writeRequest(of, { blocks: 5 }));
    await bench.durable(journal);
    bench.restart();
    const view = await bench.universe.result(Journal.inspect(bench.world, await bench.handle("read-only"), OWNER));
    expect([view.retired, view.appended, view.recovery.requests]).toEqual([0, 3, 3]);
    expect(same(await bench.data(view, 2), content(2, 5))).toBe(true);
    expect(view.newest(volume, lba(3))).toBe(3);
    await bench.universe.result(view.close());
    expect(bench.world.memory.outstanding).toBe(0);
  });

  test("format refuses a drive with content, and takes it when told to", async () => {
    const bench = new Bench("format");
    bench.drive.overwrite(bench.drive.blockCount - 3, content(1, 1));
    await expect(bench.format()).rejects.toMatchObject({ code: "journal.exists" });
    await bench.format({ overwrite: true });
    await expect(bench.format()).rejects.toMatchObject({ code: "journal.exists" });
    const journal = await bench.open();
    journal.append(writeRequest(1));
    await bench.universe.result(journal.close());
    bench.restart();
    await bench.format({ overwrite: true });
    const again = await bench.open();
    expect([again.appended, again.recovery.tornTail]).toEqual([0, undefined]);
  });

  test("format refuses a drive that is too small", async () => {
    const bench = new Bench("small", 2 * MiB);
    await expect(bench.format()).rejects.toMatchObject({ code: "journal.size" });
  });

  test("the smallest window works", async () => {
    const bench = new Bench("smallest window");
    const journal = await bench.formatted(WINDOW_BYTES_MIN);
    for (let of = 1; of <= 9; of++) {
      await bench.universe.run(() => journal.hasRoom(256));
      journal.append(writeRequest(of, { blocks: 256 }));
      await bench.durable(journal);
      journal.retire(sequence(of));
    }
    expect(journal.durable).toBe(9);
  });
});
