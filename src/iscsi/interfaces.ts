/**
 * Everything that the target needs from outside: storage, a network, time, memory, randomness and a checksum.
 * The package imports nothing but these; who embeds it hands in objects of these shapes.
 */

/** `undefined` when the request is already done, so that a cached read costs no promise. */
export type Pending = Promise<void> | undefined;

export interface WriteOptions {
  /** Force unit access: the write is on non-volatile media when it completes. */
  readonly fua?: boolean;
  readonly signal?: AbortSignal;
}

/** Whether blocks hold something of their own; those that do not read as zeros. */
export interface Allocation {
  readonly mapped: boolean;
  /** How many, from the one that was asked for on: at least 1, and not more than were asked for. */
  readonly blocks: number;
}

/**
 * The storage behind a logical unit. Buffers hold whole blocks and stay untouched until the request completes.
 * A completed write is durable, but for a device with a `volatileCache`.
 * Failures reject (or throw) with an error that carries a `code` string.
 */
export interface BlockDevice {
  /** Bytes in a block: 512 or 4096. */
  readonly blockSize: number;
  readonly blockCount: number;
  read(lba: number, into: Uint8Array, signal?: AbortSignal): Pending;
  write(lba: number, from: Uint8Array, options?: WriteOptions): Pending;
  flush(signal?: AbortSignal): Pending;
  /** The blocks read as zeros afterwards. */
  unmap(lba: number, blocks: number, signal?: AbortSignal): Pending;
  /** What the first of these blocks is, and how many are so, as far as it can be told in one go. */
  allocation?(lba: number, blocks: number, signal?: AbortSignal): Promise<Allocation>;
  /**
   * An atomic write of at most this many blocks is there whole or not at all after any failure, wherever it begins, and other
   * writes come before or after it as a whole. Without `writeAtomic` that holds for every `write` of so many blocks. There is
   * no WRITE ATOMIC where it is 0, which it is unless given.
   */
  readonly atomicBlocksMax?: number;
  /**
   * What WRITE ATOMIC calls instead of `write`, so that other writes need not pay for it. It has the device for itself: no
   * other write and no unmap is in flight meanwhile. Whatever it did or failed to do must never undo what completes later.
   */
  writeAtomic?(lba: number, from: Uint8Array, options?: WriteOptions): Pending;
  /**
   * Whether what is written to a block takes the place of what it held, so that overwriting every block leaves nothing of
   * the old content. SANITIZE is there only then. False unless given.
   */
  readonly overwritesInPlace?: boolean;
  /**
   * Whether a write may complete before it is durable, which it is after a flush, or with FUA. The unit reports a volatile
   * cache then (WCE). False unless given.
   */
  readonly volatileCache?: boolean;
  /** How much of what was read last the device keeps in memory. 0 unless given. */
  readonly cacheBytes?: number;
}

/** What outlives the target of a unit's persistent reservations. */
export interface KeptReservations {
  /** `nexus` is an initiator port's name and the target port that it is registered at: `NAME,i,0xISID,t,0xPORT`. */
  readonly registrations: readonly { readonly nexus: string; readonly key: bigint }[];
  /** `type` as SPC-4 numbers it; `holder` is one of the registered nexuses, or absent where all of them hold it. */
  readonly reservation: { readonly type: number; readonly holder: string | undefined } | undefined;
}

/** Keeps a unit's persistent reservations while the target is not running (APTPL). */
export interface ReservationStore {
  /** What was kept when the unit is added. */
  readonly kept: KeptReservations | undefined;
  /** Resolves when it is durable; `undefined` means that nothing is kept any more. One call at a time. */
  save(kept: KeptReservations | undefined): Promise<void>;
}

/** A TCP endpoint, or a Unix socket on this machine. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string };

/** What the owner of a connection is told. None of these throw. */
export interface ConnectionHandlers {
  /** The bytes are the receiver's to keep. */
  onData(bytes: Uint8Array): void;
  /** More can be written after a `write` that took less than it was given. */
  onDrain(): void;
  /** Called once, whoever closed it. */
  onClose(): void;
}

export interface Connection {
  readonly remote: string;
  /** `host:port` that the peer connected to: what SendTargets reports. */
  readonly local: string;
  /** Copies what the transport takes now. @returns the bytes taken; if fewer than given, `onDrain` follows */
  write(bytes: Uint8Array): number;
  pause(): void;
  resume(): void;
  /** Sends what was taken, then closes. */
  close(): void;
  /** Closes at once. */
  abort(): void;
}

export interface Listener {
  readonly address: Address;
  close(): void;
}

export interface Network {
  listen(address: Address, handlers: (connection: Connection) => ConnectionHandlers): Promise<Listener>;
}

export interface Timer {
  cancel(): void;
}

export interface Timers {
  /** Milliseconds of a monotonic clock, with fractions where it has them: how long commands take is told by it. */
  now(): number;
  after(delay: number, run: () => void): Timer;
  /** Runs once, after the callbacks of the present event-loop turn. */
  afterTurn(run: () => void): void;
}

export interface Memory {
  /** Page-aligned memory of the length asked for. */
  allocate(bytes: number): Uint8Array;
  free(buffer: Uint8Array): void;
  /**
   * All initiators of a server have been silent for a while, and much was received or kept for reuse: a good time to collect
   * garbage, which would hold up work.
   */
  idle?(): void;
}

export interface Random {
  /** A whole number, 0 <= n < bound. */
  below(bound: number): number;
}

export type ChapAlgorithm = "md5" | "sha1" | "sha256" | "sha3-256";

/** Cryptographic hash functions, each of the whole input. One that is not there is not used. */
export type ChapHashes = Readonly<Partial<Record<ChapAlgorithm, (bytes: Uint8Array) => Uint8Array>>>;

/** The CRC32C of the bytes from `start` to before `end`, of all of them by default, going on from `seed`: what digests are made of. */
export type Crc32c = (bytes: Uint8Array, seed?: number, start?: number, end?: number) => number;
