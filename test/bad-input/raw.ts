/** A TCP or Unix connection that says exactly what a test tells it to say. */

import { createConnection, type NetConnectOpts, type Socket } from "node:net";
import { until } from "../conformance/workbench.ts";

export class RawPeer {
  #received = Buffer.alloc(0);
  #closed = false;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes]);
    });
    socket.on("error", () => {});
    socket.on("end", () => {
      this.#closed = true;
    });
    socket.on("close", () => {
      this.#closed = true;
    });
  }

  static connect(to: NetConnectOpts): Promise<RawPeer> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(to, () => resolve(new RawPeer(socket)));
      socket.once("error", reject);
    });
  }

  get received(): Buffer {
    return this.#received;
  }

  /** Whether the other side has closed. */
  get closed(): boolean {
    return this.#closed;
  }

  send(bytes: Uint8Array | string): this {
    if (!this.#closed) this.#socket.write(bytes);
    return this;
  }

  /** Ends this side only. */
  end(): this {
    this.#socket.end();
    return this;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Waits until so many bytes have come. */
  async has(bytes: number): Promise<Buffer> {
    await until(
      () => this.#received.length >= bytes || this.#closed,
      () => `${bytes} bytes, ${this.#received.length} came`,
    );
    if (this.#received.length < bytes) throw new Error(`closed after ${this.#received.length} of ${bytes} bytes`);
    return this.#received.subarray(0, bytes);
  }

  async isClosed(deadlineMs?: number): Promise<void> {
    await until(
      () => this.#closed,
      () => `the connection to be closed; ${this.#received.length} bytes came`,
      deadlineMs,
    );
    this.#socket.destroy();
  }
}

/** Numbers that look random and are the same for the same seed (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** @returns a whole number from 0 to `below` - 1 */
  roll(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  }

  bytes(count: number): Buffer {
    return Buffer.from(Array.from({ length: count }, () => this.roll(256)));
  }
}
