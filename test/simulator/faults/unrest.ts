/** The faults of one run: which can strike, when they do, and their end. */

import type { Fault as DriveFault, SeededRandom } from "../../../src/platform/memory/memory-world.ts";
import type { Fault, Scene } from "./fault.ts";

export interface UnrestOptions {
  readonly faults: readonly Fault[];
  /** Virtual milliseconds between two faults, at the most; some runs have more of them, and some fewer. */
  readonly pause: number;
}

interface Lasting {
  readonly end: () => void;
}

/** A fault that has struck. */
interface Entry {
  readonly fault: Fault;
  readonly at: number;
  what: string;
  /** Things of it that last, and when the last of those that don't any more ended. */
  lasting: number;
  ended: number | undefined;
  readonly given: DriveFault[];
}

/** How many faults were given to drives to await a request, and how many of them a request has met. */
export interface Met {
  readonly given: number;
  readonly met: number;
}

export class Unrest {
  readonly #entries: Entry[] = [];
  /** What strikes at this moment. */
  #striking: Entry | undefined;
  readonly #scene: Scene;
  readonly #options: UnrestOptions;
  readonly #lasting = new Set<Lasting>();
  #over = false;

  constructor(scene: Omit<Scene, "lasting" | "inject">, options: UnrestOptions) {
    this.#scene = {
      ...scene,
      lasting: (duration, end) => this.#last(duration, end),
      inject: (drive, options, duration, end) => {
        const given = drive.inject(options);
        this.#striking?.given.push(given);
        this.#last(duration, () => {
          given.remove();
          end?.();
        });
        return given;
      },
    };
    // No run has all faults, so that those that would hide behind others come out.
    const faults = options.faults.filter(() => scene.random.chance(0.6));
    const pause = options.pause * scene.random.pick([0.25, 1, 1, 2]);
    this.#options = { faults, pause };
  }

  /** What has struck, in words, with its virtual time, and with what has become of it since. */
  get log(): readonly string[] {
    return this.#entries.map(textOf);
  }

  /** Of each fault that awaits a request, by its name. */
  get met(): Readonly<Record<string, Met>> {
    const sums: Record<string, Met> = {};
    for (const { fault, given } of this.#entries) {
      if (!fault.awaitsRequest) continue;
      const before = sums[fault.name] ?? { given: 0, met: 0 };
      const met = given.filter((one) => one.met > 0).length;
      sums[fault.name] = { given: before.given + given.length, met: before.met + met };
    }
    return sums;
  }

  begin(): void {
    if (this.#options.faults.length > 0) this.#next();
  }

  /** Nothing more strikes, and what lasts ends now. */
  mend(): void {
    this.#over = true;
    for (const lasting of [...this.#lasting]) this.#end(lasting);
    this.#scene.system.universe.network.heal();
  }

  #next(): void {
    const { random, system } = this.#scene;
    system.universe.after(20 + random.below(this.#options.pause), () => {
      if (this.#over) return;
      this.#strike();
      this.#next();
    });
  }

  #strike(): void {
    const { random, system } = this.#scene;
    const fault = pickByWeight(this.#options.faults, random);
    const entry: Entry = { fault, at: system.universe.now, what: "", lasting: 0, ended: undefined, given: [] };
    this.#striking = entry;
    const what = fault.strike(this.#scene);
    this.#striking = undefined;
    if (what === undefined) return;
    entry.what = what;
    this.#entries.push(entry);
  }

  #last(duration: number, end: () => void): void {
    const { universe } = this.#scene.system;
    const entry = this.#striking;
    if (entry !== undefined) entry.lasting++;
    const lasting = {
      end: () => {
        if (entry !== undefined) {
          entry.lasting--;
          entry.ended = universe.now;
        }
        end();
      },
    };
    this.#lasting.add(lasting);
    universe.after(duration, () => this.#end(lasting));
  }

  #end(lasting: Lasting): void {
    if (this.#lasting.delete(lasting)) lasting.end();
  }
}

function textOf({ fault, at, what, lasting, ended, given }: Entry): string {
  const text = `${at.toFixed(3)} ms  ${fault.name}: ${what}`;
  if (given.length > 0) return `${text}, ${given.some(({ met }) => met > 0) ? "met" : "not met"}`;
  if (lasting > 0) return `${text}, still`;
  return ended === undefined ? text : `${text}, until ${ended.toFixed(3)} ms`;
}

function pickByWeight(faults: readonly Fault[], random: SeededRandom): Fault {
  let dice = random.between(
    0,
    faults.reduce((sum, { weight }) => sum + weight, 0),
  );
  for (const fault of faults) {
    dice -= fault.weight;
    if (dice < 0) return fault;
  }
  return faults[0];
}
