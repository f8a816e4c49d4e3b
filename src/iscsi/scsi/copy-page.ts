/** The third-party copy VPD page, SPC-4 section 7.8.17: which copies a unit carries out. */

import { concat } from "../concat.ts";
import {
  COPIES_MAX,
  COPY_CSCDS_MAX,
  COPY_LIST_BYTES_MAX,
  COPY_SEGMENT_BYTES_MAX,
  COPY_SEGMENTS_MAX,
} from "../limits.ts";
import { COPY_COMMANDS } from "./copy-commands.ts";
import { DESCRIPTOR_TYPES } from "./copy-list.ts";

const Descriptor = {
  SupportedCommands: 0x0001,
  ParameterData: 0x0004,
  SupportedDescriptors: 0x0008,
  SupportedCscdIds: 0x000c,
  GeneralCopyOperations: 0x8001,
} as const;

/** The unit that the command was sent to. */
const OWN_CSCD = [0xff, 0xff] as const;

export function thirdPartyCopy(): Uint8Array {
  return concat(
    descriptor(Descriptor.SupportedCommands, counted(supportedCommands())),
    descriptor(Descriptor.ParameterData, parameterData()),
    descriptor(Descriptor.SupportedDescriptors, counted(DESCRIPTOR_TYPES)),
    descriptor(Descriptor.SupportedCscdIds, [0, OWN_CSCD.length, ...OWN_CSCD]),
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

function generalCopyOperations(): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, COPIES_MAX);
  view.setUint32(4, COPIES_MAX);
  view.setUint32(8, COPY_SEGMENT_BYTES_MAX);
  return bytes;
}
