/** `antipode ctl`: one command of the console's grammar, asked of a running site over its local socket. */

import { OperatingError } from "../base/operating-error.ts";
import { expand } from "../console/grammar.ts";
import { listFolder } from "../platform/linux/host-files.ts";
import { linuxWorld } from "../platform/linux/linux-world.ts";
import type { World } from "../platform/world.ts";
import { COMMANDS } from "../site/commands.ts";
import { askSite, SOCKET_ENDING, siteOf, statusAt } from "../site/control-client.ts";
import { readConfig } from "./config-file.ts";

/** Which of the sites on this machine is meant. */
export interface SiteOptions {
  readonly site?: string;
  readonly socket?: string;
  readonly config?: string;
  readonly dir?: string;
}

export interface CtlOptions extends SiteOptions {
  readonly json: boolean;
}

/** Where sites' sockets are looked for when none is named: an appliance's, then the demo's in this folder. */
const SOCKET_FOLDERS = ["/run/antipode", "demo"];

/** @returns the exit code */
export async function ctl(words: readonly string[], options: CtlOptions): Promise<number> {
  const world = linuxWorld();
  const socket = await findSocket(world, options);
  const { value, text, exitCode } = await askSite(world, socket, expand(COMMANDS, words), {
    onProgress: ({ what, done, total }) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${what}: ${percent(done, total)} `);
    },
  });
  if (process.stderr.isTTY) process.stderr.write("\r");
  process.stdout.write(options.json ? `${JSON.stringify(value)}\n` : text);
  return exitCode;
}

/** The control socket of the site that is meant. Rejects with `command.no-site` or `command.which-site`. */
export async function findSocket(world: World, options: SiteOptions): Promise<string> {
  if (options.socket !== undefined) return options.socket;
  if (options.config !== undefined) return readConfig(options.config).control.socket;
  const folders = options.dir === undefined ? SOCKET_FOLDERS : [options.dir];
  const sockets = folders.flatMap(socketsIn);
  const named = options.site === undefined ? sockets : sockets.filter((path) => siteOf(path) === options.site);
  if (named.length === 1) return named[0];
  if (named.length === 0) {
    throw new OperatingError(
      "command.no-site",
      `No running site${options.site === undefined ? "" : ` ${options.site}`} is found in ${folders.join(" or ")}.`,
      "Start one, or name it by --config FILE, --socket PATH or --dir FOLDER.",
    );
  }
  // Of several sites on one machine, as in the demo, the primary is the one that is meant.
  const statuses = await Promise.all(named.map((path) => statusAt(world, path)));
  const primary = statuses.findIndex((status) => status?.role === "primary");
  if (primary >= 0) return named[primary];
  const names = named.map(siteOf).join(", ");
  throw new OperatingError("command.which-site", `Several sites run here: ${names}.`, "Name one by --site NAME.");
}

function socketsIn(folder: string): readonly string[] {
  return listFolder(folder)
    .filter((name) => name.endsWith(SOCKET_ENDING))
    .map((name) => `${folder}/${name}`);
}

function percent(done: number, total: number): string {
  return `${Math.floor((done / total) * 100)} %`;
}
