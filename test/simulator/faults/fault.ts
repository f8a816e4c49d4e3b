/** What a fault is, and what it strikes. */

import type {
  Fault as DriveFault,
  FaultOptions as DriveFaultOptions,
  SeededRandom,
  SimulatedDrive,
} from "../../../src/platform/memory/memory-world.ts";
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
  /** Rows of every array that hosts use, from 0 on. */
  readonly rows: number;
  /** Calls `end` once: after `duration` virtual milliseconds, or when everything is mended. */
  lasting(duration: number, end: () => void): void;
  /** Gives a drive a fault that a request to come meets, unless `duration` is over before. Whether one did is counted. */
  inject(drive: SimulatedDrive, options: DriveFaultOptions, duration: number, end?: () => void): DriveFault;
}

export interface Fault {
  readonly name: string;
  /** How often it strikes, next to the others. */
  readonly weight: number;
  /** It is given to a drive, and strikes with a request to come, if there is one: see `Scene.inject`. */
  readonly awaitsRequest?: true;
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
