/** Many short runs of either kind, each from a seed of its own, and what all of them were about. */

import { CommandFuzz } from "./command-fuzz.ts";
import { PduFuzz } from "./pdu-fuzz.ts";

/** A run begins with a new server, since changed commands leave a unit write-protected, reserved or the like. */
const RUN = 2000;

export interface CommandCounts {
  readonly commands: number;
  readonly good: number;
  readonly failed: number;
}

export interface PduCounts {
  readonly pdus: number;
  readonly logins: number;
  /** Requests of the bystander. */
  readonly served: number;
}

/** Bytes of the heap and of buffers that are in use, as far as they are not garbage. */
export function heldBytes(): number {
  Bun.gc(true);
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** @param afterRun called with the number of commands that were sent so far */
export async function fuzzCommands(commands: number, afterRun: (sent: number) => void): Promise<CommandCounts> {
  const outcomes = new Map<number, number>();
  for (let sent = 0; sent < commands; sent += RUN) {
    const fuzz = new CommandFuzz(`commands ${sent / RUN}`);
    await fuzz.run(RUN);
    for (const [status, count] of fuzz.outcomes) outcomes.set(status, (outcomes.get(status) ?? 0) + count);
    afterRun(sent + RUN);
  }
  const total = [...outcomes.values()].reduce((sum, count) => sum + count, 0);
  const good = outcomes.get(0) ?? 0;
  return { commands: total, good, failed: total - good };
}

/** @param afterRun called with the number of PDUs that were sent so far */
export async function fuzzPdus(pdus: number, afterRun: (sent: number) => void): Promise<PduCounts> {
  let [sent, logins, served] = [0, 0, 0];
  for (let run = 0; sent < pdus; run++) {
    const fuzz = new PduFuzz(`PDUs ${run}`);
    await fuzz.run(RUN);
    sent += fuzz.sent;
    logins += fuzz.logins;
    served += fuzz.served;
    afterRun(sent);
  }
  return { pdus: sent, logins, served };
}
