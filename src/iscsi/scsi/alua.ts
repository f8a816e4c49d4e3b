/**
 * REPORT and SET TARGET PORT GROUPS of SPC-4, and what a unit does through a port that is not active, its section 5.15.
 */

import type { Pending } from "../interfaces.ts";
import type { Command } from "./command.ts";
import { type AccessChange, AccessState, AlteredBy, type PortGroups } from "./port-groups.ts";
import { CheckCondition, invalidCdbField, invalidParameter, type Sense, Senses } from "./sense.ts";
import type { LogicalUnit, Nexus } from "./unit.ts";
import { whileWaitedFor } from "./waits.ts";

/** What a unit still does, and what it answers to everything else. */
export interface Reach {
  readonly sense: Sense;
  readonly carriesOut: (cdb: Uint8Array) => boolean;
}

/** INQUIRY, REQUEST SENSE, REPORT LUNS. */
const REPORTS = [0x12, 0x03, 0xa0] as const;
/** LOG SELECT and SENSE, MODE SELECT and SENSE, PERSISTENT RESERVE IN and OUT; and READ CAPACITY (10), as for path checkers. */
const SETTINGS = [0x4c, 0x4d, 0x15, 0x55, 0x1a, 0x5a, 0x5e, 0x5f, 0x25] as const;
const REPORT_GROUPS = [0xa3, 0x0a] as const;
const SET_GROUPS = [0xa4, 0x0a] as const;
/** READ CAPACITY (16); REPORT SUPPORTED OPERATION CODES and TASK MANAGEMENT FUNCTIONS. */
const DESCRIPTIONS = [
  [0x9e, 0x10],
  [0xa3, 0x0c],
  [0xa3, 0x0d],
] as const;

function reach(
  sense: Sense,
  opcodes: readonly number[],
  serviceActions: readonly (readonly [opcode: number, serviceAction: number])[],
): Reach {
  const plain = new Set(opcodes);
  const carriesOut = (cdb: Uint8Array) =>
    plain.has(cdb[0]) || serviceActions.some(([opcode, action]) => opcode === cdb[0] && action === (cdb[1] & 0x1f));
  return { sense, carriesOut };
}

const REACHES: ReadonlyMap<number, Reach> = new Map([
  [
    AccessState.Standby,
    reach(Senses.PortInStandby, [...REPORTS, ...SETTINGS], [REPORT_GROUPS, SET_GROUPS, ...DESCRIPTIONS]),
  ],
  [AccessState.Unavailable, reach(Senses.PortUnavailable, REPORTS, [REPORT_GROUPS, SET_GROUPS])],
  [AccessState.Offline, reach(Senses.PortOffline, REPORTS, [REPORT_GROUPS, SET_GROUPS])],
  [AccessState.Transitioning, reach(Senses.AccessInTransition, REPORTS, [REPORT_GROUPS])],
]);

/** @returns `undefined` in a state in which everything is carried out */
function reachIn(state: number): Reach | undefined {
  return REACHES.get(state);
}

/** As `reachIn`, through the port of a nexus. */
export function reachOf({ siblings }: Nexus): Reach | undefined {
  return reachThrough(siblings.portGroups, siblings.targetPort);
}

/** As `reachIn`, through a port. */
export function reachThrough(portGroups: PortGroups, port: number): Reach | undefined {
  return reachIn(portGroups.groupOf(port).state);
}

/** T, O, U, S, AN and AO. */
const SUPPORTED_STATES = 0xcf;
const PREFERRED = 0x80;
const GROUP_BYTES = 8;
const PORT_BYTES = 4;
/** PARAMETER DATA FORMAT. */
const EXTENDED_HEADER = 1;

export function reportTargetPortGroups(command: Command, unit: LogicalUnit): void {
  const format = command.cdb[1] >> 5;
  if (format > EXTENDED_HEADER) {
    command.fail(invalidCdbField(1));
    return;
  }
  const { groups, transitionSeconds } = unit.host.portGroups;
  const headerBytes = format === EXTENDED_HEADER ? 8 : 4;
  const bytes = new Uint8Array(
    groups.reduce((sum, { ports }) => sum + GROUP_BYTES + PORT_BYTES * ports.length, headerBytes),
  );
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  if (format === EXTENDED_HEADER) bytes.set([EXTENDED_HEADER << 4, transitionSeconds], 4);
  let at = headerBytes;
  for (const { id, ports, state, preferred, alteredBy } of groups) {
    bytes.set([(preferred ? PREFERRED : 0) | state, SUPPORTED_STATES], at);
    view.setUint16(at + 2, id);
    bytes.set([0, alteredBy, 0, ports.length], at + 4);
    at += GROUP_BYTES;
    for (const port of ports) {
      view.setUint16(at + 2, port);
      at += PORT_BYTES;
    }
  }
  command.answer(bytes, command.view.getUint32(6));
}

/** Whether hosts may change states. */
export function isExplicit(unit: LogicalUnit): boolean {
  return unit.host.portGroups.change !== undefined;
}

const LIST_HEADER_BYTES = 4;
const WISH_BYTES = 4;
/** States that a host may ask for. */
const WISHES: ReadonlySet<number> = new Set([
  AccessState.ActiveOptimized,
  AccessState.ActiveNonOptimized,
  AccessState.Standby,
  AccessState.Unavailable,
  AccessState.Offline,
]);

export function setTargetPortGroups(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const length = command.view.getUint32(6);
  const lengthMax = LIST_HEADER_BYTES + WISH_BYTES * unit.host.portGroups.groups.length;
  if (!isExplicit(unit)) command.fail(Senses.InvalidOpcode);
  else if (length === 0) return;
  else if (length < LIST_HEADER_BYTES || length % WISH_BYTES !== 0 || length > lengthMax) {
    command.fail(Senses.ParameterListLength);
  } else command.collect(length, (_, __, list) => carryOut(command, unit, nexus, list));
}

function carryOut(command: Command, unit: LogicalUnit, nexus: Nexus, list: Uint8Array): Pending {
  const { portGroups } = unit.host;
  const wishes = wishesOf(unit, list);
  const isSo = ({ group, state }: AccessChange) =>
    portGroups.groups.some((one) => one.id === group && one.state === state);
  if (wishes.every(isSo)) return undefined;
  if (portGroups.changing) throw new CheckCondition(Senses.AccessInTransition);
  portGroups.changing = true;
  return whileWaitedFor(command.signal, change(unit, nexus, wishes, command.signal));
}

async function change(
  unit: LogicalUnit,
  nexus: Nexus,
  wishes: readonly AccessChange[],
  signal: AbortSignal,
): Promise<void> {
  const { portGroups, changeAccessStates, deviceFailed } = unit.host;
  try {
    const done = await portGroups.change?.(wishes, nexus.siblings.initiatorPort);
    if (done !== true) throw new CheckCondition(Senses.SetTargetPortGroupsFailed);
    changeAccessStates(wishes, AlteredBy.Host, nexus);
  } catch (error) {
    // Nobody waits for it: the command's end does not tell of it.
    if (signal.aborted && !(error instanceof CheckCondition)) deviceFailed(unit, error);
    throw error;
  } finally {
    portGroups.changing = false;
  }
}

function wishesOf(unit: LogicalUnit, list: Uint8Array): readonly AccessChange[] {
  const { groups } = unit.host.portGroups;
  const wishes: AccessChange[] = [];
  for (let at = LIST_HEADER_BYTES; at < list.length; at += WISH_BYTES) {
    const state = list[at] & 0x0f;
    const named = (list[at + 2] << 8) | list[at + 3];
    if (!WISHES.has(state)) throw new CheckCondition(invalidParameter(at));
    // Offline is asked for by port: here a group goes offline as a whole, so it has to be all of one.
    const found =
      state === AccessState.Offline
        ? groups.find(({ ports }) => ports.length === 1 && ports[0] === named)
        : groups.find(({ id }) => id === named);
    if (found === undefined) throw new CheckCondition(invalidParameter(at + 2));
    wishes.push({ group: found.id, state });
  }
  return wishes;
}
