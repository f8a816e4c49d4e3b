/** The faults of one run: which can strike, when they do, and their end. */

import type { SeededRandom } from "../../../src/platform/memory/memory-world.ts";
import type { Fault, Scene } from "./fault.ts";

export interface UnrestOptions {
  readonly faults: readonly Fault[];
  /** Virtual milliseconds between two faults, at the most; some runs have more of them, and some fewer. */
  readonly pause: number;
}

interface Lasting {
  readonly end: () => void;
}

export class Unrest {
  /** What has struck, in words, with its virtual time. */
  readonly log: string[] = [];
  readonly #scene: Scene;
  readonly #options: UnrestOptions;
  readonly #lasting = new Set<Lasting>();
  #over = false;

  constructor(scene: Omit<Scene, "lasting">, options: UnrestOptions) {
    this.#scene = { ...scene, lasting: (duration, end) => this.#last(duration, end) };
    // No run has all faults, so that those that would hide behind others come out.
    const faults = options.faults.filter(() => scene.random.chance(0.6));
    const pause = options.pause * scene.random.pick([0.25, 1, 1, 2]);
    this.#options = { faults, pause };
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
    const what = fault.strike(this.#scene);
    if (what !== undefined) this.log.push(`${system.universe.now.toFixed(3)} ms  ${fault.name}: ${what}`);
  }

  #last(duration: number, end: () => void): void {
    const lasting = { end };
    this.#lasting.add(lasting);
    this.#scene.system.universe.after(duration, () => this.#end(lasting));
  }

  #end(lasting: Lasting): void {
    if (this.#lasting.delete(lasting)) lasting.end();
  }
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
