/** An initiator with one session over TCP that sends any CDB and waits for its status, for tests with real processes. */

import { connect, type Socket } from "node:net";
import { build, concat, text } from "../../src/iscsi/testing/initiator.ts";

const HEADER_BYTES = 48;
const DEADLINE_MS = 30_000;
const FINAL_LOGIN = 0x87;

export interface Reply {
  readonly status: number;
  readonly data: Uint8Array;
}

export interface InitiatorPort {
  readonly name: string;
  /** The first four bytes of the ISID; the others are 0. */
  readonly isid: number;
}

export class ScsiInitiator {
  readonly #socket: Socket;
  #received = new Uint8Array(0);
  #wake = () => {};
  #over: string | undefined;
  #tag = 1;
  #cmdSN = 1;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.#received = concat(this.#received, bytes) as Uint8Array<ArrayBuffer>;
      this.#wake();
    });
    const end = (why: string) => {
      this.#over ??= why;
      this.#wake();
    };
    socket.on("error", (error) => end(error.message));
    socket.on("close", () => end("the target closed the connection"));
  }

  /** Logs in, and takes the unit attention of LUN 0 that says so. */
  static async login(port: number, target: string, { name, isid }: InitiatorPort): Promise<ScsiInitiator> {
    const initiator = new ScsiInitiator(connect(port, "127.0.0.1"));
    const data = text(`InitiatorName=${name}`, `TargetName=${target}`, "SessionType=Normal");
    initiator.#socket.write(build(0x03, { immediate: true, flags: FINAL_LOGIN, words: { 8: isid, 24: 1 }, data }));
    const { header } = await initiator.#pdu();
    if (header.getUint16(36) !== 0) throw new Error(`login status ${header.getUint16(36).toString(16)}`);
    await initiator.command([0, 0, 0, 0, 0, 0]);
    return initiator;
  }

  /** Sends a command with `data`, or for as many bytes as `read` says. */
  async command(cdb: readonly number[], { data, read }: { data?: Uint8Array; read?: number } = {}): Promise<Reply> {
    const flags = 0x81 | (data === undefined ? 0 : 0x20) | (read === undefined ? 0 : 0x40);
    const words = { 20: data?.length ?? read ?? 0, 24: this.#cmdSN++ };
    this.#socket.write(build(0x01, { flags, itt: this.#tag++, words, bytes: { 32: cdb }, data }));
    const reply = await this.#pdu();
    return { status: reply.header.getUint8(3), data: reply.data };
  }

  close(): void {
    this.#socket.destroy();
  }

  /** The next PDU. Rejects where none comes in time. */
  async #pdu(): Promise<{ readonly header: DataView; readonly data: Uint8Array }> {
    const end = performance.now() + DEADLINE_MS;
    for (;;) {
      const whole = this.#whole();
      if (whole !== undefined) return whole;
      const left = end - performance.now();
      if (this.#over !== undefined || left <= 0) throw new Error(this.#over ?? `no answer within ${DEADLINE_MS} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  #whole(): { readonly header: DataView; readonly data: Uint8Array } | undefined {
    if (this.#received.length < HEADER_BYTES) return undefined;
    const header = new DataView(this.#received.slice(0, HEADER_BYTES).buffer);
    const length = header.getUint32(4) & 0xffffff;
    const total = HEADER_BYTES + ((length + 3) & ~3);
    if (this.#received.length < total) return undefined;
    const data = this.#received.slice(HEADER_BYTES, HEADER_BYTES + length);
    this.#received = this.#received.slice(total);
    return { header, data };
  }
}
