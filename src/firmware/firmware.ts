/**
 * The appliance's firmware as operators see it: what runs, what the next start will be of and why, updates, going back.
 * One change at a time, of this object and of all processes that have the same lock.
 */

import { OperatingError } from "../base/operating-error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Files } from "../platform/files.ts";
import type { Signatures } from "../platform/signatures.ts";
import { checkUpdate, type Judge } from "./check-update.ts";
import type { FormatsInUse } from "./formats.ts";
import { installUpdate } from "./install-update.ts";
import type { Outcome } from "./last-change.ts";
import type { OnProgress } from "./progress.ts";
import { trustedKeys } from "./public-key.ts";
import { isLastResort, isSetAside, type SlotName, type Tries } from "./slot-name.ts";
import { type Marked, type SlotFolders, Slots, type SlotView } from "./slots.ts";
import type { Manifest } from "./update-file.ts";
import { parseVersion, type Version } from "./version.ts";

export interface FirmwarePlaces extends SlotFolders {
  /** PEM files of public keys; where the owner's is there, it replaces the image's. */
  readonly keys: { readonly owner: string; readonly image: string };
}

export interface SlotStatus {
  readonly version: Version;
  readonly state: "good" | "on-trial" | "failed" | "set-aside";
  readonly tries: Tries | undefined;
  readonly bytes: number;
  readonly running: boolean;
  readonly next: boolean;
}

export interface FirmwareStatus {
  readonly running: Version | undefined;
  readonly next: Version | undefined;
  readonly slots: readonly SlotStatus[];
  readonly lastChange: Outcome;
}

/** @returns how to end it; undefined where another process changes the firmware */
export type Lock = () => (() => void) | undefined;

export class Firmware {
  readonly #files: Files;
  readonly #signatures: Signatures;
  readonly #places: FirmwarePlaces;
  readonly #inUse: () => Promise<FormatsInUse>;
  readonly #slots: Slots;
  readonly #lock: Lock;
  #changing = false;

  /** @param inUse formats of what the appliance has, as it is when an update is looked at */
  constructor(
    world: { readonly files: Files; readonly signatures: Signatures; readonly clock: Pick<Clock, "wallClock"> },
    places: FirmwarePlaces,
    inUse: () => Promise<FormatsInUse>,
    lock: Lock = () => () => {},
  ) {
    this.#lock = lock;
    this.#files = world.files;
    this.#signatures = world.signatures;
    this.#places = places;
    this.#inUse = inUse;
    this.#slots = new Slots(world.files, places, world.clock);
  }

  async status(): Promise<FirmwareStatus> {
    return this.#statusOf(await this.#slots.look());
  }

  /** Throws every reason not to install the update file, and changes nothing. */
  async check(path: string, onProgress: OnProgress): Promise<Manifest> {
    return checkUpdate(this.#files, path, await this.#judge(), onProgress);
  }

  /** The next start will be of the update. */
  install(path: string, onProgress: OnProgress): Promise<FirmwareStatus> {
    return this.#change(async () => {
      const judge = await this.#judge();
      return this.#statusOf(await installUpdate(this.#files, this.#slots, path, judge, onProgress));
    });
  }

  /** The next start will be of that version, or, without one, of the slot that it would not have been of. */
  choose(version?: string): Promise<FirmwareStatus> {
    return this.#change(async () => {
      const wanted = version === undefined ? undefined : parseVersion(version);
      if (version !== undefined && wanted === undefined) {
        throw new OperatingError(
          "usage.firmware",
          `${JSON.stringify(version)} is no version.`,
          "Give MAJOR.MINOR.PATCH, such as 1.2.0.",
        );
      }
      return this.#statusOf(await this.#slots.choose(wanted, await this.#inUse()));
    });
  }

  /** For the start of the appliance, after the check of the partition. @returns names of files that a power cut had left */
  tidy(): Promise<readonly string[]> {
    return this.#change(() => this.#slots.tidy());
  }

  /** Called once the appliance has shown that it works: what runs now is started from now on without counting. */
  markGood(): Promise<Marked> {
    return this.#change(() => this.#slots.markGood());
  }

  async #judge(): Promise<Judge> {
    const keys = await trustedKeys(this.#files, this.#places.keys);
    return { signatures: this.#signatures, keys, inUse: await this.#inUse() };
  }

  async #statusOf(view: SlotView): Promise<FirmwareStatus> {
    const { slots, running, next } = view;
    return {
      running: running?.slot.version,
      next: next?.version,
      slots: slots.map((slot) => ({
        version: slot.version,
        state: stateOf(slot),
        tries: slot.tries,
        bytes: slot.bytes,
        running: slot === running?.slot,
        next: slot === next,
      })),
      lastChange: await this.#slots.outcome(view),
    };
  }

  async #change<T>(run: () => Promise<T>): Promise<T> {
    const unlock = this.#changing ? undefined : this.#lock();
    if (unlock === undefined) {
      throw new OperatingError("firmware.busy", "The firmware is just being changed.", "Wait until that is done.");
    }
    this.#changing = true;
    try {
      return await run();
    } finally {
      this.#changing = false;
      unlock();
    }
  }
}

function stateOf(slot: SlotName): SlotStatus["state"] {
  if (slot.tries === undefined) return "good";
  if (!isLastResort(slot)) return "on-trial";
  return isSetAside(slot) ? "set-aside" : "failed";
}
