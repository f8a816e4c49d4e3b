/** The drives of one machine as one of its processes sees them. */

import { assert } from "../../base/assert.ts";
import type { Pending, WriteOptions } from "../../base/block-device.ts";
import { OperatingError } from "../../base/operating-error.ts";
import { BLOCK_BYTES, type ByteCount, type Lba } from "../../base/units.ts";
import type { Drive, Drives } from "../drive.ts";
import type { DriveOperation } from "./drive-settings.ts";
import type { Process } from "./process.ts";
import type { DriveLock, SimulatedDrive } from "./simulated-drive.ts";

/** Milliseconds that opening or making a drive takes. */
const OPEN_MILLIS = 0.1;

export class SimulatedDrives implements Drives {
  /** @param drives those of the machine, by path; `make` adds one */
  constructor(
    private readonly process: Process,
    private readonly drives: ReadonlyMap<string, SimulatedDrive>,
    private readonly make: (path: string, size: ByteCount) => void,
  ) {}

  open(path: string, access: "read-write" | "read-only"): Promise<Drive> {
    return this.#after(`open ${path}`, () => {
      const drive = this.drives.get(path);
      if (drive === undefined || !drive.present) {
        throw new OperatingError("drive.missing", `There is no drive ${path}.`, "Check the path and the cabling.");
      }
      const lock = drive.lock(this.process, access === "read-write");
      if (lock === undefined) {
        throw new OperatingError("drive.busy", `Drive ${path} is in use.`, "Stop the process that uses it.");
      }
      return new OpenDrive(drive, lock);
    });
  }

  create(path: string, size: ByteCount): Promise<void> {
    return this.#after(`create ${path}`, () => {
      if (this.drives.has(path)) {
        throw new OperatingError("drive.exists", `There is a file ${path} already.`, "Remove it, or name another.");
      }
      if (size === 0 || size % BLOCK_BYTES !== 0) {
        throw new OperatingError(
          "drive.unusable",
          `${size} bytes are not a whole number of ${BLOCK_BYTES}-byte blocks.`,
          "Give a size that is a multiple of 4 KiB.",
        );
      }
      this.make(path, size);
    });
  }

  #after<T>(what: string, act: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.process.schedule(OPEN_MILLIS, what, () => {
        try {
          resolve(act());
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}

class OpenDrive implements Drive {
  readonly blockSize = BLOCK_BYTES;
  /** As it was opened: the drive may be put in under another one. */
  readonly path: string;
  readonly #plugged: number;
  #inFlight = 0;
  #onIdle: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  constructor(
    private readonly drive: SimulatedDrive,
    private readonly lock: DriveLock,
  ) {
    this.path = drive.path;
    this.#plugged = drive.plugged;
  }

  get blockCount(): number {
    return this.drive.blockCount;
  }

  read(lba: Lba, into: Uint8Array, signal?: AbortSignal): Pending {
    return this.#submit("read", lba, into.length / BLOCK_BYTES, into, { signal });
  }

  write(lba: Lba, from: Uint8Array, options?: WriteOptions): Pending {
    return this.#submit("write", lba, from.length / BLOCK_BYTES, from, options);
  }

  flush(signal?: AbortSignal): Pending {
    return this.#submit("flush", 0, 0, undefined, { signal });
  }

  unmap(lba: Lba, blocks: number, signal?: AbortSignal): Pending {
    return this.#submit("unmap", lba, blocks, undefined, { signal });
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      const release = () => {
        this.drive.unlock(this.lock);
        resolve();
      };
      if (this.#inFlight === 0) this.lock.process.schedule(0, `close ${this.path}`, release);
      else this.#onIdle = release;
    });
    return this.#closed;
  }

  #submit(
    operation: DriveOperation,
    lba: number,
    blocks: number,
    buffer: Uint8Array | undefined,
    options?: WriteOptions,
  ): Pending {
    assert(this.lock.writable || operation === "read" || operation === "flush", `${this.path} was opened read-only`);
    this.drive.check(lba, blocks);
    if (blocks === 0 && operation !== "flush") return undefined;
    if (this.#closed !== undefined) {
      return Promise.reject(new OperatingError("drive.closed", `Drive ${this.path} is closed.`, "Open it again."));
    }
    if (this.#plugged !== this.drive.plugged) {
      const gone = new OperatingError("drive.io", `Drive ${this.path} was pulled out.`, "Open it again.");
      return Promise.reject(gone);
    }
    this.#inFlight++;
    const { fua, signal } = options ?? {};
    return this.drive.submit(this.lock.process, operation, { lba, blocks }, buffer, {
      fua,
      signal,
      onDone: this.#onDone,
    });
  }

  readonly #onDone = () => {
    if (--this.#inFlight === 0) this.#onIdle?.();
  };
}
