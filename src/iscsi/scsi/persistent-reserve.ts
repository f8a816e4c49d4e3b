/**
 * PERSISTENT RESERVE IN and OUT, SPC-4 sections 6.15 and 6.16, and RESERVE and RELEASE (6) and (10) of SPC-2: their CDBs
 * and parameter data. What they do is in reservations.ts.
 */

import type { Pending } from "../interfaces.ts";
import { RESERVE_LIST_BYTES_MAX } from "../limits.ts";
import type { Command } from "./command.ts";
import { type Attention, holds, isType, ReservationType, ReserveOut, type ReserveRequest } from "./reservations.ts";
import { CheckCondition, invalidCdbField, invalidParameter, type Sense, Senses } from "./sense.ts";
import {
  formatTransportId,
  initiatorNameOf,
  initiatorPortOf,
  nexusName,
  parseTransportId,
  targetPortOf,
} from "./transport-id.ts";
import type { LogicalUnit, Nexus } from "./unit.ts";
import type { Change } from "./unit-reservations.ts";
import { whileWaitedFor } from "./waits.ts";

const HEADER_BYTES = 8;
/** Of READ FULL STATUS, before the TransportID. */
const DESCRIPTOR_BYTES = 24;

export function readKeys(command: Command, unit: LogicalUnit): void {
  const { registrations } = unit.reservations.state;
  const { bytes, view } = parameterData(unit, 8 * registrations.length);
  registrations.forEach(({ key }, index) => {
    view.setBigUint64(HEADER_BYTES + 8 * index, key);
  });
  answer(command, unit, bytes);
}

export function readReservation(command: Command, unit: LogicalUnit): void {
  const { state } = unit.reservations;
  const { reservation } = state;
  const { bytes, view } = parameterData(unit, reservation === undefined ? 0 : 16);
  if (reservation !== undefined) {
    // 0 where all registrants hold it.
    const holder = state.registrations.find(({ nexus }) => nexus === reservation.holder);
    view.setBigUint64(HEADER_BYTES, holder?.key ?? 0n);
    bytes[HEADER_BYTES + 13] = reservation.type;
  }
  answer(command, unit, bytes);
}

export function reportCapabilities(command: Command, unit: LogicalUnit): void {
  const { canPersist, state } = unit.reservations;
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, bytes.length);
  bytes[2] = 0x1c | (canPersist ? 0x01 : 0); // CRH, SIP_C, ATP_C, PTPL_C
  bytes[3] = 0xb0 | (state.persists ? 0x01 : 0); // TMV, ALLOW COMMANDS 011b, PTPL_A
  const bitOf = (type: number) => (type < 8 ? 1 << (type + 8) : 1 << (type - 8));
  view.setUint16(
    4,
    Object.values(ReservationType).reduce((mask, type) => mask | bitOf(type), 0),
  );
  answer(command, unit, bytes);
}

export function readFullStatus(command: Command, unit: LogicalUnit): void {
  const { registrations, reservation } = unit.reservations.state;
  const ids = registrations.map(({ nexus }) => formatTransportId(initiatorPortOf(nexus)));
  const { bytes, view } = parameterData(
    unit,
    ids.reduce((sum, id) => sum + DESCRIPTOR_BYTES + id.length, 0),
  );
  let at = HEADER_BYTES;
  registrations.forEach(({ nexus, key }, index) => {
    view.setBigUint64(at, key);
    if (reservation !== undefined && holds(reservation, nexus)) {
      bytes[at + 12] = 0x01; // R_HOLDER
      bytes[at + 13] = reservation.type;
    }
    view.setUint16(at + 18, targetPortOf(nexus));
    view.setUint32(at + 20, ids[index].length);
    bytes.set(ids[index], at + DESCRIPTOR_BYTES);
    at += DESCRIPTOR_BYTES + ids[index].length;
  });
  answer(command, unit, bytes);
}

/** PRGENERATION and ADDITIONAL LENGTH, with room for as many bytes. */
function parameterData(unit: LogicalUnit, length: number): { readonly bytes: Uint8Array; readonly view: DataView } {
  const bytes = new Uint8Array(HEADER_BYTES + length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, unit.reservations.state.generation);
  view.setUint32(4, length);
  return { bytes, view };
}

function answer(command: Command, unit: LogicalUnit, bytes: Uint8Array): void {
  if (unit.reservations.reserver !== undefined) command.conflict();
  else command.answer(bytes, command.view.getUint16(7));
}

const LIST_BYTES = 24;

/** Any service action of PERSISTENT RESERVE OUT. */
export function reserveOut(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const { cdb, view } = command;
  const action = cdb[1] & 0x1f;
  const length = view.getUint32(5);
  const reserves = action === ReserveOut.Reserve || action === ReserveOut.Release;
  const preempts = action === ReserveOut.Preempt || action === ReserveOut.PreemptAndAbort;
  if (unit.reservations.reserver !== undefined) command.conflict();
  else if ((reserves || preempts) && cdb[2] >> 4 !== 0) command.fail(invalidCdbField(2));
  else if (reserves && !isType(cdb[2] & 0x0f)) command.fail(invalidCdbField(2));
  else if (length < LIST_BYTES || length > RESERVE_LIST_BYTES_MAX) command.fail(Senses.ParameterListLength);
  else {
    command.collect(length, (_, __, data) => {
      const { signal } = command;
      const request = parse(command, unit, nexus, data);
      return afterAborted(signal, nexus, () => carryOut(command, signal, unit, request));
    });
  }
}

function parse(command: Command, unit: LogicalUnit, nexus: Nexus, data: Uint8Array): ReserveRequest {
  const { name, siblings } = nexus;
  const action = command.cdb[1] & 0x1f;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const moves = action === ReserveOut.RegisterAndMove;
  const registers = action === ReserveOut.Register || action === ReserveOut.RegisterAndIgnoreExistingKey;
  const flagsAt = moves ? 17 : 20;
  const persists = (moves || registers) && (data[flagsAt] & 0x01) !== 0;
  if (persists && !unit.reservations.canPersist) throw new CheckCondition(invalidParameter(flagsAt));
  const names = registers && (data[flagsAt] & 0x08) !== 0;
  if (names && action !== ReserveOut.Register) throw new CheckCondition(invalidParameter(flagsAt));
  if (!moves && !names && data.length !== LIST_BYTES) throw new CheckCondition(Senses.ParameterListLength);
  // ALL_TG_PT: those of this server; what another keeps of reservations is its own.
  const everywhere = registers && (data[flagsAt] & 0x04) !== 0;
  const targetPorts = everywhere ? unit.host.portGroups.local : [siblings.targetPort];
  const at = (initiatorPort: string) => targetPorts.map((port) => nexusName(initiatorPort, port));
  return {
    action,
    nexus: name,
    elsewhere: at(siblings.initiatorPort).filter((other) => other !== name),
    type: command.cdb[2] & 0x0f,
    key: view.getBigUint64(0),
    actionKey: view.getBigUint64(8),
    persists,
    others: names ? namedPorts(unit, data, view).flatMap(at) : undefined,
    destination: moves ? destination(unit, data, view) : "",
    unregister: moves && (data[flagsAt] & 0x02) !== 0,
  };
}

/** The initiator ports of SPEC_I_PT. */
function namedPorts(unit: LogicalUnit, data: Uint8Array, view: DataView): readonly string[] {
  if (data.length < LIST_BYTES + 4 || view.getUint32(LIST_BYTES) !== data.length - LIST_BYTES - 4) {
    throw new CheckCondition(Senses.ParameterListLength);
  }
  const ports = new Set<string>();
  const names = new Set<string>();
  for (let at = LIST_BYTES + 4; at < data.length; ) {
    const { id, end } = parseTransportId(data, at);
    if ("port" in id) ports.add(id.port);
    else names.add(id.initiatorName);
    at = end;
  }
  for (const port of unit.host.initiatorPorts(unit)) if (names.has(initiatorNameOf(port))) ports.add(port);
  return [...ports];
}

/** Where REGISTER AND MOVE moves to: one initiator port, at a target port of this server. */
function destination(unit: LogicalUnit, data: Uint8Array, view: DataView): string {
  if (view.getUint32(20) !== data.length - LIST_BYTES) throw new CheckCondition(Senses.ParameterListLength);
  const targetPort = view.getUint16(18);
  if (!unit.host.portGroups.local.includes(targetPort)) throw new CheckCondition(invalidParameter(18));
  const { id, end } = parseTransportId(data, LIST_BYTES);
  if (end !== data.length) throw new CheckCondition(invalidParameter(20));
  if (!("port" in id)) throw new CheckCondition(invalidParameter(LIST_BYTES));
  return nexusName(id.port, targetPort);
}

/** Runs `work` once the device is done with what the nexus has aborted: whoever it may let in must not be overtaken by that. */
function afterAborted(signal: AbortSignal, nexus: Nexus, work: () => Pending): Pending {
  return (
    nexus.whenAborted(signal)?.then(() => {
      // What has waited as well may have aborted this.
      signal.throwIfAborted();
      return work();
    }) ?? work()
  );
}

function carryOut(command: Command, signal: AbortSignal, unit: LogicalUnit, request: ReserveRequest): Pending {
  const outcome = unit.reservations.change(request, signal);
  if (outcome instanceof Promise) return outcome.then((late) => conclude(command, signal, unit, request, late));
  return conclude(command, signal, unit, request, outcome);
}

function conclude(
  command: Command,
  signal: AbortSignal,
  unit: LogicalUnit,
  request: ReserveRequest,
  outcome: Change,
): Pending {
  if (outcome.is === "refused") throw new CheckCondition(outcome.sense);
  if (outcome.is === "conflict") {
    command.conflict();
    return undefined;
  }
  const { attentions, preempted, lift } = outcome;
  // SPC-4 has who is preempted so keep no medium in either.
  if (request.action === ReserveOut.PreemptAndAbort) for (const nexus of preempted) unit.medium?.allow(nexus);
  tell(unit, attentions);
  // Whoever is told that it may use the unit can do so from then on.
  const letIn = () => unit.reservations.letIn(request.nexus);
  const pending =
    lift === undefined ? letIn() : unit.host.abortTasks(unit, command, new Set(preempted)).then(lift).then(letIn);
  return pending && whileWaitedFor(signal, pending);
}

/** Has the unit's nexuses report what a change of its reservations means to them. */
export function tell(unit: LogicalUnit, attentions: readonly Attention[]): void {
  const told = new Map<Sense, Set<string>>();
  for (const { nexus, sense } of attentions) told.set(sense, (told.get(sense) ?? new Set()).add(nexus));
  for (const [sense, nexuses] of told) unit.host.attend(unit, sense, nexuses);
}

/** RESERVE (6), (10): the whole unit, for the nexus itself. */
export function reserve(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  if (!isPlain(command)) command.fail(invalidCdbField(1));
  else if (!unit.reservations.reserve(nexus.name)) command.conflict();
}

/** RELEASE (6), (10). */
export function release(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const carryOut = () => {
    if (!unit.reservations.release(nexus.name)) command.conflict();
    return undefined;
  };
  if (!isPlain(command)) command.fail(invalidCdbField(1));
  else if (nexus.isAborting) command.run(() => afterAborted(command.signal, nexus, carryOut), false);
  else carryOut();
}

/** Neither for a third party nor of extents, which are obsolete. */
function isPlain({ cdb }: Command): boolean {
  return (cdb[1] & 0x1f) === 0;
}
