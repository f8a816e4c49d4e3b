/** INQUIRY data and vital product data pages: SPC-4 sections 6.6 and 7.8, SBC-3 section 6.6. */

import {
  PHYSICAL_BLOCK_BYTES,
  TRANSFER_BYTES_MAX,
  TRANSFER_BYTES_OPTIMAL,
  UNMAP_BLOCKS_MAX,
  UNMAP_DESCRIPTORS_MAX,
  WRITE_SAME_BYTES_MAX,
} from "../limits.ts";
import { atomicBlocksMax } from "./atomic.ts";
import { thirdPartyCopy } from "./copy-page.ts";
import { compareAndWriteBlocksMax } from "./exclusive.ts";
import { ascii, deviceIdentification, SERIAL_BYTES_MAX, scsiPorts } from "./identification.ts";
import type { PortGroups } from "./port-groups.ts";
import { isSanitizable } from "./sanitize.ts";
import type { Identity, LogicalUnit } from "./unit.ts";

const STANDARD_BYTES = 74;
/** SAM-5, SPC-4, SBC-3, iSCSI (no version claimed). */
const VERSION_DESCRIPTORS = [0x00a0, 0x0460, 0x04c0, 0x0960] as const;
/** Peripheral qualifier 011b, device type 1Fh: there can be no unit here. */
const NO_UNIT = 0x7f;
const NO_IDENTITY = { vendor: "ISCSI", product: "NO LOGICAL UNIT", revision: "0" };
const DIRECT_ACCESS = 0x00;

export function standardInquiry(unit: LogicalUnit | undefined): Uint8Array {
  if (unit === undefined) return standardData(NO_IDENTITY, NO_UNIT);
  const bytes = standardData(unit.identity, DIRECT_ACCESS);
  bytes[1] = unit.medium === undefined ? 0 : 0x80; // RMB
  bytes.set(reachFlags(unit.host.portGroups), 5);
  return bytes;
}

/** @param peripheral the peripheral qualifier and device type */
export function standardData(
  { vendor, product, revision }: Pick<Identity, "vendor" | "product" | "revision">,
  peripheral: number,
): Uint8Array {
  const bytes = new Uint8Array(STANDARD_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0] = peripheral;
  bytes[2] = 0x06; // SPC-4
  bytes[3] = 0x12; // HISUP, response data format 2
  bytes[4] = STANDARD_BYTES - 5;
  bytes[7] = 0x02; // CMDQUE
  ascii(bytes, 8, 8, vendor);
  ascii(bytes, 16, 16, product);
  ascii(bytes, 32, 4, revision);
  VERSION_DESCRIPTORS.forEach((version, index) => {
    view.setUint16(58 + 2 * index, version);
  });
  return bytes;
}

/** TPGS and 3PC, and MULTIP where the target has several ports. */
function reachFlags({ change, groups }: PortGroups): readonly number[] {
  const several = groups.length > 1 || groups[0].ports.length > 1;
  return [0x08 | (change === undefined ? 0x10 : 0x30), several ? 0x10 : 0];
}

const PAGES: ReadonlyMap<number, (unit: LogicalUnit, port: number) => Uint8Array> = new Map([
  [0x00, supportedPages],
  [0x80, unitSerialNumber],
  [0x83, deviceIdentification],
  [0x86, extendedInquiry],
  [0x87, modePagePolicy],
  [0x88, scsiPorts],
  [0x8f, thirdPartyCopy],
  [0xb0, blockLimits],
  [0xb1, blockDeviceCharacteristics],
  [0xb2, logicalBlockProvisioning],
]);

/**
 * @param port the target port that asks
 * @returns the page with its header, or `undefined` where there is no such page
 */
export function vitalProductData(unit: LogicalUnit, port: number, page: number): Uint8Array | undefined {
  const body = PAGES.get(page)?.(unit, port);
  return body && withPageHeader(DIRECT_ACCESS, page, body);
}

export function withPageHeader(peripheral: number, page: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + body.length);
  bytes[0] = peripheral;
  bytes[1] = page;
  new DataView(bytes.buffer).setUint16(2, body.length);
  bytes.set(body, 4);
  return bytes;
}

function supportedPages(): Uint8Array {
  return new Uint8Array([...PAGES.keys()].sort((a, b) => a - b));
}

function unitSerialNumber(unit: LogicalUnit): Uint8Array {
  const serial = unit.identity.serial.slice(0, SERIAL_BYTES_MAX);
  const bytes = new Uint8Array(serial.length);
  ascii(bytes, 0, serial.length, serial);
  return bytes;
}

function extendedInquiry({ device }: LogicalUnit): Uint8Array {
  const bytes = new Uint8Array(60);
  bytes[1] = 0x07; // HEADSUP, ORDSUP, SIMPSUP
  bytes[2] = device.volatileCache === true ? 0x01 : 0; // V_SUP
  bytes[3] = 0x01; // LUICLR: that LUNs have changed is told on one of them, for all
  return bytes;
}

/** All pages and subpages: shared by all nexuses. */
function modePagePolicy(): Uint8Array {
  return new Uint8Array([0x3f, 0xff, 0, 0]);
}

function blockLimits(unit: LogicalUnit): Uint8Array {
  const bytes = new Uint8Array(60);
  const view = new DataView(bytes.buffer);
  const perPhysical = PHYSICAL_BLOCK_BYTES / unit.blockSize;
  bytes[1] = compareAndWriteBlocksMax(unit);
  view.setUint16(2, perPhysical); // OPTIMAL TRANSFER LENGTH GRANULARITY
  view.setUint32(4, TRANSFER_BYTES_MAX / unit.blockSize);
  view.setUint32(8, TRANSFER_BYTES_OPTIMAL / unit.blockSize);
  view.setUint32(16, UNMAP_BLOCKS_MAX);
  view.setUint32(20, UNMAP_DESCRIPTORS_MAX);
  view.setUint32(24, perPhysical); // OPTIMAL UNMAP GRANULARITY
  view.setUint32(28, 0x80000000); // UGAVALID, aligned at block 0
  view.setUint32(36, WRITE_SAME_BYTES_MAX / unit.blockSize); // low half of MAXIMUM WRITE SAME LENGTH
  // No alignment, no granularity, and no boundary within a transfer.
  view.setUint32(40, atomicBlocksMax(unit));
  return bytes;
}

function blockDeviceCharacteristics(unit: LogicalUnit): Uint8Array {
  const bytes = new Uint8Array(60);
  bytes[1] = 0x01; // non-rotating medium
  if (isSanitizable(unit)) bytes[3] = 0x40; // WABEREQ: after a BLOCK ERASE, reads succeed
  return bytes;
}

function logicalBlockProvisioning(): Uint8Array {
  // LBPU, LBPWS, LBPWS10 and LBPRZ: unmapped blocks read as zeros; thin provisioned.
  return new Uint8Array([0, 0xe4, 0x02, 0]);
}
