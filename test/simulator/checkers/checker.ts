/** Something that must always hold. */
export interface Checker {
  /** Names the invariant. */
  readonly name: string;
  /** Looks at the system as it stands between two events. @returns the first thing found wrong, in words */
  look(): string | undefined;
}

export interface Violation {
  readonly invariant: string;
  readonly what: string;
}
