/** What every refusal has to be: one clear message with a code, a defined exit code, no trace of the program's inside. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Result, Workbench } from "../conformance/workbench.ts";

export const EXIT = { usage: 2, operation: 3, different: 4 } as const;

/** @param mentions what the operator has to be told: the field, file, place or site */
export function expectRefusal(result: Result, exitCode: number, code: string, ...mentions: readonly string[]): void {
  expect(result.code, result.text).toBe(exitCode);
  expect(result.stderr.match(/^antipode: /gm), result.text).toHaveLength(1);
  expect(result.stderr).toMatch(new RegExp(`^ {2}What to do: \\S.*\n {2}\\(${code.replace(".", "\\.")}\\)\n`, "m"));
  for (const mention of mentions) expect(result.stderr).toContain(mention);
  expectNoTrace(result.text);
}

/** No stack trace, no internal error, nothing that names the program's own files. */
export function expectNoTrace(text: string): void {
  expect(text).not.toMatch(/^\s+at .*[(:]/m);
  expect(text).not.toMatch(/a bug stopped|\.ts:\d|undefined|\[object |NaN|TypeError|AssertionError/);
}

/** What is in these files of the bench, to see that nothing of it changes. */
export function contents(bench: Workbench, ...names: readonly string[]): readonly string[] {
  return names.map((name) => {
    const hash = createHash("sha256")
      .update(readFileSync(bench.path(name)))
      .digest("hex");
    return `${name} ${hash}`;
  });
}
