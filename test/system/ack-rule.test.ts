/** Whom a host's write waits for: every leg's first site, and nobody behind it. Sites are frozen, not ended. */

import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ALL_IDENTICAL, forwardTo, MiB, PRIMARY, type SiteName, System, until } from "./harness.ts";
import { NbdInitiator } from "./nbd-initiator.ts";

const BLOCK = 4096;
/** The links' defaults: a heartbeat each half second, lost after 3 s of silence. */
const HEARTBEAT_MS = 500;
const SILENCE_MS = 3000;
const WRITES = 8;
const PART = 256 * 1024;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

let system: System;
let host: NbdInitiator;
let frozen: SiteName | undefined;

function freeze(name: SiteName): void {
  system.site(name).signal("SIGSTOP");
  frozen = name;
}

function thaw(): void {
  if (frozen !== undefined) system.site(frozen).signal("SIGCONT");
  frozen = undefined;
}

beforeAll(async () => {
  system = await System.create({ sizeBytes: 64 * MiB, journalBytes: 64 * MiB });
  await system.start();
  host = await NbdInitiator.start(system.url, `${system.dir}/nbd`);
});
afterAll(async () => {
  await host?.close();
  await system?.close();
});
afterEach(async () => {
  thaw();
  await system.untilWhole();
});

const DEADLINE_MS = 90_000;

describe.each(["springs", "boulder", "pueblo", "relay-east"] as const)(
  "with %s frozen",
  { timeout: DEADLINE_MS },
  (name) => {
    it("host writes wait, the status says for whom, and they finish when the site goes on", async () => {
      await host.write(0, content(1));
      await host.write(PART, content(99));
      freeze(name);
      let completed = 0;
      const writes = Array.from({ length: WRITES }, async (_, at) => {
        await host.write(at * BLOCK, content(at + 2));
        completed++;
      });
      const all = Promise.all(writes);
      all.catch(() => {});
      let doubtful: Uint8Array | undefined;
      const reading = host.read(0, BLOCK).then((data) => {
        doubtful = data;
      });
      reading.catch(() => {});
      await system
        .site(PRIMARY)
        .untilStatus("says that it is suspended", SILENCE_MS + 30_000, ({ state, reason, hostWrites }) => {
          const waits = hostWrites !== undefined && hostWrites.unacknowledged + hostWrites.waiting >= WRITES;
          return state === "suspended" && new RegExp(`host writes wait for ${name}: \\S+`).test(reason) && waits;
        });
      await connectAndReset(system.addressOf(name, PRIMARY));
      await pause(4 * HEARTBEAT_MS);
      expect(completed).toBe(0);
      // What is not acknowledged is not read either: a restart might take it back. Other blocks are.
      expect(doubtful).toBeUndefined();
      expect(await host.read(PART, BLOCK)).toEqual(Buffer.from(content(99)));
      const { stdout } = await system.ctl(["show", "status"]);
      expect(stdout).toMatch(new RegExp(`SUSPENDED: host writes wait for ${name}: \\S+`));

      thaw();
      await until("the writes finish", 60_000, () => completed === WRITES || `${completed} of ${WRITES}`);
      await all;
      await reading;
      expect(doubtful).toEqual(Buffer.from(content(2)));
      expect(await host.read(0, BLOCK)).toEqual(Buffer.from(content(2)));
      await system.untilWhole();
      expect((await system.verify()).verdicts).toEqual(ALL_IDENTICAL);
    });
  },
);

describe("with the end of the relay leg frozen", { timeout: DEADLINE_MS }, () => {
  it("host writes go on into the relay point's journal, which drains when the end goes on", async () => {
    const relay = system.site("relay-east");
    await system.settle();
    expect((await relay.status()).journal.usedBytes).toBe(0);
    freeze("boston");
    const parts = 64;
    for (let at = 0; at < parts; at++) await host.write(at * PART, new Uint8Array(PART).fill(at + 1));
    await relay.untilStatus(
      "says that its next site is lost",
      SILENCE_MS + 30_000,
      (status) => forwardTo(status, "boston").state !== "streaming",
    );
    for (let at = 0; at < parts; at++) await host.write((parts + at) * PART, new Uint8Array(PART).fill(at + 1));

    const { journal, forwards } = await relay.status();
    expect(journal.usedBytes).toBeGreaterThanOrEqual(2 * parts * PART);
    expect(forwards[0].behindEnd).toBeGreaterThanOrEqual(2 * parts);
    const primary = await system.site(PRIMARY).status();
    expect(primary.state).toBe("serving");
    expect(forwardTo(primary, "relay-east").behindHop).toBe(0);
    expect(forwardTo(primary, "relay-east").behindEnd).toBeGreaterThanOrEqual(2 * parts);

    // People can ask about the system although one site of it does not answer.
    const asked = await system.ctl(["show", "mirror"], 30_000);
    expect(asked.stderr).toBe("");
    expect(asked.stdout).toMatch(/relay-east > boston: streaming/);
    const verified = await system.verify();
    expect(verified.exitCode).toBe(4);
    expect(verified.verdicts).toEqual(new Map([...ALL_IDENTICAL, ["boston", "unknown"]]));

    thaw();
    await relay.untilStatus(
      "has drained",
      60_000,
      (status) => status.journal.usedBytes === 0 && status.journal.retired === status.journal.appended,
    );
    expect(forwardTo(await system.site(PRIMARY).status(), "relay-east").state).toBe("streaming");
    expect((await system.verify()).verdicts).toEqual(ALL_IDENTICAL);
  });
});

/** A connection that is over before a frozen site can accept it, as those of a sender that gave up in the meantime. */
async function connectAndReset(address: string): Promise<void> {
  const [hostname, port] = address.split(":");
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) });
    socket.once("error", reject);
    socket.once("connect", () => socket.resetAndDestroy());
    socket.once("close", () => resolve());
  });
}

function content(value: number): Uint8Array {
  return new Uint8Array(BLOCK).fill(value);
}
