/**
 * A drive of the simulated world: media, a queue whose requests complete in a seeded order, a volatile cache, and the
 * faults that a test gives it. It belongs to a machine and outlives that machine's processes.
 *
 * Content is taken from a writer's buffer when the write is carried out, and a buffer that was changed in between
 * is an assertion, since a real drive might have written either.
 */

import { assert } from "../../base/assert.ts";
import { OperatingError } from "../../base/operating-error.ts";
import { BLOCK_BYTES, type ByteCount, type Lba, lba as toLba } from "../../base/units.ts";
import { type Fault, type FaultOptions, InjectedFault } from "./drive-fault.ts";
import { DriveMedia, type DriveSnapshot } from "./drive-media.ts";
import { DRIVE_SETTINGS, type DriveOperation, type DriveSettings } from "./drive-settings.ts";
import type { SimulatedEvent } from "./event-queue.ts";
import type { Process } from "./process.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { carryOut, type Verdict, type Victim } from "./verdict.ts";

/** Who has the drive open. */
export interface DriveLock {
  readonly process: Process;
  readonly writable: boolean;
}

/** One request under way. */
interface Request {
  readonly process: Process;
  readonly operation: DriveOperation;
  readonly lba: number;
  readonly blocks: number;
  /** The caller's buffer, for a read or a write. */
  readonly buffer: Uint8Array | undefined;
  /** What a write's buffer held when it was submitted. */
  readonly content: Uint8Array | undefined;
  readonly fua: boolean;
  /** The media's serial when it was submitted. */
  readonly serial: number;
  readonly settle: (error?: Error) => void;
  /** Called once the drive is done with it, also where its caller was told before. */
  readonly done: () => void;
  event: SimulatedEvent | undefined;
  /** Its caller has given up on it; the drive has not. */
  aborted: boolean;
}

export interface SubmitOptions {
  readonly fua?: boolean;
  readonly signal?: AbortSignal;
  /** Called once the drive no longer uses the buffer, never after the process has ended. */
  readonly onDone?: () => void;
}

/** What a caller waits for whose process is gone. */
const never = () => new Promise<void>(() => {});

export class SimulatedDrive {
  /** Called for each request before it starts; decides whether the machine survives it. */
  onRead: ((lba: Lba, blocks: number) => Verdict) | undefined;
  onWrite: ((lba: Lba, blocks: number) => Verdict) | undefined;
  onFlush: (() => Verdict) | undefined;
  onUnmap: ((lba: Lba, blocks: number) => Verdict) | undefined;
  /** Requests carried out. */
  readonly counts: Record<DriveOperation, number> = { read: 0, write: 0, flush: 0, unmap: 0 };

  readonly #media: DriveMedia;
  readonly #random: SeededRandom;
  readonly #inFlight = new Set<Request>();
  #settings: DriveSettings;
  #faults: InjectedFault<Request>[] = [];
  #busyUntil = 0;
  #present = true;
  #plugged = 1;
  #locks: DriveLock[] = [];

  constructor(
    private readonly scheduler: Scheduler,
    private readonly victim: Victim,
    readonly machine: string,
    readonly path: string,
    size: ByteCount | number,
    settings: Partial<DriveSettings> = {},
  ) {
    assert(size > 0 && size % BLOCK_BYTES === 0, `a drive's size is a multiple of ${BLOCK_BYTES}: ${size}`);
    this.#media = new DriveMedia(size / BLOCK_BYTES);
    this.#settings = { ...DRIVE_SETTINGS, ...settings };
    this.#random = scheduler.random.fork(`drive ${machine} ${path}`);
  }

  get blockCount(): number {
    return this.#media.blockCount;
  }

  get present(): boolean {
    return this.#present;
  }

  /** Counts the times that the drive was put in; a handle opened before it was pulled out stays dead. */
  get plugged(): number {
    return this.#plugged;
  }

  /** Requests under way. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Blocks whose last content a power cut can take. */
  get unflushedBlocks(): number {
    return this.#media.unflushedBlocks;
  }

  configure(settings: Partial<DriveSettings>): void {
    this.#settings = { ...this.#settings, ...settings };
  }

  /** What a read would return, to look at from a test. */
  contents(lba = 0, blocks = this.blockCount - lba): Uint8Array {
    this.check(lba, blocks);
    const into = new Uint8Array(blocks * BLOCK_BYTES);
    this.#media.read(lba, into);
    return into;
  }

  /** Puts content on the media behind everyone's back. */
  overwrite(lba: number, content: Uint8Array): void {
    this.check(lba, content.length / BLOCK_BYTES);
    this.#media.write(lba, content, true);
  }

  /** Flips one bit of a block on the media; a random one unless told which, 0 to 32767. */
  flipBit(lba: number, bit = this.#random.below(BLOCK_BYTES * 8)): void {
    this.check(lba, 1);
    this.#media.flipBit(lba, bit);
  }

  snapshot(): DriveSnapshot {
    return this.#media.snapshot();
  }

  restore(snapshot: DriveSnapshot): void {
    this.#media.restore(snapshot);
  }

  /** Gives the drive a fault. Of several that match a request the oldest counts. */
  inject(options: FaultOptions): Fault {
    const fault = new InjectedFault<Request>(options, (removed, stalled) => {
      this.#faults = this.#faults.filter((other) => other !== removed);
      for (const request of stalled) if (this.#inFlight.has(request)) this.#scheduleRequest(request, 0);
    });
    this.#faults.push(fault);
    return fault;
  }

  /** Everything that reaches the drive waits until the fault is removed. */
  stall(): { remove(): void } {
    const faults = (["read", "write", "flush", "unmap"] as const).map((on) => this.inject({ on, action: "stall" }));
    return {
      remove: () => {
        for (const fault of faults) fault.remove();
      },
    };
  }

  /** Pulls the drive out: it loses its power, everything under way fails, and it cannot be opened. */
  vanish(): void {
    if (!this.#present) return;
    this.#present = false;
    for (const request of [...this.#inFlight]) {
      this.#interrupt(request);
      this.#complete(request, this.#failure(request));
    }
    this.#media.powerCut(this.#random);
    this.#locks = [];
  }

  /** Puts the drive back. It has to be opened again. */
  reappear(): void {
    if (this.#present) return;
    this.#present = true;
    this.#plugged++;
  }

  // What machines and handles call.

  /** Asserts that the blocks are on the drive. */
  check(lba: number, blocks: number): void {
    assert(
      Number.isInteger(lba) && Number.isInteger(blocks) && lba >= 0 && lba + blocks <= this.blockCount,
      `blocks ${lba} to ${lba + blocks} of ${this.path} are outside its ${this.blockCount} blocks`,
    );
  }

  /** Opens the drive for one writer alone, or for several readers. @returns undefined where others stand against it */
  lock(process: Process, writable: boolean): DriveLock | undefined {
    this.#locks = this.#locks.filter((lock) => !lock.process.ended);
    if (this.#locks.some((lock) => lock.writable || writable)) return undefined;
    const lock = { process, writable };
    this.#locks.push(lock);
    return lock;
  }

  unlock(lock: DriveLock): void {
    this.#locks = this.#locks.filter((other) => other !== lock);
  }

  /** The machine lost its power. */
  powerCut(): void {
    const interrupted = [...this.#inFlight];
    for (const request of interrupted) this.#cancel(request);
    this.#media.powerCut(this.#random);
    for (const request of interrupted) this.#leavePart(request, true);
    this.#busyUntil = 0;
  }

  /** The process ended, the drive did not notice. */
  processEnded(process: Process): void {
    for (const request of [...this.#inFlight]) if (request.process === process) this.#interrupt(request);
  }

  /**
   * Carries out one request of a process. An abort rejects at once; the drive goes on, and uses the buffer until then.
   */
  submit(
    process: Process,
    operation: DriveOperation,
    at: { readonly lba: number; readonly blocks: number },
    buffer?: Uint8Array,
    options: SubmitOptions = {},
  ): Promise<void> {
    if (process.ended) return never();
    const { signal, fua = false, onDone } = options;
    const { lba, blocks } = at;
    this.check(lba, blocks);
    if (signal?.aborted || !this.#present) {
      onDone?.();
      return Promise.reject(signal?.aborted ? signal.reason : this.#failure({ operation, lba, blocks }));
    }
    const content = operation === "write" && buffer !== undefined ? new Uint8Array(buffer) : undefined;
    const goesOn = carryOut(this.#verdict(operation, lba, blocks), this.victim, () => {
      this.#effect({ operation, lba, blocks, buffer, content, fua, serial: this.#media.serial });
    });
    if (!goesOn) return never();
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        if (process.ended || !this.#inFlight.has(request)) return;
        request.aborted = true;
        reject(signal?.reason);
      };
      const request: Request = {
        process,
        operation,
        lba,
        blocks,
        buffer,
        content,
        fua,
        serial: this.#media.serial,
        event: undefined,
        aborted: false,
        settle: (error) => (error === undefined ? resolve() : reject(error)),
        done: () => {
          signal?.removeEventListener("abort", onAbort);
          onDone?.();
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#inFlight.add(request);
      this.#scheduleRequest(request, this.#latency(operation, blocks, fua));
    });
  }

  #scheduleRequest(request: Request, delay: number): void {
    request.event = this.scheduler.schedule(delay, `${this.machine}:${this.path} ${request.operation}`, () =>
      this.#perform(request),
    );
  }

  #perform(request: Request): void {
    const { operation, lba, blocks, buffer, content } = request;
    const action = this.#faults.find((one) => one.matches(request))?.meet(request);
    if (action === "stall") return;
    this.#inFlight.delete(request);
    this.scheduler.trace.number(lba);
    this.scheduler.trace.number(blocks);
    if (content !== undefined && buffer !== undefined && !request.aborted) {
      assert(
        Buffer.compare(content, buffer) === 0,
        `buffer of a write to ${this.path} block ${lba} was changed before the write completed`,
      );
      this.scheduler.trace.content(content);
    }
    if (action === "fail") {
      this.#leavePart(request, false);
      if (operation === "flush") this.#media.flushFailed(request.serial);
      this.#complete(request, this.#failure(request));
      return;
    }
    if (action === undefined) {
      if (request.aborted && operation !== "read") this.#leavePart(request, false);
      else this.#effect(request);
    }
    this.#complete(request);
  }

  #complete(request: Request, error?: Error): void {
    request.process.deliver(`${this.path} ${request.operation} done`, () => {
      if (!request.aborted) request.settle(error);
      request.done();
    });
  }

  /** What a request does to the media or to its buffer when nothing is wrong. */
  #effect(request: Omit<Request, "process" | "settle" | "done" | "event" | "aborted">): void {
    const { operation, lba, blocks, buffer, content, fua, serial } = request;
    const durable = fua || !this.#settings.volatileCache;
    this.counts[operation]++;
    switch (operation) {
      case "read":
        if (buffer !== undefined) this.#media.read(lba, buffer);
        break;
      case "write":
        if (content !== undefined) this.#media.write(lba, content, durable);
        break;
      case "unmap":
        this.#media.unmap(lba, blocks, durable);
        break;
      case "flush":
        this.#media.flushed(serial);
        break;
    }
  }

  #cancel(request: Request): void {
    if (request.event !== undefined) this.scheduler.cancel(request.event);
    this.#inFlight.delete(request);
  }

  #interrupt(request: Request): void {
    this.#cancel(request);
    this.#leavePart(request, false);
  }

  /** What a write or an unmap that did not complete leaves: anything between all and nothing. */
  #leavePart(request: Request, durable: boolean): void {
    const { operation, lba, blocks, buffer, content, aborted } = request;
    const certain = durable || !this.#settings.volatileCache;
    if (operation === "unmap") this.#media.writePartly(lba, blocks, certain, this.#random);
    if (content === undefined || buffer === undefined) return;
    // after an abort the caller may have changed the buffer, and the drive may read it before or after that
    const written = aborted && this.#random.chance(0.5) ? buffer : content;
    this.#media.writePartly(lba, written, certain, this.#random);
  }

  #latency(operation: DriveOperation, blocks: number, fua: boolean): number {
    const [min, max] = this.#settings[operation];
    let delay = this.#random.between(min, max);
    if (fua) delay += this.#random.between(this.#settings.flush[0], this.#settings.flush[1]);
    if (operation === "flush" || operation === "unmap" || this.#settings.bytesPerSecond === Number.POSITIVE_INFINITY) {
      return delay;
    }
    const now = this.scheduler.now;
    const transfer = (blocks * BLOCK_BYTES * 1000) / this.#settings.bytesPerSecond;
    this.#busyUntil = Math.max(this.#busyUntil, now) + transfer;
    return this.#busyUntil - now + delay;
  }

  #verdict(operation: DriveOperation, lba: number, blocks: number): Verdict {
    switch (operation) {
      case "read":
        return this.onRead?.(toLba(lba), blocks) ?? "continue";
      case "write":
        return this.onWrite?.(toLba(lba), blocks) ?? "continue";
      case "unmap":
        return this.onUnmap?.(toLba(lba), blocks) ?? "continue";
      case "flush":
        return this.onFlush?.() ?? "continue";
    }
  }

  #failure({ operation, lba, blocks }: Pick<Request, "operation" | "lba" | "blocks">): Error {
    const where = operation === "flush" ? "" : ` of ${blocks} blocks at ${lba}`;
    const why = this.#present ? "EIO" : "ENODEV";
    return new OperatingError(
      "drive.io",
      `Drive ${this.path}: ${operation}${where} failed: ${why}.`,
      "Check the drive and its cabling, and replace it if it fails again.",
    );
  }
}
