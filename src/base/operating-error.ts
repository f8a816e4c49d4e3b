/**
 * An error that operation brings with it and code expects: a missing drive, a busy port, a corrupt journal.
 * It always says what happened and where, and what to do about it. Broken invariants are assertions instead.
 */
export class OperatingError extends Error {
  override readonly name = "OperatingError";

  /**
   * @param code   stable identifier, `area.reason`, such as `drive.missing`; scripts and tests match on it
   * @param what   one sentence: what happened, naming the field, file, drive, site or position
   * @param remedy one sentence: what the operator can do
   */
  constructor(
    readonly code: string,
    readonly what: string,
    readonly remedy: string,
    options?: { cause?: unknown },
  ) {
    super(`${what} ${remedy}`, options);
  }
}

export function isOperatingError(error: unknown, code?: string): error is OperatingError {
  return error instanceof OperatingError && (code === undefined || error.code === code);
}
