/** A command of the console, and what it works with. */

import { OperatingError } from "../base/operating-error.ts";
import type { Candidate } from "../config/candidate.ts";
import { ConfigError } from "../config/problem.ts";
import type { Progress } from "../site/commands.ts";
import type { Appliance } from "./appliance.ts";
import type { Conversation } from "./conversation.ts";
import type { Rule } from "./grammar.ts";
import type { Users } from "./users.ts";

/** One login of one operator. */
export interface Desk {
  readonly appliance: Appliance;
  readonly conversation: Conversation;
  /** Who is logged in: the author of revisions. */
  readonly user: string;
  /** Where logins are asked for: those who may. */
  readonly users?: Users;
  /** The configuration that is being changed; there is none in operational mode. */
  candidate: Candidate | undefined;
  /** The commands of operational mode. */
  readonly operational: readonly ConsoleCommand[];
  /** Runs a line in operational mode. */
  operate(line: string, signal: AbortSignal): Promise<void>;
  /** Ends the login after this command. */
  leave(): void;
}

/** Of a site that has no name yet. */
export const UNNAMED = "antipode";

export interface ConsoleCommand extends Rule {
  run(desk: Desk, parameters: readonly string[], signal: AbortSignal): Promise<void>;
}

export function command(
  words: string,
  parameters: string,
  summary: string,
  run: ConsoleCommand["run"],
): ConsoleCommand {
  return { words: words.split(" "), parameters, summary, run };
}

/** Runs what takes long, with a line that says how far it is. */
export async function showProgress<T>(
  conversation: Conversation,
  run: (onProgress: (progress: Progress) => void) => Promise<T>,
): Promise<T> {
  let shown = "";
  const result = await run(({ what, done, total }) => {
    const progress = `${what}: ${Math.floor((done / total) * 100)} %`;
    if (progress !== shown) conversation.overwrite(progress);
    shown = progress;
  });
  if (shown !== "") conversation.overwrite("");
  return result;
}

/** A whole number that an operator gave. Throws `command.parameters`. */
export function wholeNumber(text: string, what: string, min: number, max: number): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new OperatingError("command.parameters", `${text} is not ${what}.`, `Give a number from ${min} to ${max}.`);
}

export function renderError(error: OperatingError): string {
  const { code, what, remedy } = error;
  if (error instanceof ConfigError) {
    // By key, since a candidate has no lines that an operator could look at; by line where there is no key.
    const lines = error.problems.map(
      ({ path, line, column, message }) => `  ${path === "" ? `line ${line}, column ${column}` : path}: ${message}`,
    );
    return `Error: ${error.file} can't be used:\n${lines.join("\n")}\n  (${code})\n`;
  }
  return `Error: ${what}\n  What to do: ${remedy}\n  (${code})\n`;
}

/** The commands of a table and what they do, in two columns. */
export function renderCommands(rules: readonly Rule[]): string {
  return columns(rules.map(({ words, parameters, summary }) => [[...words, parameters].join(" ").trim(), summary]));
}

export function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows
    .map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd())
    .join("\n")
    .concat("\n");
}
