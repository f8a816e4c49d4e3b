/**
 * The dialling end of a link: keeps a link to one downstream site up, and sends it data write requests over it.
 *
 * Invariants: the link is up only while both connections are; nothing of an earlier session is listened to; `hop` and
 * `end` only go back where a log was, and never count a request that was not sent in the present session or agreed on when it began; a
 * higher epoch than ours is reported before anything else is done.
 */

import { OperatingError } from "../base/operating-error.ts";
import { type Epoch, epoch, instant, type Millis, millis, type Sequence, sequence } from "../base/units.ts";
import { elapsed } from "../platform/clock.ts";
import { formatAddress } from "../platform/network.ts";
import type { World } from "../platform/world.ts";
import type { ChannelName } from "./channel.ts";
import type { Position, RequestSource } from "./contract.ts";
import { DialledSession, type DialOptions, fencedError, type SessionOwner } from "./dialled-session.ts";
import { AckNumbers, FLAG_FAILED, type Frame, FrameType, MESSAGE_BODY_MAX, WelcomeNumbers } from "./frame.ts";
import { decodeError } from "./greeting.ts";
import { Heartbeats } from "./heartbeats.ts";
import { type LinkAction, type LinkEvent, type LinkState, transition } from "./link-state.ts";
import { MessageInbox, MessageOutbox, OutstandingCalls } from "./messages.ts";
import { RequestPump } from "./request-pump.ts";
import { Timers } from "./timers.ts";
import { LINK_TIMINGS, type LinkTimings } from "./timings.ts";

export interface LinkSenderOptions extends DialOptions {
  readonly source: RequestSource;
  /** All up to here is ACKed by every in-sync site. */
  readonly committed: () => Sequence;
  /**
   * Asked whenever the link has come up: the sequence to stream from, 'hold' if `stream` will be called later, or why the
   * link can't go on. Requests before the one that is returned are the same at both sites.
   */
  readonly resume: (position: Position) => Sequence | "hold" | OperatingError;
  readonly timings?: Partial<LinkTimings>;
  /** `hop` or `end` has grown. */
  readonly onAck: () => void;
  /** The other site has promised a higher epoch than ours: this site must stop serving at once. */
  readonly onFenced: (promised: Epoch) => void;
  readonly onState: (state: LinkState) => void;
}

/** Totals since the sender was made. */
export interface SenderCounters {
  readonly attempts: number;
  /** How often the link came up. */
  readonly sessions: number;
  /** Requests sent, those that were sent again included. */
  readonly requests: number;
  /** Their bytes, encoded. */
  readonly bytes: number;
  readonly calls: number;
}

/** What belongs to one session, and ends with it. */
interface Session {
  readonly dialled: DialledSession;
  readonly heartbeats: Heartbeats;
  readonly calls: MessageOutbox;
  readonly answers: MessageInbox;
  /** The last ACKs, counted or not. */
  hop: number;
  end: number;
}

type TimerName = "connect" | "retry" | "heartbeat" | "silence" | "calls";

const METHOD_BYTES_MAX = 255;

export class LinkSender {
  readonly #world: World;
  readonly #options: LinkSenderOptions;
  readonly #timings: LinkTimings;
  readonly #timers: Timers<TimerName>;
  readonly #pump: RequestPump;
  readonly #calls = new OutstandingCalls();
  readonly #sessionOwner: SessionOwner = {
    onFenced: (promised) => this.#onFenced(epoch(promised)),
    onGreeted: (channel) => this.#dispatch({ kind: "greeted", channel }),
    onFrame: (frame) => this.#onFrame(frame),
    onWritable: (name) => this.#onWritable(name),
    onLost: (error) => this.#lose(error),
    onRefused: (error) => this.#dispatch({ kind: "refused", error }),
  };
  readonly #events: LinkEvent[] = [];
  #dispatching = false;
  #state: LinkState = { kind: "idle" };
  #session: Session | undefined;
  #hop = sequence(0);
  #end = sequence(0);
  #lastError: OperatingError | undefined;
  #fencedBy = epoch(0);
  #attempts = 0;
  #sessions = 0;
  #callCount = 0;

  constructor(world: World, options: LinkSenderOptions) {
    this.#world = world;
    this.#options = options;
    this.#timings = { ...LINK_TIMINGS, ...options.timings };
    this.#timers = new Timers(world.clock, (name) => this.#onTimer(name));
    this.#pump = new RequestPump(world, {
      source: options.source,
      epoch: options.epoch,
      committed: options.committed,
      onFailed: (error) => {
        this.#dispatch({ kind: "refused", error });
      },
    });
  }

  get state(): LinkState {
    return this.#state;
  }
  /** Best ACKs of the next hop, and of the end of the leg, that still hold. */
  get hop(): Sequence {
    return this.#hop;
  }
  get end(): Sequence {
    return this.#end;
  }
  /** Where the other site stood when the present session came up. */
  get position(): Position | undefined {
    return "position" in this.#state ? this.#state.position : undefined;
  }
  /** Of the last heartbeat that was answered in this session. */
  get roundTrip(): Millis | undefined {
    return isUp(this.#state) ? this.#session?.heartbeats.roundTrip : undefined;
  }
  get unackedBytes(): number {
    return this.#pump.unackedBytes;
  }
  /** The downstream site's name. */
  get remote(): string {
    return this.#options.remote.site;
  }
  /** The highest epoch that the other site has refused ours for; 0 if it never did. */
  get fencedBy(): Epoch {
    return this.#fencedBy;
  }
  /** Why the link was last lost or refused. */
  get lastError(): OperatingError | undefined {
    return this.#lastError;
  }
  get counters(): SenderCounters {
    return {
      attempts: this.#attempts,
      sessions: this.#sessions,
      requests: this.#pump.requests,
      bytes: this.#pump.bytes,
      calls: this.#callCount,
    };
  }

  start(): void {
    this.#dispatch({ kind: "start" });
  }

  /** Ends the link for good. */
  stop(): void {
    this.#dispatch({ kind: "stop" });
  }

  /** There are new requests, or the commit watermark has moved: sent at the end of this turn. */
  notify(): void {
    this.#pump.schedule();
  }

  /** Ends a hold. Nothing happens if the link is not holding: `resume` is asked again when it is next up. */
  stream(from: Sequence): void {
    this.#dispatch({ kind: "stream", from });
  }

  /** Ends a hold, or the stream, because the link can't go on; it is tried again slowly. */
  refuse(error: OperatingError): void {
    this.#dispatch({ kind: "refused", error });
  }

  /**
   * The log here, or the other site's, was cut after `to`: ACKs of what was beyond that no longer hold. Ends the
   * present session; `resume` is asked again when the link is back.
   */
  cut(to: Sequence): void {
    this.#lowerAcks(to);
    const what = `The link to site ${this.#options.remote.site} begins anew, since a log was cut.`;
    this.#lose(new OperatingError("link.realign", what, "Nothing: the sites compare their logs and go on."));
  }

  /**
   * Has the other site do something, while the link is up.
   *
   * @param body at most 4 MiB
   * @returns the answer's body. Rejects with the other site's `OperatingError`, or `link.timeout`, `link.lost`,
   *   `link.busy` or `link.oversized`
   */
  call(method: string, body: Uint8Array, deadline: Millis): Promise<Uint8Array> {
    const session = this.#session;
    const head = new TextEncoder().encode(method);
    const { site } = this.#options.remote;
    if (session?.dialled.control === undefined || !isUp(this.#state)) {
      return Promise.reject(
        new OperatingError("link.lost", `There is no link to site ${site}.`, "Wait until the link is up again."),
      );
    }
    if (this.#calls.full) {
      return Promise.reject(
        new OperatingError("link.busy", `Too many calls to site ${site} are outstanding.`, "Try again later."),
      );
    }
    if (body.length > MESSAGE_BODY_MAX || head.length === 0 || head.length > METHOD_BYTES_MAX) {
      return Promise.reject(
        new OperatingError("link.oversized", `A call of ${body.length} bytes is too large.`, "Ask for less at once."),
      );
    }
    return new Promise((resolve, reject) => {
      const now = this.#world.clock.now();
      const id = this.#calls.add({ method, deadline: instant(now + deadline), resolve, reject });
      this.#callCount++;
      session.calls.add({ tag: id, flags: 0, head, body });
      this.#sendCalls(session);
      this.#expireCalls();
    });
  }

  #dispatch(event: LinkEvent): void {
    this.#events.push(event);
    if (this.#dispatching) return;
    this.#dispatching = true;
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) this.#carryOut(next);
    this.#dispatching = false;
  }

  #carryOut(event: LinkEvent): void {
    const before = this.#state;
    const moment = {
      now: this.#world.clock.now(),
      dice: this.#world.random.below(0x100000000) / 0x100000000,
      timings: this.#timings,
    };
    const { state, actions } = transition(before, event, moment);
    this.#state = state;
    for (const action of actions) this.#act(action);
    if (state === before) return;
    if (state.kind === "waiting" || state.kind === "refused") this.#lastError = state.error;
    if (isUp(state) && !isUp(before)) this.#onUp();
    this.#options.onState(state);
  }

  #act(action: LinkAction): void {
    switch (action.kind) {
      case "dial":
        this.#dial();
        return;
      case "ask":
        this.#dispatch({ kind: "resumed", decision: this.#options.resume(action.position) });
        return;
      case "stream":
        this.#stream(action.from);
        return;
      case "refuse":
        this.#session?.dialled.refuse(action.error);
        return;
      case "hangUp":
        this.#hangUp(action.error);
        return;
      case "wait":
        this.#timers.set("retry", action.delay);
        return;
    }
  }

  #dial(): void {
    const dialled = new DialledSession(this.#world, this.#options, this.#timings, this.#sessionOwner);
    this.#session = {
      dialled,
      heartbeats: new Heartbeats(this.#world, this.#options.remote.site, this.#timings.silence),
      calls: new MessageOutbox(this.#world, FrameType.CALL),
      answers: new MessageInbox(),
      hop: 0,
      end: 0,
    };
    this.#attempts++;
    this.#timers.set("connect", this.#timings.connect);
    dialled.dial();
  }

  #onWritable(name: ChannelName): void {
    if (name === "data") this.#pump.run();
    else if (this.#session !== undefined) this.#sendCalls(this.#session);
  }

  #onFrame(frame: Frame): void {
    const session = this.#session;
    if (session === undefined) return;
    switch (frame.type) {
      case FrameType.WELCOME:
        this.#onWelcome(frame);
        break;
      case FrameType.ACK:
        this.#onAck(session, frame);
        break;
      case FrameType.ECHO:
        this.#onEcho(session, frame);
        break;
      case FrameType.ANSWER:
        this.#onAnswer(session, frame);
        break;
    }
  }

  #onWelcome(frame: Frame): void {
    const { view, numbers } = frame;
    this.#pump.grant(WelcomeNumbers.creditLimit.get(view, numbers));
    this.#dispatch({
      kind: "welcomed",
      position: {
        promised: epoch(frame.epoch),
        lastEpoch: epoch(WelcomeNumbers.lastEpoch.get(view, numbers)),
        appended: sequence(WelcomeNumbers.appended.get(view, numbers)),
      },
    });
  }

  #onAck(session: Session, frame: Frame): void {
    const { view, numbers } = frame;
    session.hop = AckNumbers.hop.get(view, numbers);
    session.end = AckNumbers.end.get(view, numbers);
    this.#pump.grant(AckNumbers.creditLimit.get(view, numbers));
    this.#countAcks(session);
  }

  /** Takes over what the other site has ACKed, as far as it is known to be the same as what is here. */
  #countAcks(session: Session): void {
    const last = this.#pump.last;
    if (last === undefined) return;
    const hop = Math.min(session.hop, last);
    const end = Math.min(session.end, last);
    this.#pump.acknowledged(sequence(hop));
    if (hop <= this.#hop && end <= this.#end) return;
    if (hop > this.#hop) this.#hop = sequence(hop);
    if (end > this.#end) this.#end = sequence(end);
    this.#pump.schedule();
    this.#options.onAck();
  }

  #onEcho(session: Session, frame: Frame): void {
    const error = session.heartbeats.onEcho(frame, session.dialled.data?.written ?? 0);
    if (error !== undefined) this.#lose(error);
    else this.#onAck(session, frame);
  }

  #onAnswer(session: Session, frame: Frame): void {
    const message = session.answers.take(frame);
    if (message === undefined) return;
    if (message instanceof OperatingError) {
      this.#lose(message);
      return;
    }
    const call = this.#calls.remove(message.tag);
    if ((message.flags & FLAG_FAILED) !== 0) call?.reject(decodeError(message.head, this.#options.remote.site));
    else call?.resolve(message.body);
  }

  #onFenced(promised: Epoch): void {
    const error = fencedError(this.#options.remote.site, promised);
    if (promised > this.#fencedBy) this.#fencedBy = promised;
    this.#options.onFenced(promised);
    this.#dispatch({ kind: "refused", error });
  }

  #onUp(): void {
    this.#sessions++;
    this.#timers.cancel("connect");
    if (this.#session === undefined) return;
    this.#sendHeartbeat(this.#session);
    this.#timers.set("silence", this.#timings.silence);
  }

  #stream(from: Sequence): void {
    const session = this.#session;
    if (session?.dialled.data === undefined) return;
    // The other site may have lost what it ACKed: the end of a journal that was damaged, say.
    this.#lowerAcks(sequence(from - 1));
    this.#pump.begin(session.dialled.data, from);
    this.#countAcks(session);
  }

  #lowerAcks(to: Sequence): void {
    if (this.#hop > to) this.#hop = to;
    if (this.#end > to) this.#end = to;
  }

  #onTimer(name: TimerName): void {
    const session = this.#session;
    switch (name) {
      case "retry":
        this.#dispatch({ kind: "retry" });
        return;
      case "calls":
        this.#expireCalls();
        return;
      case "connect": {
        const { site, address } = this.#options.remote;
        const what = `Site ${site} at ${formatAddress(address)} did not bring the link up in time.`;
        this.#lose(new OperatingError("link.timeout", what, "Check that site and the network to it."));
        return;
      }
      case "heartbeat":
        session === undefined ? undefined : this.#sendHeartbeat(session);
        return;
      case "silence":
        session === undefined ? undefined : this.#checkSilence(session);
        return;
    }
  }

  #sendHeartbeat(session: Session): void {
    this.#timers.set("heartbeat", this.#timings.heartbeat);
    if (session.dialled.control === undefined) return;
    const committed = this.#pump.last === undefined ? 0 : this.#options.committed();
    session.heartbeats.send(session.dialled.control, this.#options.epoch(), committed);
  }

  #sendCalls(session: Session): void {
    if (session.dialled.control !== undefined) session.calls.run(session.dialled.control, this.#options.epoch());
  }

  #checkSilence(session: Session): void {
    const silent = elapsed(this.#world.clock, session.dialled.heard);
    if (silent < this.#timings.silence) {
      this.#timers.set("silence", millis(this.#timings.silence - silent));
      return;
    }
    const what = `Site ${this.#options.remote.site} was silent for ${Math.round(silent)} ms.`;
    this.#lose(new OperatingError("link.silent", what, "Check that site and the network to it."));
  }

  #expireCalls(): void {
    const next = this.#calls.expire(this.#world.clock.now(), this.#options.remote.site);
    if (next === undefined) this.#timers.cancel("calls");
    else this.#timers.set("calls", next);
  }

  #lose(error: OperatingError): void {
    this.#dispatch({ kind: "lost", error });
  }

  #hangUp(error: OperatingError | undefined): void {
    const session = this.#session;
    this.#session = undefined;
    this.#timers.clear();
    this.#pump.end();
    session?.dialled.hangUp();
    const { site } = this.#options.remote;
    this.#calls.rejectAll(
      new OperatingError(
        "link.lost",
        `The link to site ${site} was lost during the call.`,
        "Wait until the link is up again.",
        { cause: error },
      ),
    );
  }
}

function isUp(state: LinkState): boolean {
  return state.kind === "holding" || state.kind === "streaming";
}
