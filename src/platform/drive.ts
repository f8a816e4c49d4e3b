import type { BlockDevice } from "../base/block-device.ts";
import type { ByteCount } from "../base/units.ts";

/** A drive: a block device of 4 KiB blocks, opened for this process alone. Buffers come from `Memory`. */
export interface Drive extends BlockDevice {
  readonly path: string;
  /** Waits for what is in flight, then releases the drive. */
  close(): Promise<void>;
}

export interface Drives {
  /**
   * Opens a block device or a file. A writable drive is locked, so that no two processes use it at once.
   * Rejects with `drive.missing`, `drive.busy`, `drive.denied` or `drive.unusable`.
   */
  open(path: string, access: "read-write" | "read-only"): Promise<Drive>;
  /** Makes a file of zeros, all of it written, to open as a drive. Rejects with `drive.exists` where one is there. */
  create(path: string, size: ByteCount): Promise<void>;
}
