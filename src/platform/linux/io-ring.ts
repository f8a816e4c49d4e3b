/**
 * One io_uring instance, by plain system calls on mapped rings: struct layouts as in linux/io_uring.h.
 *
 * Invariants: only this thread writes the submission tail and the completion head; entries between `prepare` and
 * `submit` are the kernel's from the moment `submit` publishes them; the caller keeps no more requests in flight than
 * the completion ring holds, so that it never overflows.
 */

import { closeSync } from "node:fs";
import { assert } from "../../base/assert.ts";
import { addressOfHeap, Errno, errnoName, eventfd, mapShared, syscall, unmapMemory, viewOf } from "./libc.ts";

/** Operations of submission entries. */
export const IORING_OP_FSYNC = 3;
export const IORING_OP_FALLOCATE = 17;
export const IORING_OP_READ = 22;
export const IORING_OP_WRITE = 23;

/** Flags of operations. */
export const IORING_FSYNC_DATASYNC = 1;
export const RWF_DSYNC = 0x2;

const SYS_IO_URING_SETUP = 425;
const SYS_IO_URING_ENTER = 426;
const SYS_IO_URING_REGISTER = 427;

const IORING_SETUP_CQSIZE = 1 << 3;
/** Completions wait for this thread's next system call instead of interrupting it; kernels before 5.19 refuse it. */
const IORING_SETUP_COOP_TASKRUN = 1 << 8;
const IORING_FEAT_SINGLE_MMAP = 1 << 0;
const IORING_FEAT_NODROP = 1 << 1;
/** Came with 5.6, as did the operations above. */
const IORING_FEAT_RW_CUR_POS = 1 << 3;
const FEATURES_WANTED = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_RW_CUR_POS;
const IORING_REGISTER_EVENTFD = 4;
const IORING_OFF_SQ_RING = 0;
const IORING_OFF_SQES = 0x10000000;

/** Offsets in struct io_uring_params. */
const Params = { size: 120, sqEntries: 0, cqEntries: 4, flags: 8, features: 20, sqOff: 40, cqOff: 80 } as const;
/** Offsets in struct io_sqring_offsets and io_cqring_offsets. */
const SqOff = { head: 0, tail: 4, ringMask: 8, array: 24 } as const;
const CqOff = { head: 0, tail: 4, ringMask: 8, cqes: 20 } as const;

const SQE_BYTES = 64;
const SQE_WORDS = SQE_BYTES / 4;
const CQE_BYTES = 16;
const CQE_WORDS = CQE_BYTES / 4;
const WORD_VALUES = 2 ** 32;

export interface IoRing {
  /** Becomes readable when completions arrive. Reading it empties it. */
  readonly eventfd: number;
  /** Submission entries that can be prepared before the next `submit`. */
  room(): number;
  /** Fills a submission entry; there must be room. `address` and `length` mean what the operation says they do. */
  prepare(
    operation: number,
    fd: number,
    offset: number,
    address: number,
    length: number,
    flags: number,
    userData: number,
  ): void;
  /**
   * Hands what was prepared to the kernel.
   * @returns how many entries it took, or a negative error number where it took none
   */
  submit(): number;
  /** Takes every completion that is there. `result` is a count, or a negative error number. @returns how many */
  reap(complete: (userData: number, result: number) => void): number;
  /** Nothing may be in flight. */
  close(): void;
}

/**
 * @param entries submission entries, a power of two: how many can be submitted in one call
 * @param completions completion entries, a power of two: how many can be in flight
 * @returns the ring, or a negative error number where the kernel has none for us
 */
export function openIoRing(entries: number, completions: number): IoRing | number {
  const params = new Uint32Array(Params.size / 4);
  let ringFd = setup(entries, completions, IORING_SETUP_COOP_TASKRUN, params);
  if (ringFd === -Errno.EINVAL) ringFd = setup(entries, completions, 0, params);
  if (ringFd < 0) return ringFd;
  const word = (offset: number): number => params[offset / 4];
  if ((word(Params.features) & FEATURES_WANTED) !== FEATURES_WANTED) {
    closeSync(ringFd);
    return -Errno.ENOSYS;
  }
  const sqEntries = word(Params.sqEntries);
  const cqEntries = word(Params.cqEntries);
  assert(cqEntries >= completions, `the completion ring has ${cqEntries} of ${completions} entries`);

  // Both rings are one mapping: as long as the longer of the two.
  const ringBytes = Math.max(
    word(Params.sqOff + SqOff.array) + sqEntries * 4,
    word(Params.cqOff + CqOff.cqes) + cqEntries * CQE_BYTES,
  );
  const sqesBytes = sqEntries * SQE_BYTES;
  const ringAt = mapShared(ringFd, ringBytes, IORING_OFF_SQ_RING);
  const sqesAt = mapShared(ringFd, sqesBytes, IORING_OFF_SQES);
  const wakeFd = eventfd();
  const failed = Math.min(ringAt, sqesAt, wakeFd);
  if (failed < 0) {
    if (ringAt > 0) unmapMemory(ringAt, ringBytes);
    if (sqesAt > 0) unmapMemory(sqesAt, sqesBytes);
    if (wakeFd > 0) closeSync(wakeFd);
    closeSync(ringFd);
    return failed;
  }

  const ring = new Uint32Array(viewOf(ringAt, ringBytes));
  const results = new Int32Array(ring.buffer);
  const sqes = new Uint32Array(viewOf(sqesAt, sqesBytes));
  const sqHead = word(Params.sqOff + SqOff.head) / 4;
  const sqTail = word(Params.sqOff + SqOff.tail) / 4;
  const sqMask = ring[word(Params.sqOff + SqOff.ringMask) / 4];
  const cqHead = word(Params.cqOff + CqOff.head) / 4;
  const cqTail = word(Params.cqOff + CqOff.tail) / 4;
  const cqMask = ring[word(Params.cqOff + CqOff.ringMask) / 4];
  const cqes = word(Params.cqOff + CqOff.cqes) / 4;

  // The indirection array stays the identity: entry i of the ring is always submission entry i.
  const array = word(Params.sqOff + SqOff.array) / 4;
  for (let index = 0; index < sqEntries; index++) ring[array + index] = index;

  const wakeFds = new Int32Array([wakeFd]);
  const registered = syscall(SYS_IO_URING_REGISTER, ringFd, IORING_REGISTER_EVENTFD, addressOfHeap(wakeFds), 1);
  assert(registered === 0, `the ring's eventfd was refused: ${errnoName(-registered)}`);

  let tail = ring[sqTail];
  let head = ring[cqHead];
  const room = (): number => sqEntries - ((tail - Atomics.load(ring, sqHead)) >>> 0);

  return {
    eventfd: wakeFd,
    room,

    prepare(operation, fd, offset, address, length, flags, userData) {
      const at = (tail & sqMask) * SQE_WORDS;
      sqes[at] = operation;
      sqes[at + 1] = fd;
      sqes[at + 2] = offset % WORD_VALUES;
      sqes[at + 3] = offset / WORD_VALUES;
      sqes[at + 4] = address % WORD_VALUES;
      sqes[at + 5] = address / WORD_VALUES;
      sqes[at + 6] = length;
      sqes[at + 7] = flags;
      sqes[at + 8] = userData;
      sqes.fill(0, at + 9, at + SQE_WORDS);
      tail = (tail + 1) >>> 0;
    },

    submit() {
      Atomics.store(ring, sqTail, tail);
      const prepared = (tail - Atomics.load(ring, sqHead)) >>> 0;
      return prepared === 0 ? 0 : syscall(SYS_IO_URING_ENTER, ringFd, prepared, 0, 0, 0, 0);
    },

    reap(complete) {
      const end = Atomics.load(ring, cqTail);
      const taken = (end - head) >>> 0;
      for (; head !== end; head = (head + 1) >>> 0) {
        const at = cqes + (head & cqMask) * CQE_WORDS;
        complete(ring[at], results[at + 2]);
      }
      if (taken > 0) Atomics.store(ring, cqHead, head);
      return taken;
    },

    close() {
      unmapMemory(sqesAt, sqesBytes);
      unmapMemory(ringAt, ringBytes);
      closeSync(ringFd);
      closeSync(wakeFd);
    },
  };
}

function setup(entries: number, completions: number, flags: number, params: Uint32Array): number {
  params.fill(0);
  params[Params.flags / 4] = IORING_SETUP_CQSIZE | flags;
  params[Params.cqEntries / 4] = completions;
  return syscall(SYS_IO_URING_SETUP, entries, addressOfHeap(params));
}
