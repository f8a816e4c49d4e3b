/** A system of this project's sites, each its own process of `bin/antipode serve`, as one target. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { linuxWorld } from "../src/platform/linux/linux-world.ts";
import { statusAt } from "../src/site/control-client.ts";
import type { SiteStatus } from "../src/site/status.ts";
import { BenchFailure, until } from "./failure.ts";
import { type Leg, PRIMARY, type SiteConfig, systemSites } from "./sites.ts";
import { lunUrl, type Target } from "./target.ts";
import { type Daemon, freePorts, type Workspace } from "./workspace.ts";

const COMMAND = join(import.meta.dirname, "../bin/antipode");
const UP_DEADLINE_MS = 60_000;
/** A whole journal at the rate of a slow disk. */
const SETTLE_DEADLINE_MS = 120_000;

export interface SystemOptions {
  readonly name: string;
  readonly volumeBytes: number;
  readonly cacheBytes: number;
  /** Of the LUN's logical blocks. */
  readonly blockBytes: number;
  readonly legs: readonly Leg[];
}

interface RunningSite {
  readonly daemon: Daemon;
  readonly socket: string;
}

const world = linuxWorld();

export class AntipodeSystem implements Target {
  readonly name: string;
  readonly readUrl: string;
  readonly writeUrl: string;
  readonly pids: readonly number[];
  readonly #sites: readonly RunningSite[];
  readonly #discard: () => void;

  private constructor(name: string, url: string, sites: readonly RunningSite[], discard: () => void) {
    this.name = name;
    this.readUrl = url;
    this.writeUrl = url;
    this.#sites = sites;
    this.#discard = discard;
    this.pids = sites.map(({ daemon }) => daemon.pid);
  }

  static async start(workspace: Workspace, options: SystemOptions): Promise<AntipodeSystem> {
    const dir = workspace.folder(options.name.replaceAll(" ", "-"));
    const [targetPort, ...linkPorts] = await freePorts(2 + options.legs.flat().length);
    const configs = systemSites({ ...options, targetPort, linkPorts });
    const sites = configs.map(({ name, config }: SiteConfig): RunningSite => {
      const file = `${dir}/${name}.yaml`;
      writeFileSync(file, JSON.stringify(config));
      const daemon = workspace.start(`${options.name}: ${name}`, COMMAND, ["serve", file], `${dir}/${name}.log`);
      return { daemon, socket: `${dir}/${name}.sock` };
    });
    const primary = sites[configs.findIndex(({ name }) => name === PRIMARY)];
    let reason = "it does not answer";
    try {
      await until("it serves hosts", UP_DEADLINE_MS, async () => {
        for (const { daemon } of sites) daemon.assertRunning();
        const status = await statusAt(world, primary.socket);
        if (status !== undefined) reason = status.reason;
        return status?.state === "serving";
      });
    } catch (error) {
      if (!primary.daemon.running) throw error;
      const text = error instanceof Error ? error.message : String(error);
      throw new BenchFailure(`${options.name}: ${text} The primary says: ${reason}\n${primary.daemon.logEnd()}`);
    }
    return new AntipodeSystem(options.name, lunUrl(targetPort, 0), sites, () => workspace.remove(dir));
  }

  /** Waits until every site has stored or forwarded what it has journalled. */
  async settle(): Promise<void> {
    for (const { daemon, socket } of this.#sites) {
      let status: SiteStatus | undefined;
      await until(`${this.name} settled`, SETTLE_DEADLINE_MS, async () => {
        daemon.assertRunning();
        status = await statusAt(world, socket);
        return status !== undefined && status.journal.retired >= status.journal.appended;
      });
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sites.map(({ daemon }) => daemon.stop()));
    this.#discard();
  }
}
