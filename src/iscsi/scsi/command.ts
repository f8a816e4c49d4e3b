/**
 * One SCSI command between the transport and the command set. The transport fills in the CDB; `decode` of the
 * logical unit sets what is to be done as a plan; the transport moves the data and reports status and sense.
 * Transports keep commands in a pool: `reset` makes one ready for its next use.
 */

import type { Pending } from "../interfaces.ts";
import { type Sense, Status } from "./sense.ts";
import type { LogicalUnit } from "./unit.ts";

export const Plan = {
  /** Nothing but `status` and `sense` to report. */
  Done: 0,
  /** Send `reply`. */
  Reply: 1,
  /** Read `blocks` from `lba` and send them. */
  Read: 2,
  /** Take `blocks` and write them at `lba`. */
  Write: 3,
  /** Take `blocks` and run `piece` on each piece of them as it comes. */
  Pieces: 4,
  /** Take `transferBytes` whole, then run `consume`. */
  Collect: 5,
  /** Run `work`, which may take time to `answer`. */
  Work: 6,
} as const;

/** Work on blocks that the initiator sends. May reject with `CheckCondition`; pieces may be worked on side by side. */
export type Piece = (
  unit: LogicalUnit,
  command: Command,
  lba: number,
  data: Uint8Array,
  /** Where in the transfer the piece begins, in bytes. */
  offset: number,
) => Promise<void>;
/** Work that needs the whole parameter data. May throw or reject with `CheckCondition`. */
export type Consume = (unit: LogicalUnit, command: Command, data: Uint8Array) => Pending;
export type Work = (unit: LogicalUnit, command: Command) => Pending;

export class Command {
  readonly cdb = new Uint8Array(16);
  readonly view = new DataView(this.cdb.buffer);
  plan: number = Plan.Done;
  status: number = Status.Good;
  sense: Sense | undefined;
  lba = 0;
  blocks = 0;
  fua = false;
  /** What the CDB says is moved, in bytes, whichever way. */
  transferBytes = 0;
  reply: Uint8Array | undefined;
  exact = false;
  /** Whether an error of the device is to be taken for one of writing. */
  writing = false;
  piece: Piece | undefined;
  consume: Consume | undefined;
  work: Work | undefined;
  /** Reused while it was not aborted: made once the device turns out to need time. */
  #abort: AbortController | undefined;

  /** Aborted once the command is; to be had before the work's first wait, since an aborted command gets a new one. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    return this.#abort.signal;
  }

  /** Tells the device, if it was given the signal, that nobody waits any more. */
  cancel(): void {
    this.#abort?.abort();
    this.#abort = undefined;
  }

  reset(): void {
    this.plan = Plan.Done;
    this.status = Status.Good;
    this.sense = undefined;
    this.lba = 0;
    this.blocks = 0;
    this.fua = false;
    this.transferBytes = 0;
    this.reply = undefined;
    this.writing = false;
    this.piece = undefined;
    this.consume = undefined;
    this.work = undefined;
  }

  fail(sense: Sense): void {
    this.plan = Plan.Done;
    this.status = Status.CheckCondition;
    this.sense = sense;
    this.transferBytes = 0;
  }

  /** Ends it with RESERVATION CONFLICT. */
  conflict(): void {
    this.plan = Plan.Done;
    this.status = Status.ReservationConflict;
    this.transferBytes = 0;
  }

  /**
   * Takes `bytes` from the initiator, at most PIECE_BYTES_MAX, then runs `consume` on them.
   *
   * @param exact whether it is an error for the initiator to send more
   */
  collect(bytes: number, consume: Consume, exact = false): void {
    this.exact = exact;
    this.plan = Plan.Collect;
    this.transferBytes = bytes;
    this.consume = consume;
  }

  run(work: Work, writing = true): void {
    this.plan = Plan.Work;
    this.work = work;
    this.writing = writing;
  }

  /** Replies with `data`, cut to the allocation length of the CDB. */
  answer(data: Uint8Array, allocationLength: number): void {
    this.plan = Plan.Reply;
    this.reply = data.length > allocationLength ? data.subarray(0, allocationLength) : data;
    this.transferBytes = this.reply.length;
  }
}
