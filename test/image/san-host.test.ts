/**
 * A SAN host that nobody here wrote, Debian's kernel with open-iscsi and multipath, and an appliance that was flashed and
 * set up on its serial line: files that were written and synced are found again.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until, Workbench } from "../conformance/workbench.ts";
import { Appliance, emptyDrive } from "./appliance.ts";
import { BUILD_DEADLINE_MS, type BuiltImage, builtImage, flash } from "./built-image.ts";
import { Ethernet } from "./ethernet.ts";
import { SanHost } from "./san-host.ts";
import { INITIATOR, sanHostSystem } from "./san-host-system.ts";

const MiB = 2 ** 20;
/** A site that starts on what was committed, without hardware virtualisation. */
const APPLY_DEADLINE_MS = 120_000;
const WORK_DEADLINE_MS = 120_000;
const ANSWER_DEADLINE_MS = 60_000;
const IQN = "iqn.2026-11.dev.antipode:lab";
/** Two networks, and on each of them an address of the appliance's and one of the host's. */
const PATHS = [
  { portal: "198.51.100.1:3260", appliance: "198.51.100.1/24", host: "198.51.100.2/24" },
  { portal: "203.0.113.1:3260", appliance: "203.0.113.1/24", host: "203.0.113.2/24" },
] as const;
/** Stands for the number of the card of the first network, which only the appliance knows. */
const CARD = "the card of the first network";
const applianceMac = (at: number) => `52:54:00:5a:01:0${at}`;
const hostMac = (at: number) => `52:54:00:5a:02:0${at}`;

const PORTALS = PATHS.map(({ portal }) => portal);
const LUN = "/dev/mapper/mpatha";
const BOTH_PATHS = /size=320M[\s\S]*(active +ready +running[\s\S]*){2}/;

/** Shell: writes files of random content and has them on stable storage, their checksums beside them. */
const writeFiles = (name: string) =>
  `for n in $(seq 10); do dd if=/dev/urandom of=/mnt/${name}-$n bs=64k count=$n 2>/dev/null || exit 1; done && ` +
  `sha256sum /mnt/${name}-* >/mnt/${name}.sums && sync`;

let bench: Workbench;
let image: BuiltImage;
const networks: Ethernet[] = [];

beforeAll(async () => {
  bench = new Workbench();
  image = await builtImage(bench);
  await sanHostSystem();
  for (const at of PATHS.keys()) networks.push(await Ethernet.make(bench.path(`network-${at}`)));
}, BUILD_DEADLINE_MS + 60_000);
afterAll(async () => {
  await bench.close();
  await Promise.all(networks.map((network) => network.close()));
});

/** How each question of the setup begins, and what is answered to it; Enter where that is empty. */
const ANSWERS: readonly (readonly [question: string, answer: string])[] = [
  ["Name of this site", "denver"],
  ["Its location", ""],
  ["Role", ""],
  ["Consistency group", "lab"],
  ["Network card", CARD],
  ["Its address", PATHS[0].appliance],
  ["Gateway", ""],
  ["Name servers", ""],
  ["Time servers", ""],
  ["Drive of the journal", ""],
  ["Drives of the array", ""],
  ["RAID level", ""],
  ["Name of the volume", "files"],
  // As small as mkfs.xfs takes.
  ["Its size", "320MiB"],
  ["Its LUN", ""],
  ["Name of the iSCSI target", IQN],
  ["Addresses for hosts", ""],
  ["Initiators that may log in", INITIATOR],
  ["Sites of leg 1", ""],
  ["Watchdog", "no"],
  ["Commit it", ""],
];

/** @returns number and name of a card, as the setup has listed it */
function cardOf(shown: string, mac: string): readonly [number: string, name: string] {
  const [, number, name] = new RegExp(`(\\d+) +(\\S+) +${mac}`).exec(shown) ?? [];
  return [number, name];
}

/** From an appliance that was never set up to one that serves a LUN on two networks: all on its serial line. */
async function setUp(appliance: Appliance): Promise<void> {
  await appliance.login();
  let typed = "setup";
  for (const [question, answer] of ANSWERS) {
    await appliance.begin(typed, new RegExp(`\\n${question}[^\\n]*: `), ANSWER_DEADLINE_MS);
    typed = answer === CARD ? cardOf(appliance.line, applianceMac(0))[0] : answer;
  }
  expect(await appliance.command(typed, "", APPLY_DEADLINE_MS)).toMatch(/The site runs on it/);
  // The setup asks for one card; the second path is added as an operator adds it.
  const [, name] = cardOf(appliance.line, applianceMac(1));
  const added = JSON.stringify({ mac: applianceMac(1), addresses: [PATHS[1].appliance] });
  await appliance.command("configure");
  await appliance.command(`set network.interfaces.${name} ${added}`);
  await appliance.command(`set target.listen ${JSON.stringify(PORTALS)}`);
  expect(await appliance.command("commit", "", APPLY_DEADLINE_MS)).toMatch(/The site runs on it/);
}

function bootHost(name: string): Promise<SanHost> {
  const cards = PATHS.map(({ host }, at) => ({ network: networks[at], mac: hostMac(at), address: host }));
  return SanHost.boot(bench, name, cards);
}

async function untilPaths(host: SanHost, wanted: RegExp): Promise<void> {
  let said = "";
  await until(
    async () => {
      said = await host.must("multipath -ll mpatha");
      return wanted.test(said);
    },
    () => `${wanted} in:\n${said}`,
    WORK_DEADLINE_MS,
  );
}

describe("a SAN host", () => {
  it("finds its files again on a LUN of two paths: after a path was cut, and its own power", async () => {
    const flashed = await Appliance.boot(bench, {
      image: await flash(bench, image, "denver"),
      drives: { a: emptyDrive(bench, "a", 400 * MiB), journal: emptyDrive(bench, "journal", 64 * MiB) },
      more: networks.flatMap((network, at) => network.card(applianceMac(at))),
    });
    const booting = bootHost("host");
    await setUp(flashed);
    const host = await booting;
    await host.login(PORTALS);
    await untilPaths(host, BOTH_PATHS);
    await host.must(`mkfs.xfs ${LUN}`, WORK_DEADLINE_MS);
    await host.must(`udevadm settle && mount -t xfs ${LUN} /mnt`, WORK_DEADLINE_MS);
    await host.must(`${writeFiles("calm")} && sha256sum -c /mnt/calm.sums`, WORK_DEADLINE_MS);

    networks[0].cut();
    await host.must(writeFiles("cut"), WORK_DEADLINE_MS);
    await untilPaths(host, /failed +faulty +running/);
    networks[0].mend();
    await untilPaths(host, BOTH_PATHS);

    // In the midst of a write.
    await host.must("dd if=/dev/zero of=/mnt/unfinished bs=1M count=100 >/dev/null 2>&1 &");
    await until(
      async () => Number(await host.must("stat -c %s /mnt/unfinished")) > MiB,
      () => "some is written",
    );
    await host.powerCut();

    const again = await bootHost("again");
    await again.login(PORTALS);
    await again.must(`udevadm settle && mount -t xfs ${LUN} /mnt`, WORK_DEADLINE_MS);
    await again.must("sha256sum -c /mnt/calm.sums && sha256sum -c /mnt/cut.sums", WORK_DEADLINE_MS);
    await again.must(`umount /mnt && xfs_repair -n ${LUN}`, WORK_DEADLINE_MS);
    await flashed.powerOff();
  });
});
