/** A deliberate fault of the product, of one line, which the simulator must find. */
export interface Breakage {
  readonly name: string;
  /** From the root of the repository. */
  readonly file: string;
  /** What stands there once. */
  readonly find: string;
  readonly replace: string;
  /** The scenario that finds it, in one of the seeds from 1 to `seeds`. */
  readonly scenario: string;
  readonly seeds: number;
  /** It shows only where a run is made twice. */
  readonly repeat?: true;
  /** It takes many seeds to find, so that it is looked for only with ANTIPODE_LONG=1. */
  readonly isLong?: true;
  /** What is wrong then, and for whom. */
  readonly why: string;
}
