/**
 * Targets and the portals they are reached through: any number of targets and of portal groups, and their sessions.
 *
 * Invariants: at most one session for each (initiator name, ISID, target, portal group); a new one of the same four ends
 * the old one and does not start before that has no I/O left; a session leaves the list only when it is quiet; what a
 * session reaches follows what its initiator is given at once.
 */

import { type Grant, grantTo, isStillProven, type Redirection, type TargetAccess } from "./access.ts";
import { BufferPool } from "./buffers.ts";
import { Challenges } from "./challenges.ts";
import type { Chap } from "./chap.ts";
import { type ConnectionHost, type FinishedLogin, TargetConnection } from "./connection.ts";
import { LoginStatus, PROTOCOL_LEVEL_SAM5 } from "./constants.ts";
import type { Counters, SessionSnapshot, TargetEvent, TargetStatistics } from "./events.ts";
import { IdleWatch } from "./idle-watch.ts";
import type {
  Address,
  ChapHashes,
  Connection,
  Crc32c,
  Listener,
  Memory,
  Network,
  Random,
  Timers,
} from "./interfaces.ts";
import { CONNECTIONS_MAX, ERROR_RECOVERY_LEVEL_MAX } from "./limits.ts";
import type { LoginIdentity, LoginTarget } from "./login.ts";
import type { Parameters } from "./negotiation.ts";
import { ChunkPool } from "./output.ts";
import { type Portal, targetAddresses } from "./portal.ts";
import type { Command } from "./scsi/command.ts";
import { mediumError, ScsiDevice } from "./scsi/device.ts";
import { LunView } from "./scsi/lun-view.ts";
import { tell } from "./scsi/persistent-reserve.ts";
import { type AccessChange, AlteredBy, type PortGroup, PortGroups, type PortGroupsSpec } from "./scsi/port-groups.ts";
import { type Sense, Senses, Status } from "./scsi/sense.ts";
import { initiatorNameOf, portName } from "./scsi/transport-id.ts";
import type { LogicalUnit, LunSpec, Nexus } from "./scsi/unit.ts";
import { Session, type SessionHost } from "./session.ts";
import type { SessionConnection } from "./session-connection.ts";
import { SessionTable } from "./session-table.ts";
import { CommandCounter } from "./statistics.ts";

export interface ServerOptions {
  readonly network: Network;
  readonly timers: Timers;
  readonly memory: Memory;
  readonly random: Random;
  /** Without it, digests are negotiated to None. With one that gives wrong checksums there is no server: RangeError. */
  readonly crc32c?: Crc32c;
  /** What CHAP is made with: needed where it is asked for. */
  readonly hashes?: ChapHashes;
  /** What initiators have to prove in discovery sessions; nothing unless given. */
  readonly discoveryChap?: Chap;
  /**
   * Of portals of which `listen` does not say another: 1 to 65535, 1 unless given. Servers that serve one target together need
   * different ones.
   */
  readonly portalGroupTag?: number;
  readonly onEvent?: (event: TargetEvent) => void;
  /**
   * The highest error recovery level that is agreed to; 2 unless given. Some initiators offer the highest they know: at levels
   * above 0 a read takes one PDU more, and a write has one R2T at a time.
   */
  readonly errorRecoveryLevel?: 0 | 1 | 2;
  /** Bytes of write data that one session may hold; WRITE_BUDGET_BYTES unless given. */
  readonly writeBudget?: number;
  /**
   * Bytes of data that all sessions together may hold before each goes on with one buffer of at most 1 MiB at a time;
   * SHARED_BUDGET_BYTES unless given.
   */
  readonly sharedBudget?: number;
}

export interface TargetSpec extends TargetAccess {
  /** An iSCSI name of RFC 7143 section 4.2.7, such as `iqn.2026-11.dev.antipode:prod`. */
  readonly name: string;
  readonly luns: readonly LunSpec[];
  /**
   * Through which target port groups hosts may use the LUNs, and how well: this server's portal groups alone, in full, unless given.
   * Elsewhere than in these the target does not exist.
   */
  readonly portGroups?: PortGroupsSpec;
  /** What hosts are told about an error of a device. `mediumError` unless given. */
  readonly senseFor?: (error: unknown, writing: boolean) => Sense | "BUSY";
}

export class Target {
  readonly name: string;
  readonly device: ScsiDevice;
  #access: TargetAccess;
  /** Units that are being removed, and what those that are have counted. */
  readonly #leaving = new Set<LogicalUnit>();
  readonly #gone = new CommandCounter();
  readonly #server: TargetServer;
  #available = true;
  /**
   * While it is false logins are answered with Service Unavailable, and those who have a session keep it: further connections of
   * it are refused as well, and so is another in its place.
   */
  admits = true;

  constructor(spec: TargetSpec, server: TargetServer, device: ScsiDevice) {
    this.name = spec.name;
    this.#server = server;
    this.device = device;
    this.#access = spec;
    for (const lun of spec.luns) device.add(lun);
  }

  /**
   * While it is false logins are answered with Service Unavailable, which initiators retry, and there are no
   * sessions: setting it to false drops them.
   */
  get available(): boolean {
    return this.#available;
  }

  set available(available: boolean) {
    this.#available = available;
    // What the LUNs hold may change elsewhere meanwhile; sessions that are dropped may have had a last one made.
    this.device.host.tokens.cancel();
    if (!available) void this.logOutAll("the target is not available now");
  }

  get access(): TargetAccess {
    return this.#access;
  }

  /** @returns a `LoginStatus` where it is given nothing: elsewhere than in its target port groups, the target does not exist */
  grantTo(initiatorName: string, portal: Portal): Grant | number {
    if (!this.device.host.portGroups.has(portal.groupTag)) return LoginStatus.TargetNotFound;
    return grantTo(this.#access, initiatorName, portal);
  }

  /**
   * Changes who may log in and what they are given, as far as `change` says. Sessions that would not be let in any more are
   * logged out; the others see at once what they are given now. Resolves when no device does anything any more for
   * what was taken away. Where the functions of `change` are the same and what they say is not, an empty one will do.
   */
  changeAccess(change: TargetAccess = {}): Promise<void> {
    this.#server.assertPossible(change);
    this.#access = { ...this.#access, ...change };
    // Whoever has one by now may be given less than who had it made.
    this.device.host.tokens.cancel();
    return this.#server.follow(this);
  }

  /** Ends the sessions of all initiators, which log in again, or are redirected. Resolves when no device works for them. */
  logOutAll(why: string): Promise<void> {
    return this.#server.dropSessions(this.name, why);
  }

  addLun(spec: LunSpec): void {
    this.device.add(spec);
    void this.#server.follow(this);
  }

  /**
   * Ends all that initiators have reserved and registered at a unit, such as those that will not come back to do so. Whoever
   * was registered is told (2Ah/03h), and everybody may use the unit. Rejects as its store does; then nothing has changed.
   *
   * @param initiatorName whose registrations end, and the reservation that one of them holds: those of others stay, and they
   * are told of a release that concerns them (2Ah/04h), it of its loss (2Ah/05h). Everybody's unless given
   */
  async clearReservations(lun: number, initiatorName?: string): Promise<void> {
    const unit = this.device.unit(lun);
    if (unit === undefined) return;
    const isOwn = (nexus: string) => initiatorNameOf(nexus) === initiatorName;
    tell(unit, await unit.reservations.clear(initiatorName === undefined ? undefined : isOwn));
  }

  statistics(): TargetStatistics {
    const all = new CommandCounter();
    all.take(this.#gone);
    for (const { counter } of this.#leaving) all.take(counter);
    const units = this.device.units().map(({ lun, counter }) => {
      all.take(counter);
      return { lun, ...counter.snapshot() };
    });
    return { targetName: this.name, ...all.snapshot(), units };
  }

  /** Ends the unit's tasks; resolves when its device has nothing left to do for them. */
  async removeLun(lun: number): Promise<void> {
    const unit = this.device.remove(lun);
    if (unit === undefined) return;
    this.#leaving.add(unit);
    await Promise.all([this.#server.follow(this), this.#server.abortTasks(this.name, unit)]);
    await unit.end();
    this.#leaving.delete(unit);
    this.#gone.take(unit.counter);
  }

  /** The target port groups as they are now. */
  get portGroups(): readonly PortGroup[] {
    return this.device.host.portGroups.groups;
  }

  /** Gives target port groups other access states, from the next command on, and tells every initiator. */
  changeAccessStates(changes: readonly AccessChange[]): void {
    this.device.changeAccessStates(changes, AlteredBy.Target);
  }

  /** Write protects a unit, or ends that, for every initiator; writes that have begun are carried out. */
  protect(lun: number, readOnly: boolean): void {
    const unit = this.device.unit(lun);
    if (unit === undefined || unit.readOnly === readOnly) return;
    unit.readOnly = readOnly;
    unit.host.announce(unit, Senses.ModeParametersChanged);
  }

  /** Takes over the device's present number of blocks and tells every initiator that it changed. */
  resized(lun: number): void {
    const unit = this.device.unit(lun);
    if (unit === undefined || unit.blockCount === unit.device.blockCount) return;
    unit.blockCount = unit.device.blockCount;
    unit.host.tokens.cancel(unit);
    unit.host.announce(unit, Senses.CapacityChanged);
  }
}

export class TargetServer implements ConnectionHost, SessionHost {
  readonly timers: Timers;
  readonly buffers: BufferPool;
  readonly chunks: ChunkPool;
  readonly crc32c: Crc32c | undefined;
  readonly writeBudget: number | undefined;
  readonly #hashes: ChapHashes;
  readonly #challenges: Challenges;
  readonly #options: ServerOptions;
  /** Of connections that were accepted elsewhere. */
  readonly #elsewhere: Portal;
  readonly #portals = new Set<Portal>();
  /** Tags of the portal groups that there are or were. */
  readonly #ports = new Set<number>();
  #discoveryChap: Chap | undefined;
  readonly #targets = new Map<string, Target>();
  readonly #listeners = new Set<Listener>();
  readonly #connections = new Set<TargetConnection>();
  readonly #sessions: SessionTable;
  readonly #counters: Counters = {
    connectionsAccepted: 0,
    connectionsRefused: 0,
    connectionsDropped: 0,
    logins: 0,
    loginsFailed: 0,
    loginsRedirected: 0,
    sessionsReinstated: 0,
    commands: 0,
    bytesRead: 0,
    bytesWritten: 0,
    pdusRejected: 0,
    pdusIgnored: 0,
    deviceErrors: 0,
  };
  readonly #idleWatch: IdleWatch;
  #closed = false;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.timers = options.timers;
    this.buffers = new BufferPool(options.memory, options.sharedBudget);
    this.chunks = new ChunkPool(options.memory);
    this.crc32c = options.crc32c;
    if (this.crc32c !== undefined) assertChecksum(this.crc32c);
    this.#hashes = options.hashes ?? {};
    this.#challenges = new Challenges(options.random);
    this.#sessions = new SessionTable(options.random);
    this.discoveryChap = options.discoveryChap;
    this.#elsewhere = { groupTag: options.portalGroupTag ?? 1 };
    this.writeBudget = options.writeBudget;
    const { timers, buffers, chunks } = this;
    this.#idleWatch = new IdleWatch({ timers, memory: options.memory, buffers, chunks });
  }

  /** What initiators have to prove in discovery sessions that begin from now on. */
  set discoveryChap(chap: Chap | undefined) {
    this.assertPossible({ chap });
    this.#discoveryChap = chap;
  }

  addTarget(spec: TargetSpec): Target {
    if (this.#targets.has(spec.name)) throw new RangeError(`a target named ${spec.name} is there already`);
    this.assertPossible(spec);
    const device = new ScsiDevice(
      {
        buffers: this.buffers,
        timers: this.timers,
        portGroups: new PortGroups(spec.name, this.#elsewhere.groupTag, spec.portGroups),
        senseFor: spec.senseFor ?? mediumError,
        abortTasks: (unit, except, nexuses) => this.abortTasks(spec.name, unit, except, nexuses),
        deviceFailed: (unit, error) => this.deviceFailed(spec.name, unit.lun, error),
        announce: (unit, sense, except) => this.#announce(spec.name, unit, sense, except),
        initiatorPorts: (unit) =>
          this.sessionsOf(spec.name)
            .filter(({ tasks }) => tasks?.view.units().includes(unit))
            .map(({ initiatorPort }) => initiatorPort),
        units: (nexus) =>
          this.#sessionsOf(spec.name, new Set([nexus])).flatMap(({ tasks }) => tasks?.view.units() ?? []),
        attend: (unit, sense, nexuses) => {
          for (const session of this.#sessionsOf(spec.name, nexuses)) session.attention(unit, sense);
        },
      },
      this.#options.random,
    );
    for (const port of this.#ports) device.usePort(port);
    const target = new Target(spec, this, device);
    this.#targets.set(spec.name, target);
    return target;
  }

  /** Without any hash function nobody could log in, and would not learn why. */
  assertPossible({ chap }: TargetAccess): void {
    if (chap !== undefined && Object.keys(this.#hashes).length === 0) throw new RangeError("CHAP needs hash functions");
  }

  /** Drops the target's sessions and forgets it. */
  removeTarget(name: string): void {
    for (const unit of this.#targets.get(name)?.device.units() ?? []) void unit.end();
    this.#targets.delete(name);
    void this.dropSessions(name, "the target was removed");
  }

  /**
   * Opens a portal. Rejects as the network's `listen` does.
   *
   * @param groupTag of its portal group; `ServerOptions.portalGroupTag` unless given
   */
  async listen(address: Address, groupTag = this.#elsewhere.groupTag): Promise<Listener> {
    if (!Number.isInteger(groupTag) || groupTag < 1 || groupTag > 0xffff)
      throw new RangeError(`portal group ${groupTag}`);
    // Nobody can be accepted before it is known what it is bound to.
    let portal: Portal = { address, groupTag };
    const listener = await this.#options.network.listen(address, (transport) => this.accept(transport, portal));
    portal = { address: listener.address, groupTag };
    const opened: Listener = {
      address: listener.address,
      close: () => {
        this.#listeners.delete(opened);
        this.#portals.delete(portal);
        listener.close();
      },
    };
    if (this.#closed) listener.close();
    else {
      this.#listeners.add(opened);
      this.#portals.add(portal);
      this.#usePort(groupTag);
    }
    return opened;
  }

  /** A portal group is a target port of every target that is offered there. */
  #usePort(port: number): void {
    if (this.#ports.has(port)) return;
    this.#ports.add(port);
    for (const { device } of this.#targets.values()) device.usePort(port);
  }

  /** Serves a connection that was accepted elsewhere, or at one of the portals. */
  accept(transport: Connection, portal = this.#elsewhere): TargetConnection {
    const connection = new TargetConnection(transport, portal, this);
    if (this.#closed || this.#connections.size >= CONNECTIONS_MAX) {
      this.#counters.connectionsRefused++;
      this.emit({ type: "connection-refused", remote: transport.remote, why: `${CONNECTIONS_MAX} connections` });
      connection.closeAfterFlush("too many connections");
      return connection;
    }
    this.#counters.connectionsAccepted++;
    this.#usePort(portal.groupTag);
    this.#connections.add(connection);
    return connection;
  }

  sessions(): SessionSnapshot[] {
    return this.#sessions.all().flatMap((session) => (session.closed ? [] : [session.snapshot()]));
  }

  /** Sessions, with those whose connections are gone and whose I/O is not: at most SESSIONS_MAX. */
  get heldSessions(): number {
    return this.#sessions.size;
  }

  counters(): Readonly<Counters> {
    const sum = { ...this.#counters, sessionsReinstated: this.#sessions.reinstated };
    for (const session of this.#sessions.all()) add(sum, session);
    return sum;
  }

  sessionsOf(targetName: string): Session[] {
    return this.#sessions.of(targetName);
  }

  /**
   * Asks an initiator, or all that have a session with the target, to log out, and ends the sessions of those that have not in
   * so many seconds. Resolves when no device has anything left to do for them.
   */
  async logOut(targetName: string, seconds: number, why: string, initiatorName?: string): Promise<void> {
    const sessions = this.sessionsOf(targetName).filter(
      ({ identity }) => initiatorName === undefined || identity.initiatorName === initiatorName,
    );
    const quiet = sessions.map((session) => this.#sessions.whenQuiet(session));
    for (const session of sessions) session.requestLogout(seconds, why);
    await Promise.all(quiet);
  }

  /** Tells the initiators, then closes their connections; resolves when all their sessions are quiet. */
  async dropSessions(targetName: string, why: string): Promise<void> {
    await Promise.all(this.sessionsOf(targetName).map((session) => this.#end(session, why)));
  }

  /** Ends a session that its initiator did not end. Resolves when it is quiet. */
  #end(session: Session, why: string): Promise<void> {
    session.end(why);
    // They do not wait for the tasks to end.
    void this.#endCopies(session);
    return this.#sessions.whenQuiet(session);
  }

  /** Has the target's sessions follow what their initiators are given now: see `Target.changeAccess`. */
  async follow(target: Target): Promise<void> {
    const { name, access } = target;
    const ends: Promise<void>[] = [];
    for (const session of this.sessionsOf(name)) {
      const { initiatorName } = session.identity;
      const grant = target.grantTo(initiatorName, session.portal);
      if (typeof grant === "number" || !isStillProven(access, initiatorName, session.user)) {
        ends.push(this.#end(session, "its access was taken away"));
      } else {
        const hidden = session.tasks?.view.refresh(grant.luns) ?? [];
        ends.push(...hidden.map((unit) => this.#withdraw(session, unit)));
      }
    }
    await Promise.all(ends);
  }

  /** A unit that a session is not given any more: its tasks end, and so does what only lives as long as the nexus. */
  async #withdraw(session: Session, unit: LogicalUnit): Promise<void> {
    await Promise.all([abortIn(session, unit), unit.host.copies.withdrawn(unit, session.nexus)]);
    // It may have been given it again meanwhile.
    if (session.tasks?.view.nexusOf(unit) === undefined) unit.nexusLost(session.nexus);
  }

  /** Stops listening, ends all sessions; resolves when no device has anything left to do for them. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#idleWatch.stop();
    for (const listener of [...this.#listeners]) listener.close();
    const sessions = this.#sessions.all();
    const quiet = sessions.map((session) => this.#sessions.whenQuiet(session));
    for (const session of sessions) session.end("the target is closing");
    for (const connection of [...this.#connections]) connection.closeAfterFlush("the target is closing");
    await Promise.all(quiet);
    const units = [...this.#targets.values()].flatMap((target) => target.device.units());
    await Promise.all(units.map((unit) => unit.end()));
    this.#idleWatch.trim();
  }

  // What connections and sessions ask for.

  received(bytes: number): void {
    this.#idleWatch.received(bytes);
  }

  emit(event: TargetEvent): void {
    this.#options.onEvent?.(event);
  }

  loginAt(portal: Portal): LoginTarget {
    return {
      admit: (targetName, initiatorName) =>
        this.#redirection(targetName, initiatorName, portal) ?? this.#admit(targetName, initiatorName, portal),
      chapOf: (targetName) => (targetName === "" ? this.#discoveryChap : this.#targets.get(targetName)?.access.chap),
      newChallenge: () => this.#challenges.next(),
      joined: (tsih, identity) => this.#joined(tsih, identity, portal),
      hashes: this.#hashes,
      digests: this.crc32c !== undefined,
      errorRecoveryLevel: this.#options.errorRecoveryLevel ?? ERROR_RECOVERY_LEVEL_MAX,
      portalGroupTag: portal.groupTag,
    };
  }

  #redirection(targetName: string, initiatorName: string, portal: Portal): Redirection | undefined {
    const target = this.#targets.get(targetName);
    if (target?.access.redirect === undefined) return undefined;
    if (typeof target.grantTo(initiatorName, portal) === "number") return undefined;
    return target.access.redirect(initiatorName, portal);
  }

  #admit(targetName: string, initiatorName: string, portal: Portal): number {
    const target = this.#targets.get(targetName);
    if (target === undefined) return LoginStatus.TargetNotFound;
    const grant = target.grantTo(initiatorName, portal);
    if (typeof grant === "number") return grant;
    return target.available && target.admits ? LoginStatus.Success : LoginStatus.ServiceUnavailable;
  }

  #joined(tsih: number, identity: LoginIdentity, portal: Portal): Readonly<Parameters> | number {
    const status = this.#sessions.mayJoin(tsih, identity, portal);
    const session = this.#sessions.get(tsih);
    return status === LoginStatus.Success && session !== undefined ? session.parameters : status;
  }

  session(tsih: number): Session | undefined {
    return this.#sessions.get(tsih);
  }

  prepare(login: FinishedLogin, ready: (result: Session | number) => void): void {
    this.#sessions.prepare(login, (tsih) => this.#newSession(login, tsih), ready);
  }

  #newSession(login: FinishedLogin, tsih: number): Session | number {
    const { identity, portal, parameters, cmdSN, user } = login;
    const status = identity.discovery ? LoginStatus.Success : this.#admitStill(login);
    if (status !== LoginStatus.Success) return status;
    const { buffers, writeBudget } = this;
    const view = this.#viewOf(identity, portal, parameters.protocolLevel >= PROTOCOL_LEVEL_SAM5);
    return new Session({ identity, portal, tsih, parameters, cmdSN, user, view, buffers, writeBudget }, this);
  }

  /** A login takes time, and what was granted when it began may have been taken away since. */
  #admitStill({ identity: { targetName, initiatorName }, portal, user }: FinishedLogin): number {
    const access = this.#targets.get(targetName)?.access;
    if (access !== undefined && !isStillProven(access, initiatorName, user)) return LoginStatus.AuthenticationFailure;
    return this.#admit(targetName, initiatorName, portal);
  }

  /** What an initiator that was admitted is given; `undefined` in a discovery session. */
  #viewOf(
    { targetName, initiatorName, isid }: LoginIdentity,
    portal: Portal,
    hasQueries: boolean,
  ): LunView | undefined {
    const target = this.#targets.get(targetName);
    if (target === undefined) return undefined;
    const grant = target.grantTo(initiatorName, portal);
    if (typeof grant === "number") throw new Error(`a session of ${initiatorName} that was not admitted`);
    return new LunView(target.device, portName(initiatorName, isid), portal.groupTag, hasQueries, grant.luns);
  }

  opened(session: Session, isNew: boolean): void {
    this.#counters.logins++;
    if (isNew) this.emit({ type: "session-opened", session: session.snapshot() });
  }

  closed(connection: TargetConnection): void {
    this.#connections.delete(connection);
    // It may have had a last word after all else was given back.
    if (this.#closed) this.#idleWatch.trim();
  }

  sessionClosed(session: SessionSnapshot, why: string): void {
    this.emit({ type: "session-closed", session, why });
  }

  quiet(session: Session): void {
    const copying = this.#endCopies(session);
    if (copying === undefined) this.#gone(session);
    else void copying.then(() => this.#gone(session));
  }

  /** @returns when they have ended; `undefined` where there are none */
  #endCopies({ identity, nexus }: Session): Promise<unknown> | undefined {
    return this.#targets.get(identity.targetName)?.device.host.copies.nexusLost(nexus);
  }

  #gone(session: Session): void {
    const { identity, nexus } = session;
    for (const unit of this.#targets.get(identity.targetName)?.device.units() ?? []) unit.nexusLost(nexus);
    add(this.#counters, session);
    this.#sessions.remove(session);
  }

  /** RFC 7143 appendix C: names and addresses of what the initiator may use. */
  sendTargets(which: string, initiatorName: string, local: string, own: Portal): string | undefined {
    let records = "";
    for (const target of this.#targets.values()) {
      if (which !== "All" && which !== target.name) continue;
      if (typeof target.grantTo(initiatorName, own) === "number") continue;
      const portals = [...this.#portals].filter((at) => typeof target.grantTo(initiatorName, at) !== "number");
      const addresses = targetAddresses(local, own, portals);
      records += `TargetName=${target.name}\0${addresses.map((address) => `TargetAddress=${address}\0`).join("")}`;
    }
    return records;
  }

  reset(unit: LogicalUnit | undefined, by: SessionConnection, cmdSN: number, done: () => void): void {
    const units = unit === undefined ? (by.session.tasks?.view.units() ?? []) : [unit];
    const lifts = units.map((each) => each.reset());
    let left = 1;
    const one = () => {
      left--;
      if (left > 0) return;
      for (const lift of lifts) lift();
      done();
    };
    for (const each of units) {
      const copying = each.host.copies.unitReset(each);
      if (copying === undefined) continue;
      left++;
      void copying.then(one);
    }
    for (const session of this.sessionsOf(by.session.identity.targetName)) {
      const { tasks } = session;
      if (tasks === undefined) continue;
      for (const each of units) {
        left++;
        if (session === by.session) {
          const ending = tasks.tasksBefore(cmdSN, (task) => task.unit === each);
          session.announceTermination(ending, by);
          tasks.abort(ending, one);
        } else {
          const ending = tasks.tasksOfUnit(each);
          session.announceTermination(ending);
          tasks.abort(ending, one, Status.TaskAborted);
        }
        session.attention(each, Senses.UnitReset);
      }
    }
    one();
  }

  coldReset(targetName: string): void {
    for (const session of this.sessionsOf(targetName)) session.end("target cold reset");
  }

  deviceFailed(targetName: string, lun: number, error: unknown): void {
    this.#counters.deviceErrors++;
    this.emit({ type: "device-failed", targetName, lun, error });
  }

  dropped(connection: TargetConnection, why: string): void {
    this.#counters.connectionsDropped++;
    this.emit({ type: "connection-dropped", remote: connection.transport.remote, why });
  }

  loginFailed(connection: TargetConnection, initiatorName: string, status: number, why?: string): void {
    const { remote } = connection.transport;
    if (status === LoginStatus.MovedTemporarily || status === LoginStatus.MovedPermanently) {
      this.#counters.loginsRedirected++;
      this.emit({ type: "login-redirected", remote, initiatorName, status, to: why ?? "" });
      return;
    }
    this.#counters.loginsFailed++;
    const failure = { type: "login-failed", remote, initiatorName, status } as const;
    this.emit(why === undefined ? failure : { ...failure, why });
  }

  /** Aborts tasks of a unit, see `UnitHost`. */
  async abortTasks(
    targetName: string,
    unit: LogicalUnit,
    except?: Command,
    nexuses?: ReadonlySet<string>,
  ): Promise<void> {
    const sessions = nexuses === undefined ? this.sessionsOf(targetName) : this.#sessionsOf(targetName, nexuses);
    await Promise.all(sessions.map((session) => abortIn(session, unit, except)));
  }

  #sessionsOf(targetName: string, nexuses: ReadonlySet<string>): Session[] {
    return this.sessionsOf(targetName).filter(({ nexus }) => nexuses.has(nexus));
  }

  #announce(targetName: string, unit: LogicalUnit, sense: Sense, except?: Nexus): void {
    for (const session of this.sessionsOf(targetName)) {
      if (except !== undefined && session.tasks?.view.nexusOf(unit) === except) continue;
      session.attention(unit, sense);
    }
  }
}

function abortIn({ tasks }: Session, unit: LogicalUnit, except?: Command): Promise<void> {
  return new Promise((resolve) => {
    if (tasks === undefined) return resolve();
    tasks.abortUnit(unit, except, resolve, Status.TaskAborted);
  });
}

function add(sum: Counters, session: Session): void {
  sum.commands += session.tasks?.commands ?? 0;
  sum.bytesRead += session.tasks?.bytesRead ?? 0;
  sum.bytesWritten += session.tasks?.bytesWritten ?? 0;
  sum.pdusRejected += session.rejected;
  sum.pdusIgnored += session.ignored;
}

/** One that is wrong would have every host that wants digests turned away, for damage on the way. */
function assertChecksum(crc32c: Crc32c): void {
  const bytes = new TextEncoder().encode("0123456789");
  if (crc32c(bytes, crc32c(bytes, 0, 1, 4), 4, 10) !== 0xe3069283) throw new RangeError("crc32c is not a CRC-32C");
}
