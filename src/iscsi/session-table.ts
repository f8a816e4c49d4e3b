/**
 * The sessions of a server, and which of them a login is for: a new one, one that takes the place of another, or a
 * further connection of one that is there (RFC 7143 section 6.3.1).
 *
 * Invariants: at most one session for each (initiator name, ISID, target, portal group); a new one of the same four ends the old
 * one and does not start before that has no I/O left, nor a connection before the old one of its CID has none; a
 * session leaves the table only when it is quiet.
 */

import { LoginStatus } from "./constants.ts";
import type { Random } from "./interfaces.ts";
import { SESSIONS_MAX } from "./limits.ts";
import type { LoginIdentity } from "./login.ts";
import type { Portal } from "./portal.ts";
import type { Session } from "./session.ts";

/** What a login has come to. */
export interface LoggedIn {
  readonly identity: LoginIdentity;
  readonly portal: Portal;
  /** 0 for a new session. */
  readonly tsih: number;
  /** Whom the initiator has proven to be. */
  readonly user: string | undefined;
  /** StatSN up to which the initiator had the answers of the connection that this one takes the place of. */
  readonly expStatSN: number;
  /** Whether the connection that has logged in is still there. */
  readonly isWanted: () => boolean;
}

export class SessionTable {
  readonly #random: Random;
  /** By TSIH. */
  readonly #sessions = new Map<number, Session>();
  readonly #waiting = new Set<{ session: Session; run: () => void }>();
  reinstated = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  get size(): number {
    return this.#sessions.size;
  }

  all(): Session[] {
    return [...this.#sessions.values()];
  }

  of(targetName: string): Session[] {
    return this.all().filter(({ identity }) => identity.targetName === targetName);
  }

  get(tsih: number): Session | undefined {
    return this.#sessions.get(tsih);
  }

  /** Whether a login that names a session may become a connection of it: a login status. */
  mayJoin(tsih: number, identity: LoginIdentity, portal: Portal): number {
    const session = this.#sessions.get(tsih);
    if (session === undefined || session.closed || !isSameNexus(session, identity, portal)) {
      return LoginStatus.SessionDoesNotExist;
    }
    if (session.connections.has(identity.cid)) return LoginStatus.Success;
    return session.connections.size < session.parameters.maxConnections
      ? LoginStatus.Success
      : LoginStatus.TooManyConnections;
  }

  /**
   * Makes room for a login: ends the session or the connection that it takes the place of.
   *
   * @param make makes the session of a TSIH, or says why there can be none by now
   * @param ready called once what was ended has no I/O left, with the session or a status to refuse the login with
   */
  prepare(login: LoggedIn, make: (tsih: number) => Session | number, ready: (result: Session | number) => void): void {
    const { identity, portal, tsih } = login;
    if (!login.isWanted()) return;
    if (tsih !== 0) {
      this.#prepareToJoin(login, ready);
      return;
    }
    const old = identity.discovery ? undefined : this.all().find((one) => isSameNexus(one, identity, portal));
    if (old !== undefined) {
      this.reinstated++;
      this.#waiting.add({ session: old, run: () => this.prepare(login, make, ready) });
      old.drop("the session was reinstated");
      return;
    }
    if (this.#sessions.size >= SESSIONS_MAX) {
      // One that only waits to be recovered makes room.
      const waiting = this.all().find((one) => one.connections.size === 0 && !one.closed);
      if (waiting !== undefined) {
        this.#waiting.add({ session: waiting, run: () => this.prepare(login, make, ready) });
        waiting.drop("another session needs its place");
        return;
      }
      ready(LoginStatus.OutOfResources);
      return;
    }
    const session = make(this.#newTsih());
    if (typeof session !== "number") this.#sessions.set(session.tsih, session);
    ready(session);
  }

  #prepareToJoin(login: LoggedIn, ready: (result: Session | number) => void): void {
    const { identity, portal, tsih, user, expStatSN, isWanted } = login;
    // Its first request was looked at; the last one may name another session, or the same number be another's by now.
    const status = this.mayJoin(tsih, identity, portal);
    const session = this.#sessions.get(tsih);
    if (status !== LoginStatus.Success || session === undefined) {
      ready(status);
      return;
    }
    // A session ends with its user; the connection of another one would outlive its own.
    if (session.user !== user) {
      ready(LoginStatus.AuthorizationFailure);
      return;
    }
    session.awaitConnection();
    session.connections.get(identity.cid)?.link.drop("the connection was reinstated");
    session.recovery?.loggedOut(identity.cid, expStatSN);
    session.endLostTasks(identity.cid, () => {
      // Another login with the same CID may have come first: this one takes its place as well.
      if (isWanted() && session.connections.has(identity.cid)) this.#prepareToJoin(login, ready);
      else if (isWanted()) {
        const now = this.mayJoin(tsih, identity, portal);
        ready(now === LoginStatus.Success ? session : now);
      }
      session.connectionAwaited();
    });
  }

  #newTsih(): number {
    let tsih = 1 + this.#random.below(0xffff);
    while (this.#sessions.has(tsih)) tsih = tsih === 0xffff ? 1 : tsih + 1;
    return tsih;
  }

  /** Resolves once no device works for the session any more, neither for its tasks nor for its copies. */
  whenQuiet(session: Session): Promise<void> {
    return new Promise((resolve) => {
      if (this.#sessions.get(session.tsih) !== session) resolve();
      else this.#waiting.add({ session, run: resolve });
    });
  }

  /** Forgets a session that is quiet, and goes on with what has waited for that. */
  remove(session: Session): void {
    this.#sessions.delete(session.tsih);
    for (const waiting of [...this.#waiting]) {
      if (waiting.session !== session) continue;
      this.#waiting.delete(waiting);
      waiting.run();
    }
  }
}

function isSameNexus({ identity: one, portal }: Session, other: LoginIdentity, { groupTag }: Portal): boolean {
  return (
    one.isid === other.isid &&
    one.initiatorName === other.initiatorName &&
    one.targetName === other.targetName &&
    portal.groupTag === groupTag
  );
}
