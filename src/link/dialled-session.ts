/**
 * One attempt of a sender at a link: its session id, its two connections, and their greetings.
 *
 * Invariants: once it was hung up, or has lost a connection, its owner hears no more of it; a frame of a higher epoch
 * than the owner's reaches the owner before anything is done with it.
 */

import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { type Epoch, type Instant, KiB } from "../base/units.ts";
import { type Address, formatAddress } from "../platform/network.ts";
import { formatUuid, randomUuid } from "../platform/random.ts";
import type { World } from "../platform/world.ts";
import { Channel, type ChannelName, type ChannelOwner } from "./channel.ts";
import type { VolumeIdentity } from "./contract.ts";
import { type Frame, FrameType, frameError, PROTOCOL_VERSION } from "./frame.ts";
import { decodeHello, decodeRefusal, disagreement, encodeHello, encodeRefusal, type Hello } from "./greeting.ts";
import type { LinkTimings } from "./timings.ts";

export interface DialOptions {
  readonly site: string;
  readonly group: string;
  readonly remote: { readonly site: string; readonly address: Address };
  readonly volumes: readonly VolumeIdentity[];
  readonly epoch: () => Epoch;
}

export interface SessionOwner {
  /** The other site has promised a higher epoch than the owner's. */
  onFenced(promised: number): void;
  onGreeted(name: ChannelName): void;
  /** A frame other than HELLO, REFUSE and FENCED. */
  onFrame(frame: Frame): void;
  onWritable(name: ChannelName): void;
  onLost(error: OperatingError): void;
  /** One of the two sites wants no link, for a reason that time does not cure. */
  onRefused(error: OperatingError): void;
}

const GREETING_TYPES = [FrameType.HELLO, FrameType.REFUSE, FrameType.FENCED];
const DATA_TYPES = [FrameType.WELCOME, FrameType.ACK, FrameType.REFUSE, FrameType.FENCED];
const CONTROL_TYPES = [FrameType.ECHO, FrameType.ANSWER, FrameType.REFUSE, FrameType.FENCED];
/** Bytes of small requests that are gathered for one write. */
const REQUEST_GATHER_BYTES = 256 * KiB;

export class DialledSession {
  data: Channel | undefined;
  control: Channel | undefined;
  /** When the other site was last heard. On a slow line heartbeats may wait long behind data, which says as much. */
  heard: Instant;
  readonly #world: World;
  readonly #options: DialOptions;
  readonly #timings: LinkTimings;
  readonly #owner: SessionOwner;
  readonly #id: string;
  readonly #abort = new AbortController();
  #over = false;

  constructor(world: World, options: DialOptions, timings: LinkTimings, owner: SessionOwner) {
    this.#world = world;
    this.#options = options;
    this.#timings = timings;
    this.#owner = owner;
    this.#id = formatUuid(randomUuid(world.random)).replaceAll("-", "");
    this.heard = world.clock.now();
  }

  dial(): void {
    this.#connect("data");
    this.#connect("control");
  }

  /** Tells the other site why there will be no link, on each connection that carries no requests yet. */
  refuse(error: OperatingError): void {
    // The end of one connection could overtake what is said on the other.
    for (const channel of [this.control, this.data]) {
      channel?.put(FrameType.REFUSE, this.#options.epoch(), encodeRefusal({ error, slow: true }));
      channel?.linger();
    }
  }

  /** Ends both connections. */
  hangUp(): void {
    this.#over = true;
    this.#abort.abort();
    for (const channel of [this.data, this.control]) if (channel?.lingers === false) channel.abort();
  }

  #connect(name: ChannelName): void {
    const owner = this.#channelOwner(name);
    let channel: Channel | undefined;
    this.#world.network
      .connect(
        this.#options.remote.address,
        (connection) => {
          const gather = name === "data" ? REQUEST_GATHER_BYTES : undefined;
          channel = new Channel(this.#world, connection, owner, GREETING_TYPES, gather);
          return channel;
        },
        this.#abort.signal,
      )
      .then(
        () => {
          if (channel !== undefined) this.#greet(name, channel);
        },
        (error: unknown) => {
          channel?.abort();
          if (!this.#over) this.#owner.onLost(asOperatingError(error, this.#options.remote.address));
        },
      );
  }

  #channelOwner(name: ChannelName): ChannelOwner {
    return {
      onInput: () => {
        this.heard = this.#world.clock.now();
      },
      onFrame: (channel, frame) => {
        if (!this.#over) this.#onFrame(name, channel, frame);
        return true;
      },
      onWritable: (channel) => {
        channel.flush();
        if (!this.#over) this.#owner.onWritable(name);
      },
      onEnd: (_, error) => {
        if (!this.#over) this.#owner.onLost(error);
      },
    };
  }

  #greet(name: ChannelName, channel: Channel): void {
    if (this.#over) {
      channel.abort();
      return;
    }
    this[name] = channel;
    channel.put(FrameType.HELLO, this.#options.epoch(), encodeHello(this.#hello(name)));
    channel.flush();
  }

  #hello(channel: ChannelName): Hello {
    const { site, group, remote, volumes } = this.#options;
    const versions = [PROTOCOL_VERSION, PROTOCOL_VERSION] as const;
    const { heartbeat, silence } = this.#timings;
    return { versions, site, to: remote.site, group, session: this.#id, channel, heartbeat, silence, volumes };
  }

  #onFrame(name: ChannelName, channel: Channel, frame: Frame): void {
    const { site } = this.#options.remote;
    const epoch = this.#options.epoch();
    // FENCED for the very epoch: another site has carried the same number.
    if (frame.epoch > epoch || (frame.type === FrameType.FENCED && frame.epoch === epoch)) {
      this.#owner.onFenced(frame.epoch);
    } else if (frame.type === FrameType.HELLO) {
      this.#onHello(name, channel, frame);
    } else if (frame.type === FrameType.FENCED) {
      this.#owner.onLost(fencedError(site, frame.epoch));
    } else if (frame.type === FrameType.REFUSE) {
      const { error, slow } = decodeRefusal(frame.payload, site);
      if (slow) this.#owner.onRefused(error);
      else this.#owner.onLost(error);
    } else {
      this.#owner.onFrame(frame);
    }
  }

  #onHello(name: ChannelName, channel: Channel, frame: Frame): void {
    const theirs = decodeHello(frame.payload);
    if (theirs instanceof OperatingError) {
      this.#owner.onLost(theirs);
      return;
    }
    const error = disagreement(this.#hello(name), theirs, this.#options.remote.site);
    if (error !== undefined) {
      this.refuse(error);
      this.#owner.onRefused(error);
      return;
    }
    if (theirs.session !== this.#id || theirs.channel !== name) {
      this.#owner.onLost(frameError("link.protocol", "A greeting came back on the wrong connection."));
      return;
    }
    channel.allow(name === "data" ? DATA_TYPES : CONTROL_TYPES);
    this.#owner.onGreeted(name);
  }
}

export function fencedError(site: string, promised: number): OperatingError {
  return new OperatingError(
    "link.fenced",
    `Site ${site} has promised epoch ${promised}, which is not this site's.`,
    "Another site has become the primary; this one must rejoin it.",
  );
}

function asOperatingError(error: unknown, address: Address): OperatingError {
  if (isOperatingError(error)) return error;
  const what = `Connecting to ${formatAddress(address)} failed: ${String(error)}.`;
  return new OperatingError("link.unreachable", what, "Check the address and the network.");
}
