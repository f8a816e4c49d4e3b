/**
 * SNACK Requests, RFC 7143 section 11.16: what was lost on its way to the initiator is sent again, statuses as they were
 * kept, R2Ts as they still stand, and data as it is read again.
 *
 * No DataACK is ever asked for, since no data is kept; one that comes, and R-Data, are refused.
 */

import { RejectReason, SnackType } from "./constants.ts";
import { Snack } from "./pdu.ts";
import type { RetainedStatuses } from "./retained.ts";
import type { SessionConnection } from "./session-connection.ts";

/** @returns a reason to reject it with, or 0 */
export function snack(connection: SessionConnection, retained: RetainedStatuses, view: DataView, at: number): number {
  const begin = view.getUint32(at + Snack.begRun);
  const count = view.getUint32(at + Snack.runLength);
  switch (view.getUint8(at + Snack.flags) & 0x0f) {
    case SnackType.DataOrR2T:
      return dataOrR2T(connection, retained, view.getUint32(at + Snack.initiatorTaskTag), begin, count);
    case SnackType.Status: {
      const entries = retained.run(begin, count);
      if (entries === undefined) return RejectReason.ProtocolError;
      for (const { bytes } of entries) connection.replies.resend(bytes);
      return 0;
    }
    case SnackType.DataAck:
      return RejectReason.ProtocolError;
    default:
      return RejectReason.SnackReject;
  }
}

function dataOrR2T(
  connection: SessionConnection,
  retained: RetainedStatuses,
  tag: number,
  begin: number,
  count: number,
): number {
  const { tasks } = connection.session;
  const task = tasks?.get(tag) ?? retained.task(tag);
  if (task === undefined || tasks === undefined || task.aborted || task.allegiance !== connection) {
    return RejectReason.ProtocolError;
  }
  if (task.writes) return tasks.dataOut.resendR2Ts(task, begin, count) ? 0 : RejectReason.ProtocolError;
  return task.mayBeReadAgain ? connection.dataIn.resend(task, begin, count) : RejectReason.SnackReject;
}
