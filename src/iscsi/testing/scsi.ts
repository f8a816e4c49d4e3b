/** SCSI commands through the scripted initiator: a CDB in, its status, sense and data out. */

import { FIRST_BURST_BYTES_MAX, RECV_SEGMENT_BYTES_MAX } from "../limits.ts";
import { type Bench, bench, Initiator, type Pdu } from "./initiator.ts";
import { RamDevice } from "./world.ts";

const R2T = 0x31;
const TURNS_MAX = 1000;

export interface Outcome {
  readonly status: number;
  /** key/asc/ascq */
  readonly sense: string;
  readonly data: Uint8Array;
}

export type Run = (cdb: readonly number[], options?: Parameters<Initiator["command"]>[1]) => Promise<Outcome>;

/** An initiator that is logged in, and how it runs a command and reads its outcome. */
export async function host(device = new RamDevice(4096), options: Parameters<typeof bench>[0] = {}) {
  const world = bench({ device, ...options });
  const initiator = await new Initiator(world).ready();
  return { world, initiator, run: runOn(initiator), device };
}

/** One more initiator port of a world, its unit attentions out of the way. */
export async function another(world: Bench, isid = 0x80000002) {
  const initiator = await new Initiator(world, { name: "iqn.2026-11.dev.antipode:another", isid }).ready();
  return { initiator, run: runOn(initiator) };
}

/** Runs one command after another through an initiator. */
export function runOn(initiator: Initiator): Run {
  /** Sends what an R2T asks for. */
  const answer = async ({ header }: Pdu, data: Uint8Array): Promise<void> => {
    const [itt, ttt, start, length] = [16, 20, 40, 44].map((at) => header.getUint32(at));
    for (let at = 0, dataSN = 0; at < length; at += RECV_SEGMENT_BYTES_MAX, dataSN++) {
      const end = Math.min(length, at + RECV_SEGMENT_BYTES_MAX);
      const part = data.slice(start + at, start + end);
      await initiator.send(initiator.dataOut(itt, ttt, dataSN, start + at, part, end === length));
    }
  };
  return async (cdb, options = {}) => {
    const { data } = options;
    const asked = data !== undefined && data.length > FIRST_BURST_BYTES_MAX;
    await initiator.send(initiator.command(cdb, asked ? { ...options, data: undefined } : options));
    let pdu = initiator.receive()[0];
    // What needs many turns of the event loop, such as a copy.
    for (let turns = 0; pdu === undefined && turns < TURNS_MAX; turns++) {
      await initiator.wait();
      pdu = initiator.receive()[0];
    }
    while (asked && pdu.opcode === R2T) {
      await answer(pdu, data);
      pdu = initiator.receive()[0];
    }
    const failed = pdu.opcode === 0x21 && pdu.data.length > 0;
    const sense = pdu.data.subarray(2);
    const fixed = failed && (sense[0] & 0x7f) < 0x72;
    const at = fixed ? [2, 12, 13] : [1, 2, 3];
    return {
      status: pdu.header.getUint8(3),
      sense: failed ? at.map((one) => (sense[one] & (one === 2 && fixed ? 0x0f : 0xff)).toString(16)).join("/") : "",
      data: failed ? sense : pdu.data,
    };
  };
}

/** A CDB of 16 bytes with an LBA at 2 and a number of blocks at 10. */
export const cdb16 = (opcode: number, lba: number, blocks: number, flags = 0) => [
  opcode,
  flags,
  ...[0, 0, 0, 0].map((_, at) => (Math.floor(lba / 2 ** 32) >>> (24 - 8 * at)) & 255),
  ...[24, 16, 8, 0].map((shift) => (lba >>> shift) & 255),
  ...[24, 16, 8, 0].map((shift) => (blocks >>> shift) & 255),
  0,
  0,
];
