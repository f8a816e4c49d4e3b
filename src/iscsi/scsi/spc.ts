/** Commands of SPC-4: what every device type answers. */

import type { Command } from "./command.ts";
import { standardInquiry, vitalProductData } from "./inquiry.ts";
import { CheckCondition, formatSense, invalidCdbField, invalidParameter, Senses } from "./sense.ts";
import type { LogicalUnit, Nexus, UnitHost } from "./unit.ts";

export function testUnitReady(): void {
  // A command starts out as GOOD with no data.
}

/** SPC-4 section 6.6; answered for LUNs without a unit as well. */
export function inquiry(command: Command, unit: LogicalUnit | undefined): void {
  const evpd = (command.cdb[1] & 1) !== 0;
  const page = command.cdb[2];
  const allocation = command.view.getUint16(3);
  if (!evpd) {
    if (page !== 0) {
      command.fail(invalidCdbField(2));
      return;
    }
    command.answer(standardInquiry(unit), allocation);
    return;
  }
  const data = unit === undefined ? undefined : vitalProductData(unit, page);
  if (data === undefined) {
    command.fail(invalidCdbField(2));
    return;
  }
  command.answer(data, allocation);
}

/** SPC-4 section 6.37: the pending unit attention, which counts as reported, else what the unit is busy with. */
export function requestSense(command: Command, nexus: Nexus): void {
  const descriptor = (command.cdb[1] & 1) !== 0;
  const { unit } = nexus;
  const sense =
    unit === undefined
      ? Senses.LunNotSupported
      : (nexus.attentions.shift() ?? unit.reach?.sense ?? unit.refusal?.sense() ?? Senses.None);
  command.answer(formatSense(sense, descriptor), command.cdb[4]);
}

/** SPC-4 section 6.33; any LUN answers it. */
export function reportLuns(command: Command, host: UnitHost): void {
  const select = command.cdb[2];
  const allocation = command.view.getUint32(6);
  if (allocation < 16) {
    command.fail(invalidCdbField(6));
    return;
  }
  if (select > 2) {
    command.fail(invalidCdbField(2));
    return;
  }
  // 01h asks for well-known units only: there are none.
  const luns = select === 1 ? [] : host.luns();
  const bytes = new Uint8Array(8 + 8 * luns.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 8 * luns.length);
  luns.forEach((lun, index) => {
    view.setUint16(8 + 8 * index, lun < 256 ? lun : 0x4000 | lun);
  });
  command.answer(bytes, allocation);
}

const ALL_PAGES = 0x3f;
const ALL_SUBPAGES = 0xff;

/** Mode pages by number: SBC-3 section 6.5 caching and SPC-4 section 7.5.8 control. */
function modePages(unit: LogicalUnit, changeable: boolean): ReadonlyMap<number, Uint8Array> {
  const caching = new Uint8Array(20);
  caching.set([0x08, 18]);
  // WCE
  if (!changeable && unit.device.volatileCache === true) caching[2] = 0x04;
  const control = new Uint8Array(12);
  control.set([0x0a, 10]);
  if (changeable) {
    control[2] = 0x04;
    control[4] = 0x08;
  } else {
    control[2] = 0x20 | (unit.dSense ? 0x04 : 0); // TST: a task set for each nexus
    control[3] = 0x10; // unrestricted reordering
    control[4] = unit.swp ? 0x08 : 0;
    control[5] = 0x40; // TAS
  }
  return new Map([
    [0x08, caching],
    [0x0a, control],
  ]);
}

export function modeSense(command: Command, unit: LogicalUnit): void {
  const long = command.cdb[0] === 0x5a;
  const page = command.cdb[2] & 0x3f;
  const subpage = command.cdb[3];
  const control = command.cdb[2] >> 6;
  const allocation = long ? command.view.getUint16(7) : command.cdb[4];
  if (control === 3) {
    command.fail(Senses.SavingNotSupported);
    return;
  }
  if (subpage !== 0 && subpage !== ALL_SUBPAGES) {
    command.fail(invalidCdbField(3));
    return;
  }
  const pages = modePages(unit, control === 1);
  const wanted = page === ALL_PAGES ? [...pages.values()] : [pages.get(page)];
  const found = wanted.filter((one) => one !== undefined);
  if (found.length === 0) {
    command.fail(invalidCdbField(2));
    return;
  }

  const withDescriptor = (command.cdb[1] & 0x08) === 0;
  const longLba = long && (command.cdb[1] & 0x10) !== 0;
  const descriptor = withDescriptor ? blockDescriptor(unit, longLba) : new Uint8Array(0);
  const headerBytes = long ? 8 : 4;
  const bytes = new Uint8Array(headerBytes + descriptor.length + found.reduce((sum, one) => sum + one.length, 0));
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
  bytes.set(descriptor, headerBytes);
  let at = headerBytes + descriptor.length;
  for (const one of found) {
    bytes.set(one, at);
    at += one.length;
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

/** D_SENSE and SWP of the control page can be set; they last until the target restarts. */
export function modeSelect(command: Command, changed: (unit: LogicalUnit) => void): void {
  const long = command.cdb[0] === 0x55;
  const length = long ? command.view.getUint16(7) : command.cdb[4];
  if ((command.cdb[1] & 0x10) === 0 || (command.cdb[1] & 0x01) !== 0) {
    command.fail(invalidCdbField(1));
    return;
  }
  if (length === 0) return;
  command.collect(length, (unit, _, data) => {
    applyModes(unit, data, long);
    changed(unit);
    return undefined;
  });
}

function applyModes(unit: LogicalUnit, data: Uint8Array, long: boolean): void {
  const headerBytes = long ? 8 : 4;
  if (data.length < headerBytes) throw new CheckCondition(Senses.ParameterListLength);
  const descriptorBytes = long ? (data[6] << 8) | data[7] : data[3];
  let at = headerBytes + descriptorBytes;
  let { dSense, swp } = unit;
  while (at < data.length) {
    if (at + 2 > data.length || at + 2 + data[at + 1] > data.length)
      throw new CheckCondition(Senses.ParameterListLength);
    const code = data[at] & 0x3f;
    const now = modePages(unit, false).get(code);
    const mask = modePages(unit, true).get(code);
    if (now === undefined || mask === undefined) throw new CheckCondition(invalidParameter(at));
    if (data[at + 1] !== now.length - 2) throw new CheckCondition(invalidParameter(at + 1));
    for (let byte = 2; byte < now.length; byte++) {
      if (((data[at + byte] ^ now[byte]) & ~mask[byte]) !== 0) throw new CheckCondition(invalidParameter(at + byte));
    }
    if (code === 0x0a) {
      dSense = (data[at + 2] & 0x04) !== 0;
      swp = (data[at + 4] & 0x08) !== 0;
    }
    at += now.length;
  }
  unit.dSense = dSense;
  unit.swp = swp;
}
