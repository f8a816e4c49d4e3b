/**
 * One connection of a host to a target, and the iSCSI session over it (RFC 7143), from the login to its end. Commands go
 * out as the target's window allows; everything that comes in is held against the standard, and whatever must not be
 * is told as a violation and ends the session.
 *
 * Invariants: each command given to it is answered once, at the latest when the session ends; after `ended` nothing
 * is sent and nobody is told anything.
 */

import {
  AsyncEvent,
  LogoutResponse,
  OPCODE_MASK,
  Opcode,
  RESERVED_TAG,
  TaskAttribute,
  TaskManagement,
  TaskManagementResponse,
} from "../../../src/iscsi/constants.ts";
import { LoginResponse, R2T, Response, ScsiResponse } from "../../../src/iscsi/pdu.ts";
import type { SeededRandom, SimulatedWorld } from "../../../src/platform/memory/memory-world.ts";
import type { Connection, ConnectionHandlers } from "../../../src/platform/network.ts";
import { type Command, type Counters, type Outcome, senseOf } from "./command.ts";
import { type Agreed, Login, type LoginNames } from "./login.ts";
import { Numbers, SERIALS } from "./numbers.ts";
import { PduReader, type PduSink } from "./pdu-reader.ts";
import { Requests } from "./requests.ts";
import { Task } from "./task.ts";

export interface SessionOptions extends LoginNames {
  readonly lun: number;
  readonly digests: boolean;
  /** Milliseconds that a command may take at the most; each is given half of it at least. */
  readonly commandTimeout: number;
  readonly counters: Counters;
  /** Segments to and from the target that the network has damaged so far. */
  damaged(): number;
}

export interface SessionEvents {
  /** Commands may be given to it. */
  opened(): void;
  /** Called once. */
  ended(why: string): void;
  /** The target did what it must not. The session ends. */
  violated(text: string): void;
}

type Phase = "login" | "open" | "leaving" | "ended";

/** A task management request that is not answered yet. */
interface Management {
  readonly function: number;
  /** For ABORT TASK. */
  readonly task: Task | undefined;
  readonly order: number;
  readonly deadline: number;
}

const LOGIN_SEGMENT_BYTES = 8192;
const DATA_OUT_CUTS = [512, 1001, 4096, 8192, 65536, 262144, 262144];
const MANAGEMENT_MILLIS = 8000;
/** How often a look at the deadlines pings a target that was heard of. */
const PING_CHANCE = 0.1;
const ATTRIBUTES = [
  TaskAttribute.Simple,
  TaskAttribute.Simple,
  TaskAttribute.Simple,
  TaskAttribute.Simple,
  TaskAttribute.Simple,
  TaskAttribute.Untagged,
  TaskAttribute.Ordered,
  TaskAttribute.HeadOfQueue,
];

export class Session implements ConnectionHandlers, PduSink {
  readonly #world: SimulatedWorld;
  readonly #connection: Connection;
  readonly #options: SessionOptions;
  readonly #random: SeededRandom;
  readonly #events: SessionEvents;
  readonly #reader: PduReader;
  readonly #numbers: Numbers;
  readonly #requests: Requests;
  readonly #login: Login;
  readonly #loginTag: number;
  readonly #loginDeadline: number;
  /** Segments that were damaged before this session. */
  readonly #damagedBefore: number;
  #phase: Phase = "login";
  #agreed: Agreed | undefined;
  #tag: number;
  /** Requests that were sent. */
  #order = 0;

  readonly #waiting: Command[] = [];
  readonly #tasks = new Map<number, Task>();
  readonly #managements = new Map<number, Management>();
  #ping: { readonly tag: number; readonly data: Uint8Array; readonly deadline: number } | undefined;
  #logout: { readonly tag: number; readonly deadline: number } | undefined;
  #heardAt: number;
  readonly #pingAfter: number;
  readonly #pingPatience: number;

  constructor(
    world: SimulatedWorld,
    connection: Connection,
    options: SessionOptions,
    random: SeededRandom,
    events: SessionEvents,
  ) {
    this.#world = world;
    this.#connection = connection;
    this.#options = options;
    this.#random = random;
    this.#events = events;
    const crc32c = (bytes: Uint8Array, seed?: number) => world.arithmetic.crc32c(bytes, seed);
    this.#reader = new PduReader(this, crc32c, LOGIN_SEGMENT_BYTES);
    this.#numbers = new Numbers(random);
    this.#requests = new Requests(world.clock, connection, crc32c, this.#numbers, options.lun);
    this.#login = new Login(random, options, options.digests);
    this.#tag = random.pick(SERIALS);
    this.#loginTag = this.#nextTag();
    this.#damagedBefore = options.damaged();
    this.#heardAt = this.#now;
    this.#loginDeadline = this.#now + random.between(8000, 16_000);
    this.#pingAfter = random.between(2000, 8000);
    this.#pingPatience = random.between(2000, 8000);
    this.#sendLogin();
  }

  get isOpen(): boolean {
    return this.#phase === "open";
  }

  // What the initiator asks for.

  submit(command: Command): void {
    if (this.#phase !== "open") {
      command.done({ kind: "unsent" });
      return;
    }
    this.#waiting.push(command);
    this.#issue();
  }

  /** Aborts everything that is outstanding, by ABORT TASK SET or LOGICAL UNIT RESET. */
  clear(): void {
    if (this.#phase !== "open") return;
    const functions = [TaskManagement.AbortTaskSet, TaskManagement.LogicalUnitReset];
    this.#manage(this.#random.pick(functions), undefined);
  }

  /** Logs out; `ended` follows. */
  leave(): void {
    if (this.#phase === "login") this.drop("left during login");
    if (this.#phase !== "open") return;
    this.#phase = "leaving";
    const tag = this.#nextTag();
    this.#requests.logout(tag);
    this.#logout = { tag, deadline: this.#now + MANAGEMENT_MILLIS };
  }

  /** Closes the connection, one way or the other. */
  drop(why: string): void {
    if (this.#phase === "ended") return;
    // A close lets the target have what was sent, an abort may not.
    if (this.#random.chance(0.5)) this.#connection.close();
    else this.#connection.abort();
    this.#end(why);
  }

  /** Looks at everything that has a deadline. */
  tick(): void {
    const now = this.#now;
    if (this.#phase === "login" && now > this.#loginDeadline) this.drop("login took too long");
    if (this.#phase === "leaving" && this.#logout !== undefined && now > this.#logout.deadline)
      this.drop("logout took too long");
    if (this.#phase !== "open") return;
    for (const management of this.#managements.values()) {
      if (now > management.deadline) {
        this.drop("task management took too long");
        return;
      }
    }
    for (const task of this.#tasks.values()) {
      if (now <= task.deadline) continue;
      this.#options.counters.timeouts++;
      if (this.#random.chance(0.4)) {
        this.drop("a command took too long");
        return;
      }
      task.deadline = Number.POSITIVE_INFINITY;
      this.#manage(TaskManagement.AbortTask, task);
    }
    if (this.#ping !== undefined) {
      if (now > this.#ping.deadline) this.drop("no answer to a ping");
    } else if (now - this.#heardAt > this.#pingAfter || this.#random.chance(PING_CHANCE)) this.#sendPing();
  }

  // What the connection tells.

  onData(bytes: Uint8Array): void {
    this.#heardAt = this.#now;
    this.#reader.feed(bytes);
  }

  onDrain(): void {
    this.#requests.flush();
  }

  onClose(): void {
    this.#end("closed by the target");
  }

  unreadable(why: "digest" | "length", text: string): void {
    if (why === "length") this.#violate(text);
    else {
      this.#options.counters.digestErrors++;
      this.drop(text);
    }
  }

  pdu(view: DataView, bytes: Uint8Array, at: number, dataAt: number, dataBytes: number): void {
    const data = bytes.subarray(dataAt, dataAt + dataBytes);
    const wrong = this.#take(view, at, data);
    if (wrong !== undefined) this.#violate(wrong);
  }

  /** @returns what is wrong with the PDU */
  #take(view: DataView, at: number, data: Uint8Array): string | undefined {
    if (this.#phase === "ended") return undefined;
    const opcode = view.getUint8(at) & OPCODE_MASK;
    if (view.getUint8(at + 4) !== 0) return `opcode ${opcode} with an additional header`;
    if (this.#phase === "login") {
      return opcode === Opcode.LoginResponse ? this.#loginResponse(view, at, data) : `opcode ${opcode} during login`;
    }
    const numbers = this.#numbers.window(view, at);
    if (numbers !== undefined) return numbers;
    if (this.#waiting.length > 0) this.#issue();
    switch (opcode) {
      case Opcode.DataIn:
        return this.#dataIn(view, at, data);
      case Opcode.ScsiResponse:
        return this.#numbers.status(view, at) ?? this.#scsiResponse(view, at, data);
      case Opcode.R2T:
        return this.#readyToTransfer(view, at);
      case Opcode.NopIn:
        return this.#nopIn(view, at, data);
      case Opcode.TaskManagementResponse:
        return this.#numbers.status(view, at) ?? this.#managementResponse(view, at);
      case Opcode.LogoutResponse:
        return this.#numbers.status(view, at) ?? this.#logoutResponse(view, at);
      case Opcode.AsyncMessage:
        return this.#numbers.status(view, at) ?? this.#asyncMessage(view, at);
      case Opcode.Reject:
        return `rejected opcode ${data[0] & OPCODE_MASK} for reason ${view.getUint8(at + Response.code)}`;
      default:
        return `opcode ${opcode}`;
    }
  }

  // Login.

  #sendLogin(): void {
    const request = this.#login.next();
    if (request !== undefined) this.#requests.login(request, this.#options.isid, this.#loginTag);
  }

  /** No digest protects a login: what was damaged in it is not held against the target, nor gone on with. */
  get #isLoginDamaged(): boolean {
    return this.#phase === "login" && this.#options.damaged() > this.#damagedBefore;
  }

  #loginResponse(view: DataView, at: number, data: Uint8Array): string | undefined {
    if (this.#isLoginDamaged) {
      this.drop("the login was damaged");
      return undefined;
    }
    if (view.getUint32(at + LoginResponse.initiatorTaskTag) !== this.#loginTag) return "login with another tag";
    const wrong = this.#numbers.status(view, at);
    if (wrong !== undefined) return wrong;
    const step = this.#login.response(view, at, data);
    switch (step.kind) {
      case "more":
        this.#sendLogin();
        return undefined;
      case "open":
        this.#open(step.agreed);
        return this.#numbers.window(view, at);
      case "unavailable":
        this.drop(`login refused with status ${step.status.toString(16)}`);
        return undefined;
      case "wrong":
        return step.text;
    }
  }

  #open(agreed: Agreed): void {
    this.#agreed = agreed;
    const { writer } = this.#requests;
    this.#reader.headerDigest = writer.headerDigest = agreed.headerDigest;
    this.#reader.dataDigest = writer.dataDigest = agreed.dataDigest;
    this.#reader.segmentBytesMax = agreed.ownSegmentBytes;
    this.#requests.segmentBytes = Math.min(agreed.targetSegmentBytes, this.#random.pick(DATA_OUT_CUTS));
    this.#phase = "open";
    this.#events.opened();
  }

  // Commands.

  #issue(): void {
    while (this.#agreed !== undefined && this.isOpen && this.#numbers.isOpen) {
      const command = this.#waiting.shift();
      if (command === undefined) return;
      this.#send(command, this.#agreed);
    }
  }

  #send(command: Command, agreed: Agreed): void {
    const random = this.#random;
    const deadline = this.#now + this.#options.commandTimeout * random.between(0.5, 1);
    const task = new Task(this.#nextTag(), this.#numbers.cmdSN, this.#order++, command, deadline);
    const { data } = command;
    let immediate: Uint8Array = NOTHING;
    let unsolicited = 0;
    if (data !== undefined) {
      const first = Math.min(agreed.firstBurstLength, data.length);
      if (agreed.immediateData) {
        const most = Math.min(first, agreed.targetSegmentBytes);
        immediate = data.subarray(0, random.chance(0.8) ? most : random.below(most + 1));
      }
      // All of the first burst, or none of it, but for what comes with the command.
      if (!agreed.initialR2T && random.chance(0.7)) unsolicited = first - immediate.length;
      task.moved = immediate.length + unsolicited;
    }
    this.#tasks.set(task.tag, task);
    this.#requests.command(task, random.pick(ATTRIBUTES), immediate, unsolicited > 0, random.chance(0.02));
    if (unsolicited > 0) this.#requests.dataOut(task, RESERVED_TAG, immediate.length, unsolicited);
  }

  #dataIn(view: DataView, at: number, data: Uint8Array): string | undefined {
    const task = this.#tasks.get(view.getUint32(at + Response.initiatorTaskTag));
    if (task === undefined || this.#agreed === undefined) return "Data-In for no task";
    const carriesStatus = (view.getUint8(at + 1) & 1) !== 0;
    const wrong =
      (carriesStatus ? this.#numbers.status(view, at) : undefined) ?? task.dataIn(view, at, data, this.#agreed);
    if (wrong === undefined && carriesStatus) this.#finish(task, GOOD);
    return wrong;
  }

  #scsiResponse(view: DataView, at: number, data: Uint8Array): string | undefined {
    const task = this.#tasks.get(view.getUint32(at + Response.initiatorTaskTag));
    if (task === undefined) return "SCSI Response for no task";
    const wrong = task.response(view, at);
    if (wrong !== undefined) return wrong;
    const status = view.getUint8(at + ScsiResponse.status);
    if (status === 0) {
      this.#finish(task, GOOD);
      return undefined;
    }
    const sense = data.length === 0 ? undefined : senseOf(data);
    if (typeof sense === "string") return sense;
    if (status === 2 && sense === undefined) return "CHECK CONDITION without sense";
    this.#finish(task, { kind: "status", status, sense });
    return undefined;
  }

  #readyToTransfer(view: DataView, at: number): string | undefined {
    const task = this.#tasks.get(view.getUint32(at + R2T.initiatorTaskTag));
    if (task === undefined || this.#agreed === undefined) return "R2T for no task";
    const from = task.moved;
    const wrong =
      this.#numbers.upcoming(view, at) ?? task.readyToTransfer(view, at, this.#agreed, this.#requests.flushes);
    const tag = view.getUint32(at + R2T.targetTransferTag);
    if (wrong === undefined) this.#requests.dataOut(task, tag, from, task.moved - from);
    return wrong;
  }

  #finish(task: Task, outcome: Outcome): void {
    this.#tasks.delete(task.tag);
    task.command.done(outcome);
  }

  // Task management.

  #manage(kind: number, task: Task | undefined): void {
    const tag = this.#nextTag();
    this.#requests.taskManagement(tag, kind, task, this.#isImmediate());
    const deadline = this.#now + MANAGEMENT_MILLIS;
    this.#managements.set(tag, { function: kind, task, order: this.#order++, deadline });
  }

  /** Whether a request that may be either is immediate. */
  #isImmediate(): boolean {
    return this.#random.chance(0.7) || !this.#numbers.isOpen;
  }

  #managementResponse(view: DataView, at: number): string | undefined {
    const tag = view.getUint32(at + Response.initiatorTaskTag);
    const code = view.getUint8(at + Response.code);
    const management = this.#managements.get(tag);
    if (management === undefined) return "Task Management Function Response for no request";
    this.#managements.delete(tag);
    const { task, order } = management;
    if (code === TaskManagementResponse.TaskDoesNotExist && task !== undefined && this.#mayBeGone(task))
      return undefined;
    if (code !== TaskManagementResponse.Complete) return `function ${management.function} answered with ${code}`;
    const concerned = task === undefined ? [...this.#tasks.values()].filter((one) => one.order < order) : [task];
    for (const one of concerned) {
      if (!this.#tasks.has(one.tag)) continue;
      this.#options.counters.aborted++;
      this.#finish(one, { kind: "aborted" });
    }
    return undefined;
  }

  /** Whether its answer has come, or may come with that of a later request to abort it and others. */
  #mayBeGone(task: Task): boolean {
    if (!this.#tasks.has(task.tag)) return true;
    return [...this.#managements.values()].some((one) => one.task === undefined && one.order > task.order);
  }

  // Signs of life.

  #sendPing(): void {
    const tag = this.#nextTag();
    const data = new Uint8Array(this.#random.below(200));
    this.#random.fill(data);
    this.#requests.nopOut(tag, data, this.#isImmediate());
    this.#ping = { tag, data, deadline: this.#now + this.#pingPatience };
  }

  #nopIn(view: DataView, at: number, data: Uint8Array): string | undefined {
    const tag = view.getUint32(at + Response.initiatorTaskTag);
    const targetTransferTag = view.getUint32(at + Response.targetTransferTag);
    if (tag === RESERVED_TAG) {
      const wrong = this.#numbers.upcoming(view, at);
      if (wrong === undefined && targetTransferTag !== RESERVED_TAG) this.#requests.answer(view, at);
      return wrong;
    }
    const ping = this.#ping;
    if (ping === undefined || ping.tag !== tag) return "NOP-In for no NOP-Out";
    if (targetTransferTag !== RESERVED_TAG) return "NOP-In that answers and asks";
    if (Buffer.compare(data, ping.data) !== 0) return "NOP-In with other data than the NOP-Out";
    this.#ping = undefined;
    return this.#numbers.status(view, at);
  }

  // The end.

  #logoutResponse(view: DataView, at: number): string | undefined {
    const tag = view.getUint32(at + Response.initiatorTaskTag);
    if (this.#logout === undefined || tag !== this.#logout.tag) return "Logout Response for no request";
    const code = view.getUint8(at + Response.code);
    if (code !== LogoutResponse.Closed) return `logout answered with ${code}`;
    this.#connection.close();
    this.#end("logged out");
    return undefined;
  }

  #asyncMessage(view: DataView, at: number): string | undefined {
    const event = view.getUint8(at + Response.word36);
    if (event === AsyncEvent.LogoutRequested) this.leave();
    else if (event !== AsyncEvent.ConnectionDropped && event !== AsyncEvent.SessionDropped) return `event ${event}`;
    return undefined;
  }

  #violate(text: string): void {
    if (this.#phase === "ended") return;
    if (this.#isLoginDamaged) {
      this.drop("the login was damaged");
      return;
    }
    this.#events.violated(`protocol: ${text}`);
    this.drop("a violation of the protocol");
  }

  #end(why: string): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#reader.stop();
    this.#requests.stop();
    for (const task of this.#tasks.values()) task.command.done({ kind: "lost" });
    for (const command of this.#waiting) command.done({ kind: "unsent" });
    this.#tasks.clear();
    this.#waiting.length = 0;
    this.#events.ended(why);
  }

  get #now(): number {
    return this.#world.clock.now();
  }

  #nextTag(): number {
    this.#tag = (this.#tag + 1) >>> 0;
    if (this.#tag === RESERVED_TAG) this.#tag = 0;
    return this.#tag;
  }
}

const NOTHING = new Uint8Array(0);
const GOOD: Outcome = { kind: "status", status: 0 };
