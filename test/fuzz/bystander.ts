/**
 * A host of another target of the same server. It writes and reads all the while, and whatever others do is answered, with
 * GOOD, and finds what it wrote.
 */

import { type Bench, build, Initiator, read10, text, write10 } from "../../src/iscsi/testing/initiator.ts";
import { RamDevice } from "../../src/iscsi/testing/world.ts";
import type { SeededRandom } from "../../src/platform/memory/seeded-random.ts";
import { BLOCK_BYTES } from "./volume-model.ts";

const NAME = "iqn.2026-11.example.bystander:host";
const THEIR_TARGET = "iqn.2026-11.example.bystander:volume";
const BLOCKS = 1024;
/** More than comes without being asked for. */
const REQUEST_BLOCKS_MAX = 200;
const RESERVED_TAG = 0xffffffff;
const TURNS_MAX = 100;

type Request =
  | { readonly kind: "read"; readonly itt: number; readonly lba: number; readonly blocks: number }
  | { readonly kind: "write"; readonly itt: number; readonly data: Uint8Array };

export class Bystander {
  readonly #world: Bench;
  readonly #random: SeededRandom;
  readonly #device = new RamDevice(BLOCKS);
  readonly #model = new Uint8Array(BLOCKS * BLOCK_BYTES);
  readonly #initiator: Initiator;
  #request: Request | undefined;
  requests = 0;

  constructor(world: Bench, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
    const identity = { vendor: "ANTIPODE", product: "TEST", revision: "1", serial: "s-2", naa: 0x3000000000000002n };
    world.server.addTarget({ name: THEIR_TARGET, luns: [{ lun: 0, device: this.#device, identity }] });
    this.#initiator = new Initiator(world, { name: NAME, isid: 0x80999999 });
  }

  async login(): Promise<void> {
    const initiator = this.#initiator;
    const keys = text(`InitiatorName=${NAME}`, `TargetName=${THEIR_TARGET}`, "SessionType=Normal");
    await initiator.send(
      build(0x03, { immediate: true, flags: 0x87, words: { 8: initiator.port.isid, 24: 1 }, data: keys }),
    );
    await initiator.send(initiator.command([0, 0, 0, 0, 0, 0]));
    initiator.receive();
  }

  /** Gives the target something to do that its device does not finish yet. */
  async begin(): Promise<void> {
    const random = this.#random;
    const initiator = this.#initiator;
    const lba = random.below(BLOCKS - REQUEST_BLOCKS_MAX);
    const blocks = 1 + random.below(random.chance(0.1) ? REQUEST_BLOCKS_MAX : 8);
    const { itt } = initiator;
    this.#device.held = true;
    if (random.chance(0.5)) {
      this.#request = { kind: "read", itt, lba, blocks };
      await initiator.send(initiator.command(read10(lba, blocks), { read: blocks * BLOCK_BYTES }));
      return;
    }
    const data = new Uint8Array(blocks * BLOCK_BYTES);
    random.fill(data);
    this.#model.set(data, lba * BLOCK_BYTES);
    this.#request = { kind: "write", itt, data };
    const immediate = random.chance(0.5) && blocks <= 8 ? data : undefined;
    await initiator.send(initiator.command(write10(lba, blocks), { write: data.length, data: immediate }));
  }

  /** Lets the device work, and awaits the answer. */
  async finish(): Promise<void> {
    const request = this.#request;
    if (request === undefined) return;
    const parts: Uint8Array[] = [];
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      for (const { opcode, flags, header, data } of this.#initiator.receive()) {
        if (opcode === 0x20) await this.#alive(header.getUint32(20));
        if (opcode === 0x31 && request.kind === "write") await this.#supply(header, request.data);
        if (opcode === 0x25) parts.push(data);
        if (opcode === 0x21 || (opcode === 0x25 && (flags & 0x01) !== 0)) {
          this.#expectGood(request, header, parts);
          return;
        }
      }
      for (const gate of this.#device.gates.splice(0)) gate.open();
      await this.#world.timers.turn();
    }
    throw new Error(
      `a bystander's ${request.kind} is not answered, its connection: ${this.#initiator.transport.closed}`,
    );
  }

  /** Answers probes while nothing is under way. */
  async idle(): Promise<void> {
    for (const { opcode, header } of this.#initiator.receive())
      if (opcode === 0x20) await this.#alive(header.getUint32(20));
  }

  async end(): Promise<void> {
    if (Buffer.compare(this.#device.bytes, this.#model) !== 0) throw new Error("a bystander's volume has changed");
    this.#initiator.connection.onClose();
    await this.#world.timers.turn();
  }

  #alive(targetTransferTag: number): Promise<void> {
    const words = { 20: targetTransferTag, 24: this.#initiator.cmdSN };
    return this.#initiator.send(build(0x00, { itt: RESERVED_TAG, immediate: true, words }));
  }

  #supply(header: DataView, data: Uint8Array): Promise<void> {
    const [itt, ttt, offset, length] = [16, 20, 40, 44].map((at) => header.getUint32(at));
    const asked = data.subarray(offset, offset + length);
    return this.#initiator.send(this.#initiator.dataOut(itt, ttt, 0, offset, asked, true));
  }

  #expectGood(request: Request, header: DataView, parts: readonly Uint8Array[]): void {
    this.#request = undefined;
    this.#device.held = false;
    this.requests++;
    if (header.getUint32(16) !== request.itt) throw new Error("a bystander got the answer of another task");
    if (header.getUint8(3) !== 0)
      throw new Error(`a bystander's ${request.kind} ends with status ${header.getUint8(3)}`);
    if (request.kind === "write") return;
    const from = request.lba * BLOCK_BYTES;
    const expected = this.#model.subarray(from, from + request.blocks * BLOCK_BYTES);
    if (Buffer.compare(Buffer.concat(parts), expected) !== 0)
      throw new Error("a bystander reads what it did not write");
  }
}
