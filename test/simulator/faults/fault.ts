/** What a fault is, and what it strikes. */

import type { SeededRandom } from "../../../src/platform/memory/memory-world.ts";
import type { Host } from "../hosts/host.ts";
import type { Operator } from "../operator.ts";
import type { SimulatedSystem } from "../system.ts";
import type { Budget } from "./budget.ts";

/** All that a fault may use. */
export interface Scene {
  readonly system: SimulatedSystem;
  readonly operator: Operator;
  readonly hosts: readonly Host[];
  readonly budget: Budget;
  readonly random: SeededRandom;
  /** Calls `end` once: after `duration` virtual milliseconds, or when everything is mended. */
  lasting(duration: number, end: () => void): void;
}

export interface Fault {
  readonly name: string;
  /** How often it strikes, next to the others. */
  readonly weight: number;
  /** @returns what it did, in words; undefined where it can't strike now */
  strike(scene: Scene): string | undefined;
}

/** A whole number of virtual milliseconds up to `most`; short ones are as likely as long ones. */
export function duration(random: SeededRandom, most: number): number {
  // Only what is exact on every processor: powers and logarithms are not.
  return 1 + random.below(Math.ceil(most / random.pick([1, 4, 16, 64])));
}

/** A site of the system, the primaries as likely as all others together. */
export function anySite({ system, random }: Scene): string {
  return random.chance(0.4) ? random.pick(system.primaries) : random.pick(system.names);
}
