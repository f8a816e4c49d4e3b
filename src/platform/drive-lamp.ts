/** A lamp that has been made to show which drive is meant. */
export interface DriveLamp {
  /** `locate`: that of its bay, which is there for this. `activity`: its own, which blinks since the drive is read in a rhythm. */
  readonly kind: "locate" | "activity";
  /** Lets it be as it was. */
  off(): Promise<void>;
}
