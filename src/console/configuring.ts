/** Configuration mode: a candidate is changed, looked at, and committed as a new revision. */

import { OperatingError } from "../base/operating-error.ts";
import { hasSecret, isSecret } from "../config/candidate.ts";
import { readKeys } from "../config/key-words.ts";
import { formatPath } from "../config/problem.ts";
import { TEXT_BYTES_MAX } from "../config/revisions.ts";
import { type ConsoleCommand, command, type Desk, renderCommands, wholeNumber } from "./command.ts";
import { candidateOf, check, commit } from "./commit.ts";
import { assertCommitted, confirm, newestText, revisionNumber } from "./committed.ts";

/** Three days: whoever waits longer has forgotten. */
const CONFIRM_MINUTES_MAX = 3 * 24 * 60;

import { withFile } from "./outside-file.ts";

export const CONFIGURING: readonly ConsoleCommand[] = [
  command("set", "PATH [VALUE]", "give a key a value, written as YAML; a secret is asked for", set),
  command("delete", "PATH", "take a key out, with all below it", async (desk, [path]) => {
    candidateOf(desk).delete(readKeys(path));
  }),
  command("show", "[PATH]", "the configuration as it would be committed, or a part of it", async (desk, [path]) => {
    const text = candidateOf(desk).show(path === undefined ? [] : readKeys(path));
    await desk.conversation.print(text === "" ? "Nothing is set.\n" : text);
  }),
  command("compare", "[N]", "what was changed, or what differs from revision N", async (desk, [number]) => {
    const candidate = candidateOf(desk);
    const before =
      number === undefined ? undefined : (await desk.appliance.revisions.read(revisionNumber(number))).text;
    const text = candidate.compare(before);
    await desk.conversation.print(text === "" ? "Nothing differs.\n" : text);
  }),
  command("check", "", "say whether it could be committed, and what is unwise about it", check),
  command("commit check", "", "as check", check),
  command("commit", "", "make it the newest revision, and carry it out", (desk) => commit(desk, {})),
  command("commit comment", "TEXT", "the same, with a comment that is kept with the revision", (desk, [comment]) =>
    commit(desk, { comment }),
  ),
  command("commit confirmed", "MINUTES", "the same, but go back unless it is confirmed in time", (desk, [minutes]) =>
    commit(desk, { minutes: wholeNumber(minutes, "a number of minutes", 1, CONFIRM_MINUTES_MAX) }),
  ),
  command("confirm", "", "keep what was committed by commit confirmed", confirm),
  command("rollback", "N", "take up revision N, to be committed again", async (desk, [number]) => {
    const revision = await desk.appliance.revisions.read(revisionNumber(number));
    candidateOf(desk).load(revision.text, `revision ${revision.number}`);
    desk.conversation.say("compare shows what that changes; commit makes it the newest revision.\n");
  }),
  command("save", "FILE", "write it to a file, secrets included", save),
  command("load", "FILE", "take a file's YAML in its place", load),
  command("load terminal", "", "take YAML in its place that is pasted here", loadTerminal),
  command("discard", "", "forget all changes", async (desk) => {
    desk.candidate = await newestText(desk);
  }),
  command("run", "COMMAND", "a command of operational mode", (desk, [line], signal) => desk.operate(line, signal)),
  command("help", "", "the commands", async (desk) => desk.conversation.print(renderCommands(CONFIGURING))),
  command("exit", "", "go back to operational mode", async (desk) => {
    assertCommitted(desk);
    desk.candidate = undefined;
  }),
];

async function set(desk: Desk, [text, value]: readonly string[]): Promise<void> {
  const path = readKeys(text);
  const candidate = candidateOf(desk);
  if (!isSecret(path) && !hasSecret(value ?? "")) {
    candidate.set(path, value ?? "");
    return;
  }
  if (value !== undefined) {
    const key = isSecret(path) ? formatPath(path) : "KEY";
    throw new OperatingError(
      "command.secret",
      "A secret is not typed where it can be read; this one was not set.",
      `Type set ${key} with the secret's key and no value, and it is asked for. Choose another one: this was seen.`,
    );
  }
  const secret = await desk.conversation.readSecret(`${formatPath(path)}: `);
  if (secret === undefined || secret === "") return;
  if ((await desk.conversation.readSecret("the same again: ")) === secret) candidate.setText(path, secret);
  else throw new OperatingError("command.secret", "The two were not the same; nothing was set.", "Try again.");
}

async function save(desk: Desk, [file]: readonly string[]): Promise<void> {
  const text = new TextEncoder().encode(candidateOf(desk).text);
  const path = await withFile(desk, file, async (each) => {
    await desk.appliance.files.replace(each, text);
    return each;
  });
  desk.conversation.say(`Written to ${path}, secrets included: see that only you can read it.\n`);
}

async function load(desk: Desk, [file]: readonly string[]): Promise<void> {
  await withFile(desk, file, async (path) => candidateOf(desk).load(await textOf(desk, path), path));
}

async function textOf({ appliance }: Desk, path: string): Promise<string> {
  const opened = await appliance.files.open(path);
  if (opened === undefined) {
    throw new OperatingError("command.no-file", `There is no file ${path}.`, "Check the path.");
  }
  try {
    if (opened.size > TEXT_BYTES_MAX) {
      const remedy = `A configuration has at most ${TEXT_BYTES_MAX}.`;
      throw new OperatingError("command.no-file", `${path} has ${opened.size} bytes.`, remedy);
    }
    const content = new Uint8Array(opened.size);
    await opened.read(0, content);
    return new TextDecoder().decode(content);
  } finally {
    await opened.close();
  }
}

async function loadTerminal(desk: Desk): Promise<void> {
  desk.conversation.say("Paste the configuration, then type Ctrl-D; Ctrl-C gives it up.\n");
  const text = await desk.conversation.readPaste();
  if (text !== undefined) candidateOf(desk).load(text, "what was pasted");
  else desk.conversation.say("Nothing was loaded.\n");
}
