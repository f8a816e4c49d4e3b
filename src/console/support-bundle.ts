/**
 * What whoever helps with an appliance has to see of it, as files by name. What can't be had is told in its place: an
 * appliance that needs help is often half broken.
 *
 * No secret is in it: configurations are shown as on the console, and every secret that any of them has is taken out of all
 * else as well. It has a bound, whatever there is.
 */

import { OperatingError } from "../base/operating-error.ts";
import { MiB } from "../base/units.ts";
import { formatTime } from "../base/wall-time.ts";
import { Candidate, secretsIn } from "../config/candidate.ts";
import { renderFirmware } from "../firmware/render.ts";
import type { Files } from "../platform/files.ts";
import { COMMANDS } from "../site/commands.ts";
import type { Appliance } from "./appliance.ts";
import { askSoon } from "./ask-soon.ts";
import { renderError } from "./command.ts";

/** Of each log's file, its end. */
const LOG_BYTES_MAX = 2 * MiB;
/** Of everything, before it is packed. What is past it is named, and left out. */
const BUNDLE_BYTES_MAX = 64 * MiB;
/** The newest. */
const REVISIONS_MAX = 20;

/** What every ext4 has at its top. */
const LOST = "lost+found";
const HIDDEN = "(hidden)";
/** A shorter one is no secret, and would be found everywhere. */
const SECRET_CHARACTERS_MIN = 4;

type Source = () => Promise<string>;

export async function supportFiles(
  appliance: Appliance,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const secrets = await secretsOf(appliance);
  const encoder = new TextEncoder();
  const found = new Map<string, Uint8Array>();
  const leftOut: string[] = [];
  let bytes = 0;
  for (const [name, source] of await sources(appliance, signal)) {
    const content = encoder.encode(without(secrets, await textOf(source)));
    signal.throwIfAborted();
    bytes += content.length;
    if (bytes <= BUNDLE_BYTES_MAX) found.set(name, content);
    else leftOut.push(`${name}: ${content.length} bytes\n`);
  }
  if (leftOut.length > 0) found.set("left-out.txt", encoder.encode(leftOut.join("")));
  return found;
}

/** What is most wanted first, since there is a bound. */
async function sources(appliance: Appliance, signal: AbortSignal): Promise<readonly (readonly [string, Source])[]> {
  const { clock, files, logs, revisions } = appliance;
  const ask = (words: readonly string[]) => askSoon(appliance, words, signal);
  const shown = COMMANDS.filter(({ words }) => words[0] === "show").map(({ words }) => words);
  const numbers = (await revisions.numbers()).slice(0, REVISIONS_MAX);
  const logFiles = logs === undefined ? [] : (await files.list(logs)).filter((name) => name !== LOST);
  return [
    ["about.txt", async () => `${formatTime(clock.wallClock())}\n${await appliance.describe()}`],
    ["site/status.json", async () => `${JSON.stringify((await ask(["show", "status"])).value, undefined, 2)}\n`],
    ...shown.map((words) => [`site/${words.join("-")}.txt`, async () => (await ask(words)).text] as const),
    ["machine.json", async () => `${JSON.stringify(await appliance.look(), undefined, 2)}\n`],
    ["firmware.txt", async () => renderFirmware(await appliance.firmware.status())],
    ["kernel.txt", () => appliance.kernelMessages()],
    ...numbers.map(
      (number) =>
        [
          `configuration/revision-${number}.yaml`,
          async () => {
            const { text, time, author, comment } = await revisions.read(number);
            return `# ${formatTime(time)} ${author} ${comment}\n${new Candidate(number, text).show()}`;
          },
        ] as const,
    ),
    ...logFiles.map((name) => [`log/${name}`, () => endOf(files, `${logs}/${name}`)] as const),
  ];
}

async function textOf(source: Source): Promise<string> {
  try {
    return await source();
  } catch (error) {
    if (error instanceof OperatingError) return renderError(error);
    throw error;
  }
}

/** The last lines of a file. */
async function endOf(files: Files, path: string): Promise<string> {
  const file = await files.open(path);
  if (file === undefined) return "";
  try {
    const end = new Uint8Array(Math.min(file.size, LOG_BYTES_MAX));
    await file.read(file.size - end.length, end);
    const text = new TextDecoder().decode(end);
    return end.length === file.size ? text : text.slice(text.indexOf("\n") + 1);
  } finally {
    await file.close();
  }
}

/** Longest first, so that one that has another in it goes as a whole. */
async function secretsOf({ revisions }: Appliance): Promise<readonly string[]> {
  const texts = (await revisions.list()).flatMap(({ revision }) => (revision === undefined ? [] : [revision.text]));
  const secrets = new Set(texts.flatMap(secretsIn).flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]));
  return [...secrets].filter(({ length }) => length >= SECRET_CHARACTERS_MIN).sort((a, b) => b.length - a.length);
}

function without(secrets: readonly string[], text: string): string {
  return secrets.reduce((left, secret) => left.replaceAll(secret, HIDDEN), text);
}
