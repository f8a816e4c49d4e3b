/** iSCSI PDUs that are truncated, oversized or garbage, while a host works in a session of its own. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OpenSession } from "../conformance/initiator.ts";
import { alone, HOST, IQN, put, urlOf } from "../conformance/sites.ts";
import { freePorts, type Running, until, Workbench } from "../conformance/workbench.ts";
import { Dice, RawPeer } from "./raw.ts";
import { expectNoTrace } from "./refusal.ts";

const SEED = 20_261_122;
const BHS_BYTES = 48;
const INITIATOR = "iqn.2026-11.test:raw";
/** What is fuzzed may write: only here. The host's data is in LUN 0. */
const FUZZED_LUN = 1;

const Opcode = { nop: 0x00, command: 0x01, task: 0x02, login: 0x03, text: 0x04, dataOut: 0x05, logout: 0x06 } as const;
const Reply = { reject: 0x3f, login: 0x23, nop: 0x20, response: 0x21 } as const;
const LOGIN_STATUS_AT = 36;

let bench: Workbench;
let site: Running;
let port: number;
let host: OpenSession;
/** How many times the host has written and read; each time something else. */
let round = 0;

beforeAll(async () => {
  bench = new Workbench();
  [port] = await freePorts(1);
  site = await bench.serve(put(bench, alone({ port, volumes: 2 })));
  host = await OpenSession.open(bench, urlOf(port));
  await host.command("write -P 0xaa 4M 4M");
});
afterAll(() => bench.close());

async function hostWorks(): Promise<void> {
  round++;
  const [pattern, place] = [round % 251, (round % 32) * 65_536];
  await host.command(`write -P ${pattern} ${place} 64k`);
  await host.command(`read -P ${pattern} ${place} 64k`);
  expect(site.running, site.text).toBe(true);
}

const connect = () => RawPeer.connect({ host: HOST, port });

interface PduOptions {
  readonly opcode: number;
  readonly flags?: number;
  readonly lun?: number;
  readonly data?: Uint8Array;
  /** What the header says that the data is long. */
  readonly dataBytes?: number;
  readonly ahsWords?: number;
  readonly cmdSn?: number;
  readonly fields?: (header: Buffer) => void;
}

function pdu(options: PduOptions): Buffer {
  const { opcode, flags = 0x80, lun = 0, data = Buffer.alloc(0), ahsWords = 0, cmdSn = 1 } = options;
  const header = Buffer.alloc(BHS_BYTES);
  header[0] = opcode;
  header[1] = flags;
  header[4] = ahsWords;
  header.writeUIntBE(options.dataBytes ?? data.length, 5, 3);
  header[9] = lun;
  header.writeUInt32BE(7, 16);
  header.writeUInt32BE(cmdSn, 24);
  options.fields?.(header);
  return Buffer.concat([header, data, Buffer.alloc(-data.length & 3)]);
}

function login(keys: Readonly<Record<string, string>>, changes: Partial<PduOptions> = {}): Buffer {
  const data = Buffer.from(
    Object.entries(keys)
      .map(([key, value]) => `${key}=${value}\0`)
      .join(""),
  );
  return pdu({ opcode: 0x40 | Opcode.login, flags: 0x87, data, ...changes });
}

const KEYS = { InitiatorName: INITIATOR, SessionType: "Normal", TargetName: IQN };

/** A session of its own in full feature phase. */
async function loggedIn(dice?: Dice): Promise<RawPeer> {
  const peer = await connect();
  const isid = dice === undefined ? Buffer.from([0x80, 0, 0, 1, 2, 3]) : dice.bytes(6);
  peer.send(login(KEYS, { fields: (header) => isid.copy(header, 8) }));
  const reply = await peer.has(BHS_BYTES);
  expect(reply[0]).toBe(Reply.login);
  expect(reply.readUInt16BE(LOGIN_STATUS_AT)).toBe(0);
  return peer;
}

/** Waits until the reply behind the login's has come. @returns its opcode */
async function nextReply(peer: RawPeer): Promise<number> {
  const first = peer.received.readUIntBE(5, 3);
  const at = BHS_BYTES + first + (-first & 3);
  await peer.has(at + BHS_BYTES);
  return peer.received[at] & 0x3f;
}

describe("before login", () => {
  it.each([
    ["nothing but a few bytes", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["half a header", login(KEYS).subarray(0, 20)],
    ["a header whose data does not come", login(KEYS).subarray(0, BHS_BYTES)],
  ])("%s, and then the end, closes the connection", async (_what, bytes) => {
    const peer = (await connect()).send(bytes).end();
    await peer.isClosed();
    await hostWorks();
  });

  it.each([
    ["garbage", new Dice(1).bytes(4096)],
    ["a segment of 16 MiB", login(KEYS, { dataBytes: 0xffffff })],
    ["a segment of more than 8 KiB", login(KEYS, { data: Buffer.alloc(12_000, 65) })],
    ["a command", pdu({ opcode: Opcode.command, flags: 0xc0 })],
    ["a reply", pdu({ opcode: Reply.login })],
    ["additional headers that never end", login(KEYS, { ahsWords: 255, dataBytes: 0xffffff })],
  ])("%s closes the connection", async (_what, bytes) => {
    const peer = (await connect()).send(bytes);
    await peer.isClosed(10_000);
    await hostWorks();
  });

  it.each([
    ["no initiator's name", login({ TargetName: IQN }), 0x0207],
    ["no target's name", login({ InitiatorName: INITIATOR }), 0x0207],
    ["an unknown target", login({ ...KEYS, TargetName: `${IQN}x` }), 0x0203],
    ["a session that there is not", login(KEYS, { fields: (header) => header.writeUInt16BE(77, 14) }), 0x020a],
    ["another version", login(KEYS, { fields: (header) => header.fill(9, 2, 4) }), 0x0205],
    ["a kind of session that there is not", login({ ...KEYS, SessionType: "Other" }), 0x0209],
    ["an authentication that there is not", login({ ...KEYS, AuthMethod: "CHAP" }, { flags: 0x81 }), 0x0201],
    ["stages out of order", login(KEYS, { flags: 0x84 }), 0x0200],
    ["text that is none", pdu({ opcode: 0x43, flags: 0x87, data: Buffer.from("=\0=\0\0\xff") }), 0x0200],
    ["a key that comes twice", login({ ...KEYS, "MaxBurstLength=65536\0MaxBurstLength": "65536" }), 0x0200],
  ])("%s is refused with the status of RFC 7143", async (_what, bytes, status) => {
    const peer = (await connect()).send(bytes);
    const reply = await peer.has(BHS_BYTES);
    expect(reply[0]).toBe(Reply.login);
    expect(reply.readUInt16BE(LOGIN_STATUS_AT).toString(16)).toBe(status.toString(16));
    await peer.isClosed();
    await hostWorks();
  });

  it("an initiator that says nothing is closed in the end, and one that says little too", {
    timeout: 60_000,
  }, async () => {
    const silent = await connect();
    const slow = (await connect()).send(login(KEYS).subarray(0, 50));
    await hostWorks();
    await Promise.all([silent.isClosed(), slow.isClosed()]);
    await hostWorks();
  });
});

describe("in a session", () => {
  it.each([
    ["an opcode that there is not", pdu({ opcode: 0x1c })],
    ["a SNACK", pdu({ opcode: 0x10 })],
    ["a login", login(KEYS)],
  ])("%s is rejected or closes it", async (_what, bytes) => {
    const peer = (await loggedIn()).send(bytes);
    await until(
      () => peer.closed || peer.received.length > 2 * BHS_BYTES,
      () => "an answer",
    );
    if (!peer.closed) expect(await nextReply(peer)).toBe(Reply.reject);
    peer.destroy();
    await hostWorks();
  });

  it.each([
    ["a segment of 16 MiB", pdu({ opcode: Opcode.command, flags: 0xa0, lun: FUZZED_LUN, dataBytes: 0xffffff })],
    ["a command that leaves a gap", pdu({ opcode: Opcode.command, flags: 0x80, lun: FUZZED_LUN, cmdSn: 5 })],
    ["garbage", Buffer.concat([new Dice(2).bytes(8), Buffer.alloc(4, 0xff), new Dice(3).bytes(4000)])],
  ])("%s closes it", async (_what, bytes) => {
    const peer = (await loggedIn()).send(bytes);
    await peer.isClosed(10_000);
    await hostWorks();
  });

  it("a write whose data never comes in full is dropped with its connection, and changes nothing", async () => {
    const write = pdu({
      opcode: Opcode.command,
      flags: 0xa0,
      data: Buffer.alloc(1024, 0xee),
      fields: (header) => {
        header.writeUInt32BE(65_536, 20);
        header[32] = 0x2a;
        header.writeUInt32BE((4 * 1024 * 1024) / 512, 34);
        header.writeUInt16BE(128, 39);
      },
    });
    const peer = (await loggedIn()).send(write.subarray(0, write.length - 300));
    await hostWorks();
    peer.destroy();
    await host.command("read -P 0xaa 4M 4M");
  });

  it("data that nobody asked for, as of an aborted command, is dropped", async () => {
    const ping = pdu({ opcode: 0x40 | Opcode.nop, fields: (header) => header.fill(0xff, 20, 24) });
    const peer = await loggedIn();
    peer.send(pdu({ opcode: Opcode.dataOut, data: Buffer.alloc(512, 0xee) })).send(ping);
    expect(await nextReply(peer)).toBe(Reply.nop);
    peer.destroy();
    await host.command("read -P 0xaa 4M 4M");
  });

  it("a command that the target does not know is answered", async () => {
    const unknown = pdu({ opcode: Opcode.command, flags: 0xc0, fields: (header) => header.fill(0xff, 32, 48) });
    const peer = (await loggedIn()).send(unknown);
    expect(await nextReply(peer)).toBe(Reply.response);
    peer.destroy();
  });
});

describe("fuzzed", () => {
  /** Changes some bytes of the header, and now and then all of it. */
  function mutate(dice: Dice, bytes: Buffer): Buffer {
    const changed = Buffer.from(bytes);
    const faults = dice.roll(10) === 0 ? BHS_BYTES : 1 + dice.roll(4);
    for (let fault = 0; fault < faults; fault++) changed[dice.roll(Math.min(64, changed.length))] = dice.roll(256);
    const opcode = changed[0] & 0x3f;
    if (opcode === Opcode.command || opcode === Opcode.dataOut || opcode === Opcode.task) {
      changed.fill(0, 8, 16);
      changed[9] = FUZZED_LUN;
    }
    return dice.roll(8) === 0 ? changed.subarray(0, dice.roll(changed.length)) : changed;
  }

  it(`logins do no harm (seed ${SEED})`, async () => {
    const dice = new Dice(SEED);
    for (let batch = 0; batch < 10; batch++) {
      const peers = await Promise.all(Array.from({ length: 20 }, connect));
      for (const peer of peers) {
        peer.send(mutate(dice, login(KEYS, { fields: (header) => dice.bytes(6).copy(header, 8) })));
        if (dice.roll(2) === 0) peer.send(mutate(dice, login({ MaxBurstLength: "512" }))).end();
      }
      await hostWorks();
      for (const peer of peers) peer.destroy();
    }
  });

  it(`sessions do no harm (seed ${SEED})`, async () => {
    const dice = new Dice(SEED + 1);
    const opcodes = Object.values(Opcode);
    /** CDBs of all kinds: reads, writes, unmaps, verifies, mode selects and what the target does not know. */
    const operations = [
      ...[0x00, 0x12, 0x15, 0x1b, 0x1e, 0x25, 0x28, 0x2a, 0x2e, 0x2f, 0x34, 0x35, 0x37, 0x41, 0x42, 0x48, 0x55],
      ...[0x88, 0x89, 0x8a, 0x8b, 0x8e, 0x90, 0x93, 0x9c, 0x9e, 0xae, 0xb7],
    ];
    for (let batch = 0; batch < 15; batch++) {
      const peers = await Promise.all(Array.from({ length: 12 }, () => loggedIn(dice)));
      for (const peer of peers) {
        for (let cmdSn = 1; cmdSn <= 6; cmdSn++) {
          const valid = pdu({
            opcode: opcodes[dice.roll(opcodes.length)],
            flags: 0x80 | (dice.roll(4) << 5),
            lun: FUZZED_LUN,
            data: Buffer.alloc([0, 0, 24, 512, 4096][dice.roll(5)], dice.roll(256)),
            cmdSn,
            fields: (header) => {
              header.writeUInt32BE(512 << dice.roll(8), 20);
              header[32] = operations[dice.roll(operations.length)];
              header.writeUInt32BE(dice.roll(20_000), 34);
              header.writeUInt16BE(dice.roll(300), 39);
            },
          });
          peer.send(dice.roll(3) === 0 ? mutate(dice, valid) : valid);
        }
        if (dice.roll(2) === 0) peer.end();
      }
      await hostWorks();
      for (const peer of peers) peer.destroy();
    }
  });
});

it("after all of which the site has the host's session alone, its data, and stops in order", async () => {
  const sessions = async () => {
    const { stdout } = await bench.antipode("ctl", "--json", "--dir", ".", "show", "sessions");
    return (JSON.parse(stdout) as { sessions: unknown[] }).sessions.length;
  };
  await until(
    async () => (await sessions()) === 1,
    () => "the sessions of the tests to be gone",
  );
  await host.command("read -P 0xaa 4M 4M");
  await host.close();
  expect(await site.stop()).toBe(0);
  expectNoTrace(site.text);
});
