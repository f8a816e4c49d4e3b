/**
 * Commands as people type them: fixed words, each of which may be shortened as long as it is the only one that it can
 * be, and parameters after them. The same rules find a command, tell what is wrong with one, and complete it.
 *
 * Parameters are written as the help shows them: `VOLUME` for one word, `[VOLUME]` for one that may be left out, a word
 * in small letters for just that word, and at the end `VALUE`, `TEXT` or `COMMAND` for all that follows.
 */

import { OperatingError } from "../base/operating-error.ts";
import type { Completion } from "../config/key-words.ts";
import { nearest } from "../config/nearest.ts";

/** The part of a command that the grammar needs; the site's command table has it, too. */
export interface Rule {
  readonly words: readonly string[];
  readonly parameters: string;
  readonly summary: string;
}

export interface Match<R extends Rule> {
  readonly rule: R;
  readonly parameters: readonly string[];
}

/**
 * Gives what a parameter of that name may be, as far as it is typed, after the parameters that are given already.
 * An empty word is help for people alone.
 */
export type Complete = (parameter: string, typed: string, given: readonly string[]) => readonly Completion[];

interface Token {
  readonly text: string;
  /** Where it begins in the line. */
  readonly start: number;
}

/** Parameters that take the rest of the line as it stands. */
const TAKES_REST = /^\[?(VALUE|TEXT|COMMAND)\]?$/;

/** Words between spaces; quotation marks keep spaces together. */
function tokensOf(line: string): readonly Token[] {
  return Array.from(line.matchAll(/"([^"]*)"?|'([^']*)'?|\S+/g), ({ 0: whole, 1: double, 2: single, index }) => ({
    text: double ?? single ?? whole,
    start: index,
  }));
}

/**
 * The command that a line is. Throws `command.unknown` or `command.parameters` with the words that would be right.
 * @returns undefined for a line without words
 */
export function match<R extends Rule>(rules: readonly R[], line: string): Match<R> | undefined {
  const tokens = tokensOf(line);
  if (tokens.length === 0) return undefined;
  const { candidates, depth } = narrow(rules, tokens);
  const rule = candidates.find(({ words }) => words.length === depth);
  if (rule === undefined) throw unfinished(candidates, tokens, depth);
  const expected = parametersOf(rule);
  const restAt = expected.findIndex((parameter) => TAKES_REST.test(parameter));
  const given = tokens.slice(depth);
  const parameters =
    restAt >= 0 && given.length > restAt
      ? [...given.slice(0, restAt).map(({ text }) => text), line.slice(given[restAt].start).trim()]
      : given.map(({ text }) => text);
  const needed = expected.filter((parameter) => !parameter.startsWith("[")).length;
  if (parameters.length < needed || parameters.length > expected.length) throw wrongParameters(rule, candidates, given);
  return { rule, parameters };
}

/**
 * Words with their abbreviations written out, as far as they are those of one command, and as they were otherwise:
 * whoever knows the command then says what is wrong with it.
 */
export function expand(rules: readonly Rule[], words: readonly string[]): readonly string[] {
  const tokens = words.map((text) => ({ text, start: 0 }));
  try {
    const { candidates, depth } = narrow(rules, tokens);
    const rule = candidates.find((each) => each.words.length === depth);
    return rule === undefined ? words : [...rule.words, ...words.slice(depth)];
  } catch (error) {
    if (error instanceof OperatingError) return words;
    throw error;
  }
}

/** What may stand in the place of the word at the end of `before`; that word may be empty. */
export function complete(rules: readonly Rule[], before: string, parameter: Complete): readonly Completion[] {
  const tokens = tokensOf(before);
  const isBetween = before === "" || /\s$/.test(before);
  const done = isBetween ? tokens : tokens.slice(0, -1);
  const typed = isBetween ? "" : (tokens.at(-1)?.text ?? "");
  let narrowed: { candidates: readonly Rule[]; depth: number };
  try {
    narrowed = narrow(rules, done);
  } catch (error) {
    if (error instanceof OperatingError) return [];
    throw error;
  }
  const { candidates, depth } = narrowed;
  const found = new Map<string, string>();
  if (depth === done.length) {
    for (const { words, summary } of candidates) {
      const word = words[depth];
      if (word?.startsWith(typed)) {
        const isLast = words.length === depth + 1 && !found.has(word);
        found.set(word, isLast ? summary : "");
      }
    }
  }
  for (const rule of candidates.filter(({ words }) => words.length === depth)) {
    const expected = parametersOf(rule);
    const at = done.length - depth;
    const name = (expected[at] ?? (TAKES_REST.test(expected.at(-1) ?? "") ? expected.at(-1) : undefined))?.replace(
      /[[\]]/g,
      "",
    );
    if (name === undefined) continue;
    if (!/^[a-z]/.test(name)) {
      const given = done.slice(depth).map(({ text }) => text);
      for (const { word, help } of parameter(name, typed, given)) found.set(word, help);
    } else if (name.startsWith(typed)) found.set(name, "");
  }
  return Array.from(found, ([word, help]) => ({ word, help }));
}

/** Whether the words so far are a command that needs no more. */
export function isWhole(rules: readonly Rule[], before: string): Rule | undefined {
  try {
    return match(rules, before)?.rule;
  } catch (error) {
    if (error instanceof OperatingError) return undefined;
    throw error;
  }
}

/** What all of them begin with. */
export function commonStart(words: readonly string[]): string {
  let common = words[0] ?? "";
  for (const word of words) while (!word.startsWith(common)) common = common.slice(0, -1);
  return common;
}

/** @returns the rules that the first `depth` words may be */
function narrow<R extends Rule>(
  rules: readonly R[],
  tokens: readonly Token[],
): { readonly candidates: readonly R[]; readonly depth: number } {
  let candidates = rules;
  let depth = 0;
  for (const { text } of tokens) {
    const next = [...new Set(candidates.flatMap(({ words }) => words.slice(depth, depth + 1)))];
    // Where a parameter may stand as well, only the whole word is the word: a file may be called 'term'.
    const takesParameter = candidates.some(({ words, parameters }) => words.length === depth && parameters !== "");
    const meant = next.includes(text) ? [text] : takesParameter ? [] : next.filter((word) => word.startsWith(text));
    if (meant.length > 1) {
      throw new OperatingError("command.unknown", `'${text}' could be ${meant.join(" or ")}.`, "Type a letter more.");
    }
    if (meant.length === 0) break;
    candidates = candidates.filter(({ words }) => words[depth] === meant[0]);
    depth++;
  }
  return { candidates, depth };
}

function parametersOf({ parameters }: Rule): readonly string[] {
  return parameters === "" ? [] : parameters.split(" ");
}

function usage({ words, parameters }: Rule): string {
  return [...words, parameters].join(" ").trim();
}

function unfinished(candidates: readonly Rule[], tokens: readonly Token[], depth: number): OperatingError {
  const next = [...new Set(candidates.flatMap(({ words }) => words.slice(depth, depth + 1)))];
  const soFar = candidates[0]?.words.slice(0, depth).join(" ") ?? "";
  const wrong = tokens[depth]?.text;
  if (wrong === undefined) {
    return new OperatingError("command.unknown", `'${soFar}' needs a word more.`, `Give ${list(next)}.`);
  }
  const guess = nearest(wrong, next);
  const where = soFar === "" ? "There is no command" : `After '${soFar}' there is no`;
  const hint = guess === undefined ? `Known are ${list(next)}.` : `Did you mean ${guess}? Known are ${list(next)}.`;
  return new OperatingError("command.unknown", `${where} '${wrong}'.`, hint);
}

function wrongParameters(rule: Rule, candidates: readonly Rule[], given: readonly Token[]): OperatingError {
  const more = candidates.filter((each) => each !== rule).map(usage);
  const form = [usage(rule), ...more].map((each) => `'${each}'`);
  const found = given.length === 0 ? "nothing after it" : `'${given.map(({ text }) => text).join(" ")}' after it`;
  return new OperatingError(
    "command.parameters",
    `'${rule.words.join(" ")}' has ${found}.`,
    `It is ${form.join(" or ")}.`,
  );
}

function list(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
