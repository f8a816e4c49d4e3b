/**
 * TransportIDs of iSCSI, SPC-4 section 7.6.4.6: an initiator port (format 01b, name and ISID), or every known port of an
 * initiator (format 00b, its name alone). The text in the first is the SCSI name of the port as it stands.
 */

import { CheckCondition, invalidParameter } from "./sense.ts";

const HEADER_BYTES = 4;
/** Shorter ones are padded with zeros. */
const TEXT_BYTES_MIN = 20;
const ISCSI = 0x05;
const PORT_FORMAT = 0x40;
/** RFC 7143 section 4.2.7.1. */
const NAME_BYTES_MAX = 223;
const PORT = /^(.+),i,0x([0-9a-f]{1,12})$/i;

/** Of whatever name: what was registered once has to be known again. */
const NEXUS = /^.+,i,0x[0-9a-f]{12},t,0x[0-9a-f]{4}$/s;

/** The SCSI name of an iSCSI initiator port. */
export function portName(initiatorName: string, isid: number): string {
  return `${initiatorName},i,0x${isid.toString(16).padStart(12, "0")}`;
}

/** An I_T nexus: the SCSI name of its initiator port, and its target port as the end of a target port's name has it. */
export function nexusName(initiatorPort: string, targetPort: number): string {
  return `${initiatorPort},t,0x${targetPort.toString(16).padStart(4, "0")}`;
}

export function isNexusName(name: string): boolean {
  return NEXUS.test(name);
}

export function initiatorPortOf(nexus: string): string {
  return nexus.slice(0, nexus.lastIndexOf(",t,0x"));
}

/** Its relative target port identifier. */
export function targetPortOf(nexus: string): number {
  return Number.parseInt(nexus.slice(nexus.lastIndexOf("0x") + 2), 16);
}

/** Whose an initiator port is, or a nexus of one. */
export function initiatorNameOf(portOrNexus: string): string {
  return portOrNexus.slice(0, portOrNexus.lastIndexOf(",i,0x"));
}

export function formatTransportId(port: string): Uint8Array {
  const text = new TextEncoder().encode(port);
  const room = Math.max(TEXT_BYTES_MIN, (text.length + 1 + 3) & ~3);
  const bytes = new Uint8Array(HEADER_BYTES + room);
  bytes[0] = PORT_FORMAT | ISCSI;
  new DataView(bytes.buffer).setUint16(2, room);
  bytes.set(text, HEADER_BYTES);
  return bytes;
}

export type TransportId = { readonly port: string } | { readonly initiatorName: string };

/** Reads the TransportID at `at` of a parameter list. @returns it, and where it ends */
export function parseTransportId(data: Uint8Array, at: number): { readonly id: TransportId; readonly end: number } {
  if (at + HEADER_BYTES > data.length) throw new CheckCondition(invalidParameter(at));
  const format = data[at] & 0xc0;
  if ((data[at] & 0x0f) !== ISCSI || (format !== 0 && format !== PORT_FORMAT)) {
    throw new CheckCondition(invalidParameter(at));
  }
  const room = (data[at + 2] << 8) | data[at + 3];
  const end = at + HEADER_BYTES + room;
  if (room < TEXT_BYTES_MIN || room % 4 !== 0 || end > data.length) throw new CheckCondition(invalidParameter(at + 2));
  const text = data.subarray(at + HEADER_BYTES, end);
  const length = text.indexOf(0);
  const name = new TextDecoder().decode(text.subarray(0, Math.max(length, 0)));
  const match = PORT.exec(name);
  const initiatorName = format === 0 ? name : (match?.[1] ?? "");
  if (!isName(initiatorName)) throw new CheckCondition(invalidParameter(at + HEADER_BYTES));
  if (format === 0) return { id: { initiatorName }, end };
  return { id: { port: portName(initiatorName, Number.parseInt(match?.[2] ?? "0", 16)) }, end };
}

function isName(name: string): boolean {
  return name.length > 0 && name.length <= NAME_BYTES_MAX && /^[^\p{C}\p{Z},\ufffd]+$/u.test(name);
}
