/**
 * Holds the machine's watchdog for a site: arms it before anything else is opened, feeds it while canaries pass, and
 * disarms it when the site has stopped as it was told to. `guard-state.ts` decides; here is the clock, the device and
 * what people are told.
 *
 * A process that ends without disarming leaves the watchdog armed, and that is meant: the next one takes it over in time,
 * or the machine is reset.
 */

import { assert } from "../base/assert.ts";
import { isOperatingError, OperatingError } from "../base/operating-error.ts";
import { type Instant, type Millis, millis } from "../base/units.ts";
import { elapsed, type Timer } from "../platform/clock.ts";
import type { Watchdog } from "../platform/watchdog.ts";
import type { World } from "../platform/world.ts";
import type { Canary } from "./canary.ts";
import { type GuardEvent, type GuardState, transition } from "./guard-state.ts";
import { agreeOnTimeout } from "./timeout.ts";

/** Of the timeout: a canary is sent so often, and may then take two such parts. */
const INTERVAL_PART = 1 / 3;
/** Of the timeout: a feed that comes later than this since the one before was late. */
const LATE_PART = 2 / 3;

export interface GuardOptions {
  readonly device: string;
  readonly timeout: Millis;
  readonly onAlarm: (error: OperatingError) => void;
}

/** What can be seen of it. Counters since it was armed. */
export interface GuardView {
  readonly device: string;
  readonly identity: string;
  readonly state: GuardState["kind"];
  readonly timeout: Millis;
  readonly sinceFed: Millis;
  /** As the device tells; undefined where it does not. */
  readonly timeLeft: Millis | undefined;
  readonly causedLastBoot: boolean;
  readonly nowayout: boolean | undefined;
  readonly feeds: number;
  readonly lateFeeds: number;
  /** The longest time between two feeds. */
  readonly longestGap: Millis;
}

export class WatchdogGuard {
  readonly #world: Pick<World, "clock">;
  readonly #watchdog: Watchdog;
  readonly #timeout: Millis;
  readonly #onAlarm: (error: OperatingError) => void;
  #state: GuardState;
  #canary: Canary | undefined;
  #fedAt: Instant;
  #feeds = 0;
  #lateFeeds = 0;
  #longestGap = millis(0);
  #timer: Timer | undefined;

  /**
   * Arms the watchdog. Rejects as `Watchdogs.open` does, or with `watchdog.timeout`; it is disarmed again then.
   */
  static async arm(world: Pick<World, "clock" | "watchdogs">, options: GuardOptions): Promise<WatchdogGuard> {
    const watchdog = await world.watchdogs.open(options.device);
    try {
      const guard = new WatchdogGuard(world, watchdog, agreeOnTimeout(watchdog, options.timeout), options.onAlarm);
      if (watchdog.causedLastBoot) options.onAlarm(causedBoot(watchdog));
      return guard;
    } catch (error) {
      watchdog.disarm();
      throw error;
    }
  }

  private constructor(
    world: Pick<World, "clock">,
    watchdog: Watchdog,
    timeout: Millis,
    onAlarm: (error: OperatingError) => void,
  ) {
    this.#world = world;
    this.#watchdog = watchdog;
    this.#timeout = timeout;
    this.#onAlarm = onAlarm;
    this.#fedAt = world.clock.now();
    this.#state = { kind: "starting", since: this.#fedAt };
    this.#startTimer();
  }

  get view(): GuardView {
    const { path, identity, causedLastBoot, nowayout } = this.#watchdog;
    return {
      device: path,
      identity,
      state: this.#state.kind,
      timeout: this.#timeout,
      sinceFed: elapsed(this.#world.clock, this.#fedAt),
      timeLeft: this.#watchdog.timeLeft(),
      causedLastBoot,
      nowayout,
      feeds: this.#feeds,
      lateFeeds: this.#lateFeeds,
      longestGap: this.#longestGap,
    };
  }

  /** The site's data path is there: from now on the watchdog is fed only while canaries pass through it. */
  watch(canary: Canary): void {
    assert(this.#canary === undefined, "one data path is watched");
    this.#canary = canary;
    this.#take({ kind: "opened" });
  }

  /** The site begins to stop as it was told to. */
  stopping(): void {
    this.#take({ kind: "stop", now: this.#world.clock.now() });
  }

  /** The site has stopped, or could not start, in order: nothing is left that could hang. */
  disarm(): void {
    if (this.#state.kind === "disarmed" || this.#state.kind === "left armed") return;
    this.#timer?.cancel();
    const why = this.#disarmed();
    this.#take({ kind: "let go", isDisarmed: why === undefined });
    if (why !== undefined) this.#onAlarm(leftArmed(this.#watchdog, this.#timeout, why));
  }

  #disarmed(): string | undefined {
    try {
      return this.#watchdog.disarm();
    } catch (error) {
      if (!isOperatingError(error)) throw error;
      return error.what;
    }
  }

  #startTimer(): void {
    this.#timer = this.#world.clock.after(millis(this.#timeout * INTERVAL_PART), () => {
      this.#startTimer();
      this.#take({ kind: "tick", now: this.#world.clock.now() });
    });
  }

  #take(event: GuardEvent): void {
    const { state, action } = transition(this.#state, event);
    this.#state = state;
    if (action === "feed") this.#feed();
    else if (action === "send canary") this.#sendCanary();
  }

  #sendCanary(): void {
    assert(this.#canary !== undefined, "a canary is sent once there is a data path");
    this.#canary().then(
      () => this.#take({ kind: "canary passed" }),
      (error: unknown) => {
        if (!isOperatingError(error)) throw error;
        const was = this.#state.kind;
        this.#take({ kind: "canary failed" });
        if (was !== this.#state.kind) this.#onAlarm(withheld(this.#watchdog, this.#timeout, error));
      },
    );
  }

  #feed(): void {
    try {
      this.#watchdog.feed();
    } catch (error) {
      // It is tried again at the next canary, and told of in any case: the machine is not guarded, or soon reset.
      if (!isOperatingError(error)) throw error;
      this.#onAlarm(error);
      return;
    }
    const gap = elapsed(this.#world.clock, this.#fedAt);
    this.#fedAt = this.#world.clock.now();
    this.#feeds++;
    this.#longestGap = millis(Math.max(gap, this.#longestGap));
    if (gap <= this.#timeout * LATE_PART) return;
    this.#lateFeeds++;
    this.#onAlarm(late(this.#watchdog));
  }
}

function causedBoot({ path, identity }: Watchdog): OperatingError {
  return new OperatingError(
    "watchdog.caused-boot",
    `The watchdog ${path} (${identity}) has reset this machine; its last boot was caused by that.`,
    "Look for what hung in the logs of the time before. The next boot of another cause ends this alarm.",
  );
}

function late({ path }: Watchdog): OperatingError {
  return new OperatingError(
    "watchdog.late",
    `The watchdog ${path} was fed when less than a third of its timeout was left.`,
    "Look at the machine's load and at the journal's drive, which stall for long, or give 'watchdog.timeout' more.",
  );
}

function withheld({ path }: Watchdog, timeout: Millis, { what, remedy }: OperatingError): OperatingError {
  return new OperatingError(
    "watchdog.withheld",
    `This site has failed, and the watchdog ${path} resets the machine within ${timeout / 1000} s: ${what}`,
    `If it fails again after the reset: ${remedy}`,
  );
}

function leftArmed({ path }: Watchdog, timeout: Millis, why: string): OperatingError {
  return new OperatingError(
    "watchdog.left-armed",
    `The watchdog ${path} can't be disarmed and resets the machine within ${timeout / 1000} s: ${why}.`,
    "Start the site again before that, or expect the reset; it is what the driver's option nowayout is for.",
  );
}
