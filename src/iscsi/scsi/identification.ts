/**
 * Who a unit is and how it is reached: the device identification and SCSI ports VPD pages, SPC-4 section 7.8.
 *
 * Invariant: what names the unit is the same through every port and at every server of the target.
 */

import { concat } from "../concat.ts";
import type { PortGroups } from "./port-groups.ts";
import type { LogicalUnit } from "./unit.ts";

const CodeSet = { Binary: 1, Ascii: 2, Utf8: 3 } as const;
const Association = { LogicalUnit: 0x00, TargetPort: 0x10, TargetDevice: 0x20 } as const;
const Designator = { T10Vendor: 1, Naa: 3, RelativePort: 4, PortGroup: 5, ScsiName: 8 } as const;

/** PROTOCOL IDENTIFIER of iSCSI, and PIV, which says that it is there. */
const ISCSI = 0x50;
const PIV = 0x80;
/** More of a serial number is not reported. */
export const SERIAL_BYTES_MAX = 64;

/**
 * Of the unit an NAA and a T10 vendor designator, by which multipath drivers and hypervisors tell LUNs; of the port that
 * the command came through its numbers and its name; and the target's name.
 */
export function deviceIdentification(unit: LogicalUnit, port: number): Uint8Array {
  const { portGroups } = unit.host;
  return concat(...unitDesignators(unit), ...portDesignators(portGroups, port), targetName(portGroups));
}

/** The part of device identification that does not need a unit. */
export function targetIdentification(portGroups: PortGroups, port: number): Uint8Array {
  return concat(...portDesignators(portGroups, port), targetName(portGroups));
}

/** All ports of the target, those of other servers too. */
export function scsiPorts(unit: LogicalUnit): Uint8Array {
  const { portGroups } = unit.host;
  const ports = portGroups.groups.flatMap(({ ports }) => ports).sort((a, b) => a - b);
  return concat(
    ...ports.map((port) => {
      const name = portName(portGroups, port);
      const bytes = new Uint8Array(12 + name.length);
      const view = new DataView(bytes.buffer);
      view.setUint16(2, port);
      view.setUint16(10, name.length);
      bytes.set(name, 12);
      return bytes;
    }),
  );
}

/** Whether a designator as in device identification is one of the unit's. */
export function isDesignatedBy(unit: LogicalUnit, wanted: Uint8Array): boolean {
  return unitDesignators(unit).some(
    (one) => one.length === wanted.length && one.every((byte, at) => byte === wanted[at]),
  );
}

function unitDesignators({ identity }: LogicalUnit): readonly Uint8Array[] {
  const t10 = new Uint8Array(8 + Math.min(identity.serial.length, SERIAL_BYTES_MAX));
  ascii(t10, 0, 8, identity.vendor);
  ascii(t10, 8, t10.length - 8, identity.serial);
  return [
    designator(CodeSet.Binary, Association.LogicalUnit | Designator.Naa, naaBytes(identity.naa)),
    designator(CodeSet.Ascii, Association.LogicalUnit | Designator.T10Vendor, t10),
  ];
}

function portDesignators(portGroups: PortGroups, port: number): readonly Uint8Array[] {
  return [
    designator(ISCSI | CodeSet.Binary, PIV | Association.TargetPort | Designator.RelativePort, word(port)),
    designator(
      ISCSI | CodeSet.Binary,
      PIV | Association.TargetPort | Designator.PortGroup,
      word(portGroups.groupOf(port).id),
    ),
    portName(portGroups, port),
  ];
}

/** A designator of the target by its name. */
export function targetName(portGroups: PortGroups): Uint8Array {
  const name = nameBytes(portGroups.targetName);
  return designator(ISCSI | CodeSet.Utf8, PIV | Association.TargetDevice | Designator.ScsiName, name);
}

/** The unit as an identification CSCD descriptor (E4h) has it. */
export function naaCscd(unit: LogicalUnit): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0xe4;
  bytes.set(unitDesignators(unit)[0], 4);
  view.setUint32(28, unit.blockSize);
  return bytes;
}

function portName(portGroups: PortGroups, port: number): Uint8Array {
  const name = nameBytes(portGroups.portName(port));
  return designator(ISCSI | CodeSet.Utf8, PIV | Association.TargetPort | Designator.ScsiName, name);
}

/** @param kind PIV, ASSOCIATION and DESIGNATOR TYPE */
function designator(codeSet: number, kind: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + value.length);
  bytes.set([codeSet, kind, 0, value.length]);
  bytes.set(value, 4);
  return bytes;
}

/** In the last two of four bytes. */
function word(value: number): Uint8Array {
  return new Uint8Array([0, 0, value >> 8, value & 0xff]);
}

/** A SCSI name string: ends with a zero, and is padded with more of them to a multiple of 4. */
function nameBytes(name: string): Uint8Array {
  const text = new TextEncoder().encode(name);
  const bytes = new Uint8Array((text.length + 1 + 3) & ~3);
  bytes.set(text);
  return bytes;
}

export function naaBytes(naa: bigint | Uint8Array): Uint8Array {
  if (typeof naa !== "bigint") {
    if (naa.length !== 8 && naa.length !== 16) throw new RangeError(`an NAA of ${naa.length} bytes`);
    return naa;
  }
  const wide = naa >> 64n !== 0n;
  const bytes = new Uint8Array(wide ? 16 : 8);
  const view = new DataView(bytes.buffer);
  if (wide) view.setBigUint64(0, BigInt.asUintN(64, naa >> 64n));
  view.setBigUint64(bytes.length - 8, BigInt.asUintN(64, naa));
  return bytes;
}

/** Left-aligned, padded with spaces; what is not printable ASCII becomes a space. */
export function ascii(bytes: Uint8Array, at: number, width: number, text: string): void {
  for (let index = 0; index < width; index++) {
    const code = index < text.length ? text.charCodeAt(index) : 0x20;
    bytes[at + index] = code >= 0x20 && code < 0x7f ? code : 0x20;
  }
}
