/**
 * The SCSI target device: its logical units by LUN, and the one place where a CDB finds its command.
 * It knows nothing of iSCSI.
 */

import type { Random } from "../interfaces.ts";
import { type AccessRule, accessOf } from "./access.ts";
import { isExplicit, reachOf, reachThrough, reportTargetPortGroups, setTargetPortGroups } from "./alua.ts";
import { BLOCK_COMMANDS } from "./block-commands.ts";
import type { Command } from "./command.ts";
import { Copies, touches } from "./copies.ts";
import { COPY_COMMANDS } from "./copy-commands.ts";
import { type Definition, LBA4, LBA8, type Row } from "./definition.ts";
import { sendDiagnostic } from "./diagnostics.ts";
import { logSelect, logSense } from "./log-pages.ts";
import { REPORT_LUNS_UNIT } from "./lun.ts";
import { modeSelect, modeSense } from "./mode-pages.ts";
import * as pr from "./persistent-reserve.ts";
import type { AccessChange } from "./port-groups.ts";
import { needsMedium } from "./removable-medium.ts";
import * as sbc from "./sbc.ts";
import { invalidCdbField, type Sense, Senses } from "./sense.ts";
import * as spc from "./spc.ts";
import { reportSupportedTaskManagementFunctions } from "./task-functions.ts";
import { Tokens } from "./tokens.ts";
import { LogicalUnit, type LunSpec, type Nexus, type Refusal, type UnitHost } from "./unit.ts";
import { decodeForReportLuns } from "./well-known.ts";

/** Opcodes of which each service action is a command of its own. */
const WITH_SERVICE_ACTION = new Set([0x48, 0x5e, 0x5f, 0x83, 0x84, 0x9e, 0xa3, 0xa4]);

const RESERVE_IN = [0x5e, 0x1f, 0, 0, 0, 0, 0, 0xff, 0xff, 0x04] as const;
/** Without SCOPE and TYPE, and with them. */
const RESERVE_OUT = [0x5f, 0x1f, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x04] as const;
const RESERVE_OUT_TYPE = [0x5f, 0x1f, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x04] as const;

const DEFINITIONS: readonly Row[] = [
  ...BLOCK_COMMANDS,
  ...COPY_COMMANDS,
  [0x00, { usage: [0x00, 0, 0, 0, 0, 0x04], run: spc.testUnitReady }],
  [0x03, { usage: [0x03, 0x01, 0, 0, 0xff, 0x04], run: (command, _, nexus) => spc.requestSense(command, nexus) }],
  [0x08, { usage: [0x08, 0x1f, 0xff, 0xff, 0xff, 0x04], run: sbc.read }],
  [0x0a, { usage: [0x0a, 0x1f, 0xff, 0xff, 0xff, 0x04], run: sbc.write }],
  [0x12, { usage: [0x12, 0x01, 0xff, 0xff, 0xff, 0x04], run: spc.inquiry }],
  [0x15, { usage: [0x15, 0x11, 0, 0, 0xff, 0x04], run: modeSelect }],
  [0x16, { usage: [0x16, 0, 0, 0, 0, 0x04], run: pr.reserve }],
  [0x17, { usage: [0x17, 0, 0, 0, 0, 0x04], run: pr.release }],
  [0x1a, { usage: [0x1a, 0x08, 0xff, 0xff, 0xff, 0x04], run: modeSense }],
  [0x1d, { usage: [0x1d, 0x04, 0, 0, 0, 0x04], run: sendDiagnostic }],
  [0x25, { usage: [0x25, 0, ...LBA4, 0, 0, 0, 0x04], run: sbc.readCapacity10 }],
  [0x28, { usage: [0x28, 0x18, ...LBA4, 0, 0xff, 0xff, 0x04], run: sbc.read }],
  [0x2a, { usage: [0x2a, 0x18, ...LBA4, 0, 0xff, 0xff, 0x04], run: sbc.write }],
  [0x35, { usage: [0x35, 0x02, ...LBA4, 0, 0xff, 0xff, 0x04], run: sbc.synchronizeCache }],
  [0x41, { usage: [0x41, 0x08, ...LBA4, 0, 0xff, 0xff, 0x04], run: sbc.writeSame }],
  [0x42, { usage: [0x42, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0x04], run: sbc.unmap }],
  [0x4c, { usage: [0x4c, 0x02, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0x04], run: logSelect }],
  [0x4d, { usage: [0x4d, 0, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x04], run: logSense }],
  [0x55, { usage: [0x55, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff, 0x04], run: modeSelect }],
  [0x56, { usage: [0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0x04], run: pr.reserve }],
  [0x57, { usage: [0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0x04], run: pr.release }],
  [0x5a, { usage: [0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0x04], run: modeSense }],
  [0x5e, { serviceAction: 0x00, usage: RESERVE_IN, run: pr.readKeys }],
  [0x5e, { serviceAction: 0x01, usage: RESERVE_IN, run: pr.readReservation }],
  [0x5e, { serviceAction: 0x02, usage: RESERVE_IN, run: pr.reportCapabilities }],
  [0x5e, { serviceAction: 0x03, usage: RESERVE_IN, run: pr.readFullStatus }],
  [0x5f, { serviceAction: 0x00, usage: RESERVE_OUT, run: pr.reserveOut }],
  [0x5f, { serviceAction: 0x01, usage: RESERVE_OUT_TYPE, run: pr.reserveOut }],
  [0x5f, { serviceAction: 0x02, usage: RESERVE_OUT_TYPE, run: pr.reserveOut }],
  [0x5f, { serviceAction: 0x03, usage: RESERVE_OUT, run: pr.reserveOut }],
  [0x5f, { serviceAction: 0x04, usage: RESERVE_OUT_TYPE, run: pr.reserveOut }],
  [0x5f, { serviceAction: 0x05, usage: RESERVE_OUT_TYPE, run: pr.reserveOut }],
  [0x5f, { serviceAction: 0x06, usage: RESERVE_OUT, run: pr.reserveOut }],
  [0x5f, { serviceAction: 0x07, usage: RESERVE_OUT, run: pr.reserveOut }],
  [0x88, { usage: [0x88, 0x18, ...LBA8, 0xff, 0xff, 0xff, 0xff, 0, 0x04], run: sbc.read }],
  [0x8a, { usage: [0x8a, 0x18, ...LBA8, 0xff, 0xff, 0xff, 0xff, 0, 0x04], run: sbc.write }],
  [0x91, { usage: [0x91, 0x02, ...LBA8, 0xff, 0xff, 0xff, 0xff, 0, 0x04], run: sbc.synchronizeCache }],
  [0x93, { usage: [0x93, 0x09, ...LBA8, 0xff, 0xff, 0xff, 0xff, 0, 0x04], run: sbc.writeSame }],
  [
    0x9e,
    {
      serviceAction: 0x10,
      usage: [0x9e, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x04],
      run: sbc.readCapacity16,
    },
  ],
  [
    0xa0,
    {
      usage: [0xa0, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x04],
      run: (command, _, nexus) => spc.reportLuns(command, nexus.siblings),
    },
  ],
  [
    0xa3,
    {
      serviceAction: 0x0a,
      usage: [0xa3, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x04],
      run: reportTargetPortGroups,
    },
  ],
  [
    0xa3,
    {
      serviceAction: 0x0c,
      usage: [0xa3, 0x1f, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0x04],
      run: reportSupportedOperationCodes,
    },
  ],
  [
    0xa3,
    {
      serviceAction: 0x0d,
      usage: [0xa3, 0x1f, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x04],
      run: reportSupportedTaskManagementFunctions,
    },
  ],
  [
    0xa4,
    {
      serviceAction: 0x0a,
      usage: [0xa4, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0x04],
      supportedBy: isExplicit,
      run: setTargetPortGroups,
    },
  ],
  [0xa8, { usage: [0xa8, 0x18, ...LBA4, 0xff, 0xff, 0xff, 0xff, 0, 0x04], run: sbc.read }],
  [0xaa, { usage: [0xaa, 0x18, ...LBA4, 0xff, 0xff, 0xff, 0xff, 0, 0x04], run: sbc.write }],
];

/** Indexed by opcode; those with service actions have several. */
const COMMANDS: readonly (readonly (Definition & { readonly access: AccessRule })[])[] = Array.from(
  { length: 256 },
  (_, opcode) =>
    DEFINITIONS.filter(([code]) => code === opcode).map(([, definition]) => ({
      ...definition,
      access: accessOf(opcode, definition.serviceAction),
    })),
);

const INQUIRY = 0x12;
const REQUEST_SENSE = 0x03;
const REPORT_LUNS = 0xa0;
const NACA = 0x04;

/** Sets the command's plan from its CDB. */
export function decode(command: Command, nexus: Nexus): void {
  const { cdb } = command;
  const opcode = cdb[0];
  const { unit } = nexus;
  if (unit === undefined) {
    decodeWithoutUnit(command, nexus);
    return;
  }
  if (nexus.attentions.length > 0 && !isReport(opcode)) {
    reportAttention(command, unit, nexus);
    return;
  }
  if (!unit.open) {
    const sense = refusalOf(unit, nexus, cdb);
    if (sense !== undefined) {
      command.fail(sense);
      return;
    }
  }
  const definitions = COMMANDS[opcode];
  if (definitions.length === 0) {
    command.fail(Senses.InvalidOpcode);
    return;
  }
  let definition = definitions[0];
  if (definition.serviceAction !== undefined) {
    const found = definitions.find((one) => one.serviceAction === (cdb[1] & 0x1f));
    if (found === undefined) {
      command.fail(definition.supportedBy?.(unit) === false ? Senses.InvalidOpcode : invalidCdbField(1));
      return;
    }
    definition = found;
  }
  if ((cdb[definition.usage.length - 1] & NACA) !== 0) {
    command.fail(invalidCdbField(definition.usage.length - 1));
    return;
  }
  if (unit.reservations.held && conflicts(definition.access, command, unit, nexus)) {
    command.conflict();
    return;
  }
  definition.run(command, unit, nexus);
}

/** What a unit always answers, whatever it has to report first or is busy with. */
function isReport(opcode: number): boolean {
  return opcode === INQUIRY || opcode === REPORT_LUNS || opcode === REQUEST_SENSE;
}

/** What a unit does though it refuses other commands: SBC-3 section 4.11.3. */
function isCarriedOut(refusal: Refusal, opcode: number): boolean {
  return isReport(opcode) || opcode === refusal.except;
}

/** Why a unit that is not open does not carry out a command, if it does not. */
function refusalOf({ refusal, loaded }: LogicalUnit, nexus: Nexus, cdb: Uint8Array): Sense | undefined {
  const reach = reachOf(nexus);
  if (reach !== undefined && !reach.carriesOut(cdb)) return reach.sense;
  if (refusal !== undefined && !isCarriedOut(refusal, cdb[0])) return refusal.sense();
  return loaded || !needsMedium(cdb[0]) ? undefined : Senses.MediumNotPresent;
}

const RESET_OCCURRED = 0x29;

/** A conflict is reported ahead of unit attentions other than those of a reset, SAM-5 section 5.3.3. */
function reportAttention(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  if (nexus.attentions[0].asc !== RESET_OCCURRED && meetsReservation(command, unit, nexus)) command.conflict();
  else command.fail(nexus.report() ?? Senses.PowerOn);
}

/** Whether a command, as far as it is known, conflicts with what is reserved now: SPC-4 has it looked at as the command begins. */
export function meetsReservation(command: Command, unit: LogicalUnit, nexus: Nexus): boolean {
  const { cdb } = command;
  if (!unit.reservations.held) return false;
  const definition = COMMANDS[cdb[0]].find(
    ({ serviceAction }) => serviceAction === undefined || serviceAction === (cdb[1] & 0x1f),
  );
  return definition !== undefined && conflicts(definition.access, command, unit, nexus);
}

function conflicts(access: AccessRule, { cdb }: Command, { reservations }: LogicalUnit, nexus: Nexus): boolean {
  return reservations.conflicts(nexus.name, typeof access === "number" ? access : access(cdb));
}

/** What a LUN without a unit answers, SPC-4 section 5.2. */
function decodeWithoutUnit(command: Command, nexus: Nexus): void {
  if (nexus.lun === REPORT_LUNS_UNIT) {
    decodeForReportLuns(command, nexus);
    return;
  }
  switch (command.cdb[0]) {
    case INQUIRY:
      spc.inquiry(command, undefined, nexus);
      return;
    case REQUEST_SENSE:
      spc.requestSense(command, nexus);
      return;
    case REPORT_LUNS:
      spc.reportLuns(command, nexus.siblings);
      return;
    default:
      command.fail(Senses.LunNotSupported);
      return;
  }
}

/** SPC-4 section 6.34. */
function reportSupportedOperationCodes(command: Command, unit: LogicalUnit): void {
  const { cdb, view } = command;
  const timeouts = (cdb[2] & 0x80) !== 0;
  const options = cdb[2] & 0x07;
  const allocation = view.getUint32(6);
  if (options === 0) {
    command.answer(allCommands(unit, timeouts), allocation);
    return;
  }
  const opcode = cdb[3];
  const serviceAction = view.getUint16(4);
  const definitions = COMMANDS[opcode];
  const has = definitions.length > 0 && definitions[0].serviceAction !== undefined;
  if (options > 3) {
    command.fail(invalidCdbField(2));
    return;
  }
  if (options === 1 && (has || (definitions.length === 0 && WITH_SERVICE_ACTION.has(opcode)))) {
    command.fail(invalidCdbField(2));
    return;
  }
  if (options === 2 && !has && definitions.length > 0) {
    command.fail(invalidCdbField(2));
    return;
  }
  const named = has ? definitions.find((one) => one.serviceAction === serviceAction) : definitions[0];
  const found = named?.supportedBy?.(unit) === false ? undefined : named;
  command.answer(oneCommand(found, timeouts), allocation);
}

const TIMEOUTS_BYTES = 12;

function allCommands(unit: LogicalUnit, timeouts: boolean): Uint8Array {
  const rows = DEFINITIONS.filter(([, { supportedBy }]) => supportedBy?.(unit) !== false);
  const width = 8 + (timeouts ? TIMEOUTS_BYTES : 0);
  const bytes = new Uint8Array(4 + width * rows.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  rows.forEach(([opcode, { serviceAction, usage }], index) => {
    const at = 4 + width * index;
    bytes[at] = opcode;
    view.setUint16(at + 2, serviceAction ?? 0);
    bytes[at + 5] = (timeouts ? 0x02 : 0) | (serviceAction === undefined ? 0 : 0x01);
    view.setUint16(at + 6, usage.length);
    if (timeouts) view.setUint16(at + 8, TIMEOUTS_BYTES - 2);
  });
  return bytes;
}

function oneCommand(definition: Definition | undefined, timeouts: boolean): Uint8Array {
  if (definition === undefined) return new Uint8Array([0, 0x01, 0, 0]);
  const { usage, serviceAction } = definition;
  const bytes = new Uint8Array(4 + usage.length + (timeouts ? TIMEOUTS_BYTES : 0));
  const view = new DataView(bytes.buffer);
  bytes[1] = 0x03 | (timeouts ? 0x80 : 0);
  view.setUint16(2, usage.length);
  bytes.set(usage, 4);
  // The service action stands for itself; the bits beside it are usage data as any others.
  if (serviceAction !== undefined) bytes[5] = (usage[1] & 0xe0) | serviceAction;
  if (timeouts) view.setUint16(4 + usage.length, TIMEOUTS_BYTES - 2);
  return bytes;
}

/** The units of a target by LUN. */
export class ScsiDevice {
  readonly #units = new Map<number, LogicalUnit>();
  readonly host: UnitHost;

  constructor(host: Omit<UnitHost, "copies" | "tokens" | "changeAccessStates">, random: Random) {
    const copies = new Copies();
    this.host = {
      ...host,
      copies,
      tokens: new Tokens(host.timers, random),
      abortTasks: async (unit, except, nexuses) => {
        // A copy that was sent to another unit, or that no task waits for, is at work for the nexus as well.
        const copying = copies.abort((copy) => touches(copy, unit) && (nexuses?.has(copy.spec.nexus) ?? true));
        await host.abortTasks(unit, except, nexuses);
        await copying;
      },
      changeAccessStates: (changes, alteredBy, except) => this.changeAccessStates(changes, alteredBy, except),
    };
  }

  unit(lun: number): LogicalUnit | undefined {
    return this.#units.get(lun);
  }

  units(): readonly LogicalUnit[] {
    return [...this.#units.values()];
  }

  add(spec: LunSpec): LogicalUnit {
    if (this.#units.has(spec.lun)) throw new RangeError(`LUN ${spec.lun} is there already`);
    const unit = new LogicalUnit(spec, this.host);
    unit.reached = this.#isReached;
    this.#units.set(spec.lun, unit);
    return unit;
  }

  remove(lun: number): LogicalUnit | undefined {
    const unit = this.#units.get(lun);
    this.#units.delete(lun);
    return unit;
  }

  /** Whether every port of this server is active. */
  get #isReached(): boolean {
    const { portGroups } = this.host;
    return portGroups.local.every((port) => reachThrough(portGroups, port) === undefined);
  }

  /** The server has a portal of that group. */
  usePort(port: number): void {
    const { portGroups, announce } = this.host;
    const tells = portGroups.use(port);
    for (const unit of this.#units.values()) {
      unit.reached = this.#isReached;
      if (tells) announce(unit, Senses.InquiryDataChanged);
    }
  }

  /** See `UnitHost`. */
  changeAccessStates(changes: readonly AccessChange[], alteredBy: number, except?: Nexus): void {
    const { portGroups, tokens, announce } = this.host;
    if (!portGroups.apply(changes, alteredBy)) return;
    const reached = this.#isReached;
    // Hosts may go on writing through another server.
    if (!reached) tokens.cancel();
    for (const unit of this.#units.values()) {
      unit.reached = reached;
      announce(unit, Senses.AccessStateChanged, except);
    }
  }
}

/** The default of `senseFor`: errors with a code are the medium's, any others the target's own. */
export function mediumError(error: unknown, writing: boolean): Sense {
  if (typeof error !== "object" || error === null) return Senses.InternalTargetFailure;
  if (!("code" in error) || typeof error.code !== "string") return Senses.InternalTargetFailure;
  return writing ? Senses.WriteError : Senses.UnrecoveredRead;
}
