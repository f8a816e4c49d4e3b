/**
 * A boot to a LUN that is served, its time beside that of the same image to a bare shell, and what is there then: a primary
 * whose two remote mirror sites run here as plain processes. Nothing else of the tests runs beside this, since it takes time.
 */

import { readFileSync } from "node:fs";
import { afterAll, assert, beforeAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { qemuIo, tool } from "../conformance/initiator.ts";
import { freePorts, Workbench } from "../conformance/workbench.ts";
import { Appliance, configure, emptyDrives, HOST, listening } from "./appliance.ts";
import { BUILD_DEADLINE_MS, type BuiltImage, builtImage, flash } from "./built-image.ts";
import { BARE_SHELL, flashBare } from "./open-image.ts";

const MiB = 2 ** 20;
/** From the kernel's start to a LUN that is served, as a multiple of that to a shell. */
const BOOT_RATIO_MAX = 2.5;
/** Of each kind, until that shows. */
const BOOTS_MAX = 3;
/** Of an idle site with one LUN. */
const RESIDENT_MIB_MAX = 400;
const IQN = "iqn.2026-11.dev.antipode:image";
const LEGS = ["boulder", "pueblo"] as const;
const CARDS = ["52:54:00:aa:00:01", "52:54:00:aa:00:02"];
/** The same for both kinds of boots, and with more than one processor, as appliances have. */
const MACHINE = { processors: 2, cards: CARDS };
const VOLUME = { size: "64MiB", lun: 0 };

let bench: Workbench;
let image: BuiltImage;

beforeAll(async () => {
  bench = new Workbench();
  image = await builtImage(bench);
}, BUILD_DEADLINE_MS + 60_000);
afterAll(() => bench.close());

/** The configuration of a remote mirror site, which runs here as a plain process. */
function leg(name: string, port: number): string {
  return stringify({
    site: { name },
    group: "image",
    role: "mirror",
    drives: [{ path: `${name}-drive`, size: "128MiB" }],
    arrays: { main: { level: 1, drives: [0] } },
    volumes: { vm: { ...VOLUME, array: "main" } },
    journal: { device: `${name}-journal`, size: "32MiB", window: "8MiB", cache: "8MiB" },
    link: { listen: `127.0.0.1:${port}`, from: ["denver"] },
    control: { socket: `${name}.sock` },
  });
}

/** The same kernel and memory to a shell: from its start. */
async function secondsToShell(flashed: string, drives: Readonly<Record<string, string>>): Promise<number> {
  const machine = await Appliance.boot(bench, { ...MACHINE, image: flashed, drives });
  const [, seconds] = await machine.says(new RegExp(`\\[ *([\\d.]+)\\] antipode: ${BARE_SHELL}`));
  await machine.powerCut();
  return Number(seconds);
}

it("serves a LUN whose writes two remote mirror sites have, from its own drives, network and start on", async () => {
  const [portal, ...linkPorts] = await freePorts(1 + LEGS.length);
  const legs = await Promise.all(
    LEGS.map((name, at) => bench.serve(bench.write(`${name}.yaml`, leg(name, linkPorts[at])))),
  );
  const drives = emptyDrives(bench, "denver", ["a", "b", "journal"]);
  const config = stringify({
    site: { name: "denver" },
    group: "image",
    role: "primary",
    drives: ["/dev/disk/by-id/virtio-a", "/dev/disk/by-id/virtio-b"],
    arrays: { main: { level: 1, drives: [0, 1] } },
    volumes: { vm: { ...VOLUME, array: "main" } },
    journal: { device: "/dev/disk/by-id/virtio-journal" },
    // 860 is iSCSI's other port, and one that not every process may listen on.
    target: { iqn: IQN, listen: ["0.0.0.0:3260", "0.0.0.0:860"] },
    watchdog: { timeout: "10min" },
    sites: Object.fromEntries(LEGS.map((name, at) => [name, { address: `${HOST}:${linkPorts[at]}` }])),
    mirror: { legs: LEGS.map((name) => [name]) },
    network: {
      hostname: "san1",
      interfaces: {
        eth0: { addresses: ["10.0.2.15/24"] },
        // The cards' addresses give them other names than the kernel would.
        left: { mac: CARDS[1], mtu: 9000 },
        right: { mac: CARDS[0], mtu: 9000 },
      },
      bonds: { bond0: { interfaces: ["left", "right"], mtu: 9000 } },
      vlans: { hosts: { on: "bond0", id: 100, mtu: 9000, addresses: ["198.51.100.7/24"] } },
      gateway: HOST,
      dns: ["10.0.2.3"],
      ntp: [HOST],
    },
  });
  const drive = await flash(bench, image, "denver");
  await configure(bench, drive, config);
  const shell = await flashBare(bench, image, "shell");
  let [bare, served] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const boot = () => Appliance.boot(bench, { ...MACHINE, image: drive, drives, ports: { 3260: portal } });
  let appliance: Appliance | undefined;
  // The shortest of each: what else the test's machine does makes some boots longer, and none shorter.
  for (let at = 1; at <= BOOTS_MAX; at++) {
    await appliance?.powerCut();
    bare = Math.min(bare, await secondsToShell(shell, drives));
    appliance = await boot();
    const [, seconds] = await appliance.says(/\[ *([\d.]+)\] antipode: the site serves hosts/);
    served = Math.min(served, Number(seconds));
    const ratio = (served / bare).toFixed(2);
    console.log(`kernel start to a bare shell: ${bare} s, to a LUN served: ${served} s, ${ratio} times`);
    if (served / bare < BOOT_RATIO_MAX) break;
  }
  assert(appliance !== undefined, "it was booted");
  expect(served / bare).toBeLessThan(BOOT_RATIO_MAX);

  const url = `iscsi://127.0.0.1:${portal}/${IQN}/0`;
  expect(await tool(bench, "iscsi-ls", `iscsi://127.0.0.1:${portal}`)).toContain(IQN);
  expect(await tool(bench, "qemu-img", "info", url)).toMatch(/virtual size: 64 MiB/);
  await qemuIo(bench, url, "write -P 0xa7 3M 5M", "flush", "read -P 0xa7 3M 5M", "read -P 0 8M 1M");

  await appliance.login();
  const status = (await appliance.command("show appliance")) + (await appliance.command("show status"));
  expect(status).toMatch(/^san1, up/m);
  expect(status).toContain("10.0.2.15/24 on eth0");
  expect(status).toContain("198.51.100.7/24 on hosts");
  expect(status).toMatch(/watchdog i6300ESB timer, active, nowayout 1/);
  expect(status).toContain("rights   user antipode, capabilities net_bind_service\n");
  expect(status).not.toContain("IT CAN");
  expect(listening(status)).toEqual(["tcp 0.0.0.0:3260", "tcp 0.0.0.0:860"]);
  expect(status).toMatch(/clock +kept by time servers/);
  expect(status).toMatch(/state +SERVING/);
  expect(status).not.toContain("is not in use");
  const resident = Number(/memory +(\d+) MiB used by the site process/.exec(status)?.[1]);
  expect(resident).toBeGreaterThan(0);
  expect(resident).toBeLessThan(RESIDENT_MIB_MAX);
  expect(appliance.line).not.toMatch(/failed|going on without|several drives/);

  await appliance.powerOff();
  for (const [at, name] of LEGS.entries()) {
    expect(await legs[at].stop()).toBe(0);
    const { code, text } = await bench.antipode(
      "inspect",
      bench.path(`${name}.yaml`),
      "--volume",
      "vm",
      "--export",
      bench.path(name),
    );
    expect(code, text).toBe(0);
    const copy = readFileSync(bench.path(name));
    expect(copy.subarray(3 * MiB, 8 * MiB).every((byte) => byte === 0xa7)).toBe(true);
    expect(copy[3 * MiB - 1] | copy[8 * MiB]).toBe(0);
  }
});
