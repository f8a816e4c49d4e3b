/** What carries out the requests of all drives of a process: the I/O ring, or threads where the kernel has no ring. */

/** What a request asks of the kernel. */
export type IoOperation = "read" | "write" | "flush" | "fallocate";

export interface IoRequest {
  readonly operation: IoOperation;
  readonly fd: number;
  /** The same file opened for synchronous writes; an engine that can say so for each write does not use it. */
  readonly syncFd: number;
  /** Position on the drive in bytes. */
  readonly offset: number;
  /** Bytes from there on. */
  readonly length: number;
  /** The memory to read into or to write from, `length` bytes, and its address; unused for flush and fallocate. */
  readonly memory: Uint8Array;
  readonly address: number;
  /** A write that is on non-volatile media when it completes. */
  readonly fua: boolean;
  /** Mode of fallocate(2). */
  readonly mode: number;
  /** Called once, never from within `start`: with the count of bytes done, or a negative error number. */
  complete(result: number): void;
}

export interface IoEngine {
  /** Requests of one drive that may be with the engine at a time. */
  readonly inFlightMax: number;
  /** Whether it uses requests' `syncFd`. */
  readonly needsSyncFd: boolean;
  /** Starts a request, at the latest when the present event-loop turn ends. It stays referenced until it completes. */
  start(request: IoRequest): void;
  /** A drive is opened. Throws the `drive.unusable` of one too many. */
  attach(): void;
  /** A drive is closed; nothing of it is in flight. */
  detach(): void;
}
