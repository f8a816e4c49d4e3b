/**
 * Memory stays bounded where a host writes faster than a site can take it: the host is slowed, and no write fails.
 * With ANTIPODE_LONG=1 at full size as well: 8 GiB with one remote site at 10 MB/s, a quarter of an hour.
 */

import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { ALL_IDENTICAL, GiB, MiB, PRIMARY, SITES, type SiteName, System } from "./harness.ts";
import { MemoryWatch } from "./memory-watch.ts";
import { DEPTH_MAX, NbdInitiator } from "./nbd-initiator.ts";
import { ThrottleProxy } from "./throttle-proxy.ts";

const RESIDENT_MAX = 600 * MiB;
const MB = 1_000_000;
const WRITE_BYTES = MiB;
/** SAN hosts give up on a command after 30 s or more. */
const LATENCY_MAX_MS = 20_000;
const MINUTE_MS = 60_000;

interface Scene {
  readonly slow: SiteName;
  /** The site that sends to the slow one. */
  readonly upstream: SiteName;
  readonly bytesPerSecond: number;
  readonly lunBytes: number;
  readonly journalBytes: number;
  readonly writtenBytes: number;
}

interface Outcome {
  readonly seconds: number;
  readonly slowestMs: number;
  /** The most that the relay point's journal held, as a share of it. */
  readonly relayFill: number;
}

let system: System | undefined;
let proxy: ThrottleProxy | undefined;
let host: NbdInitiator | undefined;

afterEach(async () => {
  await host?.close();
  await system?.close();
  proxy?.close();
  host = undefined;
  system = undefined;
  proxy = undefined;
});

async function play(scene: Scene): Promise<Outcome> {
  const { lunBytes, journalBytes, writtenBytes } = scene;
  const made = await System.create({ sizeBytes: lunBytes, journalBytes });
  system = made;
  const line = await ThrottleProxy.start(made.addressOf(scene.slow, scene.upstream), scene.bytesPerSecond);
  proxy = line;
  made.redirect(scene.upstream, scene.slow, line.address);
  await made.start();
  const initiator = await NbdInitiator.start(made.url, `${made.dir}/nbd`);
  host = initiator;
  const watch = new MemoryWatch(made);

  let next = 0;
  let slowestMs = 0;
  const writes = writtenBytes / WRITE_BYTES;
  const data = randomBytes(WRITE_BYTES);
  const worker = async () => {
    while (next < writes) {
      const at = next++;
      const part = Buffer.from(data);
      part.writeUInt32BE(at);
      const start = performance.now();
      await initiator.write((at * WRITE_BYTES) % lunBytes, part);
      slowestMs = Math.max(slowestMs, performance.now() - start);
    }
  };
  let relayFill = 0;
  let writing = true;
  const started = performance.now();
  const load = Promise.all(Array.from({ length: DEPTH_MAX }, worker)).finally(() => {
    writing = false;
  });
  load.catch(() => {});
  while (writing) {
    for (const site of made.sites.values()) site.assertSound();
    const { journal } = await made.site("relay-east").status();
    relayFill = Math.max(relayFill, journal.usedBytes / journal.capacityBytes);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  await load;
  const seconds = (performance.now() - started) / 1000;
  const { state } = await made.site(PRIMARY).status();
  expect(state).toBe("serving");
  expect(line.passed).toBeGreaterThan(writtenBytes / 2);

  // What is still on its way comes through the slow line as well.
  await made.settle(MINUTE_MS + ((journalBytes + 64 * MiB) / scene.bytesPerSecond) * 1000);
  const { verdicts } = await made.verify();
  expect(verdicts).toEqual(ALL_IDENTICAL);
  const peaks = watch.stop();
  console.log(
    `${writtenBytes / MiB} MiB in ${seconds.toFixed(1)} s, slowest write ${Math.round(slowestMs)} ms, peaks: ${watch}`,
  );
  expect(peaks.size).toBe(SITES.length);
  for (const [name, bytes] of peaks) expect(bytes, name).toBeLessThan(RESIDENT_MAX);
  expect(slowestMs).toBeLessThan(LATENCY_MAX_MS);
  return { seconds, slowestMs, relayFill };
}

describe("with a remote site on a slow line", () => {
  it("takes 1 GiB at the pace of that site, in bounded memory", { timeout: 4 * MINUTE_MS }, async () => {
    const bytesPerSecond = 40 * MB;
    const writtenBytes = GiB;
    const { seconds } = await play({
      slow: "springs",
      upstream: PRIMARY,
      bytesPerSecond,
      lunBytes: 512 * MiB,
      journalBytes: 256 * MiB,
      writtenBytes,
    });
    expect(seconds).toBeGreaterThan((0.9 * writtenBytes) / bytesPerSecond);
  });

  // Declared only where it is asked for: a quarter of an hour is too long for every run.
  if (process.env.ANTIPODE_LONG === "1") {
    it("takes 8 GiB at 10 MB/s, in bounded memory", { timeout: 40 * MINUTE_MS }, async () => {
      const bytesPerSecond = 10 * MB;
      const writtenBytes = 8 * GiB;
      const { seconds } = await play({
        slow: "boulder",
        upstream: PRIMARY,
        bytesPerSecond,
        lunBytes: GiB,
        journalBytes: 256 * MiB,
        writtenBytes,
      });
      expect(seconds).toBeGreaterThan((0.95 * writtenBytes) / bytesPerSecond);
    });
  }
});

describe("with the end of the relay leg on a slow line", () => {
  it("fills the relay point's journal, and then slows the host", { timeout: 4 * MINUTE_MS }, async () => {
    const bytesPerSecond = 15 * MB;
    const journalBytes = 96 * MiB;
    const writtenBytes = 448 * MiB;
    const { seconds, relayFill } = await play({
      slow: "boston",
      upstream: "relay-east",
      bytesPerSecond,
      lunBytes: 128 * MiB,
      journalBytes,
      writtenBytes,
    });
    expect(relayFill).toBeGreaterThan(0.8);
    // All but what the relay point's journal and the line's buffers took was written at the pace of the line.
    expect(seconds).toBeGreaterThan((writtenBytes - journalBytes - 32 * MiB) / bytesPerSecond);
  });
});
