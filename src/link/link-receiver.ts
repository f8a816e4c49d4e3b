/**
 * One session with one upstream site, at the downstream end of a link.
 *
 * Invariants: a frame of a lower epoch than this site has promised is answered with FENCED and nothing else; one of a
 * higher epoch waits, with all that follows it, until that epoch is durably promised; requests reach the sink in order,
 * each once, their data verified; at most one request waits for room, and the data connection is paused meanwhile.
 */

import type { DataWriteRequest } from "../base/data-write-request.ts";
import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { type Epoch, epoch, type Instant, millis, type Sequence, sequence, type VolumeId } from "../base/units.ts";
import { elapsed } from "../platform/clock.ts";
import type { World } from "../platform/world.ts";
import type { Channel, ChannelName, ChannelOwner } from "./channel.ts";
import type { Position, ReceiverCounters, RequestSink } from "./contract.ts";
import {
  AckNumbers,
  FLAG_PAUSED,
  type Frame,
  FrameType,
  frameError,
  Header,
  REQUEST_PAYLOAD_MAX,
  StreamNumbers,
  WelcomeNumbers,
} from "./frame.ts";
import { decodeRefusal, encodeRefusal } from "./greeting.ts";
import { CallAnswers, type Message } from "./messages.ts";
import { RequestCheck } from "./request-check.ts";
import { Timers } from "./timers.ts";
import type { LinkTimings } from "./timings.ts";

export interface ReceiverOptions {
  readonly site: string;
  readonly session: string;
  readonly sink: RequestSink;
  readonly timings: LinkTimings;
  /** Size of each volume in blocks; empty where this site has none of its own. */
  readonly volumes: ReadonlyMap<VolumeId, number>;
  readonly counters: ReceiverCounters;
  /** Promises an epoch, and ends all sessions of lower ones. */
  readonly promise: (epoch: Epoch) => Promise<void>;
  readonly onUp: (receiver: LinkReceiver) => void;
  /** Called once; the receiver is of no use afterwards. */
  readonly onEnd: (receiver: LinkReceiver, error: OperatingError) => void;
}

type TimerName = "greeting" | "echo" | "silence";

const DATA_TYPES = [FrameType.REQUEST, FrameType.COMMIT, FrameType.REFUSE];
const CONTROL_TYPES = [FrameType.HEARTBEAT, FrameType.CALL, FrameType.REFUSE];
/** A credit alone is worth an ACK frame when it grew by so much. */
const CREDIT_STEP_BYTES = REQUEST_PAYLOAD_MAX / 8;
const NO_BODY = new Uint8Array(0);

export class LinkReceiver implements ChannelOwner {
  readonly site: string;
  readonly session: string;
  readonly #world: World;
  readonly #options: ReceiverOptions;
  readonly #sink: RequestSink;
  readonly #timers: Timers<TimerName>;
  readonly #calls: CallAnswers;
  readonly #check: RequestCheck;
  readonly #runAfterTurn = () => this.#afterTurn();
  #phase: "greeting" | "up" | "ended" = "greeting";
  #data: Channel | undefined;
  #control: Channel | undefined;
  #epoch: Epoch;
  #position: Position;
  #appended: Sequence;
  #lastEpoch: Epoch;
  #promising = false;
  /** The request that waits for room. */
  #kept: DataWriteRequest | undefined;
  /** Bytes of requests that have arrived, and of those that the sink has taken. */
  #arrivedBytes = 0;
  #acceptedBytes = 0;
  #creditLimit = 0;
  #committed = 0;
  #toldCommitted: Sequence;
  #sentHop = -1;
  #sentEnd = -1;
  #sentCredit = 0;
  #scheduled = false;
  #heard: Instant;
  #echoed: Instant;

  constructor(world: World, options: ReceiverOptions, carried: Epoch) {
    this.site = options.site;
    this.session = options.session;
    this.#world = world;
    this.#options = options;
    this.#sink = options.sink;
    this.#epoch = carried;
    this.#position = options.sink.position();
    this.#appended = this.#position.appended;
    this.#lastEpoch = this.#position.lastEpoch;
    this.#toldCommitted = sequence(0);
    this.#calls = new CallAnswers(world);
    this.#check = new RequestCheck(world.arithmetic, options.site, options.volumes);
    this.#heard = world.clock.now();
    this.#echoed = this.#heard;
    this.#timers = new Timers(world.clock, (name) => this.#onTimer(name));
    this.#timers.set("greeting", options.timings.connect);
  }

  get isUp(): boolean {
    return this.#phase === "up";
  }
  /** Highest epoch that the upstream site has carried. */
  get epoch(): Epoch {
    return this.#epoch;
  }
  get remote(): string | undefined {
    return (this.#control ?? this.#data)?.connection.remote;
  }
  /** Both connections have greeted. */
  get isComplete(): boolean {
    return this.#data !== undefined && this.#control !== undefined;
  }

  /** Takes over a connection that has greeted for this session. @returns false if that one is here already */
  attach(name: ChannelName, channel: Channel, carried: Epoch): boolean {
    if (name === "data" ? this.#data !== undefined : this.#control !== undefined) return false;
    if (name === "data") this.#data = channel;
    else this.#control = channel;
    if (carried > this.#epoch) this.#epoch = carried;
    channel.give(this, name === "data" ? DATA_TYPES : CONTROL_TYPES);
    return true;
  }

  /** Makes the promise that the session needs, then tells the upstream site where this one stands. */
  begin(): void {
    this.#position = this.#sink.position();
    if (this.#epoch > this.#position.promised) this.#promise(this.#epoch);
    else this.#welcome();
  }

  /** The watermarks or the credit may have moved: an ACK goes out at the end of this turn. */
  acknowledge(): void {
    if (this.#scheduled || this.#phase !== "up") return;
    this.#scheduled = true;
    this.#world.clock.afterTurn(this.#runAfterTurn);
  }

  /** Offers the request that waits for room again. */
  resume(): void {
    if (this.#kept !== undefined && !this.#promising) this.#data?.release();
    this.acknowledge();
  }

  /** This site has promised `promised`: a session of a lower epoch has no business here any more. */
  fence(promised: Epoch): void {
    if (this.#phase === "ended" || this.#epoch >= promised) return;
    this.#endFenced(promised);
  }

  /** Ends the session, and tells the upstream site why. */
  refuse(error: OperatingError, slow: boolean): void {
    if (this.#phase === "ended") return;
    this.#lastWords(FrameType.REFUSE, this.#position.promised, encodeRefusal({ error, slow }));
    this.#end(error);
  }

  /** Ends the session without a word: the connections are gone, or another session has taken its place. */
  abandon(error: OperatingError): void {
    if (this.#phase !== "ended") this.#end(error);
  }

  onInput(): void {
    this.#heard = this.#world.clock.now();
    this.#position = this.#sink.position();
    this.#appended = this.#position.appended;
    this.#lastEpoch = this.#position.lastEpoch;
  }

  onFrame(channel: Channel, frame: Frame): boolean {
    if (this.#phase === "ended") return true;
    const carried = frame.epoch;
    if (carried !== this.#position.promised) {
      if (carried < this.#position.promised) {
        this.#endFenced(this.#position.promised);
        return true;
      }
      this.#promise(epoch(carried));
      return false;
    }
    if (frame.type === FrameType.REQUEST) return this.#onRequest(frame);
    if (this.#phase === "greeting" && frame.type !== FrameType.REFUSE) {
      this.refuse(frameError("link.protocol", `A ${frame.name} frame came before the link was up.`), false);
      return true;
    }
    switch (frame.type) {
      case FrameType.COMMIT:
        this.#onCommitted(StreamNumbers.committed.get(frame.view, frame.numbers));
        break;
      case FrameType.HEARTBEAT:
        this.#onCommitted(StreamNumbers.committed.get(frame.view, frame.numbers));
        this.#echo(channel, frame.tag);
        break;
      case FrameType.CALL:
        this.#onCall(channel, frame);
        break;
      case FrameType.REFUSE:
        this.#end(decodeRefusal(frame.payload, this.site).error);
        break;
    }
    return true;
  }

  onWritable(channel: Channel): void {
    if (channel === this.#control) this.#calls.run(channel, this.#position.promised);
    else {
      channel.flush();
      this.acknowledge();
    }
  }

  onEnd(channel: Channel, error: OperatingError): void {
    if (this.#phase === "ended") return;
    if (channel.isOpen) this.refuse(error, false);
    else this.#end(error);
  }

  #onRequest(frame: Frame): boolean {
    let request = this.#kept;
    // Another session, or the owner, may have moved the sink on while the request waited: then it is looked at anew.
    if (request !== undefined && request.sequence !== this.#appended + 1) {
      request = undefined;
      this.#kept = undefined;
      this.#arrivedBytes -= frame.payload.length;
    }
    if (request === undefined) {
      if (this.#phase !== "up") {
        this.refuse(frameError("link.protocol", "A REQUEST frame came before the link was up."), false);
        return true;
      }
      this.#arrivedBytes += frame.payload.length;
      this.#onCommitted(StreamNumbers.committed.get(frame.view, frame.numbers));
      if (this.#arrivedBytes > this.#creditLimit) {
        const what = `Site ${this.site} sent more than the ${this.#creditLimit} bytes it was granted.`;
        this.refuse(frameError("link.credit", what), false);
        return true;
      }
      const checked = this.#check.take(frame, {
        appended: this.#appended,
        lastEpoch: this.#lastEpoch,
        epoch: this.#epoch,
      });
      if (checked === undefined) {
        this.#options.counters.duplicates++;
        this.#acceptedBytes += frame.payload.length;
        this.acknowledge();
        return true;
      }
      if (checked instanceof OperatingError) {
        this.refuse(checked, false);
        return true;
      }
      request = checked;
    }
    if (!this.#sink.accept(request)) {
      if (this.#kept === undefined) this.#options.counters.holds++;
      this.#kept = request;
      return false;
    }
    this.#kept = undefined;
    this.#appended = request.sequence;
    this.#lastEpoch = request.epoch;
    this.#acceptedBytes += frame.payload.length;
    this.#options.counters.requests++;
    this.#options.counters.bytes += frame.payload.length;
    this.acknowledge();
    return true;
  }

  #onCommitted(committed: number): void {
    if (committed <= this.#committed) return;
    this.#committed = committed;
    this.acknowledge();
  }

  #onCall(channel: Channel, frame: Frame): void {
    const answer = (message: Message) => {
      this.#options.counters.calls++;
      return this.#sink.call(new TextDecoder().decode(message.head), message.body, this.site);
    };
    const error = this.#calls.take(frame, answer, () => {
      if (this.#phase !== "ended") this.#calls.run(channel, this.#position.promised);
    });
    if (error !== undefined) this.refuse(error, false);
  }

  #promise(wanted: Epoch): void {
    if (this.#promising) return;
    this.#promising = true;
    this.#epoch = wanted;
    this.#options.promise(wanted).then(
      () => this.#promised(),
      (error: unknown) => {
        if (!isOperatingError(error)) throw error;
        this.#promising = false;
        this.refuse(error, true);
      },
    );
  }

  #promised(): void {
    this.#promising = false;
    if (this.#phase === "ended") return;
    this.#position = this.#sink.position();
    if (this.#epoch < this.#position.promised) {
      this.#endFenced(this.#position.promised);
      return;
    }
    if (this.#phase === "greeting") this.#welcome();
    this.#control?.release();
    this.#data?.release();
  }

  #welcome(): void {
    const channel = this.#data;
    if (channel === undefined) return;
    this.#phase = "up";
    this.#position = this.#sink.position();
    const at = channel.begin(FrameType.WELCOME, this.#position.promised);
    const numbers = at + Header.numbers.offset;
    this.#grant();
    this.#sentCredit = this.#creditLimit;
    WelcomeNumbers.lastEpoch.set(channel.view, numbers, this.#position.lastEpoch);
    WelcomeNumbers.appended.set(channel.view, numbers, this.#position.appended);
    WelcomeNumbers.creditLimit.set(channel.view, numbers, this.#creditLimit);
    channel.seal(at);
    channel.flush();
    this.#heard = this.#world.clock.now();
    this.#timers.cancel("greeting");
    this.#timers.set("silence", this.#options.timings.silence);
    this.#timers.set("echo", this.#options.timings.heartbeat);
    this.#options.counters.sessions++;
    this.#options.onUp(this);
    this.acknowledge();
  }

  #grant(): void {
    this.#creditLimit = Math.max(this.#creditLimit, this.#acceptedBytes + this.#sink.creditBytes());
  }

  #afterTurn(): void {
    this.#scheduled = false;
    const channel = this.#data;
    if (this.#phase !== "up" || channel === undefined) return;
    this.#position = this.#sink.position();
    if (this.#epoch < this.#position.promised) {
      this.#endFenced(this.#position.promised);
      return;
    }
    const commit = Math.min(this.#committed, this.#position.appended);
    if (commit > this.#toldCommitted) {
      this.#toldCommitted = sequence(commit);
      this.#sink.commit(this.#toldCommitted);
    }
    const { hop, end } = this.#sink.acks();
    this.#grant();
    const grown = this.#creditLimit - this.#sentCredit;
    const starved = this.#sentCredit - this.#arrivedBytes < REQUEST_PAYLOAD_MAX;
    if (hop === this.#sentHop && end === this.#sentEnd && grown < (starved ? 1 : CREDIT_STEP_BYTES)) return;
    const at = channel.begin(FrameType.ACK, this.#position.promised);
    if (at < 0) return;
    this.#putAcks(channel, at, hop, end);
    channel.flush();
    this.#sentHop = hop;
    this.#sentEnd = end;
    this.#sentCredit = this.#creditLimit;
  }

  #echo(channel: Channel, tag: number): void {
    this.#echoed = this.#world.clock.now();
    const flags = this.#data?.held === true ? FLAG_PAUSED : 0;
    const at = channel.begin(FrameType.ECHO, this.#position.promised, 0, tag, flags);
    if (at < 0) return;
    const { hop, end } = this.#sink.acks();
    this.#grant();
    this.#putAcks(channel, at, hop, end);
    channel.flush();
  }

  #putAcks(channel: Channel, at: number, hop: Sequence, end: Sequence): void {
    const numbers = at + Header.numbers.offset;
    AckNumbers.hop.set(channel.view, numbers, hop);
    AckNumbers.end.set(channel.view, numbers, end);
    AckNumbers.creditLimit.set(channel.view, numbers, this.#creditLimit);
    AckNumbers.received.set(channel.view, numbers, this.#data?.received ?? 0);
    channel.seal(at);
  }

  #onTimer(name: TimerName): void {
    const { clock } = this.#world;
    const { timings } = this.#options;
    if (name === "greeting") {
      const what = `Site ${this.site} did not bring the link up in time.`;
      this.refuse(new OperatingError("link.timeout", what, "Check the network and this site's journal."), false);
      return;
    }
    if (name === "echo") {
      // The answers to heartbeats say the same, unless heartbeats wait behind a call in the other direction.
      if (this.#control !== undefined && elapsed(clock, this.#echoed) >= timings.heartbeat)
        this.#echo(this.#control, 0);
      this.#timers.set("echo", timings.heartbeat);
      return;
    }
    const silent = elapsed(clock, this.#heard);
    if (silent < timings.silence) {
      this.#timers.set("silence", millis(timings.silence - silent));
      return;
    }
    const what = `Site ${this.site} was silent for ${Math.round(silent)} ms.`;
    this.refuse(new OperatingError("link.silent", what, "Check that site and the network to it."), false);
  }

  #endFenced(promised: Epoch): void {
    this.#lastWords(FrameType.FENCED, promised, NO_BODY);
    const what = `Site ${this.site} carries epoch ${this.#epoch}, this site has promised ${promised}.`;
    this.#end(new OperatingError("link.fenced", what, "That site must rejoin before it can send here again."));
  }

  /** Goes out on both connections, since the end of one could overtake what is said on the other. */
  #lastWords(type: FrameType, promised: Epoch, payload: Uint8Array): void {
    for (const channel of [this.#control, this.#data]) {
      channel?.put(type, promised, payload);
      channel?.linger();
    }
  }

  #end(error: OperatingError): void {
    this.#phase = "ended";
    this.#timers.clear();
    this.#kept = undefined;
    for (const channel of [this.#data, this.#control]) if (channel?.lingers === false) channel.abort();
    this.#options.onEnd(this, error);
  }
}
