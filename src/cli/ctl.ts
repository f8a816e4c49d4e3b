/** `antipode ctl`: one command of the console's grammar, asked of a running site over its local socket. */

import { OperatingError } from "../base/operating-error.ts";
import { millis } from "../base/units.ts";
import { listFolder } from "../platform/linux/host-files.ts";
import { linuxWorld } from "../platform/linux/linux-world.ts";
import type { World } from "../platform/world.ts";
import type { ControlAnswer } from "../site/control-socket.ts";
import type { SiteStatus } from "../site/status.ts";
import { readConfig } from "./config-file.ts";

export interface CtlOptions {
  readonly json: boolean;
  readonly site?: string;
  readonly socket?: string;
  readonly config?: string;
  readonly dir?: string;
}

/** Where sites' sockets are looked for when none is named: an appliance's, then the demo's in this folder. */
const SOCKET_FOLDERS = ["/run/antipode", "demo"];
const SOCKET_ENDING = ".sock";
const CONNECT_DEADLINE = millis(5000);

/** @returns the exit code */
export async function ctl(words: readonly string[], options: CtlOptions): Promise<number> {
  const world = linuxWorld();
  const answer = await ask(world, await findSocket(world, options), words, (progress) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${progress.what}: ${percent(progress.done, progress.total)} `);
  });
  if (process.stderr.isTTY) process.stderr.write("\r");
  if (answer.kind === "error") throw new OperatingError(answer.code, answer.what, answer.remedy);
  if (answer.kind !== "result") throw brokenOff("the site");
  process.stdout.write(options.json ? `${JSON.stringify(answer.value)}\n` : answer.text);
  return answer.exitCode;
}

async function findSocket(world: World, options: CtlOptions): Promise<string> {
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
  for (const path of named) if ((await statusAt(world, path))?.role === "primary") return path;
  const names = named.map(siteOf).join(", ");
  throw new OperatingError("command.which-site", `Several sites run here: ${names}.`, "Name one by --site NAME.");
}

function socketsIn(folder: string): readonly string[] {
  return listFolder(folder)
    .filter((name) => name.endsWith(SOCKET_ENDING))
    .map((name) => `${folder}/${name}`);
}

/** The site's name, by which its socket goes. */
function siteOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return name.endsWith(SOCKET_ENDING) ? name.slice(0, -SOCKET_ENDING.length) : name;
}

/** @returns the status of the site behind a socket; undefined where nothing answers */
export async function statusAt(world: World, socket: string): Promise<SiteStatus | undefined> {
  try {
    const answer = await ask(world, socket, ["show", "status"], () => {});
    return answer.kind === "result" ? (answer.value as SiteStatus) : undefined;
  } catch (error) {
    if (error instanceof OperatingError) return undefined;
    throw error;
  }
}

/** Asks one question. @returns the last answer: a result or an error */
async function ask(
  world: World,
  socket: string,
  words: readonly string[],
  onProgress: (progress: ControlAnswer & { kind: "progress" }) => void,
): Promise<ControlAnswer> {
  let ended: (answer: ControlAnswer | undefined) => void = () => {};
  const answered = new Promise<ControlAnswer | undefined>((resolve) => {
    ended = resolve;
  });
  const decoder = new TextDecoder();
  let received = "";
  const unanswered = new AbortController();
  const deadline = world.clock.after(CONNECT_DEADLINE, () => unanswered.abort());
  const connection = await world.network.connect(
    { path: socket },
    () => ({
      onData: (bytes) => {
        const lines = (received + decoder.decode(bytes, { stream: true })).split("\n");
        received = lines.pop() ?? "";
        for (const line of lines) {
          const answer: ControlAnswer = JSON.parse(line);
          if (answer.kind === "progress") onProgress(answer);
          else ended(answer);
        }
      },
      onDrain: () => {},
      onClose: () => ended(undefined),
    }),
    unanswered.signal,
  );
  deadline.cancel();
  connection.write(new TextEncoder().encode(`${JSON.stringify({ words })}\n`));
  const answer = await answered;
  connection.close();
  if (answer === undefined) throw brokenOff(siteOf(socket));
  return answer;
}

function brokenOff(site: string): OperatingError {
  return new OperatingError(
    "command.broken-off",
    `Site ${site} closed the connection without an answer.`,
    "See its log.",
  );
}

function percent(done: number, total: number): string {
  return `${Math.floor((done / total) * 100)} %`;
}
