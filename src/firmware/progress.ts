/** How far a long step is; for people to see. */
export interface Progress {
  readonly what: string;
  readonly done: number;
  readonly total: number;
}

export type OnProgress = (progress: Progress) => void;
