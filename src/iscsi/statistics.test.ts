import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CommandCounter, CommandKind, LATENCY_BOUNDS_MS, latencyOf } from "./statistics.ts";
import { bench, build, Initiator, pattern, read10, TARGET, text, write10 } from "./testing/initiator.ts";
import { RamDevice } from "./testing/world.ts";

describe("latencies", () => {
  test("fall into the bucket whose bound is the next above them", () => {
    const times = fc.double({ min: 0, max: 200_000, noNaN: true });
    fc.assert(
      fc.property(fc.oneof(times, fc.constantFrom(...LATENCY_BOUNDS_MS.slice(0, -1))), (ms) => {
        const counter = new CommandCounter();
        counter.answered(CommandKind.Read, ms);
        const { buckets, commands, totalMs, longestMs } = counter.snapshot().reads;
        expect([commands, totalMs, longestMs]).toEqual([1, ms, ms]);
        expect(buckets.indexOf(1)).toBe(LATENCY_BOUNDS_MS.findIndex((bound) => ms < bound));
      }),
    );
  });

  test("are added up, and say what most of them took", () => {
    const [one, other] = [new CommandCounter(), new CommandCounter()];
    for (let count = 0; count < 90; count++) one.answered(CommandKind.Write, 0.1);
    for (let count = 0; count < 10; count++) other.answered(CommandKind.Write, 40);
    one.take(other);
    const { reads, writes } = one.snapshot();
    expect(latencyOf(reads, 0.5)).toBeUndefined();
    expect([latencyOf(writes, 0.5), latencyOf(writes, 0.9), latencyOf(writes, 0.99)]).toEqual([0.128, 0.128, 40]);
    expect(writes.commands).toBe(100);
  });
});

describe("a target's statistics", () => {
  const identity = { vendor: "V", product: "P", revision: "1", serial: "s", naa: 0x3n << 60n };

  test("have no time before the session of a command that came with the end of its login", async () => {
    const world = bench({ device: new RamDevice(64) });
    world.timers.advance(1_000_000);
    const initiator = new Initiator(world);
    const login = build(0x03, {
      immediate: true,
      flags: 0x87,
      words: { 8: 5, 24: 1 },
      data: text("InitiatorName=iqn.x", `TargetName=${TARGET}`),
    });
    await initiator.send(login, initiator.command([0, 0, 0, 0, 0, 0]));
    expect(initiator.receive().map((pdu) => pdu.opcode)).toEqual([0x23, 0x21]);
    expect(world.target.statistics().others).toMatchObject({ commands: 1, totalMs: 0 });
  });

  test("tell what came, how long it took and how it ended", async () => {
    const world = bench({ device: new RamDevice(64) });
    const initiator = await new Initiator(world).ready();
    const start = world.target.statistics();
    // The power-on is reported: no failure of a command.
    expect(start).toMatchObject({ others: { commands: 1 }, failed: 0, depth: 0, deepest: 1 });
    world.device.held = true;
    await initiator.send(
      initiator.command(read10(0, 2), { read: 1024 }),
      initiator.command(write10(0, 1), { write: 512, data: pattern(512) }),
      initiator.command(read10(8, 1), { read: 512 }),
    );
    expect(world.target.statistics()).toMatchObject({ depth: 3, deepest: 3 });
    world.timers.advance(3);
    world.device.gates[0].open();
    await world.timers.turn();
    world.timers.advance(100);
    world.device.gates[1].open();
    world.device.gates[2].fail(Object.assign(new Error("bad"), { code: "disk.bad" }));
    await world.timers.turn();
    world.device.held = false;
    await initiator.send(initiator.command(read10(64, 1), { read: 512 }));
    const { units, reads, writes, ...rest } = world.target.statistics();
    expect(reads).toMatchObject({ commands: 2, totalMs: 106, longestMs: 103 });
    expect(writes).toMatchObject({ commands: 1, totalMs: 103 });
    expect([latencyOf(reads, 0.5), latencyOf(writes, 1)]).toEqual([4.096, 103]);
    // One past the end is no read: it has no plan of one.
    expect(rest).toMatchObject({
      depth: 0,
      deepest: 3,
      bytesRead: 1024,
      bytesWritten: 512,
      failed: 2,
      deviceErrors: 1,
    });
    expect(units).toMatchObject([{ lun: 0, reads: { commands: 2 }, failed: 2 }]);
  });

  test("are of each unit, and keep in their sum what removed ones have counted", async () => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    const device = new RamDevice(64);
    world.target.addLun({ lun: 3, device, identity });
    for (const lun of [0, 3]) await initiator.send(initiator.command([0, 0, 0, 0, 0, 0], { lun }));
    device.held = true;
    await initiator.send(initiator.command(read10(0, 1), { read: 512, lun: 3 }));
    await initiator.send(initiator.command(read10(0, 1), { read: 512, lun: 0 }));
    await initiator.send(build(0x02, { flags: 0x81, words: { 8: 3 << 16, 20: 0, 24: initiator.cmdSN++ } }));
    const before = world.target.statistics();
    expect(before.units.map(({ lun, reads, depth }) => [lun, reads.commands, depth])).toEqual([
      [0, 1, 0],
      [3, 0, 1],
    ]);
    const removed = world.target.removeLun(3);
    expect(world.target.statistics()).toMatchObject({ depth: 1, others: before.others });
    for (const gate of device.gates) gate.open();
    await world.timers.turn();
    await removed;
    expect(world.target.statistics()).toMatchObject({
      depth: 0,
      aborted: 1,
      reads: { commands: 1 },
      others: before.others,
    });
    expect(world.target.statistics().units.map(({ lun }) => lun)).toEqual([0]);
  });

  test("tell conflicts and full task sets from failures", async () => {
    const world = bench();
    const ada = await new Initiator(world).ready();
    const bob = await new Initiator(world, { name: "iqn.2026-11.dev.antipode:bob", isid: 1 }).ready();
    await ada.send(ada.command([0x16, 0, 0, 0, 0, 0]));
    await bob.send(bob.command(read10(0, 1), { read: 512 }));
    expect(world.target.statistics()).toMatchObject({ refused: 1, failed: 0, aborted: 0 });
  });
});
