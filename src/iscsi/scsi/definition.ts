/** What is known of a command besides what it does: which CDBs are it, and what REPORT SUPPORTED OPERATION CODES says. */

import type { Command } from "./command.ts";
import type { LogicalUnit, Nexus } from "./unit.ts";

export type Handler = (command: Command, unit: LogicalUnit, nexus: Nexus) => void;

export interface Definition {
  readonly serviceAction?: number;
  /** The CDB USAGE DATA of REPORT SUPPORTED OPERATION CODES: which bits mean something. Its length is the CDB's. */
  readonly usage: readonly number[];
  /** Whether a unit has the command, where not all do: `run` refuses it otherwise. */
  readonly supportedBy?: (unit: LogicalUnit) => boolean;
  readonly run: Handler;
}

export type Row = readonly [opcode: number, definition: Definition];

export const LBA4 = [0xff, 0xff, 0xff, 0xff] as const;
export const LBA8 = [...LBA4, ...LBA4] as const;
