/** Whatever an initiator sends, the target does not throw, stays within its bounds, and serves the next one. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { copyCdb, cscd, lid1List, lid4List, populateList, segment, writeUsingTokenList } from "./testing/copy.ts";
import { crc32c } from "./testing/crc32c.ts";
import {
  bench,
  build,
  concat,
  INITIATOR,
  Initiator,
  pattern,
  read10,
  TARGET,
  text,
  write10,
} from "./testing/initiator.ts";
import { cdb16 } from "./testing/scsi.ts";
import { RamDevice } from "./testing/world.ts";

const RUNS = 150;

const NAA = 0x3000000000000001n;
const COPY_LISTS: readonly Uint8Array[] = [
  lid1List(1, [cscd(NAA)], [segment({ blocks: 3, toLba: 2 })]),
  lid4List(1, [cscd(NAA)], [segment({ blocks: 200, toLba: 2 })], { immediate: true }),
  populateList([[3, 5]]),
  writeUsingTokenList(new Uint8Array(512).with(0, 0xff).with(1, 0xff).with(3, 1), [[9, 9]]),
];

const garbage = fc.uint8Array({ minLength: 1, maxLength: 400 });

/** PDUs that are sound in form and odd in content. */
const oddPdu = fc
  .record({
    opcode: fc.constantFrom(0x00, 0x01, 0x01, 0x01, 0x02, 0x03, 0x04, 0x05, 0x05, 0x06, 0x10, 0x1f, 0x25, 0x3f),
    immediate: fc.boolean(),
    flags: fc.nat(255),
    itt: fc.nat(6),
    lun: fc.constantFrom(0, 0, 0, 1 << 16, 0xc1010000, 0xffffffff),
    word20: fc.constantFrom(0, 1, 2, 32, 76, 108, 512, 552, 1024, 65536, 0xffffffff),
    cmdSN: fc.nat(8),
    word36: fc.nat(3),
    word40: fc.constantFrom(0, 512, 1024, 0xfffffff0),
    cdb: fc.oneof(
      fc.constantFrom(
        read10(0, 1),
        write10(1, 2),
        write10(0, 300),
        read10(0, 65535),
        [0x41, 0, 0, 0, 0, 0, 0, 0, 4, 0],
        [0x2e, 0x02, 0, 0, 0, 1, 0, 0, 2, 0],
        [0x2f, 0x06, 0, 0, 0, 1, 0, 0, 2, 0],
        [0x34, 0x02, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x48, 0x82, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x48, 0x21, 0, 0, 0, 0, 0, 0, 8, 0],
        cdb16(0x8b, 1, 2),
        cdb16(0x89, 1, 0).with(13, 1),
        cdb16(0x9c, 1, 2),
        cdb16(0x9e, 0, 255).with(1, 0x12),
        copyCdb(0x83, 0x00, 76),
        copyCdb(0x83, 0x01, 108),
        copyCdb(0x83, 0x10, 32, [0, 0, 0, 0, 0, 0, 0, 1]),
        copyCdb(0x83, 0x11, 552, [0, 0, 0, 0, 0, 0, 0, 1]),
        copyCdb(0x83, 0x1c, 0, [0, 0, 0, 1]),
        copyCdb(0x84, 0x07, 600, [0, 0, 0, 1]),
        [0x4d, 0, 0x59, 0, 0, 0, 0, 0, 255, 0],
        [0x15, 0x10, 0, 0, 24, 0],
        [0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0],
      ),
      fc.array(fc.nat(255), { minLength: 16, maxLength: 16 }),
    ),
    data: fc.oneof(
      fc.constantFrom(new Uint8Array(0), ...COPY_LISTS),
      fc.uint8Array({ maxLength: 1100 }),
      // A list that is sound but for some bytes.
      fc
        .record({ list: fc.constantFrom(...COPY_LISTS), at: fc.nat(600), value: fc.nat(255) })
        .map(({ list, at, value }) => list.with(at % list.length, value)),
    ),
  })
  .map(({ opcode, immediate, flags, itt, lun, word20, cmdSN, word36, word40, cdb, data }) =>
    build(opcode, {
      immediate,
      flags,
      itt,
      words: Object.fromEntries([
        [8, lun],
        [20, word20],
        [24, cmdSN],
        ...(opcode === 0x05
          ? [
              [36, word36],
              [40, word40],
            ]
          : []),
      ]),
      bytes: opcode === 0x01 ? { 32: cdb } : {},
      data,
    }),
  );

function split(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes.length === 0 ? bytes.length : sizes[turn % sizes.length];
    parts.push(bytes.slice(at, at + size));
    at += size;
  }
  return parts;
}

test("garbage in place of a login", async () => {
  const world = bench();
  await fc.assert(
    fc.asyncProperty(fc.array(garbage, { maxLength: 4 }), async (parts) => {
      const initiator = new Initiator(world);
      for (const part of parts) await initiator.send(part);
      initiator.connection.onClose();
    }),
    { numRuns: RUNS },
  );
  expect((await new Initiator(world).login()).header.getUint16(36)).toBe(0);
});

test("login PDUs with any text", async () => {
  const world = bench();
  await fc.assert(
    fc.asyncProperty(fc.nat(255), fc.uint8Array({ maxLength: 300 }), async (flags, noise) => {
      const initiator = new Initiator(world);
      const names = text(`InitiatorName=${INITIATOR}`, `TargetName=${TARGET}`);
      await initiator.send(build(0x03, { immediate: true, flags, data: concat(names, noise) }));
      const replies = initiator.receive();
      expect(replies.length === 1 || initiator.transport.closed !== "no").toBe(true);
      initiator.connection.onClose();
      await world.timers.turn();
    }),
    { numRuns: RUNS },
  );
});

test("odd PDUs in full feature phase, however they are split", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(oddPdu, { minLength: 1, maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 700 }), { maxLength: 4 }),
      fc.boolean(),
      async (pdus, sizes, held) => {
        const device = new RamDevice(256);
        device.atomicBlocksMax = 8;
        device.cacheBytes = 8192;
        device.overwritesInPlace = true;
        const world = bench({ device });
        const initiator = await new Initiator(world).ready("InitialR2T=No");
        world.device.held = held;
        for (const part of split(concat(...pdus), sizes)) {
          await initiator.send(part);
          for (const gate of world.device.gates.splice(0)) gate.open();
          await world.timers.turn();
        }
        initiator.receive();
        initiator.connection.onClose();
        for (const gate of world.device.gates.splice(0)) gate.open();
        await world.timers.turn();
        expect(world.server.sessions()).toEqual([]);
        world.device.held = false;
        const next = await new Initiator(world).ready();
        await next.send(next.command(read10(0, 1), { read: 512 }));
        expect(next.receive()[0].flags).toBe(0x81);
        next.connection.onClose();
        await world.server.close();
        expect(world.memory.outstanding).toBe(0);
      },
    ),
    { numRuns: RUNS },
  );
});

/** What may happen between PDUs of a session with several connections. */
const happening = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("pdu" as const), on: fc.nat(2), pdu: oddPdu }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("manage" as const),
      on: fc.nat(2),
      code: fc.integer({ min: 1, max: 13 }),
      tag: fc.nat(6),
      sn: fc.nat(4),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("snack" as const),
      on: fc.nat(2),
      type: fc.nat(3),
      tag: fc.nat(6),
      sn: fc.nat(9),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("lose" as const), on: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("join" as const), on: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("gates" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("time" as const), seconds: fc.nat(30) }) },
);

test("odd PDUs on several connections, which are lost and come again, at every error recovery level", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(happening, { minLength: 1, maxLength: 25 }),
      fc.constantFrom("0", "1", "2"),
      fc.boolean(),
      async (events, level, held) => {
        const world = bench();
        const open = () => {
          for (const gate of world.device.gates.splice(0)) gate.open();
        };
        const first = await new Initiator(world).ready(
          "InitialR2T=No",
          "MaxConnections=3",
          "iSCSIProtocolLevel=2",
          `ErrorRecoveryLevel=${level}`,
        );
        const connections = [first, first.beside(1), first.beside(2)];
        await connections[1].login();
        world.device.held = held;
        for (const event of events) {
          if (event.kind === "gates") open();
          else if (event.kind === "time") world.timers.advance(event.seconds * 1000);
          else {
            const on = connections[event.on];
            if (event.kind === "lose") on.connection.onClose();
            else if (event.kind === "join") {
              connections[event.on] = on.beside(event.on);
              await connections[event.on].login();
            } else if (event.kind === "pdu") await on.send(event.pdu);
            else if (event.kind === "snack") {
              const { type, tag, sn } = event;
              await on.send(build(0x10, { flags: 0x80 | type, itt: tag, words: { 20: 0xffffffff, 40: sn, 44: 0 } }));
            } else {
              const { code, tag, sn } = event;
              const words = { 20: tag, 24: on.cmdSN, 32: sn, 36: sn };
              await on.send(build(0x02, { immediate: true, flags: 0x80 | code, itt: 99, words }));
            }
          }
          await world.timers.turn();
        }
        for (const { connection } of connections) connection.onClose();
        world.timers.advance(100_000);
        while (world.device.gates.length > 0) {
          open();
          await world.timers.turn();
        }
        expect(world.server.heldSessions).toBe(0);
        world.device.held = false;
        const next = await new Initiator(world, { name: "iqn.next", isid: 5 }).ready();
        await next.send(next.command(read10(0, 1), { read: 512 }));
        expect(next.receive()[0].flags).toBe(0x81);
        next.connection.onClose();
        await world.server.close();
        expect(world.memory.outstanding).toBe(0);
      },
    ),
    { numRuns: RUNS },
  );
});

test("a valid stream cut short or with one byte changed", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(1300), fc.nat(255), fc.nat(1400), fc.boolean(), async (at, value, cut, digests) => {
      const world = bench({ crc32c });
      const initiator = new Initiator(world);
      await initiator.login(...(digests ? ["HeaderDigest=CRC32C", "DataDigest=CRC32C"] : []));
      if (digests) initiator.crc = crc32c;
      const pdus = [
        initiator.command([0, 0, 0, 0, 0, 0]),
        initiator.command(write10(0, 2), { write: 1024, data: pattern(1024) }),
        initiator.command(read10(0, 2), { read: 1024 }),
      ];
      const stream = concat(...pdus);
      // A longer length is believed until its digest is due, and that is still to come.
      const starts = [0, pdus[0].length, pdus[0].length + pdus[1].length];
      const inLengths = starts.some((start) => at % stream.length >= start + 4 && at % stream.length < start + 8);
      const changed = stream[at % stream.length] !== value;
      stream[at % stream.length] = value;
      await initiator.send(stream.subarray(0, cut));
      // With digests a changed byte that arrived whole is always found.
      if (digests && changed && !inLengths && cut >= stream.length) expect(initiator.transport.closed).toBe("aborted");
      initiator.connection.onClose();
      await world.timers.turn();
      expect(world.server.sessions()).toEqual([]);
    }),
    { numRuns: RUNS },
  );
});

test.each([0xffffff, 262145, 300_000])(
  "a data segment of %i bytes closes the connection at its header",
  async (length) => {
    const world = bench();
    const initiator = await new Initiator(world).ready();
    const pdu = build(0x00, { words: { 24: initiator.cmdSN } });
    new DataView(pdu.buffer).setUint32(4, length);
    await initiator.send(pdu);
    expect(initiator.transport.closed).toBe("aborted");
  },
);
