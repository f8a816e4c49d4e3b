/**
 * The order of a session's commands over all of its connections, RFC 7143 section 4.2.2.1: the next CmdSN, the window
 * that is open, and the commands that have come before their turn.
 *
 * Invariants: MaxCmdSN never goes back; what waits has a CmdSN after ExpCmdSN and within the window, each at most once,
 * and is within EARLY_BYTES_MAX.
 */

import { COMMAND_WINDOW, EARLY_BYTES_MAX, PLUGGED_COMMANDS_MAX } from "./limits.ts";
import { before, Common } from "./pdu.ts";

/** A PDU that is kept, header and data in a buffer of their own. */
export interface KeptPdu {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly dataAt: number;
  readonly dataBytes: number;
  /** Its data digest does not match. */
  readonly isDamaged?: boolean;
}

/** Who is given an early command when its turn has come. */
export interface EarlyOwner {
  deliver(command: EarlyCommand): void;
}

/** A command before its turn, and the data that came for it. */
export interface EarlyCommand extends KeptPdu {
  /** The connection that it has come on. */
  readonly owner: EarlyOwner;
  readonly initiatorTaskTag: number;
  readonly dataOuts: KeptPdu[];
}

/** @returns a copy of a PDU of which the data lies at `dataAt` */
export function keep(bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): KeptPdu {
  const kept = bytes.slice(at, dataAt + dataBytes);
  return { view: new DataView(kept.buffer, kept.byteOffset, kept.length), bytes: kept, dataAt: dataAt - at, dataBytes };
}

export class CommandOrder {
  expCmdSN: number;
  maxCmdSN: number;
  /** How many commands, aborted CmdSNs and others wait for ExpCmdSN to come to them. */
  waiting = 0;
  readonly #early = new Map<number, EarlyCommand>();
  /** CmdSNs of commands that were aborted before they came. */
  readonly #plugged = new Set<number>();
  readonly #waiters: { readonly cmdSN: number; readonly run: () => void }[] = [];
  #bytes = 0;

  constructor(cmdSN: number) {
    this.expCmdSN = cmdSN;
    this.maxCmdSN = (cmdSN + COMMAND_WINDOW - 1) >>> 0;
  }

  /** Opens the window as far as `tasks` in progress leave room. */
  grant(tasks: number): void {
    const max = (this.expCmdSN + Math.max(COMMAND_WINDOW - tasks, 0) - 1) >>> 0;
    if (before(this.maxCmdSN, max)) this.maxCmdSN = max;
  }

  /** The command whose turn it was has come. */
  advance(): void {
    this.expCmdSN = (this.expCmdSN + 1) >>> 0;
  }

  inWindow(cmdSN: number): boolean {
    return !before(cmdSN, this.expCmdSN) && !before(this.maxCmdSN, cmdSN);
  }

  /** Whether there is anything that a missing command holds up. */
  get isHeldUp(): boolean {
    return this.#early.size > 0 || this.#waiters.length > 0;
  }

  /** Runs once every command before `cmdSN` has come. @returns false if it need not wait */
  whenReceived(cmdSN: number, run: () => void): boolean {
    if (!before(this.expCmdSN, cmdSN) || before((this.maxCmdSN + 1) >>> 0, cmdSN)) return false;
    this.#waiters.push({ cmdSN, run });
    this.waiting++;
    return true;
  }

  /** Keeps a command of the window for its turn. @returns false if there is no room for it */
  addEarly(cmdSN: number, pdu: KeptPdu, owner: EarlyOwner): boolean {
    if (this.#early.has(cmdSN) || this.#plugged.has(cmdSN)) return true;
    if (this.#bytes + pdu.bytes.length > EARLY_BYTES_MAX) return false;
    this.#bytes += pdu.bytes.length;
    this.waiting++;
    this.#early.set(cmdSN, {
      ...pdu,
      owner,
      initiatorTaskTag: pdu.view.getUint32(Common.initiatorTaskTag),
      dataOuts: [],
    });
    return true;
  }

  /** The early command that data belongs to. */
  earlyOf(owner: EarlyOwner, initiatorTaskTag: number): EarlyCommand | undefined {
    for (const command of this.#early.values()) {
      if (command.owner === owner && command.initiatorTaskTag === initiatorTaskTag) return command;
    }
    return undefined;
  }

  /** Keeps data that has come for an early command. @returns false if there is no room for it */
  addData(command: EarlyCommand, pdu: KeptPdu): boolean {
    if (this.#bytes + pdu.bytes.length > EARLY_BYTES_MAX) return false;
    this.#bytes += pdu.bytes.length;
    command.dataOuts.push(pdu);
    return true;
  }

  /**
   * Moves on over aborted commands, and runs what has waited for commands that have come.
   *
   * @returns the early command whose turn it is now, if there is one
   */
  next(): EarlyCommand | undefined {
    while (this.#plugged.delete(this.expCmdSN)) {
      this.waiting--;
      this.advance();
    }
    this.#runWaiters();
    const command = this.#early.get(this.expCmdSN);
    if (command === undefined) return undefined;
    this.#remove(this.expCmdSN, command);
    this.advance();
    return command;
  }

  /** A command of the window that was not carried out counts as come and aborted. @returns false if too many do */
  plug(cmdSN: number): boolean {
    const early = this.#early.get(cmdSN);
    if (early !== undefined) this.#remove(cmdSN, early);
    else if (!this.#plugged.has(cmdSN) && this.#plugged.size === PLUGGED_COMMANDS_MAX) return false;
    if (!this.#plugged.has(cmdSN)) this.waiting++;
    this.#plugged.add(cmdSN);
    return true;
  }

  /** All commands before a CmdSN of the window count as come and aborted, those too that wait for their turn. */
  plugUntil(cmdSN: number): void {
    if (!before(this.expCmdSN, cmdSN) || before((this.maxCmdSN + 1) >>> 0, cmdSN)) return;
    for (const [one, command] of this.#early) if (before(one, cmdSN)) this.#remove(one, command);
    for (const one of this.#plugged) if (before(one, cmdSN) && this.#plugged.delete(one)) this.waiting--;
    this.expCmdSN = cmdSN;
  }

  /** What has come early on a connection that is gone counts as not come: its initiator may send it again. */
  forget(owner: EarlyOwner): void {
    for (const [cmdSN, command] of this.#early) if (command.owner === owner) this.#remove(cmdSN, command);
  }

  /** Ends the waiting of all. */
  clear(): void {
    this.#early.clear();
    this.#plugged.clear();
    this.#waiters.length = 0;
    this.#bytes = 0;
    this.waiting = 0;
  }

  #runWaiters(): void {
    for (let index = 0; index < this.#waiters.length; ) {
      const { cmdSN, run } = this.#waiters[index];
      if (before(this.expCmdSN, cmdSN)) {
        index++;
        continue;
      }
      this.#waiters.splice(index, 1);
      this.waiting--;
      run();
    }
  }

  #remove(cmdSN: number, command: EarlyCommand): void {
    this.#early.delete(cmdSN);
    this.waiting--;
    this.#bytes -= command.bytes.length;
    for (const { bytes } of command.dataOuts) this.#bytes -= bytes.length;
  }
}
