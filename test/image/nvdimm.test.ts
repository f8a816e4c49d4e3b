/**
 * Persistent memory as the journal: an appliance without legs, so that nothing but its own journal has what a host was told
 * is done. Its power is cut under load; after the next boot all that was acknowledged is there.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { freePorts, until, Workbench } from "../conformance/workbench.ts";
import { DEPTH_MAX, NbdInitiator } from "../system/nbd-initiator.ts";
import { StampedLoad } from "../system/stamped-load.ts";
import { Appliance, configure, emptyDrive, nvdimm } from "./appliance.ts";
import { BUILD_DEADLINE_MS, type BuiltImage, builtImage, flash } from "./built-image.ts";

const MiB = 2 ** 20;
const NVDIMM_BYTES = 64 * MiB;
const LOAD_BYTES = 16 * MiB;
/** Acknowledged before the power is cut. */
const WRITES = 1000;
/** What QEMU is told of the appliance's drive, so that it lags behind the journal. */
const SLOW = ",throttling.iops-write=50";
const LOAD_DEADLINE_MS = 120_000;
const IQN = "iqn.2026-11.dev.antipode:nvdimm";
const SEED = Number(process.env.ANTIPODE_SEED ?? Math.floor(Math.random() * 2 ** 31));

const CONFIG = stringify({
  site: { name: "denver" },
  group: "nvdimm",
  role: "primary",
  drives: ["/dev/disk/by-id/virtio-a"],
  arrays: { main: { level: 1, drives: [0] } },
  volumes: { vm: { array: "main", size: "64MiB", lun: 0 } },
  journal: { device: "/dev/pmem0" },
  target: { iqn: IQN, listen: ["0.0.0.0:3260"] },
  network: { interfaces: { eth0: { addresses: ["10.0.2.15/24"] } } },
});

let bench: Workbench;
let image: BuiltImage;

beforeAll(async () => {
  bench = new Workbench();
  image = await builtImage(bench);
}, BUILD_DEADLINE_MS + 60_000);
afterAll(() => bench.close());

describe(`an NVDIMM as the journal (ANTIPODE_SEED=${SEED})`, () => {
  it("holds all that was acknowledged when the power is cut", async () => {
    const [portal] = await freePorts(1);
    const url = `iscsi://127.0.0.1:${portal}/${IQN}/0`;
    const drive = await flash(bench, image, "denver");
    await configure(bench, drive, CONFIG);
    const [disk, memory] = [emptyDrive(bench, "a"), emptyDrive(bench, "memory", NVDIMM_BYTES)];
    const boot = async (throttled = "") => {
      const appliance = await Appliance.boot(bench, {
        image: drive,
        drives: { a: `${disk}${throttled}` },
        ports: { 3260: portal },
        more: nvdimm(memory, NVDIMM_BYTES),
      });
      await appliance.says(/antipode: the site serves hosts/);
      return appliance;
    };

    const first = await boot(SLOW);
    await first.login();
    const host = await NbdInitiator.start(url, bench.path("first.nbd"));
    const load = new StampedLoad(host, { bytes: LOAD_BYTES, depth: DEPTH_MAX, seed: SEED });
    load.start();
    await until(
      () => {
        load.assertSound();
        return load.acknowledgedWrites >= WRITES;
      },
      () => `${WRITES} acknowledged writes; at last ${load.acknowledgedWrites}`,
      LOAD_DEADLINE_MS,
    );
    // The journal has what its drive has not.
    expect(await first.command("show journal")).toMatch(/used +[1-9]/);
    await first.powerCut();
    await host.close();
    // What was under way has no answer any more.
    await expect(load.stop()).rejects.toThrow("qemu-nbd went away");
    console.log(`${load.acknowledgedWrites} writes, ${load.completedReads} reads`);

    const second = await boot();
    const after = await NbdInitiator.start(url, bench.path("second.nbd"));
    load.assertHoldsAcknowledged(await after.read(0, LOAD_BYTES), "the LUN");
    await after.close();
    await second.loginAgain();
    expect(await second.command("show journal")).toMatch(/device +\/dev\/pmem0/);
    await second.powerOff();
  });
});
