/**
 * Connections of a session that were lost at error recovery level 2, RFC 7143 sections 7.2.4 and 7.4: their tasks live on
 * for DefaultTime2Wait and DefaultTime2Retain together, and may be reassigned to another connection once the lost one was
 * logged out, be it by a Logout or by a login with its CID.
 *
 * Invariants: each loss ends by its timer at the latest, and its tasks with it; there are at most LOST_CONNECTIONS_MAX, of
 * which the oldest go first; nothing is sent for a task between its loss and its reassignment.
 */

import type { Timer, Timers } from "./interfaces.ts";
import { LOST_CONNECTIONS_MAX } from "./limits.ts";
import type { SessionConnection } from "./session-connection.ts";
import type { Allegiance, Task } from "./task.ts";

interface Loss {
  readonly connection: SessionConnection;
  /** Whether its tasks may be reassigned. */
  isLoggedOut: boolean;
  timer: Timer;
}

export class Recovery {
  readonly #timers: Timers;
  readonly #waitSeconds: number;
  readonly retainSeconds: number;
  readonly #expired: (connection: SessionConnection) => void;
  readonly #losses = new Set<Loss>();

  /** @param expired is told of a connection whose tasks nobody has taken over in time */
  constructor(
    timers: Timers,
    waitSeconds: number,
    retainSeconds: number,
    expired: (connection: SessionConnection) => void,
  ) {
    this.#timers = timers;
    this.#waitSeconds = waitSeconds;
    this.retainSeconds = retainSeconds;
    this.#expired = expired;
  }

  get size(): number {
    return this.#losses.size;
  }

  has(cid: number): boolean {
    return [...this.#losses].some(({ connection }) => connection.cid === cid);
  }

  lost(connection: SessionConnection): void {
    const loss: Loss = { connection, isLoggedOut: false, timer: NO_TIMER };
    this.#losses.add(loss);
    this.#arm(loss, this.#waitSeconds + this.retainSeconds);
    const [oldest] = this.#losses;
    if (this.#losses.size > LOST_CONNECTIONS_MAX) this.#expire(oldest);
  }

  /**
   * The tasks of the connection that was lost last under a CID may be reassigned from now on.
   *
   * @param expStatSN what its initiator had of it, if it says so
   */
  loggedOut(cid: number, expStatSN?: number): void {
    const loss = [...this.#losses].findLast(({ connection }) => connection.cid === cid);
    if (loss === undefined) return;
    if (expStatSN !== undefined) loss.connection.acknowledge(expStatSN);
    if (loss.isLoggedOut) return;
    loss.isLoggedOut = true;
    this.#arm(loss, this.retainSeconds);
  }

  /** Whether tasks of a connection may be reassigned. */
  isLoggedOut(allegiance: Allegiance): boolean {
    return [...this.#losses].some((loss) => loss.connection === allegiance && loss.isLoggedOut);
  }

  /** The last task of a tag that has ended on a lost connection, and whose status its initiator has not acknowledged. */
  ended(initiatorTaskTag: number): Task | undefined {
    for (const { connection } of [...this.#losses].reverse()) {
      const task = connection.replies.retained?.task(initiatorTaskTag);
      if (task !== undefined) return task;
    }
    return undefined;
  }

  /** Gives up what was lost on a connection. */
  giveUp(cid: number): void {
    for (const loss of [...this.#losses]) if (loss.connection.cid === cid) this.#expire(loss);
  }

  clear(): void {
    for (const { timer, connection } of this.#losses) {
      timer.cancel();
      connection.replies.retained?.clear();
    }
    this.#losses.clear();
  }

  #arm(loss: Loss, seconds: number): void {
    loss.timer.cancel();
    loss.timer = this.#timers.after(seconds * 1000, () => this.#expire(loss));
  }

  #expire(loss: Loss): void {
    loss.timer.cancel();
    this.#losses.delete(loss);
    loss.connection.replies.retained?.clear();
    this.#expired(loss.connection);
  }
}

const NO_TIMER: Timer = { cancel() {} };
