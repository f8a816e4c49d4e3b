/**
 * The tasks of one session: from a SCSI Command PDU to its response, and their abortion.
 *
 * Invariants: a task is in the table from its command to its response, so that its tag cannot come twice; a task
 * that has requests at its device is never given up before these have ended, since a write that lands after its
 * abortion was confirmed could overwrite a newer one; a response waits for the last unsolicited data.
 */

import type { BufferPool } from "./buffers.ts";
import type { CommandOrder } from "./command-order.ts";
import { CommandFlag, FINAL, IMMEDIATE, RejectReason, TaskAttribute } from "./constants.ts";
import type { TaskOwner } from "./data-in.ts";
import { DataOutTransfers } from "./data-out.ts";
import type { Pending, Timers } from "./interfaces.ts";
import { TASKS_MAX } from "./limits.ts";
import type { Parameters } from "./negotiation.ts";
import { before, readLun, ScsiCommand } from "./pdu.ts";
import type { FencedTasks, ResponseFences } from "./response-fence.ts";
import { type Command, Plan } from "./scsi/command.ts";
import { decode, meetsReservation } from "./scsi/device.ts";
import type { LunView } from "./scsi/lun-view.ts";
import { CheckCondition, type Sense, SenseKey, Senses, Status } from "./scsi/sense.ts";
import type { LogicalUnit, Nexus } from "./scsi/unit.ts";
import { CommandKind } from "./statistics.ts";
import { type Allegiance, Task } from "./task.ts";

export interface TaskSetEvents {
  deviceFailed(lun: number, error: unknown): void;
  /** The last task ended, and whatever a device did for one. */
  idle(): void;
}

export class TaskSet implements TaskOwner, FencedTasks {
  readonly dataOut: DataOutTransfers;
  readonly #order: CommandOrder;
  readonly #parameters: Parameters;
  readonly view: LunView;
  readonly #timers: Timers;
  readonly #events: TaskSetEvents;
  readonly #tasks = new Map<number, Task>();
  readonly #pool: Task[] = [];
  #lastNexus: Nexus | undefined;
  /** Tasks that wait for an ordered one, or are ordered and wait for others; in order of arrival. */
  readonly #deferred: Task[] = [];
  /** Reads of data that was sent before; their tasks may be over. */
  readonly #readsAgain = new Set<{ readonly task: Task; readonly over: Promise<void> }>();
  #closed = false;
  /** Where responses may have to wait for others, if they may. */
  fences: ResponseFences | undefined;
  /** When the data event came that is being taken; of what came with the end of the login, when that ended. */
  arrivedAt: number;
  commands = 0;
  bytesRead = 0;
  bytesWritten = 0;

  constructor(
    order: CommandOrder,
    parameters: Parameters,
    view: LunView,
    buffers: BufferPool,
    timers: Timers,
    events: TaskSetEvents,
    writeBudget?: number,
  ) {
    this.#timers = timers;
    this.arrivedAt = timers.now();
    this.#order = order;
    this.#parameters = parameters;
    this.view = view;
    this.#events = events;
    this.dataOut = new DataOutTransfers(this, parameters, buffers, writeBudget);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** No device works for any of them. */
  get isIdle(): boolean {
    return this.#tasks.size === 0 && this.#readsAgain.size === 0;
  }

  get size(): number {
    return this.#tasks.size;
  }

  get(initiatorTaskTag: number): Task | undefined {
    return this.#tasks.get(initiatorTaskTag);
  }

  /** A SCSI Command whose CmdSN was accepted. @returns a reason to reject it with, or 0 */
  command(
    allegiance: Allegiance,
    view: DataView,
    bytes: Uint8Array,
    at: number,
    dataAt: number,
    dataBytes: number,
  ): number {
    const flags = view.getUint8(at + ScsiCommand.flags);
    const tag = view.getUint32(at + ScsiCommand.initiatorTaskTag);
    const length = view.getUint32(at + ScsiCommand.expectedDataTransferLength);
    if (this.#tasks.has(tag)) return RejectReason.TaskInProgress;
    const writes = (flags & CommandFlag.Write) !== 0;
    const final = (flags & FINAL) !== 0;
    const parameters = this.#parameters;
    if (!writes && (dataBytes > 0 || !final)) return RejectReason.InvalidPduField;
    if (writes && (flags & CommandFlag.Read) !== 0) return RejectReason.InvalidPduField;
    if (dataBytes > length || dataBytes > parameters.firstBurstLength) return RejectReason.ProtocolError;

    const task = this.#pool.pop() ?? new Task(allegiance);
    task.begin(allegiance);
    task.initiatorTaskTag = tag;
    task.cmdSN = view.getUint32(at + ScsiCommand.cmdSN);
    if ((view.getUint8(at) & IMMEDIATE) !== 0) task.cmdSN--;
    task.expectedDataTransferLength = length;
    task.writes = writes;
    task.reads = (flags & CommandFlag.Read) !== 0;
    task.view.setUint32(0, view.getUint32(at + 32));
    task.view.setUint32(4, view.getUint32(at + 36));
    task.view.setUint32(8, view.getUint32(at + 40));
    task.view.setUint32(12, view.getUint32(at + 44));
    const nexus = this.nexus(readLun(view, at + ScsiCommand.lun));
    task.nexus = nexus;
    task.unit = nexus.unit;
    task.arrivedAt = this.arrivedAt;
    task.unit?.counter.begun();
    this.#tasks.set(tag, task);
    this.commands++;

    if (this.#tasks.size > TASKS_MAX) task.status = Status.TaskSetFull;
    else decode(task, nexus);
    task.kind =
      task.plan === Plan.Read ? CommandKind.Read : task.plan === Plan.Write ? CommandKind.Write : CommandKind.Other;
    if (writes) this.#unasked(task, bytes, dataAt, dataBytes, final);
    // Without its parameter list a command is not carried out, so it must not seem to be.
    else if (task.plan === Plan.Collect && task.transferBytes > 0) task.fail(Senses.InvalidFieldInCdb);
    this.#begin(task, nexus, flags & CommandFlag.AttributeMask);
    return 0;
  }

  /** Data that comes with a command, or right after it. */
  #unasked(task: Task, bytes: Uint8Array, dataAt: number, dataBytes: number, final: boolean): void {
    task.unsolicitedOpen = !final;
    if (
      (!final && (this.#parameters.initialR2T || dataBytes >= this.#parameters.firstBurstLength)) ||
      (dataBytes > 0 && !this.#parameters.immediateData)
    ) {
      task.fail(Senses.UnexpectedUnsolicitedData);
      // What follows such a command cannot be waited for.
      task.unsolicitedOpen = false;
    }
    this.dataOut.expect(task, dataBytes);
    if (dataBytes > 0) this.dataOut.place(task, bytes, dataAt, dataBytes);
  }

  #begin(task: Task, nexus: Nexus, attribute: number): void {
    const ordered = attribute === TaskAttribute.Ordered;
    const waits =
      attribute !== TaskAttribute.HeadOfQueue &&
      (nexus.orderedActive || (ordered && nexus.active > 0) || this.#hasDeferred(nexus));
    task.ordered = ordered;
    if (waits) this.#deferred.push(task);
    else this.#start(task, nexus);
  }

  #start(task: Task, nexus: Nexus): void {
    task.started = true;
    nexus.active++;
    if (task.ordered) nexus.orderedActive = true;
    const { unit } = task;
    if (task.plan === Plan.Reply) {
      task.allegiance.dataIn.reply(task, task.reply ?? NOTHING);
      return;
    }
    if (task.plan === Plan.Done || unit === undefined) {
      this.finish(task);
      return;
    }
    switch (task.plan) {
      case Plan.Read:
        task.allegiance.dataIn.start(task, unit);
        return;
      case Plan.Work:
        this.#work(task);
        return;
      default:
        this.dataOut.start(task);
        return;
    }
  }

  #work(task: Task): void {
    const { unit } = task;
    if (unit === undefined) {
      this.finish(task);
      return;
    }
    let pending: Pending;
    try {
      pending = task.work?.(unit, task);
    } catch (error) {
      this.fail(task, error, task.writing);
      return;
    }
    if (pending === undefined) {
      this.finish(task);
      return;
    }
    task.inFlight++;
    pending.then(
      () => {
        const { allegiance } = task;
        task.inFlight--;
        if (task.aborted || (task.suspended && task.plan === Plan.Reply)) this.settle(task);
        else if (task.plan === Plan.Reply) task.allegiance.dataIn.reply(task, task.reply ?? NOTHING);
        else this.finish(task);
        allegiance.outputAdded();
      },
      (error) => {
        const { allegiance } = task;
        task.inFlight--;
        if (task.aborted) this.settle(task);
        else this.fail(task, error, task.writing);
        allegiance.outputAdded();
      },
    );
  }

  grantFor(_task: Task): void {
    this.#order.grant(this.#tasks.size - 1);
  }

  sentWithStatus(task: Task): void {
    this.#moved(task);
    this.#count(task);
    this.#end(task);
  }

  finish(task: Task): void {
    task.ending = true;
    if (task.unsolicitedOpen || task.inFlight > 0 || (task.refused && task.r2ts.length > 0)) return;
    if (task.suspended) this.settle(task);
    else this.#respond(task);
  }

  fail(task: Task, error: unknown, writing: boolean): void {
    if (!task.ending) this.#blame(task, error, writing);
    this.finish(task);
  }

  settle(task: Task): void {
    if (task.inFlight > 0 || this.#tasks.get(task.initiatorTaskTag) !== task) return;
    if (task.aborted) this.#endAborted(task);
    else if (task.suspended) {
      if (!task.allegiance.closed) this.#goOn(task);
    } else if (task.ending) this.finish(task);
  }

  /**
   * Data came for a task that nobody asked for, and was rejected: the task fails.
   *
   * @param isOfSequence whether the data is one of a sequence that is open: the response waits then for the end of all that
   * are (section 11.17.1). After any other nobody knows what is to come, and no more is awaited
   */
  dataErrors(task: Task, isOfSequence: boolean): void {
    task.refused = isOfSequence;
    if (!isOfSequence) {
      task.unsolicitedOpen = false;
      task.r2ts.length = 0;
    }
    this.fail(task, new CheckCondition(Senses.IncorrectAmountOfData), true);
  }

  #blame(task: Task, error: unknown, writing: boolean): void {
    const moved = task.transferBytes;
    if (error instanceof CheckCondition) task.fail(error.sense);
    else {
      task.unit?.counter.deviceFailed(writing);
      this.#events.deviceFailed(task.unit?.lun ?? 0, error);
      const sense: Sense | "BUSY" = this.view.device.host.senseFor(error, writing);
      if (sense === "BUSY") {
        task.plan = Plan.Done;
        task.status = Status.Busy;
      } else task.fail(sense);
    }
    // Data has moved for it: the residual is that of the transfer, not of a command without one.
    task.transferBytes = moved;
  }

  #respond(task: Task): void {
    if (this.fences?.holds(task) !== true) this.answer(task);
  }

  goOnAnswering(task: Task): void {
    const { allegiance } = task;
    this.finish(task);
    allegiance.outputAdded();
  }

  answer(task: Task): void {
    if (!task.isRepeated) {
      if (task.status === Status.Good) this.#moved(task);
      this.#count(task);
    }
    if (!task.allegiance.closed) {
      this.#order.grant(this.#tasks.size - 1);
      const moved = task.status === Status.Good || task.sense === undefined ? task.transferBytes : transferredBy(task);
      task.allegiance.replies.scsiResponse(task, moved, task.unit?.dSense ?? false);
    }
    this.#end(task);
  }

  #count(task: Task): void {
    const counter = task.unit?.counter;
    if (counter === undefined || task.aborted) return;
    counter.answered(task.kind, this.#timers.now() - task.arrivedAt);
    if (task.status === Status.Good) {
      if (task.writes) counter.bytesWritten += Math.min(task.transferBytes, task.expectedDataTransferLength);
      else counter.bytesRead += task.readEnd;
    } else if (task.sense === undefined) {
      if (task.status !== Status.ConditionMet) counter.refused++;
    } else if (task.sense.key !== SenseKey.UnitAttention) counter.failed++;
  }

  /** Counts what a command that succeeded has moved. */
  #moved(task: Task): void {
    const { unit } = task;
    if (!task.writes) {
      this.bytesRead += task.readEnd;
      if (task.plan === Plan.Read) unit?.transfers.read(task.blocks);
      return;
    }
    const bytes = Math.min(task.transferBytes, task.expectedDataTransferLength);
    this.bytesWritten += bytes;
    if (unit !== undefined && (task.plan === Plan.Write || task.writing)) {
      unit.transfers.wrote(Math.floor(bytes / unit.blockSize));
    }
  }

  #end(task: Task): void {
    this.#tasks.delete(task.initiatorTaskTag);
    task.unit?.counter.ended();
    if (task.aborted) this.#abortionEnded(task);
    task.allegiance.taskEnded(task);
    this.dataOut.release(task);
    const { nexus } = task;
    if (nexus !== undefined && task.started) {
      nexus.active--;
      if (task.ordered) nexus.orderedActive = false;
    } else remove(this.#deferred, task);
    // Others may have waited for one that was aborted before it started.
    if (nexus !== undefined && this.#deferred.length > 0) this.#startDeferred(nexus);
    if (!task.retained) this.takeBack(task);
    if (!this.#closed) this.dataOut.resumeWaiting();
    if (this.isIdle) this.#events.idle();
  }

  #abortionEnded({ unit, nexus, isRepeated }: Task): void {
    if (unit !== undefined && !isRepeated) unit.counter.aborted++;
    nexus?.abortionEnded();
  }

  /** A connection is lost: its tasks wait for another. */
  suspend(allegiance: Allegiance): void {
    for (const task of this.#tasks.values()) {
      if (task.allegiance !== allegiance || task.aborted) continue;
      task.suspended = true;
      allegiance.dataIn.forget(task);
    }
  }

  /**
   * Gives a task of a lost connection to another.
   *
   * @param expDataSN the first Data-In or R2T that its initiator does not have
   */
  reassign(task: Task, allegiance: Allegiance, expDataSN: number): void {
    if (this.#tasks.get(task.initiatorTaskTag) !== task) this.#begunAgain(task);
    task.allegiance = allegiance;
    task.expDataSN = expDataSN;
    task.snackTag = 0;
    this.settle(task);
  }

  /**
   * Sends the data of a read again that was not acknowledged, cut as its initiator takes it now, and goes on.
   *
   * @returns a reason to reject the request with, or 0
   */
  sendAnew(task: Task): number {
    const { dataIn } = task.allegiance;
    // Its outcome is known, and follows when nothing is in flight any more.
    if (task.ending) return dataIn.sendAnew(task, () => {});
    dataIn.forget(task);
    task.expDataSN = 0;
    task.suspended = true;
    this.settle(task);
    return 0;
  }

  /** A task that has ended, and whose status its initiator may not have, counts as one in progress. */
  #begunAgain(task: Task): void {
    task.allegiance.replies.retained?.letGo(task);
    task.isRepeated = true;
    task.unit?.counter.begun();
    task.suspended = true;
    task.ordered = false;
    task.started = true;
    task.ending = task.plan !== Plan.Read && task.plan !== Plan.Reply;
    if (task.nexus !== undefined) task.nexus.active++;
    this.#tasks.set(task.initiatorTaskTag, task);
  }

  #goOn(task: Task): void {
    task.suspended = false;
    if (task.writes) this.dataOut.renew(task);
    if (!task.started) return;
    if (task.ending) this.finish(task);
    else if (task.plan === Plan.Read || task.plan === Plan.Reply) task.allegiance.dataIn.goOn(task);
    else this.dataOut.goOn(task);
    task.allegiance.outputAdded();
  }

  readsAgain(task: Task, over: Promise<void>): void {
    const read = { task, over };
    this.#readsAgain.add(read);
    void over.then(() => {
      this.#readsAgain.delete(read);
      if (this.isIdle) this.#events.idle();
    });
  }

  /** A task that nothing needs any more may be used again. */
  takeBack(task: Task): void {
    if (this.#pool.length < TASKS_MAX && !task.resent) this.#pool.push(task);
  }

  #hasDeferred(nexus: Nexus): boolean {
    return this.#deferred.length > 0 && this.#deferred.some((task) => task.nexus === nexus);
  }

  #startDeferred(nexus: Nexus): void {
    for (let index = 0; index < this.#deferred.length && !nexus.orderedActive; ) {
      const task = this.#deferred[index];
      if (task.nexus !== nexus || task.aborted) {
        index++;
        continue;
      }
      if (task.ordered && nexus.active > 0) return;
      this.#deferred.splice(index, 1);
      // Somebody may have reserved the unit since the command came.
      if (task.unit !== undefined && task.plan !== Plan.Done && meetsReservation(task, task.unit, nexus))
        task.conflict();
      this.#start(task, nexus);
      // Starting may have ended tasks and with them changed the list.
      index = 0;
    }
  }

  /** The tasks of a unit, under whatever LUN they came. */
  tasksOfUnit(unit: LogicalUnit): Task[] {
    return this.tasksOf((task) => task.unit === unit);
  }

  /** Those that came before a CmdSN, on whatever connection. */
  tasksBefore(cmdSN: number, belongs: (task: Task) => boolean): Task[] {
    return this.tasksOf((task) => before(task.cmdSN, cmdSN) && belongs(task));
  }

  tasksOf(belongs: (task: Task) => boolean): Task[] {
    return this.all().filter(belongs);
  }

  all(): Task[] {
    return [...this.#tasks.values()];
  }

  /**
   * Aborts tasks; no response is sent for them unless `status` is given.
   *
   * @param done called when all of them have ended, which may be at once
   */
  abort(tasks: readonly Task[], done: () => void, status = 0): void {
    let left = 1;
    const one = () => {
      left--;
      if (left === 0) done();
    };
    const there = tasks.filter((task) => this.#tasks.get(task.initiatorTaskTag) === task);
    // All of them first: the end of one may be what another waits for to start.
    for (const task of there) {
      left++;
      task.abortWaiters.push(one);
      if (task.aborted) continue;
      task.aborted = true;
      task.abortStatus = status;
      task.nexus?.abortionBegun();
      task.cancel();
      // It may wait for its initiator to take what it is owed.
      if (task.resent) task.allegiance.dataIn.forget(task);
    }
    for (const task of there) if (task.inFlight === 0) this.#endAborted(task);
    one();
  }

  /** As `abort`, of every task of a unit but `except`; nothing of it is being read for one that is over either, then. */
  abortUnit(unit: LogicalUnit, except: Command | undefined, done: () => void, status: number): void {
    let left = 1;
    const one = () => {
      left--;
      if (left === 0) done();
    };
    for (const { task, over } of this.#readsAgain) {
      if (task.unit !== unit || this.#tasks.get(task.initiatorTaskTag) === task) continue;
      left++;
      task.allegiance.dataIn.forget(task);
      void over.then(one);
    }
    this.abort(
      this.tasksOf((task) => task.unit === unit && task !== except),
      one,
      status,
    );
  }

  #endAborted(task: Task): void {
    if (this.#tasks.get(task.initiatorTaskTag) !== task) return;
    const waiters = task.abortWaiters.splice(0);
    const { allegiance } = task;
    allegiance.dataIn.forget(task);
    this.fences?.forget(task);
    if (task.abortStatus !== 0 && !allegiance.closed) {
      task.sense = undefined;
      task.status = task.abortStatus;
      // Past all fences: whoever had it aborted waits for its end, and not for what another's initiator acknowledges.
      this.answer(task);
      allegiance.outputAdded();
    } else this.#end(task);
    for (const waiter of waiters) waiter();
  }

  /** Ends everything without a response; `idle` follows once the devices are done. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.abort(this.all(), () => {});
  }

  nexus(lun: number): Nexus {
    if (this.#lastNexus?.lun === lun) return this.#lastNexus;
    const nexus = this.view.nexus(lun);
    // The view may not keep one without a unit, and so not tell it of a unit that comes.
    if (nexus.unit !== undefined) this.#lastNexus = nexus;
    return nexus;
  }
}

/** Of a failed command, what was really transferred. */
function transferredBy(task: Task): number {
  if (task.reads) return task.sent;
  return Math.min(task.received, task.expectedDataTransferLength);
}

function remove<T>(list: T[], item: T): void {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}

const NOTHING = new Uint8Array(0);
