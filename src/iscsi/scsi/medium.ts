/** Commands about a medium as such, SBC-3: it has no defects, and only one that is removable can be away. */

import type { Pending } from "../interfaces.ts";
import type { Command } from "./command.ts";
import { CheckCondition, invalidCdbField, Senses } from "./sense.ts";
import type { LogicalUnit, Nexus } from "./unit.ts";

const START = 0x01;
const LOEJ = 0x02;
const NO_FLUSH = 0x04;

/** START STOP UNIT: there is no motor, so starting is done at once, and stopping once what was cached is on the medium. */
export function startStopUnit(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const flags = command.cdb[4];
  const powerCondition = flags >> 4;
  // 0 is START_VALID; 1 is ACTIVE, which it is always, and with it the other bits say nothing.
  if (powerCondition > 1) command.fail(invalidCdbField(4));
  if (powerCondition !== 0) return;
  if ((flags & LOEJ) !== 0) {
    loadOrEject(command, unit, nexus);
    return;
  }
  if ((flags & (START | NO_FLUSH)) === 0 && unit.loaded) command.run(flush);
}

function flush(unit: LogicalUnit): Pending {
  return unit.device.flush();
}

function loadOrEject(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const { medium } = unit;
  const loads = (command.cdb[4] & START) !== 0;
  if (medium === undefined) {
    if (!loads) command.fail(invalidCdbField(4));
  } else if (medium.isLocked) command.fail(Senses.MediumRemovalPrevented);
  else if (!loads) {
    if (unit.loaded) command.run(eject);
  } else if (!unit.loaded) {
    unit.loaded = true;
    // Whoever has loaded it knows.
    unit.host.announce(unit, Senses.MediumMayHaveChanged, nexus);
  }
}

/** What has been written until now is on the medium, whatever NO_FLUSH says: it may be the last time that it is here. */
function eject(unit: LogicalUnit, { signal }: Command): Pending {
  return unit.exclusively(signal, async () => {
    await unit.device.flush(signal);
    signal.throwIfAborted();
    // Somebody may have locked it meanwhile.
    if (unit.medium?.isLocked === true) throw new CheckCondition(Senses.MediumRemovalPrevented);
    unit.loaded = false;
    unit.host.tokens.cancel(unit);
  });
}

/** PREVENT ALLOW MEDIUM REMOVAL: one that is not removable can't be removed either way. */
export function preventAllowMediumRemoval(command: Command, { medium }: LogicalUnit, nexus: Nexus): void {
  const prevent = command.cdb[4] & 0x03;
  if (prevent > 1) command.fail(invalidCdbField(4));
  else if (prevent === 1) medium?.prevent(nexus.name);
  else medium?.allow(nexus.name);
}

const REQUESTED = 0x18;
/** Address descriptors: block (short, extended short, extended long, long), bytes from index, physical sector. */
const FORMAT_MAX = 5;

/** READ DEFECT DATA (10): the lists that were asked for, empty in whatever format. */
export function readDefectData10(command: Command): void {
  const asked = command.cdb[2];
  if ((asked & 0x07) > FORMAT_MAX) {
    command.fail(invalidCdbField(2));
    return;
  }
  command.answer(new Uint8Array([0, asked & (REQUESTED | 0x07), 0, 0]), command.view.getUint16(7));
}

/** READ DEFECT DATA (12). */
export function readDefectData12(command: Command): void {
  const asked = command.cdb[1];
  if ((asked & 0x07) > FORMAT_MAX) {
    command.fail(invalidCdbField(1));
    return;
  }
  command.answer(new Uint8Array([0, asked & (REQUESTED | 0x07), 0, 0, 0, 0, 0, 0]), command.view.getUint32(6));
}
