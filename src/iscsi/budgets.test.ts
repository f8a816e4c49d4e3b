/** The budgets of data on its way: what waits where one is used up, and that it goes on. */

import { expect, test } from "vitest";
import { IDLE_MILLIS, OUTPUT_PAUSE_BYTES } from "./limits.ts";
import { bench, build, concat, Initiator, opcodes, type Pdu, pattern, read10, write10 } from "./testing/initiator.ts";
import { RamDevice } from "./testing/world.ts";

const MiB = 1024 * 1024;
const STATUS = 3;
const OTHER = { name: "iqn.2026-11.test:other", isid: 0x80000001 };
/** Zeros that an R2T asks for. */
const dataFor = (host: Initiator, { header }: Pdu) => {
  const [itt, ttt, offset, length] = [16, 20, 40, 44].map((at) => header.getUint32(at));
  return host.dataOut(itt, ttt, 0, offset, new Uint8Array(length), true);
};
const joined = (pdus: readonly Pdu[]) => concat(...pdus.map((pdu) => pdu.data));

test("without a buffer no R2T is sent; it follows when one is free", async () => {
  const device = new RamDevice(65536);
  const world = bench({ device, writeBudget: 9 * 1048576 });
  const initiator = await new Initiator(world).ready();
  await initiator.send(...[0, 1, 2].map((at) => initiator.command(write10(at * 2048, 2048), { write: 1048576 })));
  const r2ts = initiator.receive();
  expect(new Set(r2ts.map((pdu) => pdu.header.getUint32(16)))).toEqual(new Set([2]));
  expect(world.server.sessions()[0].bytesHeld).toBe(1048576);
  await initiator.send(initiator.management(1, { 20: 2 }));
  const next = initiator.receive();
  expect(next.some((pdu) => pdu.opcode === 0x31 && pdu.header.getUint32(16) === 3)).toBe(true);
  expect(world.server.sessions()[0].bytesHeld).toBe(1048576);
});

test("unsolicited data beyond the budget gets TASK SET FULL", async () => {
  const world = bench({ writeBudget: 131072 });
  const initiator = await new Initiator(world).ready("InitialR2T=No");
  world.device.held = true;
  await initiator.send(
    ...Array.from({ length: 4 }, (_, at) =>
      initiator.command(write10(at, 128), { write: 65536, data: pattern(65536) }),
    ),
  );
  expect(initiator.receive().map((pdu) => pdu.header.getUint8(STATUS))).toEqual([0x28, 0x28]);
  for (const gate of world.device.gates) gate.open();
  await world.timers.turn();
  expect(initiator.receive().map((pdu) => pdu.header.getUint8(STATUS))).toEqual([0, 0]);
});

test("what is held for commands behind an ordered one does not keep that from its data", async () => {
  const world = bench({ writeBudget: 9 * 1048576 });
  const initiator = await new Initiator(world).ready();
  world.device.held = true;
  await initiator.send(
    initiator.command(read10(0, 1), { read: 512 }),
    initiator.command(write10(0, 2048), { write: 1048576, attribute: 2 }),
    initiator.command(write10(4096, 2048), { write: 1048576, data: pattern(65536) }),
  );
  expect(world.server.sessions()[0].bytesHeld).toBe(1048576);
  world.device.gates[0].open();
  await world.timers.turn();
  expect(opcodes(initiator.receive())).toEqual([0x25, 0x31]);
});

test("beyond what all sessions share, each goes on with one buffer at a time", async () => {
  const world = bench({ sharedBudget: 2 * 1048576 });
  const hosts = [await new Initiator(world).ready(), await new Initiator(world, OTHER).ready()];
  for (const host of hosts) {
    await host.send(...[0, 1, 2].map((at) => host.command(write10(at * 2048, 2048), { write: 1048576 })));
  }
  expect(world.server.sessions().map((session) => session.bytesHeld)).toEqual([2 * 1048576, 1048576]);
  for (const host of hosts) {
    let answered = 0;
    for (let pdus = host.receive(); answered < 3; pdus = host.receive()) {
      expect(pdus.length).toBeGreaterThan(0);
      answered += pdus.filter((pdu) => pdu.opcode === 0x21).length;
      for (const pdu of pdus) {
        if (pdu.opcode === 0x31) await host.send(dataFor(host, pdu));
      }
    }
  }
  expect(world.server.sessions().map((session) => session.bytesHeld)).toEqual([0, 0]);
});

test("a read beyond what all sessions share goes on with one buffer at a time as well", async () => {
  const world = bench({ sharedBudget: 1048576 });
  const initiator = await new Initiator(world).ready("MaxRecvDataSegmentLength=262144");
  world.device.held = true;
  await initiator.send(...[0, 1, 2].map((at) => initiator.command(read10(at * 2048, 2048), { read: 1048576 })));
  for (const at of [0, 1, 2]) {
    expect(world.device.gates.map((gate) => gate.lba)).toEqual([at * 2048]);
    world.device.gates.shift()?.open();
    await world.timers.turn();
    expect(joined(initiator.receive()).length).toBe(1048576);
  }
});

test("unsolicited data beyond twice what all sessions share gets TASK SET FULL, but for one command of each", async () => {
  const world = bench({ sharedBudget: 65536 });
  const hosts = [await new Initiator(world).ready(), await new Initiator(world, OTHER).ready()];
  world.device.held = true;
  const statuses: number[][] = [];
  for (const host of hosts) {
    await host.send(
      ...[0, 1, 2].map((at) => host.command(write10(at * 128, 128), { write: 65536, data: pattern(65536) })),
    );
    statuses.push(host.receive().map((pdu) => pdu.header.getUint8(STATUS)));
  }
  expect(statuses).toEqual([[0x28], [0x28, 0x28]]);
  for (const gate of world.device.gates) gate.open();
  await world.timers.turn();
  expect(hosts.map((host) => host.receive().length)).toEqual([2, 1]);
});

test.each([
  ["VERIFY", [0x8f, 0], 0],
  ["VERIFY with the data", [0x8f, 0x02], 1048576],
  ["WRITE SAME", [0x93, 0x01], 0],
])(
  "%s has 8 MiB of a unit at the most, however many sessions send it, and goes on",
  async (_, [opcode, flags], bytes) => {
    const world = bench({ sharedBudget: 1048576, device: new RamDevice(32768) });
    const hosts = [await new Initiator(world).ready(), await new Initiator(world, OTHER).ready()];
    const before = world.memory.outstanding;
    world.device.held = true;
    const cdb = [opcode, flags, ...[0, 0, 0, 0, 0, 0, 0, 0], ...[0, 0, 2048 >> 8, 0], 0, 0];
    for (const host of hosts) {
      await host.send(...Array.from({ length: 20 }, () => host.command(cdb, bytes > 0 ? { write: bytes } : {})));
    }
    expect(world.memory.outstanding - before).toBeLessThanOrEqual(8 * 1048576);
    const [first] = hosts;
    await first.send(first.management(1, { 20: first.itt - 1 }));
    let answered = 0;
    for (let turns = 0; answered < 40 && turns < 1000; turns++) {
      for (const gate of world.device.gates.splice(0)) gate.open();
      await world.timers.turn();
      for (const host of hosts) {
        for (const pdu of host.receive()) {
          if (pdu.opcode !== 0x31) answered++;
          else await host.send(dataFor(host, pdu));
        }
      }
    }
    expect(answered).toBe(40);
    expect(world.server.sessions().map(({ tasks, bytesHeld }) => [tasks, bytesHeld])).toEqual([
      [0, 0],
      [0, 0],
    ]);
  },
);

test("an initiator that takes no replies is read no more, and gets all of them later", async () => {
  const world = bench();
  const initiator = await new Initiator(world).ready("MaxRecvDataSegmentLength=262144");
  initiator.transport.capacity = 300_000;
  await initiator.send(...Array.from({ length: 20 }, (_, at) => initiator.command(read10(at, 1024), { read: 524288 })));
  expect(world.server.sessions()[0].outputBytesQueued).toBeLessThan(OUTPUT_PAUSE_BYTES);
  const echo = pattern(200_000);
  const pings = Array.from({ length: 40 }, (_, at) =>
    build(0x00, { itt: 9000 + at, words: { 20: 0xffffffff, 24: initiator.cmdSN++ }, data: echo }),
  );
  const pdus = initiator.receive();
  await initiator.send(...pings);
  expect(initiator.transport.paused).toBe(true);
  expect(world.server.sessions()[0].outputBytesQueued).toBeLessThan(OUTPUT_PAUSE_BYTES + 300_000);
  for (let count = 0; count < 1000 && pdus.filter((pdu) => pdu.opcode === 0x20).length < 40; count++)
    pdus.push(...(await initiator.drain()));
  initiator.transport.capacity = Number.POSITIVE_INFINITY;
  for (let count = 0; count < 100; count++) pdus.push(...(await initiator.drain()));
  expect(initiator.transport.paused).toBe(false);
  expect(pdus.filter((pdu) => pdu.opcode === 0x20).length).toBe(40);
  expect(pdus.filter((pdu) => pdu.opcode === 0x25 && (pdu.flags & 1) === 1).length).toBe(20);
  expect(pdus.reduce((sum, pdu) => sum + (pdu.opcode === 0x25 ? pdu.data.length : 0), 0)).toBe(20 * 524288);
});

test("an idle server gives back what it keeps for reuse, and leaves what is in use", async () => {
  const world = bench();
  const { memory, device, timers } = world;
  const names = ["a", "b", "c"].map((name) => `iqn.2026-11.test:${name}`);
  const hosts = await Promise.all(names.map((name) => new Initiator(world, { ...OTHER, name }).ready()));
  device.held = true;
  for (const host of hosts) {
    await host.send(...Array.from({ length: 8 }, () => host.command(read10(0, 2048), { read: MiB })));
  }
  const [last, ...others] = device.gates;
  for (const gate of others) gate.open();
  await timers.turn();
  expect(memory.outstanding).toBeGreaterThanOrEqual(24 * MiB);
  // It looks again for as long as something came since it looked last.
  timers.advance(IDLE_MILLIS);
  timers.advance(IDLE_MILLIS);
  expect([memory.outstanding, memory.idles]).toEqual([MiB, 1]);
  last.open();
  await timers.turn();
  expect(hosts.map((host) => joined(host.receive()).length)).toEqual([8 * MiB, 8 * MiB, 8 * MiB]);
});

test("a server that closes under its sessions keeps nothing, whenever their connections end", async () => {
  const world = bench();
  const initiator = await new Initiator(world).ready();
  await initiator.send(initiator.command(read10(0, 128), { read: 65536 }));
  const closed = world.server.close();
  await world.timers.turn();
  await closed;
  expect(initiator.transport.closed).toBe("closed");
  initiator.connection.onClose();
  expect(world.memory.outstanding).toBe(0);
});
