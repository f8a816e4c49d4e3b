/**
 * A drive: a file or block device, through whichever engine there is.
 *
 * Invariants: at most the engine's `inFlightMax` requests of a drive are with the engine, later ones wait in order; a
 * request's buffer stays referenced until the kernel is done with it; short transfers are continued and interrupted
 * ones repeated, every other failure rejects with `drive.io` and is not retried; the drive is released only when
 * nothing of it is in flight.
 *
 * An abort rejects at once. The kernel may go on using the request's buffer until the drive is closed: the buffer
 * must not be used for anything else, and a write's blocks hold the old data, the new, or a mix.
 */

import { closeSync } from "node:fs";
import { assert } from "../../base/assert.ts";
import type { Pending, WriteOptions } from "../../base/block-device.ts";
import { OperatingError } from "../../base/operating-error.ts";
import { BLOCK_BYTES, type Lba, MiB } from "../../base/units.ts";
import type { Drive } from "../drive.ts";
import type { BouncePool } from "./bounce-pool.ts";
import type { IoEngine, IoOperation, IoRequest } from "./io-engine.ts";
import {
  EOPNOTSUPP,
  Errno,
  errnoName,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  PAGE_BYTES,
} from "./libc.ts";
import type { LinuxMemory } from "./linux-memory.ts";

/** Requests that wait for their turn; one more is refused. */
const QUEUED_MAX = 65_536;
/** Times that one request is repeated for EINTR or EAGAIN without getting any further. */
const REPEATS_MAX = 1000;
/** Zeros written at a time where a drive can neither punch holes nor zero ranges. */
const ZEROS_BYTES = MiB;

/** How blocks may be made to read as zeros, best first; after the last, zeros are written. */
const DEVICE_UNMAP_MODES: readonly number[] = [
  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
];
/** A file keeps its space: a hole in it could not be filled again where the file system is full by then. */
const FILE_UNMAP_MODES: readonly number[] = [FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE];

const NO_MEMORY = new Uint8Array(0);
const ZEROS = new Uint8Array(ZEROS_BYTES);

/** An open file, as `drive-file.ts` hands it over. */
export interface OpenedFile {
  readonly path: string;
  readonly fd: number;
  /** The same file opened for synchronous writes; `fd` again where the drive is read-only. */
  readonly syncFd: number;
  readonly writable: boolean;
  readonly isBlockDevice: boolean;
  /** I/O bypasses the page cache, so buffers must be page-aligned. */
  readonly direct: boolean;
  readonly blockCount: number;
}

export interface DriveParts {
  readonly engine: IoEngine;
  readonly memory: LinuxMemory;
  readonly bounce: BouncePool;
}

type Resolve = () => void;
type Reject = (reason: unknown) => void;
const settled = (): void => {};

class DriveRequest implements IoRequest {
  operation: IoOperation = "flush";
  readonly fd: number;
  readonly syncFd: number;
  offset = 0;
  length = 0;
  memory: Uint8Array = NO_MEMORY;
  address = 0;
  fua = false;
  mode = 0;

  /** What the caller asked for; `offset`, `length` and `memory` move on when a short transfer is continued. */
  name = "";
  from = 0;
  bytes = 0;
  buffer: Uint8Array = NO_MEMORY;
  bounced: Uint8Array | undefined;
  repeats = 0;
  aborted = false;
  signal: AbortSignal | undefined;
  onAbort: (() => void) | undefined;
  resolve: Resolve = settled;
  reject: Reject = settled;
  /** The request that waits behind this one, or the next free one. */
  next: DriveRequest | undefined;

  readonly #drive: LinuxDrive;

  constructor(drive: LinuxDrive, file: OpenedFile) {
    this.#drive = drive;
    this.fd = file.fd;
    this.syncFd = file.syncFd;
  }

  complete(result: number): void {
    this.#drive.completed(this, result);
  }
}

// One executor for all promises: it runs at once, so what it leaves here is the new promise's.
let resolveNew: Resolve = settled;
let rejectNew: Reject = settled;
const capture = (resolve: Resolve, reject: Reject): void => {
  resolveNew = resolve;
  rejectNew = reject;
};

export class LinuxDrive implements Drive {
  readonly blockSize = BLOCK_BYTES;
  readonly blockCount: number;
  readonly path: string;
  readonly #file: OpenedFile;
  readonly #engine: IoEngine;
  readonly #memory: LinuxMemory;
  readonly #bounce: BouncePool;

  #inFlight = 0;
  #queued = 0;
  #firstQueued: DriveRequest | undefined;
  #lastQueued: DriveRequest | undefined;
  #free: DriveRequest | undefined;
  #unmapMode = 0;
  #closed: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  /** Takes over the open file; `close` closes it. */
  constructor(file: OpenedFile, { engine, memory, bounce }: DriveParts) {
    this.#file = file;
    this.#engine = engine;
    this.#memory = memory;
    this.#bounce = bounce;
    this.path = file.path;
    this.blockCount = file.blockCount;
  }

  read(lba: Lba, into: Uint8Array, signal?: AbortSignal): Pending {
    this.#checkRange(lba, into.length / BLOCK_BYTES);
    if (into.length === 0) return undefined;
    return this.#transfer("read", lba, into, false, signal);
  }

  write(lba: Lba, from: Uint8Array, options?: WriteOptions): Pending {
    assert(this.#file.writable, `${this.path} was opened read-only`);
    this.#checkRange(lba, from.length / BLOCK_BYTES);
    if (from.length === 0) return undefined;
    return this.#transfer("write", lba, from, options?.fua === true, options?.signal);
  }

  flush(signal?: AbortSignal): Pending {
    return this.#ask("flush", "flush", 0, 0, 0, signal);
  }

  unmap(lba: Lba, blocks: number, signal?: AbortSignal): Pending {
    assert(this.#file.writable, `${this.path} was opened read-only`);
    this.#checkRange(lba, blocks);
    if (blocks === 0) return undefined;
    return this.#unmapRange(lba, blocks, signal);
  }

  close(): Promise<void> {
    this.#closed ??= this.#release();
    return this.#closed;
  }

  async #release(): Promise<void> {
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    if (this.#file.syncFd !== this.#file.fd) closeSync(this.#file.syncFd);
    closeSync(this.#file.fd);
    this.#engine.detach();
  }

  async #unmapRange(lba: Lba, blocks: number, signal: AbortSignal | undefined): Promise<void> {
    const modes = this.#file.isBlockDevice ? DEVICE_UNMAP_MODES : FILE_UNMAP_MODES;
    while (this.#unmapMode < modes.length) {
      const tried = this.#unmapMode;
      try {
        const mode = modes[tried];
        return await this.#ask("fallocate", "unmap", lba * BLOCK_BYTES, blocks * BLOCK_BYTES, mode, signal);
      } catch (error) {
        if (!(error instanceof OperatingError && error.cause === EOPNOTSUPP)) throw error;
        this.#unmapMode = Math.max(this.#unmapMode, tried + 1);
      }
    }
    const stepBlocks = ZEROS_BYTES / BLOCK_BYTES;
    for (let done = 0; done < blocks; done += stepBlocks) {
      const zeros = ZEROS.subarray(0, Math.min(stepBlocks, blocks - done) * BLOCK_BYTES);
      await this.#transfer("write", lba + done, zeros, false, signal);
    }
  }

  #checkRange(lba: number, blocks: number): void {
    assert(Number.isInteger(lba) && Number.isInteger(blocks), `${this.path}: ${blocks} blocks at ${lba}`);
    assert(
      lba >= 0 && blocks >= 0 && lba + blocks <= this.blockCount,
      `${this.path}: blocks ${lba} to ${lba + blocks} of ${this.blockCount}`,
    );
  }

  #transfer(
    operation: "read" | "write",
    lba: number,
    buffer: Uint8Array,
    fua: boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const request = this.#take(operation, operation, lba * BLOCK_BYTES, buffer.length);
    request.buffer = buffer;
    request.fua = fua;
    return this.#begin(request, signal);
  }

  #ask(
    operation: "flush" | "fallocate",
    name: string,
    offset: number,
    bytes: number,
    mode: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const request = this.#take(operation, name, offset, bytes);
    request.mode = mode;
    return this.#begin(request, signal);
  }

  #take(operation: IoOperation, name: string, from: number, bytes: number): DriveRequest {
    const request = this.#free ?? new DriveRequest(this, this.#file);
    this.#free = request.next;
    request.next = undefined;
    request.operation = operation;
    request.name = name;
    request.from = from;
    request.offset = from;
    request.bytes = bytes;
    request.length = bytes;
    return request;
  }

  #begin(request: DriveRequest, signal: AbortSignal | undefined): Promise<void> {
    const refusal = this.#refusal(signal);
    if (refusal !== undefined) {
      this.#recycle(request);
      return Promise.reject(refusal);
    }
    const promise = new Promise<void>(capture);
    request.resolve = resolveNew;
    request.reject = rejectNew;
    if (signal !== undefined) {
      request.signal = signal;
      request.onAbort = () => this.#abort(request, signal);
      signal.addEventListener("abort", request.onAbort);
    }
    if (this.#inFlight < this.#engine.inFlightMax) this.#start(request);
    else this.#enqueue(request);
    return promise;
  }

  #refusal(signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    if (this.#closed !== undefined) {
      return new OperatingError("drive.closed", `Drive ${this.path} is closed.`, "Open it again.");
    }
    if (this.#queued === QUEUED_MAX) {
      return new OperatingError(
        "drive.overloaded",
        `${QUEUED_MAX} requests wait for drive ${this.path} already.`,
        "Check whether the drive still answers.",
      );
    }
    return undefined;
  }

  #enqueue(request: DriveRequest): void {
    if (this.#lastQueued === undefined) this.#firstQueued = request;
    else this.#lastQueued.next = request;
    this.#lastQueued = request;
    this.#queued++;
  }

  /** Starts what waits, as far as the bound allows. */
  #startQueued(): void {
    while (this.#firstQueued !== undefined && this.#inFlight < this.#engine.inFlightMax) {
      const request = this.#firstQueued;
      this.#firstQueued = request.next;
      if (request.next === undefined) this.#lastQueued = undefined;
      request.next = undefined;
      this.#queued--;
      if (request.aborted) this.#recycle(request);
      else this.#start(request);
    }
    if (this.#inFlight === 0) this.#whenIdle?.();
  }

  #start(request: DriveRequest): void {
    this.#inFlight++;
    if (request.buffer.length > 0) {
      const address = this.#memory.addressOf(request.buffer);
      if (address !== 0 && (address % PAGE_BYTES === 0 || !this.#file.direct)) {
        request.memory = request.buffer;
        request.address = address;
      } else {
        const bounced = this.#bounce.lend(request.bytes);
        if (request.operation === "write") bounced.set(request.buffer);
        request.bounced = bounced;
        request.memory = bounced;
        request.address = this.#memory.addressOf(bounced);
      }
    }
    this.#engine.start(request);
  }

  /** The engine's answer to a request. */
  completed(request: DriveRequest, result: number): void {
    const again = result === -Errno.EINTR || result === -Errno.EAGAIN;
    if (again && request.repeats < REPEATS_MAX) {
      request.repeats++;
      this.#engine.start(request);
    } else if (result < 0) {
      this.#finish(request, -result);
    } else if (request.buffer.length === 0 || result === request.length) {
      this.#finish(request, 0);
    } else if (result === 0) {
      // A drive that was cut shorter since it was opened ends in a transfer of nothing.
      this.#finish(request, Errno.EIO);
    } else {
      request.repeats = 0;
      request.offset += result;
      request.length -= result;
      request.memory = request.memory.subarray(result);
      request.address += result;
      this.#engine.start(request);
    }
  }

  #finish(request: DriveRequest, errno: number): void {
    this.#inFlight--;
    if (!request.aborted) {
      if (request.operation === "read" && request.bounced !== undefined && errno === 0) {
        request.buffer.set(request.bounced.subarray(0, request.bytes));
      }
      if (errno === 0) request.resolve();
      else request.reject(this.#failure(request, errno));
    }
    this.#recycle(request);
    this.#startQueued();
  }

  #abort(request: DriveRequest, signal: AbortSignal): void {
    request.aborted = true;
    // A request that still queues will never touch its buffer.
    if (request.memory === NO_MEMORY) request.buffer = NO_MEMORY;
    request.reject(signal.reason);
  }

  #recycle(request: DriveRequest): void {
    if (request.bounced !== undefined) this.#bounce.giveBack(request.bounced);
    if (request.onAbort !== undefined) request.signal?.removeEventListener("abort", request.onAbort);
    request.bounced = undefined;
    request.buffer = NO_MEMORY;
    request.memory = NO_MEMORY;
    request.fua = false;
    request.aborted = false;
    request.repeats = 0;
    request.signal = undefined;
    request.onAbort = undefined;
    request.resolve = settled;
    request.reject = settled;
    request.next = this.#free;
    this.#free = request;
  }

  #failure(request: DriveRequest, errno: number): OperatingError {
    const where =
      request.operation === "flush" ? "" : ` of ${request.bytes / BLOCK_BYTES} blocks at ${request.from / BLOCK_BYTES}`;
    return new OperatingError(
      "drive.io",
      `Drive ${this.path}: ${request.name}${where} failed: ${errnoName(errno)}.`,
      "Check the drive and its cabling, and replace it if it fails again.",
      { cause: errno },
    );
  }
}
