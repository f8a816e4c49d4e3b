/**
 * What a sender learns from the heartbeats of one session: that the other site is there, how far away it is, and
 * whether what is sent on the data connection arrives.
 */

import type { OperatingError } from "../base/operating-error.ts";
import { type Epoch, type Instant, type Millis, millis, type Sequence } from "../base/units.ts";
import type { World } from "../platform/world.ts";
import type { Channel } from "./channel.ts";
import { AckNumbers, FLAG_PAUSED, type Frame, FrameType, frameError, Header, StreamNumbers } from "./frame.ts";

export class Heartbeats {
  readonly #world: World;
  readonly #site: string;
  readonly #patience: Millis;
  #number = 0;
  #sent: Instant;
  #roundTrip: Millis | undefined;
  /** Bytes of the data connection that had arrived at the other site, and when that was last as it should be. */
  #arrived = 0;
  #moving: Instant;

  /** @param patience how long data may be under way without any of it arriving */
  constructor(world: World, site: string, patience: Millis) {
    this.#world = world;
    this.#site = site;
    this.#patience = patience;
    this.#sent = world.clock.now();
    this.#moving = this.#sent;
  }

  /** Of the last heartbeat that was answered. */
  get roundTrip(): Millis | undefined {
    return this.#roundTrip;
  }

  /** Sends one, unless the connection is full. */
  send(channel: Channel, epoch: Epoch, committed: Sequence | 0): void {
    const number = this.#number === 0xffffffff ? 1 : this.#number + 1;
    const at = channel.begin(FrameType.HEARTBEAT, epoch, 0, number);
    if (at < 0) return;
    StreamNumbers.committed.set(channel.view, at + Header.numbers.offset, committed);
    channel.seal(at);
    this.#number = number;
    this.#sent = this.#world.clock.now();
    channel.flush();
  }

  /**
   * @param written bytes that the data connection's transport has taken
   * @returns why the link is of no use, if it is not
   */
  onEcho(frame: Frame, written: number): OperatingError | undefined {
    const now = this.#world.clock.now();
    if (frame.tag === this.#number) this.#roundTrip = millis(now - this.#sent);
    const arrived = AckNumbers.received.get(frame.view, frame.numbers);
    const paused = (frame.flags & FLAG_PAUSED) !== 0;
    if (arrived !== this.#arrived || paused || arrived >= written) {
      this.#arrived = arrived;
      this.#moving = now;
    } else if (now - this.#moving > this.#patience) {
      return frameError("link.stalled", `Data to site ${this.#site} does not arrive, though heartbeats do.`);
    }
    return undefined;
  }
}
