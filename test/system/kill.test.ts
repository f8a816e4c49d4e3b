/**
 * Every site is killed and started again, over and over, while a host writes and reads. No acknowledged write may be
 * missing anywhere at the end, no read may return a mix or go back in time, and no request may fail.
 */

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ALL_IDENTICAL, MiB, SITES, STORING, System, until } from "./harness.ts";
import { DEPTH_MAX, NbdInitiator } from "./nbd-initiator.ts";
import { randomFrom, StampedLoad } from "./stamped-load.ts";

const KILLS = 20;
const LUN_BYTES = 64 * MiB;
const LOAD_BYTES = 16 * MiB;
/** Between the system being whole again and the next kill. */
const CALM_MS_MAX = 1200;
const DOWN_MS_MAX = 1500;
/** Acknowledged writes that each round has to bring: the host must go on. */
const WRITES_PER_ROUND = 20;
const SEED = Number(process.env.ANTIPODE_SEED ?? Math.floor(Math.random() * 2 ** 31));

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

describe(`sites killed under load (ANTIPODE_SEED=${SEED})`, () => {
  let system: System;
  let host: NbdInitiator | undefined;

  beforeAll(async () => {
    system = await System.create({ sizeBytes: LUN_BYTES, journalBytes: 64 * MiB });
    await system.start();
  });
  afterAll(async () => {
    await host?.close();
    await system?.close();
  });

  it(`loses nothing by ${KILLS} kills`, async () => {
    host = await NbdInitiator.start(system.url, `${system.dir}/nbd`);
    expect(host.bytes).toBe(LUN_BYTES);
    const load = new StampedLoad(host, { bytes: LOAD_BYTES, depth: DEPTH_MAX, seed: SEED });
    const random = randomFrom(SEED + 1);
    load.start();
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        const site = system.site(SITES[kill % SITES.length]);
        const before = load.acknowledgedWrites;
        await pause(random() * CALM_MS_MAX);
        await site.kill();
        await pause(random() * DOWN_MS_MAX);
        site.start();
        await system.untilServing();
        await until(`host writes go on after kill ${kill} of ${site.name}`, 60_000, () => {
          load.assertSound();
          return load.acknowledgedWrites >= before + WRITES_PER_ROUND || `${load.acknowledgedWrites - before} writes`;
        });
      }
      await load.stop();
    } catch (error) {
      throw new Error(`${error}\n${system.logs()}`, { cause: error });
    }
    console.log(`${load.acknowledgedWrites} writes, ${load.completedReads} reads, ${KILLS} kills`);

    const { exitCode, verdicts } = await system.verify();
    expect(verdicts).toEqual(ALL_IDENTICAL);
    expect(exitCode).toBe(0);
    load.assertHolds(await host.read(0, LOAD_BYTES), "the LUN");
    await host.close();
    await system.stop();
    for (const name of STORING) load.assertHolds(readFileSync(await system.exportVolume(name)), name);
  });
});
