/** The one call that the runtime has no function for: a read that fails rather than waits for a disk, preadv2(2). */

import { dlopen, FFIType, ptr } from "bun:ffi";

const RWF_NOWAIT = 8;

// Counts and offsets stay far below 2^53, so that they can be numbers.
const { symbols: c } = dlopen("libc.so.6", {
  preadv2: { args: ["i32", "ptr", "i32", FFIType.i64_fast, "i32"], returns: FFIType.i64_fast },
});

/** One struct iovec: an address and a length. Nothing else runs on this thread while it is in use. */
const vector = new BigUint64Array(2);
const vectorAt = ptr(vector);

/** @returns whether all of `into` was in the page cache, and is read; what it holds is undefined otherwise */
export function readFromPageCache(fd: number, into: Uint8Array, offset: number): boolean {
  vector[0] = BigInt(ptr(into));
  vector[1] = BigInt(into.length);
  return c.preadv2(fd, vectorAt, 1, offset, RWF_NOWAIT) === into.length;
}
