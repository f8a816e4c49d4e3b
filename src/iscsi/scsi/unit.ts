/**
 * A logical unit: a block device under a LUN, with its identity and modes, and the nexuses through which
 * initiators see it.
 *
 * Invariants: while a command has the unit for itself (`exclusively`), no write of another command is in flight;
 * a unit attention is reported once to each nexus it concerns.
 */

import type { BufferPool } from "../buffers.ts";
import type { BlockDevice, Pending, ReservationStore, Timers } from "../interfaces.ts";
import { PHYSICAL_BLOCK_BYTES } from "../limits.ts";
import { CommandCounter } from "../statistics.ts";
import { Access } from "./access.ts";
import { reachThrough } from "./alua.ts";
import { Background } from "./background.ts";
import type { Command } from "./command.ts";
import type { Copies } from "./copies.ts";
import type { LogBases } from "./log-pages.ts";
import { REPORT_LUNS_UNIT } from "./lun.ts";
import type { AccessChange, PortGroups } from "./port-groups.ts";
import { AbsentMedium, RemovableMedium } from "./removable-medium.ts";
import { type Sense, Senses } from "./sense.ts";
import type { Tokens } from "./tokens.ts";
import { Transfers } from "./transfers.ts";
import { UnitReservations } from "./unit-reservations.ts";
import { whileWaitedFor } from "./waits.ts";
import { WatchedDevice } from "./watched-device.ts";
import { WorkBuffers } from "./work-buffers.ts";

export interface Identity {
  /** T10 vendor identification, at most 8 ASCII characters. */
  readonly vendor: string;
  /** At most 16. */
  readonly product: string;
  /** At most 4. */
  readonly revision: string;
  /** Unit serial number, VPD page 80h: at most 64. */
  readonly serial: string;
  /** NAA identifier of VPD page 83h: 8 bytes (NAA 2h, 3h or 5h) or 16 (NAA 6h). */
  readonly naa: bigint | Uint8Array;
}

export interface LunSpec {
  /** 0 to 16383. */
  readonly lun: number;
  readonly device: BlockDevice;
  readonly identity: Identity;
  readonly readOnly?: boolean;
  /** Whether hosts can eject its medium (RMB), and load it again. False unless given. */
  readonly removable?: boolean;
  /** Without it, no reservation outlives the target, and initiators are told so. */
  readonly reservations?: ReservationStore;
}

/** What a unit needs of its surroundings. */
export interface UnitHost {
  readonly buffers: BufferPool;
  readonly timers: Timers;
  /** The sense, or BUSY, that a host is told for a device's error. */
  readonly senseFor: (error: unknown, writing: boolean) => Sense | "BUSY";
  /**
   * Aborts every task of the unit but `except`, of these I_T nexuses or of all; resolves when its device has nothing left to do
   * for them.
   */
  readonly abortTasks: (unit: LogicalUnit, except: Command, nexuses?: ReadonlySet<string>) => Promise<void>;
  /** Work that no command waits for has failed. */
  readonly deviceFailed: (unit: LogicalUnit, error: unknown) => void;
  /** Establishes a unit attention on every nexus of the unit but `except`. */
  readonly announce: (unit: LogicalUnit, sense: Sense, except?: Nexus) => void;
  /** SCSI names of the initiator ports that have a session in which they are given the unit. */
  readonly initiatorPorts: (unit: LogicalUnit) => readonly string[];
  /** Units that an I_T nexus may use, for what it asks of one about another. */
  readonly units: (nexus: string) => readonly LogicalUnit[];
  readonly copies: Copies;
  readonly tokens: Tokens;
  readonly portGroups: PortGroups;
  /** Gives target port groups other states, and tells every nexus but `except`. @param alteredBy one of `AlteredBy` */
  readonly changeAccessStates: (changes: readonly AccessChange[], alteredBy: number, except?: Nexus) => void;
  /** Establishes a unit attention on those of the unit's nexuses that have these names. */
  readonly attend: (unit: LogicalUnit, sense: Sense, nexuses: ReadonlySet<string>) => void;
}

/** Why a unit carries out no commands but those that report on it. */
export interface Refusal {
  readonly sense: () => Sense;
  /** The opcode of the command that is carried out all the same: SANITIZE after one that failed. */
  readonly except: number | undefined;
  /** Whether SANITIZE's EXIT FAILURE MODE ends it. */
  readonly mayBeLifted: boolean;
}

const UNIT_ATTENTIONS_MAX = 8;
/** Of the flat space addressing method, SAM-5 section 4.7.7.3. */
export const LUN_MAX = 0x3fff;

/** What an initiator port is given of a target: no command of its reaches anything else. */
export interface LunList {
  /** Of the target. */
  readonly portGroups: PortGroups;
  /** The SCSI name of the initiator's port, and the target port that it comes through. */
  readonly initiatorPort: string;
  readonly targetPort: number;
  /** What both are together, by `nexusName`. */
  readonly name: string;
  /** Whether the initiator may use the task management functions that came after SAM-2. */
  readonly hasQueries: boolean;
  units(): readonly LogicalUnit[];
  /** Ascending. */
  luns(): readonly number[];
  /** The initiator knows of all changes up to now. */
  lunsReported(): void;
}

/** One I_T nexus' view of one LUN, whether there is a unit or not. */
export class Nexus {
  readonly lun: number;
  unit: LogicalUnit | undefined;
  /** Of the I_T nexus, see `nexusName`. */
  readonly name: string;
  /** What else it is given. */
  readonly siblings: LunList;
  readonly attentions: Sense[] = [];
  /** Tasks that have started and not ended. */
  active = 0;
  orderedActive = false;
  /** Aborted tasks that the device is not done with, and what resolves with the last of them. */
  #aborting = 0;
  #ended = Promise.withResolvers<void>();

  constructor(lun: number, unit: LogicalUnit | undefined, siblings: LunList) {
    this.lun = lun;
    this.siblings = siblings;
    this.name = siblings.name;
    this.unit = unit;
    if (unit !== undefined || lun === REPORT_LUNS_UNIT) this.attentions.push(Senses.PowerOn);
  }

  /** Whether a command to read a unit would be carried out now. */
  mayRead(unit: LogicalUnit): boolean {
    const { reservations } = unit;
    if (this.unit !== unit || !unit.isOpenThrough(this.siblings.targetPort)) return false;
    return !(reservations.held && reservations.conflicts(this.name, Access.Read));
  }

  abortionBegun(): void {
    this.#aborting++;
  }

  abortionEnded(): void {
    this.#aborting--;
    if (this.#aborting > 0) return;
    this.#ended.resolve();
    this.#ended = Promise.withResolvers();
  }

  get isAborting(): boolean {
    return this.#aborting > 0;
  }

  /**
   * Waits until the device is done with what was aborted of this nexus; `undefined` where there is nothing. Rejects where the
   * signal was aborted meanwhile: who waits may be the next that is.
   */
  whenAborted(signal: AbortSignal): Pending {
    return this.#aborting === 0 ? undefined : this.#wait(signal);
  }

  async #wait(signal: AbortSignal): Promise<void> {
    await whileWaitedFor(signal, this.#ended.promise);
    signal.throwIfAborted();
  }

  /** Another unit, or none, is under this LUN now. */
  replace(unit: LogicalUnit | undefined): void {
    this.unit = unit;
    this.attentions.length = 0;
    if (unit !== undefined) this.attentions.push(Senses.PowerOn);
  }

  attention(sense: Sense): void {
    if (this.attentions.includes(sense) || this.attentions.length === UNIT_ATTENTIONS_MAX) return;
    this.attentions.push(sense);
  }

  /** The first unit attention, which the initiator is told of now. That LUNs have changed is told on one of them for all. */
  report(): Sense | undefined {
    const sense = this.attentions.shift();
    if (sense === Senses.LunsChanged) this.siblings.lunsReported();
    return sense;
  }

  /** Nothing is to be said of it any more. */
  withdraw(sense: Sense): void {
    const at = this.attentions.indexOf(sense);
    if (at >= 0) this.attentions.splice(at, 1);
  }
}

export class LogicalUnit {
  readonly lun: number;
  /** What every request goes to; never to be kept over a wait. */
  device: BlockDevice;
  readonly #device: BlockDevice;
  #changes: ((lba: number, blocks: number) => void) | undefined;
  readonly identity: Identity;
  readonly host: UnitHost;
  readonly blockSize: number;
  /** What hosts were told; `resized` takes over what the device has now. */
  blockCount: number;
  /** Whether its owner has it write protected; initiators are told by whoever changes it. */
  readOnly: boolean;
  readonly reservations: UnitReservations;
  /** Absent where it is not removable. */
  readonly medium: RemovableMedium | undefined;
  /** Software write protect and descriptor sense, as set by MODE SELECT since the last reset. */
  swp = false;
  dSense = false;
  /** Whether the last read or write was done when the call returned: chooses the path of the next one. */
  readsAtOnce = true;
  writesAtOnce = true;
  readonly background = new Background();
  readonly workBuffers: WorkBuffers;
  readonly counter = new CommandCounter();
  readonly transfers = new Transfers();
  readonly logBases: LogBases = new Map();
  /** Whether it carries out every command, whatever port of the server it comes through: all that a command looks at while it does. */
  open = true;
  #refusal: Refusal | undefined;
  #reached = true;
  #loaded = true;
  #writes = 0;
  #exclusive = false;
  /** Bounded by the tasks of all sessions: each task waits here with at most one piece. */
  #waiting: (() => void)[] = [];
  #idle: (() => void) | undefined;

  constructor(spec: LunSpec, host: UnitHost) {
    const { device } = spec;
    if (device.blockSize !== 512 && device.blockSize !== PHYSICAL_BLOCK_BYTES) {
      throw new RangeError(`LUN ${spec.lun}: a block of ${device.blockSize} bytes, 512 or 4096 are supported`);
    }
    if (!Number.isInteger(spec.lun) || spec.lun < 0 || spec.lun > LUN_MAX) throw new RangeError(`LUN ${spec.lun}`);
    this.lun = spec.lun;
    this.device = device;
    this.#device = device;
    this.identity = spec.identity;
    this.host = host;
    this.workBuffers = new WorkBuffers(host.buffers);
    this.blockSize = device.blockSize;
    this.blockCount = device.blockCount;
    this.readOnly = spec.readOnly ?? false;
    this.reservations = new UnitReservations(spec.reservations);
    this.medium = spec.removable === true ? new RemovableMedium() : undefined;
  }

  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  set refusal(refusal: Refusal | undefined) {
    this.#refusal = refusal;
    this.#look();
  }

  /** Whether all ports of the server are active. */
  set reached(reached: boolean) {
    this.#reached = reached;
    this.#look();
  }

  /** Whether its medium is there. */
  get loaded(): boolean {
    return this.#loaded;
  }

  set loaded(loaded: boolean) {
    this.#loaded = loaded;
    this.#look();
    this.#choose();
  }

  #look(): void {
    this.open = this.#reached && this.#refusal === undefined && this.#loaded;
  }

  /** Whether it carries out every command that comes through a port. */
  isOpenThrough(port: number): boolean {
    if (this.open) return true;
    return this.#refusal === undefined && this.#loaded && reachThrough(this.host.portGroups, port) === undefined;
  }

  /**
   * A reset: what hosts have of it only until then ends.
   *
   * @returns to be called once the device is done with what the reset has aborted
   */
  reset(): () => void {
    this.swp = false;
    this.dSense = false;
    this.medium?.reset();
    return this.reservations.reset();
  }

  /** As `reset`, of what one nexus has. */
  nexusReset(nexus: string): () => void {
    this.medium?.allow(nexus);
    return this.reservations.nexusReset(nexus);
  }

  /** A nexus is gone, and the device is done with its tasks. */
  nexusLost(nexus: string): void {
    this.medium?.allow(nexus);
    this.reservations.nexusLost(nexus);
  }

  /** It is not used any more. Resolves when its device has nothing left to do for it but tasks. */
  async end(): Promise<void> {
    this.host.tokens.cancel(this);
    await Promise.all([this.background.end(), this.host.copies.unitEnds(this)]);
  }

  /** Has `changes` told of blocks before they are written or unmapped; costs nothing while it is `undefined`. */
  watch(changes: ((lba: number, blocks: number) => void) | undefined): void {
    this.#changes = changes;
    this.#choose();
  }

  /** Commands that came before the medium was ejected find out here. */
  #choose(): void {
    if (!this.#loaded) this.device = new AbsentMedium(this.#device);
    else this.device = this.#changes === undefined ? this.#device : new WatchedDevice(this.#device, this.#changes);
  }

  get writeProtected(): boolean {
    return this.readOnly || this.swp;
  }

  /** @returns false if another command has the unit for itself; `retry` runs once it has not */
  beginWrite(retry: () => void): boolean {
    if (this.#exclusive) {
      this.#waiting.push(retry);
      return false;
    }
    this.#writes++;
    return true;
  }

  endWrite(): void {
    this.#writes--;
    if (this.#writes === 0 && this.#idle !== undefined) {
      const idle = this.#idle;
      this.#idle = undefined;
      idle();
    }
  }

  /** As `beginWrite`, for work that may wait. Rejects, without it, where the signal was aborted meanwhile. */
  async inTurn(signal: AbortSignal, write: () => Pending): Promise<void> {
    await this.#writeTurn();
    try {
      signal.throwIfAborted();
      await write();
    } finally {
      this.endWrite();
    }
  }

  async #writeTurn(): Promise<void> {
    while (this.#exclusive) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#writes++;
  }

  /**
   * Runs `work` while no write is in flight; writes that come meanwhile wait. Rejects, without it, where the signal was
   * aborted meanwhile.
   */
  async exclusively(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    while (this.#exclusive) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#exclusive = true;
    try {
      if (this.#writes > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
      signal.throwIfAborted();
      await work();
    } finally {
      this.#exclusive = false;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const retry of waiting) retry();
    }
  }

  /** Lets other work have its turn. */
  yield(): Promise<void> {
    return new Promise((resolve) => this.host.timers.afterTurn(resolve));
  }
}
