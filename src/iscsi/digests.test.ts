/** Digests with every byte changed, and PDUs that have them cut at every byte: RFC 7143 sections 7.8 and 11.2.3. */

import { describe, expect, test } from "vitest";
import { crc32c } from "./testing/crc32c.ts";
import { bench, build, Initiator, opcodes, pattern, read10, responses, same, write10 } from "./testing/initiator.ts";
import { RamDevice } from "./testing/world.ts";

const HEADER_BYTES = 48;
const DIGEST_BYTES = 4;
/** Where the data of a PDU begins that has a header digest. */
const DATA_AT = HEADER_BYTES + DIGEST_BYTES;
/** Not a multiple of four, so that there is padding; a block, and a byte that is thrown away. */
const BYTES = 513;

async function open(...keys: readonly string[]) {
  const world = bench({ crc32c, device: new RamDevice(1024) });
  const initiator = new Initiator(world);
  await initiator.login("HeaderDigest=CRC32C", "DataDigest=CRC32C", ...keys);
  initiator.crc = crc32c;
  await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
  initiator.receive();
  return { world, initiator };
}

const write = (initiator: Initiator, lba = 0) =>
  initiator.command(write10(lba, 2), { write: BYTES, data: pattern(BYTES) });

const PDU_BYTES = DATA_AT + 516 + DIGEST_BYTES;
const everyByte = Array.from({ length: PDU_BYTES }, (_, at) => at);

/** What follows a PDU: where a length was changed the PDU has become longer, and is found wrong at its end. */
const following = (at: number, bytes = 70_000) => new Uint8Array(at >= 4 && at < 8 ? bytes : 0);

function changed(pdu: Uint8Array, at: number): Uint8Array {
  const copy = pdu.slice();
  copy[at] ^= 1 << (at % 8);
  return copy;
}

describe("a command with data", () => {
  test("of which any byte is changed, padding included, costs the connection, and does nothing", async () => {
    for (const at of everyByte) {
      const { world, initiator } = await open();
      const pdu = write(initiator);
      expect(pdu).toHaveLength(PDU_BYTES);
      await initiator.send(changed(pdu, at), following(at));
      expect([at, initiator.transport.closed]).toEqual([at, "aborted"]);
      expect([at, world.device.calls]).toEqual([at, []]);
    }
  });

  test("does so wherever it is cut", async () => {
    for (const cut of everyByte.slice(1)) {
      const { world, initiator } = await open();
      // The byte before the cut is wrong, or the one behind it: in turn.
      const at = cut - (cut % 2);
      const pdu = changed(write(initiator), at);
      await initiator.send(pdu.slice(0, cut));
      await initiator.send(pdu.slice(cut));
      await initiator.send(following(at));
      expect([cut, initiator.transport.closed, world.device.calls]).toEqual([cut, "aborted", []]);
    }
  });

  test("that is right is taken wherever it is cut", async () => {
    const { world, initiator } = await open();
    for (const cut of everyByte.slice(1)) {
      const pdu = write(initiator, cut);
      await initiator.send(pdu.slice(0, cut));
      expect(initiator.receive()).toEqual([]);
      await initiator.send(pdu.slice(cut));
      expect([cut, responses(initiator.receive())]).toEqual([cut, [[0x21, 0]]]);
    }
    expect(world.device.calls.filter((call) => call.startsWith("write"))).toHaveLength(PDU_BYTES - 1);
  });

  test("costs only itself at error recovery level 1, where the header is sound", async () => {
    const { world, initiator } = await open("ErrorRecoveryLevel=1");
    const pdu = write(initiator);
    for (const at of everyByte.slice(DATA_AT)) {
      await initiator.send(changed(pdu, at));
      expect([at, responses(initiator.receive())]).toEqual([at, [[0x3f, 2]]]);
    }
    for (const cut of everyByte.slice(1)) {
      const bad = changed(pdu, Math.max(cut, DATA_AT));
      await initiator.send(bad.slice(0, cut));
      await initiator.send(bad.slice(cut));
      expect([cut, responses(initiator.receive())]).toEqual([cut, [[0x3f, 2]]]);
    }
    expect(world.device.calls).toEqual([]);
    await initiator.send(pdu);
    expect(responses(initiator.receive())).toEqual([[0x21, 0]]);
  });

  test("costs the connection at that level too, where the header is not", async () => {
    for (const at of everyByte.slice(0, DATA_AT)) {
      const { world, initiator } = await open("ErrorRecoveryLevel=1");
      await initiator.send(changed(write(initiator), at), following(at));
      expect([at, initiator.transport.closed, world.device.calls]).toEqual([at, "aborted", []]);
    }
  });
});

describe("a large Data-Out, which goes straight into its buffer", () => {
  const LARGE = 8192 + 512;
  /** All of the header and its digest, the first and last bytes of the data, the data digest, and what lies between in steps. */
  const places = Array.from({ length: DATA_AT + LARGE + DIGEST_BYTES }, (_, at) => at).filter(
    (at) => at < DATA_AT + 4 || at >= DATA_AT + LARGE - 4 || at % 1021 === 0,
  );
  const begin = async (...keys: readonly string[]) => {
    const { world, initiator } = await open(...keys);
    const tag = initiator.itt;
    await initiator.send(initiator.command(write10(0, LARGE / 512), { write: LARGE }));
    const [r2t] = initiator.receive();
    const pdu = initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(LARGE), true);
    return { world, initiator, pdu, tag };
  };

  test.each([DATA_AT, DATA_AT + 1, 4000])(
    "cut at %i, of which any byte is changed, costs the connection, and writes nothing",
    async (cut) => {
      for (const at of places) {
        const { world, initiator, pdu } = await begin();
        const bad = changed(pdu, at);
        await initiator.send(bad.slice(0, cut));
        await initiator.send(bad.slice(cut), following(at, 300_000));
        expect([at, initiator.transport.closed, world.device.calls]).toEqual([at, "aborted", []]);
      }
    },
  );

  test("is taken wherever it is cut", async () => {
    for (const cut of places.slice(1)) {
      const { world, initiator, pdu } = await begin();
      await initiator.send(pdu.slice(0, cut));
      await initiator.send(pdu.slice(cut));
      expect([cut, responses(initiator.receive())]).toEqual([cut, [[0x21, 0]]]);
      expect(same(world.device.bytes.subarray(0, LARGE), pattern(LARGE))).toBe(true);
    }
  });

  test("is asked for again at error recovery level 1, wherever it is cut", async () => {
    for (const cut of places.slice(1)) {
      const { world, initiator, pdu, tag } = await begin("ErrorRecoveryLevel=1");
      const bad = changed(pdu, Math.max(cut, DATA_AT));
      await initiator.send(bad.slice(0, cut));
      await initiator.send(bad.slice(cut));
      const [reject, r2t] = initiator.receive();
      expect([cut, reject.opcode, r2t.opcode]).toEqual([cut, 0x3f, 0x31]);
      await initiator.send(initiator.dataOut(tag, r2t.header.getUint32(20), 0, 0, pattern(LARGE), true));
      expect(responses(initiator.receive())).toEqual([[0x21, 0]]);
      expect(same(world.device.bytes.subarray(0, LARGE), pattern(LARGE))).toBe(true);
    }
  });
});

test.each([
  ["HeaderDigest=CRC32C", { header: crc32c }, 8],
  ["DataDigest=CRC32C", { data: crc32c }, HEADER_BYTES],
])("%s alone is that digest alone", async (key, crc, place) => {
  const world = bench({ crc32c });
  const initiator = new Initiator(world);
  await initiator.login(key);
  const nop = (itt: number) =>
    build(0x00, { itt, words: { 20: 0xffffffff, 24: initiator.cmdSN++ }, data: pattern(5), crc });
  await initiator.send(nop(1), nop(2));
  const bytes = initiator.transport.take();
  // Two answers of a header, five bytes and padding, and one digest.
  expect(bytes).toHaveLength(2 * (HEADER_BYTES + 8 + DIGEST_BYTES));
  const bad = nop(3);
  bad[place] ^= 1;
  await initiator.send(bad);
  expect(initiator.transport.closed).toBe("aborted");
});

test("a PDU without data has no data digest", async () => {
  const { initiator } = await open();
  const pdu = initiator.command(read10(0, 1), { read: 512 });
  expect(pdu).toHaveLength(DATA_AT);
  await initiator.send(pdu);
  expect(opcodes(initiator.receive())).toEqual([0x25]);
});

test("a server refuses a checksum function that covers other bytes than it is asked to", () => {
  const whole = (bytes: Uint8Array, seed?: number) => crc32c(bytes, seed);
  expect(() => bench({ crc32c: whole })).toThrow("crc32c is not a CRC-32C");
});
