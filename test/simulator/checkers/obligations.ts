/**
 * Positions up to which a site must hold the log durably, whatever happens to it: what was committed counting on
 * it, and what others dropped since it had it. An obligation never goes down, and outlives the site's processes.
 */

import type { Fleet } from "./fleet.ts";

interface Obligation {
  readonly upTo: number;
  readonly why: string;
}

export class Obligations {
  readonly #of = new Map<string, Obligation>();
  readonly #released = new Set<string>();

  raise(site: string, upTo: number, why: string): void {
    if (upTo > this.upTo(site) && !this.#released.has(site)) this.#of.set(site, { upTo, why });
  }

  /** 0 where nothing is owed. */
  upTo(site: string): number {
    return this.#of.get(site)?.upTo ?? 0;
  }

  /** The site's journal was damaged or replaced, beyond what it can be asked to survive: it owes nothing any more. */
  release(site: string): void {
    this.#of.delete(site);
    this.#released.add(site);
  }

  isReleased(site: string): boolean {
    return this.#released.has(site);
  }

  /** The first running site that does not hold what it owes, in words. */
  broken(fleet: Fleet): string | undefined {
    for (const { name, journal } of fleet.running) {
      const owed = this.#of.get(name);
      if (owed !== undefined && journal.durable < owed.upTo) {
        return `${name} holds requests durably up to ${journal.durable} only, but ${owed.why} ${owed.upTo}`;
      }
    }
    return undefined;
  }
}
