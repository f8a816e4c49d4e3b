/**
 * Branded numbers: two quantities that could be mixed up never cross a module border as bare numbers.
 * Each constructor checks that its value is one that the unit can have.
 */

import { assert } from "./assert.ts";

declare const brand: unique symbol;
type Unit<Name extends string> = number & { readonly [brand]: Name };

/** Address of a block on the device at hand, counted in that device's blocks. */
export type Lba = Unit<"Lba">;
export type ByteCount = Unit<"ByteCount">;
/** The fencing token: grows at each start as primary. 0 means that there was none yet. */
export type Epoch = Unit<"Epoch">;
/** Place of a data write request in its consistency group's order of writes. The first is 1; 0 means none. */
export type Sequence = Unit<"Sequence">;
/** Identity of a volume within its consistency group: its LUN, the same at every site. */
export type VolumeId = Unit<"VolumeId">;
/** A length of time in milliseconds; may be fractional. */
export type Millis = Unit<"Millis">;
/** A point on the monotonic clock of this process, in milliseconds from an arbitrary start. */
export type Instant = Unit<"Instant">;

function integer<T extends number>(value: number, name: string, max = Number.MAX_SAFE_INTEGER): T {
  // Made for every block of every request: the message is only put together where it is needed.
  if (!(Number.isInteger(value) && value >= 0 && value <= max)) assert(false, `${name} out of range: ${value}`);
  return value as T;
}

export const lba = (value: number): Lba => integer(value, "Lba");
export const byteCount = (value: number): ByteCount => integer(value, "ByteCount");
export const epoch = (value: number): Epoch => integer(value, "Epoch");
export const sequence = (value: number): Sequence => integer(value, "Sequence");
export const volumeId = (value: number): VolumeId => integer(value, "VolumeId", 0xffff);
export const millis = (value: number): Millis => value as Millis;
export const instant = (value: number): Instant => value as Instant;

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

/** Bytes in a block of the pipeline, the journal and the arrays: the unit of checksums and of drive I/O. */
export const BLOCK_BYTES = 4096;
