import type { Arithmetic } from "./arithmetic.ts";
import type { Batteries } from "./battery.ts";
import type { Clock } from "./clock.ts";
import type { Drives } from "./drive.ts";
import type { Hashes } from "./hashes.ts";
import type { Memory } from "./memory.ts";
import type { Network } from "./network.ts";
import type { Random } from "./random.ts";
import type { Watchdogs } from "./watchdog.ts";

/**
 * All that a site gets from outside itself. Nothing above this folder reaches for time, randomness, drives or the
 * network in any other way, so that whole systems of sites run in a simulated world.
 */
export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly drives: Drives;
  readonly network: Network;
  readonly memory: Memory;
  readonly arithmetic: Arithmetic;
  readonly hashes: Hashes;
  readonly watchdogs: Watchdogs;
  readonly batteries: Batteries;
}
