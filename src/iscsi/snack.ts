/**
 * SNACK Requests, RFC 7143 section 11.16: what was lost on its way to the initiator is sent again, statuses as they were
 * kept, R2Ts as they still stand, and data as it is read again. No data is kept: a DataACK says from where on it may have
 * to be read again.
 */

import { RESERVED_TAG, RejectReason, SnackType } from "./constants.ts";
import { readLun, ScsiResponse, Snack } from "./pdu.ts";
import type { RetainedStatuses } from "./retained.ts";
import type { SessionConnection } from "./session-connection.ts";
import type { Task } from "./task.ts";

/** @returns a reason to reject it with, or 0 */
export function snack(connection: SessionConnection, retained: RetainedStatuses, view: DataView, at: number): number {
  const begin = view.getUint32(at + Snack.begRun);
  const count = view.getUint32(at + Snack.runLength);
  const tag = view.getUint32(at + Snack.initiatorTaskTag);
  const otherTag = view.getUint32(at + Snack.targetTransferTag);
  switch (view.getUint8(at + Snack.flags) & 0x0f) {
    case SnackType.DataOrR2T:
      return dataOrR2T(connection, retained, tag, begin, count);
    case SnackType.Status: {
      const entries = retained.run(begin, count);
      if (entries === undefined) return RejectReason.ProtocolError;
      for (const { bytes } of entries) connection.replies.resend(bytes);
      return 0;
    }
    case SnackType.DataAck:
      if (otherTag === RESERVED_TAG || count !== 0) return RejectReason.ProtocolError;
      return dataAck(connection, retained, otherTag, readLun(view, at + Snack.lun), begin);
    case SnackType.RData:
      if (otherTag === RESERVED_TAG || otherTag === 0 || begin !== 0 || count !== 0) return RejectReason.ProtocolError;
      return rData(connection, retained, tag, otherTag);
    default:
      return RejectReason.SnackReject;
  }
}

/** The task of a tag: in progress, or over and its status not acknowledged. */
function taskOf(connection: SessionConnection, retained: RetainedStatuses, tag: number): Task | undefined {
  const task = connection.session.tasks?.get(tag) ?? retained.task(tag);
  return task === undefined || task.aborted || task.allegiance !== connection ? undefined : task;
}

function dataOrR2T(
  connection: SessionConnection,
  retained: RetainedStatuses,
  tag: number,
  begin: number,
  count: number,
): number {
  const { tasks } = connection.session;
  const task = taskOf(connection, retained, tag);
  if (task === undefined || tasks === undefined) return RejectReason.ProtocolError;
  if (task.writes) return tasks.dataOut.resendR2Ts(task, begin, count) ? 0 : RejectReason.ProtocolError;
  return task.mayBeReadAgain ? connection.dataIn.resend(task, begin, count) : RejectReason.SnackReject;
}

/** Sections 11.7.2 and 11.16.2: the Data-Ins before `dataSN` have come. */
function dataAck(
  connection: SessionConnection,
  retained: RetainedStatuses,
  tag: number,
  lun: number,
  dataSN: number,
): number {
  const task = taskOf(connection, retained, tag);
  // Its status was acknowledged, and with it all of its data.
  if (task === undefined) return 0;
  if (task.writes || task.nexus?.lun !== lun || dataSN > task.dataSN) return RejectReason.ProtocolError;
  connection.dataIn.acknowledge(task, dataSN);
  return 0;
}

/**
 * Section 11.16.3: the initiator has thrown away all data of a task that it has not acknowledged, and gets it again in Data-Ins
 * as large as it takes them now; after them its status, with the SNACK Tag, be it for the second time.
 */
function rData(connection: SessionConnection, retained: RetainedStatuses, tag: number, snackTag: number): number {
  const { tasks } = connection.session;
  const task = taskOf(connection, retained, tag);
  if (task === undefined || tasks === undefined || task.writes) return RejectReason.ProtocolError;
  if (!task.mayBeReadAgain) return RejectReason.SnackReject;
  const before = task.snackTag;
  task.snackTag = snackTag;
  const reason = tasks.get(tag) === task ? tasks.sendAnew(task) : sendAllAnew(connection, retained, task);
  if (reason !== 0) task.snackTag = before;
  return reason;
}

/** As `TaskSet.sendAnew`, of a task that is over. */
function sendAllAnew(connection: SessionConnection, retained: RetainedStatuses, task: Task): number {
  const answer = retained.answerOf(task);
  if (answer === undefined) return RejectReason.ProtocolError;
  return connection.dataIn.sendAnew(task, () => {
    const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength);
    view.setUint32(ScsiResponse.snackTag, task.snackTag);
    view.setUint32(ScsiResponse.expDataSN, task.dataSN);
    connection.replies.resend(answer);
  });
}
