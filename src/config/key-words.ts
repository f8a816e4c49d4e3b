/**
 * Keys as operators type them, `volumes.db01.size` or `mirror.legs[0]`: read with unique abbreviations of the fixed
 * keys, refused with the words that would be right, and completed.
 */

import { OperatingError } from "../base/operating-error.ts";
import { unknownKey } from "./config.ts";
import { formatPath, type KeyPath, parsePath } from "./problem.ts";
import { describeKey, knownKeys } from "./schema.ts";

/** What could be typed next, and what it is. */
export interface Completion {
  readonly word: string;
  readonly help: string;
}

/** Names that entries by name have now, below a path. */
export type NamesAt = (path: KeyPath) => readonly string[];

/** Throws `command.key` where the schema has no such key. Names are taken as they are: there may be new ones. */
export function readKeys(text: string): KeyPath {
  const typed = parsePath(text);
  if (typed === undefined) throw refused(`'${text}' is no key: keys look like volumes.db01.size or link.from[0]`);
  let path: KeyPath = [];
  for (const key of typed) {
    const kind = path.length === 0 ? "section" : describeKey(path)?.kind;
    if (kind === "list" && typeof key !== "number") {
      throw refused(`'${formatPath(path)}' is a list: give a place in it, such as ${formatPath([...path, 0])}`);
    }
    if (kind !== "list" && typeof key === "number") {
      throw refused(`'${formatPath(path)}' is no list, so there is no [${key}] in it`);
    }
    if (kind === "value") throw refused(`'${formatPath(path)}' holds a value, and no keys`);
    path = [...path, kind === "section" ? fixedKey(path, String(key)) : key];
  }
  return path;
}

function fixedKey(path: KeyPath, typed: string): string {
  const known = knownKeys(path);
  if (known.includes(typed)) return typed;
  const meant = known.filter((key) => key.startsWith(typed));
  if (meant.length === 1) return meant[0];
  if (meant.length > 1) throw refused(`'${typed}' could be ${meant.join(" or ")}`);
  throw refused(`'${formatPath([...path, typed])}': ${unknownKey([...path, typed])}`);
}

function refused(what: string): OperatingError {
  return new OperatingError("command.key", `${what}.`, "Type ? in the place of the key to see which there are.");
}

/** Whole keys that what was typed may become: sections end in a dot, lists in a bracket. */
export function completeKeys(text: string, namesAt: NamesAt): readonly Completion[] {
  const cut = Math.max(text.lastIndexOf("."), text.lastIndexOf("["));
  const [above, last] = cut < 0 ? ["", text] : [text.slice(0, cut), text.slice(cut + 1)];
  let path: KeyPath;
  try {
    path = above === "" ? [] : readKeys(above);
  } catch (error) {
    if (error instanceof OperatingError) return [];
    throw error;
  }
  const kind = path.length === 0 ? "section" : describeKey(path)?.kind;
  if (kind === "list" || (cut >= 0 && text[cut] === "[")) return [];
  const words = kind === "section" ? knownKeys(path) : kind === "entries" ? namesAt(path) : [];
  return words
    .filter((word) => word.startsWith(last))
    .map((word) => {
      const whole = [...path, word];
      const found = describeKey(whole);
      const end = found?.kind === "section" || found?.kind === "entries" ? "." : found?.kind === "list" ? "[" : "";
      return { word: formatPath(whole) + end, help: found?.expected ?? "" };
    });
}
