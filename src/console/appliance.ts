/** What a console is handed: all that it can do to the machine that it is on. */

import type { Revision, Revisions } from "../config/revisions.ts";
import type { Firmware } from "../firmware/firmware.ts";
import type { Clock } from "../platform/clock.ts";
import type { DriveLamp } from "../platform/drive-lamp.ts";
import type { Files } from "../platform/files.ts";
import type { CommandResult, Progress } from "../site/commands.ts";
import type { Machine } from "./machine.ts";

export interface Appliance {
  readonly clock: Clock;
  /** Where configurations are saved to and loaded from. */
  readonly files: Files;
  readonly revisions: Revisions;
  readonly firmware: Pick<Firmware, "status" | "install" | "choose">;
  /**
   * Does work on a file that lies at a path outside of the appliance. A stick is attached before and detached after it, when all
   * of it is written. Rejects with `usb.…`, and as the work does.
   */
  reach<T>(path: string, work: () => Promise<T>): Promise<T>;
  /** Asks the running site a command of its table. Rejects with an `OperatingError`, or with the signal's reason. */
  ask(words: readonly string[], onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<CommandResult>;
  /**
   * Carries out the revision that is now the newest. Rejects with an `OperatingError` where that can't be done.
   * @param options.overwrite has the site lay its drives out anew, whatever they hold
   * @returns what was done, in a sentence for people
   */
  apply(revision: Revision, options?: { readonly overwrite: boolean }): Promise<string>;
  /** What the machine is made of. Rejects with an `OperatingError`. */
  look(): Promise<Machine>;
  /** How the machine is, in lines for whoever is there, logged in or not: nothing secret. Never rejects. */
  describe(): Promise<string>;
  /** The folder of its logs; a plain machine has none that is known. */
  readonly logs?: string;
  /** What the kernel has said since the start, or why that can't be had. */
  kernelMessages(): Promise<string>;
  /** One file that has others, by their names, in a folder. */
  pack(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array>;
  /** Makes the lamp of the drive at a path blink. Rejects with `drive.missing` or `drive.denied`. */
  light(drive: string): Promise<DriveLamp>;
  /**
   * Has the next start forget configuration, users, keys and logs, whatever happens from now on, and starts the machine anew.
   * Rejects with an `OperatingError`. @returns what happens now, in a sentence for people
   */
  reset(): Promise<string>;
  /** Starts the machine anew, soon. Rejects with an `OperatingError`. @returns what happens now, in a sentence for people */
  restart(): Promise<string>;
  /** As `restart`, but it stays off. */
  powerOff(): Promise<string>;
}
