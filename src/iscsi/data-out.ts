/**
 * Takes the data of writes: immediate, unsolicited and solicited by R2T (RFC 7143 sections 4.2.5 and 11.8), in
 * buffers out of the session's budget, and passes it to the device a piece at a time.
 *
 * Invariants: with DataPDUInOrder and DataSequenceInOrder both Yes, data arrives in order of its offset, so that
 * `received` says all; an R2T is sent only when there is a buffer for all that it asks for; what R2Ts may take of
 * the budget leaves room for the unsolicited data of a whole command window.
 */

import { type BufferPool, bufferBytes } from "./buffers.ts";
import { FINAL, RESERVED_TAG } from "./constants.ts";
import type { TaskOwner } from "./data-in.ts";
import type { Pending, WriteOptions } from "./interfaces.ts";
import { PIECE_BYTES_MAX, UNSOLICITED_RESERVE_BYTES, WRITE_BUDGET_BYTES } from "./limits.ts";
import type { Parameters } from "./negotiation.ts";
import { DataOut } from "./pdu.ts";
import { Plan } from "./scsi/command.ts";
import { Senses, Status } from "./scsi/sense.ts";
import type { Task } from "./task.ts";

const FUA: WriteOptions = Object.freeze({ fua: true });

export class DataOutTransfers {
  readonly #owner: TaskOwner;
  readonly #parameters: Parameters;
  readonly #buffers: BufferPool;
  /** Tasks that wait for a buffer before their next R2T, first come first served. */
  readonly #waiting: Task[] = [];
  #bytesHeld = 0;
  /** What is held for tasks whose turn has not come: no end of theirs will free it for those whose turn has. */
  #bytesIdle = 0;
  readonly #budget: number;
  /** One where data may be lost: what it is asked for again would not come in order otherwise. */
  readonly #outstandingR2TMax: number;

  constructor(owner: TaskOwner, parameters: Parameters, buffers: BufferPool, budget = WRITE_BUDGET_BYTES) {
    this.#owner = owner;
    this.#parameters = parameters;
    this.#buffers = buffers;
    this.#budget = budget;
    this.#outstandingR2TMax = parameters.errorRecoveryLevel > 0 ? 1 : parameters.maxOutstandingR2T;
  }

  get bytesHeld(): number {
    return this.#bytesHeld;
  }

  /**
   * Makes a decoded task ready for data that comes without being asked for.
   *
   * @param immediate bytes that come with the command
   * @returns false if there is no room: the task has TASK SET FULL, and its data will be thrown away
   */
  expect(task: Task, immediate: number): boolean {
    const length = task.expectedDataTransferLength;
    if (task.plan === Plan.Write || task.plan === Plan.Pieces) {
      const { blockSize } = unitOf(task);
      const bytes = task.writes ? Math.min(length, task.transferBytes) : 0;
      task.wanted = bytes - (bytes % blockSize);
    } else if (task.plan === Plan.Collect) {
      if (task.exact ? length !== task.transferBytes : length < task.transferBytes) task.fail(Senses.InvalidFieldInCdb);
      else task.wanted = task.transferBytes;
    }
    task.unsolicitedEnd = Math.min(this.#parameters.firstBurstLength, length);
    if (task.wanted === 0 || (immediate === 0 && !task.unsolicitedOpen)) return true;
    if (this.#bytesHeld === 0 || this.#fits(PIECE_BYTES_MAX)) {
      this.#beginPiece(task, task.wanted);
      this.#setIdle(task, task.buffer?.length ?? 0);
      return true;
    }
    const { blockSize } = unitOf(task);
    const unsolicited =
      task.plan === Plan.Collect
        ? task.wanted
        : Math.min(Math.ceil(task.unsolicitedEnd / blockSize) * blockSize, task.wanted);
    if (this.#buffers.exhausted || this.#bytesHeld + bufferBytes(unsolicited) > this.#budget) {
      task.wanted = 0;
      task.transferBytes = 0;
      task.plan = Plan.Done;
      task.status = Status.TaskSetFull;
      return false;
    }
    this.#beginPiece(task, unsolicited);
    this.#setIdle(task, task.buffer?.length ?? 0);
    return true;
  }

  /** Goes on with a task whose turn has come: what was received already may be all. */
  start(task: Task): void {
    this.#setIdle(task, 0);
    if (task.unsolicitedOpen || task.ending) return;
    if (task.wanted === 0) {
      // Without its data such a command can't be carried out, nor in part.
      if (task.plan === Plan.Collect && task.transferBytes > 0) task.fail(Senses.InvalidFieldInCdb);
      this.#owner.finish(task);
      return;
    }
    this.#advance(task);
  }

  /** Copies data that came with a command, or in a Data-Out that was checked by `accept`. */
  place(task: Task, bytes: Uint8Array, from: number, length: number): void {
    const room = Math.min(length, task.pieceEnd - task.received);
    if (task.buffer !== undefined && room > 0) {
      task.buffer.set(bytes.subarray(from, from + room), task.received - task.pieceStart);
    }
    task.received += length;
  }

  /** Where the payload of an accepted Data-Out goes that will arrive in parts; `undefined` discards it. */
  target(task: Task, length: number): Uint8Array | undefined {
    const at = task.received - task.pieceStart;
    if (task.buffer === undefined || task.received + length > task.pieceEnd) return undefined;
    return task.buffer.subarray(at, at + length);
  }

  /** Checks a Data-Out against what was asked for. @returns whether its data may be taken */
  accept(task: Task, view: DataView, at: number, length: number): boolean {
    const tag = view.getUint32(at + DataOut.targetTransferTag);
    const offset = view.getUint32(at + DataOut.bufferOffset);
    const dataSN = view.getUint32(at + DataOut.dataSN);
    const final = (view.getUint8(at + DataOut.flags) & FINAL) !== 0;
    if (offset !== task.received || dataSN !== task.expectedDataSN) return false;
    let end = task.unsolicitedEnd;
    if (task.unsolicitedOpen) {
      if (tag !== RESERVED_TAG) return false;
    } else {
      const r2t = task.r2ts[0];
      if (r2t === undefined || tag !== r2t.targetTransferTag) return false;
      end = r2t.end;
      // A solicited sequence ends exactly where the R2T said.
      if (final !== (offset + length === end)) return false;
    }
    if (offset + length > end) return false;
    task.expectedDataSN = final ? 0 : dataSN + 1;
    return true;
  }

  /**
   * Whether a Data-Out belongs to the sequence that is open and does not go back, so that it is damaged itself or was sent
   * after one that is.
   */
  isAfterLoss(task: Task, view: DataView, at: number, length: number): boolean {
    const tag = view.getUint32(at + DataOut.targetTransferTag);
    const offset = view.getUint32(at + DataOut.bufferOffset);
    const r2t = task.r2ts[0];
    if (task.unsolicitedOpen ? tag !== RESERVED_TAG : tag !== r2t?.targetTransferTag) return false;
    const end = task.unsolicitedOpen ? task.unsolicitedEnd : r2t.end;
    return offset >= task.received && offset + length <= end;
  }

  /** Data was lost: what is left of its sequence is thrown away, and all that is missing asked for again after that. */
  lost(task: Task, final: boolean): void {
    if (!final) return;
    task.expectedDataSN = 0;
    task.solicited = task.received;
    this.received(task, true);
  }

  /** A write has another connection: nothing that was to come on the one before will. */
  renew(task: Task): void {
    this.#forget(task);
    task.unsolicitedOpen = false;
    task.r2ts.length = 0;
    task.expectedDataSN = 0;
    task.solicited = task.received;
    if (task.expDataSN < task.dataSN) task.dataSN = task.expDataSN;
  }

  /** Goes on with a write that was renewed: asks for all that has not come. */
  goOn(task: Task): void {
    if (task.wanted > 0 && allPassed(task)) this.#owner.finish(task);
    else this.start(task);
  }

  #forget(task: Task): void {
    const waiting = this.#waiting.indexOf(task);
    if (waiting >= 0) this.#waiting.splice(waiting, 1);
  }

  /** Sends R2Ts again that were not answered yet. @param count 0 for all from `r2tSN` on @returns false if there are none */
  resendR2Ts(task: Task, r2tSN: number, count: number): boolean {
    const asked = task.r2ts.filter((one) => one.r2tSN >= r2tSN && (count === 0 || one.r2tSN < r2tSN + count));
    const lun = task.nexus?.lun ?? 0;
    for (const { targetTransferTag, r2tSN, start, end } of asked) {
      task.allegiance.replies.repeatR2T(task, lun, targetTransferTag, r2tSN, start, end - start);
    }
    return asked.length > 0;
  }

  /** The data of an accepted Data-Out is in place. */
  received(task: Task, final: boolean): void {
    if (!final) return;
    if (task.unsolicitedOpen) task.unsolicitedOpen = false;
    else task.r2ts.shift();
    if (task.ending) {
      this.#owner.finish(task);
      return;
    }
    if (task.started) this.start(task);
  }

  /** Gives up what a task holds. */
  release(task: Task): void {
    task.r2ts.length = 0;
    this.#forget(task);
    this.#setIdle(task, 0);
    if (task.buffer !== undefined) {
      const { buffer } = task;
      task.buffer = undefined;
      this.#give(buffer);
    }
  }

  /** Gives the tasks that wait for a buffer what has become free. */
  resumeWaiting(): void {
    while (this.#waiting.length > 0) {
      const task = this.#waiting[0];
      if (!this.#mayTake(bufferBytes(nextPieceBytes(task)))) return;
      this.#waiting.shift();
      this.#advance(task);
    }
  }

  /** Of a task whose turn has come: one such may always have a piece, whatever all others hold. */
  #mayTake(bytes: number): boolean {
    return this.#bytesHeld === this.#bytesIdle || this.#fits(bytes);
  }

  #fits(bytes: number): boolean {
    return !this.#buffers.scarce && this.#bytesHeld + bytes <= this.#budget - UNSOLICITED_RESERVE_BYTES;
  }

  #setIdle(task: Task, bytes: number): void {
    this.#bytesIdle += bytes - task.idleBytes;
    task.idleBytes = bytes;
  }

  #beginPiece(task: Task, upTo: number): void {
    task.pieceStart = task.pieceEnd;
    task.pieceEnd = Math.min(upTo, task.pieceStart + PIECE_BYTES_MAX);
    const bytes = task.pieceEnd - task.pieceStart;
    task.buffer = this.#buffers.take(bytes);
    this.#bytesHeld += task.buffer.length;
  }

  #give(buffer: Uint8Array): void {
    this.#bytesHeld -= buffer.length;
    this.#buffers.give(buffer);
  }

  /** Asks for more data, or passes on what is complete. */
  #advance(task: Task): void {
    while (!task.ending && !task.aborted) {
      if (task.buffer === undefined) {
        if (!this.#mayTake(bufferBytes(nextPieceBytes(task)))) {
          this.#waiting.push(task);
          return;
        }
        this.#beginPiece(task, task.wanted);
      }
      if (task.received < task.pieceEnd) {
        this.#solicit(task);
        return;
      }
      if (!this.#pass(task)) return;
    }
  }

  #solicit(task: Task): void {
    if (task.suspended) return;
    if (task.solicited < task.received) task.solicited = task.received;
    const { maxBurstLength } = this.#parameters;
    while (task.r2ts.length < this.#outstandingR2TMax && task.solicited < task.pieceEnd) {
      const length = Math.min(maxBurstLength, task.pieceEnd - task.solicited);
      const tag = task.allegiance.replies.readyToTransfer(task, task.nexus?.lun ?? 0, task.solicited, length);
      const start = task.solicited;
      task.solicited += length;
      task.r2ts.push({ targetTransferTag: tag, r2tSN: task.dataSN - 1, start, end: task.solicited });
      task.allegiance.outputAdded();
    }
  }

  /** Passes a complete piece on. @returns whether there is more to ask for */
  #pass(task: Task): boolean {
    const unit = unitOf(task);
    const { buffer } = task;
    if (buffer === undefined) return false;
    const start = task.pieceStart;
    const bytes = task.pieceEnd - start;
    const data = bytes === buffer.length ? buffer : buffer.subarray(0, bytes);
    const last = task.pieceEnd >= task.wanted;
    task.buffer = undefined;
    if (task.plan === Plan.Write && !unit.beginWrite(() => this.#passLater(task, buffer, data, start))) {
      task.inFlight++;
      return !last;
    }
    let pending: Pending;
    try {
      pending = this.#submit(task, data, start);
    } catch (error) {
      if (task.plan === Plan.Write) unit.endWrite();
      this.#give(buffer);
      this.#owner.fail(task, error, task.plan === Plan.Write);
      return false;
    }
    if (pending === undefined) {
      if (task.plan === Plan.Write) {
        unit.endWrite();
        unit.writesAtOnce = true;
      }
      this.#give(buffer);
      if (!last) return true;
      if (task.inFlight === 0) this.#owner.finish(task);
      return false;
    }
    if (task.plan === Plan.Write) unit.writesAtOnce = false;
    task.inFlight++;
    this.#await(task, pending, buffer, last);
    return !last;
  }

  /** Another command had the unit for itself; the piece goes on now. */
  #passLater(task: Task, buffer: Uint8Array, data: Uint8Array, start: number): void {
    const unit = unitOf(task);
    if (task.aborted || task.ending) {
      task.inFlight--;
      this.#give(buffer);
      this.#owner.settle(task);
      return;
    }
    if (!unit.beginWrite(() => this.#passLater(task, buffer, data, start))) return;
    let pending: Pending;
    try {
      pending = this.#submit(task, data, start);
    } catch (error) {
      pending = Promise.reject(error);
    }
    this.#await(task, pending ?? Promise.resolve(), buffer, start + data.length >= task.wanted);
  }

  #submit(task: Task, data: Uint8Array, start: number): Pending {
    const unit = unitOf(task);
    const lba = task.lba + start / unit.blockSize;
    switch (task.plan) {
      case Plan.Write: {
        if (unit.writesAtOnce) return unit.device.write(lba, data, task.fua ? FUA : undefined);
        return unit.device.write(lba, data, { fua: task.fua, signal: task.signal });
      }
      case Plan.Pieces:
        return task.piece?.(unit, task, lba, data, start);
      default:
        return task.consume?.(unit, task, data);
    }
  }

  #await(task: Task, pending: Promise<void>, buffer: Uint8Array, last: boolean): void {
    const unit = unitOf(task);
    const gated = task.plan === Plan.Write;
    pending.then(
      () => {
        const { allegiance } = task;
        if (gated) unit.endWrite();
        this.#give(buffer);
        task.inFlight--;
        if (task.aborted || task.ending || task.suspended) this.#owner.settle(task);
        else if (task.inFlight === 0 && (last || allPassed(task))) this.#owner.finish(task);
        this.resumeWaiting();
        allegiance.outputAdded();
      },
      (error) => {
        const { allegiance } = task;
        if (gated) unit.endWrite();
        this.#give(buffer);
        task.inFlight--;
        if (task.aborted || task.ending) this.#owner.settle(task);
        else this.#owner.fail(task, error, gated || task.writing);
        this.resumeWaiting();
        allegiance.outputAdded();
      },
    );
  }
}

function allPassed(task: Task): boolean {
  return task.buffer === undefined && task.pieceEnd >= task.wanted;
}

function nextPieceBytes(task: Task): number {
  return Math.min(task.wanted - task.pieceEnd, PIECE_BYTES_MAX);
}

function unitOf(task: Task) {
  const { unit } = task;
  if (unit === undefined) throw new Error("a data transfer without a logical unit");
  return unit;
}
