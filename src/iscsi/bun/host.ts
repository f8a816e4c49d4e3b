/** What a target needs of its surroundings, from Bun: its sockets, timers, random numbers and hash functions. */

import { createHash, randomInt } from "node:crypto";
import type { Socket, SocketHandler } from "bun";
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
import { BusyPoll } from "./busy-poll.ts";
import { pageMemory } from "./page-memory.ts";

/** How long a peer may take to close its side once ours is closed. */
const CLOSE_PATIENCE_MS = 2000;
const KEEPALIVE_AFTER_MS = 30_000;
/** What an initiator near by needs to send its next request. */
const BUSY_POLL_MS = 0.05;

export interface BunHost {
  readonly network: Network;
  readonly timers: Timers;
  readonly memory: Memory;
  readonly random: Random;
  readonly hashes: ChapHashes;
}

export interface BunHostOptions {
  /**
   * Milliseconds for which the event loop looks at its sockets without sleeping after data has come from an initiator; 0.05
   * unless given, 0 for never. It takes processor time from whatever else waits for this core.
   */
  readonly busyPollMillis?: number;
  /**
   * Whether all garbage of the program is collected when the initiators of a server have been silent for some seconds; true
   * unless given. That stops whatever else the program does.
   */
  readonly collectsWhenIdle?: boolean;
}

export function bunHost({ busyPollMillis = BUSY_POLL_MS, collectsWhenIdle = true }: BunHostOptions = {}): BunHost {
  const poll = new BusyPoll(busyPollMillis, { now: () => performance.now(), soon: setImmediate });
  return {
    network: { listen: (address, accept) => listen(address, accept, () => poll.heard()) },
    timers: {
      now: () => performance.now(),
      after(delay, run) {
        const timer = setTimeout(run, delay);
        return { cancel: () => clearTimeout(timer) };
      },
      afterTurn: (run) => void setImmediate(run),
    },
    // Not one that is spread over what runs next: that collects too little, and there may be nothing that runs.
    memory: { ...pageMemory(), idle: collectsWhenIdle ? () => Bun.gc(true) : undefined },
    random: { below: (bound) => randomInt(bound) },
    hashes: { md5: hash("md5"), sha1: hash("sha1"), sha256: hash("sha256"), "sha3-256": hash("sha3-256") },
  };
}

const hash = (algorithm: ChapAlgorithm) => (bytes: Uint8Array) =>
  new Uint8Array(createHash(algorithm).update(bytes).digest());

type Accept = (connection: Connection) => ConnectionHandlers;
type Accepted = SocketConnection | undefined;

/** Rejects as the runtime does: EADDRINUSE, EACCES. */
async function listen(address: Address, accept: Accept, heard: () => void): Promise<Listener> {
  const socket: SocketHandler<Accepted> = {
    open(opened) {
      const connection = new SocketConnection(opened, address);
      opened.data = connection;
      connection.handlers = accept(connection);
    },
    data(from, bytes) {
      from.data?.received(bytes);
      heard();
    },
    drain: (from) => from.data?.writable(),
    close: (from) => from.data?.closed(),
    error(_, error) {
      // What a handler threw is the program's matter; what became of a connection comes with its close.
      if (!("syscall" in error))
        queueMicrotask(() => {
          throw error;
        });
    },
  };
  if ("path" in address) {
    const listener = Bun.listen<Accepted>({ unix: address.path, socket, data: undefined });
    return { address, close: () => listener.stop() };
  }
  const listener = Bun.listen<Accepted>({ hostname: address.host, port: address.port, socket, data: undefined });
  return { address: { host: address.host, port: listener.port }, close: () => listener.stop() };
}

class SocketConnection implements Connection {
  readonly remote: string;
  readonly local: string;
  handlers: ConnectionHandlers | undefined;
  readonly #socket: Socket<Accepted>;
  #paused = false;
  #owesDrain = false;
  #state: "open" | "closing" | "closed" = "open";
  /** What was read before a pause took effect. */
  readonly #held: Uint8Array[] = [];

  constructor(socket: Socket<Accepted>, address: Address) {
    this.#socket = socket;
    if ("path" in address) {
      this.remote = this.local = address.path;
      return;
    }
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_AFTER_MS);
    this.remote = endpoint(socket.remoteAddress, socket.remotePort);
    this.local = endpoint(socket.localAddress, socket.localPort);
  }

  write(bytes: Uint8Array): number {
    if (this.#state !== "open") return 0;
    const taken = Math.max(0, this.#socket.write(bytes));
    this.#owesDrain = taken < bytes.length;
    return taken;
  }

  pause(): void {
    if (this.#state !== "open") return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused || this.#state !== "open") return;
    this.#paused = false;
    this.#socket.resume();
    queueMicrotask(() => this.#deliver());
  }

  close(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    // What still comes is dropped: closing with unread bytes would reset the connection, and with it what is on its way.
    if (this.#paused) this.#socket.resume();
    this.#socket.shutdown();
    const patience = setTimeout(() => this.#socket.terminate(), CLOSE_PATIENCE_MS);
    patience.unref();
  }

  abort(): void {
    if (this.#state === "closed") return;
    this.#state = "closing";
    this.#socket.terminate();
  }

  received(bytes: Uint8Array): void {
    if (this.#state !== "open") return;
    if (this.#paused || this.#held.length > 0) this.#held.push(bytes);
    else this.handlers?.onData(bytes);
  }

  writable(): void {
    if (!this.#owesDrain || this.#state !== "open") return;
    this.#owesDrain = false;
    this.handlers?.onDrain();
  }

  closed(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    // Never within a call that the target makes.
    queueMicrotask(() => this.handlers?.onClose());
  }

  #deliver(): void {
    while (!this.#paused && this.#state === "open") {
      const bytes = this.#held.shift();
      if (bytes === undefined) return;
      this.handlers?.onData(bytes);
    }
  }
}

/** As RFC 7143 section 12.8 has TargetAddress. */
function endpoint(host: string | undefined, port: number | undefined): string {
  if (host === undefined || port === undefined) return "an address that is gone";
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
