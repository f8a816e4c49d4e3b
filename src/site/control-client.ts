/** Asks a running site over its control socket, as `ctl` and the console do. */

import { OperatingError } from "../base/operating-error.ts";
import { type Millis, millis } from "../base/units.ts";
import type { Timer } from "../platform/clock.ts";
import type { World } from "../platform/world.ts";
import type { CommandResult, Progress } from "./commands.ts";
import type { ControlAnswer } from "./control-socket.ts";
import type { SiteStatus } from "./status.ts";

/** What the sockets' names end in; before it is the name of the site. */
export const SOCKET_ENDING = ".sock";

const CONNECT_DEADLINE = millis(5000);
/** A command that takes long tells of its progress; the longest step of one, at a site that is lost, takes a minute. */
const SILENCE_MAX = millis(120_000);
/** A status is there at once; a site that does not give it so soon is frozen, and is passed over. */
const STATUS_DEADLINE = millis(2000);

export interface AskOptions {
  /** Longest wait for a next word of the site. */
  readonly silenceMax?: Millis;
  readonly onProgress?: (progress: Progress) => void;
  /** Stops waiting for the answer; the site goes on with the command. */
  readonly signal?: AbortSignal;
}

type AskWorld = Pick<World, "clock" | "network">;

/** The site's name, by which its socket goes. */
export function siteOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return name.endsWith(SOCKET_ENDING) ? name.slice(0, -SOCKET_ENDING.length) : name;
}

/** @returns the status of the site behind a socket; undefined where nothing answers, or not in time */
export async function statusAt(world: AskWorld, socket: string): Promise<SiteStatus | undefined> {
  try {
    const { value } = await askSite(world, socket, ["show", "status"], { silenceMax: STATUS_DEADLINE });
    return value as SiteStatus;
  } catch (error) {
    if (error instanceof OperatingError) return undefined;
    throw error;
  }
}

/**
 * Asks one question. Rejects with the site's own error, with `control.…` where the site is silent or breaks off, with
 * `network.unreachable` where none is there, and with the signal's reason.
 */
export async function askSite(
  world: AskWorld,
  socket: string,
  words: readonly string[],
  { silenceMax = SILENCE_MAX, onProgress = () => {}, signal }: AskOptions = {},
): Promise<CommandResult> {
  const { promise: answered, resolve: ended } = Promise.withResolvers<
    ControlAnswer | "closed" | "silent" | "not wanted"
  >();
  const decoder = new TextDecoder();
  let received = "";
  const unanswered = new AbortController();
  const deadline = world.clock.after(CONNECT_DEADLINE, () => unanswered.abort());
  let silence: Timer | undefined;
  const listen = () => {
    silence?.cancel();
    silence = world.clock.after(silenceMax, () => ended("silent"));
  };
  signal?.throwIfAborted();
  const onAbort = () => {
    unanswered.abort();
    ended("not wanted");
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
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
    connection.write(new TextEncoder().encode(`${JSON.stringify({ words })}\n`));
    listen();
    const answer = await answered;
    if (typeof answer === "object") connection.close();
    else connection.abort();
    if (answer === "silent") throw silent(siteOf(socket), silenceMax);
    if (answer === "closed" || answer === "not wanted" || answer.kind === "progress") {
      signal?.throwIfAborted();
      throw brokenOff(siteOf(socket));
    }
    if (answer.kind === "error") throw new OperatingError(answer.code, answer.what, answer.remedy);
    return answer;
  } catch (error) {
    // Whatever came of the connection, it is not wanted any more.
    signal?.throwIfAborted();
    throw error;
  } finally {
    deadline.cancel();
    silence?.cancel();
    signal?.removeEventListener("abort", onAbort);
  }
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
