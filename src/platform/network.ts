/** A TCP endpoint, or a Unix socket on this machine. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string };

export function formatAddress(address: Address): string {
  if ("path" in address) return address.path;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** What the owner of a connection is told. None of these may throw. */
export interface ConnectionHandlers {
  /** The bytes are the receiver's to keep; the transport does not reuse them. */
  onData(bytes: Uint8Array): void;
  /** More can be written after a `write` that took less than it was given. */
  onDrain(): void;
  /** Called once, whoever closed it. */
  onClose(): void;
}

export interface Connection {
  /** The peer, for messages to people. */
  readonly remote: string;
  /** The address that the peer connected to, for messages and for what a target reports about its portals. */
  readonly local: string;
  /** Copies what the transport takes now. @returns the bytes taken; if fewer than given, `onDrain` follows */
  write(bytes: Uint8Array): number;
  /** Stops `onData` until `resume`, so that the peer is slowed by TCP itself. */
  pause(): void;
  resume(): void;
  /** Sends what was taken, then closes. */
  close(): void;
  /** Closes at once; what was taken may be lost. */
  abort(): void;
}

export interface Listener {
  /** As bound: the port is the real one where 0 was asked for. */
  readonly address: Address;
  /** Stops accepting; connections that were accepted stay. */
  close(): void;
}

export interface Network {
  /** Rejects with `network.unreachable` when the peer refuses, cannot be found or does not answer before the signal. */
  connect(
    address: Address,
    handlers: (connection: Connection) => ConnectionHandlers,
    signal?: AbortSignal,
  ): Promise<Connection>;
  /** Rejects with `network.busy` or `network.denied` where the address cannot be bound. */
  listen(address: Address, handlers: (connection: Connection) => ConnectionHandlers): Promise<Listener>;
}
