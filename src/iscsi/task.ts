/**
 * An iSCSI task: a SCSI command on its way through a session, with what is known of its data transfer.
 * Tasks are pooled; `begin` makes one ready. A task is in exactly one place that may end it: the initiator (data is
 * awaited), a queue of its session (deferred, or waiting for a buffer or for room in the output), or the device.
 */

import type { DataInTransfers } from "./data-in.ts";
import type { Replies } from "./replies.ts";
import { Command } from "./scsi/command.ts";
import type { LogicalUnit, Nexus } from "./scsi/unit.ts";
import { CommandKind } from "./statistics.ts";

/** A sequence of Data-Outs that was asked for by an R2T and has not ended. */
export interface OutstandingR2T {
  readonly targetTransferTag: number;
  readonly r2tSN: number;
  readonly start: number;
  readonly end: number;
}

/** The largest data segment of a read's Data-Ins up to a byte, where its initiator has changed what it takes since. */
export interface FormerSegments {
  readonly bytes: number;
  readonly until: number;
}

/** The connection that a task has come on: its data and its response go there, RFC 7143 section 4.2.2. */
export interface Allegiance {
  readonly cid: number;
  readonly replies: Replies;
  readonly dataIn: DataInTransfers;
  /** Nothing is sent any more. */
  readonly closed: boolean;
  /** Output was added outside of a data event. */
  outputAdded(): void;
  /** Runs once the initiator has acknowledged everything that was sent here; asks it to. */
  whenAcknowledged(run: () => void): void;
  /** A task ended: its payload, if it is arriving, is not to be stored any more. */
  taskEnded(task: Task): void;
}

export class Task extends Command {
  allegiance: Allegiance;
  initiatorTaskTag = 0;
  /** Its place among the commands of its session. An immediate one has that of the last before it. */
  cmdSN = 0;
  nexus: Nexus | undefined;
  /** The unit when the command came: a nexus may get another while the task lasts. */
  unit: LogicalUnit | undefined;
  /** For the statistics: one of `CommandKind`, and when it came. */
  kind: 0 | 1 | 2 = CommandKind.Other;
  arrivedAt = 0;
  ordered = false;
  /** The R and W flags. */
  reads = false;
  writes = false;
  expectedDataTransferLength = 0;
  /** Data-In and R2T PDUs sent. */
  dataSN = 0;
  started = false;

  /** Bytes that the initiator has sent, in order from 0. */
  received = 0;
  /** Bytes that are taken from the initiator; what comes beyond is discarded. */
  wanted = 0;
  /** The last unsolicited PDU, which has the F bit, is still to come. */
  unsolicitedOpen = false;
  unsolicitedEnd = 0;
  expectedDataSN = 0;
  /** Bytes that R2Ts have asked for, counted from 0. */
  solicited = 0;
  readonly r2ts: OutstandingR2T[] = [];
  /** A Data-Out was rejected: the others that are still to come are thrown away, and the response waits for them. */
  refused = false;
  /** The piece that is being received: `[pieceStart, pieceEnd)` of the transfer. */
  buffer: Uint8Array | undefined;
  pieceStart = 0;
  pieceEnd = 0;
  /** Of its buffer, while its turn has not come. */
  idleBytes = 0;

  /** Bytes sent, and bytes to send, of a read. */
  sent = 0;
  readEnd = 0;
  /** Bytes of the present Data-In sequence. */
  burst = 0;
  /** The largest data segment that its Data-Ins have; 0 before the first. */
  segmentBytes = 0;
  /** What it was before, if it has changed while they were sent; only where they may have to be sent again. */
  readonly formerSegments: FormerSegments[] = [];
  /** Its status is kept until it is acknowledged, and the task with it. */
  retained = false;
  /** Its data was read again, which may outlast it. */
  resent = false;
  /** Its connection is lost: nothing is sent for it until it has another, and what was under way for it has ended. */
  suspended = false;
  /** It had ended before it was reassigned. */
  isRepeated = false;
  /** The first Data-In that may be asked for again, and where it begins; before it the initiator has everything. */
  firstDataSN = 0;
  firstByte = 0;
  /** Of the last R-Data SNACK; its response carries it. */
  snackTag = 0;
  /** Of a reassignment: the first Data-In or R2T that the initiator does not have. */
  expDataSN = 0;

  /** Requests at the device, and retries that its gate holds. */
  inFlight = 0;
  /** The outcome is known; what is still to come for it is only awaited. */
  ending = false;
  aborted = false;
  /** Reported if the task is aborted on behalf of another initiator. */
  abortStatus = 0;
  readonly abortWaiters: (() => void)[] = [];

  constructor(allegiance: Allegiance) {
    super();
    this.allegiance = allegiance;
  }

  /** Whether its data may be sent once more: that of blocks is read again, and what is read is what is there now. */
  get mayBeReadAgain(): boolean {
    const { reply, unit, nexus } = this;
    return reply !== undefined || unit === undefined || nexus?.mayRead(unit) === true;
  }

  begin(allegiance: Allegiance): void {
    this.reset();
    this.allegiance = allegiance;
    this.nexus = undefined;
    this.unit = undefined;
    this.ordered = false;
    this.dataSN = 0;
    this.started = false;
    this.received = 0;
    this.wanted = 0;
    this.unsolicitedOpen = false;
    this.unsolicitedEnd = 0;
    this.expectedDataSN = 0;
    this.solicited = 0;
    this.r2ts.length = 0;
    this.refused = false;
    this.buffer = undefined;
    this.pieceStart = 0;
    this.pieceEnd = 0;
    this.idleBytes = 0;
    this.sent = 0;
    this.readEnd = 0;
    this.burst = 0;
    this.segmentBytes = 0;
    this.inFlight = 0;
    this.ending = false;
    this.aborted = false;
    this.abortStatus = 0;
    this.abortWaiters.length = 0;
    if (allegiance.replies.retained !== undefined) this.#beginRecoverable();
  }

  /** What only error recovery changes. */
  #beginRecoverable(): void {
    this.retained = false;
    this.resent = false;
    this.suspended = false;
    this.isRepeated = false;
    this.firstDataSN = 0;
    this.firstByte = 0;
    this.formerSegments.length = 0;
    this.snackTag = 0;
    this.expDataSN = 0;
  }
}
