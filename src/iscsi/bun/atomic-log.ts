/**
 * Makes writes to a volume atomic by writing them twice: to a log, and then in place.
 *
 * Invariants: a write is in place only while the log durably holds all of it; the log durably holds no write when anything else
 * is written to the volume, so that a replay never undoes what came later. Where the second can't be had, it is `stuck`: the
 * volume must not be written to until its log has been opened again, which replays what it holds.
 *
 * A log belongs to one volume, and tells it from others by its size and the size of its blocks, for it knows nothing else of it.
 */

import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { PIECE_BYTES_MAX } from "../limits.ts";
import { PlainFile, ShorterFile } from "./plain-file.ts";

/** The file that the log is in. */
export type LogFile = Pick<PlainFile, "read" | "write" | "sync" | "close">;

export interface LoggedVolume {
  readonly blockSize: number;
  readonly blockCount: number;
  /** Writes blocks where they belong; they are durable when it resolves. */
  place(lba: number, data: Uint8Array): Promise<void>;
  /** No more are to be written. */
  close(): Promise<void>;
}

export type AtomicLogCode =
  | "atomic-log.unmade"
  | "atomic-log.unknown"
  | "atomic-log.version"
  | "atomic-log.foreign"
  | "atomic-log.unreplayed"
  | "atomic-log.unwritten"
  | "atomic-log.stuck";

export class AtomicLogError extends Error {
  override readonly name = "AtomicLogError";
  readonly code: AtomicLogCode;

  constructor(code: AtomicLogCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** WRATOMIC in ASCII: every version begins so. */
const MAGIC = 0x575241544f4d4943n;
const VERSION = 1;
/** The most that a disk writes whole or not at all. */
const SECTOR_BYTES = 512;
/** Where a write's data begins: on a page of its own. */
export const DATA_OFFSET = 4096;
const LOG_BYTES = DATA_OFFSET + PIECE_BYTES_MAX;
const HASH = "sha256";

/** The log's first sector, big-endian, each field behind the one before it. */
const Header = fields({
  magic: 8,
  version: 4,
  blockSize: 4,
  blockCount: 8,
  lba: 8,
  /** Of the write that it holds; 0 where it holds none. */
  blocks: 4,
  reserved: 4,
  /** Of this sector with zeros in this place, and of the data behind it. */
  hash: 32,
  tail: 440,
});

function fields<const W extends Readonly<Record<string, number>>>(widths: W): { readonly [K in keyof W]: number } {
  let next = 0;
  const offsets: Record<string, number> = {};
  for (const [field, width] of Object.entries(widths)) {
    offsets[field] = next;
    next += width;
  }
  if (next !== SECTOR_BYTES) throw new RangeError(`the header fills ${next} of ${SECTOR_BYTES} bytes`);
  return offsets as { readonly [K in keyof W]: number };
}

/** @param write what the log is to hold; nothing unless given */
function encode({ blockSize, blockCount }: LoggedVolume, write?: { lba: number; data: Uint8Array }): Uint8Array {
  const bytes = new Uint8Array(SECTOR_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(Header.magic, MAGIC);
  view.setUint32(Header.version, VERSION);
  view.setUint32(Header.blockSize, blockSize);
  view.setBigUint64(Header.blockCount, BigInt(blockCount));
  if (write !== undefined) {
    view.setBigUint64(Header.lba, BigInt(write.lba));
    view.setUint32(Header.blocks, write.data.length / blockSize);
    bytes.set(hashOf(bytes, write.data), Header.hash);
  }
  return bytes;
}

function decode(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    magic: view.getBigUint64(Header.magic),
    version: view.getUint32(Header.version),
    blockSize: view.getUint32(Header.blockSize),
    blockCount: Number(view.getBigUint64(Header.blockCount)),
    lba: Number(view.getBigUint64(Header.lba)),
    blocks: view.getUint32(Header.blocks),
    hash: bytes.slice(Header.hash, Header.tail),
  };
}

function hashOf(header: Uint8Array, data: Uint8Array): Uint8Array {
  const fieldsAlone = header.slice().fill(0, Header.hash, Header.tail);
  return createHash(HASH).update(fieldsAlone).update(data).digest();
}

export class AtomicLog {
  readonly #file: LogFile;
  readonly #path: string;
  readonly #volume: LoggedVolume;
  #last: Promise<void> = Promise.resolve();
  #stuck: AtomicLogError | undefined;

  /**
   * Makes the log where there is none; otherwise what it holds is in place when this resolves.
   * Rejects with an `AtomicLogError`, and changes nothing, where the file is no log, or not this volume's.
   */
  static async open(path: string, volume: LoggedVolume): Promise<AtomicLog> {
    const file = (await openThere(path)) ?? (await make(path, volume));
    try {
      return await AtomicLog.over(file, path, volume);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** As `open`, in a file that is open. @param path what errors call it */
  static async over(file: LogFile, path: string, volume: LoggedVolume): Promise<AtomicLog> {
    const log = new AtomicLog(file, path, volume);
    await log.#replay();
    return log;
  }

  private constructor(file: LogFile, path: string, volume: LoggedVolume) {
    this.#file = file;
    this.#path = path;
    this.#volume = volume;
  }

  /** Why the volume must not be written to any more; that is for its owner to see to, after every write that failed. */
  get stuck(): AtomicLogError | undefined {
    return this.#stuck;
  }

  /**
   * The blocks are written and durable when it resolves, at most `PIECE_BYTES_MAX` of them; one write at a time.
   * Where it rejects they are as they were, unless it is stuck.
   */
  write(lba: number, data: Uint8Array): Promise<void> {
    const written = this.#last.then(() => this.#write(lba, data));
    this.#last = written.catch(() => {});
    return written;
  }

  async close(): Promise<void> {
    await this.#last;
    await Promise.all([this.#file.close(), this.#volume.close()]);
  }

  async #write(lba: number, data: Uint8Array): Promise<void> {
    if (this.#stuck !== undefined) throw this.#stuck;
    if (data.length > PIECE_BYTES_MAX) throw new RangeError(`${data.length} bytes in an atomic write`);
    const what = said(lba, data.length / this.#volume.blockSize);
    try {
      await this.#hold(lba, data);
    } catch (cause) {
      // As much as all of it may have become durable.
      await this.#orStuck(what, () => this.#clear());
      throw new AtomicLogError("atomic-log.unwritten", `${this.#path} could not take a write of ${what}`, cause);
    }
    await this.#orStuck(what, () => this.#volume.place(lba, data));
    await this.#orStuck(what, () => this.#clear());
  }

  async #orStuck(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      this.#stuck = new AtomicLogError(
        "atomic-log.stuck",
        `a write of ${what} failed and may still be in ${this.#path}: ` +
          "nothing is written any more until both files are opened again",
        cause,
      );
      throw this.#stuck;
    }
  }

  async #hold(lba: number, data: Uint8Array): Promise<void> {
    await this.#file.write(0, encode(this.#volume, { lba, data }));
    await this.#file.write(DATA_OFFSET, data);
    await this.#file.sync();
  }

  async #clear(): Promise<void> {
    await this.#file.write(0, encode(this.#volume));
    await this.#file.sync();
  }

  async #replay(): Promise<void> {
    const header = new Uint8Array(SECTOR_BYTES);
    if (!(await this.#read(0, header)) || decode(header).magic !== MAGIC) {
      throw new AtomicLogError("atomic-log.unknown", `${this.#path} is no log of atomic writes; it is left as it is`);
    }
    const { version, blockSize, blockCount, lba, blocks } = decode(header);
    if (version !== VERSION) {
      throw new AtomicLogError(
        "atomic-log.version",
        `${this.#path} is a log of version ${version}, and only ${VERSION} is known here; it is left as it is`,
      );
    }
    const data = await this.#whole(header);
    if (blockSize !== this.#volume.blockSize || blockCount !== this.#volume.blockCount) {
      const held = data === undefined ? "no write" : `a write of ${said(lba, blocks)}`;
      throw new AtomicLogError(
        "atomic-log.foreign",
        `${this.#path} is the log of ${blockCount} blocks of ${blockSize} bytes, and here are ` +
          `${this.#volume.blockCount} of ${this.#volume.blockSize}; it holds ${held}, and is left as it is`,
      );
    }
    if (data !== undefined) await this.#placeAgain(lba, data);
    // In any case: what is torn could become whole with data that is written behind it later, and that nothing is held may be
    // known to the kernel alone.
    try {
      await this.#clear();
    } catch (cause) {
      throw new AtomicLogError("atomic-log.unwritten", `${this.#path} could not be written`, cause);
    }
  }

  async #placeAgain(lba: number, data: Uint8Array): Promise<void> {
    const what = said(lba, data.length / this.#volume.blockSize);
    try {
      // The disk may not have what the kernel does: of a process that was killed, or of a write that failed.
      await this.#hold(lba, data);
      await this.#volume.place(lba, data);
    } catch (cause) {
      throw new AtomicLogError(
        "atomic-log.unreplayed",
        `the write of ${what} in ${this.#path} could not be replayed; it is still there`,
        cause,
      );
    }
  }

  /** @returns the data of the write that the log holds, if it holds all of it */
  async #whole(header: Uint8Array): Promise<Uint8Array | undefined> {
    const { blockSize, blockCount, lba, blocks, hash } = decode(header);
    if (blocks === 0 || blocks * blockSize > PIECE_BYTES_MAX || lba + blocks > blockCount) return undefined;
    const data = new Uint8Array(blocks * blockSize);
    if (!(await this.#read(DATA_OFFSET, data))) return undefined;
    return Buffer.compare(hashOf(header, data), hash) === 0 ? data : undefined;
  }

  /** @returns whether the file is that long */
  async #read(offset: number, into: Uint8Array): Promise<boolean> {
    try {
      await this.#file.read(offset, into);
      return true;
    } catch (error) {
      if (error instanceof ShorterFile) return false;
      throw error;
    }
  }
}

function said(lba: number, blocks: number): string {
  return `${blocks} ${blocks === 1 ? "block" : "blocks"} from ${lba} on`;
}

async function openThere(path: string): Promise<PlainFile | undefined> {
  try {
    return await PlainFile.open(path, constants.O_RDWR);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** It has its name once it is whole, and all the room that it will need: a full disk is to be found now. */
async function make(path: string, volume: LoggedVolume): Promise<PlainFile> {
  const part = `${path}.part`;
  let file: PlainFile | undefined;
  try {
    file = await PlainFile.open(part, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC);
    const content = new Uint8Array(LOG_BYTES);
    content.set(encode(volume));
    await file.write(0, content);
    await file.sync();
    await rename(part, path);
    const folder = await PlainFile.open(dirname(path), constants.O_RDONLY);
    await folder.sync().finally(() => folder.close());
    return file;
  } catch (cause) {
    await file?.close();
    await rm(part, { force: true });
    throw new AtomicLogError("atomic-log.unmade", `the log of atomic writes ${path} could not be made`, cause);
  }
}
