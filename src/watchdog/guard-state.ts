/**
 * When the watchdog is fed, as a pure state machine. What it decides is carried out by `WatchdogGuard`.
 *
 * Invariants:
 * - While the site runs, each feed has a canary of its own, which was sent after the feed before and has passed.
 * - One canary is under way at a time: one that does not come back is the last, and the watchdog does the rest.
 * - A site that has failed is never fed again.
 */

import { type Instant, type Millis, millis } from "../base/units.ts";

/** How long the site may take to open drives, arrays and journal; it is fed meanwhile for running alone. */
export const START_MAX = millis(15 * 60_000);
/** How long the site may take to stop in order, fed in the same way. */
export const STOP_MAX = millis(60_000);

export type GuardState =
  | { readonly kind: "starting"; readonly since: Instant }
  | { readonly kind: "guarding"; readonly canary: "at rest" | "under way" }
  /** The site has failed: the reset comes. */
  | { readonly kind: "withheld" }
  | { readonly kind: "stopping"; readonly since: Instant }
  | { readonly kind: "disarmed" }
  /** Let go of, but armed: the reset comes unless a site is started before. */
  | { readonly kind: "left armed" };

export type GuardEvent =
  | { readonly kind: "tick"; readonly now: Instant }
  /** The site's data path is there. */
  | { readonly kind: "opened" }
  | { readonly kind: "canary passed" }
  | { readonly kind: "canary failed" }
  | { readonly kind: "stop"; readonly now: Instant }
  | { readonly kind: "let go"; readonly isDisarmed: boolean };

export type GuardAction = "none" | "feed" | "send canary";

export interface Step {
  readonly state: GuardState;
  readonly action: GuardAction;
}

const RESTING: GuardState = { kind: "guarding", canary: "at rest" };

export function transition(state: GuardState, event: GuardEvent): Step {
  const stay: Step = { state, action: "none" };
  switch (event.kind) {
    case "tick":
      return tick(state, event.now);
    case "opened":
      return state.kind === "starting" ? { state: RESTING, action: "none" } : stay;
    case "canary passed":
      return state.kind === "guarding" ? { state: RESTING, action: "feed" } : stay;
    case "canary failed":
      return state.kind === "guarding" ? { state: { kind: "withheld" }, action: "none" } : stay;
    case "stop":
      if (state.kind !== "starting" && state.kind !== "guarding") return stay;
      return { state: { kind: "stopping", since: event.now }, action: "none" };
    case "let go":
      return { state: { kind: event.isDisarmed ? "disarmed" : "left armed" }, action: "none" };
  }
}

function tick(state: GuardState, now: Instant): Step {
  switch (state.kind) {
    case "starting":
      return { state, action: within(START_MAX, state.since, now) ? "feed" : "none" };
    case "stopping":
      return { state, action: within(STOP_MAX, state.since, now) ? "feed" : "none" };
    case "guarding":
      if (state.canary === "under way") return { state, action: "none" };
      return { state: { kind: "guarding", canary: "under way" }, action: "send canary" };
    case "withheld":
    case "disarmed":
    case "left armed":
      return { state, action: "none" };
  }
}

function within(limit: Millis, since: Instant, now: Instant): boolean {
  return now - since <= limit;
}
