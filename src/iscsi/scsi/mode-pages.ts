/**
 * MODE SENSE and MODE SELECT: the mode pages of SPC-4 section 7.5 and SBC-3 section 6.5.
 *
 * D_SENSE and SWP of the control page can be set, by any host for all of them; they last until a reset of the unit. Nothing can
 * be saved. A MODE SELECT is carried out whole or not at all.
 */

import { concat } from "../concat.ts";
import type { Command } from "./command.ts";
import { CheckCondition, invalidCdbField, invalidParameter, Senses } from "./sense.ts";
import type { LogicalUnit, Nexus } from "./unit.ts";

const ALL_PAGES = 0x3f;
const ALL_SUBPAGES = 0xff;
const CACHING = 0x08;
const CONTROL = 0x0a;
/** SPF: a page with a subpage code, and a length of two bytes. */
const SUBPAGE_FORMAT = 0x40;

/** What is said of a unit. */
type Modes = Pick<LogicalUnit, "device" | "dSense" | "swp">;

interface ModePage {
  readonly page: number;
  readonly subpage: number;
  /** With its header. @param changeable a mask of what can be set, instead of what is set */
  readonly bytes: (modes: Modes, changeable: boolean) => Uint8Array;
}

/** A page of 12 bytes, or so many, with nothing set but these, from its third byte on. */
function fixed(page: number, length: number, ...set: readonly number[]): ModePage {
  return {
    page,
    subpage: 0,
    bytes: (_, changeable) => {
      const bytes = new Uint8Array(length);
      bytes.set([page, length - 2]);
      if (!changeable) bytes.set(set, 2);
      return bytes;
    },
  };
}

const PAGES: readonly ModePage[] = [
  // Read-write error recovery: what a device does about errors is its own matter, and reported only once it has failed.
  fixed(0x01, 12),
  // Verify error recovery.
  fixed(0x07, 12),
  { page: CACHING, subpage: 0x00, bytes: caching },
  { page: CONTROL, subpage: 0x00, bytes: control },
  { page: CONTROL, subpage: 0x01, bytes: controlExtension },
  // Informational exceptions control: DEXCPT, there are none.
  fixed(0x1c, 12, 0x08),
];

function caching({ device }: Modes, changeable: boolean): Uint8Array {
  const bytes = new Uint8Array(20);
  bytes.set([CACHING, 18]);
  // WCE
  if (!changeable && device.volatileCache === true) bytes[2] = 0x04;
  return bytes;
}

function control({ dSense, swp }: Modes, changeable: boolean): Uint8Array {
  const bytes = new Uint8Array(12);
  bytes.set([CONTROL, 10]);
  if (changeable) {
    bytes[2] = 0x04;
    bytes[4] = 0x08;
    return bytes;
  }
  bytes[2] = 0x20 | (dSense ? 0x04 : 0); // TST: a task set for each nexus
  bytes[3] = 0x10; // unrestricted reordering
  bytes[4] = swp ? 0x08 : 0;
  bytes[5] = 0x40; // TAS
  return bytes;
}

function controlExtension(_: Modes, changeable: boolean): Uint8Array {
  const bytes = new Uint8Array(32);
  bytes.set([SUBPAGE_FORMAT | CONTROL, 0x01, 0, 28]);
  if (!changeable) bytes[4] = 0x01; // IALUAE: access states may change without a host asking for it
  return bytes;
}

/** PAGE CONTROL. */
const CHANGEABLE_VALUES = 1;
const DEFAULT_VALUES = 2;
const SAVED_VALUES = 3;

export function modeSense(command: Command, unit: LogicalUnit): void {
  const long = command.cdb[0] === 0x5a;
  const page = command.cdb[2] & 0x3f;
  const subpage = command.cdb[3];
  const control = command.cdb[2] >> 6;
  const allocation = long ? command.view.getUint16(7) : command.cdb[4];
  if (control === SAVED_VALUES) {
    command.fail(Senses.SavingNotSupported);
    return;
  }
  const found = PAGES.filter(
    (one) => (page === ALL_PAGES || one.page === page) && (subpage === ALL_SUBPAGES || one.subpage === subpage),
  );
  if (found.length === 0) {
    command.fail(invalidCdbField(PAGES.some((one) => one.page === page) || page === ALL_PAGES ? 3 : 2));
    return;
  }
  const withDescriptor = (command.cdb[1] & 0x08) === 0;
  const longLba = long && (command.cdb[1] & 0x10) !== 0;
  const descriptor = withDescriptor ? blockDescriptor(unit, longLba) : new Uint8Array(0);
  const header = new Uint8Array(long ? 8 : 4);
  const modes = control === DEFAULT_VALUES ? { device: unit.device, dSense: false, swp: false } : unit;
  const pages = found.map((one) => one.bytes(modes, control === CHANGEABLE_VALUES));
  const bytes = concat(header, descriptor, ...pages);
  const view = new DataView(bytes.buffer);
  const deviceSpecific = (unit.writeProtected ? 0x80 : 0) | 0x10; // WP, DPOFUA
  if (long) {
    view.setUint16(0, bytes.length - 2);
    bytes[3] = deviceSpecific;
    bytes[4] = longLba && withDescriptor ? 1 : 0;
    view.setUint16(6, descriptor.length);
  } else {
    bytes[0] = bytes.length - 1;
    bytes[2] = deviceSpecific;
    bytes[3] = descriptor.length;
  }
  command.answer(bytes, allocation);
}

function blockDescriptor(unit: LogicalUnit, long: boolean): Uint8Array {
  const bytes = new Uint8Array(long ? 16 : 8);
  const view = new DataView(bytes.buffer);
  if (long) {
    view.setBigUint64(0, BigInt(unit.blockCount));
    view.setUint32(12, unit.blockSize);
  } else {
    view.setUint32(0, Math.min(unit.blockCount, 0xffffffff));
    view.setUint32(4, unit.blockSize);
  }
  return bytes;
}

const PF = 0x10;
const SP = 0x01;

export function modeSelect(command: Command, unit: LogicalUnit, nexus: Nexus): void {
  const long = command.cdb[0] === 0x55;
  const length = long ? command.view.getUint16(7) : command.cdb[4];
  if ((command.cdb[1] & PF) === 0 || (command.cdb[1] & SP) !== 0) {
    command.fail(invalidCdbField(1));
    return;
  }
  if (length === 0) return;
  command.collect(length, (_, __, data) => {
    applyModes(unit, data, long);
    unit.host.announce(unit, Senses.ModeParametersChanged, nexus);
    return undefined;
  });
}

function applyModes(unit: LogicalUnit, data: Uint8Array, long: boolean): void {
  const headerBytes = long ? 8 : 4;
  if (data.length < headerBytes) throw new CheckCondition(Senses.ParameterListLength);
  const descriptorBytes = long ? (data[6] << 8) | data[7] : data[3];
  let at = headerBytes + descriptorBytes;
  if (at > data.length) throw new CheckCondition(Senses.ParameterListLength);
  if (descriptorBytes > 0) checkDescriptor(unit, data, headerBytes, descriptorBytes, long && (data[4] & 0x01) !== 0);
  let { dSense, swp } = unit;
  while (at < data.length) {
    const withSubpage = (data[at] & SUBPAGE_FORMAT) !== 0;
    const pageHeaderBytes = withSubpage ? 4 : 2;
    if (at + pageHeaderBytes > data.length) throw new CheckCondition(Senses.ParameterListLength);
    const page = data[at] & 0x3f;
    const subpage = withSubpage ? data[at + 1] : 0;
    const length = withSubpage ? (data[at + 2] << 8) | data[at + 3] : data[at + 1];
    if (at + pageHeaderBytes + length > data.length) throw new CheckCondition(Senses.ParameterListLength);
    const found = PAGES.find((one) => one.page === page && one.subpage === subpage);
    if (found === undefined) throw new CheckCondition(invalidParameter(at));
    const now = found.bytes(unit, false);
    const mask = found.bytes(unit, true);
    if (length !== now.length - pageHeaderBytes) throw new CheckCondition(invalidParameter(at + pageHeaderBytes - 1));
    for (let byte = pageHeaderBytes; byte < now.length; byte++) {
      if (((data[at + byte] ^ now[byte]) & ~mask[byte]) !== 0) throw new CheckCondition(invalidParameter(at + byte));
    }
    if (page === CONTROL && subpage === 0) {
      dSense = (data[at + 2] & 0x04) !== 0;
      swp = (data[at + 4] & 0x08) !== 0;
    }
    at += now.length;
  }
  unit.dSense = dSense;
  unit.swp = swp;
}

/** A block descriptor may only say what is so: neither size nor number of blocks is the hosts' to choose. */
function checkDescriptor(unit: LogicalUnit, data: Uint8Array, at: number, length: number, long: boolean): void {
  if (length !== (long ? 16 : 8)) throw new CheckCondition(invalidParameter(at - 1));
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const now = blockDescriptor(unit, long);
  const blocks = long ? view.getBigUint64(at) : BigInt(view.getUint32(at));
  const nowView = new DataView(now.buffer);
  const nowBlocks = long ? nowView.getBigUint64(0) : BigInt(nowView.getUint32(0));
  // 0 leaves the number as it is.
  if (blocks !== 0n && blocks !== nowBlocks) throw new CheckCondition(invalidParameter(at));
  const sizeAt = long ? 12 : 5;
  for (let byte = sizeAt; byte < length; byte++) {
    if (data[at + byte] !== now[byte]) throw new CheckCondition(invalidParameter(at + sizeAt));
  }
}
