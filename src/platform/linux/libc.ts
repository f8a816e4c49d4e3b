/**
 * The few C library calls that Bun has no API for, and the constants of their kernel interfaces.
 * Addresses are numbers: user space addresses of Linux fit in 48 bits (57 at most, where the kernel is asked to).
 *
 * Invariant: a failed call's error number is read before anything else can run on this thread.
 */

import { dlopen, FFIType, type Pointer, ptr, read, toArrayBuffer } from "bun:ffi";
import { constants as osConstants } from "node:os";
import { assert } from "../../base/assert.ts";

// Results that are 64 bits wide come as numbers: addresses and counts here stay far below 2^53.
const int64 = FFIType.i64_fast;

const { symbols: c } = dlopen("libc.so.6", {
  mmap: { args: ["usize", "usize", "i32", "i32", "i32", "i64"], returns: int64 },
  munmap: { args: ["usize", "usize"], returns: "i32" },
  eventfd: { args: ["u32", "i32"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  fallocate: { args: ["i32", "i32", "i64", "i64"], returns: "i32" },
  posix_fadvise: { args: ["i32", "i64", "i64", "i32"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "usize"], returns: "i32" },
  syscall: { args: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], returns: int64 },
  __errno_location: { args: [], returns: "ptr" },
});

export const PAGE_BYTES = 4096;

/** Flags of open(2); O_DIRECT differs between architectures. */
export const O_DIRECT = process.arch === "arm64" ? 0o200000 : 0o40000;

/** Files are not handed on to programs that this one starts; a lock on one would be, too. */
export const O_CLOEXEC = 0o2000000;

/** Advisory lock operations of flock(2). */
export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;

/** Modes of fallocate(2). */
export const FALLOC_FL_KEEP_SIZE = 0x01;
export const FALLOC_FL_PUNCH_HOLE = 0x02;
export const FALLOC_FL_ZERO_RANGE = 0x10;

/** Size of a block device in bytes, as a 64-bit number. */
const BLKGETSIZE64 = 0x80081272;
/** Whether a block device is write-protected, as an int; opening one for writing works all the same. */
const BLKROGET = 0x125e;

const POSIX_FADV_DONTNEED = 4;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
const MAP_POPULATE = 0x8000;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

/** Error numbers that callers act on. */
export const Errno = osConstants.errno;

const names = new Map(Object.entries(Errno).map(([name, number]) => [number as number, name]));
/** Not in Bun's list; what the I/O ring and fallocate answer where an operation is unknown to the file. */
export const EOPNOTSUPP = 95;
names.set(EOPNOTSUPP, "EOPNOTSUPP");

/** The name of an error number, such as `EIO`, for messages. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `error ${errno}`;
}

const errnoAt = (() => {
  const at = c.__errno_location();
  assert(at !== null, "the C library has no errno");
  return at;
})();

/** The system call's result, or the error number made negative, as the kernel itself returns it. */
function resultOf(result: number): number {
  return result === -1 ? -read.i32(errnoAt, 0) : result;
}

/** @returns the result, or a negative error number */
export function syscall(number: number, a = 0, b = 0, d = 0, e = 0, f = 0, g = 0): number {
  return resultOf(c.syscall(number, a, b, d, e, f, g) as number);
}

/** Zeroed, page-aligned memory. @returns its address, or a negative error number */
export function mapAnonymous(bytes: number): number {
  return resultOf(c.mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) as number);
}

/** @returns the address of `bytes` of the file at `offset`, shared with the kernel, or a negative error number */
export function mapShared(fd: number, bytes: number, offset: number): number {
  return resultOf(c.mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset) as number);
}

export function unmapMemory(address: number, bytes: number): void {
  const result = resultOf(c.munmap(address, bytes));
  assert(result === 0, `munmap failed: ${errnoName(-result)}`);
}

/** A view of mapped memory. It does not own it: unmapping while it is in use faults. */
export function viewOf(address: number, bytes: number): ArrayBuffer {
  return toArrayBuffer(address as Pointer, 0, bytes);
}

/** The address of an array on the JavaScript heap: good for the system call at hand, while the array is referenced. */
export function addressOfHeap(view: Uint32Array | Int32Array): number {
  return ptr(view);
}

/** @returns a descriptor that does not block, or a negative error number */
export function eventfd(): number {
  return resultOf(c.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

/** An ioctl with memory for the kernel to read and write. @returns 0 or more, or a negative error number */
export function ioctl(fd: number, request: number, argument: Uint8Array | Uint32Array | Int32Array): number {
  return resultOf(c.ioctl(fd, request, ptr(argument)));
}

/** @returns 0, or a negative error number */
export function flock(fd: number, operation: number): number {
  return resultOf(c.flock(fd, operation));
}

/** Blocks the thread while the kernel works. @returns 0, or a negative error number */
export function fallocate(fd: number, mode: number, offset: number, bytes: number): number {
  return resultOf(c.fallocate(fd, mode, offset, bytes));
}

/** Has what is durable of a file be read from its drive next time, not from memory. It is advice: nothing fails. */
export function forgetCached(fd: number): void {
  c.posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/** @returns the bytes of a block device, or a negative error number */
export function blockDeviceBytes(fd: number): number {
  return askDevice(fd, BLKGETSIZE64, (at) => Number(read.u64(at, 0)));
}

/** @returns 1 where a block device is write-protected, 0 where it is not, or a negative error number */
export function blockDeviceReadOnly(fd: number): number {
  return askDevice(fd, BLKROGET, (at) => (read.i32(at, 0) === 0 ? 0 : 1));
}

/** An ioctl that answers into memory. */
function askDevice(fd: number, request: number, answer: (at: Pointer) => number): number {
  const scratch = mapAnonymous(PAGE_BYTES);
  if (scratch < 0) return scratch;
  const result = resultOf(c.ioctl(fd, request, scratch));
  const answered = result < 0 ? result : answer(scratch as Pointer);
  unmapMemory(scratch, PAGE_BYTES);
  return answered;
}
