/** `antipode ctl`: one command of the console's grammar, asked of a running site over its local socket. */

import { OperatingError } from "../base/operating-error.ts";
import { type Millis, millis } from "../base/units.ts";
import type { Timer } from "../platform/clock.ts";
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
/** A command that takes long tells of its progress; the longest step of one, at a site that is lost, takes a minute. */
const SILENCE_MAX = millis(120_000);
/** A status is there at once; a site that does not give it so soon is frozen, and is passed over. */
const STATUS_DEADLINE = millis(2000);

/** @returns the exit code */
export async function ctl(words: readonly string[], options: CtlOptions): Promise<number> {
  const world = linuxWorld();
  const socket = await findSocket(world, options);
  const answer = await ask(world, socket, words, SILENCE_MAX, (progress) => {
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

/** The site's name, by which its socket goes. */
function siteOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return name.endsWith(SOCKET_ENDING) ? name.slice(0, -SOCKET_ENDING.length) : name;
}

/** @returns the status of the site behind a socket; undefined where nothing answers, or not in time */
export async function statusAt(world: World, socket: string): Promise<SiteStatus | undefined> {
  try {
    const answer = await ask(world, socket, ["show", "status"], STATUS_DEADLINE, () => {});
    return answer.kind === "result" ? (answer.value as SiteStatus) : undefined;
  } catch (error) {
    if (error instanceof OperatingError) return undefined;
    throw error;
  }
}

/**
 * Asks one question. Rejects where the site is silent for longer than `silenceMax`.
 * @returns the last answer: a result or an error
 */
async function ask(
  world: World,
  socket: string,
  words: readonly string[],
  silenceMax: Millis,
  onProgress: (progress: ControlAnswer & { kind: "progress" }) => void,
): Promise<ControlAnswer> {
  const { promise: answered, resolve: ended } = Promise.withResolvers<ControlAnswer | "closed" | "silent">();
  const decoder = new TextDecoder();
  let received = "";
  const unanswered = new AbortController();
  const deadline = world.clock.after(CONNECT_DEADLINE, () => unanswered.abort());
  let silence: Timer | undefined;
  const listen = () => {
    silence?.cancel();
    silence = world.clock.after(silenceMax, () => ended("silent"));
  };
  const connection = await world.network.connect(
    { path: socket },
    () => ({
      onData: (bytes) => {
        listen();
        const lines = (received + decoder.decode(bytes, { stream: true })).split("\n");
        received = lines.pop() ?? "";
        for (const line of lines) {
          const answer: ControlAnswer = JSON.parse(line);
          if (answer.kind === "progress") onProgress(answer);
          else ended(answer);
        }
      },
      onDrain: () => {},
      onClose: () => ended("closed"),
    }),
    unanswered.signal,
  );
  deadline.cancel();
  connection.write(new TextEncoder().encode(`${JSON.stringify({ words })}\n`));
  listen();
  const answer = await answered;
  silence?.cancel();
  if (answer === "silent") connection.abort();
  else connection.close();
  if (answer === "closed") throw brokenOff(siteOf(socket));
  if (answer === "silent") throw silent(siteOf(socket), silenceMax);
  return answer;
}

function brokenOff(site: string): OperatingError {
  return new OperatingError(
    "control.broken-off",
    `Site ${site} closed the connection without an answer.`,
    "See its log.",
  );
}

function silent(site: string, silenceMax: Millis): OperatingError {
  return new OperatingError(
    "control.silent",
    `Site ${site} has not answered for ${silenceMax / 1000} s.`,
    "Its process is frozen or overloaded: look at it, or stop it and start it again.",
  );
}

function percent(done: number, total: number): string {
  return `${Math.floor((done / total) * 100)} %`;
}
