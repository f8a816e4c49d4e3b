/** Orderly ends and starts of whole systems, in any order, and what a primary says that waits for a leg. */

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ALL_IDENTICAL, MiB, PRIMARY, SITES, STORING, System, succeed } from "./harness.ts";
import { NbdInitiator } from "./nbd-initiator.ts";

const CHUNK = MiB;
const LUN_BYTES = 64 * MiB;

let system: System;
/** What the LUN holds, as far as it was written. */
const model = new Uint8Array(LUN_BYTES);

beforeAll(async () => {
  system = await System.create({ sizeBytes: LUN_BYTES, journalBytes: 64 * MiB });
  await system.start();
});
afterAll(() => system?.close());

/** Runs `body` with a host that is logged in. */
async function withHost(body: (host: NbdInitiator) => Promise<void>): Promise<void> {
  const host = await NbdInitiator.start(system.url, `${system.dir}/nbd`);
  try {
    await body(host);
  } finally {
    await host.close();
  }
}

async function write(host: NbdInitiator, chunks: readonly number[]): Promise<void> {
  const writes = chunks.map((chunk) => {
    const data = randomBytes(CHUNK);
    model.set(data, chunk * CHUNK);
    return host.write(chunk * CHUNK, data);
  });
  await Promise.all(writes);
}

async function readsBack(host: NbdInitiator): Promise<boolean> {
  return Buffer.compare(await host.read(0, 32 * MiB), model.subarray(0, 32 * MiB)) === 0;
}

describe("a system that is stopped and started", () => {
  it("has everything that was acknowledged right before, at every site", async () => {
    await withHost(async (host) => {
      await write(host, [0, 1, 2, 3, 10, 20]);
    });
    await system.stop();
    for (const name of STORING) {
      expect(Buffer.compare(readFileSync(await system.exportVolume(name)), model), name).toBe(0);
    }
    await system.start();
    await withHost(async (host) => {
      expect(await readsBack(host)).toBe(true);
    });
    expect((await system.verify()).verdicts).toEqual(ALL_IDENTICAL);
  });

  it("takes a new epoch at each start", async () => {
    const { epoch } = await system.site(PRIMARY).status();
    await system.stop();
    await system.start();
    expect((await system.site(PRIMARY).status()).epoch).toBe(epoch + 1);
  });

  it("comes up in the reverse order as well", async () => {
    await withHost((host) => write(host, [2, 5, 30]));
    await system.stop();
    await system.start([...SITES].reverse());
    await withHost(async (host) => {
      expect(await readsBack(host)).toBe(true);
    });
    expect((await system.verify()).verdicts).toEqual(ALL_IDENTICAL);
  });

  it("goes on where a host writes while the remote sites are stopped and started, one after the other", async () => {
    await withHost(async (host) => {
      for (const name of ["springs", "boulder", "pueblo", "relay-east", "boston"] as const) {
        await system.site(name).stop();
        const written = write(host, [7, 8]);
        written.catch(() => {});
        system.site(name).start();
        await written;
        await system.untilWhole();
      }
      expect(await readsBack(host)).toBe(true);
    });
    expect((await system.verify()).verdicts).toEqual(ALL_IDENTICAL);
  });
});

describe.each(["springs", "relay-east"] as const)("a primary that is started while %s is down", (name) => {
  it("says whom it waits for, does not serve, and serves when that site comes", async () => {
    await system.stop();
    for (const other of SITES) if (other !== name) system.site(other).start();
    const primary = system.site(PRIMARY);
    await primary.untilStatus(
      "says that it waits",
      60_000,
      ({ state, reason, target }) => state === "starting" && reason.includes(name) && target?.portals.length === 0,
    );
    // What it says does not depend on the moment at which it is asked: every further answer names the site as well.
    for (let asked = 0; asked < 10; asked++) {
      const { state, reason } = await primary.status();
      expect(`${state} ${reason}`).toMatch(new RegExp(`^starting .*${name}`));
    }
    await expect(succeed("iscsi-ls", [`iscsi://127.0.0.1:${system.port}`], 20_000)).rejects.toThrow();
    const verify = await system.ctl(["verify"]);
    expect(verify.code).not.toBe(0);
    expect(verify.stderr).toContain(name);

    system.site(name).start();
    await system.untilWhole();
    await withHost(async (host) => {
      expect(await readsBack(host)).toBe(true);
    });
  });
});
