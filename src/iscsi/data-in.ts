/**
 * Sends the data of reads: Data-In PDUs cut by the initiator's MaxRecvDataSegmentLength and by MaxBurstLength, the
 * last one carrying the status (RFC 7143 section 11.7).
 *
 * A small read of a device that completes at once goes straight into the output, behind its header. Any other
 * goes through pooled buffers, a piece at a time, and only while the output has room: a stalled read holds none.
 */

import type { BufferPool } from "./buffers.ts";
import type { Pending } from "./interfaces.ts";
import { PIECE_BYTES_MAX, READ_AHEAD_BYTES, READ_BUDGET_BYTES, ZERO_COPY_BYTES_MIN } from "./limits.ts";
import type { Parameters } from "./negotiation.ts";
import type { Replies } from "./replies.ts";
import type { LogicalUnit } from "./scsi/unit.ts";
import type { Task } from "./task.ts";

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
  /** Output was added outside of a data event. */
  outputAdded(): void;
  /** The last status may be sent with the data: it opens the window that a finished task leaves. */
  grantFor(task: Task): void;
}

export class DataInTransfers {
  readonly #owner: TaskOwner;
  readonly #replies: Replies;
  readonly #parameters: Parameters;
  readonly #buffers: BufferPool;
  readonly stalled: Task[] = [];
  #bytesHeld = 0;

  constructor(owner: TaskOwner, replies: Replies, parameters: Parameters, buffers: BufferPool) {
    this.#owner = owner;
    this.#replies = replies;
    this.#parameters = parameters;
    this.#buffers = buffers;
  }

  start(task: Task, unit: LogicalUnit): void {
    const bytes = task.reads ? Math.min(task.expectedDataTransferLength, task.transferBytes) : 0;
    task.readEnd = bytes;
    if (bytes === 0) {
      this.#owner.finish(task);
      return;
    }
    if (unit.readsAtOnce && bytes < ZERO_COPY_BYTES_MIN && bytes === task.transferBytes && bytes <= this.#segment()) {
      this.#readInPlace(task, unit, bytes);
    } else this.#continue(task, unit);
  }

  /** Sends parameter data. */
  reply(task: Task, data: Uint8Array): void {
    const bytes = task.reads ? Math.min(task.expectedDataTransferLength, data.length) : 0;
    task.readEnd = bytes;
    if (bytes === 0) {
      this.#owner.finish(task);
      return;
    }
    this.#send(task, data.subarray(0, bytes), undefined);
  }

  /** Goes on with reads that waited for room in the output or for a buffer. */
  resumeStalled(): void {
    // A read that stalls again goes to the back of the queue: each gets one chance a call.
    for (let count = this.stalled.length; count > 0 && this.#hasRoom(); count--) {
      const task = this.stalled.shift();
      if (task?.unit !== undefined) this.#continue(task, task.unit);
    }
  }

  get hasStalled(): boolean {
    return this.stalled.length > 0 && this.#hasRoom();
  }

  /** Largest data segment to send. */
  #segment(): number {
    return Math.min(this.#replies.segmentBytesMax, this.#parameters.maxBurstLength);
  }

  #hasRoom(): boolean {
    return this.#replies.output.queuedBytes < READ_AHEAD_BYTES && this.#bytesHeld < READ_BUDGET_BYTES;
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
      this.#owner.grantFor(task);
      this.#replies.dataInHeader(at, task, bytes, true, true);
      output.close(at, bytes);
      this.#owner.sentWithStatus(task);
      return;
    }
    // The device needs time after all: it keeps this chunk until it is done, and later reads get their own buffers.
    unit.readsAtOnce = false;
    const chunk = output.detach();
    task.inFlight++;
    pending.then(
      () => {
        task.inFlight--;
        if (task.aborted) this.#owner.settle(task);
        else this.#send(task, into, undefined);
        output.reattach(chunk);
        this.#owner.outputAdded();
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
        this.stalled.push(task);
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
          task.inFlight--;
          if (task.aborted) {
            release();
            this.#owner.settle(task);
          } else {
            const last = task.sent + bytes === task.readEnd;
            this.#send(task, bytes === into.length ? into : into.subarray(0, bytes), release);
            if (!last) this.#continue(task, unit);
          }
          this.#owner.outputAdded();
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
    task.inFlight--;
    if (task.aborted) this.#owner.settle(task);
    else this.#owner.fail(task, error, false);
    this.#owner.outputAdded();
  }

  /** Sends a piece; the task is over if it was the last. `release` is called once nothing needs `data`. */
  #send(task: Task, data: Uint8Array, release: (() => void) | undefined): void {
    const { output } = this.#replies;
    const segmentMax = this.#segment();
    const inPlace = release !== undefined && Math.min(data.length, segmentMax) >= ZERO_COPY_BYTES_MIN;
    for (let from = 0; from < data.length; ) {
      const room = Math.min(segmentMax, this.#parameters.maxBurstLength - task.burst);
      const bytes = Math.min(data.length - from, room);
      const ends = task.sent + bytes === task.readEnd;
      task.burst += bytes;
      const final = ends || task.burst === this.#parameters.maxBurstLength;
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
    if (task.sent === task.readEnd) this.#owner.sentWithStatus(task);
  }
}
