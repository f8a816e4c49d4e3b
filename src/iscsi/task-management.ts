/**
 * Task Management Function Requests, RFC 7143 sections 4.2.3 and 11.5, and those of RFC 7144.
 *
 * Invariants: of its own session a function on a task set concerns the commands with a lower CmdSN, on whatever connection,
 * and no others: it waits for those that are missing, and spares what came later and was faster. Its answer comes after each
 * of its tasks has ended, and after the initiator has had what was sent before.
 *
 * It does not wait for the data that tasks which end were still to get: such data is thrown away when it comes. Section
 * 4.2.3.3 would have it wait where no FastAbort was agreed, but Linux hosts send none once they have asked for a reset.
 */

import { PROTOCOL_LEVEL_SAM5, TaskManagement, TaskManagementResponse } from "./constants.ts";
import { FUNCTIONS_MAX } from "./limits.ts";
import { before, Request, readLun, TaskManagementRequest } from "./pdu.ts";
import { Plan } from "./scsi/command.ts";
import type { Sense } from "./scsi/sense.ts";
import type { LogicalUnit } from "./scsi/unit.ts";
import type { SessionConnection } from "./session-connection.ts";

/** @returns false in a session without tasks */
export function taskManagement(connection: SessionConnection, view: DataView, at: number): boolean {
  const { session } = connection;
  const { tasks, order } = session;
  if (tasks === undefined) return false;
  const cmdSN = view.getUint32(at + Request.cmdSN);
  const tag = view.getUint32(at + TaskManagementRequest.initiatorTaskTag);
  const lun = readLun(view, at + TaskManagementRequest.lun);
  const reference = view.getUint32(at + TaskManagementRequest.referencedTaskTag);
  session.functions++;
  /** Called once. */
  const answer = (response: number, information = 0) => {
    session.functions--;
    if (connection.closed) return;
    connection.replies.taskManagement(tag, response, information);
    connection.outputAdded();
  };
  const completeOf = (which: number | undefined) => () =>
    session.answerAfter(connection, which, () => answer(TaskManagementResponse.Complete));
  const complete = completeOf(lun);
  const completeAll = completeOf(undefined);
  /** What the function concerns of a LUN. */
  const ofLun = () => tasks.tasksBefore(cmdSN, ({ nexus }) => nexus?.lun === lun);
  /** Runs once there is nothing that the function concerns and that is still to come. */
  const onTaskSet = (run: () => void) => {
    if (!session.missingMayCome || !order.whenReceived(cmdSN, run)) run();
    else session.heldUp();
  };
  /** As `onTaskSet`, of a function on the whole target: what is still to come counts as come and aborted. */
  const onTarget = (run: () => void) => {
    order.plugUntil(cmdSN);
    run();
    session.deliverEarly();
  };
  /** The LUN may be taken away while the function waits. */
  const withUnit = (run: (unit: LogicalUnit) => void) => {
    const runIfThere = () => {
      const unit = session.unit(lun);
      if (unit === undefined) answer(TaskManagementResponse.LunDoesNotExist);
      else run(unit);
    };
    if (session.unit(lun) === undefined) runIfThere();
    else onTaskSet(runIfThere);
  };
  const isThere = (there: boolean) =>
    answer(there ? TaskManagementResponse.Succeeded : TaskManagementResponse.Complete);
  const code = view.getUint8(at + TaskManagementRequest.function) & 0x7f;
  if (code >= TaskManagement.QueryTask && session.parameters.protocolLevel < PROTOCOL_LEVEL_SAM5) {
    answer(TaskManagementResponse.NotSupported);
    return true;
  }
  if (session.functions > FUNCTIONS_MAX) {
    answer(TaskManagementResponse.Rejected);
    return true;
  }
  switch (code) {
    case TaskManagement.AbortTask: {
      const task = tasks.get(reference);
      if (task !== undefined && task.nexus?.lun === lun) {
        tasks.abort([task], () => answer(TaskManagementResponse.Complete));
        return true;
      }
      answer(plug(connection, view.getUint32(at + TaskManagementRequest.refCmdSN), cmdSN));
      return true;
    }
    // Each nexus has a task set of its own (TST), so clearing it is aborting it.
    case TaskManagement.AbortTaskSet:
    case TaskManagement.ClearTaskSet:
      withUnit(() => {
        const ending = ofLun();
        session.announceTermination(ending, connection);
        tasks.abort(ending, complete);
      });
      return true;
    case TaskManagement.LogicalUnitReset:
      withUnit((unit) => session.reset(unit, connection, cmdSN, complete));
      return true;
    case TaskManagement.TargetWarmReset:
      onTarget(() => session.reset(undefined, connection, cmdSN, completeAll));
      return true;
    case TaskManagement.TargetColdReset:
      // It would end the sessions of hosts that use what this one is not even shown.
      if (!tasks.view.isWhole) {
        answer(TaskManagementResponse.AuthorizationFailed);
        return true;
      }
      onTarget(() =>
        session.reset(undefined, connection, cmdSN, () => {
          answer(TaskManagementResponse.Complete);
          session.coldReset();
        }),
      );
      return true;
    case TaskManagement.TaskReassign:
      reassign(connection, reference, lun, view.getUint32(at + TaskManagementRequest.expDataSN), answer);
      return true;
    case TaskManagement.QueryTask:
      withUnit(() => {
        const task = tasks.get(reference);
        isThere(task !== undefined && task.nexus?.lun === lun);
      });
      return true;
    case TaskManagement.QueryTaskSet:
      withUnit(() => isThere(ofLun().length > 0));
      return true;
    case TaskManagement.NexusReset:
      onTaskSet(() => session.resetNexus(connection, cmdSN, completeAll));
      return true;
    case TaskManagement.QueryAsyncEvent:
      withUnit(() => {
        const { attentions } = tasks.nexus(lun);
        if (attentions.length === 0) isThere(false);
        else answer(TaskManagementResponse.Succeeded, eventInformation(attentions));
      });
      return true;
    default:
      answer(TaskManagementResponse.NotSupported);
      return true;
  }
}

/** TASK REASSIGN, section 7.2.2: the task goes on here, from the first Data-In or R2T on that its initiator does not have. */
function reassign(
  connection: SessionConnection,
  tag: number,
  lun: number,
  expDataSN: number,
  answer: (response: number) => void,
): void {
  const { tasks, recovery } = connection.session;
  if (tasks === undefined || recovery === undefined) {
    answer(TaskManagementResponse.TaskReassignNotSupported);
    return;
  }
  const ended = tasks.get(tag) === undefined;
  const task = tasks.get(tag) ?? recovery.ended(tag);
  if (task === undefined || task.aborted || task.nexus?.lun !== lun || task.nexus.unit !== task.unit) {
    answer(TaskManagementResponse.TaskDoesNotExist);
  } else if (ended && task.plan === Plan.Read && !task.mayBeReadAgain) answer(TaskManagementResponse.TaskDoesNotExist);
  else if (!recovery.isLoggedOut(task.allegiance)) answer(TaskManagementResponse.TaskStillAllegiant);
  else {
    answer(TaskManagementResponse.Complete);
    tasks.reassign(task, connection, expDataSN);
  }
}

/** What SAM-5 has QUERY ASYNCHRONOUS EVENT say: the depth of the queue, and the sense that is first in it. */
function eventInformation(attentions: readonly Sense[]): number {
  const depth = attentions.length === 1 ? 1 : 2;
  const { key, asc, ascq } = attentions[0];
  return (depth << 20) | (key << 16) | (asc << 8) | ascq;
}

/**
 * ABORT TASK of a task that is not here, section 11.5.1: a command still to come counts as come and aborted. One that
 * has not the lower CmdSN was immediate, and is over: its number is that of a command that was not sent yet.
 */
function plug({ session }: SessionConnection, refCmdSN: number, cmdSN: number): number {
  const { order } = session;
  if (!before(refCmdSN, cmdSN) || !order.inWindow(refCmdSN)) return TaskManagementResponse.TaskDoesNotExist;
  if (!order.plug(refCmdSN)) return TaskManagementResponse.Rejected;
  session.deliverEarly();
  return TaskManagementResponse.Complete;
}
