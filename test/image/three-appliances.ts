/**
 * Three appliances, each in a virtual machine of its own, and a SAN host, on two networks of the test's: a primary and two
 * remote mirror sites. The host writes without end to a LUN that all three have. Then something happens to the primary's
 * site process that only its hardware watchdog can mend; afterwards the load has gone on and nothing is lost.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { until, Workbench } from "../conformance/workbench.ts";
import { Appliance, configure, emptyDrives, RESETS } from "./appliance.ts";
import { BUILD_DEADLINE_MS, type BuiltImage, builtImage, flash } from "./built-image.ts";
import { Ethernet } from "./ethernet.ts";
import { flashOpen } from "./open-image.ts";
import { SanHost } from "./san-host.ts";
import { INITIATOR, sanHostSystem } from "./san-host-system.ts";
import { ShellPort } from "./shell-port.ts";

/** Four machines start at once, without hardware virtualisation. */
const START_DEADLINE_MS = 400_000;
const LOAD_DEADLINE_MS = 240_000;
const VERIFY_DEADLINE_MS = 120_000;
const VERIFY_AGAIN_MAX = 4;
const IQN = "iqn.2026-11.dev.antipode:three";
const PORTAL = "198.51.100.1:3260";
const LUN = "/dev/mapper/mpatha";
const LEGS = { boulder: "203.0.113.11", pueblo: "203.0.113.12" } as const;
const WATCHDOG_SECONDS = 20;
/** The load's part of the LUN, and how many requests it has in flight. */
const LOAD_MIB = 16;
const LOAD_DEPTH = 8;
/** Acknowledged writes before the fault, and again after it. */
const WRITES = 100;
const SEED = Number(process.env.ANTIPODE_SEED ?? Math.floor(Math.random() * 2 ** 31));

const mac = (machine: number, card: number) => `52:54:00:5a:0${machine}:0${card}`;
/** Four machines at once. */
const SMALL = ["-m", "1024M"];

const COMMON = {
  group: "three",
  drives: ["/dev/disk/by-id/virtio-a"],
  arrays: { main: { level: 1, drives: [0] } },
  volumes: { vm: { array: "main", size: "64MiB", lun: 0 } },
  journal: { device: "/dev/disk/by-id/virtio-journal", window: "8MiB", cache: "8MiB" },
};

const PRIMARY = stringify({
  ...COMMON,
  site: { name: "denver" },
  role: "primary",
  target: { iqn: IQN, listen: [PORTAL], initiators: [INITIATOR] },
  sites: Object.fromEntries(Object.entries(LEGS).map(([name, address]) => [name, { address: `${address}:7400` }])),
  mirror: { legs: Object.keys(LEGS).map((name) => [name]) },
  watchdog: { device: "/dev/watchdog", timeout: `${WATCHDOG_SECONDS}s` },
  network: {
    interfaces: {
      hosts: { mac: mac(1, 1), addresses: ["198.51.100.1/24"] },
      links: { mac: mac(1, 2), addresses: ["203.0.113.1/24"] },
    },
  },
});

function remote(name: string, address: string, card: string): string {
  return stringify({
    ...COMMON,
    site: { name },
    role: "mirror",
    link: { listen: `${address}:7400`, from: ["denver"] },
    network: { interfaces: { links: { mac: card, addresses: [`${address}/24`] } } },
  });
}

class ThreeAppliances {
  readonly #bench: Workbench;
  readonly #image: BuiltImage;
  readonly #networks: { readonly hosts: Ethernet; readonly links: Ethernet };

  private constructor(bench: Workbench, image: BuiltImage, hosts: Ethernet, links: Ethernet) {
    this.#bench = bench;
    this.#image = image;
    this.#networks = { hosts, links };
  }

  static async make(bench: Workbench, image: BuiltImage): Promise<ThreeAppliances> {
    const [hosts, links] = [await Ethernet.make(bench.path("hosts")), await Ethernet.make(bench.path("links"))];
    return new ThreeAppliances(bench, image, hosts, links);
  }

  /** Only when its machines have ended. */
  async close(): Promise<void> {
    await Promise.all(Object.values(this.#networks).map((network) => network.close()));
  }

  async #boot(site: string, image: string, config: string, more: readonly string[]): Promise<Appliance> {
    await configure(this.#bench, image, config);
    return Appliance.boot(this.#bench, {
      image,
      drives: emptyDrives(this.#bench, site, ["a", "journal"]),
      more: [...SMALL, ...more],
    });
  }

  /** @param breakIt what is done to the primary's site process, by a shell on that machine */
  async survives(breakIt: (shell: ShellPort) => Promise<void>): Promise<void> {
    const { hosts, links } = this.#networks;
    const socket = this.#bench.path("denver.shell");
    const image = await flashOpen(this.#bench, this.#image, "denver");
    const cards = [...hosts.card(mac(1, 1)), ...links.card(mac(1, 2))];
    const primary = await this.#boot("denver", image, PRIMARY, [...cards, ...RESETS, ...ShellPort.device(socket)]);
    for (const [at, [name, address]] of Object.entries(LEGS).entries()) {
      const card = mac(2 + at, 1);
      const drive = await flash(this.#bench, this.#image, name);
      await this.#boot(name, drive, remote(name, address, card), links.card(card));
    }
    const host = await SanHost.boot(this.#bench, "host", [
      { network: hosts, mac: mac(4, 1), address: "198.51.100.2/24" },
    ]);
    await primary.says(/antipode: the site serves hosts/, START_DEADLINE_MS);
    await primary.login();
    const shell = await ShellPort.open(socket);
    await shell.answers();

    await host.login([PORTAL]);
    const load = await Load.start(host);
    await load.untilAcknowledged(WRITES);
    await breakIt(shell);
    await primary.says(/antipode: version /, START_DEADLINE_MS);
    const before = await load.acknowledged();
    await primary.says(/antipode: the site serves hosts/, START_DEADLINE_MS);
    await load.untilAcknowledged(before + WRITES);
    await load.end();

    await primary.loginAgain();
    expect(await primary.command("show appliance")).toMatch(/watchdog i6300ESB timer, active/);
    const status = await primary.command("show status");
    expect(status).toMatch(/state +SERVING/);
    expect(status).toMatch(/boot +CAUSED by a reset of the watchdog/);
    let verdict = await primary.command("verify", "", VERIFY_DEADLINE_MS);
    // On a machine that is busy a link may be given up in the midst of it; what differs is never asked again.
    for (let again = 0; again < VERIFY_AGAIN_MAX && verdict.includes("UNKNOWN"); again++) {
      verdict = await primary.command("verify", "", VERIFY_DEADLINE_MS);
    }
    for (const site of ["denver", ...Object.keys(LEGS)]) {
      expect(verdict).toMatch(new RegExp(`^ +${site} +identical$`, "m"));
    }
  }
}

/** The program san-load, running on the host. */
class Load {
  readonly #host: SanHost;

  private constructor(host: SanHost) {
    this.#host = host;
  }

  static async start(host: SanHost): Promise<Load> {
    console.log(`ANTIPODE_SEED=${SEED}`);
    await host.must(`until [ -e ${LUN} ]; do sleep 1; done`);
    await host.must(`san-load ${LUN} ${SEED} ${LOAD_MIB} ${LOAD_DEPTH} >/run/load 2>&1 & echo $! >/run/load.pid`);
    return new Load(host);
  }

  async #said(): Promise<string> {
    const text = await this.#host.must("cat /run/load");
    if (text.includes("UNSOUND")) throw new Error(text);
    return text;
  }

  /** Writes that the host was told are done. */
  async acknowledged(): Promise<number> {
    const counts = Array.from((await this.#said()).matchAll(/^acknowledged (\d+)/gm), ([, count]) => Number(count));
    return counts.at(-1) ?? 0;
  }

  async untilAcknowledged(writes: number): Promise<void> {
    let count = 0;
    await until(
      async () => {
        count = await this.acknowledged();
        return count >= writes;
      },
      () => `${writes} acknowledged writes; at last ${count}`,
      LOAD_DEADLINE_MS,
    );
  }

  /** Stops it, and has it read back all that it wrote. */
  async end(): Promise<void> {
    await this.#host.must("kill $(cat /run/load.pid)");
    await until(
      async () => (await this.#said()).includes("\nSOUND"),
      () => "the load to find all that was acknowledged",
      LOAD_DEADLINE_MS,
    );
  }
}

/** Defines the test of one such thing, the only one of its file. */
export function testThreeAppliances(what: string, breakIt: (shell: ShellPort) => Promise<void>): void {
  let bench: Workbench;
  let system: ThreeAppliances;
  beforeAll(async () => {
    bench = new Workbench();
    const image = await builtImage(bench);
    await sanHostSystem();
    system = await ThreeAppliances.make(bench, image);
  }, BUILD_DEADLINE_MS + 60_000);
  afterAll(async () => {
    await bench.close();
    await system?.close();
  });
  describe("three appliances and a SAN host", () => {
    it(`lose nothing when the primary's ${what}, and its watchdog resets it`, () => system.survives(breakIt));
  });
}
