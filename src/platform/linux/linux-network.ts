/**
 * TCP and Unix sockets by Bun's own. Nothing is buffered on this side of the kernel.
 *
 * Invariants: handlers are never called from within a method of their connection; `onData` is not called while paused
 * or after `close`, nothing is called after `onClose`; a connection that was closed here is gone within
 * `CLOSE_PATIENCE`, whatever its peer does; a handler that throws ends the process, as any broken invariant does.
 */

import { lstat, unlink } from "node:fs";
import { promisify } from "node:util";
import type { Socket, SocketHandler } from "bun";
import { OperatingError } from "../../base/operating-error.ts";
import { millis } from "../../base/units.ts";
import type { Clock, Timer } from "../clock.ts";
import {
  type Address,
  type Connection,
  type ConnectionHandlers,
  formatAddress,
  type Listener,
  type Network,
} from "../network.ts";

/** How long a peer may take to close its side once ours is closed. */
const CLOSE_PATIENCE = millis(2000);
/** A peer that is gone without a word is found out by TCP after this long, at the earliest. */
const KEEPALIVE_AFTER = millis(30_000);

const lstatAsync = promisify(lstat);
const unlinkAsync = promisify(unlink);

type MakeHandlers = (connection: Connection) => ConnectionHandlers;

class LinuxConnection implements Connection {
  readonly remote: string;
  readonly local: string;
  handlers: ConnectionHandlers | undefined;
  readonly #socket: Socket<LinuxConnection | undefined>;
  readonly #clock: Clock;
  #paused = false;
  #wantsDrain = false;
  #closing = false;
  #ended = false;
  #patience: Timer | undefined;
  /** What the runtime delivered in spite of a pause: at most the one read that was under way. */
  #held: Uint8Array[] = [];

  constructor(socket: Socket<LinuxConnection | undefined>, address: Address, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    if ("path" in address) {
      this.remote = address.path;
      this.local = address.path;
    } else {
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEPALIVE_AFTER);
      this.remote = endpoint(socket.remoteAddress, socket.remotePort);
      this.local = endpoint(socket.localAddress, socket.localPort);
    }
  }

  write(bytes: Uint8Array): number {
    if (this.#closing || this.#ended) return 0;
    const taken = Math.max(0, this.#socket.write(bytes));
    if (taken < bytes.length) this.#wantsDrain = true;
    return taken;
  }

  pause(): void {
    if (this.#paused || this.#closing || this.#ended) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused || this.#closing || this.#ended) return;
    this.#paused = false;
    if (this.#held.length > 0) queueMicrotask(() => this.#deliverHeld());
    this.#socket.resume();
  }

  close(): void {
    if (this.#closing || this.#ended) return;
    this.#closing = true;
    this.#held = [];
    // Closing with unread bytes would reset the connection, and with it what the peer has yet to receive. So only our
    // side ends; what still comes is dropped, and the peer's end closes both.
    if (this.#paused) this.#socket.resume();
    this.#socket.shutdown();
    this.#patience = this.#clock.after(CLOSE_PATIENCE, () => this.#socket.terminate());
  }

  abort(): void {
    if (this.#ended) return;
    this.#closing = true;
    this.#held = [];
    this.#socket.terminate();
  }

  received(bytes: Uint8Array): void {
    if (this.#closing || this.#ended) return;
    if (this.#paused || this.#held.length > 0) this.#held.push(bytes);
    else this.handlers?.onData(bytes);
  }

  writable(): void {
    if (!this.#wantsDrain || this.#closing || this.#ended) return;
    this.#wantsDrain = false;
    this.handlers?.onDrain();
  }

  closed(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#patience?.cancel();
    queueMicrotask(() => this.handlers?.onClose());
  }

  #deliverHeld(): void {
    while (!this.#paused && !this.#closing && !this.#ended) {
      const bytes = this.#held.shift();
      if (bytes === undefined) return;
      this.handlers?.onData(bytes);
    }
  }
}

/** A peer that has reset the connection before it was accepted has no address any more; its end follows as any other. */
function endpoint(host: string | undefined, port: number): string {
  return host === undefined ? "an address that is gone" : formatAddress({ host, port });
}

export function linuxNetwork(clock: Clock): Network {
  /** The runtime's events of sockets of one listener, or of one outgoing connection. */
  const events = (
    address: Address,
    makeHandlers: MakeHandlers,
    opened?: (connection: LinuxConnection) => boolean,
  ): Events => ({
    open(socket) {
      const connection = new LinuxConnection(socket, address, clock);
      if (opened?.(connection) === false) return socket.terminate();
      socket.data = connection;
      connection.handlers = makeHandlers(connection);
    },
    data: (socket, bytes) => socket.data?.received(bytes),
    drain: (socket) => socket.data?.writable(),
    close: (socket) => socket.data?.closed(),
    error(_socket, error) {
      // The runtime hands what a handler threw to this one. Errors of the connection itself come with its close.
      if (!("syscall" in error)) reportUncaught(error);
    },
    connectError() {},
  });

  return {
    async connect(address, makeHandlers, signal) {
      if (signal?.aborted) throw unreachable(address, "it did not answer in time");
      return new Promise<Connection>((resolve, reject) => {
        let waiting = true;
        const onAbort = () => {
          waiting = false;
          reject(unreachable(address, "it did not answer in time"));
        };
        signal?.addEventListener("abort", onAbort, { once: true });
        const settle = () => {
          waiting = false;
          signal?.removeEventListener("abort", onAbort);
        };
        const opened = (connection: LinuxConnection): boolean => {
          if (!waiting) return false;
          settle();
          resolve(connection);
          return true;
        };
        const socket = events(address, makeHandlers, opened);
        dial(address, socket).catch((error: unknown) => {
          if (!waiting) return;
          settle();
          reject(unreachable(address, reasonOf(error)));
        });
      });
    },

    async listen(address, makeHandlers) {
      if ("path" in address) await removeStaleSocket(address.path);
      const socket = events(address, makeHandlers);
      try {
        return bind(address, socket);
      } catch (error) {
        throw cannotListen(address, error);
      }
    },
  };
}

type Events = SocketHandler<LinuxConnection | undefined>;

function dial(address: Address, socket: Events): Promise<unknown> {
  return "path" in address
    ? Bun.connect({ unix: address.path, socket, data: undefined })
    : Bun.connect({ hostname: address.host, port: address.port, socket, data: undefined });
}

function bind(address: Address, socket: Events): Listener {
  if ("path" in address) {
    const listener = Bun.listen({ unix: address.path, socket, data: undefined });
    return { address, close: () => listener.stop() };
  }
  const listener = Bun.listen({ hostname: address.host, port: address.port, socket, data: undefined });
  return { address: { host: address.host, port: listener.port }, close: () => listener.stop() };
}

/** A killed process leaves its socket file behind; where nobody answers at it any more, it goes. */
async function removeStaleSocket(path: string): Promise<void> {
  const stats = await lstatAsync(path).catch(() => undefined);
  if (stats === undefined) return;
  if (!stats.isSocket()) {
    throw new OperatingError("network.busy", `${path} is there and is no socket.`, "Name another path, or remove it.");
  }
  const answered = await Bun.connect({ unix: path, socket: { data() {} } }).catch(() => undefined);
  if (answered === undefined) return unlinkAsync(path).catch(() => {});
  answered.terminate();
  throw busy({ path });
}

export function reportUncaught(error: Error): void {
  queueMicrotask(() => {
    throw error;
  });
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function reasonOf(error: unknown): string {
  const code = codeOf(error);
  switch (code) {
    case "ECONNREFUSED":
      return "it refuses connections";
    case "ENOTFOUND":
      return "its name is not known";
    case "ETIMEDOUT":
      return "it did not answer in time";
    case "ENOENT":
      return "nobody listens there";
    default:
      return code ?? (error instanceof Error ? error.message : String(error));
  }
}

function unreachable(address: Address, reason: string): OperatingError {
  return new OperatingError(
    "network.unreachable",
    `${formatAddress(address)} cannot be reached: ${reason}.`,
    "Check the address, that the peer runs, and the network between.",
  );
}

function busy(address: Address): OperatingError {
  return new OperatingError(
    "network.busy",
    `${formatAddress(address)} is in use.`,
    "Stop the process that listens there, or choose another address.",
  );
}

/** What a failed attempt to listen means. */
export function cannotListen(address: Address, error: unknown): OperatingError {
  const code = codeOf(error);
  if (code === "EADDRINUSE") return busy(address);
  return new OperatingError(
    "network.denied",
    `${formatAddress(address)} cannot be listened on: ${code ?? "the name is not known"}.`,
    code === "EACCES" || code === "EPERM"
      ? "Choose a port of 1024 or more, or give this user the right to it."
      : "Choose an address of this machine.",
  );
}
