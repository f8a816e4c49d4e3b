/** For tests: a SAN host that logs in to a site over the simulated network, and sends what PDUs the test likes. */

import { build, concat, text } from "../iscsi/testing/initiator.ts";
import type { MemoryUniverse } from "../platform/memory/memory-world.ts";
import type { Connection } from "../platform/network.ts";

const BHS_BYTES = 48;

export interface Answer {
  readonly opcode: number;
  readonly header: DataView;
  readonly data: Uint8Array;
}

export class TestHost {
  readonly #universe: MemoryUniverse;
  readonly #connection: Connection;
  #received: Uint8Array = new Uint8Array(0);
  #cmdSN = 1;
  isClosed = false;

  /** @param at the host's machine; the simulated network has it reach `port` of the site's */
  static async connect(universe: MemoryUniverse, at: string, site: string, port = 3260): Promise<TestHost> {
    let host: TestHost | undefined;
    await universe.result(
      universe.world(at).network.connect({ host: site, port }, (connection) => {
        const made = new TestHost(universe, connection);
        host = made;
        return {
          onData: (bytes) => {
            made.#received = concat(made.#received, bytes);
          },
          onDrain() {},
          onClose: () => {
            made.isClosed = true;
          },
        };
      }),
    );
    if (host === undefined) throw new Error("not connected");
    return host;
  }

  private constructor(universe: MemoryUniverse, connection: Connection) {
    this.#universe = universe;
    this.#connection = connection;
  }

  /** @returns the status of the login */
  async login(name: string, target: string): Promise<number> {
    const keys = text(`InitiatorName=${name}`, `TargetName=${target}`);
    const { header } = await this.#ask(build(0x03, { immediate: true, flags: 0x87, words: { 24: 1 }, data: keys }));
    return header.getUint16(36);
  }

  /** SendTargets of a discovery session. */
  async discover(name: string): Promise<readonly string[]> {
    const keys = text(`InitiatorName=${name}`, "SessionType=Discovery");
    await this.#ask(build(0x03, { immediate: true, flags: 0x87, words: { 24: 1 }, data: keys }));
    const words = { 20: 0xffffffff, 24: this.#cmdSN++ };
    const { data } = await this.#ask(build(0x04, { words, data: text("SendTargets=All") }));
    return new TextDecoder().decode(data).split("\0").filter(Boolean);
  }

  command(cdb: readonly number[], options: { lun?: number; read?: number; write?: Uint8Array } = {}): Promise<Answer> {
    const { lun = 0, read, write } = options;
    const flags = 0x81 | (read === undefined ? 0 : 0x40) | (write === undefined ? 0 : 0x20);
    const words = { 8: lun << 16, 20: read ?? write?.length ?? 0, 24: this.#cmdSN++ };
    return this.#ask(build(0x01, { flags, words, bytes: { 32: cdb }, data: write }));
  }

  /** The LUNs that it sees. */
  async luns(): Promise<readonly number[]> {
    const { data } = await this.command([0xa0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0], { read: 512 });
    const view = new DataView(data.buffer, data.byteOffset);
    return Array.from({ length: view.getUint32(0) / 8 }, (_, at) => view.getUint16(8 + 8 * at));
  }

  /** What the target sends without being asked. */
  async next(): Promise<Answer> {
    await this.#universe.run(() => this.#isWhole());
    const header = new DataView(this.#received.slice(0, BHS_BYTES).buffer);
    const length = header.getUint32(4) & 0xffffff;
    const data = this.#received.slice(BHS_BYTES, BHS_BYTES + length);
    this.#received = this.#received.subarray(BHS_BYTES + ((length + 3) & ~3));
    return { opcode: header.getUint8(0) & 0x3f, header, data };
  }

  #ask(pdu: Uint8Array): Promise<Answer> {
    this.#connection.write(pdu);
    return this.next();
  }

  #isWhole(): boolean {
    const { length } = this.#received;
    if (length < BHS_BYTES) return false;
    const data = new DataView(this.#received.buffer, this.#received.byteOffset).getUint32(4) & 0xffffff;
    return length >= BHS_BYTES + ((data + 3) & ~3);
  }
}
