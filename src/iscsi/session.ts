/**
 * A session: what its connections share. The order of its commands, its tasks and nexuses, and who it is.
 *
 * Invariants: a connection is in `connections` from its login to its end, and no two have the same CID; a session that
 * has none, and awaits or can recover none, is closed; it is `quiet` only once no device works for it any more.
 */

import type { BufferPool } from "./buffers.ts";
import { CommandOrder } from "./command-order.ts";
import { AsyncEvent } from "./constants.ts";
import type { TaskOwner } from "./data-in.ts";
import type { SessionSnapshot } from "./events.ts";
import type { Timer, Timers } from "./interfaces.ts";
import { MISSING_COMMAND_MILLIS } from "./limits.ts";
import type { LoginIdentity } from "./login.ts";
import type { Parameters } from "./negotiation.ts";
import type { Portal } from "./portal.ts";
import { Recovery } from "./recovery.ts";
import { hasFences, ResponseFences } from "./response-fence.ts";
import type { LunView } from "./scsi/lun-view.ts";
import { type Sense, Senses } from "./scsi/sense.ts";
import { nexusName, portName } from "./scsi/transport-id.ts";
import type { LogicalUnit } from "./scsi/unit.ts";
import type { SessionConnection } from "./session-connection.ts";
import type { Allegiance, Task } from "./task.ts";
import { TaskSet } from "./task-set.ts";

/** What a session asks of its target. */
export interface SessionHost {
  readonly timers: Timers;
  /** Records of SendTargets, one for a target or for all that this initiator may use. */
  sendTargets(which: "All" | string, initiatorName: string, local: string, portal: Portal): string | undefined;
  /**
   * Resets a unit, or all that this initiator is given, for every session; of the one that asks for it, on one of its
   * connections, what came before a CmdSN. `done` once their tasks have ended.
   */
  reset(unit: LogicalUnit | undefined, by: SessionConnection, cmdSN: number, done: () => void): void;
  /** Ends every session of the target. */
  coldReset(targetName: string): void;
  deviceFailed(targetName: string, lun: number, error: unknown): void;
  /** It takes no commands any more; called once. */
  sessionClosed(snapshot: SessionSnapshot, why: string): void;
  /** The session's devices have nothing left to do; called once, after `sessionClosed`. */
  quiet(session: Session): void;
}

export interface SessionSpec {
  readonly identity: LoginIdentity;
  readonly tsih: number;
  readonly parameters: Parameters;
  readonly cmdSN: number;
  /** Whom the initiator has proven to be. */
  readonly user: string | undefined;
  readonly portal: Portal;
  /** What the initiator is given of the target; absent in a discovery session. */
  readonly view: LunView | undefined;
  readonly buffers: BufferPool;
  readonly writeBudget?: number;
}

export class Session {
  readonly identity: LoginIdentity;
  /** The SCSI name of the initiator's port, and of its I_T nexus with this portal group. */
  readonly initiatorPort: string;
  readonly nexus: string;
  readonly tsih: number;
  /** Whom the initiator has proven to be; all of its connections prove the same. */
  readonly user: string | undefined;
  /** Where it was opened; all of its connections are of the same portal group. */
  readonly portal: Portal;
  readonly parameters: Readonly<Parameters>;
  readonly order: CommandOrder;
  readonly buffers: BufferPool;
  readonly tasks: TaskSet | undefined;
  /** By CID. */
  readonly connections = new Map<number, SessionConnection>();
  /** Of connections that were lost; only at error recovery level 2. */
  readonly recovery: Recovery | undefined;
  readonly #host: SessionHost;
  /** Runs while commands wait for one that is missing. */
  #missing: { readonly cmdSN: number; readonly timer: Timer } | undefined;
  /** Runs once the initiator was asked to log out. */
  #leaving: Timer | undefined;
  /** Where it was last connected to. */
  #last: SessionConnection | undefined;
  /** Whether it ever had more than one connection at once. */
  #hadSeveral = false;
  /** Logins that are about to become connections. */
  #awaited = 0;
  #closed = false;
  #quiet = false;
  /** Task management functions that are not answered yet. */
  functions = 0;
  ignored = 0;
  rejected = 0;

  constructor(spec: SessionSpec, host: SessionHost) {
    this.identity = spec.identity;
    this.initiatorPort = portName(spec.identity.initiatorName, spec.identity.isid);
    this.tsih = spec.tsih;
    this.user = spec.user;
    this.parameters = spec.parameters;
    this.buffers = spec.buffers;
    this.order = new CommandOrder(spec.cmdSN);
    this.#host = host;
    this.portal = spec.portal;
    this.nexus = nexusName(this.initiatorPort, spec.portal.groupTag);
    const { errorRecoveryLevel, defaultTime2Wait, defaultTime2Retain } = spec.parameters;
    if (errorRecoveryLevel === 2 && defaultTime2Retain > 0) {
      this.recovery = new Recovery(host.timers, defaultTime2Wait, defaultTime2Retain, (connection) =>
        this.#notRecovered(connection),
      );
    }
    if (spec.view !== undefined) {
      this.tasks = new TaskSet(
        this.order,
        spec.parameters,
        spec.view,
        spec.buffers,
        host.timers,
        {
          deviceFailed: (lun, error) => host.deviceFailed(spec.identity.targetName, lun, error),
          idle: () => this.#checkQuiet(),
        },
        spec.writeBudget,
      );
      if (hasFences(spec.parameters)) this.tasks.fences = new ResponseFences(this, this.tasks);
    }
  }

  /** Whether a command that was overtaken may still come: what was lost with one connection may be sent again on another. */
  get missingMayCome(): boolean {
    return this.#hadSeveral || this.parameters.errorRecoveryLevel > 0;
  }

  get taskCount(): number {
    return this.tasks === undefined ? 0 : this.tasks.size;
  }

  /** Who is told how the transfers of its connections go. A discovery session has none. */
  get taskOwner(): TaskOwner {
    return this.tasks ?? NO_TASKS;
  }

  get closed(): boolean {
    return this.#closed;
  }

  unit(lun: number): LogicalUnit | undefined {
    return this.tasks?.view.unit(lun);
  }

  reset(unit: LogicalUnit | undefined, by: SessionConnection, cmdSN: number, done: () => void): void {
    this.#host.reset(unit, by, cmdSN, done);
  }

  /**
   * Where FastAbort was agreed, tells the initiator that a task management function ends tasks, so that it sends no more data
   * for them: once for each LUN, on each connection that has any of them but the one that the function came on. Sent before
   * they end, it comes ahead of the R2T of any that it does not mean.
   */
  announceTermination(tasks: readonly Task[], except?: SessionConnection): void {
    if (this.parameters.taskReporting !== "FastAbort") return;
    for (const connection of this.connections.values()) {
      if (connection === except) continue;
      const ending = tasks.filter(({ allegiance }) => allegiance === connection);
      for (const lun of new Set(ending.map(({ nexus }) => nexus?.lun ?? 0))) {
        connection.announce(AsyncEvent.TaskTermination, 0, 0, 0, lun);
      }
    }
  }

  /**
   * Sends the answer to a function on several tasks, of a LUN or of all: after what was sent before on the other connections,
   * and, where that was agreed, ahead of all that comes after it.
   */
  answerAfter(connection: SessionConnection, lun: number | undefined, send: () => void): void {
    const fences = this.tasks?.fences;
    if (fences === undefined) this.whenAcknowledged(connection, send);
    else fences.raise(connection, lun, send);
  }

  coldReset(): void {
    this.#host.coldReset(this.identity.targetName);
  }

  sendTargets(value: string, local: string): string | undefined {
    const { discovery, targetName, initiatorName } = this.identity;
    const { portal } = this;
    if (discovery) return this.#host.sendTargets(value === "" ? "All" : value, initiatorName, local, portal);
    // Section 13.3: in a normal session only the target itself may be asked about.
    if (value !== "" && value !== targetName) return undefined;
    return this.#host.sendTargets(targetName, initiatorName, local, portal);
  }

  join(connection: SessionConnection): void {
    this.connections.set(connection.cid, connection);
    this.#last = connection;
    if (this.connections.size > 1) this.#hadSeveral = true;
  }

  /**
   * A connection is gone: nobody is left to take the answers of its tasks.
   *
   * @param isLost whether it was not meant to end, so that its tasks may go on elsewhere
   */
  left(connection: SessionConnection, why: string, isLost: boolean): void {
    if (this.connections.get(connection.cid) === connection) this.connections.delete(connection.cid);
    this.order.forget(connection);
    if (isLost && this.recovery !== undefined && !this.#closed) {
      this.tasks?.suspend(connection);
      this.recovery.lost(connection);
      return;
    }
    connection.replies.retained?.clear();
    if (this.#isDeserted) this.close(why);
    else this.endTasks(connection.cid, NOTHING_MORE);
  }

  /** Nobody has taken over the tasks of a lost connection in time. */
  #notRecovered(connection: SessionConnection): void {
    if (this.#isDeserted) this.close("its last connection is gone");
    else
      this.tasks?.abort(
        this.tasks.tasksOf(({ allegiance }) => allegiance === connection),
        NOTHING_MORE,
      );
  }

  /** A connection is to come, and keeps the session though there may be no other; `connectionAwaited` follows. */
  awaitConnection(): void {
    this.#awaited++;
  }

  connectionAwaited(): void {
    this.#awaited--;
    if (this.#isDeserted) this.close("its last connection is gone");
  }

  get #isDeserted(): boolean {
    return this.connections.size === 0 && this.#awaited === 0 && (this.recovery?.size ?? 0) === 0;
  }

  /** Carries out the commands that have come early and whose turn it is. */
  deliverEarly(): void {
    for (;;) {
      const early = this.order.next();
      if (early === undefined) break;
      early.owner.deliver(early);
    }
    this.order.grant(this.taskCount);
  }

  after(delay: number, run: () => void): Timer {
    return this.#host.timers.after(delay, run);
  }

  /** Something waits for a command that is missing. If none comes, the session ends. */
  heldUp(): void {
    if (this.#missing !== undefined) return;
    const cmdSN = this.order.expCmdSN;
    const timer = this.#host.timers.after(MISSING_COMMAND_MILLIS, () => {
      this.#missing = undefined;
      if (this.#closed || !this.order.isHeldUp) return;
      if (this.order.expCmdSN !== cmdSN) this.heldUp();
      else this.drop(`CmdSN ${cmdSN} has not come`);
    });
    this.#missing = { cmdSN, timer };
  }

  /** Aborts the tasks of a connection, or of all; `done` once they have ended. */
  endTasks(cid: number | undefined, done: () => void): void {
    const { tasks } = this;
    if (tasks === undefined) done();
    else tasks.abort(cid === undefined ? tasks.all() : tasks.tasksOf(({ allegiance }) => allegiance.cid === cid), done);
  }

  /** What a connection has left behind ends, unless it can be recovered. */
  endLostTasks(cid: number, done: () => void): void {
    if (this.recovery === undefined) this.endTasks(cid, done);
    else done();
  }

  /** Runs once the initiator has acknowledged what was sent on the connections other than this one. */
  whenAcknowledged(except: Allegiance, run: () => void): void {
    let left = 1;
    const one = () => {
      left--;
      if (left === 0) run();
    };
    for (const connection of [...this.connections.values()]) {
      if (connection === except) continue;
      left++;
      connection.whenAcknowledged(one);
    }
    one();
  }

  /** Establishes a unit attention for this session's initiator. */
  attention(unit: LogicalUnit, sense: Sense): void {
    this.tasks?.view.nexusOf(unit)?.attention(sense);
  }

  /** Ends its tasks before a CmdSN, its copies and what its nexuses hold, SAM-5 I_T NEXUS RESET; `done` once they have ended. */
  resetNexus(by: SessionConnection, cmdSN: number, done: () => void): void {
    const { tasks } = this;
    const { view } = tasks ?? {};
    const units = view?.units() ?? [];
    const lifts = units.map((unit) => unit.nexusReset(this.nexus));
    for (const unit of units) this.attention(unit, Senses.NexusLoss);
    const ended = () => {
      for (const lift of lifts) lift();
      done();
    };
    const copying = view?.device.host.copies.nexusLost(this.nexus);
    const allEnded = copying === undefined ? ended : () => void copying.then(ended);
    const ending = tasks?.tasksBefore(cmdSN, EVERY) ?? [];
    this.announceTermination(ending, by);
    if (tasks === undefined) allEnded();
    else tasks.abort(ending, allEnded);
  }

  /** Asks the initiator to log out. If it does not in so many seconds, the session ends. */
  requestLogout(seconds: number, why: string): void {
    if (this.#closed || this.#leaving !== undefined) return;
    for (const connection of this.connections.values()) connection.announce(AsyncEvent.LogoutRequested, 0, 0, seconds);
    this.#leaving = this.#host.timers.after(seconds * 1000, () => this.end(why));
  }

  /** Tells the initiator that the session will be dropped, then closes its connections. */
  end(why: string): void {
    const [first] = this.connections.values();
    const { defaultTime2Wait, defaultTime2Retain } = this.parameters;
    first?.announce(AsyncEvent.SessionDropped, 0, defaultTime2Wait, defaultTime2Retain);
    this.closeConnections(why);
    this.close(why);
  }

  closeConnections(why: string): void {
    for (const connection of [...this.connections.values()]) connection.link.closeAfterFlush(why);
  }

  /** Ends it at once. */
  drop(why: string): void {
    for (const connection of [...this.connections.values()]) connection.link.drop(why);
    this.close(why);
  }

  /** Ends its tasks; it takes no more. */
  close(why: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.recovery?.clear();
    this.#missing?.timer.cancel();
    this.#leaving?.cancel();
    this.order.clear();
    this.tasks?.fences?.clear();
    this.#host.sessionClosed(this.snapshot(), why);
    this.tasks?.close();
    this.#checkQuiet();
  }

  #checkQuiet(): void {
    if (!this.#closed || this.#quiet || this.tasks?.isIdle === false) return;
    this.#quiet = true;
    this.#host.quiet(this);
  }

  snapshot(): SessionSnapshot {
    const { identity, tasks } = this;
    const connections = [...this.connections.values()];
    const shown = connections.length === 0 && this.#last !== undefined ? [this.#last] : connections;
    return {
      user: this.user,
      tsih: this.tsih,
      initiatorName: identity.initiatorName,
      initiatorAlias: identity.initiatorAlias,
      targetName: identity.targetName,
      isid: identity.isid,
      remote: shown[0]?.link.remote ?? "",
      local: shown[0]?.link.local ?? "",
      headerDigest: shown[0]?.headerDigest ?? "None",
      dataDigest: shown[0]?.dataDigest ?? "None",
      connections: connections.length,
      tasks: this.taskCount,
      commands: tasks?.commands ?? 0,
      bytesRead: tasks?.bytesRead ?? 0,
      bytesWritten: tasks?.bytesWritten ?? 0,
      bytesHeld: tasks?.dataOut.bytesHeld ?? 0,
      outputBytesQueued: connections.reduce((sum, { replies }) => sum + replies.output.queuedBytes, 0),
    };
  }
}

const NO_TASKS: TaskOwner = {
  sentWithStatus() {},
  finish() {},
  fail() {},
  settle() {},
  grantFor() {},
  readsAgain() {},
};

const EVERY = () => true;
const NOTHING_MORE = () => {};
