/** The third-party copy VPD page, SPC-4 section 7.8: which copies a unit carries out. */

import { concat } from "../concat.ts";
import {
  COPIES_OF_HOST_MAX,
  COPY_CSCDS_MAX,
  COPY_LIST_BYTES_MAX,
  COPY_SEGMENT_BYTES_MAX,
  COPY_SEGMENTS_MAX,
  PIECE_BYTES_MAX,
  TOKEN_BYTES_MAX,
  TOKEN_RANGES_MAX,
  TOKEN_SECONDS,
  TOKEN_SECONDS_MAX,
} from "../limits.ts";
import { COPY_COMMANDS } from "./copy-commands.ts";
import { DESCRIPTOR_TYPES } from "./copy-list.ts";
import { RodType } from "./tokens.ts";
import type { LogicalUnit } from "./unit.ts";

const Descriptor = {
  BlockDeviceTokenLimits: 0x0000,
  SupportedCommands: 0x0001,
  ParameterData: 0x0004,
  SupportedDescriptors: 0x0008,
  SupportedCscdIds: 0x000c,
  TokenFeatures: 0x0106,
  TokenTypes: 0x0108,
  GeneralCopyOperations: 0x8001,
} as const;

/** The unit that the command was sent to. */
const OWN_CSCD = [0xff, 0xff] as const;

export function thirdPartyCopy(unit: LogicalUnit): Uint8Array {
  return concat(
    descriptor(Descriptor.BlockDeviceTokenLimits, tokenLimits(unit)),
    descriptor(Descriptor.SupportedCommands, counted(supportedCommands())),
    descriptor(Descriptor.ParameterData, parameterData()),
    descriptor(Descriptor.SupportedDescriptors, counted(DESCRIPTOR_TYPES)),
    descriptor(Descriptor.SupportedCscdIds, [0, OWN_CSCD.length, ...OWN_CSCD]),
    descriptor(Descriptor.TokenFeatures, tokenFeatures()),
    descriptor(Descriptor.TokenTypes, tokenTypes()),
    descriptor(Descriptor.GeneralCopyOperations, generalCopyOperations()),
  );
}

/** Padded to a multiple of 4 bytes. */
function descriptor(type: number, body: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array((4 + body.length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, type);
  view.setUint16(2, bytes.length - 4);
  bytes.set(body, 4);
  return bytes;
}

function counted(list: readonly number[]): readonly number[] {
  return [list.length, ...list];
}

/** Each opcode with the number of its service actions, and these. */
function supportedCommands(): readonly number[] {
  const opcodes = [...new Set(COPY_COMMANDS.map(([opcode]) => opcode))];
  return opcodes.flatMap((opcode) => {
    const actions = COPY_COMMANDS.filter(([other]) => other === opcode).map(([, one]) => one.serviceAction ?? 0);
    return [opcode, actions.length, ...actions];
  });
}

function parameterData(): Uint8Array {
  const bytes = new Uint8Array(28);
  const view = new DataView(bytes.buffer);
  view.setUint16(4, COPY_CSCDS_MAX);
  view.setUint16(6, COPY_SEGMENTS_MAX);
  view.setUint32(8, COPY_LIST_BYTES_MAX);
  return bytes;
}

/** The transfers in blocks. */
function tokenLimits({ blockSize }: LogicalUnit): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint16(6, TOKEN_RANGES_MAX);
  view.setUint32(8, TOKEN_SECONDS_MAX);
  view.setUint32(12, TOKEN_SECONDS);
  view.setBigUint64(16, BigInt(TOKEN_BYTES_MAX / blockSize));
  view.setBigUint64(24, BigInt(TOKEN_BYTES_MAX / blockSize));
  return bytes;
}

/** No tokens of other targets; there is no end to a token's life but by being unused, and by writes. */
function tokenFeatures(): Uint8Array {
  const blockFeatures = 48;
  const bytes = new Uint8Array(44 + blockFeatures);
  const view = new DataView(bytes.buffer);
  view.setUint32(12, 1); // MINIMUM TOKEN LIFETIME
  view.setUint32(16, 0xffffffff);
  view.setUint32(20, TOKEN_SECONDS_MAX);
  view.setUint16(42, blockFeatures);
  view.setUint16(46, blockFeatures - 4);
  view.setBigUint64(52, BigInt(TOKEN_BYTES_MAX));
  view.setBigUint64(60, BigInt(TOKEN_BYTES_MAX));
  view.setBigUint64(68, BigInt(TOKEN_BYTES_MAX));
  view.setBigUint64(76, BigInt(PIECE_BYTES_MAX));
  return bytes;
}

const TOKEN_TYPE_BYTES = 64;
/** A token of the type may be given to a host, and taken from one. */
const GIVEN = 0x01;
const TAKEN = 0x02;

function tokenTypes(): Uint8Array {
  const types = [
    [RodType.ChangeVulnerable, GIVEN | TAKEN],
    [RodType.BlockZero, TAKEN],
  ] as const;
  const bytes = new Uint8Array(4 + TOKEN_TYPE_BYTES * types.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(2, TOKEN_TYPE_BYTES * types.length);
  types.forEach(([type, flags], index) => {
    view.setUint32(4 + TOKEN_TYPE_BYTES * index, type);
    bytes[8 + TOKEN_TYPE_BYTES * index] = flags;
  });
  return bytes;
}

function generalCopyOperations(): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, COPIES_OF_HOST_MAX);
  view.setUint32(4, COPIES_OF_HOST_MAX);
  view.setUint32(8, COPY_SEGMENT_BYTES_MAX);
  return bytes;
}
