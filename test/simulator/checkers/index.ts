/**
 * All that must hold of a system of sites, whatever happens to it. `look` is called often, between two events, and costs
 * microseconds; the others at rare moments. The first violation is kept, and returned from then on.
 *
 * @example
 * const checkers = new Checkers(system);
 * universe.after(20, function look() { report(checkers.look()); universe.after(20, look); });
 */

import { AtRest } from "./at-rest.ts";
import { Batteries } from "./batteries.ts";
import { Bounds } from "./bounds.ts";
import type { Checker, Violation } from "./checker.ts";
import { type Damage, NO_DAMAGE } from "./damage.ts";
import { Fleet, type WatchedSystem } from "./fleet.ts";
import { LogPrefix } from "./log-prefix.ts";
import { LogRecord } from "./log-record.ts";
import { Manners } from "./manners.ts";
import { Obligations } from "./obligations.ts";
import { Reads } from "./reads.ts";
import { Retire } from "./retire.ts";
import { SingleServer } from "./single-server.ts";
import { type CheckContent, TakeoverSets } from "./takeover-sets.ts";

export type { Checker, Violation } from "./checker.ts";
export type { CheckContent } from "./takeover-sets.ts";

export class Checkers {
  readonly #fleet: Fleet;
  readonly #record = new LogRecord();
  readonly #obligations = new Obligations();
  readonly #server: SingleServer;
  readonly #always: readonly Checker[];
  readonly #takeover: TakeoverSets;
  readonly #atRest: AtRest;
  #violation: Violation | undefined;

  constructor(system: WatchedSystem, damage: Damage = NO_DAMAGE) {
    this.#fleet = Fleet.of(system);
    this.#server = new SingleServer(this.#fleet);
    this.#always = [
      this.#server,
      new LogPrefix(this.#fleet, this.#record, this.#obligations),
      new Retire(this.#fleet, this.#record, this.#obligations),
      new Reads(this.#fleet, this.#record),
      new Manners(this.#fleet),
      new Bounds(this.#fleet, () => system.universe.network.connections),
      new Batteries(this.#fleet, () => system.universe.now),
    ];
    this.#takeover = new TakeoverSets(system, this.#fleet, this.#record, this.#obligations, damage);
    this.#atRest = new AtRest(system, this.#record, (drive) => damage.isDamaged(drive));
  }

  /** The journal of a site was damaged or replaced, beyond what the site must survive: it is asked for nothing any more. */
  release(site: string): void {
    this.#obligations.release(site);
    this.#server.release(site);
  }

  isReleased(site: string): boolean {
    return this.#obligations.isReleased(site);
  }

  /** For reports: how much was looked at, and what could not be. */
  get counts(): Readonly<Record<"committed" | "gaps" | "copies" | "refusals" | "rows", number>> {
    const { committed, gaps } = this.#record;
    const { copies, refusals } = this.#takeover;
    return { committed, gaps, copies, refusals, rows: this.#atRest.rows };
  }

  look(): Violation | undefined {
    if (this.#violation !== undefined) return this.#violation;
    this.#fleet.refresh();
    for (const checker of this.#always) {
      const what = checker.look();
      if (what !== undefined) return this.#found(checker.name, what);
    }
    return undefined;
  }

  /**
   * Looks at every set of sites that may take over now. Not to be called from within an event; the universe does not
   * notice. `check` is given the content of LUN 0 of each set.
   */
  takeover(check: CheckContent): Violation | undefined {
    const before = this.look();
    if (before !== undefined) return before;
    const what = this.#takeover.look(this.#server.last, check);
    return what === undefined ? undefined : this.#found(this.#takeover.name, what);
  }

  /** For a system in which all sites are up and nothing is left to store or retire. Lets the universe run meanwhile. */
  async atRest(): Promise<Violation | undefined> {
    const before = this.takeover(() => []);
    if (before !== undefined) return before;
    const what = await this.#atRest.look();
    return what === undefined ? undefined : this.#found(this.#atRest.name, what);
  }

  #found(invariant: string, what: string): Violation {
    this.#violation = { invariant, what };
    return this.#violation;
  }
}
