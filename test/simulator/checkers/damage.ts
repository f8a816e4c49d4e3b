/** What was damaged on purpose, as checkers ask for it: nothing else may be wrong. */

import type { SimulatedDrive } from "../../../src/platform/memory/memory-world.ts";

export interface Damage {
  /** Whether anything that an array's drive holds was damaged, so that nothing it holds can be relied on. */
  isDamaged(drive: SimulatedDrive): boolean;
  /** Whether a row of a site's array was damaged, or may have been. */
  isRowDamaged(site: string, row: number): boolean;
}

export const NO_DAMAGE: Damage = { isDamaged: () => false, isRowDamaged: () => false };
