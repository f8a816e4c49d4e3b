/**
 * Assertions for broken invariants. They stay on in production: a site that no longer
 * understands its own state must stop before it answers a host from it.
 */

export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Marks a point that the types say cannot be reached, such as the default of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}
