import type { ByteCount } from "../base/units.ts";

/** A whole drive that the machine has, as its kernel lists it. Nobody has looked at what is on it. */
export interface ListedDrive {
  /** The name by which it is known wherever it is attached, where it has one; else the kernel's. */
  readonly path: string;
  readonly size: ByteCount;
  /** What its maker calls it; may be empty. */
  readonly model: string;
  readonly partitions: number;
  /** What uses it now, or forbids to write to it, so that it is not to be had. */
  readonly usedBy?: string;
}
