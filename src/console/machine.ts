/** What an appliance is made of, as far as its configuration has to name it. */

import type { ListedDrive } from "../platform/drive-list.ts";

export interface MachineDrive extends ListedDrive {
  /** What is on it, for people; undefined where it is blank, or where nobody looked since it is in use. */
  readonly holds?: string;
}

export interface MachineCard {
  readonly name: string;
  /** Its hardware address. */
  readonly mac: string;
}

export interface Machine {
  readonly drives: readonly MachineDrive[];
  /** None where the network is not the appliance's to set up. */
  readonly cards: readonly MachineCard[];
  /** What the watchdog that resets it calls itself, where there is one. */
  readonly watchdog?: string;
}
