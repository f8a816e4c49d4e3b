/** The model must be able to say no: it is shown targets that lie in each of the ways that it is there to find. */

import { describe, expect, it } from "vitest";
import { until } from "./harness.ts";
import { type LoadTarget, StampedLoad } from "./stamped-load.ts";
import { SECTOR_BYTES } from "./stamps.ts";

const BYTES = 1024 * 1024;
const REQUESTS = 600;

class Memory implements LoadTarget {
  readonly content = new Uint8Array(BYTES);
  async read(offset: number, bytes: number): Promise<Uint8Array> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    return this.content.slice(offset, offset + bytes);
  }
  async write(offset: number, data: Uint8Array): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.content.set(data, offset);
  }
}

async function loaded(target: LoadTarget): Promise<StampedLoad> {
  const load = new StampedLoad(target, { bytes: BYTES, depth: 16, seed: 7 });
  load.start();
  await until("enough requests", 20_000, () => {
    load.assertSound();
    return load.acknowledgedWrites + load.completedReads > REQUESTS;
  });
  await load.stop();
  return load;
}

describe("the stamped load", () => {
  it("has nothing to say against memory", async () => {
    const memory = new Memory();
    const load = await loaded(memory);
    load.assertHolds(memory.content, "memory");
    load.assertHoldsAcknowledged(memory.content, "memory");
  });

  it("finds an acknowledged write that is not there", async () => {
    const memory = new Memory();
    const load = await loaded(memory);
    memory.content.fill(0, 0, SECTOR_BYTES);
    expect(() => load.assertHolds(memory.content, "memory")).toThrow(/sector 0 holds version 0/);
    expect(() => load.assertHoldsAcknowledged(memory.content, "memory")).toThrow(/sector 0 holds version 0/);
  });

  it("finds a copy that mixes two versions", async () => {
    const memory = new Memory();
    const load = await loaded(memory);
    memory.content[SECTOR_BYTES - 1] ^= 1;
    expect(() => load.assertHolds(memory.content, "memory")).toThrow(/sector 0 holds a mix/);
  });

  it("finds a read that returns an older acknowledged version", async () => {
    const memory = new Memory();
    const old = memory.content.slice();
    let writes = 0;
    const forgetful: LoadTarget = {
      read: (offset, bytes) => memory.read(offset, bytes),
      write: async (offset, data) => {
        await memory.write(offset, data);
        if (++writes === 200) memory.content.set(old);
      },
    };
    await expect(loaded(forgetful)).rejects.toThrow(/a read returned version 0/);
  });

  it("finds a read that takes back what another read returned", async () => {
    const memory = new Memory();
    let early = true;
    const premature: LoadTarget = {
      read: (offset, bytes) => memory.read(offset, bytes),
      // The write is there for reads, is gone again, and is acknowledged only later.
      write: async (offset, data) => {
        const before = memory.content.slice(offset, offset + data.length);
        if (early) {
          await memory.write(offset, data);
          await new Promise((resolve) => setTimeout(resolve, 5));
          memory.content.set(before, offset);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        await memory.write(offset, data);
      },
    };
    await expect(loaded(premature)).rejects.toThrow(/a read returned/);
    early = false;
    await expect(loaded(new Memory())).resolves.toBeDefined();
  });

  it("finds a write that went to the wrong place", async () => {
    const memory = new Memory();
    const astray: LoadTarget = {
      read: (offset, bytes) => memory.read(offset, bytes),
      write: (offset, data) => memory.write((offset + SECTOR_BYTES) % (BYTES - data.length), data),
    };
    await expect(loaded(astray)).rejects.toThrow(/a read returned/);
  });
});
