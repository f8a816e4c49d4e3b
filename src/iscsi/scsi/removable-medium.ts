/**
 * A medium that hosts can eject and load again: whether it is there, and who has its removal prevented (SBC-3 section 4.4).
 *
 * Nothing but START STOP UNIT takes it out or puts it in, and what is in it stays the same meanwhile. It is in when its unit
 * is added. Prevention is a nexus's, and ends with it, with a reset, and where PREEMPT AND ABORT ends its registration.
 */

import type { BlockDevice, Pending } from "../interfaces.ts";
import { CheckCondition, Senses } from "./sense.ts";
import { WatchedDevice } from "./watched-device.ts";

/**
 * What a unit does without its medium: INQUIRY, REQUEST SENSE, REPORT LUNS; START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL;
 * MODE and LOG SELECT and SENSE; all of reservations; RECEIVE COPY RESULTS; reports of commands and of paths.
 */
const WITHOUT_MEDIUM = new Set([
  ...[0x12, 0x03, 0xa0, 0x1b, 0x1e, 0x15, 0x55, 0x1a, 0x5a, 0x4c, 0x4d],
  ...[0x16, 0x17, 0x56, 0x57, 0x5e, 0x5f, 0x84, 0xa3, 0xa4],
]);

export function needsMedium(opcode: number): boolean {
  return !WITHOUT_MEDIUM.has(opcode);
}

/** The device of a unit while its medium is out: as it is, but for what would reach the medium. */
export class AbsentMedium extends WatchedDevice {
  constructor(device: BlockDevice) {
    super(device, refuse);
  }

  override read(): Pending {
    return refuse();
  }

  override flush(): Pending {
    return refuse();
  }
}

function refuse(): never {
  throw new CheckCondition(Senses.MediumNotPresent);
}

export class RemovableMedium {
  /** Nexuses: at most one for each session of the target. */
  readonly #preventing = new Set<string>();

  get isLocked(): boolean {
    return this.#preventing.size > 0;
  }

  prevent(nexus: string): void {
    this.#preventing.add(nexus);
  }

  allow(nexus: string): void {
    this.#preventing.delete(nexus);
  }

  reset(): void {
    this.#preventing.clear();
  }
}
