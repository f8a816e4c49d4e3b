/**
 * Drive requests on the runtime's thread pool, for kernels and containers that refuse io_uring.
 * A write that must be on media goes to a descriptor that was opened for synchronous writes.
 */

import { fdatasync, read, write } from "node:fs";
import { MiB } from "../../base/units.ts";
import type { Clock } from "../clock.ts";
import type { IoEngine, IoRequest } from "./io-engine.ts";
import { Errno, fallocate } from "./libc.ts";

/** Requests that one drive has in the thread pool at a time; more wait in that drive's queue. */
const IN_FLIGHT_PER_DRIVE_MAX = 64;
/** There is no asynchronous fallocate, so it goes in steps with turns of the event loop between them. */
const FALLOCATE_STEP_BYTES = 16 * MiB;

export function threadEngine(clock: Clock): IoEngine {
  const fallocateFrom = (request: IoRequest, done: number): void => {
    const step = Math.min(FALLOCATE_STEP_BYTES, request.length - done);
    const result = fallocate(request.fd, request.mode, request.offset + done, step);
    if (result < 0 || done + step === request.length) request.complete(result);
    else clock.afterTurn(() => fallocateFrom(request, done + step));
  };

  return {
    inFlightMax: IN_FLIGHT_PER_DRIVE_MAX,
    needsSyncFd: true,
    attach() {},
    detach() {},
    start(request) {
      const { fd, syncFd, memory, length, offset } = request;
      const finish = (error: NodeJS.ErrnoException | null, bytes = 0) =>
        request.complete(error ? -errnoOf(error) : bytes);
      switch (request.operation) {
        case "read":
          return read(fd, memory, 0, length, offset, finish);
        case "write":
          return write(request.fua ? syncFd : fd, memory, 0, length, offset, finish);
        case "flush":
          return fdatasync(fd, finish);
        case "fallocate":
          return clock.afterTurn(() => fallocateFrom(request, 0));
      }
    },
  };
}

function errnoOf(error: NodeJS.ErrnoException): number {
  return Math.abs(error.errno ?? Errno.EIO);
}
