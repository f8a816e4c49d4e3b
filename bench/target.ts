/** Something that serves a volume over iSCSI, as the measurement sees it. */

export const TARGET_IQN = "iqn.2026-11.dev.antipode:bench";

export interface Target {
  readonly name: string;
  /** Where the volume is read, and where it is written: two LUNs over one file where those are to differ. */
  readonly readUrl: string;
  readonly writeUrl: string;
  /** The processes whose CPU and memory count. */
  readonly pids: readonly number[];
  /** Resolves when the target has nothing left to do for the requests that it has answered. */
  settle(): Promise<void>;
  /** Ends its processes and removes its files. */
  stop(): Promise<void>;
}

export function lunUrl(port: number, lun: number): string {
  return `iscsi://127.0.0.1:${port}/${TARGET_IQN}/${lun}`;
}
