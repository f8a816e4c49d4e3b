/** What a target needs of the runtime, from Node's own modules, which Bun has as well. */

import { createHash, randomInt } from "node:crypto";
import { createServer, type Socket } from "node:net";
import type {
  Address,
  ChapAlgorithm,
  ChapHashes,
  Connection,
  ConnectionHandlers,
  Listener,
  Memory,
  Network,
  Random,
  Timers,
} from "../interfaces.ts";

/** A socket that holds so much takes no more until it has drained. */
const UNSENT_BYTES_MAX = 1024 * 1024;
/** How long a peer may take to close its side once ours is closed. */
const CLOSE_PATIENCE_MS = 2000;
const KEEPALIVE_AFTER_MS = 30_000;

export interface NodeHost {
  readonly network: Network;
  readonly timers: Timers;
  readonly memory: Memory;
  readonly random: Random;
  readonly hashes: ChapHashes;
}

export function nodeHost(): NodeHost {
  return {
    network: { listen },
    timers: {
      after(delay, run) {
        const timer = setTimeout(run, delay);
        return { cancel: () => clearTimeout(timer) };
      },
      afterTurn: (run) => void setImmediate(run),
    },
    memory: { allocate: (bytes) => new Uint8Array(bytes), free: () => {} },
    random: { below: (bound) => randomInt(bound) },
    hashes: { md5: hash("md5"), sha1: hash("sha1"), sha256: hash("sha256"), "sha3-256": hash("sha3-256") },
  };
}

const hash = (algorithm: ChapAlgorithm) => (bytes: Uint8Array) =>
  new Uint8Array(createHash(algorithm).update(bytes).digest());

/** Rejects as Node's `listen` does: EADDRINUSE, EACCES. */
function listen(address: Address, accept: (connection: Connection) => ConnectionHandlers): Promise<Listener> {
  const server = createServer((socket) => adopt(socket, address, accept));
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen("path" in address ? { path: address.path } : address, () => {
      server.off("error", reject);
      const bound = server.address();
      const at = typeof bound === "object" && bound !== null ? { host: bound.address, port: bound.port } : address;
      resolve({ address: at, close: () => void server.close() });
    });
  });
}

function adopt(socket: Socket, address: Address, accept: (connection: Connection) => ConnectionHandlers): void {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEPALIVE_AFTER_MS);
  const connection = new SocketConnection(socket, address);
  const handlers = accept(connection);
  socket.on("data", (bytes: Uint8Array) => {
    if (!connection.closing) handlers.onData(new Uint8Array(bytes));
  });
  socket.on("drain", () => {
    if (!connection.closing) handlers.onDrain();
  });
  // Its close follows, and says all that the target wants to know.
  socket.on("error", () => {});
  socket.on("close", () => handlers.onClose());
}

class SocketConnection implements Connection {
  readonly remote: string;
  readonly local: string;
  closing = false;
  readonly #socket: Socket;

  constructor(socket: Socket, address: Address) {
    this.#socket = socket;
    const path = "path" in address ? address.path : undefined;
    this.remote = path ?? endpoint(socket.remoteAddress, socket.remotePort);
    this.local = path ?? endpoint(socket.localAddress, socket.localPort);
  }

  write(bytes: Uint8Array): number {
    if (this.closing || this.#socket.writableLength >= UNSENT_BYTES_MAX) return 0;
    // The socket keeps what it is given until it is sent, and the target uses its buffers again.
    this.#socket.write(bytes.slice());
    return bytes.length;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    if (this.closing) return;
    this.closing = true;
    // What still comes is dropped: closing with unread bytes would reset the connection, and with it what is on its way.
    this.#socket.resume();
    this.#socket.end();
    const patience = setTimeout(() => this.#socket.destroy(), CLOSE_PATIENCE_MS);
    this.#socket.once("close", () => clearTimeout(patience));
  }

  abort(): void {
    this.closing = true;
    this.#socket.destroy();
  }
}

/** As RFC 7143 section 12.8 has TargetAddress. */
function endpoint(host: string | undefined, port: number | undefined): string {
  if (host === undefined || port === undefined) return "an address that is gone";
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
