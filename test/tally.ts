/** Counts of what passed, failed and was skipped, from vitest's JSON report and its exit code. */

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function sum(counts: readonly Counts[]): Counts {
  return {
    passed: counts.reduce((total, { passed }) => total + passed, 0),
    failed: counts.reduce((total, { failed }) => total + failed, 0),
    skipped: counts.reduce((total, { skipped }) => total + skipped, 0),
  };
}

interface Report {
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

/**
 * A file that failed without a failed test in it did not load, or its hooks failed: one more failure. A run that
 * ended badly without any failure in its report (an error after the last test), and a run of no tests, is one too.
 *
 * @param report vitest's JSON report, undefined where it left none
 */
export function tally(report: string | undefined, exitCode: number): Counts {
  const files = parse(report);
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of files) {
    let failedHere = 0;
    for (const { status } of file.assertionResults) {
      if (status === "passed") counts.passed++;
      else if (status === "failed") failedHere++;
      else counts.skipped++;
    }
    if (file.status === "failed" && failedHere === 0) failedHere = 1;
    counts.failed += failedHere;
  }
  const ranNothing = counts.passed + counts.skipped === 0;
  if (counts.failed === 0 && (exitCode !== 0 || ranNothing)) counts.failed = 1;
  return counts;
}

function parse(report: string | undefined): Report["testResults"] {
  if (report === undefined) return [];
  try {
    return (JSON.parse(report) as Report).testResults;
  } catch {
    return []; // cut short: counted as a run without a report
  }
}
