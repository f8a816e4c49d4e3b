/**
 * Drive requests on one io_uring for the whole process.
 *
 * Invariants: a turn's requests enter the kernel in one system call after that turn; the completions of a wake-up all
 * run in one turn; never more requests are in flight than the completion ring has entries, since drives are bounded
 * in number and each in its requests.
 */

import { assert } from "../../base/assert.ts";
import { OperatingError } from "../../base/operating-error.ts";
import { millis } from "../../base/units.ts";
import type { Clock } from "../clock.ts";
import type { IoEngine, IoRequest } from "./io-engine.ts";
import {
  IORING_FSYNC_DATASYNC,
  IORING_OP_FALLOCATE,
  IORING_OP_FSYNC,
  IORING_OP_READ,
  IORING_OP_WRITE,
  type IoRing,
  openIoRing,
  RWF_DSYNC,
} from "./io-ring.ts";
import { Errno, errnoName } from "./libc.ts";

/** Requests that one drive has in the kernel at a time; more wait in that drive's queue. */
const IN_FLIGHT_PER_DRIVE_MAX = 128;
/** Drives open at a time. */
const DRIVES_MAX = 64;
/** Completion entries: one for each request that can be in flight. */
const COMPLETIONS = DRIVES_MAX * IN_FLIGHT_PER_DRIVE_MAX;
/** Submission entries: requests handed over by one system call. */
const ENTRIES = 512;
/** How long the kernel is left alone when it has taken nothing for lack of memory. */
const REFUSED_PAUSE = millis(1);

/** @returns the engine, or the name of the error with which the kernel refuses a ring */
export function ringEngine(clock: Clock): IoEngine | string {
  const probe = openIoRing(1, 1);
  if (typeof probe === "number") return errnoName(-probe);
  probe.close();
  return new RingEngine(clock);
}

class RingEngine implements IoEngine {
  readonly inFlightMax = IN_FLIGHT_PER_DRIVE_MAX;
  readonly needsSyncFd = false;
  readonly #clock: Clock;
  #ring: IoRing | undefined;
  #wakeUps: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #drives = 0;

  /** Requests in the kernel, by slot; a free slot holds undefined and is on the stack of free slots. */
  readonly #slots: (IoRequest | undefined)[] = [];
  readonly #free = new Uint16Array(COMPLETIONS);
  #freeCount = 0;

  /** Requests of this turn, in order, from `#readyNext` on. */
  readonly #ready: IoRequest[] = [];
  #readyNext = 0;
  #submitScheduled = false;

  readonly #submit = () => this.#submitReady();
  readonly #complete = (slot: number, result: number) => this.#completeSlot(slot, result);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  attach(): void {
    if (this.#drives === DRIVES_MAX) {
      throw new OperatingError(
        "drive.unusable",
        `${DRIVES_MAX} drives are open already.`,
        "Spread the drives over more sites.",
      );
    }
    if (this.#ring === undefined) this.#open();
    this.#drives++;
  }

  detach(): void {
    assert(this.#drives > 0, "more drives were closed than opened");
    if (--this.#drives === 0) this.#close();
  }

  start(request: IoRequest): void {
    this.#ready.push(request);
    if (this.#submitScheduled) return;
    this.#submitScheduled = true;
    this.#clock.afterTurn(this.#submit);
  }

  #open(): void {
    const ring = openIoRing(ENTRIES, COMPLETIONS);
    if (typeof ring === "number") {
      throw new OperatingError(
        "drive.unusable",
        `The kernel gives no I/O ring: ${errnoName(-ring)}.`,
        "Free some memory or raise the limit of open files, then start again.",
      );
    }
    this.#ring = ring;
    this.#slots.length = 0;
    this.#freeCount = 0;
    const wakeUps = Bun.file(ring.eventfd).stream().getReader() as ReadableStreamDefaultReader<Uint8Array>;
    this.#wakeUps = wakeUps;
    void this.#reapOnWakeUps(ring, wakeUps);
  }

  #close(): void {
    assert(this.#freeCount === this.#slots.length, "the last drive closed with requests in flight");
    const ring = this.#ring;
    const wakeUps = this.#wakeUps;
    this.#ring = undefined;
    this.#wakeUps = undefined;
    // The eventfd has to outlive its reader, or the reader might watch whatever gets the same descriptor next.
    void wakeUps?.cancel().then(() => ring?.close());
  }

  async #reapOnWakeUps(ring: IoRing, wakeUps: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    for (;;) {
      const { done } = await wakeUps.read();
      if (this.#ring !== ring) return;
      assert(!done, "the I/O ring's eventfd ended");
      ring.reap(this.#complete);
    }
  }

  #submitReady(): void {
    this.#submitScheduled = false;
    const ring = this.#ring;
    assert(ring !== undefined, "a request was started without an open drive");
    for (;;) {
      const room = Math.min(ring.room(), this.#ready.length - this.#readyNext);
      for (let count = 0; count < room; count++) this.#prepare(ring, this.#ready[this.#readyNext++]);
      const taken = ring.submit();
      if (taken < 0 && taken !== -Errno.EINTR) {
        assert(taken === -Errno.EAGAIN || taken === -Errno.EBUSY, `the I/O ring failed: ${errnoName(-taken)}`);
        this.#submitScheduled = true;
        this.#clock.after(REFUSED_PAUSE, this.#submit);
        break;
      }
      if (taken === 0) break;
    }
    if (this.#readyNext === this.#ready.length) {
      this.#ready.length = 0;
      this.#readyNext = 0;
    }
    // What was in the page cache, or was done by the time the call returned, needs no wake-up.
    ring.reap(this.#complete);
  }

  #prepare(ring: IoRing, request: IoRequest): void {
    const slot = this.#freeCount > 0 ? this.#free[--this.#freeCount] : this.#slots.length;
    assert(slot < COMPLETIONS, "more requests are in flight than the I/O ring holds");
    this.#slots[slot] = request;
    const { fd, offset, length, address } = request;
    switch (request.operation) {
      case "read":
        ring.prepare(IORING_OP_READ, fd, offset, address, length, 0, slot);
        break;
      case "write":
        ring.prepare(IORING_OP_WRITE, fd, offset, address, length, request.fua ? RWF_DSYNC : 0, slot);
        break;
      case "flush":
        ring.prepare(IORING_OP_FSYNC, fd, 0, 0, 0, IORING_FSYNC_DATASYNC, slot);
        break;
      case "fallocate":
        // This operation's length travels in the address, since it has 64 bits; its mode in the length.
        ring.prepare(IORING_OP_FALLOCATE, fd, offset, length, request.mode, 0, slot);
        break;
    }
  }

  #completeSlot(slot: number, result: number): void {
    const request = this.#slots[slot];
    assert(request !== undefined, `the I/O ring completed an empty slot: ${slot}`);
    this.#slots[slot] = undefined;
    this.#free[this.#freeCount++] = slot;
    request.complete(result);
  }
}
