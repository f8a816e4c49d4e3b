/**
 * A configuration's YAML text, and where in it each value stands.
 * It knows YAML and nothing of what the keys mean.
 */

import { isMap, isNode, isScalar, LineCounter, type Node, parseDocument, type Document as YamlDocument } from "yaml";
import { formatPath, type KeyPath, type Problem } from "./problem.ts";

/** Copies that aliases (`*name`) may make, so that a small file cannot fill memory. */
const ALIAS_COPIES_MAX = 100;

/** Faults of the text that are told of: after one, the others often follow from it. */
const FAULTS_MAX = 20;

/** For what the YAML library tells to programmers, or what is valid YAML and no configuration. */
const OWN_WORDS: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: "this key stands here twice; keep one of the two",
  MULTIPLE_DOCS: "a second YAML document starts here; a configuration is one",
  NON_STRING_KEY: "this key is no plain text",
};

/** Behind a colon the library repeats the text that it does not understand, which may be a secret without quotes. */
function notYaml(message: string): string {
  return `not valid YAML: ${message.replace(/: .*$/s, "")}`;
}

export class ConfigDocument {
  readonly #document: YamlDocument.Parsed;
  readonly #lines = new LineCounter();
  /** Faults of the text as YAML. */
  readonly problems: readonly Problem[];
  /** Plain objects, lists, strings, numbers, booleans and nulls; undefined when the text is no YAML. */
  readonly value: unknown;

  constructor(text: string) {
    this.#document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      stringKeys: true,
      logLevel: "error",
    });
    const faults = [...this.#document.errors, ...this.#document.warnings].slice(0, FAULTS_MAX);
    const problems = faults.map(({ code, message, pos }) => {
      const { line, col } = this.#lines.linePos(pos[0]);
      return { line, column: col, path: "", message: OWN_WORDS[code] ?? notYaml(message) };
    });
    if (this.#document.errors.every(({ code }) => code === "DUPLICATE_KEY")) {
      try {
        this.value = this.#document.toJS({ maxAliasCount: ALIAS_COPIES_MAX });
      } catch (error) {
        problems.push({ line: 1, column: 1, path: "", message: notYaml((error as Error).message) });
      }
    }
    this.problems = problems;
  }

  /** A problem with the value at `path`, placed there, or at the nearest value around it that the text has. */
  problem(path: KeyPath, message: string): Problem {
    const { line, col } = this.#lines.linePos(this.#offset(path));
    return { line, column: col, path: formatPath(path), message };
  }

  /** A problem with the last key of `path` itself. */
  keyProblem(path: KeyPath, message: string): Problem {
    const { line, col } = this.#lines.linePos(this.#key(path)?.range?.[0] ?? this.#offset(path));
    return { line, column: col, path: formatPath(path), message };
  }

  #offset(path: KeyPath): number {
    if (path.length === 0) return this.#document.contents?.range?.[0] ?? 0;
    const found = this.#document.getIn(path, true);
    // A key without a value has its null at the end of the line; the key is what people look for.
    if (isNode(found) && found.range && !(isScalar(found) && found.value === null)) return found.range[0];
    return this.#key(path)?.range?.[0] ?? this.#keyOrOffset(path.slice(0, -1));
  }

  /** Of a missing key the section's own name is the place, not the section's first key. */
  #keyOrOffset(path: KeyPath): number {
    return this.#key(path)?.range?.[0] ?? this.#offset(path);
  }

  #key(path: KeyPath): Node | undefined {
    if (path.length === 0) return undefined;
    const parent = path.length === 1 ? this.#document.contents : this.#document.getIn(path.slice(0, -1), true);
    if (!isMap(parent)) return undefined;
    const last = path[path.length - 1];
    const pair = parent.items.find(({ key }) => (isScalar(key) ? String(key.value) === String(last) : false));
    return pair && isNode(pair.key) ? pair.key : undefined;
  }
}
