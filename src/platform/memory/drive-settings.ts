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
  /**
   * Where completed writes without FUA are. `none`: on the media. `volatile`: at a power cut's mercy until a flush.
   * `battery`: safe as long as the machine's battery holds, and whether it holds or not, flushes and FUA take no time;
   * they reach the media by themselves, and what has not is at the mercy of a power cut without battery.
   */
  readonly cache: "none" | "volatile" | "battery";
  /** Until a battery-backed cache has written a block to the media by itself. */
  readonly drain: Latency;
}

export const DRIVE_SETTINGS: DriveSettings = {
  read: [0.05, 0.2],
  write: [0.05, 0.3],
  unmap: [0.05, 0.3],
  flush: [0.2, 1],
  bytesPerSecond: Number.POSITIVE_INFINITY,
  cache: "volatile",
  drain: [50, 500],
};
