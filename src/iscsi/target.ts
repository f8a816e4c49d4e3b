/**
 * Targets and the portals they are reached through: one portal group, any number of targets, their sessions.
 *
 * Invariants: at most one session for each (initiator name, ISID, target); a new one of the same three ends the old
 * one and does not start before that has no I/O left; a session leaves the list only when it is quiet.
 */

import { BufferPool } from "./buffers.ts";
import { Challenges } from "./challenges.ts";
import type { Chap, ChapChallenge } from "./chap.ts";
import { type ConnectionHost, TargetConnection } from "./connection.ts";
import { LoginStatus } from "./constants.ts";
import type { Counters, SessionSnapshot, TargetEvent } from "./events.ts";
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
import { CONNECTIONS_MAX, SESSIONS_MAX } from "./limits.ts";
import type { LoginIdentity } from "./login.ts";
import { ChunkPool } from "./output.ts";
import type { Command } from "./scsi/command.ts";
import { mediumError, ScsiDevice } from "./scsi/device.ts";
import { type AccessChange, AlteredBy, type PortGroup, PortGroups, type PortGroupsSpec } from "./scsi/port-groups.ts";
import { type Sense, Senses, Status } from "./scsi/sense.ts";
import type { LogicalUnit, LunSpec, Nexus } from "./scsi/unit.ts";
import type { Session } from "./session.ts";

export interface ServerOptions {
  readonly network: Network;
  readonly timers: Timers;
  readonly memory: Memory;
  readonly random: Random;
  /** Without it, digests are negotiated to None. */
  readonly crc32c?: Crc32c;
  /** What CHAP is made with: needed where it is asked for. */
  readonly hashes?: ChapHashes;
  /** What initiators have to prove in discovery sessions; nothing unless given. */
  readonly discoveryChap?: Chap;
  /** 1 to 65535, 1 unless given; sites that serve one target together need different ones. */
  readonly portalGroupTag?: number;
  readonly onEvent?: (event: TargetEvent) => void;
  /** Bytes of write data that one session may hold; WRITE_BUDGET_BYTES unless given. */
  readonly writeBudget?: number;
}

export interface TargetSpec {
  /** An iSCSI name of RFC 7143 section 4.2.7, such as `iqn.2026-11.dev.antipode:prod`. */
  readonly name: string;
  readonly luns: readonly LunSpec[];
  /** Whether an initiator may log in and see the target in discovery. Everybody may unless given. */
  readonly admits?: (initiatorName: string) => boolean;
  /** What initiators have to prove to log in; nothing unless given. */
  readonly chap?: Chap;
  /** Through which portal groups hosts may use the LUNs, and how well: this server's alone, in full, unless given. */
  readonly portGroups?: PortGroupsSpec;
  /** What hosts are told about an error of a device. `mediumError` unless given. */
  readonly senseFor?: (error: unknown, writing: boolean) => Sense | "BUSY";
}

export class Target {
  readonly name: string;
  readonly device: ScsiDevice;
  readonly admits: (initiatorName: string) => boolean;
  readonly chap: Chap | undefined;
  readonly #server: TargetServer;
  #available = true;

  constructor(spec: TargetSpec, server: TargetServer, device: ScsiDevice) {
    this.name = spec.name;
    this.#server = server;
    this.device = device;
    this.admits = spec.admits ?? (() => true);
    this.chap = spec.chap;
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
    if (!available) this.#server.dropSessions(this.name, "the target is not available now");
  }

  addLun(spec: LunSpec): void {
    this.device.add(spec);
    for (const session of this.#server.sessionsOf(this.name)) session.lunsChanged(this.device);
  }

  /** Ends the unit's tasks; resolves when its device has nothing left to do for them. */
  async removeLun(lun: number): Promise<void> {
    const unit = this.device.remove(lun);
    if (unit === undefined) return;
    for (const session of this.#server.sessionsOf(this.name)) session.lunsChanged(this.device);
    await this.#server.abortTasks(this.name, lun);
    await unit.end();
  }

  /** The target port groups as they are now. */
  get portGroups(): readonly PortGroup[] {
    return this.device.host.portGroups.groups;
  }

  /** Gives target port groups other access states, from the next command on, and tells every initiator. */
  changeAccess(changes: readonly AccessChange[]): void {
    this.device.changeAccess(changes, AlteredBy.Target);
  }

  /** Takes over the device's present number of blocks and tells every initiator that it changed. */
  resized(lun: number): void {
    const unit = this.device.unit(lun);
    if (unit === undefined || unit.blockCount === unit.device.blockCount) return;
    unit.blockCount = unit.device.blockCount;
    unit.host.announce(unit, Senses.CapacityChanged);
  }
}

export class TargetServer implements ConnectionHost {
  readonly timers: Timers;
  readonly buffers: BufferPool;
  readonly chunks: ChunkPool;
  readonly crc32c: Crc32c | undefined;
  readonly writeBudget: number | undefined;
  readonly portalGroupTag: number;
  readonly digests: boolean;
  readonly hashes: ChapHashes;
  readonly #challenges: Challenges;
  readonly #options: ServerOptions;
  readonly #targets = new Map<string, Target>();
  readonly #listeners = new Set<Listener>();
  readonly #connections = new Set<TargetConnection>();
  /** By TSIH; a session whose connection is gone stays until it is quiet. */
  readonly #sessions = new Map<number, { session: Session; connection: TargetConnection }>();
  readonly #waiting = new Set<{ session: Session; run: () => void }>();
  readonly #counters: Counters = {
    connectionsAccepted: 0,
    connectionsRefused: 0,
    connectionsDropped: 0,
    logins: 0,
    loginsFailed: 0,
    sessionsReinstated: 0,
    commands: 0,
    bytesRead: 0,
    bytesWritten: 0,
    pdusRejected: 0,
    pdusIgnored: 0,
    deviceErrors: 0,
  };
  #closed = false;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.timers = options.timers;
    this.buffers = new BufferPool(options.memory);
    this.chunks = new ChunkPool(options.memory);
    this.crc32c = options.crc32c;
    this.digests = options.crc32c !== undefined;
    this.hashes = options.hashes ?? {};
    this.#challenges = new Challenges(options.random);
    if (options.discoveryChap !== undefined) this.#requireHashes();
    this.portalGroupTag = options.portalGroupTag ?? 1;
    this.writeBudget = options.writeBudget;
  }

  addTarget(spec: TargetSpec): Target {
    if (this.#targets.has(spec.name)) throw new RangeError(`a target named ${spec.name} is there already`);
    if (spec.chap !== undefined) this.#requireHashes();
    const device = new ScsiDevice({
      buffers: this.buffers,
      timers: this.timers,
      portGroups: new PortGroups(spec.name, this.portalGroupTag, spec.portGroups),
      senseFor: spec.senseFor ?? mediumError,
      abortTasks: (unit, except, ports) => this.abortTasks(spec.name, unit.lun, except, ports),
      deviceFailed: (unit, error) => this.deviceFailed(spec.name, unit.lun, error),
      announce: (unit, sense, except) => this.#announce(spec.name, unit, sense, except),
      initiatorPorts: () => this.sessionsOf(spec.name).map(({ initiatorPort }) => initiatorPort),
      attend: (unit, sense, ports) => {
        for (const session of this.#sessionsOfPorts(spec.name, ports)) session.attention(unit, sense);
      },
    });
    const target = new Target(spec, this, device);
    this.#targets.set(spec.name, target);
    return target;
  }

  /** Without any nobody could log in, and would not learn why. */
  #requireHashes(): void {
    if (Object.keys(this.hashes).length === 0) throw new RangeError("CHAP needs hash functions");
  }

  /** Drops the target's sessions and forgets it. */
  removeTarget(name: string): void {
    for (const unit of this.deviceOf(name)?.units() ?? []) void unit.end();
    this.#targets.delete(name);
    this.dropSessions(name, "the target was removed");
  }

  /** Opens a portal. Rejects as the network's `listen` does. */
  async listen(address: Address): Promise<Listener> {
    const listener = await this.#options.network.listen(address, (transport) => this.accept(transport));
    const opened: Listener = {
      address: listener.address,
      close: () => {
        this.#listeners.delete(opened);
        listener.close();
      },
    };
    if (this.#closed) listener.close();
    else this.#listeners.add(opened);
    return opened;
  }

  /** Serves a connection that was accepted elsewhere. */
  accept(transport: Connection): TargetConnection {
    const connection = new TargetConnection(transport, this);
    if (this.#closed || this.#connections.size >= CONNECTIONS_MAX) {
      this.#counters.connectionsRefused++;
      this.emit({ type: "connection-refused", remote: transport.remote, why: `${CONNECTIONS_MAX} connections` });
      connection.closeAfterFlush("too many connections");
      return connection;
    }
    this.#counters.connectionsAccepted++;
    this.#connections.add(connection);
    return connection;
  }

  sessions(): SessionSnapshot[] {
    return [...this.#connections].map((connection) => connection.snapshot()).filter((one) => one !== undefined);
  }

  /** Sessions, with those whose connection is gone and whose I/O is not: at most SESSIONS_MAX. */
  get heldSessions(): number {
    return this.#sessions.size;
  }

  counters(): Readonly<Counters> {
    const sum = { ...this.#counters };
    for (const { session } of this.#sessions.values()) add(sum, session);
    return sum;
  }

  sessionsOf(targetName: string): Session[] {
    return [...this.#sessions.values()]
      .map((one) => one.session)
      .filter((one) => one.identity.targetName === targetName);
  }

  /** Tells the initiators, then closes their connections. */
  dropSessions(targetName: string, why: string): void {
    for (const { session, connection } of this.#sessions.values()) {
      if (session.identity.targetName !== targetName) continue;
      session.announceDrop();
      connection.closeAfterFlush(why);
    }
  }

  /** Stops listening, ends all sessions; resolves when no device has anything left to do for them. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const listener of [...this.#listeners]) listener.close();
    const quiet = [...this.#sessions.values()].map(({ session }) => this.#whenQuiet(session));
    for (const connection of [...this.#connections]) {
      connection.session?.announceDrop();
      connection.closeAfterFlush("the target is closing");
    }
    await Promise.all(quiet);
    const units = [...this.#targets.values()].flatMap((target) => target.device.units());
    await Promise.all(units.map((unit) => unit.end()));
    this.buffers.trim();
    this.chunks.trim();
  }

  #whenQuiet(session: Session): Promise<void> {
    return new Promise((resolve) => {
      if (session.isQuiet) resolve();
      else this.#waiting.add({ session, run: resolve });
    });
  }

  // What connections ask for.

  emit(event: TargetEvent): void {
    this.#options.onEvent?.(event);
  }

  admit(targetName: string, initiatorName: string): number {
    const target = this.#targets.get(targetName);
    if (target === undefined) return LoginStatus.TargetNotFound;
    if (!target.admits(initiatorName)) return LoginStatus.AuthorizationFailure;
    return target.available ? LoginStatus.Success : LoginStatus.ServiceUnavailable;
  }

  chapOf(targetName: string): Chap | undefined {
    return targetName === "" ? this.#options.discoveryChap : this.#targets.get(targetName)?.chap;
  }

  newChallenge(): ChapChallenge {
    return this.#challenges.next();
  }

  existing(tsih: number): number {
    return this.#sessions.has(tsih) ? LoginStatus.TooManyConnections : LoginStatus.SessionDoesNotExist;
  }

  prepare(identity: LoginIdentity, ready: (result: { tsih: number } | { status: number }) => void): void {
    const old = identity.discovery ? undefined : this.#sameNexus(identity);
    if (old === undefined) {
      if (this.#sessions.size >= SESSIONS_MAX) {
        ready({ status: LoginStatus.OutOfResources });
        return;
      }
      ready({ tsih: this.#newTsih() });
      return;
    }
    this.#counters.sessionsReinstated++;
    const run = () => this.prepare(identity, ready);
    this.#waiting.add({ session: old.session, run });
    old.connection.drop("the session was reinstated");
  }

  #sameNexus(identity: LoginIdentity): { session: Session; connection: TargetConnection } | undefined {
    for (const one of this.#sessions.values()) {
      const other = one.session.identity;
      if (
        other.isid === identity.isid &&
        other.initiatorName === identity.initiatorName &&
        other.targetName === identity.targetName
      ) {
        return one;
      }
    }
    return undefined;
  }

  #newTsih(): number {
    let tsih = 1 + this.#options.random.below(0xffff);
    while (this.#sessions.has(tsih)) tsih = tsih === 0xffff ? 1 : tsih + 1;
    return tsih;
  }

  deviceOf(targetName: string): ScsiDevice | undefined {
    return this.#targets.get(targetName)?.device;
  }

  opened(connection: TargetConnection, session: Session): void {
    this.#counters.logins++;
    this.#sessions.set(session.tsih, { session, connection });
    const snapshot = connection.snapshot();
    if (snapshot !== undefined) this.emit({ type: "session-opened", session: snapshot });
  }

  closed(connection: TargetConnection): void {
    this.#connections.delete(connection);
    const snapshot = connection.snapshot();
    if (snapshot !== undefined) this.emit({ type: "session-closed", session: snapshot, why: connection.why });
  }

  quiet(session: Session): void {
    const copying = this.deviceOf(session.identity.targetName)?.nexusLost(session.initiatorPort);
    if (copying === undefined) this.#gone(session);
    else void copying.then(() => this.#gone(session));
  }

  #gone(session: Session): void {
    this.#sessions.delete(session.tsih);
    add(this.#counters, session);
    for (const waiting of [...this.#waiting]) {
      if (waiting.session !== session) continue;
      this.#waiting.delete(waiting);
      waiting.run();
    }
  }

  /** RFC 7143 appendix C: names and addresses of what the initiator may use. */
  sendTargets(which: string, initiatorName: string, local: string): string | undefined {
    let records = "";
    for (const target of this.#targets.values()) {
      if (which !== "All" && which !== target.name) continue;
      if (!target.admits(initiatorName)) continue;
      records += `TargetName=${target.name}\0TargetAddress=${local},${this.portalGroupTag}\0`;
    }
    return records;
  }

  reset(unit: LogicalUnit | undefined, by: Session, done: () => void): void {
    const device = this.deviceOf(by.identity.targetName);
    const units = unit === undefined ? (device?.units() ?? []) : [unit];
    let left = 1;
    const one = () => {
      left--;
      if (left === 0) done();
    };
    for (const each of units) {
      const copying = each.reset();
      if (copying === undefined) continue;
      left++;
      void copying.then(one);
    }
    for (const session of this.sessionsOf(by.identity.targetName)) {
      const { tasks } = session;
      if (tasks === undefined) continue;
      for (const each of units) {
        left++;
        tasks.abort(tasks.tasksOf(each.lun), one, session === by ? 0 : Status.TaskAborted);
        session.attention(each, Senses.UnitReset);
      }
    }
    one();
  }

  coldReset(targetName: string): void {
    for (const { session, connection } of this.#sessions.values()) {
      if (session.identity.targetName === targetName) connection.closeAfterFlush("target cold reset");
    }
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
    this.#counters.loginsFailed++;
    const { remote } = connection.transport;
    const failure = { type: "login-failed", remote, initiatorName, status } as const;
    this.emit(why === undefined ? failure : { ...failure, why });
  }

  /** Aborts tasks of a LUN, see `UnitHost`. */
  async abortTasks(targetName: string, lun: number, except?: Command, ports?: ReadonlySet<string>): Promise<void> {
    const sessions = ports === undefined ? this.sessionsOf(targetName) : this.#sessionsOfPorts(targetName, ports);
    await Promise.all(
      sessions.map(
        (session) =>
          new Promise<void>((resolve) => {
            const { tasks } = session;
            if (tasks === undefined) return resolve();
            const others = tasks.tasksOf(lun).filter((task) => task !== except);
            tasks.abort(others, resolve, Status.TaskAborted);
          }),
      ),
    );
  }

  #sessionsOfPorts(targetName: string, initiatorPorts: ReadonlySet<string>): Session[] {
    return this.sessionsOf(targetName).filter(({ initiatorPort }) => initiatorPorts.has(initiatorPort));
  }

  #announce(targetName: string, unit: LogicalUnit, sense: Sense, except?: Nexus): void {
    for (const session of this.sessionsOf(targetName)) {
      if (except !== undefined && session.tasks?.nexusOf(unit.lun) === except) continue;
      session.attention(unit, sense);
    }
  }
}

function add(sum: Counters, session: Session): void {
  sum.commands += session.tasks?.commands ?? 0;
  sum.bytesRead += session.tasks?.bytesRead ?? 0;
  sum.bytesWritten += session.tasks?.bytesWritten ?? 0;
  sum.pdusRejected += session.rejected;
  sum.pdusIgnored += session.ignored;
}
