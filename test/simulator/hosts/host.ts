/**
 * A host of a LUN: a machine of its own in the universe, with a load of random commands over an iSCSI session, and
 * everything that it is told held against the registers that all hosts of the LUN share.
 *
 * Invariants: each command that has begun ends once: answered, or given up because nobody can tell any more; no more
 * of them are outstanding than `depth`.
 */

import { assert } from "../../../src/base/assert.ts";
import { millis } from "../../../src/base/units.ts";
import type { MemoryUniverse, SeededRandom, SimulatedWorld } from "../../../src/platform/memory/memory-world.ts";
import { Cdb, type Command, Counters, type Outcome, unmapList } from "./command.ts";
import { Initiator, type Portal } from "./initiator.ts";
import type { Read, Write } from "./operations.ts";
import type { Registers } from "./registers.ts";
import { stamp } from "./stamps.ts";

export interface HostOptions {
  /** Of the machine. Several hosts of one machine need different ISIDs. */
  readonly name: string;
  /** 48 bits; the name and 1 unless given. */
  readonly isid?: number;
  readonly portals: readonly Portal[];
  /** The IQN. */
  readonly target: string;
  readonly lun: number;
  /** Bytes of a logical block: 512 or 4096. */
  readonly blockSize: number;
  /** The blocks that the host uses. */
  readonly first: number;
  readonly blocks: number;
  /** Share of the commands that are large. */
  readonly large: number;
  /** Commands outstanding at the most. */
  readonly depth: number;
  /** Virtual milliseconds between two looks at whether there is something to do, on the average. */
  readonly pause: number;
  /** CRC32C of headers and data. */
  readonly digests: boolean;
  /** Virtual milliseconds that a command may take at the most; each is given half of it at least. */
  readonly commandTimeout: number;
  /** Whether the target may say that data or hardware is lost. */
  readonly mayLose: boolean;
  readonly registers: Registers;
  /** Told of what the target must not do. What the registers find they tell themselves. */
  readonly onViolation: (text: string) => void;
}

const BLOCKS_MOST = 8;
const BLOCKS_MAX = 64;
const UNMAP_EXTENTS_MAX = 3;
const DEFAULT_ISID = 0x80_00_00_00_00_01;
/** Virtual milliseconds that outstanding commands have when a host stops. */
const STOP_MILLIS = 45_000;

const Status = { Good: 0x00, CheckCondition: 0x02, Busy: 0x08, TaskSetFull: 0x28, TaskAborted: 0x40 } as const;
const SenseKey = { NotReady: 2, MediumError: 3, HardwareError: 4, UnitAttention: 6 } as const;
/** What a target may say of a command that makes sense: that it can't serve now, or that something is lost. */
const ERRORS = new Map<number, { readonly name: string; readonly isLoss: boolean }>([
  [SenseKey.NotReady, { name: "not ready", isLoss: false }],
  [SenseKey.MediumError, { name: "medium error", isLoss: true }],
  [SenseKey.HardwareError, { name: "hardware error", isLoss: true }],
]);

/** A command of the host, over all of its retries. */
interface Work {
  readonly cdb: Uint8Array;
  readonly data: Uint8Array | undefined;
  readonly into: Uint8Array | undefined;
  readonly writes: readonly Write[];
  readonly read: Read | undefined;
  /** Told how it ended; true if it was answered with GOOD. */
  readonly onEnd: ((good: boolean) => void) | undefined;
}

/** A write that nobody knows the fate of, and where it was sent. */
interface Doubt {
  readonly write: Write;
  readonly portal: Portal;
}

export class Host {
  readonly counters = new Counters();
  readonly #universe: MemoryUniverse;
  readonly #options: HostOptions;
  readonly #random: SeededRandom;
  #world: SimulatedWorld | undefined;
  #initiator: Initiator | undefined;
  /** Whether new commands are made. */
  #loading = false;
  readonly #outstanding = new Set<Work>();
  /** Those of them that are to be sent again, and when, by the universe's time. */
  #retries: { readonly work: Work; readonly at: number }[] = [];
  #doubts: Doubt[] = [];
  readonly #buffers = new Map<number, Uint8Array[]>();
  #onIdle: () => void = () => {};

  constructor(universe: MemoryUniverse, options: HostOptions) {
    this.#universe = universe;
    this.#options = options;
    this.#random = universe.random.fork(`host ${options.name} ${options.isid ?? DEFAULT_ISID}`);
    universe.machine(options.name);
  }

  get name(): string {
    return this.#options.name;
  }

  get hasDigests(): boolean {
    return this.#options.digests;
  }

  /** Whether nothing is outstanding. */
  get idle(): boolean {
    return this.#outstanding.size === 0;
  }

  /** Logs in, and lets the load begin. The machine is up. */
  start(): void {
    this.#start();
    this.#loading = true;
  }

  /** Makes no new commands, lets those that are outstanding end, or gives them up after a while, and logs out. */
  async stop(): Promise<void> {
    this.#loading = false;
    const initiator = this.#initiator;
    if (initiator === undefined) return;
    await this.#within(STOP_MILLIS, (done) => {
      if (this.idle) done();
      else this.#onIdle = done;
    });
    if (this.#initiator !== initiator) return;
    await this.#within(STOP_MILLIS, (done) => void initiator.stop().then(done));
    if (this.#initiator === initiator) this.#giveUp();
  }

  /** The machine or its process has ended: nothing that was outstanding is answered. `start` begins anew. */
  crashed(): void {
    this.#loading = false;
    this.#giveUp();
  }

  /**
   * Reads all blocks of the host. A host that does not run logs in for it.
   *
   * @param until whether each is read again and again until it was read, or once, whatever the answer is
   */
  async readAll(until: "read" | "answered" = "read"): Promise<void> {
    const isUp = this.#initiator !== undefined;
    if (!isUp) this.#start();
    const { first, blocks } = this.#options;
    for (let at = 0; at < blocks; at += BLOCKS_MAX) {
      const count = Math.min(BLOCKS_MAX, blocks - at);
      while (!(await this.#readOnce(first + at, count)) && until === "read");
    }
    if (!isUp) await this.stop();
  }

  #readOnce(lba: number, blocks: number): Promise<boolean> {
    return new Promise((resolve) => {
      // Waits like a retry, for a session first of all.
      const work = this.#readWork(lba, blocks, resolve);
      this.#outstanding.add(work);
      this.#retries.push({ work, at: this.#universe.now });
    });
  }

  /** Resolves when `body` calls it done, or after so many virtual milliseconds. */
  #within(deadline: number, body: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      this.#universe.after(deadline, resolve);
      body(resolve);
    });
  }

  #start(): void {
    assert(this.#initiator === undefined, `host ${this.name} runs already`);
    const { isid = DEFAULT_ISID, name, onViolation } = this.#options;
    const world = this.#universe.world(name);
    const options = {
      ...this.#options,
      isid,
      initiator: `iqn.2026-11.dev.antipode.host:${name}`,
      counters: this.counters,
      damaged: ({ host }: Portal) => this.#universe.network.damaged(name, host),
    };
    this.#world = world;
    this.#initiator = new Initiator(world, options, this.#random, {
      opened: (portal) => this.#settle(portal),
      violated: (text) => onViolation(`${name}: ${text}`),
    });
    this.#initiator.start();
    this.#look(world);
  }

  #giveUp(): void {
    const initiator = this.#initiator;
    this.#initiator = undefined;
    this.#world = undefined;
    initiator?.abort();
    for (const work of [...this.#outstanding]) {
      for (const write of work.writes) this.#doubt(write, initiator);
      this.#end(work, false);
    }
    this.#retries = [];
  }

  #look(world: SimulatedWorld): void {
    const initiator = this.#initiator;
    if (initiator === undefined || this.#world !== world) return;
    if (initiator.isOpen) {
      const due = this.#retries.filter(({ at }) => at <= this.#universe.now);
      this.#retries = this.#retries.filter(({ at }) => at > this.#universe.now);
      for (const { work } of due) this.#submit(work);
      while (this.#loading && initiator.isOpen && this.#outstanding.size < this.#options.depth) this.#begin();
    }
    world.clock.after(millis(this.#random.below(2 * this.#options.pause) + 1), () => this.#look(world));
  }

  // Commands.

  #begin(): void {
    const work = this.#draw();
    this.#outstanding.add(work);
    this.#submit(work);
  }

  #draw(): Work {
    const random = this.#random;
    const { first, blocks: all, large } = this.#options;
    const most = Math.min(all, random.chance(large) ? BLOCKS_MAX : BLOCKS_MOST);
    const blocks = 1 + random.below(most);
    const lba = first + random.below(all - blocks + 1);
    const dice = random.below(100);
    if (dice < 42) return this.#readWork(lba, blocks, undefined);
    if (dice < 86) return this.#writeWork(lba, blocks);
    if (dice < 94) return this.#unmapWork();
    return this.#otherWork(dice < 97 ? Cdb.synchronizeCache() : Cdb.testUnitReady());
  }

  #readWork(lba: number, blocks: number, onEnd: Work["onEnd"]): Work {
    const { registers, blockSize } = this.#options;
    return {
      cdb: Cdb.transfer("read", this.#random.pick([10, 16]), lba, blocks, this.#random.chance(0.1)),
      data: undefined,
      into: this.#take(blocks * blockSize),
      writes: [],
      read: registers.beginRead(lba, blocks, this.#universe.now, this.name),
      onEnd,
    };
  }

  #writeWork(lba: number, blocks: number): Work {
    const { registers, blockSize } = this.#options;
    const write = registers.beginWrite(lba, blocks, this.#universe.now, this.name);
    const data = this.#take(blocks * blockSize);
    stamp(data, lba, blockSize, write.stamp);
    const cdb = Cdb.transfer("write", this.#random.pick([10, 16]), lba, blocks, this.#random.chance(0.2));
    return { cdb, data, into: undefined, writes: [write], read: undefined, onEnd: undefined };
  }

  #unmapWork(): Work {
    const random = this.#random;
    const { registers, first, blocks: all } = this.#options;
    const extents = Array.from({ length: 1 + random.below(random.chance(0.2) ? UNMAP_EXTENTS_MAX : 1) }, () => {
      const blocks = 1 + random.below(Math.min(all, 2 * BLOCKS_MOST));
      return { lba: first + random.below(all - blocks + 1), blocks };
    });
    const data = unmapList(extents);
    const writes = extents.map(({ lba, blocks }) => registers.beginUnmap(lba, blocks, this.#universe.now, this.name));
    return { cdb: Cdb.unmap(data.length), data, into: undefined, writes, read: undefined, onEnd: undefined };
  }

  #otherWork(cdb: Uint8Array): Work {
    return { cdb, data: undefined, into: undefined, writes: [], read: undefined, onEnd: undefined };
  }

  #submit(work: Work): void {
    const initiator = this.#initiator;
    if (initiator === undefined) return;
    const { cdb, data, into } = work;
    const command: Command = { cdb, data, into, done: (outcome) => this.#done(work, outcome, initiator) };
    initiator.submit(command);
  }

  #done(work: Work, outcome: Outcome, initiator: Initiator): void {
    // What the initiator of a host that was given up says has been said already.
    if (!this.#outstanding.has(work)) return;
    const { counters } = this;
    switch (outcome.kind) {
      case "unsent":
        this.#retry(work, 0);
        return;
      case "lost":
        counters.lost++;
        for (const write of work.writes) this.#doubt(write, initiator);
        this.#end(work, false);
        return;
      case "aborted":
        this.#settled(work);
        return;
      default:
        this.#answered(work, outcome, initiator);
    }
  }

  #answered(work: Work, { status, sense }: Outcome & { kind: "status" }, initiator: Initiator): void {
    const { counters } = this;
    const { now } = this.#universe;
    switch (status) {
      case Status.Good:
        for (const write of work.writes) write.finish(now);
        if (work.writes.length > 0) counters.acknowledged++;
        if (work.read !== undefined && work.into !== undefined) {
          counters.reads++;
          work.read.finish(work.into, now);
        }
        this.#end(work, true);
        return;
      case Status.Busy:
      case Status.TaskSetFull:
        // Neither has begun it.
        counters.busy++;
        this.#retry(work, 20 + this.#random.below(300));
        return;
      case Status.TaskAborted:
        Counters.count(counters.errors, "task aborted");
        this.#settled(work);
        return;
      default:
        if (sense?.key === SenseKey.UnitAttention) {
          counters.attentions++;
          this.#submit(work);
          return;
        }
        this.#failed(work, status, sense, initiator);
    }
  }

  #failed(work: Work, status: number, sense: (Outcome & { kind: "status" })["sense"], initiator: Initiator): void {
    const error = status === Status.CheckCondition && sense !== undefined ? ERRORS.get(sense.key) : undefined;
    if (error === undefined || (error.isLoss && !this.#options.mayLose)) {
      const code = [status, sense?.key, sense?.asc, sense?.ascq].map((one) => one?.toString(16) ?? "-").join("/");
      this.#options.onViolation(`${this.name}: command ${work.cdb[0].toString(16)} answered with ${code}`);
    }
    Counters.count(this.counters.errors, error?.name ?? "unexpected");
    for (const write of work.writes) this.#doubt(write, initiator);
    this.#end(work, false);
  }

  /** The target does nothing more for it: its writes have landed or never will. */
  #settled(work: Work): void {
    for (const write of work.writes) write.settle(this.#universe.now);
    this.#end(work, false);
  }

  #retry(work: Work, delay: number): void {
    this.#retries.push({ work, at: this.#universe.now + delay });
  }

  #end(work: Work, good: boolean): void {
    this.#outstanding.delete(work);
    if (work.data !== undefined) this.#give(work.data);
    if (work.into !== undefined) this.#give(work.into);
    work.onEnd?.(good);
    if (this.idle) this.#onIdle();
  }

  // Writes in doubt.

  #doubt(write: Write, initiator: Initiator | undefined): void {
    if (initiator !== undefined) this.#doubts.push({ write, portal: initiator.portal });
  }

  /** A new session does not begin before the old one's writes have ended, at the portal where they were sent to. */
  #settle(portal: Portal): void {
    for (const doubt of this.#doubts) if (doubt.portal === portal) doubt.write.settle(this.#universe.now);
    this.#doubts = this.#doubts.filter((doubt) => doubt.portal !== portal);
  }

  // Buffers, by their length.

  #take(bytes: number): Uint8Array {
    return this.#buffers.get(bytes)?.pop() ?? new Uint8Array(bytes);
  }

  #give(buffer: Uint8Array): void {
    const free = this.#buffers.get(buffer.length);
    if (free === undefined) this.#buffers.set(buffer.length, [buffer]);
    else free.push(buffer);
  }
}
