/** The drives of this machine: files and block devices, on io_uring where the kernel allows it. */

import { closeSync } from "node:fs";
import type { Millis } from "../../base/units.ts";
import type { Clock } from "../clock.ts";
import type { Drives } from "../drive.ts";
import { BouncePool } from "./bounce-pool.ts";
import { createDriveFile, LOCK_PATIENCE, openDriveFile } from "./drive-file.ts";
import { LinuxDrive } from "./linux-drive.ts";
import type { LinuxMemory } from "./linux-memory.ts";
import { ringEngine } from "./ring-engine.ts";
import { threadEngine } from "./thread-engine.ts";

export interface LinuxDrivesOptions {
  /** False keeps to the thread pool where io_uring would be there. */
  readonly uring?: boolean;
  /** False keeps to the page cache where it could be bypassed. */
  readonly direct?: boolean;
  /** How long a drive that is in use is waited for. */
  readonly lockPatience?: Millis;
}

export interface LinuxDrives extends Drives {
  /** Why drives are not on io_uring: an error's name, or that it was not wanted; undefined where they are. */
  readonly uringRefused: string | undefined;
  /** Requests so far whose data had to be copied, since their buffers were not page-aligned ones from `Memory`. */
  copies(): number;
}

export function linuxDrives(clock: Clock, memory: LinuxMemory, options: LinuxDrivesOptions = {}): LinuxDrives {
  const { uring = true, direct = true, lockPatience: patience = LOCK_PATIENCE } = options;
  const ring = uring ? ringEngine(clock) : "not wanted";
  const engine = typeof ring === "string" ? threadEngine(clock) : ring;
  const bounce = new BouncePool(memory);

  return {
    uringRefused: typeof ring === "string" ? ring : undefined,
    copies: () => bounce.copies,
    async open(path, access) {
      const file = await openDriveFile(path, { access, direct, sync: engine.needsSyncFd, patience, clock, memory });
      try {
        engine.attach();
      } catch (error) {
        if (file.syncFd !== file.fd) closeSync(file.syncFd);
        closeSync(file.fd);
        throw error;
      }
      return new LinuxDrive(file, { engine, memory, bounce });
    },
    create: createDriveFile,
  };
}
