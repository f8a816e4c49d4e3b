/**
 * How much may go wrong. Inside the budget nothing may be lost, and the system must come back to service when all is
 * mended; beyond it a site may refuse to go on, but never give wrong data.
 *
 * Any number of power cuts, kills, pauses and network faults is inside. Drives:
 * - All damage to a site's array strikes one member, the weak one; so no row has damage on two of its blocks. A power cut
 *   may leave the row torn as well, and then the damaged block is beyond its array; so each row is damaged at one site
 *   only. Who may damage rows claims them first, those among them that a request to come may damage.
 * - A site may lose its weak member for good once, while its array is whole, and its power stays until the array has
 *   noticed and settled that (see docs/array.md, "The moment of the loss").
 * - What a journal has taken stays; it may be slow, stall, or fail a request. A battery may fail while the power stays,
 *   so that inside the budget no power cut ever takes what a battery should have kept.
 *
 * Beyond the budget members are struck as it comes, and so are journals, but for those of one site, the sound one:
 * without a copy left anywhere nothing could tell what is missing.
 */

import type { Fault as DriveFault, SeededRandom, SimulatedDrive } from "../../../src/platform/memory/memory-world.ts";
import type { DiskArray } from "../../../src/raid/disk-array.ts";
import type { SimulatedSystem } from "../system.ts";

/** Rows of one site's array that are damaged, or that a request to come may damage. */
export interface Claim {
  readonly first: number;
  readonly count: number;
  /** What was to come has come, or does not come any more: only these rows are damaged. */
  settle(damaged: Iterable<number>): void;
}

/** Members whose content was damaged, and what damages them once a request meets it. */
interface Struck {
  readonly drive: SimulatedDrive;
  readonly by: DriveFault | undefined;
}

export class Budget {
  readonly sound: string;
  readonly #struck: Struck[] = [];
  /** Told of a site whose journal is about to be damaged. */
  onJournalStruck: (name: string) => void = () => {};
  /** By site, the rows of every claim. */
  readonly #claims = new Map<string, Set<ReadonlySet<number>>>();
  readonly #weak = new Map<string, SimulatedDrive>();
  /** Sites that have lost a member, those that may not have noticed, and those that are to end at a request to come. */
  readonly #lost = new Set<string>();
  readonly #losing = new Set<string>();
  readonly #armed = new Set<string>();
  /** Sites whose process can't go on, and which of its machine's processes it is. */
  readonly #condemned = new Map<string, number>();
  /** Sites whose journal would not outlive a power cut. */
  readonly #unprotected = new Set<string>();

  constructor(
    private readonly system: SimulatedSystem,
    private readonly random: SeededRandom,
    readonly isBeyond: boolean,
  ) {
    this.sound = random.pick(system.names);
    for (const name of system.names) {
      const drives = system.drivesOf(name).map((path) => system.universe.machine(name).drive(path));
      if (drives.length > 0) this.#weak.set(name, random.pick(drives));
    }
  }

  /** The drive of a site's array that may be struck now; undefined where there is none. */
  weakDrive(name: string): SimulatedDrive | undefined {
    const drives = this.system.drivesOf(name);
    if (!this.isBeyond || drives.length === 0) return this.#weak.get(name);
    return this.system.universe.machine(name).findDrive(this.random.pick(drives));
  }

  /** What a member holds was damaged; or is, as soon as a request meets the fault. */
  strike(drive: SimulatedDrive, by?: DriveFault): void {
    this.#struck.push({ drive, by });
  }

  /** Whether anything that a member holds was damaged. */
  isDamaged(drive: SimulatedDrive): boolean {
    return this.#struck.some((struck) => struck.drive === drive && (struck.by === undefined || struck.by.met > 0));
  }

  /** Whether a row of a site's array is damaged, or may be by now. */
  isRowDamaged(name: string, row: number): boolean {
    for (const rows of this.#claims.get(name) ?? []) if (rows.has(row)) return true;
    return false;
  }

  /**
   * Takes rows of a site's array for damage: a run of them among the first `all`, of which none is taken at another site.
   *
   * @param most how long the run is to be; half of that will do, and half of that, down to one row
   */
  claimRows(name: string, most: number, all: number): Claim | undefined {
    for (let count = Math.min(most, all); count >= 1; count = Math.floor(count / 2)) {
      const places = all - count + 1;
      const from = this.random.below(places);
      for (let at = 0; at < places; at++) {
        const first = (from + at) % places;
        if (this.isBeyond || this.#isFree(name, first, count)) return this.#claim(name, first, count);
      }
    }
    return undefined;
  }

  #isFree(name: string, first: number, count: number): boolean {
    for (const [site, claims] of this.#claims) {
      if (site === name) continue;
      for (const rows of claims) for (let at = first; at < first + count; at++) if (rows.has(at)) return false;
    }
    return true;
  }

  #claim(name: string, first: number, count: number): Claim {
    const claims = this.#claims.get(name) ?? new Set();
    this.#claims.set(name, claims);
    const rows = new Set(Array.from({ length: count }, (_, at) => first + at));
    claims.add(rows);
    return {
      first,
      count,
      settle: (damaged) => {
        claims.delete(rows);
        claims.add(new Set(damaged));
      },
    };
  }

  /** Whether what a site's journal holds may be damaged; if so, it is taken to be. */
  strikeJournal(name: string): boolean {
    if (!this.isBeyond || name === this.sound) return false;
    this.onJournalStruck(name);
    return true;
  }

  /** Whether a site's process or power may end now. */
  mayEnd(name: string): boolean {
    if (this.isBeyond) return true;
    if (this.#unprotected.has(name)) return false;
    if (!this.#losing.has(name)) return true;
    const status = this.#array(name)?.status;
    if (status?.state !== "degraded" || status.settling) return false;
    this.#losing.delete(name);
    return true;
  }

  mayLoseMember(name: string): boolean {
    if (this.isBeyond) return true;
    if (this.#lost.has(name) || this.#armed.has(name) || this.#isCondemned(name)) return false;
    const status = this.#array(name)?.status;
    return status?.state === "optimal" && !status.recovering;
  }

  /** The weak member of a site is lost, `now` or as soon as the array notices, which it has to before the site ends. */
  loseMember(name: string, when: "now" | "once noticed"): void {
    this.#lost.add(name);
    if (when === "once noticed") this.#losing.add(name);
  }

  /** The path of a site's weak drive, if the array has noticed that it is lost, and could be rebuilt. */
  pathToReplace(name: string): string | undefined {
    const status = this.#array(name)?.status;
    const drive = this.#weak.get(name);
    if (drive === undefined || !this.#lost.has(name) || this.#losing.has(name)) return undefined;
    if (status?.state !== "degraded" || status.recovering || status.settling) return undefined;
    return drive.path;
  }

  /** A new drive is in the place of the weak one, and the array is whole again: it may be lost as well. */
  replaced(name: string, drive: SimulatedDrive): void {
    this.#lost.delete(name);
    this.#weak.set(name, drive);
  }

  /** Whether a site's battery may fail; if so, its power stays until `batteryRecovered`. */
  failBattery(name: string): boolean {
    if (this.isBeyond) return this.strikeJournal(name);
    if (this.#armed.has(name) || this.#unprotected.has(name)) return false;
    this.#unprotected.add(name);
    return true;
  }

  /** Whether the power may go at every site now, as far as batteries are concerned. */
  get isProtected(): boolean {
    return this.#unprotected.size === 0;
  }

  batteryRecovered(name: string): void {
    this.#unprotected.delete(name);
  }

  /** The process of a site is to end at a request that may come at any time. */
  arm(name: string): void {
    this.#armed.add(name);
  }

  disarm(name: string): void {
    this.#armed.delete(name);
  }

  /** The journal of a site has failed, or will when it is used next; then its process ends. */
  condemn(name: string): void {
    this.#condemned.set(name, this.system.universe.machine(name).lives);
  }

  #isCondemned(name: string): boolean {
    return this.#condemned.get(name) === this.system.universe.machine(name).lives;
  }

  #array(name: string): DiskArray | undefined {
    return this.system.sites.get(name)?.storage.arrays.get("main");
  }
}
