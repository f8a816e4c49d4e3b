/** Frames on the site link that are truncated, oversized or garbage, while the primary goes on feeding the site. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { beginHeader, FrameType, Header, sealHeader } from "../../src/link/frame.ts";
import { plainArithmetic } from "../../src/platform/plain-arithmetic.ts";
import { OpenSession } from "../conformance/initiator.ts";
import { GROUP, HOST, mirrorSite, put, urlOf, withLegs } from "../conformance/sites.ts";
import { freePorts, type Running, until, Workbench } from "../conformance/workbench.ts";
import { Dice, RawPeer } from "./raw.ts";
import { expectNoTrace } from "./refusal.ts";

const SEED = 20_261_123;
const BLOCKS = (8 * 1024 * 1024) / 4096;

let bench: Workbench;
let primary: Running;
let mirror: Running;
let linkPort: number;
let host: OpenSession;
let round = 0;

beforeAll(async () => {
  bench = new Workbench();
  const [port, other] = await freePorts(2);
  linkPort = other;
  mirror = await bench.serve(put(bench, mirrorSite({ name: "pueblo", port: linkPort }, "alone")));
  primary = await bench.serve(put(bench, withLegs({ port }, { pueblo: linkPort })));
  host = await OpenSession.open(bench, urlOf(port));
});
afterAll(() => bench.close());

/** A host's write is acknowledged, so the link between the sites is up. */
async function hostWorks(): Promise<void> {
  round++;
  const [pattern, place] = [round % 251, (round % 32) * 65_536];
  await host.command(`write -P ${pattern} ${place} 64k`);
  await host.command(`read -P ${pattern} ${place} 64k`);
  expect(mirror.running, mirror.text).toBe(true);
}

const connect = () => RawPeer.connect({ host: HOST, port: linkPort });

const GREETING = {
  versions: [1, 1],
  site: "alone",
  to: "pueblo",
  group: GROUP,
  session: "0123456789abcdef0123456789abcdef",
  channel: "control",
  heartbeat: 500,
  silence: 3000,
  volumes: [{ id: 0, name: "lun0", blocks: BLOCKS }],
};

interface FrameOptions {
  readonly payload?: string | Uint8Array;
  readonly payloadBytes?: number;
  readonly epoch?: number;
  readonly change?: (view: DataView) => void;
}

/** A frame as a site would send it, but for what the test changes before it is sealed. */
function frame(type: number, options: FrameOptions = {}): Buffer {
  const payload = Buffer.from(options.payload ?? "");
  const header = new Uint8Array(Header.size);
  const view = new DataView(header.buffer);
  beginHeader(view, 0, type as FrameType, options.epoch ?? 0, options.payloadBytes ?? payload.length);
  options.change?.(view);
  sealHeader(plainArithmetic, header, view, 0, plainArithmetic.crc32c(payload));
  return Buffer.concat([header, payload]);
}

const hello = (changes: object = {}, options: FrameOptions = {}) =>
  frame(FrameType.HELLO, { payload: JSON.stringify({ ...GREETING, ...changes }), epoch: 1, ...options });

/** @returns the refusal that came, if one did before the connection was closed */
async function refusal(bytes: Uint8Array): Promise<{ code: string; what: string; remedy: string } | undefined> {
  const peer = (await connect()).send(bytes);
  await peer.isClosed(10_000);
  const { received } = peer;
  if (received.length < Header.size) return undefined;
  expect(received[Header.type.offset]).toBe(FrameType.REFUSE);
  return JSON.parse(received.subarray(Header.size).toString("utf8"));
}

describe("the site link", () => {
  it.each([
    ["another protocol", Buffer.from("GET / HTTP/1.1\r\nHost: pueblo\r\n\r\n".padEnd(80))],
    ["garbage", new Dice(SEED).bytes(4096)],
    ["zeros", Buffer.alloc(4096)],
  ])("closes without a word at %s", async (_what, bytes) => {
    expect(await refusal(bytes)).toBeUndefined();
    await hostWorks();
  });

  it.each([
    ["a damaged header", "link.corrupt", damaged(hello(), 20)],
    ["a damaged payload", "link.corrupt", damaged(hello(), Header.size + 5)],
    ["a frame of another version", "link.version", hello({}, { change: (view) => Header.version.set(view, 0, 9) })],
    ["an unknown type of frame", "link.type", frame(99)],
    ["a frame that is too large", "link.oversized", frame(FrameType.HELLO, { payloadBytes: 0xffffffff })],
    ["a request before the greeting", "link.protocol", frame(FrameType.COMMIT)],
    ["a greeting that is no JSON", "link.protocol", frame(FrameType.HELLO, { payload: "{" })],
    ["a greeting without names", "link.protocol", hello({ site: 7 })],
    ["a site that speaks another version", "link.version", hello({ versions: [2, 3] })],
    ["a site of another group", "link.group", hello({ group: "other" })],
    ["a site that may not connect", "link.stranger", hello({ site: "mallory" })],
    ["a connection for another site", "link.site", hello({ to: "boston" })],
    ["other volumes", "link.volumes", hello({ volumes: [{ id: 0, name: "lun0", blocks: 1 }] })],
  ])("refuses %s as %s", async (_what, code, bytes) => {
    const told = await refusal(bytes);
    expect(told?.code, JSON.stringify(told)).toBe(code);
    expect(told?.what).toMatch(/^\S.*\.$/);
    expect(told?.remedy).not.toBe("");
    await hostWorks();
  });

  it("closes a connection that says nothing, and one that stops in the middle", async () => {
    const silent = await connect();
    const half = (await connect()).send(hello().subarray(0, 40));
    const payload = (await connect()).send(hello().subarray(0, Header.size + 10));
    await hostWorks();
    await Promise.all([silent, half, payload].map((peer) => peer.isClosed(30_000)));
    await hostWorks();
  });

  it(`takes no harm from frames that are fuzzed (seed ${SEED})`, async () => {
    const dice = new Dice(SEED);
    // Greetings of a site that may not connect: one of the primary's own would rightly take its place.
    const stranger = hello({ site: "mallory" });
    for (let batch = 0; batch < 10; batch++) {
      const peers = await Promise.all(Array.from({ length: 8 }, connect));
      for (const peer of peers) {
        for (let count = 1 + dice.roll(3); count > 0; count--) {
          const types = Object.values(FrameType);
          const type = types[dice.roll(types.length)];
          const valid =
            dice.roll(2) === 0
              ? stranger
              : frame(type, { payload: dice.bytes(dice.roll(300)), epoch: dice.roll(5), change: scramble(dice) });
          peer.send(dice.roll(3) === 0 ? damaged(valid, dice.roll(valid.length)) : valid);
        }
        if (dice.roll(2) === 0) peer.end();
      }
      await hostWorks();
      for (const peer of peers) peer.destroy();
    }
  });

  it("recovers by itself where somebody greets as the primary", async () => {
    const peers = await Promise.all(Array.from({ length: 4 }, connect));
    for (const peer of peers) peer.send(hello()).send(frame(FrameType.HEARTBEAT));
    await until(
      () => peers.every(({ received, closed }) => received.length > 0 || closed),
      () => "an answer to each",
    );
    for (const peer of peers) peer.destroy();
    await hostWorks();
  });
});

it("after all of which every site has the same, and stops in order", async () => {
  const verified = await bench.antipode("ctl", "--socket", bench.path("alone.sock"), "verify");
  expect(verified.code, verified.text).toBe(0);
  await host.close();
  expect(await primary.stop()).toBe(0);
  expect(await mirror.stop()).toBe(0);
  expectNoTrace(primary.text + mirror.text);
});

function damaged(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] ^= 0x40;
  return copy;
}

/** Changes flags, numbers and tag of a header that is sealed afterwards, so that its checksum is right. */
function scramble(dice: Dice): (view: DataView) => void {
  return (view) => {
    const fields = [Header.flags.offset, Header.epoch.offset, Header.numbers.offset, Header.tag.offset];
    for (let count = dice.roll(4); count > 0; count--) {
      view.setUint8(fields[dice.roll(fields.length)] + dice.roll(8), dice.roll(256));
    }
  };
}
