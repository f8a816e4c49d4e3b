/** What is wrong with a configuration: always all of it, each with the place where it stands. */

import { OperatingError } from "../base/operating-error.ts";

/** The keys and list positions that lead to a value, such as `["arrays", "main", "level"]`. */
export type KeyPath = readonly (string | number)[];

export interface Problem {
  /** 1-based, in the file. */
  readonly line: number;
  readonly column: number;
  /** As people write it, `mirror.legs[0][1]`; empty for the file as a whole. */
  readonly path: string;
  /** What is wrong and what is allowed. */
  readonly message: string;
}

export function formatPath(path: KeyPath): string {
  let text = "";
  for (const key of path) text += typeof key === "number" ? `[${key}]` : text === "" ? key : `.${key}`;
  return text;
}

/** Reads what `formatPath` writes. @returns undefined where the text is no path */
export function parsePath(text: string): KeyPath | undefined {
  if (!/^[^.[\]]+(\.[^.[\]]+|\[\d{1,6}\])*$/.test(text)) return undefined;
  return Array.from(text.matchAll(/\[(\d+)\]|[^.[\]]+/g), ([key, index]) =>
    index === undefined ? key : Number(index),
  );
}

export function formatProblem(file: string, { line, column, path, message }: Problem): string {
  return `${file}:${line}:${column}: ${path === "" ? "" : `${path}: `}${message}`;
}

/** The error `config.invalid`; its text lists every problem on a line of its own. */
export class ConfigError extends OperatingError {
  constructor(
    readonly file: string,
    readonly problems: readonly Problem[],
  ) {
    const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
    super(
      "config.invalid",
      `The configuration ${file} has ${count}:\n${problems.map((problem) => `  ${formatProblem(file, problem)}`).join("\n")}\n`,
      "Correct the file; docs/configuration.md describes every key.",
    );
  }
}
