/**
 * A slow line: passes TCP connections on to an address, and lets only so many bytes a second through towards it, shared
 * fairly between the connections. What comes back is not slowed. It holds little: a sender soon waits.
 */

import { connect, createServer, type Server, type Socket } from "node:net";

const SLICE_BYTES = 16 * 1024;
const TICK_MS = 5;
/** Of silence that can be made up for. */
const BURST_MS = 50;

interface Line {
  readonly source: Socket;
  readonly target: Socket;
  held: Buffer[];
}

export class ThrottleProxy {
  readonly address: string;
  /** Bytes that went towards the target. */
  passed = 0;
  readonly #server: Server;
  readonly #lines = new Set<Line>();
  readonly #bytesPerMs: number;
  readonly #timer: NodeJS.Timeout;
  #allowance = 0;
  #last = performance.now();

  private constructor(server: Server, address: string, bytesPerSecond: number) {
    this.#server = server;
    this.address = address;
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** @param target HOST:PORT */
  static start(target: string, bytesPerSecond: number): Promise<ThrottleProxy> {
    const [host, port] = target.split(":");
    return new Promise((resolve, reject) => {
      let proxy: ThrottleProxy | undefined;
      const server = createServer({ noDelay: true }, (source) => {
        if (proxy === undefined) source.destroy();
        else proxy.#join(source, connect({ host, port: Number(port), noDelay: true }));
      });
      server.once("error", reject);
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        if (address === null || typeof address === "string") return reject(new Error("the proxy has no port"));
        proxy = new ThrottleProxy(server, `127.0.0.1:${address.port}`, bytesPerSecond);
        resolve(proxy);
      });
    });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#server.close();
    for (const { source, target } of this.#lines) {
      source.destroy();
      target.destroy();
    }
  }

  #join(source: Socket, target: Socket): void {
    const line: Line = { source, target, held: [] };
    this.#lines.add(line);
    source.on("data", (data: Buffer) => {
      line.held.push(data);
      source.pause();
    });
    target.on("data", (data: Buffer) => {
      if (!source.write(data)) target.pause();
    });
    source.on("drain", () => target.resume());
    const end = () => {
      this.#lines.delete(line);
      source.destroy();
      target.destroy();
    };
    for (const socket of [source, target]) socket.on("error", end).on("close", end);
  }

  #tick(): void {
    const now = performance.now();
    const earned = (now - this.#last) * this.#bytesPerMs;
    this.#last = now;
    this.#allowance = Math.min(this.#allowance + earned, BURST_MS * this.#bytesPerMs);
    for (let sent = true; sent && this.#allowance > 0; ) {
      sent = false;
      for (const line of this.#lines) if (this.#allowance > 0 && this.#sendSlice(line)) sent = true;
    }
  }

  /** @returns false where there was nothing to send, or no room to send it to */
  #sendSlice(line: Line): boolean {
    const [first] = line.held;
    if (first === undefined || line.target.writableNeedDrain) return false;
    const slice = first.subarray(0, SLICE_BYTES);
    line.target.write(slice);
    this.#allowance -= slice.length;
    this.passed += slice.length;
    if (slice.length < first.length) line.held[0] = first.subarray(slice.length);
    else line.held.shift();
    if (line.held.length === 0) line.source.resume();
    return true;
  }
}
