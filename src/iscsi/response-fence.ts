/**
 * Response fences, RFC 7143 section 4.2.2.3: an answer that its initiator must get after all that were given before it and
 * ahead of all that are given after it, though each connection of a session has an order of its own. They are there where a
 * session may have several connections, and TaskReporting was negotiated to ResponseFence or FastAbort.
 *
 * Invariants: fences are sent one after the other, each once all that was sent before is acknowledged; a response of a
 * fenced LUN waits until the initiator has acknowledged what the fence was for, unless its task is aborted meanwhile, and
 * those that wait keep their order.
 */

import type { Parameters } from "./negotiation.ts";
import { Senses, Status } from "./scsi/sense.ts";
import type { Allegiance, Task } from "./task.ts";

/** What fences ask of their session. */
export interface FencedSession {
  readonly connections: { readonly size: number };
  /** Runs once the initiator has acknowledged what was sent on the connections other than this one. */
  whenAcknowledged(except: Allegiance, run: () => void): void;
}

/** What fences ask of the tasks. */
export interface FencedTasks {
  /** Sends the response of a task, past all fences. */
  answer(task: Task): void;
  /** The response of a task need not wait any more. */
  goOnAnswering(task: Task): void;
}

interface Fence {
  /** Where the answer goes. */
  readonly on: Allegiance;
  /** As the session's initiator numbers it; `undefined` for all LUNs. */
  readonly lun: number | undefined;
  readonly send: () => void;
}

export function hasFences({ taskReporting, maxConnections }: Readonly<Parameters>): boolean {
  return taskReporting !== "RFC3720" && maxConnections > 1;
}

export class ResponseFences {
  readonly #session: FencedSession;
  readonly #tasks: FencedTasks;
  /** In the order in which they were raised: the first is under way. */
  readonly #fences: Fence[] = [];
  /** Tasks whose responses wait, in order, with what tells a wait from another one: tasks are used again for other commands. */
  readonly #held = new Map<Task, object>();

  constructor(session: FencedSession, tasks: FencedTasks) {
    this.#session = session;
    this.#tasks = tasks;
  }

  /** Sends an answer that concerns a LUN, or all. */
  raise(on: Allegiance, lun: number | undefined, send: () => void): void {
    if (this.#session.connections.size <= 1 && this.#fences.length === 0) {
      send();
      return;
    }
    const fence = { on, lun, send };
    this.#fences.push(fence);
    if (this.#fences.length === 1) this.#begin(fence);
  }

  /** Whether a response waits now, because of a fence that is there, or since it raises one itself. */
  holds(task: Task): boolean {
    if (this.#held.has(task)) return true;
    const lun = task.nexus?.lun;
    const wait = {};
    if (this.#isFenced(lun)) {
      this.#held.set(task, wait);
      return true;
    }
    if (!raisesFence(task) || this.#session.connections.size <= 1) return false;
    this.#held.set(task, wait);
    this.raise(task.allegiance, lun, () => {
      // It may have been aborted, or have lost its connection, and waits for another then.
      if (this.#held.get(task) !== wait) return;
      this.#held.delete(task);
      if (!task.suspended) this.#tasks.answer(task);
    });
    return true;
  }

  /** A task that may have waited is over. */
  forget(task: Task): void {
    this.#held.delete(task);
  }

  /** The session is over. */
  clear(): void {
    this.#fences.length = 0;
    this.#held.clear();
  }

  #isFenced(lun: number | undefined): boolean {
    return this.#fences.some((fence) => fence.lun === undefined || fence.lun === lun);
  }

  #begin(fence: Fence): void {
    this.#session.whenAcknowledged(fence.on, () => {
      if (this.#fences[0] !== fence) return;
      fence.send();
      fence.on.outputAdded();
      fence.on.whenAcknowledged(() => this.#passed(fence));
    });
  }

  #passed(fence: Fence): void {
    if (this.#fences[0] !== fence) return;
    this.#fences.shift();
    const [next] = this.#fences;
    if (next !== undefined) this.#begin(next);
    for (const task of [...this.#held.keys()]) {
      // One of those before it may have ended it, or have raised a fence.
      if (!this.#held.has(task) || this.#isFenced(task.nexus?.lun)) continue;
      this.#held.delete(task);
      this.#tasks.goOnAnswering(task);
    }
  }
}

const PERSISTENT_RESERVE_OUT = 0x5f;
const PREEMPT_AND_ABORT = 0x05;

/** Section 4.2.2.3.4: the first word of a reset to a nexus, and the answer to PREEMPT AND ABORT. There is no ACA. */
function raisesFence({ sense, status, cdb }: Task): boolean {
  if (sense !== undefined) return sense === Senses.UnitReset || sense === Senses.NexusLoss;
  return status === Status.Good && cdb[0] === PERSISTENT_RESERVE_OUT && (cdb[1] & 0x1f) === PREEMPT_AND_ABORT;
}
