/** How quick a simulated drive is, and what it keeps without being told to. */

export type DriveOperation = "read" | "write" | "flush" | "unmap";

/** Least and most milliseconds. */
export type Latency = readonly [min: number, max: number];

export interface DriveSettings {
  readonly read: Latency;
  readonly write: Latency;
  readonly unmap: Latency;
  readonly flush: Latency;
  /** Shared by all requests; unlimited unless told otherwise. */
  readonly bytesPerSecond: number;
  /** Whether completed writes without FUA wait for a flush. False: a drive that never loses a completed write. */
  readonly volatileCache: boolean;
}

export const DRIVE_SETTINGS: DriveSettings = {
  read: [0.05, 0.2],
  write: [0.05, 0.3],
  unmap: [0.05, 0.3],
  flush: [0.2, 1],
  bytesPerSecond: Number.POSITIVE_INFINITY,
  volatileCache: true,
};
