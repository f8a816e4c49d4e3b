/**
 * Every site is killed and started again, over and over, while a host writes and reads. No acknowledged write may be
 * missing at any in-sync site, nor anywhere at the end; no read may return a mix or go back in time, and no request may fail.
 */

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ALL_IDENTICAL, MiB, SITES, STORING, System, until } from "./harness.ts";
import { DEPTH_MAX, NbdInitiator } from "./nbd-initiator.ts";
import { randomFrom, StampedLoad } from "./stamped-load.ts";

const KILLS = 20;
/** After those: rounds in which all sites are killed at once, and looked at one by one before they start again. */
const POWER_FAILURES = 3;
/** Each of these has acknowledged what the host was told of; the end of a relay leg may be behind. */
const IN_SYNC = STORING.filter((name) => name !== "boston");
/** For acknowledgements that were sent before their sender was killed. */
const ARRIVAL_MS = 200;
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

  async function lookAtEach(load: StampedLoad): Promise<void> {
    await pause(ARRIVAL_MS);
    for (const name of IN_SYNC) {
      load.assertHoldsAcknowledged(readFileSync(await system.exportVolume(name)), `${name} alone`);
    }
  }

  it(`loses nothing by ${KILLS} kills and ${POWER_FAILURES} power failures`, async () => {
    host = await NbdInitiator.start(system.url, `${system.dir}/nbd`);
    expect(host.bytes).toBe(LUN_BYTES);
    const load = new StampedLoad(host, { bytes: LOAD_BYTES, depth: DEPTH_MAX, seed: SEED });
    const random = randomFrom(SEED + 1);
    load.start();
    try {
      for (let round = 0; round < KILLS + POWER_FAILURES; round++) {
        const killed = round < KILLS ? [SITES[round % SITES.length]] : SITES;
        const before = load.acknowledgedWrites;
        await pause(random() * CALM_MS_MAX);
        await Promise.all(killed.map((name) => system.site(name).kill()));
        await pause(random() * DOWN_MS_MAX);
        if (killed === SITES) await lookAtEach(load);
        for (const name of killed) system.site(name).start();
        await system.untilServing();
        await until(`host writes go on after round ${round}, kill of ${killed}`, 60_000, () => {
          load.assertSound();
          return load.acknowledgedWrites >= before + WRITES_PER_ROUND || `${load.acknowledgedWrites - before} writes`;
        });
      }
      await load.stop();
    } catch (error) {
      throw new Error(`${error}\n${system.logs()}`, { cause: error });
    }
    console.log(`${load.acknowledgedWrites} writes, ${load.completedReads} reads`);

    await system.untilWhole();
    const { exitCode, verdicts } = await system.verify();
    expect(verdicts).toEqual(ALL_IDENTICAL);
    expect(exitCode).toBe(0);
    load.assertHolds(await host.read(0, LOAD_BYTES), "the LUN");
    await host.close();
    await system.stop();
    for (const name of STORING) load.assertHolds(readFileSync(await system.exportVolume(name)), name);
  });
});
