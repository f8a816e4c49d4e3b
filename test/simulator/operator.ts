/**
 * Whoever keeps the sites of a system running: the init system of each machine, which starts a process that has ended,
 * and an operator who looks at the sites now and then and restarts one that can't go on.
 *
 * A site that refuses to start is tried again for ever; `refusals` says why it does not come up.
 */

import { OperatingError } from "../../src/base/operating-error.ts";
import type { SeededRandom } from "../../src/platform/memory/memory-world.ts";
import type { Site } from "../../src/site/site.ts";
import type { SimulatedSystem } from "./system.ts";

/** Virtual milliseconds between two looks of the operator. */
const LOOK: readonly [min: number, max: number] = [500, 2500];
/** Virtual milliseconds before a process that ended by itself is started again. */
const RETRY: readonly [min: number, max: number] = [200, 3000];

/** How a process ends. `half-open`: as `crash`, and its peers notice nothing. `close`: as asked to, in order. */
export type Ending = "crash" | "half-open" | "kill" | "close";

export class Operator {
  /** Why a site is not up, by its name; absent once it is. */
  readonly refusals = new Map<string, OperatingError>();
  /** Told of what no process may ever do: fail with anything but an operating error. */
  onBug: (site: string, error: unknown) => void = () => {};
  onUp: (name: string, site: Site) => void = () => {};
  readonly #system: SimulatedSystem;
  readonly #random: SeededRandom;
  /** The process of each machine that was told to run its site. */
  readonly #lives = new Map<string, number>();
  readonly #closing = new Set<string>();

  constructor(system: SimulatedSystem) {
    this.#system = system;
    this.#random = system.universe.random.fork("operator");
  }

  /** Starts every site, and looks after them from then on. */
  begin(names: readonly string[] = this.#system.names): void {
    for (const name of names) this.start(name);
    this.#look();
  }

  /** Starts the process of a site, unless it runs. */
  start(name: string): void {
    const machine = this.#system.universe.machine(name);
    const isUp = machine.state === "running" || machine.state === "stopped";
    if (isUp && this.#lives.get(name) === machine.lives) return;
    if (!isUp) machine.restart();
    const life = machine.lives;
    this.#lives.set(name, life);
    this.#run(name).catch((error: unknown) => {
      if (machine.lives !== life || machine.process === undefined) return;
      if (error instanceof OperatingError) this.#exited(name, error);
      else this.onBug(name, error);
    });
  }

  /** Ends the process of a site; it starts again after `pause` virtual milliseconds. @returns whether there was one */
  end(name: string, ending: Ending, pause: number): boolean {
    const machine = this.#system.universe.machine(name);
    if (machine.process === undefined) return false;
    if (ending === "close") return this.#close(name, pause);
    if (ending === "kill") machine.kill();
    else machine.crash({ peers: ending === "crash" ? "close" : "half-open" });
    this.ended(name, pause);
    return true;
  }

  /** The process of a site has ended; it starts again after `pause` virtual milliseconds. */
  ended(name: string, pause: number): void {
    this.#system.sites.delete(name);
    this.#closing.delete(name);
    this.#system.universe.after(pause, () => {
      if (this.#system.universe.machine(name).process === undefined) this.start(name);
    });
  }

  async #run(name: string): Promise<void> {
    const site = await this.#system.open(name);
    this.refusals.delete(name);
    this.onUp(name, site);
    await site.serve();
  }

  #exited(name: string, error: OperatingError): void {
    if (this.#closing.has(name)) return;
    this.refusals.set(name, error);
    this.#system.universe.machine(name).kill();
    this.ended(name, this.#random.between(...RETRY));
  }

  #close(name: string, pause: number): boolean {
    const { universe, sites } = this.#system;
    const site = sites.get(name);
    const machine = universe.machine(name);
    const life = machine.lives;
    if (site === undefined || machine.state !== "running") return false;
    sites.delete(name);
    this.#closing.add(name);
    const closed = () => {
      if (machine.lives !== life || machine.process === undefined) return;
      machine.kill();
      this.ended(name, pause);
    };
    site.close().then(closed, (error: unknown) => {
      if (machine.lives === life && !(error instanceof OperatingError)) this.onBug(name, error);
      closed();
    });
    return true;
  }

  #look(): void {
    const { universe, sites } = this.#system;
    for (const [name, site] of [...sites]) {
      const { feed, pipeline } = site;
      const kind = feed.kind === "hosts" ? feed.controller.state.kind : "fed";
      const isOver = pipeline.failure !== undefined || kind === "failed" || kind === "fenced";
      if (isOver && universe.machine(name).state === "running") this.end(name, "kill", this.#random.between(...RETRY));
    }
    universe.after(this.#random.between(...LOOK), () => this.#look());
  }
}
