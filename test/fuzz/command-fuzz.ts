/**
 * One initiator sends sound iSCSI PDUs with CDBs and parameter lists that are changed here and there. After each of them
 * the volume holds what a model of its own says, and what was read is what it held.
 */

import { type Bench, bench, build, Initiator } from "../../src/iscsi/testing/initiator.ts";
import { RamDevice } from "../../src/iscsi/testing/world.ts";
import { SeededRandom } from "../../src/platform/memory/seeded-random.ts";
import { COMMANDS, type CommandSeed } from "./command-seeds.ts";
import { mutate } from "./mutation.ts";
import { BLOCK_BYTES, VolumeModel } from "./volume-model.ts";

const VOLUME_BLOCKS = 256;
/** All of a command's data comes with it. */
const DATA_BYTES_MAX = 64 * 1024;
const LENGTHS = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 4096, DATA_BYTES_MAX];
const CDB_BYTES = 16;

const Opcode = { ScsiResponse: 0x21, DataIn: 0x25, Reject: 0x3f } as const;
const STATUS_IN_DATA = 0x01;
/** A SANITIZE of many passes takes some. */
const TURNS_MAX = 1000;

interface Sent {
  readonly cdb: Uint8Array;
  readonly lun: number;
  readonly writes: boolean;
  /** Of the right length, empty for one that does not write. */
  readonly data: Uint8Array;
  readonly expected: number;
}

interface Answer {
  readonly status: number;
  readonly data: Uint8Array;
}

export class CommandFuzz {
  /** Commands by their status; -1 for those that were rejected as PDUs. */
  readonly outcomes = new Map<number, number>();
  readonly #random: SeededRandom;
  readonly #device = new RamDevice(VOLUME_BLOCKS);
  readonly #model = new VolumeModel(VOLUME_BLOCKS);
  readonly #world: Bench;
  readonly #initiator: Initiator;

  constructor(readonly seed: string) {
    this.#random = new SeededRandom(seed);
    this.#device.overwritesInPlace = true;
    this.#device.atomicBlocksMax = 8;
    this.#device.cacheBytes = 8192;
    this.#world = bench({ device: this.#device });
    this.#initiator = new Initiator(this.#world);
  }

  /** Throws at the first thing that is wrong, and says how to see it again. */
  async run(commands: number): Promise<void> {
    await this.#initiator.ready();
    for (let sent = 0; sent < commands; sent++) {
      const command = this.#draw();
      try {
        await this.#step(command);
      } catch (error) {
        const cdb = Buffer.from(command.cdb).toString("hex");
        const what = error instanceof Error ? error.message : error;
        throw new Error(`seed ${this.seed}, command ${sent}, CDB ${cdb}: ${what}`, { cause: error });
      }
    }
    await this.#end();
  }

  #draw(): Sent {
    const random = this.#random;
    const seed = random.pick(COMMANDS);
    const cdb = new Uint8Array(CDB_BYTES);
    cdb.set(seed.cdb);
    if (random.chance(0.9)) mutate(random, cdb.subarray(0, seed.cdb.length), 3);
    else if (random.chance(0.1)) random.fill(cdb);
    const writes = random.chance(0.02) ? seed.write === undefined : seed.write !== undefined;
    const data = writes ? this.#data(seed) : NOTHING;
    const length = random.chance(0.1) ? random.pick(LENGTHS) : undefined;
    return {
      cdb,
      lun: random.chance(0.02) ? random.below(0x10000) : 0,
      writes,
      data: writes && length !== undefined ? resized(data, length) : data,
      expected: writes ? (length ?? data.length) : (length ?? seed.read ?? 0),
    };
  }

  #data({ write = 0 }: CommandSeed): Uint8Array {
    const random = this.#random;
    if (typeof write !== "number") {
      const list = Uint8Array.from(write);
      if (random.chance(0.5)) mutate(random, list, 2);
      return list;
    }
    // What is there already, so that it compares equal, or zeros, which may give blocks back, or anything.
    const from = random.below(VOLUME_BLOCKS) * BLOCK_BYTES;
    const data = resized(this.#model.bytes.subarray(from, from + write), write);
    if (random.chance(0.1)) data.fill(0);
    else if (random.chance(0.8)) random.fill(data);
    return data;
  }

  async #step(command: Sent): Promise<void> {
    const { cdb, lun, writes, data, expected } = command;
    const initiator = this.#initiator;
    const itt = initiator.itt++;
    await initiator.send(
      build(0x01, {
        flags: 0x81 | (writes ? 0x20 : 0x40),
        itt,
        words: { 8: lun << 16, 20: expected, 24: initiator.cmdSN++ },
        bytes: { 32: [...cdb] },
        data,
      }),
    );
    const { status, data: read } = await this.#answer(itt);
    this.outcomes.set(status, (this.outcomes.get(status) ?? 0) + 1);
    if (status === 0 && lun === 0) this.#expectDone(command, read);
    if (Buffer.compare(this.#device.bytes, this.#model.bytes) !== 0) {
      throw new Error(`status ${status}, and the volume does not hold what it should`);
    }
  }

  async #answer(itt: number): Promise<Answer> {
    const parts: Uint8Array[] = [];
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      for (const { opcode, flags, header, data } of this.#initiator.receive()) {
        if (opcode === Opcode.Reject) return { status: -1, data: NOTHING };
        if (header.getUint32(16) !== itt) throw new Error(`a PDU of opcode ${opcode} is for another task`);
        if (opcode === Opcode.DataIn) parts.push(data);
        if (opcode === Opcode.ScsiResponse || (opcode === Opcode.DataIn && (flags & STATUS_IN_DATA) !== 0)) {
          return { status: header.getUint8(3), data: Buffer.concat(parts) };
        }
      }
      await this.#world.timers.turn();
    }
    throw new Error("no answer comes");
  }

  #expectDone({ cdb, writes, data, expected }: Sent, read: Uint8Array): void {
    const whole = writes ? undefined : this.#model.read(cdb);
    if (whole !== undefined && Buffer.compare(read, whole.subarray(0, expected)) !== 0) {
      throw new Error("what was read is not what the volume holds");
    }
    if (read.length > expected) throw new Error(`${read.length} bytes came, of ${expected} at most`);
    this.#model.done(cdb, data);
  }

  async #end(): Promise<void> {
    const { server, memory, timers } = this.#world;
    this.#initiator.connection.onClose();
    await timers.turn();
    await server.close();
    if (memory.outstanding !== 0) throw new Error(`seed ${this.seed}: ${memory.outstanding} bytes are not given back`);
  }
}

function resized(bytes: Uint8Array, length: number): Uint8Array {
  const other = new Uint8Array(length);
  other.set(bytes.subarray(0, length));
  return other;
}

const NOTHING = new Uint8Array(0);
