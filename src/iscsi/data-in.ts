/**
 * Sends the data of a connection's reads: Data-In PDUs cut by the initiator's MaxRecvDataSegmentLength and by
 * MaxBurstLength, the last one carrying the status where it can't be lost (RFC 7143 section 11.7). What was lost on the way
 * to an initiator is read again.
 *
 * A small read of a device that completes at once goes straight into the output, behind its header. Any other
 * goes through pooled buffers, a piece at a time, and only while the output has room: a stalled read holds none.
 */

import type { BufferPool } from "./buffers.ts";
import { RejectReason } from "./constants.ts";
import type { Pending } from "./interfaces.ts";
import {
  DATA_RESENT_MAX,
  PIECE_BYTES_MAX,
  READ_AHEAD_BYTES,
  READ_BUDGET_BYTES,
  ZERO_COPY_BYTES_MIN,
} from "./limits.ts";
import type { Parameters } from "./negotiation.ts";
import type { Replies } from "./replies.ts";
import { hasFences } from "./response-fence.ts";
import type { LogicalUnit } from "./scsi/unit.ts";
import type { Allegiance, Task } from "./task.ts";

/** What transfers tell the owner of the tasks. */
export interface TaskOwner {
  /** The data is sent, with GOOD status. */
  sentWithStatus(task: Task): void;
  /** All is done but the status, which the task has. */
  finish(task: Task): void;
  /** Work at the device failed. */
  fail(task: Task, error: unknown, writing: boolean): void;
  /** Something that was in flight for an aborted or failed task has ended. */
  settle(task: Task): void;
  /** Data of a task that may be over is being read again; `over` never rejects. */
  readsAgain(task: Task, over: Promise<void>): void;
  /** The last status may be sent with the data: it opens the window that a finished task leaves. */
  grantFor(task: Task): void;
}

/** A Data-In of a transfer. */
interface DataInCut {
  readonly dataSN: number;
  readonly from: number;
  readonly to: number;
}

export class DataInTransfers {
  readonly #owner: TaskOwner;
  readonly #replies: Replies;
  readonly #parameters: Parameters;
  readonly #buffers: BufferPool;
  readonly #stalled: Task[] = [];
  /** Whether the last Data-In carries the status. Where it may be lost, or have to wait, the status goes on its own. */
  readonly #collapses: boolean;
  /** What is read again, and waits for room in the output. */
  readonly #waitingForRoom: (() => void)[] = [];
  /** Reads whose data is being sent again. */
  #resending = 0;
  #bytesHeld = 0;

  constructor(owner: TaskOwner, replies: Replies, parameters: Parameters, buffers: BufferPool) {
    this.#owner = owner;
    this.#replies = replies;
    this.#parameters = parameters;
    this.#buffers = buffers;
    this.#collapses = parameters.errorRecoveryLevel === 0 && !hasFences(parameters);
  }

  start(task: Task, unit: LogicalUnit): void {
    if (task.suspended) return;
    const bytes = task.reads ? Math.min(task.expectedDataTransferLength, task.transferBytes) : 0;
    task.readEnd = bytes;
    task.segmentBytes = this.#segment();
    if (bytes === 0) {
      this.#owner.finish(task);
      return;
    }
    if (unit.readsAtOnce && bytes < ZERO_COPY_BYTES_MIN && bytes === task.transferBytes && bytes <= task.segmentBytes) {
      this.#readInPlace(task, unit, bytes);
    } else this.#continue(task, unit);
  }

  /** Sends parameter data. */
  reply(task: Task, data: Uint8Array): void {
    if (task.suspended) return;
    const bytes = task.reads ? Math.min(task.expectedDataTransferLength, data.length) : 0;
    task.readEnd = bytes;
    task.segmentBytes = this.#segment();
    if (bytes === 0) {
      this.#owner.finish(task);
      return;
    }
    this.#send(task, data.subarray(0, bytes), undefined);
  }

  /** Goes on with reads that waited for room in the output or for a buffer. */
  resumeStalled(): void {
    // A read that stalls again goes to the back of the queue: each gets one chance a call.
    this.#wake();
    for (let count = this.#stalled.length; count > 0 && this.#hasRoom(); count--) {
      const task = this.#stalled.shift();
      if (task?.unit !== undefined) this.#continue(task, task.unit);
    }
  }

  get hasStalled(): boolean {
    return (this.#stalled.length > 0 || this.#waitingForRoom.length > 0) && this.#hasRoom();
  }

  /** Largest data segment to send. */
  #segment(): number {
    return Math.min(this.#replies.segmentBytesMax, this.#parameters.maxBurstLength);
  }

  #hasRoom(): boolean {
    if (this.#replies.output.queuedBytes >= READ_AHEAD_BYTES) return false;
    return this.#bytesHeld === 0 || (this.#bytesHeld < READ_BUDGET_BYTES && !this.#buffers.scarce);
  }

  #readInPlace(task: Task, unit: LogicalUnit, bytes: number): void {
    const { output } = this.#replies;
    const at = output.open(bytes);
    const dataAt = output.dataAt(at);
    const into = output.bytes.subarray(dataAt, dataAt + bytes);
    let pending: Pending;
    try {
      pending = unit.device.read(task.lba, into);
    } catch (error) {
      this.#owner.fail(task, error, false);
      return;
    }
    if (pending === undefined) {
      if (this.#collapses) this.#owner.grantFor(task);
      this.#replies.dataInHeader(at, task, bytes, true, this.#collapses);
      output.close(at, bytes);
      task.sent = bytes;
      this.#ended(task);
      return;
    }
    // The device needs time after all: it keeps this chunk until it is done, and later reads get their own buffers.
    unit.readsAtOnce = false;
    const chunk = output.detach();
    task.inFlight++;
    pending.then(
      () => {
        const { allegiance } = task;
        task.inFlight--;
        if (task.aborted || task.suspended) this.#owner.settle(task);
        else this.#send(task, into, undefined);
        output.reattach(chunk);
        allegiance.outputAdded();
      },
      (error) => {
        output.reattach(chunk);
        this.#failed(task, error);
      },
    );
  }

  #continue(task: Task, unit: LogicalUnit): void {
    while (task.sent < task.readEnd) {
      if (!this.#hasRoom()) {
        this.#stalled.push(task);
        return;
      }
      const bytes = Math.min(task.readEnd - task.sent, PIECE_BYTES_MAX);
      const blocks = Math.ceil(bytes / unit.blockSize);
      const buffer = this.#buffers.take(blocks * unit.blockSize);
      const held = buffer.length;
      this.#bytesHeld += held;
      const release = () => {
        this.#bytesHeld -= held;
        this.#buffers.give(buffer);
      };
      const into = buffer.length === blocks * unit.blockSize ? buffer : buffer.subarray(0, blocks * unit.blockSize);
      let pending: Pending;
      try {
        const lba = task.lba + task.sent / unit.blockSize;
        pending = unit.device.read(lba, into, unit.readsAtOnce ? undefined : task.signal);
      } catch (error) {
        release();
        this.#owner.fail(task, error, false);
        return;
      }
      if (pending === undefined) {
        unit.readsAtOnce = true;
        const last = task.sent + bytes === task.readEnd;
        this.#send(task, into.subarray(0, bytes), release);
        if (last) return;
        continue;
      }
      unit.readsAtOnce = false;
      task.inFlight++;
      pending.then(
        () => {
          const { allegiance } = task;
          task.inFlight--;
          if (task.aborted || task.suspended) {
            release();
            this.#owner.settle(task);
          } else {
            const last = task.sent + bytes === task.readEnd;
            this.#send(task, bytes === into.length ? into : into.subarray(0, bytes), release);
            if (!last) this.#continue(task, unit);
          }
          allegiance.outputAdded();
        },
        (error) => {
          release();
          this.#failed(task, error);
        },
      );
      return;
    }
  }

  #failed(task: Task, error: unknown): void {
    const { allegiance } = task;
    task.inFlight--;
    if (task.aborted || task.suspended) this.#owner.settle(task);
    else this.#owner.fail(task, error, false);
    allegiance.outputAdded();
  }

  /** The connection is lost: what waits for it need not. */
  close(): void {
    this.#wake();
  }

  /** A task that may have waited is over, or goes on elsewhere. */
  forget(task: Task): void {
    const index = this.#stalled.indexOf(task);
    if (index >= 0) this.#stalled.splice(index, 1);
    if (task.resent) this.#wake();
  }

  /** Whatever is read again and waits for room looks whether it still has to. */
  #wake(): void {
    for (const wake of this.#waitingForRoom.splice(0)) wake();
  }

  /** Sends a piece; the task is over if it was the last. `release` is called once nothing needs `data`. */
  #send(task: Task, data: Uint8Array, release: (() => void) | undefined): void {
    const { output } = this.#replies;
    const segmentMax = this.#segment();
    if (segmentMax !== task.segmentBytes) this.#segmentsChanged(task, segmentMax);
    const inPlace = release !== undefined && Math.min(data.length, segmentMax) >= ZERO_COPY_BYTES_MIN;
    for (let from = 0; from < data.length; ) {
      const room = Math.min(segmentMax, this.#parameters.maxBurstLength - task.burst);
      const bytes = Math.min(data.length - from, room);
      const ends = this.#collapses && task.sent + bytes === task.readEnd;
      task.burst += bytes;
      const final = task.sent + bytes === task.readEnd || task.burst === this.#parameters.maxBurstLength;
      if (final) task.burst = 0;
      if (ends) this.#owner.grantFor(task);
      const at = output.open(inPlace ? 0 : bytes);
      this.#replies.dataInHeader(at, task, bytes, final, ends);
      const segment = bytes === data.length ? data : data.subarray(from, from + bytes);
      from += bytes;
      task.sent += bytes;
      if (inPlace) output.closeWith(at, segment, from === data.length ? release : undefined);
      else {
        output.bytes.set(segment, output.dataAt(at));
        output.close(at, bytes);
      }
    }
    if (!inPlace) release?.();
    if (task.sent === task.readEnd) this.#ended(task);
  }

  #segmentsChanged(task: Task, bytes: number): void {
    if (this.#replies.retained !== undefined) task.formerSegments.push({ bytes: task.segmentBytes, until: task.sent });
    task.segmentBytes = bytes;
  }

  #ended(task: Task): void {
    if (this.#collapses) this.#owner.sentWithStatus(task);
    else this.#owner.finish(task);
  }

  /**
   * Sends Data-Ins of a task again, cut as they were.
   *
   * @param count 0 for all that were sent from `dataSN` on
   * @returns a reason to reject the request with, or 0
   */
  resend(task: Task, dataSN: number, count: number): number {
    const begin = dataSN === 0 && count === 0 ? task.firstDataSN : dataSN;
    const end = count === 0 ? task.dataSN : begin + count;
    if (begin < task.firstDataSN || begin >= task.dataSN || end > task.dataSN) return RejectReason.ProtocolError;
    // The initiator has changed what it takes since: what was sent can't be sent again.
    if (task.segmentBytes !== this.#segment() || task.formerSegments.length > 0) return RejectReason.SnackReject;
    if (this.#resending === DATA_RESENT_MAX) return RejectReason.OutOfResources;
    const { firstDataSN } = task;
    this.#resend(task, this.#cuts(task).slice(begin - firstDataSN, end - firstDataSN), () => {});
    return 0;
  }

  /**
   * Sends all Data-Ins of a task that were sent and not acknowledged again, cut as its initiator takes them now. What is
   * being sent again of them as they were stops, since the task has another SNACK Tag.
   *
   * @param sent called when they are sent, unless the device could not read again
   * @returns a reason to reject the request with, or 0
   */
  sendAnew(task: Task, sent: () => void): number {
    if (this.#resending === DATA_RESENT_MAX) return RejectReason.OutOfResources;
    this.#cutAnew(task);
    const cuts = this.#cuts(task, task.sent);
    task.dataSN = task.firstDataSN + cuts.length;
    this.#resend(task, cuts, sent);
    return 0;
  }

  #resend(task: Task, cuts: readonly DataInCut[], sent: () => void): void {
    const { snackTag, allegiance } = task;
    this.#resending++;
    this.#sendAgain(task, cuts, (error) => {
      this.#resending--;
      // A device that can't read again leaves the initiator to ask again, or to give the task up.
      if (error === undefined && task.snackTag === snackTag && mayStillBeSent(task, allegiance)) sent();
      this.#owner.settle(task);
    });
  }

  /** The initiator has all that comes before a Data-In: that is the first that it may ask for again. */
  acknowledge(task: Task, dataSN: number): void {
    if (dataSN <= task.firstDataSN || dataSN > task.dataSN) return;
    // No more of them than that: an initiator may acknowledge one after the other.
    task.firstByte = this.#cuts(task, task.readEnd, dataSN).at(-1)?.to ?? task.readEnd;
    task.firstDataSN = dataSN;
  }

  /**
   * Goes on with a read that had another connection, or whose Data-Ins are to be cut anew, from the first Data-In on that its
   * initiator does not have.
   */
  goOn(task: Task): void {
    const { unit } = task;
    if (task.segmentBytes === 0) {
      // Nothing was sent yet.
      if (task.reply !== undefined) this.reply(task, task.reply);
      else if (unit !== undefined) this.start(task, unit);
      return;
    }
    this.acknowledge(task, task.expDataSN);
    this.#cutAnew(task);
    task.dataSN = task.firstDataSN;
    task.sent = task.firstByte;
    this.#sendAgain(task, this.#cuts(task), (error) => {
      if (task.suspended || task.aborted) this.#owner.settle(task);
      else if (error === undefined) this.#owner.finish(task);
      else this.#owner.fail(task, error, false);
    });
  }

  /** What its initiator has not acknowledged is sent as it takes it now. */
  #cutAnew(task: Task): void {
    task.segmentBytes = this.#segment();
    task.formerSegments.length = 0;
  }

  /** @param done gets the error of a device that could not read again */
  #sendAgain(task: Task, cuts: readonly DataInCut[], done: (error: unknown) => void): void {
    const { reply, allegiance } = task;
    if (reply !== undefined) {
      for (const cut of cuts) this.#repeat(task, cut, reply.subarray(cut.from, cut.to));
      done(undefined);
      return;
    }
    task.resent = true;
    task.inFlight++;
    const end = (error: unknown) => {
      task.inFlight--;
      done(error);
      allegiance.outputAdded();
    };
    this.#owner.readsAgain(
      task,
      this.#readAgain(task, allegiance, cuts).then(() => end(undefined), end),
    );
  }

  async #readAgain(task: Task, allegiance: Allegiance, cuts: readonly DataInCut[]): Promise<void> {
    const { unit, snackTag } = task;
    if (unit === undefined) return;
    const { blockSize } = unit;
    const isWanted = () => task.snackTag === snackTag && mayStillBeSent(task, allegiance);
    for (const cut of cuts) {
      while (!this.#hasRoom() && isWanted()) {
        await new Promise<void>((resolve) => this.#waitingForRoom.push(resolve));
      }
      if (!isWanted()) return;
      const first = Math.floor(cut.from / blockSize);
      const blocks = Math.ceil(cut.to / blockSize) - first;
      const buffer = this.#buffers.take(blocks * blockSize);
      this.#bytesHeld += buffer.length;
      try {
        await unit.device.read(task.lba + first, buffer.subarray(0, blocks * blockSize));
        const at = cut.from - first * blockSize;
        if (isWanted()) this.#repeat(task, cut, buffer.subarray(at, at + cut.to - cut.from));
      } finally {
        this.#bytesHeld -= buffer.length;
        this.#buffers.give(buffer);
      }
      allegiance.outputAdded();
    }
  }

  #repeat(task: Task, { dataSN, from, to }: DataInCut, data: Uint8Array): void {
    const final = to === task.readEnd || to % this.#parameters.maxBurstLength === 0;
    this.#replies.repeatDataIn(task, dataSN, from, data, final);
    if (dataSN !== task.dataSN) return;
    task.dataSN++;
    task.sent = to;
  }

  /**
   * Where the Data-Ins of a task begin and end, from the first on that may be sent again, up to a byte and before a DataSN:
   * `#send` cuts by segments, bursts and pieces.
   */
  #cuts(
    { readEnd, segmentBytes, formerSegments, firstByte, firstDataSN }: Task,
    end = readEnd,
    endDataSN = Number.POSITIVE_INFINITY,
  ): DataInCut[] {
    const { maxBurstLength } = this.#parameters;
    const cuts: DataInCut[] = [];
    for (let from = firstByte, dataSN = firstDataSN; from < end && dataSN < endDataSN; dataSN++) {
      // A change comes between two pieces, so that no segment lies across it.
      const bytes = formerSegments.find(({ until }) => from < until)?.bytes ?? segmentBytes;
      const room = Math.min(maxBurstLength - (from % maxBurstLength), PIECE_BYTES_MAX - (from % PIECE_BYTES_MAX));
      const to = Math.min(end, from + bytes, from + room);
      cuts.push({ dataSN, from, to });
      from = to;
    }
    return cuts;
  }
}

/** Whether data of a task is to be sent again; its unit may have been taken away since it was sent, also from a task that is over. */
function mayStillBeSent(task: Task, allegiance: Allegiance): boolean {
  return !task.aborted && !allegiance.closed && task.nexus?.unit === task.unit;
}
