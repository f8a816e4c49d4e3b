import { type Millis, millis } from "../base/units.ts";

/** All waits of a link. Both ends of a link should have the same. */
export interface LinkTimings {
  /** Between two heartbeats of one end. */
  readonly heartbeat: Millis;
  /** After so long without a byte on either connection the link is lost. */
  readonly silence: Millis;
  /** For both connections, their greetings and the welcome together. */
  readonly connect: Millis;
  /** Back-off before the first reconnect; it doubles with each further one. */
  readonly retryMin: Millis;
  readonly retryMax: Millis;
  /** Before a reconnect after a refusal, which only an operator or a new epoch can cure. */
  readonly retryRefused: Millis;
  /** A link that was up for so long starts its back-off from the beginning. */
  readonly stable: Millis;
}

export const LINK_TIMINGS: LinkTimings = {
  heartbeat: millis(500),
  silence: millis(3000),
  connect: millis(5000),
  retryMin: millis(100),
  retryMax: millis(5000),
  retryRefused: millis(10_000),
  stable: millis(10_000),
};
