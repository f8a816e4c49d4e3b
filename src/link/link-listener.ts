/**
 * The downstream end of a site's links: accepts connections, finds out whose they are, and keeps one session for each
 * upstream site.
 *
 * Invariants: a connection says who it is within a deadline, or goes; a new session of a site ends its old one before
 * the new one is told where this site stands; once an epoch is promised, no session of a lower one is left.
 */

import { OperatingError } from "../base/operating-error.ts";
import { type Epoch, epoch, type VolumeId } from "../base/units.ts";
import type { Timer } from "../platform/clock.ts";
import type { Address, Connection, Listener } from "../platform/network.ts";
import type { World } from "../platform/world.ts";
import { Channel, type ChannelOwner } from "./channel.ts";
import type { PeerStatus, ReceiverCounters, RequestSink, VolumeIdentity } from "./contract.ts";
import { type Frame, FrameType, frameError, PROTOCOL_VERSION } from "./frame.ts";
import { decodeHello, decodeRefusal, disagreement, encodeHello, encodeRefusal, type Hello } from "./greeting.ts";
import { LinkReceiver } from "./link-receiver.ts";
import { LINK_TIMINGS, type LinkTimings } from "./timings.ts";

export interface LinkListenerOptions {
  readonly site: string;
  readonly group: string;
  readonly address: Address;
  /** The sites that may feed this one; any other is refused. */
  readonly upstreams: readonly string[];
  /** Empty where this site, a relay that only journals, has none of its own. */
  readonly volumes: readonly VolumeIdentity[];
  readonly sink: RequestSink;
  readonly timings?: Partial<LinkTimings>;
}

/** Connections that have not yet said who they are, at the most. */
export const GREETINGS_MAX = 64;

const GREETING_TYPES = [FrameType.HELLO, FrameType.REFUSE];

interface Peer {
  readonly site: string;
  readonly counters: ReceiverCounters;
  /** Up, or on its way there with both connections. */
  current: LinkReceiver | undefined;
  /** Waits for its second connection. */
  candidate: LinkReceiver | undefined;
  epoch: Epoch;
  lastError: OperatingError | undefined;
}

export class LinkListener {
  readonly #world: World;
  readonly #options: LinkListenerOptions;
  readonly #timings: LinkTimings;
  readonly #volumes: ReadonlyMap<VolumeId, number>;
  readonly #peers = new Map<string, Peer>();
  readonly #greetings = new Map<Channel, Timer>();
  readonly #greeter: ChannelOwner;
  #listener: Listener | undefined;
  #lastError: OperatingError | undefined;

  private constructor(world: World, options: LinkListenerOptions) {
    this.#world = world;
    this.#options = options;
    this.#timings = { ...LINK_TIMINGS, ...options.timings };
    this.#volumes = new Map(options.volumes.map((volume) => [volume.id, volume.blocks]));
    for (const site of options.upstreams) {
      const counters = { sessions: 0, requests: 0, bytes: 0, duplicates: 0, holds: 0, calls: 0 };
      const none = { current: undefined, candidate: undefined, lastError: undefined };
      this.#peers.set(site, { site, counters, ...none, epoch: epoch(0) });
    }
    this.#greeter = {
      onInput() {},
      onFrame: (channel, frame) => {
        this.#onGreeting(channel, frame);
        return true;
      },
      onWritable: (channel) => channel.flush(),
      onEnd: (channel, error) => this.#onStrangerEnd(channel, error),
    };
  }

  /** Rejects with `network.busy` or `network.denied` where the address can't be bound. */
  static async listen(world: World, options: LinkListenerOptions): Promise<LinkListener> {
    const listener = new LinkListener(world, options);
    listener.#listener = await world.network.listen(options.address, (connection) => listener.#accept(connection));
    return listener;
  }

  /** As bound. */
  get address(): Address {
    return this.#listener?.address ?? this.#options.address;
  }

  get peers(): readonly PeerStatus[] {
    return [...this.#peers.values()].map(status);
  }

  /** Why a connection was last turned away before it was known to be an upstream site's. */
  get lastError(): OperatingError | undefined {
    return this.#lastError;
  }

  /** The sink's watermarks have moved: every upstream site is told at the end of this turn. */
  acknowledge(): void {
    for (const peer of this.#peers.values()) peer.current?.acknowledge();
  }

  /** The sink may have room again. */
  roomAvailable(): void {
    for (const peer of this.#peers.values()) peer.current?.resume();
  }

  close(): void {
    this.#listener?.close();
    const error = new OperatingError("link.lost", "The site is stopping.", "Start the site again.");
    for (const peer of this.#peers.values()) {
      peer.candidate?.abandon(error);
      peer.current?.abandon(error);
    }
    for (const channel of [...this.#greetings.keys()]) this.#dismiss(channel);
  }

  #accept(connection: Connection): Channel {
    const channel = new Channel(this.#world, connection, this.#greeter, GREETING_TYPES);
    if (this.#greetings.size >= GREETINGS_MAX) {
      this.#world.clock.afterTurn(() => channel.abort());
      return channel;
    }
    const deadline = this.#world.clock.after(this.#timings.connect, () => {
      this.#lastError = frameError("link.timeout", `${connection.remote} connected and did not say who it is.`);
      this.#dismiss(channel);
    });
    this.#greetings.set(channel, deadline);
    return channel;
  }

  /** Ends a connection that belongs to no session. */
  #dismiss(channel: Channel): void {
    this.#forget(channel);
    channel.abort();
  }

  #forget(channel: Channel): void {
    this.#greetings.get(channel)?.cancel();
    this.#greetings.delete(channel);
  }

  #onStrangerEnd(channel: Channel, error: OperatingError): void {
    this.#lastError = new OperatingError(error.code, `${channel.connection.remote}: ${error.what}`, error.remedy);
    // To one that speaks another protocol altogether there is nothing to say.
    if (channel.isOpen && error.code !== "link.garbage") this.#turnAway(channel, error, undefined);
    else this.#dismiss(channel);
  }

  #onGreeting(channel: Channel, frame: Frame): void {
    if (frame.type === FrameType.REFUSE) {
      this.#lastError = decodeRefusal(frame.payload, channel.connection.remote).error;
      this.#dismiss(channel);
      return;
    }
    const hello = decodeHello(frame.payload);
    if (hello instanceof OperatingError) {
      this.#turnAway(channel, hello, undefined);
      return;
    }
    const peer = this.#peers.get(hello.site);
    const error = peer === undefined ? this.#strangerError(hello.site) : undefined;
    const refusal = disagreement(this.#hello(hello), hello, undefined) ?? error;
    if (refusal !== undefined || peer === undefined) {
      this.#turnAway(channel, refusal ?? this.#strangerError(hello.site), peer);
      return;
    }
    const carried = epoch(frame.epoch);
    const { promised } = this.#options.sink.position();
    if (carried < promised) {
      peer.epoch = carried;
      this.#fence(
        channel,
        peer,
        promised,
        `Site ${peer.site} carries epoch ${carried}, this site has promised ${promised}.`,
      );
      return;
    }
    const rival = this.#rival(peer, carried);
    if (rival !== undefined) {
      this.#fence(channel, peer, carried, sameEpoch(peer.site, rival.site, carried));
      return;
    }
    peer.epoch = carried;
    this.#join(peer, hello, channel, carried);
  }

  #join(peer: Peer, hello: Hello, channel: Channel, carried: Epoch): void {
    if (peer.candidate?.session !== hello.session) {
      peer.candidate?.abandon(frameError("link.lost", `Site ${peer.site} has begun another session.`));
      peer.candidate = this.#receiver(peer, hello.session, carried);
    }
    const receiver = peer.candidate;
    this.#forget(channel);
    channel.put(FrameType.HELLO, this.#options.sink.position().promised, encodeHello(this.#hello(hello)));
    channel.flush();
    if (!receiver.attach(hello.channel, channel, carried)) {
      channel.abort();
      receiver.refuse(frameError("link.protocol", `Site ${peer.site} greeted twice on one connection.`), false);
      return;
    }
    if (!receiver.isComplete) return;
    peer.candidate = undefined;
    peer.current?.abandon(
      frameError("link.lost", `A new session of site ${peer.site} has taken the place of this one.`),
    );
    peer.current = receiver;
    receiver.begin();
  }

  #receiver(peer: Peer, session: string, carried: Epoch): LinkReceiver {
    return new LinkReceiver(
      this.#world,
      {
        site: peer.site,
        session,
        sink: this.#options.sink,
        timings: this.#timings,
        volumes: this.#volumes,
        counters: peer.counters,
        promise: (wanted) => this.#promise(peer, wanted),
        onUp: () => this.#tell(peer),
        onEnd: (receiver, error) => {
          if (this.#rival(peer, receiver.epoch) === undefined) peer.epoch = receiver.epoch;
          peer.lastError = error;
          if (peer.candidate === receiver) peer.candidate = undefined;
          if (peer.current === receiver) peer.current = undefined;
          this.#tell(peer);
        },
      },
      carried,
    );
  }

  /**
   * The other site that has carried this epoch. Two primaries may have taken the same number, each without knowing of
   * the other; served side by side, the requests of one would pass for repetitions of the other's.
   */
  #rival(peer: Peer, carried: Epoch): Peer | undefined {
    if (carried === 0) return undefined;
    for (const other of this.#peers.values()) if (other !== peer && other.epoch === carried) return other;
    return undefined;
  }

  async #promise(peer: Peer, wanted: Epoch): Promise<void> {
    const rival = this.#rival(peer, wanted);
    if (rival !== undefined) throw fenced(sameEpoch(peer.site, rival.site, wanted));
    peer.epoch = wanted;
    await this.#options.sink.promise(wanted);
    const { promised } = this.#options.sink.position();
    for (const each of this.#peers.values()) {
      each.candidate?.fence(promised);
      each.current?.fence(promised);
    }
  }

  #fence(channel: Channel, peer: Peer, promised: Epoch, what: string): void {
    peer.lastError = fenced(what);
    this.#forget(channel);
    channel.put(FrameType.FENCED, promised, new Uint8Array(0));
    channel.linger();
    this.#tell(peer);
  }

  #turnAway(channel: Channel, error: OperatingError, peer: Peer | undefined): void {
    if (peer === undefined) this.#lastError = error;
    else peer.lastError = error;
    this.#forget(channel);
    channel.put(FrameType.REFUSE, this.#options.sink.position().promised, encodeRefusal({ error, slow: true }));
    channel.linger();
    if (peer !== undefined) this.#tell(peer);
  }

  #strangerError(site: string): OperatingError {
    return new OperatingError(
      "link.stranger",
      `Site ${site} is not one of the sites that feed site ${this.#options.site}.`,
      `Check the legs in the configurations of ${site} and ${this.#options.site}.`,
    );
  }

  #hello(theirs: Hello): Hello {
    const { site, group, volumes } = this.#options;
    return {
      versions: [PROTOCOL_VERSION, PROTOCOL_VERSION],
      site,
      to: theirs.site,
      group,
      session: theirs.session,
      channel: theirs.channel,
      heartbeat: this.#timings.heartbeat,
      silence: this.#timings.silence,
      volumes,
    };
  }

  #tell(peer: Peer): void {
    this.#options.sink.onState?.(status(peer));
  }
}

function status(peer: Peer): PeerStatus {
  const receiver = peer.current ?? peer.candidate;
  return {
    site: peer.site,
    state: peer.current?.isUp === true ? "up" : receiver === undefined ? "down" : "greeting",
    remote: receiver?.remote,
    epoch: receiver?.epoch ?? peer.epoch,
    lastError: peer.lastError,
    counters: peer.counters,
  };
}

function sameEpoch(site: string, rival: string, carried: Epoch): string {
  return `Site ${site} carries epoch ${carried}, which site ${rival} has taken.`;
}

function fenced(what: string): OperatingError {
  return new OperatingError("link.fenced", what, "That site must rejoin before it can send here again.");
}
