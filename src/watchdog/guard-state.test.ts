import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { instant } from "../base/units.ts";
import { type GuardAction, type GuardEvent, type GuardState, START_MAX, STOP_MAX, transition } from "./guard-state.ts";

const tick = (now: number): GuardEvent => ({ kind: "tick", now: instant(now) });
const given = (state: GuardState, ...events: GuardEvent[]) => {
  const actions: GuardAction[] = [];
  for (const event of events) {
    const step = transition(state, event);
    state = step.state;
    actions.push(step.action);
  }
  return { state, actions };
};
const STARTING: GuardState = { kind: "starting", since: instant(0) };
const RESTING: GuardState = { kind: "guarding", canary: "at rest" };

describe("the guard", () => {
  it("feeds a site that starts for as long as a start may take", () => {
    expect(given(STARTING, tick(10), tick(START_MAX), tick(START_MAX + 1)).actions).toEqual(["feed", "feed", "none"]);
    expect(given(STARTING, tick(START_MAX + 1), { kind: "opened" }).state).toEqual(RESTING);
  });

  it("feeds for each canary that has passed, and sends no second one before", () => {
    const { state, actions } = given(
      STARTING,
      { kind: "opened" },
      tick(1),
      tick(2),
      { kind: "canary passed" },
      tick(3),
    );
    expect(actions).toEqual(["none", "send canary", "none", "feed", "send canary"]);
    expect(state).toEqual({ kind: "guarding", canary: "under way" });
  });

  it("never feeds a site that has failed, not even while that stops", () => {
    const { state, actions } = given(
      RESTING,
      tick(1),
      { kind: "canary failed" },
      tick(2),
      { kind: "canary passed" },
      { kind: "stop", now: instant(3) },
      tick(4),
    );
    expect(state.kind).toBe("withheld");
    expect(actions).not.toContain("feed");
  });

  it("feeds a site that stops for as long as a stop may take, whatever its canary does", () => {
    const stop: GuardEvent = { kind: "stop", now: instant(5) };
    const { state, actions } = given(
      RESTING,
      tick(1),
      stop,
      { kind: "canary failed" },
      tick(6),
      tick(5 + STOP_MAX + 1),
      {
        kind: "let go",
        isDisarmed: true,
      },
    );
    expect(actions).toEqual(["send canary", "none", "none", "feed", "none", "none"]);
    expect(state.kind).toBe("disarmed");
  });

  it("does nothing once it has let go, and says whether the watchdog is armed still", () => {
    const { state, actions } = given(RESTING, { kind: "let go", isDisarmed: false }, tick(1), {
      kind: "canary passed",
    });
    expect(state.kind).toBe("left armed");
    expect(actions).toEqual(["none", "none", "none"]);
  });

  it("has for each feed of a running site a canary sent since the feed before, over any events", () => {
    const event = fc.oneof(
      fc.nat({ max: 2 * START_MAX }).map(tick),
      fc.constantFrom<GuardEvent>(
        { kind: "opened" },
        { kind: "canary passed" },
        { kind: "canary failed" },
        { kind: "let go", isDisarmed: true },
      ),
      fc.nat({ max: START_MAX }).map((now): GuardEvent => ({ kind: "stop", now: instant(now) })),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        let state: GuardState = STARTING;
        let canaries = 0;
        let hasFailed = false;
        for (const each of events) {
          // only a canary that is under way passes or fails
          if (each.kind.startsWith("canary") && canaries === 0) continue;
          const before = state;
          const step = transition(state, each);
          ({ state } = step);
          if (before.kind === "guarding" && step.action === "feed") expect(each.kind).toBe("canary passed");
          if (each.kind.startsWith("canary")) canaries--;
          if (step.action === "send canary") canaries++;
          expect(canaries).toBeLessThanOrEqual(1);
          hasFailed ||= state.kind === "withheld";
          if (hasFailed) expect(step.action).toBe("none");
        }
      }),
    );
  });
});
