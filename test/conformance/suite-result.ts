/**
 * What iscsi-test-cu said about each of its tests. Its own count takes a test that it skipped for one that passed, and some
 * skip without a word unless it was told to log all that it does (`--Verbose-scsi`).
 */

export type Outcome = "passed" | "failed" | "skipped";

export interface SuiteResult {
  /** By `Suite.Test`. */
  readonly outcomes: ReadonlyMap<string, { readonly outcome: Outcome; readonly said: string }>;
  /** From its summary. */
  readonly total: number;
  readonly ran: number;
  readonly failedSuites: number;
}

/** @param text what it printed with `--verbose`, and with `--Verbose-scsi` where nothing may be skipped in silence */
export function parseSuite(text: string): SuiteResult {
  const outcomes = new Map<string, { outcome: Outcome; said: string }>();
  for (const suite of text.split(/^Suite: /m).slice(1)) {
    const name = suite.slice(0, suite.indexOf("\n")).trim();
    for (const part of suite.split(/^ {2}Test: /m).slice(1)) {
      const test = `${name}.${part.slice(0, part.indexOf(" ..."))}`;
      // What a suite says as it ends stands on the line of its last verdict, behind it.
      const verdict = /(?<=\.\.\.|\n)(passed|FAILED)/.exec(part);
      const log = part.slice(part.indexOf(" ...") + " ...".length, verdict?.index);
      const said = (log.match(/\[(?:SKIPP|FAILED).*/g) ?? []).join("\n");
      outcomes.set(test, { outcome: outcomeOf(verdict?.[1], said), said });
    }
  }
  const tests = /^\s+tests\s+(\d+)\s+(\d+)/m.exec(text);
  const suites = /^\s+suites\s+\d+\s+\d+\s+n\/a\s+(\d+)/m.exec(text);
  if (tests === null || suites === null) throw new Error(`iscsi-test-cu gave no summary:\n${text.slice(-2000)}`);
  return { outcomes, total: Number(tests[1]), ran: Number(tests[2]), failedSuites: Number(suites[1]) };
}

function outcomeOf(verdict: string | undefined, said: string): Outcome {
  if (verdict !== "passed") return "failed";
  return said.includes("[SKIPP") ? "skipped" : "passed";
}

export interface Expectations {
  /** By `Suite.Test`, or `Suite.*` for all tests of a suite: why. */
  readonly failures: Readonly<Record<string, string>>;
  readonly skips: Readonly<Record<string, string>>;
}

/** @returns each way in which the run is not as expected, in words */
export function surprises({ outcomes }: SuiteResult, { failures, skips }: Expectations): readonly string[] {
  const found: string[] = [];
  const used = new Set<string>();
  const expects = (table: Readonly<Record<string, string>>, test: string): boolean => {
    const key = [test, `${test.slice(0, test.indexOf("."))}.*`].find((each) => Object.hasOwn(table, each));
    if (key !== undefined) used.add(key);
    return key !== undefined;
  };
  for (const [test, { outcome, said }] of outcomes) {
    const expected = expects(failures, test) ? "failed" : expects(skips, test) ? "skipped" : "passed";
    if (outcome !== expected) found.push(`${test} ${outcome}, expected ${expected}${said === "" ? "" : `: ${said}`}`);
  }
  for (const key of [...Object.keys(failures), ...Object.keys(skips)]) {
    if (!used.has(key)) found.push(`${key} is expected, but there is no such test`);
  }
  return found;
}
