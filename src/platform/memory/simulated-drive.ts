/**
 * A drive of the simulated world: media, a queue whose requests complete in a seeded order, a volatile cache, and the
 * faults that a test gives it. It belongs to a machine and outlives that machine's processes.
 *
 * Content is taken from a writer's buffer when the write is carried out, and a buffer that was changed in between
 * is an assertion, since a real drive might have written either.
 */

import { assert } from "../../base/assert.ts";
import { BLOCK_BYTES, type ByteCount, type Lba, lba as toLba } from "../../base/units.ts";
import type { Battery } from "./battery.ts";
import { DriveCache } from "./drive-cache.ts";
import { DriveFaults, type Fault, type FaultOptions } from "./drive-fault.ts";
import type { CutShape, DriveMedia, DriveSnapshot } from "./drive-media.ts";
import { type DriveRequest, driveError, type RequestNames, requestNames } from "./drive-request.ts";
import { DRIVE_SETTINGS, type DriveOperation, type DriveSettings } from "./drive-settings.ts";
import { DriveTiming } from "./drive-timing.ts";
import { holds, pagesOf } from "./page.ts";
import type { Process } from "./process.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { carryOut, type Verdict, type Victim } from "./verdict.ts";

/** Who has the drive open. */
export interface DriveLock {
  readonly process: Process;
  readonly writable: boolean;
}

/** The machine that a drive is in. */
export interface DriveHome extends Victim {
  readonly name: string;
  /** What keeps battery-backed caches. */
  readonly battery: Battery;
}

export interface SubmitOptions {
  readonly fua?: boolean;
  readonly signal?: AbortSignal;
  /** Called once the drive no longer uses the buffer, never after the process has ended. */
  readonly onDone?: () => void;
}

const OPERATIONS = ["read", "write", "flush", "unmap"] as const;

/** What a caller waits for whose process is gone. */
const never = () => new Promise<void>(() => {});

export class SimulatedDrive {
  /** Called for each request before it starts; decides whether the machine survives it. */
  onRead: ((lba: Lba, blocks: number) => Verdict) | undefined;
  onWrite: ((lba: Lba, blocks: number) => Verdict) | undefined;
  onFlush: (() => Verdict) | undefined;
  onUnmap: ((lba: Lba, blocks: number) => Verdict) | undefined;
  /** Requests carried out as they should be. */
  readonly counts: Record<DriveOperation, number> = { read: 0, write: 0, flush: 0, unmap: 0 };

  readonly #cache: DriveCache;
  readonly #media: DriveMedia;
  readonly #timing: DriveTiming;
  readonly #random: SeededRandom;
  readonly #inFlight = new Set<DriveRequest>();
  #home: DriveHome;
  #path: string;
  #names: RequestNames;
  readonly #faults: DriveFaults<DriveRequest>;
  #present = true;
  #isLoose = false;
  #plugged = 1;
  #locks: DriveLock[] = [];

  /** @param name of its random numbers: no two drives of a universe have the same */
  constructor(
    private readonly scheduler: Scheduler,
    home: DriveHome,
    path: string,
    name: string,
    size: ByteCount | number,
    settings: Partial<DriveSettings> = {},
  ) {
    assert(size > 0 && size % BLOCK_BYTES === 0, `a drive's size is a multiple of ${BLOCK_BYTES}: ${size}`);
    this.#home = home;
    this.#path = path;
    this.#names = requestNames(home.name, path);
    this.#random = scheduler.random.fork(`drive ${name}`);
    this.#cache = new DriveCache(size / BLOCK_BYTES, scheduler, this.#random, { ...DRIVE_SETTINGS, ...settings });
    this.#media = this.#cache.media;
    this.#timing = new DriveTiming(scheduler, this.#random);
    this.#faults = new DriveFaults(this.#media, (request) => {
      if (this.#inFlight.has(request)) this.#scheduleRequest(request, 0);
    });
  }

  /** The machine that it is in, or was in last. */
  get machine(): string {
    return this.#home.name;
  }

  get path(): string {
    return this.#path;
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
    this.#cache.settings = { ...this.#cache.settings, ...settings };
  }

  /** From now on requests take so many times as long; 1 is as configured. */
  slow(factor: number): void {
    this.#timing.slowness = factor;
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
    this.#media.write(lba, pagesOf(content), "durable");
  }

  /** Makes reads of the blocks fail until the blocks are written or unmapped. */
  latentError(lba: number, blocks = 1): void {
    this.check(lba, blocks);
    this.#media.latentError(lba, blocks);
  }

  /** Flips one bit of a block on the media; a random one unless told which, 0 to 32767. */
  flipBit(lba: number, bit = this.#random.below(BLOCK_BYTES * 8)): void {
    this.check(lba, 1);
    this.#media.flipBit(lba, bit);
  }

  snapshot(): DriveSnapshot {
    return this.#media.snapshot();
  }

  /**
   * What the drive would hold after a power cut at this moment, writes under way included; changes nothing.
   *
   * @param random the caller's: the drive's own would shift what happens to it later
   */
  cutSnapshot(random: SeededRandom, shape: CutShape): DriveSnapshot {
    return this.#cache.cutSnapshot(this.#inFlight, this.#home.battery, random, shape);
  }

  restore(snapshot: DriveSnapshot): void {
    this.#media.restore(snapshot);
  }

  /** Gives the drive a fault. Of several that match a request the oldest counts. */
  inject(options: FaultOptions): Fault {
    return this.#faults.inject(options);
  }

  /** Everything that reaches the drive waits until the fault is removed. */
  stall(): { remove(): void } {
    const faults = OPERATIONS.map((on) => this.inject({ on, action: "stall" }));
    return {
      remove: () => {
        for (const fault of faults) fault.remove();
      },
    };
  }

  /**
   * Pulls the drive out: it loses its power, everything under way fails, and it cannot be opened. What a
   * battery-backed cache held for it is kept if the battery of the machine holds at this moment.
   */
  vanish(): void {
    if (!this.#present) return;
    this.#present = false;
    for (const request of [...this.#inFlight]) {
      this.#interrupt(request);
      this.#complete(request, driveError(this.path, request, "ENODEV"));
    }
    this.#cache.losePower(this.#home.battery);
    this.#timing.reset();
    this.#locks = [];
  }

  /** Puts the drive back. It has to be opened again. */
  reappear(): void {
    if (this.#present) return;
    assert(!this.#isLoose, `drive ${this.path} was taken out of machine ${this.machine}: insert it`);
    this.#present = true;
    this.#plugged++;
  }

  // What machines and handles call.

  /** Pulls the drive out for good: it is in no machine until `putInto`. */
  takeOut(): void {
    this.vanish();
    this.#isLoose = true;
  }

  /** Puts the drive into a machine under a path. */
  putInto(home: DriveHome, path: string): void {
    assert(this.#isLoose, `drive ${this.path} is still in machine ${this.machine}`);
    this.#isLoose = false;
    this.#home = home;
    this.#path = path;
    this.#names = requestNames(home.name, path);
    this.reappear();
  }

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
    this.#cache.losePower(this.#home.battery);
    for (const request of interrupted) this.#cache.leavePart(request, true);
    this.#timing.reset();
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
      return Promise.reject(
        signal?.aborted ? signal.reason : driveError(this.path, { operation, lba, blocks }, "ENODEV"),
      );
    }
    const pages = operation === "write" && buffer !== undefined ? pagesOf(buffer) : undefined;
    const goesOn = carryOut(this.#verdict(operation, lba, blocks), this.#home, () => {
      const { serial } = this.#media;
      this.#cache.carryOut({ operation, lba, blocks, buffer, pages, fua, serial, aborted: false });
      this.counts[operation]++;
    });
    if (!goesOn) return never();
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        if (process.ended || !this.#inFlight.has(request)) return;
        request.aborted = true;
        reject(signal?.reason);
      };
      const request: DriveRequest = {
        process,
        operation,
        lba,
        blocks,
        buffer,
        pages,
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
      this.#scheduleRequest(request, this.#timing.latency(this.#cache.settings, operation, blocks, fua));
    });
  }

  #scheduleRequest(request: DriveRequest, delay: number): void {
    request.event = this.scheduler.schedule(delay, this.#names[request.operation].request, () =>
      this.#perform(request),
    );
  }

  #perform(request: DriveRequest): void {
    const { operation, lba, blocks, pages, buffer } = request;
    const fault = this.#faults.find(request);
    const isMisdirected = fault?.options.action === "misdirect";
    const place = isMisdirected ? this.#cache.elsewhere(request, fault.options.to) : lba;
    const action = fault?.meet(request, place);
    if (action === "stall") return;
    this.#inFlight.delete(request);
    this.scheduler.trace.number(lba);
    this.scheduler.trace.number(blocks);
    if (pages !== undefined && buffer !== undefined && !request.aborted) {
      assert(
        holds(buffer, pages),
        `buffer of a write to ${this.path} block ${lba} was changed before the write completed`,
      );
      this.scheduler.trace.content(buffer);
    }
    let error: Error | undefined;
    if (action === "fail") {
      this.#cache.leavePart(request, false);
      if (operation === "flush") this.#media.flushFailed(request.serial);
      error = driveError(this.path, request, "EIO");
    } else if (operation === "read" && !this.#media.isReadable(lba, blocks)) {
      error = driveError(this.path, request, "EIO");
    } else if (action !== undefined) {
      this.#cache.carryOutWrongly(request, action, place);
    } else if (request.aborted && operation !== "read") {
      this.#cache.leavePart(request, false);
    } else {
      this.#cache.carryOut(request);
      this.counts[operation]++;
    }
    this.#complete(request, error);
  }

  #complete(request: DriveRequest, error?: Error): void {
    request.process.deliver(this.#names[request.operation].done, () => {
      if (!request.aborted) request.settle(error);
      request.done();
    });
  }

  #cancel(request: DriveRequest): void {
    if (request.event !== undefined) this.scheduler.cancel(request.event);
    this.#inFlight.delete(request);
  }

  #interrupt(request: DriveRequest): void {
    this.#cancel(request);
    this.#cache.leavePart(request, false);
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
}
