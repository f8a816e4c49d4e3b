/**
 * The states of a link at its dialling end, and every way from one to another. Pure: the shell in link-sender.ts hands
 * in the time and the dice, and carries out the actions in their order.
 */

import type { OperatingError } from "../base/operating-error.ts";
import { type Instant, instant, type Millis, millis, type Sequence } from "../base/units.ts";
import type { ChannelName } from "./channel.ts";
import type { Position } from "./contract.ts";
import type { LinkTimings } from "./timings.ts";

/** `attempt` counts the connects since the link was last up for `LinkTimings.stable`. */
export type LinkState =
  | { readonly kind: "idle" }
  | {
      readonly kind: "connecting";
      readonly attempt: number;
      readonly since: Instant;
      /** Connections on which the other site has greeted back. */
      readonly greeted: readonly ChannelName[];
      readonly position: Position | undefined;
    }
  /** Up; the owner has not yet said from where to stream. */
  | { readonly kind: "holding"; readonly attempt: number; readonly since: Instant; readonly position: Position }
  | { readonly kind: "streaming"; readonly attempt: number; readonly since: Instant; readonly position: Position }
  | { readonly kind: "waiting"; readonly attempt: number; readonly retryAt: Instant; readonly error: OperatingError }
  /** As waiting, but for something that time alone does not cure. */
  | { readonly kind: "refused"; readonly attempt: number; readonly retryAt: Instant; readonly error: OperatingError }
  | { readonly kind: "stopped" };

export type LinkEvent =
  | { readonly kind: "start" }
  | { readonly kind: "greeted"; readonly channel: ChannelName }
  | { readonly kind: "welcomed"; readonly position: Position }
  /** The owner's answer to `ask`. */
  | { readonly kind: "resumed"; readonly decision: Sequence | "hold" | OperatingError }
  | { readonly kind: "stream"; readonly from: Sequence }
  | { readonly kind: "lost"; readonly error: OperatingError }
  | { readonly kind: "refused"; readonly error: OperatingError }
  | { readonly kind: "retry" }
  | { readonly kind: "stop" };

export type LinkAction =
  /** Open both connections, with a deadline for all until the welcome. */
  | { readonly kind: "dial" }
  /** Ask the owner from where to stream. */
  | { readonly kind: "ask"; readonly position: Position }
  | { readonly kind: "stream"; readonly from: Sequence }
  /** Tell the other site why, then end both connections. */
  | { readonly kind: "refuse"; readonly error: OperatingError }
  /** End both connections. */
  | { readonly kind: "hangUp"; readonly error: OperatingError | undefined }
  | { readonly kind: "wait"; readonly delay: Millis };

export interface Moment {
  readonly now: Instant;
  /** 0 <= dice < 1 */
  readonly dice: number;
  readonly timings: LinkTimings;
}

export interface Transition {
  readonly state: LinkState;
  readonly actions: readonly LinkAction[];
}

export function transition(state: LinkState, event: LinkEvent, moment: Moment): Transition {
  if (state.kind === "stopped") return stay(state);
  switch (event.kind) {
    case "stop":
      return { state: { kind: "stopped" }, actions: [{ kind: "hangUp", error: undefined }] };
    case "start":
      return state.kind === "idle" ? dial(1, moment) : stay(state);
    case "retry":
      return state.kind === "waiting" || state.kind === "refused" ? dial(state.attempt + 1, moment) : stay(state);
    case "greeted":
      if (state.kind !== "connecting") return stay(state);
      return askIfComplete({ ...state, greeted: [...state.greeted, event.channel] });
    case "welcomed":
      if (state.kind !== "connecting") return stay(state);
      return askIfComplete({ ...state, position: event.position });
    case "resumed":
      return resume(state, event.decision, moment);
    case "stream":
      if (state.kind !== "holding") return stay(state);
      return { state: { ...state, kind: "streaming" }, actions: [{ kind: "stream", from: event.from }] };
    case "lost":
      return fall(state, "waiting", event.error, moment, [{ kind: "hangUp", error: event.error }]);
    case "refused":
      return fall(state, "refused", event.error, moment, [{ kind: "hangUp", error: event.error }]);
  }
}

function stay(state: LinkState): Transition {
  return { state, actions: [] };
}

function dial(attempt: number, moment: Moment): Transition {
  return {
    state: { kind: "connecting", attempt, since: moment.now, greeted: [], position: undefined },
    actions: [{ kind: "dial" }],
  };
}

function askIfComplete(state: LinkState & { kind: "connecting" }): Transition {
  const complete = state.greeted.includes("data") && state.greeted.includes("control");
  return {
    state,
    actions: complete && state.position !== undefined ? [{ kind: "ask", position: state.position }] : [],
  };
}

function resume(state: LinkState, decision: Sequence | "hold" | OperatingError, moment: Moment): Transition {
  if (state.kind !== "connecting" || state.position === undefined) return stay(state);
  const up = { attempt: state.attempt, since: moment.now, position: state.position };
  if (decision === "hold") return { state: { kind: "holding", ...up }, actions: [] };
  if (typeof decision === "number") {
    return { state: { kind: "streaming", ...up }, actions: [{ kind: "stream", from: decision }] };
  }
  return fall(state, "refused", decision, moment, [
    { kind: "refuse", error: decision },
    { kind: "hangUp", error: decision },
  ]);
}

function fall(
  state: LinkState,
  kind: "waiting" | "refused",
  error: OperatingError,
  moment: Moment,
  actions: readonly LinkAction[],
): Transition {
  const attempt = failedAttempt(state, moment);
  if (attempt === undefined) return stay(state);
  const delay = kind === "waiting" ? backOff(attempt, moment) : jitter(moment.timings.retryRefused, moment);
  return {
    state: { kind, attempt, retryAt: instant(moment.now + delay), error },
    actions: [...actions, { kind: "wait", delay }],
  };
}

/** @returns how many connects in a row have come to nothing; `undefined` if there is nothing to lose */
function failedAttempt(state: LinkState, moment: Moment): number | undefined {
  switch (state.kind) {
    case "connecting":
      return state.attempt;
    case "holding":
    case "streaming":
      return moment.now - state.since >= moment.timings.stable ? 1 : state.attempt;
    default:
      return undefined;
  }
}

function backOff(attempt: number, moment: Moment): Millis {
  const { retryMin, retryMax } = moment.timings;
  return jitter(millis(Math.min(retryMax, retryMin * 2 ** Math.min(attempt - 1, 30))), moment);
}

/** Between half of it and all of it, so that many links lost at once do not return at once. */
function jitter(delay: Millis, moment: Moment): Millis {
  return millis(delay * (0.5 + moment.dice / 2));
}
