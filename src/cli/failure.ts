/** How a command that failed ends: one clear message on standard error and an exit code that scripts can rely on. */

import { isOperatingError, OperatingError } from "../base/operating-error.ts";

export const EXIT = {
  /** A bug: an assertion failed, or something that nobody expected. */
  bug: 1,
  /** The command line or the configuration is wrong. */
  usage: 2,
  /** Drives, arrays, journal, network or another site are not as they must be. */
  operation: 3,
  /** The command ran, and found sites that differ or could not be compared. */
  different: 4,
} as const;

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof OperatingError)) return EXIT.bug;
  return /^(config|command|usage)\./.test(error.code) ? EXIT.usage : EXIT.operation;
}

export function describe(error: unknown): string {
  if (isOperatingError(error)) return `antipode: ${error.what}\n  What to do: ${error.remedy}\n  (${error.code})\n`;
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `antipode: a bug stopped this command. Please report it with these lines:\n${detail}\n`;
}

export function fail(error: unknown): never {
  process.stderr.write(describe(error));
  process.exit(exitCodeOf(error));
}
