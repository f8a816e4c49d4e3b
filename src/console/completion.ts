/** What Tab and `?` offer: the rest of a word, or what may follow and what it means. */

import { OperatingError } from "../base/operating-error.ts";
import { type Completion, completeKeys, readKeys } from "../config/key-words.ts";
import type { KeyPath } from "../config/problem.ts";
import { describeKey } from "../config/schema.ts";
import { type ConsoleCommand, columns } from "./command.ts";
import type { Assistance } from "./conversation.ts";
import { commonStart, complete, isWhole } from "./grammar.ts";
import { PARAMETERS } from "./parameters.ts";

/** Names that parameters may have now. */
export interface KnownNames {
  /** Below a key of the configuration at hand. */
  below(path: KeyPath): readonly string[];
  readonly revisions: readonly number[];
  /** Paths of the drives that it has. */
  readonly drives: readonly string[];
  /** What stands after `run`. */
  readonly operational: readonly ConsoleCommand[];
}

export function assist(commands: readonly ConsoleCommand[], known: KnownNames, assistance: Assistance): void {
  const { before, kind } = assistance;
  const found = complete(commands, before, (name, typed, given) => parameterWords(name, typed, given, known));
  const words = found.flatMap(({ word }) => (word === "" ? [] : [word]));
  const typed = /\S*$/.exec(before)?.[0] ?? "";
  if (kind === "complete") {
    const start = commonStart(words);
    const isLast = words.length === 1 && !/[.[]$/.test(start);
    if (found.length === 0) assistance.ring();
    else if (words.length === 1 || start.length > typed.length) {
      assistance.insert(isLast ? `${start} ` : start, typed.length);
    }
    if (words.length === 1 || found.length === 0 || start.length > typed.length) return;
  }
  const whole = isWhole(commands, before);
  const rows = found.map(({ word, help }): readonly [string, string] => (word === "" ? ["", help] : [word, help]));
  if (whole !== undefined && (typed === "" || found.length === 0)) rows.push(["<Enter>", whole.summary]);
  assistance.show(rows.length === 0 ? "  Nothing can stand here.\n" : columns(rows));
}

function parameterWords(
  name: string,
  typed: string,
  given: readonly string[],
  known: KnownNames,
): readonly Completion[] {
  const plain = (words: readonly (string | number)[], help = "") =>
    words.map((word) => ({ word: String(word), help })).filter(({ word }) => word.startsWith(typed));
  switch (name) {
    case "PATH":
      return completeKeys(typed, (path) => known.below(path));
    case "VALUE":
      return given.length === 1 ? valueWords(given[0], typed) : [];
    case "VOLUME":
      return plain(known.below(["volumes"]));
    case "ARRAY":
      return plain(known.below(["arrays"]));
    case "DRIVE":
      return known.drives.length === 0 ? [{ word: "", help: PARAMETERS.DRIVE }] : plain(known.drives);
    case "N":
      return plain(known.revisions);
    case "COMMAND":
      return complete(known.operational, [...given, typed].join(" "), (inner, text, before) =>
        parameterWords(inner, text, before, known),
      );
    default:
      return PARAMETERS[name] === undefined ? [] : [{ word: "", help: PARAMETERS[name] }];
  }
}

/** What a key may be set to: the words that there are, or what it is in words. */
function valueWords(key: string, typed: string): readonly Completion[] {
  try {
    const description = describeKey(readKeys(key));
    if (description === undefined) return [];
    const { allowed, expected } = description;
    if (allowed.length === 0) return [{ word: "", help: expected }];
    return allowed.map((word) => ({ word: String(word), help: "" })).filter(({ word }) => word.startsWith(typed));
  } catch (error) {
    if (error instanceof OperatingError) return [];
    throw error;
  }
}
