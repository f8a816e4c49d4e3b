/**
 * `antipode demo`: a whole system of sites on this machine, each its own process, over file-backed drives.
 * Its folder keeps everything, so that the next start goes on where this one stopped.
 */

import { OperatingError } from "../base/operating-error.ts";
import { MiB, millis } from "../base/units.ts";
import { parseSize } from "../config/quantity.ts";
import { elapsed, sleep } from "../platform/clock.ts";
import { Child } from "../platform/linux/child.ts";
import { fileExists, makeFolder, readText, writeText } from "../platform/linux/host-files.ts";
import { linuxWorld } from "../platform/linux/linux-world.ts";
import type { World } from "../platform/world.ts";
import { statusAt } from "../site/control-client.ts";
import { DEMO_IQN, type DemoSite, demoSites } from "./demo-plan.ts";

export interface DemoFlags {
  readonly dir: string;
  readonly port: string;
  readonly size: string;
  readonly journal: string;
}

const UP_DEADLINE = millis(60_000);
const STOP_DEADLINE = millis(15_000);
const POLL = millis(100);

export async function demo(flags: DemoFlags): Promise<void> {
  const dir = flags.dir.replace(/\/+$/, "");
  const port = parsePort(flags.port);
  const sites = demoSites({
    dir,
    port,
    sizeBytes: sizeOf("--size", flags.size),
    journalBytes: sizeOf("--journal", flags.journal),
  });
  writeConfigs(dir, sites);

  process.stdout.write(`Antipode demo in ${dir}\n`);
  for (const { name, what } of sites) process.stdout.write(`  ${name.padEnd(12)} ${what}\n`);
  const world = linuxWorld();
  const running = sites.map((site) => ({ site, child: new Child(["serve", site.file], `${dir}/${site.name}.log`) }));
  const stopper = new Stopper(
    world,
    running.map(({ child }) => child),
  );
  for (const { site, child } of running) {
    child.exited.then(({ code, signal }) => {
      if (stopper.requested) return;
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      process.stdout.write(`${site.name} ended ${how}; see ${dir}/${site.name}.log\n`);
      process.stdout.write(`  start it again: bin/antipode serve ${site.file}\n`);
    });
  }
  try {
    await servesHosts(world, dir, running);
  } catch (error) {
    await stopper.stop();
    throw error;
  }
  process.stdout.write(`${welcome(dir, port)}\n`);
  await Promise.all(running.map(({ child }) => child.exited));
}

function welcome(dir: string, port: number): string {
  return [
    `LUN 0 is up: iscsi://127.0.0.1:${port}/${DEMO_IQN}/0`,
    `  look at it      iscsi-ls iscsi://127.0.0.1:${port}`,
    `  its state       bin/antipode ctl --dir ${dir} show status`,
    `  compare sites   bin/antipode ctl --dir ${dir} verify`,
    `  another site    bin/antipode ctl --dir ${dir} --site boulder show journal`,
    `  logs            ${dir}/*.log`,
    "Ctrl-C stops all sites; nothing is lost by it.",
  ].join("\n");
}

function parsePort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 61_000) return port;
  throw new OperatingError("usage.demo", `--port ${text} is not a port.`, "Give a number from 1 to 60999.");
}

function sizeOf(flag: string, text: string): number {
  const bytes = parseSize(text);
  if (bytes !== undefined && bytes >= 64 * MiB && bytes % (4 * MiB) === 0) return bytes;
  throw new OperatingError(
    "usage.demo",
    `${flag} ${text} is not a size of at least 64MiB in steps of 4MiB.`,
    "Give one such as 1GiB.",
  );
}

/** Writes each site's YAML where there is none; one that is there must be the same, for its drives were made by it. */
function writeConfigs(dir: string, sites: readonly DemoSite[]): void {
  for (const { name, file, yaml } of sites) {
    makeFolder(`${dir}/${name}`);
    if (!fileExists(file)) writeText(file, yaml);
    else if (readText(file) !== yaml) {
      throw new OperatingError(
        "usage.demo",
        `${file} is from a demo with other options.`,
        `Use the options of that demo, or another --dir, or delete ${dir}.`,
      );
    }
  }
}

interface Running {
  readonly site: DemoSite;
  readonly child: Child;
}

/** Resolves when the primary serves; rejects where a site ends, or after a while with the reason that the primary gives. */
async function servesHosts(world: World, dir: string, running: readonly Running[]): Promise<void> {
  const start = world.clock.now();
  let reason = "it does not answer yet";
  for (;;) {
    const ended = running.find(({ child }) => child.exit !== undefined);
    if (ended !== undefined) {
      const { name } = ended.site;
      const said = lastMessage(`${dir}/${name}.log`);
      throw new OperatingError("demo.ended", `Site ${name} ended at its start: ${said}`, `See ${dir}/${name}.log.`);
    }
    const status = await statusAt(world, `${dir}/denver.sock`);
    if (status?.state === "serving") return;
    if (status !== undefined) reason = status.reason;
    if (elapsed(world.clock, start) > UP_DEADLINE) {
      throw new OperatingError("demo.not-up", `The primary does not serve: ${reason}.`, `See the logs in ${dir}.`);
    }
    await sleep(world.clock, POLL);
  }
}

function lastMessage(log: string): string {
  const text = readText(log).trimEnd();
  const at = text.lastIndexOf("antipode: ");
  return at < 0 ? "it did not say why." : text.slice(at + "antipode: ".length);
}

/** Stops every site on Ctrl-C, or when one of them could not start. */
class Stopper {
  requested = false;
  readonly #world: World;
  readonly #children: readonly Child[];

  constructor(world: World, children: readonly Child[]) {
    this.#world = world;
    this.#children = children;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        if (this.requested) return;
        process.stdout.write("stopping all sites\n");
        this.stop().then(() => process.exit(0));
      });
    }
  }

  async stop(): Promise<void> {
    this.requested = true;
    for (const child of this.#children) child.signal("SIGTERM");
    const deadline = this.#world.clock.after(STOP_DEADLINE, () => {
      for (const child of this.#children) child.signal("SIGKILL");
    });
    await Promise.all(this.#children.map(({ exited }) => exited));
    deadline.cancel();
  }
}
