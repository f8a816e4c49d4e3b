/** The world as Linux has it, put together. */

import { plainArithmetic } from "../plain-arithmetic.ts";
import type { World } from "../world.ts";
import { isalArithmetic } from "./isal-arithmetic.ts";
import { linuxBatteries } from "./linux-batteries.ts";
import { linuxClock } from "./linux-clock.ts";
import { type LinuxDrives, linuxDrives } from "./linux-drives.ts";
import { linuxHashes } from "./linux-hashes.ts";
import { linuxMemory } from "./linux-memory.ts";
import { linuxNetwork } from "./linux-network.ts";
import { linuxRandom } from "./linux-random.ts";
import { linuxWatchdogs } from "./linux-watchdog.ts";

export interface LinuxWorldOptions {
  /** False keeps drives to the thread pool where io_uring would be there. */
  readonly uring?: boolean;
  /** False keeps arithmetic to plain TypeScript where ISA-L would be there. */
  readonly isal?: boolean;
}

export interface LinuxWorld extends World {
  readonly drives: LinuxDrives;
  /** Whether checksums and parity are made by ISA-L. */
  readonly accelerated: boolean;
}

export function linuxWorld(options: LinuxWorldOptions = {}): LinuxWorld {
  const { uring = true, isal = true } = options;
  const clock = linuxClock();
  const memory = linuxMemory();
  const accelerated = isal ? isalArithmetic(memory) : undefined;
  const network = linuxNetwork(clock);
  return {
    clock,
    random: linuxRandom(),
    drives: linuxDrives(clock, memory, { uring }),
    network,
    memory,
    arithmetic: accelerated ?? plainArithmetic,
    hashes: linuxHashes(),
    watchdogs: linuxWatchdogs(),
    batteries: linuxBatteries(clock, network),
    accelerated: accelerated !== undefined,
  };
}
