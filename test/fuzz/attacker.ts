/**
 * An initiator that logs in and speaks, mostly in sound PDUs of which some are changed, lost, sent twice, swapped or cut
 * off. It goes on from whatever the target answers, and holds each answer against what RFC 7143 asks of it.
 */

import { type Bench, build, Initiator, type Pdu, TARGET, text } from "../../src/iscsi/testing/initiator.ts";
import type { SeededRandom } from "../../src/platform/memory/seeded-random.ts";
import { COMMANDS } from "./command-seeds.ts";
import { mutate } from "./mutation.ts";

const HEADER_BYTES = 48;
const RESERVED_TAG = 0xffffffff;
/** Commands that a session may have in flight. */
const WINDOW_MAX = 128;
const LOGIN_KEYS = [
  "InitialR2T=No",
  "ImmediateData=No",
  "MaxRecvDataSegmentLength=512",
  "MaxBurstLength=1024",
  "FirstBurstLength=512",
  "MaxOutstandingR2T=4",
  "ErrorRecoveryLevel=2",
  "MaxConnections=4",
  "DefaultTime2Retain=0",
  "HeaderDigest=CRC32C,None",
  "iSCSIProtocolLevel=2",
  "TaskReporting=FastAbort,ResponseFence,RFC3720",
  "X-dev.antipode.fuzz=Yes",
];

const From = {
  NopIn: 0x20,
  ScsiResponse: 0x21,
  TaskManagement: 0x22,
  Login: 0x23,
  Text: 0x24,
  DataIn: 0x25,
  Logout: 0x26,
  R2T: 0x31,
  Async: 0x32,
  Reject: 0x3f,
} as const;
const KNOWN = new Set<number>(Object.values(From));

export class Attacker {
  readonly initiator: Initiator;
  readonly #random: SeededRandom;
  readonly #keys: readonly string[];
  #statSN: number | undefined;
  /** R2Ts that were not answered yet. */
  readonly #asked: Pdu[] = [];

  constructor(world: Bench, random: SeededRandom, name: string, isid: number) {
    this.#random = random;
    this.initiator = new Initiator(world, { name, isid });
    this.#keys = LOGIN_KEYS.filter(() => random.chance(0.2));
  }

  get open(): boolean {
    return this.initiator.transport.closed === "no";
  }

  /** @returns how many PDUs were sent */
  async login(): Promise<number> {
    const random = this.#random;
    const { name, isid } = this.initiator.port;
    const pdu = build(0x03, {
      immediate: true,
      flags: 0x87,
      words: { 8: isid, 24: this.initiator.cmdSN },
      data: text(`InitiatorName=${name}`, `TargetName=${TARGET}`, "SessionType=Normal", ...this.#keys),
    });
    if (random.chance(0.2)) this.#change(pdu);
    return this.#send([pdu]);
  }

  /** Says a few things. @returns how many PDUs were sent */
  async speak(): Promise<number> {
    const random = this.#random;
    const pdus: Uint8Array[] = [];
    for (let left = 1 + random.below(6); left > 0; left--) pdus.push(...this.#sound());
    for (const pdu of pdus) if (random.chance(0.3)) this.#change(pdu);
    this.#disturb(pdus);
    return this.#send(pdus);
  }

  /** PDUs as they should be. */
  #sound(): Uint8Array[] {
    const random = this.#random;
    const { initiator } = this;
    const words = { 24: initiator.cmdSN };
    const itt = initiator.itt++;
    switch (random.below(12)) {
      case 0:
        return [
          build(0x00, {
            itt,
            immediate: random.chance(0.5),
            words: { ...words, 20: RESERVED_TAG },
            data: this.#data(64),
          }),
        ];
      case 1: {
        const flags = 0x80 | (1 + random.below(14));
        const words1 = { ...words, 20: itt - random.below(4), 32: initiator.cmdSN - random.below(4) };
        return [build(0x02, { itt, immediate: random.chance(0.7), flags, words: words1 })];
      }
      case 2:
        return [
          build(0x04, {
            itt,
            words: { ...words, 20: RESERVED_TAG },
            data: text(random.pick(["SendTargets=", "MaxRecvDataSegmentLength=512", "MaxRecvDataSegmentLength=1536"])),
          }),
        ];
      case 3: {
        // Of something that was sent lately; the Target Transfer Tag of a DataACK is the task's.
        const task = itt - 1 - random.below(4);
        const [begin, count] = random.chance(0.5) ? [0, 0] : [random.below(4), random.below(4)];
        const type = random.below(4);
        return [
          build(0x10, {
            itt: type === 0 || type === 3 ? task : RESERVED_TAG,
            flags: 0x80 | type,
            words: { 20: type < 2 ? RESERVED_TAG : task, 24: 0, 40: begin, 44: count },
          }),
        ];
      }
      case 4:
        if (random.chance(0.9)) return this.#answers();
        return [build(0x06, { itt, immediate: random.chance(0.5), flags: 0x80 | random.below(3), words })];
      case 5:
      case 6:
        return this.#answers();
      default:
        return this.#command();
    }
  }

  #command(): Uint8Array[] {
    const random = this.#random;
    const { initiator } = this;
    const { cdb, read, write } = random.pick(COMMANDS);
    if (write === undefined) return [initiator.command(cdb, { read, attribute: random.below(4) })];
    const data = typeof write === "number" ? this.#data(write) : Uint8Array.from(write);
    const itt = initiator.itt;
    switch (random.below(3)) {
      case 0:
        return [initiator.command(cdb, { write: data.length, data })];
      case 1: {
        const half = data.length >> 1;
        return [
          initiator.command(cdb, { write: data.length, data: data.subarray(0, half), more: true }),
          initiator.dataOut(itt, RESERVED_TAG, 0, half, data.subarray(half), true),
        ];
      }
      default:
        return [initiator.command(cdb, { write: data.length })];
    }
  }

  /** What R2Ts asked for. */
  #answers(): Uint8Array[] {
    return this.#asked.splice(0, 4).map(({ header }) => {
      const [itt, ttt, offset, length] = [16, 20, 40, 44].map((at) => header.getUint32(at));
      return this.initiator.dataOut(itt, ttt, 0, offset, this.#data(length), true);
    });
  }

  #data(length: number): Uint8Array {
    const data = new Uint8Array(length);
    this.#random.fill(data);
    return data;
  }

  #change(pdu: Uint8Array): void {
    const random = this.#random;
    const within = random.chance(0.8) ? pdu.subarray(0, HEADER_BYTES) : pdu;
    mutate(random, within, 3);
    // Most lengths that are wrong end the stream, so that little would be seen of the rest.
    if (random.chance(0.9)) new DataView(pdu.buffer, pdu.byteOffset).setUint32(4, dataBytes(pdu));
  }

  #disturb(pdus: Uint8Array[]): void {
    const random = this.#random;
    const at = random.below(pdus.length + 1);
    switch (random.below(20)) {
      case 0:
        pdus.splice(at, 1);
        return;
      case 1:
        pdus.splice(at, 0, ...pdus.slice(at, at + 1));
        return;
      case 2:
        pdus.reverse();
        return;
      case 3: {
        const last = pdus.pop();
        if (last !== undefined) pdus.push(last.subarray(0, random.below(last.length)));
      }
    }
  }

  /** In parts that end anywhere. */
  async #send(pdus: readonly Uint8Array[]): Promise<number> {
    const random = this.#random;
    const bytes = Buffer.concat(pdus);
    const part = random.chance(0.7) ? bytes.length : 1 + random.below(300);
    for (let at = 0; at < bytes.length && this.open; at += part) {
      await this.initiator.send(bytes.subarray(at, at + part));
    }
    for (const reply of this.initiator.receive()) this.#check(reply);
    return pdus.length;
  }

  #check(reply: Pdu): void {
    const { opcode, flags, header } = reply;
    if (!KNOWN.has(opcode)) throw new Error(`a PDU of opcode ${opcode} came`);
    if (opcode === From.R2T) this.#asked.push(reply);
    const [statSN, expCmdSN, maxCmdSN] = [24, 28, 32].map((at) => header.getUint32(at));
    if (opcode === From.Login && header.getUint8(36) !== 0) return;
    if ((maxCmdSN - expCmdSN + 1) >>> 0 > WINDOW_MAX) throw new Error(`a window of ${expCmdSN} to ${maxCmdSN}`);
    // Whatever became of its numbers on the way, what it says next should be taken.
    this.initiator.cmdSN = expCmdSN;
    const hasStatus = opcode !== From.DataIn || (flags & 0x01) !== 0;
    // What is sent again has its old number.
    if (!hasStatus || this.#keys.includes("ErrorRecoveryLevel=2")) return;
    if (this.#statSN !== undefined && statSN !== this.#statSN) {
      throw new Error(`StatSN ${statSN} of opcode ${opcode} where ${this.#statSN} is due`);
    }
    const advances = opcode !== From.R2T && !(opcode === From.NopIn && header.getUint32(16) === RESERVED_TAG);
    this.#statSN = advances ? (statSN + 1) >>> 0 : statSN;
  }
}

/** Of a PDU without digests or AHS, padding included. */
function dataBytes(pdu: Uint8Array): number {
  return pdu.length - HEADER_BYTES;
}
