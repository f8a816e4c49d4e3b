/**
 * `setup`: asks for all that an appliance without a configuration needs, and commits it as any other. Until the last answer
 * nothing is changed, whatever happens to the line or the operator.
 */

import { OperatingError } from "../base/operating-error.ts";
import { Candidate } from "../config/candidate.ts";
import { command, type Desk } from "./command.ts";
import { check, commit } from "./commit.ts";
import { assertCommitted } from "./committed.ts";
import type { Assistance } from "./conversation.ts";
import { commonStart } from "./grammar.ts";
import { Draft } from "./setup-draft.ts";
import { type Outcome, type Question, setupQuestions } from "./setup-questions.ts";
import { wrapped } from "./wrapped.ts";

export const SETUP = command("setup", "", "ask for what a new appliance needs, from bare drives to a LUN", setup);

/** Said at a login before there is a configuration. */
export const SETUP_OFFER = "Nothing is configured yet: type setup to be asked for all that is needed.\n";

const HOW =
  "This asks for all that is needed, from bare drives to a LUN. Enter takes what stands in brackets, ? tells more, Ctrl-C " +
  "gives up. Nothing is changed before the end.\n\n";

/** Columns that are left for an answer beside its question; on a narrower terminal it is asked for below. */
const ANSWER_ROOM = 16;

async function setup(desk: Desk, _: readonly string[], signal: AbortSignal): Promise<void> {
  const { appliance, conversation } = desk;
  assertCommitted(desk);
  const [newest] = await appliance.revisions.numbers();
  if (newest !== undefined) {
    throw new OperatingError(
      "setup.configured",
      `There is a configuration already: revision ${newest}.`,
      "Change it by configure, or begin anew by factory reset.",
    );
  }
  const machine = await appliance.look();
  signal.throwIfAborted();
  const draft = new Draft((text) => appliance.revisions.check(text));
  conversation.say(wrapped(HOW, conversation.settings.columns - 1));
  const outcome = await askAll(desk, draft, setupQuestions(machine), signal);
  if (outcome === undefined) {
    conversation.say("Given up; nothing was changed.\n");
    return;
  }
  const candidate = new Candidate(0, "");
  candidate.load(draft.text, "what was answered");
  desk.candidate = candidate;
  await conversation.print(`\n${candidate.show()}`);
  await conclude(desk, outcome);
}

/** Looks at the whole once more, and commits it, or leaves it to be changed. */
async function conclude(desk: Desk, { overwrite, loses }: Outcome): Promise<void> {
  const { conversation } = desk;
  // What no answer brought to light leaves the candidate in configuration mode, to be mended there.
  await check(desk);
  if (loses) conversation.say("  warning: everything on its drives will be lost.\n");
  for (;;) {
    const answer = await conversation.readAnswer("Commit it? (yes, no: change it first) [yes]: ");
    if (answer === undefined) {
      desk.candidate = undefined;
      conversation.say("Given up; nothing was changed.\n");
      return;
    }
    const text = answer.trim() || "yes";
    if (text === "no") {
      conversation.say("Change it by set and delete, and commit it; exit after discard forgets it.\n");
      if (loses) conversation.say("To have drives laid out anew that are not blank, go through setup again.\n");
      return;
    }
    if (text !== "yes") {
      conversation.say("Answer yes or no.\n");
      continue;
    }
    await commit(desk, { comment: "setup", overwrite }).finally(() => {
      if (desk.candidate?.changed === false) desk.candidate = undefined;
    });
    return;
  }
}

/** @returns undefined where the operator gave up */
async function askAll(
  { conversation }: Desk,
  draft: Draft,
  questions: Generator<Question, Outcome, string>,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  let next = questions.next();
  let asked: Question | undefined;
  while (next.done !== true) {
    const question = next.value;
    if (question !== asked && question.intro !== undefined) await conversation.print(`\n${question.intro}`);
    asked = question;
    const usual = question.byDefault === undefined ? "" : ` [${question.byDefault}]`;
    let prompt = `${question.ask}${usual}: `;
    if (prompt.length + ANSWER_ROOM > conversation.settings.columns) {
      conversation.say(`${prompt.slice(0, -2)}\n`);
      prompt = "> ";
    }
    const answer = await conversation.readAnswer(prompt, (how) => assist(question, conversation.settings.columns, how));
    if (answer === undefined) return undefined;
    signal.throwIfAborted();
    const text = answer.trim() || question.byDefault;
    const faults = text === undefined ? ["There is no default; ? tells more."] : faultsOf(draft, question, text);
    for (const fault of faults) conversation.say(`  ${fault}\n`);
    if (text !== undefined && faults.length === 0) next = questions.next(text);
  }
  return next.value;
}

function faultsOf(draft: Draft, question: Question, answer: string): readonly string[] {
  const sections = question.put(answer);
  if (typeof sections === "string") return [sections];
  return draft.put(sections, question.keys).map(({ path, message }) => `${path}: ${message}.`);
}

function assist(
  { help, words = [] }: Question,
  columns: number,
  { kind, before, insert, show, ring }: Assistance,
): void {
  if (kind === "help") {
    show(`${wrapped(help, columns - 3)}\n`.replace(/^(?=.)/gm, "  "));
    return;
  }
  const typed = /\S*$/.exec(before)?.[0] ?? "";
  const found = words.filter((word) => word.startsWith(typed));
  const start = commonStart(found);
  if (start.length > typed.length) insert(start, typed.length);
  else if (found.length > 1) show(`  ${found.join("  ")}\n`);
  else ring();
}
