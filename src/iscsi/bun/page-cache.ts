/**
 * The one call that the runtime has no function for: a read that fails rather than waits for a disk, preadv2(2).
 * It is looked for when the first file is opened, so that all else of this folder can be used where there is no such call.
 */

import { dlopen, FFIType, ptr } from "bun:ffi";

/** @returns whether all of `into` was in the page cache, and is read; what it holds is undefined otherwise */
export type PageCacheRead = (fd: number, into: Uint8Array, offset: number) => boolean;

const RWF_NOWAIT = 8;
/** As glibc is named on Linux. */
const LIBRARY = "libc.so.6";

/** One struct iovec: an address and a length. Nothing else runs on this thread while it is in use. */
const vector = new BigUint64Array(2);

let found: PageCacheRead | undefined;

/** Throws where there is no such call, and says what is needed. */
export function pageCacheRead(): PageCacheRead {
  found ??= find(LIBRARY);
  return found;
}

export function find(library: string): PageCacheRead {
  try {
    const { symbols: c } = dlopen(library, {
      preadv2: { args: ["i32", "ptr", "i32", FFIType.i64_fast, "i32"], returns: FFIType.i64_fast },
    });
    const vectorAt = ptr(vector);
    return (fd, into, offset) => {
      vector[0] = BigInt(ptr(into));
      vector[1] = BigInt(into.length);
      return c.preadv2(fd, vectorAt, 1, offset, RWF_NOWAIT) === into.length;
    };
  } catch (cause) {
    throw new Error(`a FileDevice needs Linux with glibc: there is no preadv2 in ${library}`, { cause });
  }
}
