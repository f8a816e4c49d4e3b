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
import { ByteQueue } from "./byte-queue.ts";
import type { SimulatedEvent } from "./event-queue.ts";
import { Flight, type Item } from "./flight.ts";
import type { Process } from "./process.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { carryOut, type Verdict, type Victim } from "./verdict.ts";
import type { Wire } from "./wire.ts";

/** Bytes that one `onData` brings at the most. */
const READ_BYTES_MAX = 512 * 1024;

/** Milliseconds that a peer may take to see the end of a connection that was closed here. */
const CLOSE_PATIENCE_MILLIS = 2000;

/** Less than this is no time: the clock's resolution. */
const MILLIS_MIN = 0.001;

/** What connections need from the network around them. */
export interface ConnectionContext {
  readonly sendBuffer: number;
  readonly receiveBuffer: number;
  readonly connectTimeout: number;
  readonly retransmitTimeout: number;
  /** The verdict on a send of this process's machine. */
  onSend(from: string, to: string, bytes: Uint8Array): Verdict;
  victim(machine: string): Victim;
  /** Whether the machine has power, so that its kernel answers. */
  isPowered(machine: string): boolean;
  ended(connection: SimulatedConnection): void;
}

/** open: in use. closing: sends what was taken, reads nothing. closed: over. gone: its machine lost its power. */
type State = "open" | "closing" | "closed" | "gone";

export class SimulatedConnection implements Connection {
  /** The other end; set by whoever makes the two. */
  peer: SimulatedConnection | undefined;
  /** What a client waits for: the peer's kernel has answered, or the connection is over before it did. */
  onEstablished: ((established: boolean) => void) | undefined;

  #handlers: ConnectionHandlers | undefined;
  #state: State = "open";
  /** It was over before anybody had taken it over who could be told. */
  #isCloseUntold = false;
  /** It is over and the peer was not told: what still comes from the peer is answered with a reset. */
  #isPeerUnaware = false;
  // to the peer
  readonly #sendQueue = new ByteQueue();
  readonly #flight: Flight;
  #taken = 0;
  #acknowledged = 0;
  #sent = 0;
  #readByPeer = 0;
  #wantsDrain = false;
  #finSent = false;
  /** The client's kernel has not acknowledged yet that the connection stands. */
  #establishing = false;
  /** Since when the peer has acknowledged nothing of what it has to. */
  #silentSince = 0;
  #givesUp: SimulatedEvent | undefined;
  // from the peer
  readonly #receiveQueue = new ByteQueue();
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
  ) {
    this.#flight = new Flight(process.scheduler, wire, (items) => {
      for (const item of items) this.peer?.receive(item);
      this.peer?.wake();
    });
  }

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
    this.process.schedule(0, "data", () => {
      if (this.#isCloseUntold) handlers.onClose();
      else this.#deliverNext();
    });
  }

  /** Tells the client's side that the connection stands. */
  sendEstablished(): void {
    this.#establishing = true;
    this.#silentSince = this.process.scheduler.now;
    this.#watchIfCut();
    this.#flight.put({ kind: "established" }, this.wire.transit(0));
  }

  /** The client waits no longer for the connection, whether it stands by now or not. */
  giveUp(): void {
    if (this.#state !== "open") return;
    const isEstablished = this.onEstablished === undefined;
    this.onEstablished = undefined;
    if (isEstablished) {
      this.#reset();
      return;
    }
    this.#isPeerUnaware = true;
    this.#end("closed");
  }

  /** What the kernel does for a close, or for a process that has ended. */
  closeBehindProcess(): void {
    if (this.#state !== "open") return;
    // a kernel that throws unread bytes away says so with a reset
    if (this.#receiveQueue.bytes > 0 && this.process.ended) {
      this.#reset();
      return;
    }
    this.#state = "closing";
    this.#receiveQueue.clear();
    this.#pump();
  }

  /**
   * The machine lost its power: what is under way arrives, nothing else does.
   *
   * @param noticeDelay milliseconds until the peer sees the connection closed; absent: it never does by itself
   */
  powerCut(noticeDelay: number | undefined): void {
    this.#end("gone");
    if (noticeDelay !== undefined) this.#flight.put({ kind: "reset" }, noticeDelay);
  }

  /** Something between the two machines ends this side of the connection, a delay from now; the peer is not told. */
  resetFromOutside(): void {
    const inward = this.peer?.wire;
    inward?.carry(inward.transit(0), "reset", () => {
      if (this.#state === "open" || this.#state === "closing") this.#overForThisSide();
    });
  }

  /** No acknowledgement of what was sent is to be expected, as far as the network can see: patience begins. */
  onSilence(): void {
    if (this.#isWaiting) this.#watch();
  }

  #take(bytes: Uint8Array): number {
    const space = this.context.sendBuffer - (this.#taken - this.#acknowledged);
    const taken = Math.min(space, bytes.length);
    if (taken < bytes.length) this.#wantsDrain = true;
    if (taken === 0) return 0;
    this.#sendQueue.push(new Uint8Array(bytes.subarray(0, taken)));
    this.#taken += taken;
    this.#pump();
    return taken;
  }

  /** Puts on the wire what the receiver's window takes. */
  #pump(): void {
    while (this.#sendQueue.bytes > 0) {
      const [min, max] = this.wire.settings.segmentBytes;
      const window = this.context.receiveBuffer - (this.#sent - this.#readByPeer);
      const most = Math.min(window, this.#sendQueue.bytes, max);
      if (most <= 0) return;
      const least = Math.min(min, most);
      const size = this.random.chance(0.5) ? most : least + this.random.below(most - least + 1);
      const bytes = this.#sendQueue.takePart(size);
      this.wire.damage(bytes);
      this.#expectAnswer();
      this.#sent += bytes.length;
      this.#flight.put({ kind: "data", bytes }, this.wire.transit(bytes.length));
    }
    if (this.#state === "closing" && !this.#finSent) {
      this.#expectAnswer();
      this.#finSent = true;
      this.#flight.put({ kind: "fin" }, this.wire.transit(0));
    }
  }

  /** Something arrived at this machine; its kernel takes it, whatever its process does. */
  receive(item: Item): void {
    const isForgotten = this.#state === "gone" || (this.process.ended && this.#state !== "closing");
    if (isForgotten || (this.#state === "closed" && this.#isPeerUnaware)) {
      this.#refuse(item);
      return;
    }
    if (this.#state === "closed") return;
    switch (item.kind) {
      case "established":
        this.wire.carry(this.wire.transit(0), "acknowledged", () => {
          if (this.peer !== undefined) this.peer.#establishing = false;
        });
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

  /** The kernel knows of no such connection and says so; a machine without power says nothing. */
  #refuse(item: Item): void {
    if (item.kind === "reset") return;
    if (this.context.isPowered(this.machine)) this.#flight.put({ kind: "reset" }, this.wire.transit(0));
    else this.peer?.onSilence();
  }

  /** Tells the process of what has arrived for it. */
  wake(): void {
    if (this.#state === "open") this.process.deliver("data", () => this.#deliverNext());
  }

  onFinAcknowledged(): void {
    if (this.#state === "closing") this.#over();
  }

  onAcknowledged(arrived: number, read: number): void {
    if (arrived > this.#acknowledged) {
      this.#acknowledged = arrived;
      this.#silentSince = this.process.scheduler.now;
    }
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
    if (this.#receiveQueue.bytes > 0) {
      const bytes = this.#receiveQueue.takeJoined(this.random.chance(0.5) ? READ_BYTES_MAX : 0);
      this.#read += bytes.length;
      this.#acknowledge();
      if (this.#receiveQueue.bytes > 0 || this.#finArrived) this.process.schedule(0, "data", () => this.#deliverNext());
      this.#handlers.onData(bytes);
    } else if (this.#finArrived) {
      this.#over();
    }
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

  /** Whether something was sent that the peer has not acknowledged. */
  get #isWaiting(): boolean {
    if (this.#state !== "open" && this.#state !== "closing") return false;
    return this.#sent > this.#acknowledged || this.#establishing || this.#finSent;
  }

  /** Something is about to be sent that the peer has to acknowledge. */
  #expectAnswer(): void {
    if (!this.#isWaiting) this.#silentSince = this.process.scheduler.now;
    this.#watchIfCut();
  }

  #watchIfCut(): void {
    if (this.wire.isCut || this.peer?.wire.isCut) this.#watch();
  }

  /** Milliseconds until the connection is given up, if the peer stays silent. */
  get #patience(): number {
    const timeout = this.#establishing ? this.context.connectTimeout : this.context.retransmitTimeout;
    return this.#silentSince + timeout - this.process.scheduler.now;
  }

  /** Gives up when the peer has been silent for too long. Only while something is wrong, so that it costs nothing. */
  #watch(): void {
    this.#givesUp ??= this.process.scheduler.schedule(this.#patience, "silent for too long", () => {
      this.#givesUp = undefined;
      if (!this.#isWaiting) return;
      if (this.#patience >= MILLIS_MIN) {
        this.#watch();
      } else {
        this.#flight.loseAll();
        this.#overForThisSide();
      }
    });
  }

  /** Ends this side at once. Of what is under way the peer gets the first part, and then the news. */
  #reset(): void {
    assert(this.#state !== "closed", "a closed connection was reset");
    this.#flight.loseSome(this.random);
    this.#flight.put({ kind: "reset" }, this.wire.transit(0));
    this.#end("closed");
  }

  #overForThisSide(): void {
    this.#isPeerUnaware = true;
    this.#over();
  }

  #over(): void {
    this.#end("closed");
    this.onEstablished?.(false);
    this.onEstablished = undefined;
    this.process.deliver("closed", () => {
      if (this.#handlers === undefined) this.#isCloseUntold = true;
      else this.#handlers.onClose();
    });
  }

  #end(state: "closed" | "gone"): void {
    this.#state = state;
    this.#sendQueue.clear();
    this.#receiveQueue.clear();
    if (this.#givesUp !== undefined) this.process.scheduler.cancel(this.#givesUp);
    this.#givesUp = undefined;
    this.context.ended(this);
  }
}
