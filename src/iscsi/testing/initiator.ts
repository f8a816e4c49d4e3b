/** A scripted initiator: builds PDUs byte by byte, apart from the target's own encoders, and reads the replies. */

import { concat } from "../concat.ts";
import type { TargetConnection } from "../connection.ts";
import type { Crc32c } from "../interfaces.ts";
import type { Portal } from "../portal.ts";
import { type ServerOptions, type Target, TargetServer, type TargetSpec } from "../target.ts";
import { CountingMemory, FakeTransport, fixedRandom, ManualTimers, RamDevice } from "./world.ts";

export interface Pdu {
  readonly opcode: number;
  readonly flags: number;
  readonly header: DataView;
  readonly data: Uint8Array;
}

export { concat };

export const TARGET = "iqn.2026-11.dev.antipode:test";
/** Initiator task tags of task management functions begin here: no test has as many commands. */
const MANAGEMENT_TAG = 5000;
export const INITIATOR = "iqn.2026-11.dev.antipode:initiator";

export interface BuildOptions {
  readonly flags?: number;
  readonly itt?: number;
  readonly immediate?: boolean;
  readonly words?: Readonly<Record<number, number>>;
  readonly bytes?: Readonly<Record<number, readonly number[]>>;
  readonly data?: Uint8Array;
  readonly crc?: { readonly header?: Crc32c; readonly data?: Crc32c };
}

/** A PDU: `words` are 32-bit big-endian numbers by offset. */
export function build(opcode: number, options: BuildOptions = {}): Uint8Array {
  const data = options.data ?? new Uint8Array(0);
  const header = new Uint8Array(48);
  const view = new DataView(header.buffer);
  header[0] = opcode | (options.immediate ? 0x40 : 0);
  header[1] = options.flags ?? 0x80;
  view.setUint32(4, data.length);
  view.setUint32(16, options.itt ?? 1);
  for (const [at, value] of Object.entries(options.words ?? {})) view.setUint32(Number(at), value >>> 0);
  for (const [at, value] of Object.entries(options.bytes ?? {})) header.set(value, Number(at));
  const parts: Uint8Array[] = [header];
  const digest = (crc: Crc32c, bytes: Uint8Array) => {
    const four = new Uint8Array(4);
    new DataView(four.buffer).setUint32(0, crc(bytes), true);
    return four;
  };
  if (options.crc?.header) parts.push(digest(options.crc.header, header));
  if (data.length > 0) {
    const padded = new Uint8Array((data.length + 3) & ~3);
    padded.set(data);
    parts.push(padded);
    if (options.crc?.data) parts.push(digest(options.crc.data, padded));
  }
  return concat(...parts);
}

export function text(...pairs: readonly string[]): Uint8Array {
  return new TextEncoder().encode(pairs.map((pair) => `${pair}\0`).join(""));
}

export interface Bench {
  readonly timers: ManualTimers;
  readonly memory: CountingMemory;
  readonly device: RamDevice;
  readonly server: TargetServer;
  readonly target: Target;
  readonly events: string[];
}

export function bench(
  options: Partial<ServerOptions> & { target?: Partial<TargetSpec>; device?: RamDevice } = {},
): Bench {
  const timers = new ManualTimers();
  const memory = new CountingMemory();
  const device = options.device ?? new RamDevice(65536);
  const events: string[] = [];
  const server = new TargetServer({
    network: { listen: () => Promise.reject(new Error("tests accept connections by hand")) },
    timers,
    memory,
    random: fixedRandom,
    onEvent: (event) => events.push("why" in event ? `${event.type}: ${event.why}` : event.type),
    ...options,
  });
  const identity = { vendor: "ANTIPODE", product: "TEST", revision: "1", serial: "s-1", naa: 0x3000000000000001n };
  const target = server.addTarget({ name: TARGET, luns: [{ lun: 0, device, identity }], ...options.target });
  return { timers, memory, device, server, target, events };
}

export class Initiator {
  readonly transport = new FakeTransport();
  readonly connection: TargetConnection;
  readonly #bench: Bench;
  crc: Crc32c | undefined;
  /** Shared by the connections of a session. */
  #numbers = { cmdSN: 1, itt: 1 };
  cid = 0;
  /** Of the session that a login is to join, or that it has opened. */
  tsih = 0;
  #unread = new Uint8Array(0);

  /**
   * @param port the initiator's name, and the first four bytes of its ISID, of which the others are 0
   * @param portal where it comes in
   */
  constructor(
    to: Bench,
    public port: { readonly name: string; readonly isid: number } = { name: INITIATOR, isid: 0x80123456 },
    readonly portal?: Portal,
  ) {
    this.#bench = to;
    this.connection = to.server.accept(this.transport, portal);
  }

  get cmdSN(): number {
    return this.#numbers.cmdSN;
  }

  set cmdSN(cmdSN: number) {
    this.#numbers.cmdSN = cmdSN;
  }

  get itt(): number {
    return this.#numbers.itt;
  }

  set itt(itt: number) {
    this.#numbers.itt = itt;
  }

  /** One more connection of this session, which has not logged in yet. */
  beside(cid: number): Initiator {
    const other = new Initiator(this.#bench, this.port, this.portal);
    other.#numbers = this.#numbers;
    other.cid = cid;
    other.tsih = this.tsih;
    return other;
  }

  /** Sends bytes in one data event, as a transport would: in a buffer of their own. */
  async send(...parts: readonly Uint8Array[]): Promise<void> {
    this.connection.onData(concat(...parts));
    await this.#bench.timers.turn();
  }

  /** Gives the target time, until nothing is left to do at once. */
  async wait(): Promise<void> {
    await this.#bench.timers.turn();
  }

  /** All PDUs that have come whole. */
  receive(): Pdu[] {
    const fresh = this.transport.take();
    if (fresh.length > 0) this.#unread = new Uint8Array(concat(this.#unread, fresh));
    const pdus: Pdu[] = [];
    for (;;) {
      if (this.#unread.length < 48) return pdus;
      const header = new DataView(this.#unread.slice(0, 48).buffer);
      const length = header.getUint32(4) & 0xffffff;
      const digest = this.crc === undefined ? 0 : 4;
      const dataAt = 48 + digest;
      const total = dataAt + ((length + 3) & ~3) + (length > 0 ? digest : 0);
      if (this.#unread.length < total) return pdus;
      const data = this.#unread.slice(dataAt, dataAt + length);
      if (this.crc !== undefined) {
        const view = new DataView(this.#unread.buffer, this.#unread.byteOffset);
        if (view.getUint32(48, true) !== this.crc(this.#unread.subarray(0, 48))) throw new Error("header digest");
        if (length > 0 && view.getUint32(total - 4, true) !== this.crc(this.#unread.subarray(dataAt, total - 4))) {
          throw new Error("data digest");
        }
      }
      pdus.push({ opcode: this.#unread[0] & 0x3f, flags: this.#unread[1], header, data });
      this.#unread = this.#unread.subarray(total);
    }
  }

  /** Goes on with what the transport could not take before. */
  async drain(): Promise<Pdu[]> {
    const pdus = this.receive();
    this.connection.onDrain();
    await this.#bench.timers.turn();
    return pdus;
  }

  /** A login in one step. @returns the reply */
  async login(...keys: readonly string[]): Promise<Pdu> {
    await this.send(
      build(0x03, {
        immediate: true,
        flags: 0x87,
        words: { 8: this.port.isid, 12: this.tsih, 20: this.cid << 16, 24: this.cmdSN },
        data: text(`InitiatorName=${this.port.name}`, `TargetName=${TARGET}`, "SessionType=Normal", ...keys),
      }),
    );
    const [reply] = this.receive();
    if (reply?.header.getUint16(36) === 0) this.tsih = reply.header.getUint16(14);
    return reply;
  }

  /** A SCSI command; the first one on a LUN finds a unit attention. */
  command(
    cdb: readonly number[],
    options: {
      read?: number;
      write?: number;
      data?: Uint8Array;
      more?: boolean;
      lun?: number;
      attribute?: number;
    } = {},
  ): Uint8Array {
    const flags =
      (options.more ? 0 : 0x80) |
      (options.read === undefined ? 0 : 0x40) |
      (options.write === undefined ? 0 : 0x20) |
      (options.attribute ?? 1);
    return build(0x01, {
      flags,
      itt: this.itt++,
      words: { 8: ((options.lun ?? 0) << 16) >>> 0, 20: options.read ?? options.write ?? 0, 24: this.cmdSN++ },
      bytes: { 32: cdb },
      data: options.data,
      crc: { header: this.crc, data: this.crc },
    });
  }

  /** A task management function for immediate delivery, on no task in particular. @param words as `build` has them */
  management(code: number, words: Readonly<Record<number, number>> = {}): Uint8Array {
    return build(0x02, {
      immediate: true,
      flags: 0x80 | code,
      itt: MANAGEMENT_TAG + code,
      words: { 20: 0xffffffff, 24: this.cmdSN, ...words },
      crc: { header: this.crc },
    });
  }

  dataOut(itt: number, ttt: number, dataSN: number, offset: number, data: Uint8Array, final: boolean): Uint8Array {
    return build(0x05, {
      flags: final ? 0x80 : 0,
      itt,
      words: { 20: ttt, 36: dataSN, 40: offset },
      data,
      crc: { header: this.crc, data: this.crc },
    });
  }

  /** A session whose unit attention is out of the way. */
  async ready(...keys: readonly string[]): Promise<this> {
    await this.login(...keys);
    await this.send(this.command([0, 0, 0, 0, 0, 0]));
    this.receive();
    return this;
  }
}

const be32 = (value: number): readonly number[] => [
  value >>> 24,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];

export const read10 = (lba: number, blocks: number): readonly number[] => [
  0x28,
  0,
  ...be32(lba),
  0,
  blocks >> 8,
  blocks & 255,
  0,
];
export const write10 = (lba: number, blocks: number, flags = 0): readonly number[] => [
  0x2a,
  flags,
  ...be32(lba),
  0,
  blocks >> 8,
  blocks & 255,
  0,
];

/** Whether two buffers hold the same bytes; quicker for large ones than a deep comparison. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Bytes that tell their place. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 7 + (at >> 8) * 13 + seed) & 255);
}

export const opcodes = (pdus: readonly Pdu[]) => pdus.map(({ opcode }) => opcode);

/** The opcode and the response of each. */
export const responses = (pdus: readonly Pdu[]) => pdus.map(({ opcode, header }) => [opcode, header.getUint8(2)]);
