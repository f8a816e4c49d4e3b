/**
 * One acknowledging site an epoch:
 *
 * - at most one process ever serves an epoch, over all restarts;
 * - it serves only once it knows that the start of its epoch is committed, and until a leg tells it of a higher one;
 * - a primary that does not serve owes no host an acknowledgement;
 * - an epoch is served only when the primary and the first site of every leg have promised it, and no site's promise
 *   ever goes back, over restarts too. No log holds an epoch that its site has not promised.
 *
 * A primary that has not heard yet that it was superseded may still count ACKs that were on their way, and serve reads.
 */

import type { Checker } from "./checker.ts";
import { type Fleet, nextSites, type WatchedSite } from "./fleet.ts";

export class SingleServer implements Checker {
  readonly name = "single-server";
  readonly #fleet: Fleet;
  readonly #servers = new Map<number, WatchedSite>();
  /** The highest epoch that each site has promised, or that was served because it had. */
  readonly #promised = new Map<string, number>();
  readonly #released = new Set<string>();

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  /** The site's journal was damaged or replaced: its promises may be lost. */
  release(site: string): void {
    this.#released.add(site);
  }

  /** The site that served the highest epoch; undefined before any did. */
  get last(): string | undefined {
    return this.#servers.get(Math.max(...this.#servers.keys()))?.name;
  }

  look(): string | undefined {
    for (const site of this.#fleet.running) {
      const fault = this.#serving(site) ?? this.#promises(site);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #serving(site: WatchedSite): string | undefined {
    const { name, config, controller, forwards, journal, pipeline } = site;
    if (controller === undefined) return undefined;
    const { state, unacknowledged, waiting } = controller;
    if (state.kind !== "serving") {
      if (unacknowledged + waiting === 0) return undefined;
      return `${name} is ${state.kind}, and ${unacknowledged + waiting} host writes still wait for it`;
    }
    const server = this.#servers.get(state.epoch);
    if (server !== undefined && server !== site) {
      return `epoch ${state.epoch} was served by a process of ${server.name}, and is by another one of ${name}`;
    }
    this.#servers.set(state.epoch, site);
    const start = journal.history.find(({ epoch }) => epoch === state.epoch)?.start;
    if (start === undefined || pipeline.committed < start) {
      return `${name} serves epoch ${state.epoch}, whose start is request ${start}, but knows ${pipeline.committed} to be committed`;
    }
    const ended = forwards.find(({ sender }) => sender.fencedBy >= state.epoch);
    if (ended !== undefined) {
      return `${name} serves epoch ${state.epoch}, though ${ended.to} has told it of epoch ${ended.sender.fencedBy}`;
    }
    for (const each of [name, ...nextSites(config)]) this.#raise(each, state.epoch);
    return undefined;
  }

  #promises({ name, journal: { promised, lastEpoch } }: WatchedSite): string | undefined {
    if (lastEpoch > promised)
      return `the log of ${name} holds epoch ${lastEpoch}, but it has promised ${promised} only`;
    const before = this.#promised.get(name) ?? 0;
    if (promised < before && !this.#released.has(name)) {
      return `${name} has promised epoch ${promised} only, but had promised ${before} before`;
    }
    this.#raise(name, promised);
    return undefined;
  }

  #raise(site: string, epoch: number): void {
    this.#promised.set(site, Math.max(epoch, this.#promised.get(site) ?? 0));
  }
}
