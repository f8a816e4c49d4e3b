/**
 * One run: a system that a seed draws, under load, through a time of unrest, then mended, until it is at rest. Every
 * promise that the product makes is checked on the way; the first that is broken ends the run.
 */

import { OperatingError } from "../../src/base/operating-error.ts";
import { BLOCK_BYTES, lba, millis } from "../../src/base/units.ts";
import type { VolumeVerdict } from "../../src/mirror/verify.ts";
import { isalArithmetic } from "../../src/platform/linux/isal-arithmetic.ts";
import { linuxMemory } from "../../src/platform/linux/linux-memory.ts";
import { MemoryUniverse } from "../../src/platform/memory/memory-world.ts";
import { plainArithmetic } from "../../src/platform/plain-arithmetic.ts";
import { snapshot } from "../../src/site/snapshot.ts";
import { Checkers } from "./checkers/index.ts";
import { Budget } from "./faults/budget.ts";
import { type Met, Unrest } from "./faults/unrest.ts";
import { Load } from "./load.ts";
import { Operator } from "./operator.ts";
import type { Scenario } from "./scenarios.ts";
import { SimulatedSystem } from "./system.ts";
import { Violation } from "./violation.ts";

export interface RunResult {
  readonly scenario: string;
  readonly seed: number;
  /** 16 hexadecimal digits over all that happened. */
  readonly traceHash: string;
  readonly simulatedMs: number;
  readonly events: number;
  readonly writes: number;
  readonly reads: number;
  readonly faults: number;
  /** Of the faults that awaited a request: how many were given to drives, and how many were met, by their names. */
  readonly met: Readonly<Record<string, Met>>;
  /** Absent for a run that passed. */
  readonly failure?: Failure;
}

export interface Failure {
  /** Which promise was broken, in a few words. */
  readonly invariant: string;
  readonly what: string;
  /** The system as the seed drew it. */
  readonly config: string;
  readonly faults: readonly string[];
  readonly lastEvents: readonly string[];
}

/** Virtual milliseconds between two looks of the checkers. */
const LOOK = 20;
/** Virtual milliseconds in which a mended system must serve every host again. */
const SERVICE_DEADLINE = millis(300_000);
/** Virtual milliseconds that hosts have to end their commands, and to read everything. */
const END_DEADLINE = millis(120_000);
/** Writes that every host must get through once all is mended. */
const WRITES_AFTER = 3;
/** Times in a run at which every set of sites that might take over is looked at. */
const TAKEOVER_LOOKS = 6;
const VERIFY_ATTEMPTS = 10;
/** Virtual milliseconds until a lost link is up again, mostly. */
const LINK_RETRY = millis(2000);
/** Virtual milliseconds that a system that need not come back is watched after it was mended. */
const AFTERMATH = millis(10_000);

/** Checksums and parity come out the same either way; with the library they are quicker. */
const arithmetic = isalArithmetic(linuxMemory()) ?? plainArithmetic;

/** Carries out one run. Never rejects for what the run finds. */
export async function runSeed(scenario: Scenario, seed: number): Promise<RunResult> {
  const run = new Run(scenario, seed);
  let failure: Failure | undefined;
  const onRejection = (error: unknown) => run.bug("a promise that nobody looks at", error);
  process.on("unhandledRejection", onRejection);
  try {
    await run.carryOut();
  } catch (error) {
    failure = run.failure(error);
  } finally {
    process.off("unhandledRejection", onRejection);
  }
  return run.result(failure);
}

class Run {
  readonly #scenario: Scenario;
  readonly #seed: number;
  readonly #universe: MemoryUniverse;
  readonly #system: SimulatedSystem;
  readonly #operator: Operator;
  readonly #checkers: Checkers;
  readonly #load: Load;
  readonly #budget: Budget;
  readonly #unrest: Unrest;
  /** The first broken promise, until the run comes to a place where it can end. */
  #violation: Violation | undefined;

  constructor(scenario: Scenario, seed: number) {
    this.#scenario = scenario;
    this.#seed = seed;
    this.#universe = new MemoryUniverse(`${scenario.name} ${seed}`, { arithmetic });
    const random = this.#universe.random.fork("scenario");
    this.#universe.network.configure({
      segmentBytes: random.pick([
        [1, 65536],
        [1, 3000],
        [1, 200_000],
      ] as const),
    });
    this.#system = new SimulatedSystem(this.#universe, scenario.draw(random));
    this.#operator = new Operator(this.#system);
    this.#operator.onBug = (site, error) => this.bug(site, error);
    this.#budget = new Budget(this.#system, random, scenario.isBeyond);
    this.#checkers = new Checkers(this.#system, this.#budget);
    this.#budget.onJournalStruck = (name) => {
      // A relay point that has forgotten what it passed on may have those behind it drop that as well.
      for (const site of [name, ...this.#system.behind(name)]) this.#checkers.release(site);
    };
    this.#load = new Load(this.#system, {
      hosts: 1 + random.below(scenario.hosts),
      depth: scenario.depth,
      isBulk: scenario.isBulk,
      isLight: scenario.isLight,
      mayLose: scenario.isBeyond,
      onViolation: (what) => this.#broken("what hosts are told", what),
    });
    const { hosts } = this.#load;
    const scene = {
      system: this.#system,
      operator: this.#operator,
      hosts,
      budget: this.#budget,
      rows: this.#load.rows,
      random: random.fork("faults"),
    };
    this.#unrest = new Unrest(scene, scenario);
  }

  async carryOut(): Promise<void> {
    this.#operator.begin();
    this.#look();
    await this.#until("service at the start", () => this.#system.server !== undefined);
    this.#load.begin();
    this.#unrest.begin();
    for (let part = 0; part < TAKEOVER_LOOKS; part++) {
      await this.#universe.advance(this.#scenario.unrest / TAKEOVER_LOOKS);
      while (!this.#budget.isProtected) await this.#universe.advance(LOOK);
      this.#lookAtTakeover();
      this.#throwIfBroken();
    }
    this.#unrest.mend();
    if (this.#scenario.comesBack) await this.#comeToRest();
    else await this.#comeToAnEnd();
  }

  /** What may not have gone wrong is a bug of the product, wherever it comes out. */
  bug(where: string, error: unknown): void {
    this.#broken("no process fails but by an operating error", `${where}: ${describe(error)}`);
  }

  failure(error: unknown): Failure {
    const { invariant, what } =
      this.#violation ??
      (error instanceof Violation ? error : { invariant: "no assertion fails", what: describe(error) });
    return {
      invariant,
      what,
      config: JSON.stringify(this.#system.topology, undefined, 2),
      faults: this.#unrest.log,
      lastEvents: this.#universe.lastEvents,
    };
  }

  result(failure: Failure | undefined): RunResult {
    return {
      scenario: this.#scenario.name,
      seed: this.#seed,
      traceHash: this.#universe.traceHash,
      simulatedMs: this.#universe.now,
      events: this.#universe.events,
      writes: this.#load.writes,
      reads: this.#load.reads,
      faults: this.#unrest.log.length,
      met: this.#unrest.met,
      failure,
    };
  }

  /** Service comes back, nothing is lost, and all sites end up the same. */
  async #comeToRest(): Promise<void> {
    const { names, sites } = this.#system;
    await this.#until("every site comes back", () => sites.size === names.length && this.#system.server !== undefined);
    const goal = this.#load.hosts.map((host) => host.counters.acknowledged + WRITES_AFTER);
    await this.#until("every host is served again", () =>
      this.#load.hosts.every((host, at) => host.counters.acknowledged >= goal[at]),
    );
    this.#lookAtTakeover();
    await this.#ends("every host ends what it has begun", this.#load.end());
    await this.#until("everything is stored and retired everywhere", () => this.#system.isSettled);
    await this.#ends("hosts can read every block", this.#load.readAll());
    await this.#repair();
    await this.#checkContent();
    this.#hold(await this.#checkers.atRest());
    await this.#verify();
    // What is at rest must be there after the lights went out everywhere.
    for (const name of names) this.#operator.end(name, "crash", 0);
    await this.#until("every site comes back", () => sites.size === names.length && this.#system.server !== undefined);
    await this.#ends("hosts can read every block", this.#load.readAll());
    this.#checkRegisters();
  }

  /** Whatever still answers, answers truly. */
  async #comeToAnEnd(): Promise<void> {
    await this.#universe.advance(AFTERMATH);
    this.#throwIfBroken();
    const { server } = this.#system;
    if (server !== undefined) {
      await this.#settles(this.#load.end(), END_DEADLINE);
      await this.#settles(this.#load.readAll("answered"), AFTERMATH);
      const { feed } = server;
      const legs = feed.kind === "hosts" ? feed.controller.legs : [];
      for (const name of [server.config.site.name, ...legs.map(({ sites }) => sites[0])])
        await this.#checkReadable(name);
    }
    this.#checkRegisters();
  }

  /**
   * What a site still has that all acknowledged writes counted on: whatever of it can be read must be right. A site whose
   * journal was damaged may have forgotten any of it.
   */
  async #checkReadable(name: string): Promise<void> {
    const site = this.#system.sites.get(name);
    if (site === undefined || site.storage.volumes.size === 0 || this.#checkers.isReleased(name)) return;
    const { id } = site.config.volumes.lun0;
    const block = site.world.memory.allocate(BLOCK_BYTES);
    for (let at = 0; at < this.#load.blocks; at++) {
      let isRead = false;
      const read = site.pipeline.readStored(id, lba(at), block).then(
        () => {
          isRead = true;
        },
        (error: unknown) => {
          if (!(error instanceof OperatingError)) throw error;
        },
      );
      // Its process may end meanwhile.
      if (!(await this.#settles(read, AFTERMATH))) return;
      const first = (at * BLOCK_BYTES) / this.#load.blockSize;
      const wrong = isRead ? this.#load.registers.checkContent(block, name, this.#universe.now, first) : [];
      this.#refuse("what can still be read is right", wrong[0]);
    }
    site.world.memory.free(block);
  }

  /** What a site's array can't read any more the others have. */
  async #repair(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { exitCode, text } = await this.#system.repair();
      if (exitCode === 0) break;
      // A link may have been lost meanwhile.
      if (attempt === VERIFY_ATTEMPTS) throw new Violation("what a site can't read is repaired", text);
      await this.#universe.advance(LINK_RETRY);
    }
    await this.#until("everything is stored and retired everywhere", () => this.#system.isSettled);
  }

  async #checkContent(): Promise<void> {
    for (const name of this.#system.names) {
      if (this.#system.site(name).storage.volumes.size === 0) continue;
      const wrong = this.#load.registers.checkContent(await this.#system.stored(name), name, this.#universe.now);
      this.#refuse("every site has what hosts wrote", wrong[0]);
    }
    this.#checkRegisters();
  }

  async #verify(): Promise<void> {
    for (const found of await this.#verdicts()) {
      if (found.verdict === "identical" || found.verdict === "diskless") continue;
      throw new Violation("all sites are identical at rest", `verify says ${JSON.stringify(found)}`);
    }
  }

  /** A link may be lost and come back at any time, and then nothing is known of what is behind it. */
  async #verdicts(): Promise<VolumeVerdict["sites"]> {
    for (let attempt = 1; ; attempt++) {
      const { sites } = await this.#system.verify();
      if (attempt === VERIFY_ATTEMPTS || sites.every(({ verdict }) => verdict !== "unknown")) return sites;
      await this.#universe.advance(LINK_RETRY);
    }
  }

  #checkRegisters(): void {
    this.#refuse("each block is a linearizable register", this.#load.registers.check()[0]);
  }

  #lookAtTakeover(): void {
    const check = (site: string, content: Uint8Array) =>
      this.#load.registers.checkContent(content, site, this.#universe.now);
    if (this.#scenario.isBeyond) return;
    this.#hold(this.#checkers.takeover(check));
  }

  #hold(found: { readonly invariant: string; readonly what: string } | undefined): void {
    if (found !== undefined) throw new Violation(found.invariant, found.what);
  }

  #look(): void {
    const found = this.#checkers.look();
    if (found !== undefined) this.#broken(found.invariant, found.what);
    this.#universe.after(LOOK, () => this.#look());
    this.#throwIfBroken();
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    const start = this.#universe.now;
    let isLate = false;
    await this.#universe.run(
      () => {
        isLate = this.#universe.now - start > SERVICE_DEADLINE;
        return condition() || isLate;
      },
      { deadline: 2 * SERVICE_DEADLINE },
    );
    this.#throwIfBroken();
    if (isLate) throw new Violation(what, `not within ${SERVICE_DEADLINE} ms: ${this.#state()}`);
  }

  /** Waits for what has to come to its end. */
  async #ends(what: string, promise: Promise<void>): Promise<void> {
    const isOver = await this.#settles(promise, END_DEADLINE);
    if (!isOver) throw new Violation(what, `not within ${END_DEADLINE} ms: ${this.#state()}`);
  }

  /** Waits for so many virtual milliseconds at the most. Rejects as the promise does. @returns whether it settled */
  async #settles(promise: Promise<void>, most: number): Promise<boolean> {
    const start = this.#universe.now;
    let isOver = false;
    const over = () => {
      isOver = true;
    };
    promise.then(over, over);
    await this.#universe.run(() => isOver || this.#universe.now - start > most, { deadline: 2 * most });
    this.#throwIfBroken();
    if (isOver) await promise;
    return isOver;
  }

  /** Why the system does not go on, site by site. */
  #state(): string {
    return this.#system.names
      .map((name) => {
        const refusal = this.#operator.refusals.get(name);
        const site = this.#system.sites.get(name);
        if (site !== undefined) {
          const { state, reason } = snapshot(site);
          return `${name}: ${state}, ${reason}`;
        }
        return `${name}: ${refusal?.what ?? this.#universe.machine(name).state}`;
      })
      .join("; ");
  }

  #refuse(invariant: string, what: string | undefined): void {
    if (what !== undefined) throw new Violation(invariant, what);
  }

  #broken(invariant: string, what: string): void {
    this.#violation ??= new Violation(invariant, what);
  }

  #throwIfBroken(): void {
    if (this.#violation !== undefined) throw this.#violation;
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
