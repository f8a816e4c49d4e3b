/**
 * A configuration while it is being edited: begun from a revision, private to one session, and nothing until it is
 * committed. Edits keep comments, order and quoting of everything around them.
 */

import { type Document, isMap, isNode, isPair, isScalar, isSeq, type Node, parseDocument, visit } from "yaml";
import { OperatingError } from "../base/operating-error.ts";
import { difference } from "./difference.ts";
import { ConfigDocument } from "./document.ts";
import { ConfigError, formatPath, type KeyPath } from "./problem.ts";

/** Values of these keys are never shown. */
const SECRET_KEYS: readonly unknown[] = ["secret", "password"];

const HIDDEN = "(hidden)";
const HIDDEN_CHANGED = "(hidden; another one)";

export function isSecret(path: KeyPath): boolean {
  return SECRET_KEYS.includes(path.at(-1));
}

/** Whether there is a secret somewhere in a value. */
export function hasSecret(value: string): boolean {
  let found = false;
  visit(parsed(value), {
    Pair: (_, { key }) => {
      if (isScalar(key) && SECRET_KEYS.includes(key.value)) found = true;
    },
  });
  return found;
}

/** All texts and numbers that stand at keys of secrets in a configuration. */
export function secretsIn(text: string): readonly string[] {
  const found: string[] = [];
  visit(parsed(text), {
    Pair: (_, { key, value }) => {
      if (!isScalar(key) || !SECRET_KEYS.includes(key.value) || !isNode(value)) return;
      visit(value, { Scalar: (_at, scalar) => void found.push(String(scalar.value), scalar.source ?? "") });
    },
  });
  return found;
}

export class Candidate {
  /** As it was given, until it is edited; so that a file that is loaded is committed as it is. */
  #text: string;
  #document: Document;
  readonly #baseText: string;

  /** @param base the revision's number, 0 where there is none yet; @param text its text */
  constructor(
    readonly base: number,
    text: string,
  ) {
    this.#baseText = text;
    this.#text = text;
    this.#document = parsed(text);
  }

  get text(): string {
    return this.#text;
  }

  /** Whether it differs from the revision that it was begun from. */
  get changed(): boolean {
    return this.#text !== this.#baseText;
  }

  /** All of it, or what stands at a key, secrets hidden. Throws `command.no-key` where nothing does. */
  show(path: KeyPath = []): string {
    if (path.length === 0) return printed(hidden(this.#text));
    const found = hidden(this.#text).getIn(path, true);
    if (!isNode(found)) throw nothingAt(path);
    const shown = parsed("");
    shown.contents = found as typeof shown.contents;
    return printed(shown);
  }

  /** What was changed since the revision that it was begun from, or since another text. */
  compare(before: string = this.#baseText): string {
    return difference(printed(hidden(before)), printed(hidden(this.#text, parsed(before))));
  }

  /** A text that stands at a key, if one does. */
  value(path: KeyPath): string | undefined {
    const found = this.#document.getIn(path);
    return typeof found === "string" ? found : undefined;
  }

  /** Names below a key, such as those of the volumes. */
  names(path: KeyPath): readonly string[] {
    const found = path.length === 0 ? this.#document.contents : this.#document.getIn(path, true);
    return isMap(found) ? found.items.flatMap(({ key }) => (isScalar(key) ? [String(key.value)] : [])) : [];
  }

  /** The texts of a list, such as the paths of the drives; an item may have its text in a section, as `path`. */
  texts(path: KeyPath): readonly string[] {
    const found = this.#document.getIn(path, true);
    const items = isSeq(found) ? found.items.map((item) => (isMap(item) ? item.get("path") : item)) : [];
    return items.map((item) => (isScalar(item) ? item.value : item)).filter((item) => typeof item === "string");
  }

  /**
   * @param value YAML of one value: `5`, `100GiB`, `[0, 1]`, `{ level: 1, drives: [0, 1] }`
   * Throws `command.value` where it is none, or where nothing can stand at that path.
   */
  set(path: KeyPath, value: string): void {
    this.#setNode(path, readValue(value));
  }

  /** As `set`, of a text that is taken as it is. */
  setText(path: KeyPath, text: string): void {
    this.#setNode(path, this.#document.createNode(text));
  }

  #setNode(path: KeyPath, node: Node): void {
    const changed = this.#document.clone();
    makeReachable(changed, path);
    const old = changed.getIn(path, true);
    if (isNode(old)) {
      node.comment ??= old.comment;
      node.commentBefore ??= old.commentBefore;
      node.spaceBefore ??= old.spaceBefore;
    }
    changed.setIn(path, node);
    this.#take(changed);
  }

  /** Throws `command.no-key` where nothing is at that path. */
  delete(path: KeyPath): void {
    const changed = this.#document.clone();
    if (!changed.hasIn(path) || !changed.deleteIn(path)) throw nothingAt(path);
    this.#take(changed);
  }

  /** Takes another text in the place of all of it. Throws `config.invalid` where it is no YAML. */
  load(text: string, name: string): void {
    const { problems, value } = new ConfigDocument(text);
    if (value === undefined || problems.length > 0) throw new ConfigError(name, problems);
    this.#document = parsed(text);
    this.#text = text;
  }

  #take(document: Document): void {
    this.#document = document;
    this.#text = printed(document);
  }
}

/** Throws `command.value` where something above the path holds a value, or a list would get a gap. */
function makeReachable(document: Document, path: KeyPath): void {
  for (let at = 0; at < path.length; at++) {
    const above = path.slice(0, at);
    let node: unknown = at === 0 ? document.contents : document.getIn(above, true);
    if (at > 0 && isScalar(node) && node.value === null) {
      // A key without a value becomes the section that is to be in it.
      document.deleteIn(above);
      node = undefined;
    }
    if (isScalar(node) && node.value !== null) {
      throw badValue(
        `'${formatPath(above)}' holds the value ${String(node)}, so '${formatPath(path)}' can't be set in it`,
      );
    }
    const key = path[at];
    const end = isSeq(node) ? node.items.length : 0;
    if (typeof key === "number" && key > end) {
      throw badValue(
        `'${formatPath(path.slice(0, at + 1))}' is past the end of the list: the next place is ${formatPath([...above, end])}`,
      );
    }
  }
}

function parsed(text: string): Document {
  return parseDocument(text, { stringKeys: true, logLevel: "silent" }) as Document;
}

function printed(document: Document): string {
  if (document.errors.length > 0) return "";
  if (document.contents === null) return "";
  // JSON is one line otherwise, in which nobody finds what was changed.
  if (isMap(document.contents)) document.contents.flow = false;
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

function readValue(text: string): Node {
  const document = parsed(text);
  const remedy = "A value is YAML: put quotes around text with : or # or brackets in it.";
  const fault = document.errors[0]?.message.split("\n", 1)[0].replace(/ at line .*$/, "");
  if (fault !== undefined) throw new OperatingError("command.value", `${text} is no value: ${fault}.`, remedy);
  let aliased = false;
  visit(document, {
    Alias: () => {
      aliased = true;
    },
  });
  if (document.contents === null || aliased) {
    throw new OperatingError(
      "command.value",
      aliased ? `${text} refers to something else.` : "No value is given.",
      remedy,
    );
  }
  return document.contents as Node;
}

/** The document with its secrets hidden; those that `before` has differently are told from those that are the same. */
function hidden(text: string, before?: Document): Document {
  const document = parsed(text);
  visit(document, {
    Pair: (_, pair, ancestors) => {
      const key = isScalar(pair.key) ? pair.key.value : pair.key;
      if (!SECRET_KEYS.includes(key) || !isNode(pair.value)) return;
      const path = [...ancestors.flatMap((each, at) => stepOf(each, ancestors[at + 1])), key];
      const same = before === undefined || String(before.getIn(path, true)) === String(pair.value);
      pair.value = document.createNode(same ? HIDDEN : HIDDEN_CHANGED);
      return visit.SKIP;
    },
  });
  return document;
}

/** The key or place that leads from one node on the way to the next. */
function stepOf(node: unknown, next: unknown): readonly unknown[] {
  if (isPair(node)) return isScalar(node.key) ? [node.key.value] : [];
  return isSeq(node) ? [node.items.indexOf(next)] : [];
}

function nothingAt(path: KeyPath): OperatingError {
  return new OperatingError(
    "command.no-key",
    `Nothing is set at '${formatPath(path)}'.`,
    "show tells what is; keys that are not set have the defaults that docs/configuration.md names.",
  );
}

function badValue(what: string): OperatingError {
  return new OperatingError("command.value", `${what}.`, "Set the key above it as a whole, or delete it first.");
}
