/**
 * An iSCSI initiator in a simulated machine: keeps one session to a target open, over any of its portals, for as long as
 * it runs. A session that is lost is made anew, with the same ISID, so that the target ends what it had before.
 */

import { millis } from "../../../src/base/units.ts";
import type { SeededRandom, SimulatedWorld } from "../../../src/platform/memory/memory-world.ts";
import type { Connection } from "../../../src/platform/network.ts";
import { type Command, Counters } from "./command.ts";
import { Session, type SessionOptions } from "./session.ts";

export interface Portal {
  readonly host: string;
  readonly port: number;
}

export interface InitiatorOptions extends Omit<SessionOptions, "damaged"> {
  /** Tried one after another. */
  readonly portals: readonly Portal[];
  /** Segments to and from a portal that the network has damaged so far. */
  damaged(portal: Portal): number;
}

export interface InitiatorEvents {
  /** A session is open: what earlier ones at this portal left behind has ended. */
  opened(portal: Portal): void;
  violated(text: string): void;
}

const TICK_MILLIS = 250;
const CONNECT_MILLIS = 5000;
const BACK_OFF_MILLIS_MIN = 20;
const BACK_OFF_MILLIS_MAX = 2000;
/** How often a tick stops reading for a while, or aborts everything. */
const PAUSE_CHANCE = 0.01;
const PAUSE_MILLIS_MAX = 600;
const CLEAR_CHANCE = 0.02;

export class Initiator {
  readonly #world: SimulatedWorld;
  readonly #options: InitiatorOptions;
  readonly #random: SeededRandom;
  readonly #events: InitiatorEvents;
  #portal = 0;
  #session: Session | undefined;
  #connection: Connection | undefined;
  #connecting: AbortController | undefined;
  #backOff = BACK_OFF_MILLIS_MIN;
  #stopping = false;
  #onStopped: () => void = () => {};

  /** @param random of this host, whatever life its machine is in */
  constructor(world: SimulatedWorld, options: InitiatorOptions, random: SeededRandom, events: InitiatorEvents) {
    this.#world = world;
    this.#options = options;
    this.#random = random;
    this.#events = events;
  }

  get isOpen(): boolean {
    return this.#session?.isOpen === true;
  }

  /** Where its session is, or is being made. */
  get portal(): Portal {
    return this.#options.portals[this.#portal];
  }

  start(): void {
    this.#connect();
    this.#tick();
  }

  submit(command: Command): void {
    if (this.#session === undefined) command.done({ kind: "unsent" });
    else this.#session.submit(command);
  }

  /** Logs out; resolves when the session is over, however it ends. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#connecting?.abort(new Error("stopped"));
    if (this.#session === undefined) return;
    const stopped = new Promise<void>((resolve) => {
      this.#onStopped = resolve;
    });
    this.#session.leave();
    await stopped;
  }

  /** Ends at once, without a word to the target. */
  abort(): void {
    this.#stopping = true;
    this.#connecting?.abort(new Error("stopped"));
    this.#session?.drop("aborted");
  }

  #tick(): void {
    if (this.#stopping && this.#session === undefined) return;
    this.#session?.tick();
    const connection = this.#connection;
    if (connection !== undefined && this.#random.chance(PAUSE_CHANCE)) {
      connection.pause();
      this.#after(this.#random.below(PAUSE_MILLIS_MAX), () => connection.resume());
    }
    if (this.#random.chance(CLEAR_CHANCE)) this.#session?.clear();
    this.#after(TICK_MILLIS, () => this.#tick());
  }

  #connect(): void {
    const connecting = new AbortController();
    const timer = this.#world.clock.after(millis(CONNECT_MILLIS), () => connecting.abort(new Error("too slow")));
    this.#connecting = connecting;
    const { portal } = this;
    this.#world.network
      .connect(portal, (connection) => this.#connected(connection, portal), connecting.signal)
      .then(
        () => timer.cancel(),
        () => {
          timer.cancel();
          this.#connecting = undefined;
          this.#again();
        },
      );
  }

  #connected(connection: Connection, portal: Portal): Session {
    this.#connecting = undefined;
    this.#connection = connection;
    const options = { ...this.#options, damaged: () => this.#options.damaged(portal) };
    const session = new Session(this.#world, connection, options, this.#random, {
      opened: () => {
        this.#options.counters.logins++;
        this.#backOff = BACK_OFF_MILLIS_MIN;
        this.#events.opened(portal);
      },
      ended: (why) => {
        Counters.count(this.#options.counters.ends, why);
        this.#session = undefined;
        this.#connection = undefined;
        if (this.#stopping) this.#onStopped();
        else this.#again();
      },
      violated: (text) => this.#events.violated(text),
    });
    this.#session = session;
    if (this.#stopping) session.drop("stopped");
    return session;
  }

  #again(): void {
    if (this.#stopping) return;
    this.#portal = (this.#portal + 1) % this.#options.portals.length;
    const delay = this.#random.between(this.#backOff / 2, this.#backOff);
    this.#backOff = Math.min(2 * this.#backOff, BACK_OFF_MILLIS_MAX);
    this.#after(delay, () => {
      if (!this.#stopping) this.#connect();
    });
  }

  #after(delay: number, run: () => void): void {
    this.#world.clock.after(millis(delay), run);
  }
}
