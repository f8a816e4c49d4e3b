/**
 * One end of a simulated TCP connection. Bytes stay in order and are never lost while both ends live, but arrive in
 * pieces of any size. A bounded part of them is under way: what the send buffer takes, and of that only what fits the
 * receiver's window. What arrived is the kernel's until the process reads it, so that a stopped process or a
 * paused connection slows its peer and does not lose anything.
 *
 * Handlers are never called from within a call of the connection's own methods.
 */

import { assert } from "../../base/assert.ts";
import type { Connection, ConnectionHandlers } from "../network.ts";
import type { Process } from "./process.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { carryOut, type Verdict, type Victim } from "./verdict.ts";
import type { Wire } from "./wire.ts";

/** Bytes that travel as one piece at the most. */
const SEGMENT_BYTES_MAX = 64 * 1024;
/** Bytes that one `onData` brings at the most. */
const READ_BYTES_MAX = 512 * 1024;

/** Milliseconds that a peer may take to see the end of a connection that was closed here. */
const CLOSE_PATIENCE_MILLIS = 2000;

/** What connections need from the network around them. */
export interface ConnectionContext {
  readonly sendBuffer: number;
  readonly receiveBuffer: number;
  /** The verdict on a send of this process's machine. */
  onSend(from: string, to: string, bytes: Uint8Array): Verdict;
  victim(machine: string): Victim;
  /** Whether a process runs there that could answer. */
  isUp(machine: string): boolean;
  ended(connection: SimulatedConnection): void;
}

/** What travels to the peer, in order. */
type Item = { readonly arrival: number } & (
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  | { readonly kind: "established" }
  | { readonly kind: "fin" }
  | { readonly kind: "reset" }
);

/** open: in use. closing: sends what was taken, reads nothing. closed: over. gone: its machine lost its power. */
type State = "open" | "closing" | "closed" | "gone";

export class SimulatedConnection implements Connection {
  /** The other end; set by whoever makes the two. */
  peer: SimulatedConnection | undefined;
  /** What a client waits for: the peer's kernel has answered, or the connection is over before it did. */
  onEstablished: ((established: boolean) => void) | undefined;

  #handlers: ConnectionHandlers | undefined;
  #state: State = "open";
  // to the peer
  #sendQueue: Uint8Array[] = [];
  #queued = 0;
  #taken = 0;
  #acknowledged = 0;
  #sent = 0;
  #readByPeer = 0;
  #wantsDrain = false;
  #finSent = false;
  #underWay: Item[] = [];
  #carrying = false;
  #lastArrival = 0;
  // from the peer
  #receiveQueue: Uint8Array[] = [];
  #arrived = 0;
  #read = 0;
  #acknowledging = false;
  #paused = false;
  #finArrived = false;

  /** @param wire the direction to the peer */
  constructor(
    readonly process: Process,
    readonly local: string,
    readonly remote: string,
    private readonly wire: Wire,
    private readonly random: SeededRandom,
    private readonly context: ConnectionContext,
  ) {}

  get machine(): string {
    return this.process.machine;
  }

  // What the process calls.

  write(bytes: Uint8Array): number {
    if (this.process.ended || this.#state !== "open" || bytes.length === 0) return 0;
    let taken = 0;
    const take = () => {
      taken = this.#take(bytes);
    };
    const verdict = this.context.onSend(this.wire.from, this.wire.to, bytes);
    if (carryOut(verdict, this.context.victim(this.machine), take)) take();
    return taken;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.process.ended) this.process.schedule(0, "resumed", () => this.#deliverNext());
  }

  close(): void {
    if (this.process.ended || this.#state !== "open") return;
    this.closeBehindProcess();
    this.process.schedule(CLOSE_PATIENCE_MILLIS, "close took too long", () => {
      if (this.#state === "closing") this.abort();
    });
  }

  abort(): void {
    if (this.process.ended || this.#state === "closed") return;
    this.#reset();
    this.process.schedule(0, "aborted", () => this.#handlers?.onClose());
  }

  // What the network calls.

  /** The process has taken the connection over. */
  start(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    this.process.schedule(0, "data", () => this.#deliverNext());
  }

  /** Tells the client's side that the connection stands. */
  sendEstablished(): void {
    this.#put({ kind: "established" }, this.wire.transit(0));
  }

  /** What the kernel does for a close, or for a process that has ended. */
  closeBehindProcess(): void {
    if (this.#state !== "open") return;
    // a kernel that throws unread bytes away says so with a reset
    if (this.#receiveQueue.length > 0 && this.process.ended) {
      this.#reset();
      return;
    }
    this.#state = "closing";
    this.#receiveQueue = [];
    this.#pump();
  }

  /**
   * The machine lost its power: what is under way arrives, nothing else does.
   *
   * @param noticeDelay milliseconds until the peer sees the connection closed; absent: it never does by itself
   */
  powerCut(noticeDelay: number | undefined): void {
    this.#state = "gone";
    this.#dropQueues();
    if (noticeDelay !== undefined) this.#put({ kind: "reset" }, noticeDelay);
    this.context.ended(this);
  }

  #take(bytes: Uint8Array): number {
    const space = this.context.sendBuffer - (this.#taken - this.#acknowledged);
    const taken = Math.min(space, bytes.length);
    if (taken < bytes.length) this.#wantsDrain = true;
    if (taken === 0) return 0;
    this.#sendQueue.push(bytes.slice(0, taken));
    this.#queued += taken;
    this.#taken += taken;
    this.#pump();
    return taken;
  }

  /** Puts on the wire what the receiver's window takes. */
  #pump(): void {
    while (this.#queued > 0) {
      const window = this.context.receiveBuffer - (this.#sent - this.#readByPeer);
      const most = Math.min(window, this.#queued, SEGMENT_BYTES_MAX);
      if (most <= 0) return;
      const bytes = this.#cut(this.random.chance(0.5) ? most : 1 + this.random.below(most));
      this.#sent += bytes.length;
      this.#put({ kind: "data", bytes }, this.wire.transit(bytes.length));
    }
    if (this.#state === "closing" && !this.#finSent) {
      this.#finSent = true;
      this.#put({ kind: "fin" }, this.wire.transit(0));
    }
  }

  /** Takes a piece from the send queue: `size` bytes, or fewer where the first write in it ends before. */
  #cut(size: number): Uint8Array {
    const first = this.#sendQueue[0];
    const piece = first.subarray(0, size);
    if (piece.length === first.length) this.#sendQueue.shift();
    else this.#sendQueue[0] = first.subarray(size);
    this.#queued -= piece.length;
    return piece;
  }

  #put(item: DistributiveOmit<Item, "arrival">, transit: number): void {
    const arrival = Math.max(this.#lastArrival, this.process.scheduler.now + transit);
    this.#lastArrival = arrival;
    this.#underWay.push({ ...item, arrival });
    this.#carry();
  }

  /** One event brings the first item under way to the peer, and with it all that has caught up with it. */
  #carry(): void {
    if (this.#carrying || this.#underWay.length === 0) return;
    this.#carrying = true;
    const { scheduler } = this.process;
    this.wire.carry(this.#underWay[0].arrival - scheduler.now, this.#underWay[0].kind, () => {
      this.#carrying = false;
      const due = Math.max(scheduler.now, this.#underWay[0].arrival);
      let count = 1;
      // a reset comes alone, after the process has seen the data before it
      while (count < this.#underWay.length && this.#underWay[count].arrival <= due) {
        if (this.#underWay[count].kind === "reset") break;
        count++;
      }
      for (const item of this.#underWay.splice(0, count)) this.peer?.receive(item);
      this.peer?.wake();
      this.#carry();
    });
  }

  /** Something arrived at this machine; its kernel takes it, whatever its process does. */
  receive(item: Item): void {
    if (this.#state === "gone" || (this.process.ended && this.#state !== "closing")) {
      // a machine that has started again knows nothing of the connection and says so
      if (item.kind === "data" && this.context.isUp(this.machine)) this.#put({ kind: "reset" }, this.wire.transit(0));
      return;
    }
    if (this.#state === "closed") return;
    switch (item.kind) {
      case "established":
        this.onEstablished?.(true);
        this.onEstablished = undefined;
        break;
      case "data":
        this.process.scheduler.trace.content(item.bytes);
        this.#arrived += item.bytes.length;
        if (this.#state === "open") this.#receiveQueue.push(item.bytes);
        else this.#read = this.#arrived;
        this.#acknowledge();
        break;
      case "fin":
        this.#finArrived = true;
        this.wire.carry(this.wire.transit(0), "fin acknowledged", () => this.peer?.onFinAcknowledged());
        if (this.#state === "closing") this.#over();
        break;
      case "reset":
        this.#over();
        break;
    }
  }

  /** Tells the process of what has arrived for it. */
  wake(): void {
    if (this.#state === "open") this.process.deliver("data", () => this.#deliverNext());
  }

  onFinAcknowledged(): void {
    if (this.#state === "closing") this.#over();
  }

  onAcknowledged(arrived: number, read: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, arrived);
    this.#readByPeer = Math.max(this.#readByPeer, read);
    if (this.#state !== "open" && this.#state !== "closing") return;
    this.#pump();
    const space = this.context.sendBuffer - (this.#taken - this.#acknowledged);
    if (!this.#wantsDrain || space < this.context.sendBuffer / 3 || this.#state !== "open") return;
    this.#wantsDrain = false;
    this.process.deliver("drained", () => {
      if (this.#state === "open") this.#handlers?.onDrain();
    });
  }

  /** Gives the process what the kernel holds for it: one piece, or all of it at once. */
  #deliverNext(): void {
    if (this.#handlers === undefined || this.#state !== "open" || this.#paused) return;
    if (this.#receiveQueue.length > 0) {
      const bytes = this.#readSome();
      this.#read += bytes.length;
      this.#acknowledge();
      if (this.#receiveQueue.length > 0 || this.#finArrived)
        this.process.schedule(0, "data", () => this.#deliverNext());
      this.#handlers.onData(bytes);
    } else if (this.#finArrived) {
      this.#over();
    }
  }

  #readSome(): Uint8Array {
    const queue = this.#receiveQueue;
    let length = queue[0].length;
    let pieces = 1;
    if (this.random.chance(0.5)) {
      while (pieces < queue.length && length + queue[pieces].length <= READ_BYTES_MAX) length += queue[pieces++].length;
    }
    const read = queue.splice(0, pieces);
    if (pieces === 1) return read[0];
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const piece of read) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** Tells the peer how far its bytes came; one acknowledgement at a time is under way. */
  #acknowledge(): void {
    if (this.#acknowledging) return;
    this.#acknowledging = true;
    const arrived = this.#arrived;
    const read = this.#read;
    this.wire.carry(this.wire.transit(0), "acknowledged", () => {
      this.#acknowledging = false;
      this.peer?.onAcknowledged(arrived, read);
      const behind = this.#arrived > arrived || this.#read > read;
      if (behind && (this.#state === "open" || this.#state === "closing")) this.#acknowledge();
    });
  }

  /** Ends this side at once. Of what is under way the peer gets the first part, and then the news. */
  #reset(): void {
    assert(this.#state !== "closed", "a closed connection was reset");
    this.#state = "closed";
    this.#dropQueues();
    this.#underWay.splice(this.random.below(this.#underWay.length + 1));
    this.#put({ kind: "reset" }, this.wire.transit(0));
    this.context.ended(this);
  }

  #over(): void {
    this.#state = "closed";
    this.#dropQueues();
    this.context.ended(this);
    this.onEstablished?.(false);
    this.process.deliver("closed", () => this.#handlers?.onClose());
  }

  #dropQueues(): void {
    this.#sendQueue = [];
    this.#queued = 0;
    this.#receiveQueue = [];
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
